//! Pictures as images.

use std::borrow::Cow;
use std::time::SystemTime;

use sdvr_decode::{Layout, Picture};

/// Which kind of image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// Of quality 90, in YCbCr.
    Jpeg,
    /// Of quality 80, which is half as long, and no difference where a picture is followed by the next.
    LiveJpeg,
    /// Without loss.
    Png,
}

/// Why a picture became no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A JPEG image has at most 65535 pixels a side.
    #[error("cannot make a JPEG image of {width}x{height} pixels: a side has at most 65535")]
    Size {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// The picture is not packed red, green and blue, nor brightness.
    #[error("cannot make a JPEG image: {0}")]
    Jpeg(#[from] jpeg_encoder::EncodingError),
    /// Likewise.
    #[error("cannot make a PNG image: {0}")]
    Png(#[from] png::EncodingError),
}

/// Of 100. What cameras themselves take, as a rule: artefacts are seen in enlargements only.
const JPEG_QUALITY: u8 = 90;
/// Likewise, of what is looked at as it moves.
const LIVE_JPEG_QUALITY: u8 = 80;

/// The image of a picture, which is packed red, green and blue, or brightness: decoded as [`sdvr_decode::Pixels::Rgb`], `Rgba` or `Gray`.
/// A PNG image has the time of its capture inside (`Creation Time`). Does not block; takes from a few milliseconds to tens of them.
///
/// # Errors
///
/// When the kind of image has no pictures of that size or layout.
pub fn encode(
    kind: ImageKind,
    picture: &Picture,
    captured: SystemTime,
) -> Result<Vec<u8>, EncodeError> {
    match kind {
        ImageKind::Jpeg => jpeg(picture, JPEG_QUALITY),
        ImageKind::LiveJpeg => jpeg(picture, LIVE_JPEG_QUALITY),
        ImageKind::Png => Ok(png(picture, captured)?),
    }
}

fn jpeg(picture: &Picture, quality: u8) -> Result<Vec<u8>, EncodeError> {
    let (width, height) = (picture.width(), picture.height());
    let side = |side: u32| u16::try_from(side).map_err(|_| EncodeError::Size { width, height });
    let colours = match picture.layout() {
        Layout::Gray => jpeg_encoder::ColorType::Luma,
        Layout::Rgba => jpeg_encoder::ColorType::Rgba,
        _ => jpeg_encoder::ColorType::Rgb,
    };
    let mut image = Vec::new();
    jpeg_encoder::Encoder::new(&mut image, quality).encode(
        picture.bytes(),
        side(width)?,
        side(height)?,
        colours,
    )?;
    Ok(image)
}

fn png(picture: &Picture, captured: SystemTime) -> Result<Vec<u8>, png::EncodingError> {
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
    writer.write_image_data(&without_fourth(picture))?;
    writer.finish()?;
    Ok(image)
}

/// The picture's bytes without those that stand for its transparency: it has none.
fn without_fourth(picture: &Picture) -> Cow<'_, [u8]> {
    if picture.layout() != Layout::Rgba {
        return Cow::Borrowed(picture.bytes());
    }
    let pixels = picture.bytes().as_chunks::<4>().0.iter();
    pixels
        .flat_map(|[red, green, blue, _]| [*red, *green, *blue])
        .collect()
}

#[cfg(test)]
mod tests {
    use sdvr_decode::{Coded, Decoder, Pixels};
    use sdvr_frame::{FourCc, FrameRate, StreamFormat};

    use super::*;

    fn picture(pixels: Pixels) -> Picture {
        let format = StreamFormat {
            fourcc: FourCc::RGB3,
            width: 3,
            height: 2,
            rate: FrameRate::UNPACED,
        };
        let bytes: Vec<u8> = (0..18).map(|byte: u8| byte * 14).collect();
        let coded = Coded {
            bytes: &bytes,
            number: 7,
            is_key: true,
        };
        let mut picture = Picture::default();
        let mut decoder = Decoder::new(format).expect("it is raw");
        decoder
            .decode(coded, pixels, &mut picture)
            .expect("it is as long as it must be");
        picture
    }

    #[test]
    fn a_fourth_byte_a_pixel_makes_no_difference() {
        for kind in [ImageKind::Jpeg, ImageKind::Png] {
            let of = |pixels| {
                encode(kind, &picture(pixels), SystemTime::UNIX_EPOCH).expect("it has pixels")
            };
            assert_eq!(of(Pixels::Rgba), of(Pixels::Rgb), "{kind:?}");
        }
    }
}
