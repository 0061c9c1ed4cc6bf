//! A decoded picture.

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

/// How a picture's bytes lie. Rows have no padding, planes follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layout {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    #[default]
    Bgr,
    /// Red, green, blue, 255.
    Rgba,
    /// Brightness, one byte.
    Gray,
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

    /// All bytes: rows without padding, plane after plane.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, taken out.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// An empty picture that will use this memory.
    #[must_use]
    pub fn reuse(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            ..Self::default()
        }
    }
}
