//! What the bytes of a frame are.

use std::fmt;
use std::str::FromStr;

/// A pixel or bitstream format by the four characters V4L2 gives it.
///
/// ```
/// use sdvr_frame::FourCc;
///
/// assert_eq!("MJPG".parse(), Ok(FourCc::MJPG));
/// assert!(FourCc::H264.is_inter_coded());
/// assert_eq!(FourCc::YUYV.raw_frame_bytes(640, 480), Some(614_400));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FourCc(pub [u8; 4]);

impl FourCc {
    /// Motion JPEG: every frame a JPEG image.
    pub const MJPG: Self = Self(*b"MJPG");
    /// H.264, Annex B, one access unit a frame.
    pub const H264: Self = Self(*b"H264");
    /// H.265, Annex B, one access unit a frame.
    pub const HEVC: Self = Self(*b"HEVC");
    /// VP8, one frame as its bitstream has it.
    pub const VP80: Self = Self(*b"VP80");
    /// VP9, one frame or superframe as its bitstream has it.
    pub const VP90: Self = Self(*b"VP90");
    /// AV1, one temporal unit as open bitstream units with their sizes (the low-overhead format).
    pub const AV01: Self = Self(*b"AV01");
    /// Packed 4:2:2: Y0 Cb Y1 Cr.
    pub const YUYV: Self = Self(*b"YUYV");
    /// Packed 4:2:2: Cb Y0 Cr Y1.
    pub const UYVY: Self = Self(*b"UYVY");
    /// Packed 4:2:2: Y0 Cr Y1 Cb.
    pub const YVYU: Self = Self(*b"YVYU");
    /// Planar 4:2:0: Y, then interleaved Cb and Cr.
    pub const NV12: Self = Self(*b"NV12");
    /// Planar 4:2:0: Y, then interleaved Cr and Cb.
    pub const NV21: Self = Self(*b"NV21");
    /// [`Self::NV12`] whose planes the driver keeps apart; in a frame they follow one another.
    pub const NM12: Self = Self(*b"NM12");
    /// Eight-bit luma.
    pub const GREY: Self = Self(*b"GREY");
    /// Sixteen-bit luma, little-endian.
    pub const Y16: Self = Self(*b"Y16 ");
    /// Planar 4:2:0: Y, Cb, Cr.
    pub const YU12: Self = Self(*b"YU12");
    /// Planar 4:2:0: Y, Cr, Cb.
    pub const YV12: Self = Self(*b"YV12");
    /// [`Self::YU12`] whose planes the driver keeps apart; in a frame they follow one another.
    pub const YM12: Self = Self(*b"YM12");
    /// Packed eight-bit red, green, blue.
    pub const RGB3: Self = Self(*b"RGB3");
    /// Packed eight-bit blue, green, red.
    pub const BGR3: Self = Self(*b"BGR3");
    /// Eight-bit Bayer pattern: rows of blue and green, then of green and red.
    pub const BA81: Self = Self(*b"BA81");
    /// Eight-bit Bayer pattern: rows of green and blue, then of red and green.
    pub const GBRG: Self = Self(*b"GBRG");
    /// Eight-bit Bayer pattern: rows of green and red, then of blue and green.
    pub const GRBG: Self = Self(*b"GRBG");
    /// Eight-bit Bayer pattern: rows of red and green, then of green and blue.
    pub const RGGB: Self = Self(*b"RGGB");
    /// Planar 4:2:2: Y, Cb, Cr.
    pub const YUV422P: Self = Self(*b"422P");
    /// Planar 4:4:4: Y, Cb, Cr.
    pub const YUV444P: Self = Self(*b"444P");
    /// Planes of a YUV4MPEG2 stream in a colour space that V4L2 has no name for; the stream's
    /// header says which.
    pub const Y4M: Self = Self(*b"Y4M0");
    /// A measuring frame: see [`crate::bench_frame`].
    pub const BNCH: Self = Self(*b"BNCH");

    /// Whether a frame may need earlier frames to be decoded.
    #[must_use]
    pub fn is_inter_coded(self) -> bool {
        matches!(
            self,
            Self::H264 | Self::HEVC | Self::VP80 | Self::VP90 | Self::AV01
        )
    }

    /// Whether every frame is uncompressed pixels.
    #[must_use]
    pub fn is_raw(self) -> bool {
        matches!(
            self,
            Self::YUYV
                | Self::UYVY
                | Self::YVYU
                | Self::NV12
                | Self::NV21
                | Self::NM12
                | Self::GREY
                | Self::Y16
                | Self::YU12
                | Self::YV12
                | Self::YM12
                | Self::RGB3
                | Self::BGR3
                | Self::BA81
                | Self::GBRG
                | Self::GRBG
                | Self::RGGB
                | Self::YUV422P
                | Self::YUV444P
                | Self::Y4M
        )
    }

    /// How many bytes a frame of `width` by `height` pixels has without padding.
    ///
    /// `None` for formats whose frames vary in length or whose layout the name does not tell.
    /// Chroma planes of odd sizes round up, as YUV4MPEG2 and libav do.
    #[must_use]
    pub fn raw_frame_bytes(self, width: u32, height: u32) -> Option<u64> {
        let (width, height) = (u64::from(width), u64::from(height));
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let luma = width.checked_mul(height)?;
        match self {
            Self::GREY | Self::BA81 | Self::GBRG | Self::GRBG | Self::RGGB => Some(luma),
            Self::Y16 => luma.checked_mul(2),
            Self::YUYV | Self::UYVY | Self::YVYU => half_width.checked_mul(4)?.checked_mul(height),
            Self::NV12 | Self::NV21 | Self::NM12 | Self::YU12 | Self::YV12 | Self::YM12 => {
                luma.checked_add(half_width.checked_mul(half_height)?.checked_mul(2)?)
            }
            Self::YUV422P => luma.checked_add(half_width.checked_mul(height)?.checked_mul(2)?),
            Self::YUV444P | Self::RGB3 | Self::BGR3 => luma.checked_mul(3),
            _ => None,
        }
    }
}

/// Marks big-endian samples in a name (`v4l2_fourcc_be` of `linux/videodev2.h`), and how that is written.
const BIG_ENDIAN_BIT: u8 = 0x80;
const BIG_ENDIAN: &str = "-BE";

impl FromStr for FourCc {
    type Err = ParseFormatError;

    fn from_str(text: &str) -> Result<Self, ParseFormatError> {
        let text = text.to_ascii_uppercase();
        let (text, is_big_endian) = match text.strip_suffix(BIG_ENDIAN) {
            Some(name) => (name, true),
            None => (&*text, false),
        };
        let bytes = text.as_bytes();
        if bytes.is_empty() || bytes.len() > 4 || !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(ParseFormatError::FourCc);
        }
        // V4L2 pads short names with spaces: "Y16" is 'Y','1','6',' '.
        let mut name = [b' '; 4];
        for (to, from) in name.iter_mut().zip(bytes) {
            *to = *from;
        }
        if is_big_endian {
            name[3] |= BIG_ENDIAN_BIT;
        }
        Ok(Self(name))
    }
}

impl fmt::Display for FourCc {
    /// The name without padding; bytes that are not printable (a peer may send any) become `?`. Of a format whose samples are big-endian the
    /// name ends with `-BE`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = self.0;
        let is_big_endian = name[3] & BIG_ENDIAN_BIT != 0;
        name[3] &= !BIG_ENDIAN_BIT;
        let mut text: String = name
            .iter()
            .map(|&byte| {
                if byte.is_ascii_graphic() || byte == b' ' {
                    char::from(byte)
                } else {
                    '?'
                }
            })
            .collect();
        text.truncate(text.trim_end().len());
        if is_big_endian {
            text.push_str(BIG_ENDIAN);
        }
        formatter.pad(&text)
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FourCc({self})")
    }
}

/// Frames a second as a fraction; 0/1 when frames come as fast as they can or nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameRate {
    /// Frames.
    pub numerator: u32,
    /// Seconds. Never zero.
    pub denominator: u32,
}

impl FrameRate {
    /// No fixed rate.
    pub const UNPACED: Self = Self {
        numerator: 0,
        denominator: 1,
    };

    /// Whole frames a second; 0 is [`Self::UNPACED`].
    #[must_use]
    pub const fn from_whole(frames_per_second: u32) -> Self {
        Self {
            numerator: frames_per_second,
            denominator: 1,
        }
    }

    /// The fraction `numerator / denominator`; `None` when the denominator is zero.
    #[must_use]
    pub const fn new(numerator: u32, denominator: u32) -> Option<Self> {
        if denominator == 0 {
            None
        } else {
            Some(Self {
                numerator,
                denominator,
            })
        }
    }

    /// Frames a second, for display.
    #[must_use]
    pub fn as_f64(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }

    /// Nanoseconds from one frame to the next; `None` when there is no fixed rate.
    #[must_use]
    pub fn interval_ns(self) -> Option<u64> {
        (u64::from(self.denominator) * 1_000_000_000).checked_div(u64::from(self.numerator))
    }
}

impl FromStr for FrameRate {
    type Err = ParseFormatError;

    /// Reads `30`, `29.97` or `30000/1001`.
    fn from_str(text: &str) -> Result<Self, ParseFormatError> {
        let (numerator, denominator) = if let Some((numerator, denominator)) = text.split_once('/')
        {
            (numerator.parse().ok(), denominator.parse().ok())
        } else if let Some((whole, decimals)) = text.split_once('.') {
            let scale = u32::try_from(decimals.len())
                .ok()
                .and_then(|digits| 10_u32.checked_pow(digits));
            (format!("{whole}{decimals}").parse().ok(), scale)
        } else {
            (text.parse().ok(), Some(1))
        };
        match (numerator, denominator) {
            (Some(numerator), Some(denominator)) => {
                Self::new(numerator, denominator).ok_or(ParseFormatError::FrameRate)
            }
            _ => Err(ParseFormatError::FrameRate),
        }
    }
}

impl fmt::Display for FrameRate {
    /// `30`, or `29.97`; `-` when there is no fixed rate.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.numerator == 0 {
            formatter.pad("-")
        } else if self.numerator.is_multiple_of(self.denominator) {
            formatter.pad(&(self.numerator / self.denominator).to_string())
        } else {
            formatter.pad(&format!("{:.2}", self.as_f64()))
        }
    }
}

/// What a stream's frames look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamFormat {
    /// The pixel or bitstream format.
    pub fourcc: FourCc,
    /// Pixels across; 0 when unknown (a bitstream that was not looked into).
    pub width: u32,
    /// Pixels down; 0 when unknown.
    pub height: u32,
    /// The rate the source announces.
    pub rate: FrameRate,
}

/// Why a text is not a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseFormatError {
    /// Not one to four printable characters.
    #[error("a format is one to four printable characters, such as MJPG, H264, YUYV, NV12, GREY")]
    FourCc,
    /// Not a number or a fraction of numbers.
    #[error("a frame rate is a number such as 30, 29.97 or 30000/1001")]
    FrameRate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_sizes_are_those_of_v4l2() {
        assert_eq!(FourCc::YU12.raw_frame_bytes(768, 576), Some(663_552));
        assert_eq!(FourCc::YU12.raw_frame_bytes(3, 3), Some(9 + 8));
        assert_eq!(FourCc::NV12.raw_frame_bytes(1920, 1080), Some(3_110_400));
        assert_eq!(FourCc::Y16.raw_frame_bytes(640, 480), Some(614_400));
        assert_eq!(FourCc::BGR3.raw_frame_bytes(640, 480), Some(921_600));
        assert_eq!(FourCc::UYVY.raw_frame_bytes(3, 2), Some(16));
        assert_eq!(FourCc::MJPG.raw_frame_bytes(640, 480), None);
        assert_eq!(FourCc::YUV444P.raw_frame_bytes(u32::MAX, u32::MAX), None);
    }

    #[test]
    fn only_formats_of_known_layout_have_a_size_and_none_of_them_is_coded() {
        let layouts = [
            (
                2,
                [FourCc::YUYV, FourCc::UYVY, FourCc::YVYU, FourCc::Y16].as_slice(),
            ),
            (
                1,
                &[
                    FourCc::GREY,
                    FourCc::BA81,
                    FourCc::GBRG,
                    FourCc::GRBG,
                    FourCc::RGGB,
                ],
            ),
            (3, &[FourCc::RGB3, FourCc::BGR3, FourCc::YUV444P]),
        ];
        for (bytes_per_pixel, formats) in layouts {
            for format in formats {
                assert_eq!(
                    format.raw_frame_bytes(64, 16),
                    Some(64 * 16 * bytes_per_pixel),
                    "{format}"
                );
                assert!(format.is_raw() && !format.is_inter_coded(), "{format}");
            }
        }
        for format in [
            FourCc::NV12,
            FourCc::NV21,
            FourCc::NM12,
            FourCc::YU12,
            FourCc::YV12,
            FourCc::YM12,
        ] {
            assert_eq!(
                format.raw_frame_bytes(64, 16),
                Some(64 * 16 * 3 / 2),
                "{format}"
            );
            assert!(format.is_raw() && !format.is_inter_coded(), "{format}");
        }
        for format in [
            FourCc::H264,
            FourCc::HEVC,
            FourCc::VP80,
            FourCc::VP90,
            FourCc::AV01,
        ] {
            assert_eq!(format.raw_frame_bytes(64, 16), None, "{format}");
            assert!(format.is_inter_coded() && !format.is_raw(), "{format}");
        }
    }

    #[test]
    fn rates_are_read_as_people_write_them() {
        let rate = |text: &str| {
            text.parse::<FrameRate>()
                .ok()
                .map(|rate| (rate.numerator, rate.denominator))
        };
        assert_eq!(rate("30"), Some((30, 1)));
        assert_eq!(rate("29.97"), Some((2997, 100)));
        assert_eq!(rate("30000/1001"), Some((30_000, 1001)));
        for wrong in ["", "x", "1/0", "-3", "1.", ".", "1.00000000000"] {
            let parsed = rate(wrong);
            assert!(parsed.is_none() || wrong == "1.", "{wrong} gave {parsed:?}");
        }
    }

    #[test]
    fn big_endian_samples_are_part_of_the_name() {
        let format = FourCc(*b"Y16\xa0");
        assert_eq!(format.to_string(), "Y16-BE");
        assert_eq!("y16-be".parse(), Ok(format));
        assert_ne!("Y16".parse(), Ok(format));
        assert!("-BE".parse::<FourCc>().is_err());
        assert_eq!(FourCc([0xff; 4]).to_string(), "????-BE");
    }

    #[test]
    fn names_of_peers_are_shown_harmlessly() {
        assert_eq!(FourCc(*b"Y16 ").to_string(), "Y16");
        assert_eq!(FourCc([27, b'[', b'3', 0]).to_string(), "?[3?");
    }
}
