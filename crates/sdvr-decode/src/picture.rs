//! A decoded picture.

use crate::colours::Colours;
use crate::layout::Layout;

/// What is wanted of a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pixels {
    /// Red, green, blue: three bytes a pixel.
    Rgb,
    /// Blue, green, red: three bytes a pixel, as OpenCV has them.
    #[default]
    Bgr,
    /// Red, green, blue and 255: four bytes a pixel.
    Rgba,
    /// Brightness from 0 to 255: one byte a pixel.
    Gray,
    /// As the camera or the decoder has them, without conversion: see [`Layout`].
    Planes,
}

/// One plane of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plane<'a> {
    /// Its bytes, row by row.
    pub bytes: &'a [u8],
    /// Bytes of a row.
    pub row_bytes: usize,
    /// How many rows.
    pub rows: usize,
}

/// A picture. Its memory is used again by the next [`crate::Decoder::decode`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    pub(crate) bytes: Vec<u8>,
    pub(crate) layout: Layout,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) number: u64,
    pub(crate) colours: Colours,
    pub(crate) sample_bits: u8,
}

impl Picture {
    /// More pixels are refused: 16384 x 16384, beyond which rows no longer fit what decoders can do.
    pub const PIXELS_MOST: u64 = 1 << 28;

    /// Pixels across.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Pixels down.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// How the bytes lie.
    #[must_use]
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// The number of the frame it was made of: [`crate::Coded::number`].
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// How its samples of brightness and colour stand for red, green and blue; of use with [`Pixels::Planes`].
    #[must_use]
    pub const fn colours(&self) -> Colours {
        self.colours
    }

    /// How many bits of a sample are in use: 8, or of layouts with two bytes a sample up to 16.
    #[must_use]
    pub const fn sample_bits(&self) -> u8 {
        self.sample_bits
    }

    /// All bytes: rows without padding, plane after plane.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its planes, in the order that [`Layout`] says; packed pixels are one plane. None of a picture that nothing was decoded into.
    pub fn planes(&self) -> impl Iterator<Item = Plane<'_>> {
        let mut rest = self.bytes.as_slice();
        let (width, height) = (self.width, self.height);
        let shapes = self.layout.planes().iter();
        shapes.map_while(move |shape| {
            let (row_bytes, rows) = shape.size(width, height)?;
            let (bytes, behind) = rest.split_at_checked(row_bytes.checked_mul(rows)?)?;
            rest = behind;
            (!bytes.is_empty()).then_some(Plane {
                bytes,
                row_bytes,
                rows,
            })
        })
    }

    /// The bytes, taken out.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A picture without pixels that will use this memory. Until it is decoded into, [`Self::bytes`] has what was there: clearing megabytes takes as long as
    /// converting them.
    #[must_use]
    pub fn reuse(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            ..Self::default()
        }
    }
}
