//! What a stretch of output is, for whoever reads it.

use std::fmt;

use sdvr::{FourCc, FrameRate, Layout};

/// What all frames of a stretch of output are. Whoever reads it cannot know of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How their bytes lie.
    pub form: Form,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// The rate the source announces.
    pub rate: FrameRate,
}

/// How the bytes of a frame lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// As the camera sent them.
    Raw(FourCc),
    /// Under the stream header of a YUV4MPEG2 source, with what each frame says of itself.
    Y4mAsItCame {
        /// The source's header line.
        header: Vec<u8>,
        /// What the planes are.
        fourcc: FourCc,
    },
    /// Planes of a colour space, by its name in the stream header.
    Y4m {
        /// As the header has it.
        colours: String,
    },
    /// Planes of brightness and colour without a header, of pictures whose pixels lay so; or pixels as they lie.
    Planes(Layout),
    /// Three bytes a pixel.
    Rgb,
}

impl Shape {
    /// Whether frames of `other` can follow in the same stretch of output. The rate may be another: nobody reads it out of the bytes.
    pub fn fits(&self, other: &Self) -> bool {
        self.form == other.form && (self.width, self.height) == (other.width, other.height)
    }

    /// Whether the frames are written as the camera sent them, and whoever reads them sees from their bytes what they are.
    pub const fn is_raw(&self) -> bool {
        matches!(self.form, Form::Raw(_))
    }

    /// What ffmpeg and ffplay are told before `-i -`.
    pub fn ffmpeg_input(&self) -> String {
        let (width, height) = (self.width, self.height);
        let rate = match self.rate.numerator {
            0 => String::new(),
            numerator => format!(" -r {}", fraction(numerator, self.rate.denominator)),
        };
        let raw = |pixels: &str| format!("-f rawvideo -pix_fmt {pixels} -s {width}x{height}{rate}");
        match &self.form {
            Form::Rgb => raw("rgb24"),
            Form::Planes(layout) => format!("-f … ({layout:?}, {width}x{height})"),
            Form::Y4m { .. } | Form::Y4mAsItCame { .. } => "-f yuv4mpegpipe".to_owned(),
            Form::Raw(fourcc) => match &fourcc.0 {
                b"MJPG" | b"JPEG" => format!("-f mjpeg{rate}"),
                b"H264" => format!("-f h264{rate}"),
                b"HEVC" => format!("-f hevc{rate}"),
                b"YUYV" => raw("yuyv422"),
                b"UYVY" => raw("uyvy422"),
                b"NV12" | b"NM12" => raw("nv12"),
                b"NV21" => raw("nv21"),
                b"YU12" | b"YM12" => raw("yuv420p"),
                b"422P" => raw("yuv422p"),
                b"444P" => raw("yuv444p"),
                b"GREY" => raw("gray"),
                b"Y16 " => raw("gray16le"),
                b"RGB3" => raw("rgb24"),
                b"BGR3" => raw("bgr24"),
                _ => format!("-f … ({fourcc}, {width}x{height})"),
            },
        }
    }
}

/// `30`, or `30000/1001`.
pub fn fraction(numerator: u32, denominator: u32) -> String {
    if denominator == 1 {
        numerator.to_string()
    } else {
        format!("{numerator}/{denominator}")
    }
}

impl fmt::Display for Form {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raw(fourcc) => write!(formatter, "{fourcc}"),
            Self::Y4mAsItCame { .. } | Self::Y4m { .. } => formatter.write_str("y4m"),
            Self::Planes(layout) => write!(formatter, "{layout:?}"),
            Self::Rgb => formatter.write_str("rgb24"),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = (self.width, self.height);
        match &self.form {
            Form::Y4m { colours } => write!(formatter, "y4m {colours} {width}x{height}"),
            form => write!(formatter, "{form} {width}x{height}"),
        }
    }
}
