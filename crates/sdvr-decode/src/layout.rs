//! How pictures lie in memory: the one place that knows how long their rows and planes are.

/// How a picture's bytes lie. Rows have no padding, planes follow each other. Samples of colour that several pixels share round up at odd sizes.
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
    /// Brightness, two bytes, the lower one first.
    Gray16,
    /// Brightness, two bytes, the higher one first.
    Gray16BigEndian,
    /// Packed Y Cb Cr, three bytes a pixel: what JPEG images have.
    Ycbcr,
    /// Packed Y0 Cb Y1 Cr, four bytes for two pixels.
    Yuyv,
    /// Packed Cb Y0 Cr Y1, four bytes for two pixels.
    Uyvy,
    /// Packed Y0 Cr Y1 Cb, four bytes for two pixels.
    Yvyu,
    /// Packed Cr Y0 Cb Y1, four bytes for two pixels.
    Vyuy,
    /// Y, then Cb and Cr in turn, shared by 2 x 2 pixels.
    Nv12,
    /// Y, then Cr and Cb in turn, shared by 2 x 2 pixels.
    Nv21,
    /// Y, then Cb and Cr in turn, shared by two pixels of a row.
    Nv16,
    /// Y, then Cr and Cb in turn, shared by two pixels of a row.
    Nv61,
    /// Planes Y, Cb, Cr; colour is shared by 2 x 2 pixels.
    Yuv420,
    /// Planes Y, Cr, Cb; colour is shared by 2 x 2 pixels.
    Yvu420,
    /// Planes Y, Cb, Cr; colour is shared by two pixels of a row.
    Yuv422,
    /// Planes Y, Cb, Cr; colour is shared by four pixels of a row.
    Yuv411,
    /// Planes Y, Cb, Cr of one size.
    Yuv444,
    /// Planes Y, Cb, Cr and transparency of one size.
    Yuva444,
    /// [`Self::Nv12`] with two bytes a sample, the lower one first; the value is in the upper bits.
    P010,
    /// [`Self::Yuv420`] with two bytes a sample, the lower one first; the value is in the lower [`crate::Picture::sample_bits`].
    Yuv420Deep,
    /// [`Self::Yuv422`] with two bytes a sample, as [`Self::Yuv420Deep`].
    Yuv422Deep,
    /// [`Self::Yuv444`] with two bytes a sample, as [`Self::Yuv420Deep`].
    Yuv444Deep,
    /// A sample a pixel: rows of blue and green, then of green and red.
    BayerBggr,
    /// A sample a pixel: rows of green and blue, then of red and green.
    BayerGbrg,
    /// A sample a pixel: rows of green and red, then of blue and green.
    BayerGrbg,
    /// A sample a pixel: rows of red and green, then of green and blue.
    BayerRggb,
}

/// The shape of a plane: so many bytes stand for a block of so many pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlaneShape {
    pub(crate) across: u8,
    pub(crate) down: u8,
    pub(crate) bytes: u8,
}

impl PlaneShape {
    const fn new(across: u8, down: u8, bytes: u8) -> Self {
        Self {
            across,
            down,
            bytes,
        }
    }

    /// Bytes of a row, and rows, in a picture of that size; `None` where they cannot be counted.
    pub(crate) fn size(self, width: u32, height: u32) -> Option<(usize, usize)> {
        let blocks = usize::try_from(width.div_ceil(self.across.into())).ok()?;
        let rows = usize::try_from(height.div_ceil(self.down.into())).ok()?;
        Some((blocks.checked_mul(self.bytes.into())?, rows))
    }
}

impl Layout {
    /// Its planes.
    pub(crate) const fn planes(self) -> &'static [PlaneShape] {
        const fn shape(across: u8, down: u8, bytes: u8) -> PlaneShape {
            PlaneShape::new(across, down, bytes)
        }
        match self {
            Self::Rgb | Self::Bgr | Self::Ycbcr => const { &[shape(1, 1, 3)] },
            Self::Rgba => const { &[shape(1, 1, 4)] },
            Self::Gray | Self::BayerBggr | Self::BayerGbrg | Self::BayerGrbg | Self::BayerRggb => {
                const { &[shape(1, 1, 1)] }
            }
            Self::Gray16 | Self::Gray16BigEndian => const { &[shape(1, 1, 2)] },
            Self::Yuyv | Self::Uyvy | Self::Yvyu | Self::Vyuy => const { &[shape(2, 1, 4)] },
            Self::Nv12 | Self::Nv21 => const { &[shape(1, 1, 1), shape(2, 2, 2)] },
            Self::Nv16 | Self::Nv61 => const { &[shape(1, 1, 1), shape(2, 1, 2)] },
            Self::Yuv420 | Self::Yvu420 => {
                const { &[shape(1, 1, 1), shape(2, 2, 1), shape(2, 2, 1)] }
            }
            Self::Yuv422 => const { &[shape(1, 1, 1), shape(2, 1, 1), shape(2, 1, 1)] },
            Self::Yuv411 => const { &[shape(1, 1, 1), shape(4, 1, 1), shape(4, 1, 1)] },
            Self::Yuv444 => const { &[shape(1, 1, 1); 3] },
            Self::Yuva444 => const { &[shape(1, 1, 1); 4] },
            Self::P010 => const { &[shape(1, 1, 2), shape(2, 2, 4)] },
            Self::Yuv420Deep => const { &[shape(1, 1, 2), shape(2, 2, 2), shape(2, 2, 2)] },
            Self::Yuv422Deep => const { &[shape(1, 1, 2), shape(2, 1, 2), shape(2, 1, 2)] },
            Self::Yuv444Deep => const { &[shape(1, 1, 2); 3] },
        }
    }

    /// How many bytes a picture of that size has; `None` where they cannot be counted.
    pub(crate) fn picture_bytes(self, width: u32, height: u32) -> Option<usize> {
        self.planes().iter().try_fold(0_usize, |sum, shape| {
            let (row_bytes, rows) = shape.size(width, height)?;
            sum.checked_add(row_bytes.checked_mul(rows)?)
        })
    }
}
