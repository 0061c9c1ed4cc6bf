//! Motion JPEG, by zune-jpeg: colours and brightness come out of the decoder as they are wanted.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::colours::Colours;
use crate::convert::{self, Converter, Source};
use crate::decoder::Coded;
use crate::error::DecodeError;
use crate::jpeg;
use crate::layout::Layout;
use crate::picture::{Picture, Pixels};
use sdvr_frame::FourCc;

/// A block of 64 pixels takes a bit at least, in the first scan of a progressive image; others take two. What claims more is refused before memory
/// for it is taken.
const PIXELS_PER_BYTE_MOST: u64 = 512;
/// Scans of a progressive image; encoders make about ten. Each is work over the whole picture.
const SCANS_MOST: usize = 64;

const END_OF_IMAGE_BYTES: usize = 2;
/// Ones behind the picture's bits, which begin no Huffman code (T.81, annex C): the decoder takes bits that are missing for zeros, and this way it
/// notices. More than a code and what it announces can take.
const NO_CODE: [u8; 32] = {
    let mut ones = [0; 32];
    let mut at = 0;
    while at < ones.len() {
        ones[at] = 0xff;
        at += 2;
    }
    ones
};

/// Makes pictures of JPEG images.
#[derive(Debug, Default)]
pub(crate) struct Mjpeg {
    converter: Converter,
    image: Vec<u8>,
    scratch: Vec<u8>,
}

impl Mjpeg {
    pub(crate) fn decode(
        &mut self,
        frame: Coded<'_>,
        pixels: Pixels,
        picture: &mut Picture,
    ) -> Result<(), DecodeError> {
        let image = jpeg::with_huffman_tables(frame.bytes).map_err(damaged)?;
        jpeg::scan::check(&image).map_err(damaged)?;
        let (picture_end, end) = image.split_at(image.len().saturating_sub(END_OF_IMAGE_BYTES));
        self.image.clear();
        for part in [picture_end, &NO_CODE, end] {
            self.image.extend_from_slice(part);
        }
        let image = std::mem::take(&mut self.image);
        let decoded = self.decode_image(&image, pixels, picture);
        self.image = image;
        picture.number = frame.number;
        decoded
    }

    fn decode_image(
        &mut self,
        image: &[u8],
        pixels: Pixels,
        picture: &mut Picture,
    ) -> Result<(), DecodeError> {
        let (wanted, layout) = match pixels {
            Pixels::Rgb => (ColorSpace::RGB, Layout::Rgb),
            Pixels::Bgr => (ColorSpace::BGR, Layout::Bgr),
            Pixels::Rgba => (ColorSpace::RGBA, Layout::Rgba),
            Pixels::Gray => (ColorSpace::Luma, Layout::Gray),
            Pixels::Planes => (ColorSpace::YCbCr, Layout::Ycbcr),
        };
        let (mut decoder, (width, height)) = opened(image, wanted)?;
        match decoder.input_colorspace() {
            Some(ColorSpace::YCbCr) => {
                convert::prepare(picture, layout, width, height)?;
                decoder.decode_into(&mut picture.bytes).map_err(damaged)?;
                picture.colours = Colours::FULL_601;
            }
            Some(ColorSpace::Luma) => {
                self.convert(image, (ColorSpace::Luma, Layout::Gray), pixels, picture)?;
            }
            // Of images in RGB or CMYK the decoder makes RGB and nothing else.
            _ => self.convert(image, (ColorSpace::RGB, Layout::Rgb), pixels, picture)?,
        }
        Ok(())
    }

    /// What the decoder does not make as it is wanted.
    fn convert(
        &mut self,
        image: &[u8],
        (colours, layout): (ColorSpace, Layout),
        pixels: Pixels,
        picture: &mut Picture,
    ) -> Result<(), DecodeError> {
        let (mut decoder, (width, height)) = opened(image, colours)?;
        let size = DecodeError::Size { width, height };
        let bytes = layout
            .picture_bytes(width, height)
            .ok_or_else(|| size.clone())?;
        self.scratch.resize(bytes, 0);
        decoder.decode_into(&mut self.scratch).map_err(damaged)?;
        let source = Source::of_rows_without_padding(layout, width, height, &self.scratch);
        let mut source = source.ok_or(size)?;
        source.colours = Colours::FULL_601;
        self.converter.convert(&source, pixels, picture)
    }
}

type Opened<'a> = JpegDecoder<ZCursor<&'a [u8]>>;

/// A decoder that has read the headers, and the picture's size.
fn opened(image: &[u8], colours: ColorSpace) -> Result<(Opened<'_>, (u32, u32)), DecodeError> {
    let options = DecoderOptions::default()
        // Otherwise what cannot be decoded becomes grey, and nobody is told.
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_max_scans(SCANS_MOST)
        .jpeg_set_out_colorspace(colours);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(image), options);
    decoder.decode_headers().map_err(damaged)?;
    let info = decoder.info().ok_or_else(|| damaged("it has no size"))?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    DecodeError::check_size(width, height)?;
    let pixels = u64::from(width) * u64::from(height);
    if pixels / PIXELS_PER_BYTE_MOST > image.len() as u64 {
        return Err(damaged(format!(
            "{} bytes are too few for {width}x{height} pixels",
            image.len()
        )));
    }
    Ok((decoder, (width, height)))
}

fn damaged(cause: impl std::fmt::Display) -> DecodeError {
    DecodeError::Damaged {
        format: FourCc::MJPG,
        cause: cause.to_string(),
    }
}
