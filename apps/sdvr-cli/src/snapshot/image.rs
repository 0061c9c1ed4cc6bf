//! Pictures as files of images.

use std::time::SystemTime;

use anyhow::Context;
use sdvr::{Layout, Picture};

/// Which kind of image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Jpeg,
    Png,
}

/// Of 100. What cameras themselves take, as a rule: artefacts are seen in enlargements only.
const JPEG_QUALITY: u8 = 90;

/// The image of a picture, which is packed red, green and blue, or brightness.
///
/// # Errors
///
/// When the kind of image has no pictures of that size.
pub(super) fn encode(
    kind: Kind,
    picture: &Picture,
    captured: SystemTime,
) -> anyhow::Result<Vec<u8>> {
    let (width, height) = (picture.width(), picture.height());
    match kind {
        Kind::Jpeg => jpeg(picture)
            .with_context(|| format!("cannot make a JPEG image of {width}x{height} pixels")),
        Kind::Png => png(picture, captured)
            .with_context(|| format!("cannot make a PNG image of {width}x{height} pixels")),
    }
}

fn jpeg(picture: &Picture) -> anyhow::Result<Vec<u8>> {
    let width = u16::try_from(picture.width()).context("a side has at most 65535 pixels")?;
    let height = u16::try_from(picture.height()).context("a side has at most 65535 pixels")?;
    let colours = match picture.layout() {
        Layout::Gray => jpeg_encoder::ColorType::Luma,
        _ => jpeg_encoder::ColorType::Rgb,
    };
    let mut image = Vec::new();
    jpeg_encoder::Encoder::new(&mut image, JPEG_QUALITY).encode(
        picture.bytes(),
        width,
        height,
        colours,
    )?;
    Ok(image)
}

fn png(picture: &Picture, captured: SystemTime) -> anyhow::Result<Vec<u8>> {
    let mut image = Vec::new();
    let mut encoder = png::Encoder::new(&mut image, picture.width(), picture.height());
    encoder.set_color(match picture.layout() {
        Layout::Gray => png::ColorType::Grayscale,
        _ => png::ColorType::Rgb,
    });
    encoder.set_depth(png::BitDepth::Eight);
    // Whoever takes pictures in a loop waits for this; smaller ones take many times as long.
    encoder.set_compression(png::Compression::Fast);
    let date = humantime::format_rfc3339_millis(captured).to_string();
    encoder.add_text_chunk("Creation Time".to_owned(), date)?;
    let mut writer = encoder.write_header()?;
    writer.write_image_data(picture.bytes())?;
    writer.finish()?;
    Ok(image)
}
