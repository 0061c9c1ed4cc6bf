//! How brightness and colour stand for red, green and blue. Which is taken where nothing is said: docs/decisions/0013-decoding.md.

/// By which weights red, green and blue make brightness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Matrix {
    /// ITU-R BT.601: standard television, webcams, JPEG.
    #[default]
    Bt601,
    /// ITU-R BT.709: high-definition television.
    Bt709,
    /// ITU-R BT.2020, non-constant luminance.
    Bt2020,
    /// SMPTE 240M: early high-definition television.
    Smpte240m,
    /// FCC 73.682: early American television.
    Fcc,
}

#[cfg(any(feature = "h264", feature = "libav"))]
impl Matrix {
    /// `matrix_coefficients` of ITU-T H.273, which all codecs and libavutil share; `None` when it says nothing or nothing known.
    pub(crate) const fn of_code(code: u32) -> Option<Self> {
        Some(match code {
            1 => Self::Bt709,
            4 => Self::Fcc,
            5 | 6 => Self::Bt601,
            7 => Self::Smpte240m,
            9 => Self::Bt2020,
            _ => return None,
        })
    }
}

/// From where to where samples go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Range {
    /// Brightness from 16 to 235, colour from 16 to 240, of 255.
    #[default]
    Limited,
    /// All values.
    Full,
}

/// How samples of brightness and colour stand for red, green and blue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Colours {
    /// By which weights.
    pub matrix: Matrix,
    /// In which range.
    pub range: Range,
}

impl Colours {
    /// Of JPEG images (JFIF, 7), and of pictures that are brightness alone.
    pub(crate) const FULL_601: Self = Self {
        matrix: Matrix::Bt601,
        range: Range::Full,
    };
    /// Of raw pictures: V4L2 takes it for all that is not said to be otherwise, and so does the USB video class.
    pub(crate) const LIMITED_601: Self = Self {
        matrix: Matrix::Bt601,
        range: Range::Limited,
    };

    /// Of coded video that says nothing: from 720 lines on that of high-definition television, as browsers and players take it.
    #[cfg(any(feature = "h264", feature = "libav"))]
    pub(crate) const fn of_unmarked_video(height: u32) -> Self {
        Self {
            matrix: if height >= 720 {
                Matrix::Bt709
            } else {
                Matrix::Bt601
            },
            range: Range::Limited,
        }
    }

    pub(crate) const fn yuv(self) -> (yuv::YuvRange, yuv::YuvStandardMatrix) {
        let range = match self.range {
            Range::Limited => yuv::YuvRange::Limited,
            Range::Full => yuv::YuvRange::Full,
        };
        let matrix = match self.matrix {
            Matrix::Bt601 => yuv::YuvStandardMatrix::Bt601,
            Matrix::Bt709 => yuv::YuvStandardMatrix::Bt709,
            Matrix::Bt2020 => yuv::YuvStandardMatrix::Bt2020,
            Matrix::Smpte240m => yuv::YuvStandardMatrix::Smpte240,
            Matrix::Fcc => yuv::YuvStandardMatrix::Fcc,
        };
        (range, matrix)
    }
}
