//! Which of a device's formats is taken.
//!
//! Without `-f`, compressed formats come before raw ones, for the network's sake, and of the compressed ones Motion JPEG first: each of its
//! frames is a whole picture, so that a lost one costs only itself, `-x` works, a program can begin at any frame, and a snapshot needs no
//! decoder. It costs several times the bytes of H.264, which `-f H264` chooses where the camera has it. Without `-s`, the largest size is
//! taken that comes 25 times a second or more (or as often as `-r` says); where none does, the fastest one.

use std::cmp::Ordering;

use sdvr_frame::{FourCc, FrameRate};

use super::formats::{FormatInfo, SizeInfo};

/// From here on a picture moves. NTSC's 24.975 counts as 25.
const SMOOTH_RATE: f64 = 24.9;
/// What is aimed at when a camera offers more.
const USUAL_RATE: f64 = 30.0;
/// Sizes that are tried of a range of sizes.
const USUAL_SIZES: [(u32, u32); 9] = [
    (3840, 2160),
    (2560, 1440),
    (1920, 1080),
    (1600, 1200),
    (1280, 960),
    (1280, 720),
    (800, 600),
    (640, 480),
    (320, 240),
];
/// Formats in the order in which they are taken; others follow as the driver lists them.
const ORDER: [FourCc; 9] = [
    FourCc::MJPG,
    JPEG,
    FourCc::H264,
    FourCc::HEVC,
    FourCc::NV12,
    FourCc::YU12,
    FourCc::YUYV,
    FourCc(*b"UYVY"),
    FourCc::GREY,
];
/// JPEG images with tables and comments of their own: the same bytes as Motion JPEG.
pub(crate) const JPEG: FourCc = FourCc(*b"JPEG");

/// What the user wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `-f`
    pub(crate) fourcc: Option<FourCc>,
    /// `-s`
    pub(crate) size: Option<(u32, u32)>,
    /// `-r`
    pub(crate) rate: Option<FrameRate>,
}

/// What the driver is to be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) fourcc: FourCc,
    /// `None`: whatever it is set to, for it does not list any.
    pub(crate) size: Option<(u32, u32)>,
    pub(crate) rate: Option<FrameRate>,
}

/// What was asked for is not among what there is. The text lists that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    /// The device has other formats.
    #[error("it has no format {wanted}; it has {}", .has.join(", "))]
    Format {
        /// As asked for.
        wanted: FourCc,
        /// Those there are.
        has: Vec<String>,
    },
    /// The format has other sizes.
    #[error("it has no {0}x{1}; it has {2}", .wanted.0, .wanted.1, .has.join(", "))]
    Size {
        /// As asked for.
        wanted: (u32, u32),
        /// Those there are.
        has: Vec<String>,
    },
    /// It lists nothing.
    #[error("it has no format at all")]
    Nothing,
}

/// Chooses from what there is.
pub(crate) fn choose(formats: &[FormatInfo], asked: &Asked) -> Result<Choice, ChoiceError> {
    if formats.is_empty() {
        return Err(ChoiceError::Nothing);
    }
    let mut candidates: Vec<&FormatInfo> = match asked.fourcc {
        None => formats.iter().collect(),
        Some(wanted) => formats
            .iter()
            .filter(|format| is_same(format.fourcc, wanted))
            .collect(),
    };
    if let (Some(wanted), true) = (asked.fourcc, candidates.is_empty()) {
        let has = formats.iter().map(|format| format.fourcc.to_string());
        return Err(ChoiceError::Format {
            wanted,
            has: has.collect(),
        });
    }
    candidates.sort_by_key(|format| place(format));
    let choices = candidates.iter().filter_map(|format| {
        let (size, info) = size_of(format, asked)?;
        let rate = match asked.rate {
            Some(rate) => Some(rate),
            None => info.and_then(usual_rate),
        };
        Some(Choice {
            fourcc: format.fourcc,
            size,
            rate,
        })
    });
    let mut choices = choices;
    match (choices.next(), asked.size) {
        (Some(choice), _) => Ok(choice),
        (None, Some(wanted)) => Err(ChoiceError::Size {
            wanted,
            has: sizes(&candidates),
        }),
        (None, None) => Err(ChoiceError::Nothing),
    }
}

/// Whether a format is the one that the user means: names of the same bytes, and of the same planes apart or together, are one.
fn is_same(own: FourCc, wanted: FourCc) -> bool {
    own == wanted || super::planes::stream_fourcc(own) == super::planes::stream_fourcc(wanted)
}

fn place(format: &FormatInfo) -> (bool, usize) {
    let fourcc = super::planes::stream_fourcc(format.fourcc);
    let known = ORDER.iter().position(|known| *known == fourcc);
    // Of unknown compressed formats it is not known how to find their key frames.
    let is_raw = !format.is_compressed || known.is_none();
    (is_raw, known.unwrap_or(ORDER.len()))
}

/// A size, and what the driver says of it.
type SizeChoice<'a> = (Option<(u32, u32)>, Option<&'a SizeInfo>);

/// The size to ask for, and what the driver says of it; `None` when the format does not have the one that is wanted.
fn size_of<'a>(format: &'a FormatInfo, asked: &Asked) -> Option<SizeChoice<'a>> {
    if format.sizes.is_empty() {
        return Some((asked.size, None));
    }
    if let Some(wanted) = asked.size {
        let info = format.sizes.iter().find(|size| size.has(wanted))?;
        return Some((Some(wanted), Some(info)));
    }
    let least_rate = asked.rate.map_or(SMOOTH_RATE, |rate| rate.as_f64() - 0.1);
    let best = format
        .sizes
        .iter()
        .max_by(|a, b| compare(a, b, least_rate))?;
    Some((Some(largest_usual(best)), Some(best)))
}

/// Sizes that are fast enough by area, others by rate; those whose rate is not known in between.
fn compare(a: &SizeInfo, b: &SizeInfo, least_rate: f64) -> Ordering {
    let area = |size: &SizeInfo| u64::from(size.most.0) * u64::from(size.most.1);
    let fastest = |size: &SizeInfo| size.fastest().map(FrameRate::as_f64);
    let class = |size: &SizeInfo| match fastest(size) {
        Some(rate) if rate >= least_rate => 2,
        None => 1,
        Some(_) => 0,
    };
    let by_rate = if class(a) == 0 {
        fastest(a)
            .unwrap_or(0.0)
            .total_cmp(&fastest(b).unwrap_or(0.0))
    } else {
        Ordering::Equal
    };
    class(a)
        .cmp(&class(b))
        .then(by_rate)
        .then(area(a).cmp(&area(b)))
}

/// Of a range of sizes, one that monitors and programs have; not the largest, which may be a sensor's raw one.
fn largest_usual(size: &SizeInfo) -> (u32, u32) {
    if size.least == size.most {
        return size.most;
    }
    let usual = USUAL_SIZES.iter().find(|usual| size.has(**usual));
    usual.copied().unwrap_or(size.most)
}

/// The rate nearest to 30 that is smooth; else the fastest.
fn usual_rate(size: &SizeInfo) -> Option<FrameRate> {
    let fastest = size.fastest()?;
    if size.any_rate && fastest.as_f64() > USUAL_RATE {
        return Some(FrameRate::from_whole(30));
    }
    let distance = |rate: &FrameRate| (rate.as_f64() - USUAL_RATE).abs();
    let smooth = size
        .rates
        .iter()
        .filter(|rate| rate.as_f64() >= SMOOTH_RATE);
    smooth
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))
        .copied()
        .or(Some(fastest))
}

/// The sizes of all of these formats, each once, from small to large.
fn sizes(formats: &[&FormatInfo]) -> Vec<String> {
    let mut sizes: Vec<&SizeInfo> = formats.iter().flat_map(|format| &format.sizes).collect();
    let area = |size: &SizeInfo| u64::from(size.most.0) * u64::from(size.most.1);
    sizes.sort_by_key(|size| (area(size), size.most, size.least));
    let mut texts: Vec<String> = sizes.iter().map(ToString::to_string).collect();
    texts.dedup();
    texts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u32, height: u32, rates: &[u32]) -> SizeInfo {
        SizeInfo {
            least: (width, height),
            most: (width, height),
            step: (0, 0),
            rates: rates
                .iter()
                .map(|rate| FrameRate::from_whole(*rate))
                .collect(),
            any_rate: false,
        }
    }

    fn format(fourcc: &[u8; 4], is_compressed: bool, sizes: Vec<SizeInfo>) -> FormatInfo {
        FormatInfo {
            fourcc: FourCc(*fourcc),
            description: String::new(),
            is_compressed,
            sizes,
        }
    }

    /// A webcam as they are: raw pictures are slow when they are large.
    fn webcam() -> Vec<FormatInfo> {
        let raw = vec![size(640, 480, &[30]), size(1920, 1080, &[5])];
        let sizes = vec![
            size(640, 480, &[30, 60, 120]),
            size(1920, 1080, &[5, 15, 25, 30, 60]),
            size(2592, 1944, &[15]),
        ];
        vec![
            format(b"YUYV", false, raw),
            format(b"H264", true, sizes.clone()),
            format(b"MJPG", true, sizes),
        ]
    }

    fn chosen(formats: &[FormatInfo], asked: Asked) -> (String, Option<(u32, u32)>, String) {
        let choice = choose(formats, &asked).unwrap();
        let rate = choice
            .rate
            .map_or_else(String::new, |rate| rate.to_string());
        (choice.fourcc.to_string(), choice.size, rate)
    }

    fn of(fourcc: &str, size: (u32, u32), rate: &str) -> (String, Option<(u32, u32)>, String) {
        (fourcc.to_owned(), Some(size), rate.to_owned())
    }

    #[test]
    fn nothing_asked_is_the_largest_smooth_compressed_picture() {
        let asked = Asked::default();
        assert_eq!(chosen(&webcam(), asked), of("MJPG", (1920, 1080), "30"));
        let raw = &webcam()[..1];
        assert_eq!(chosen(raw, asked), of("YUYV", (640, 480), "30"));
        let without_jpeg = &webcam()[..2];
        assert_eq!(chosen(without_jpeg, asked), of("H264", (1920, 1080), "30"));
    }

    #[test]
    fn where_nothing_is_smooth_the_fastest_is_taken() {
        let slow = [
            size(1920, 1080, &[5]),
            size(640, 480, &[15]),
            size(800, 600, &[15]),
        ];
        let formats = [format(b"YUYV", false, slow.to_vec())];
        assert_eq!(
            chosen(&formats, Asked::default()),
            of("YUYV", (800, 600), "15")
        );
    }

    #[test]
    fn what_is_asked_for_is_asked_of_the_driver() {
        let asked = Asked {
            fourcc: Some(FourCc::YUYV),
            size: Some((1920, 1080)),
            rate: None,
        };
        assert_eq!(chosen(&webcam(), asked), of("YUYV", (1920, 1080), "5"));
        let asked = Asked {
            rate: Some(FrameRate::from_whole(120)),
            ..Asked::default()
        };
        assert_eq!(chosen(&webcam(), asked), of("MJPG", (640, 480), "120"));
        let asked = Asked {
            rate: Some(FrameRate::from_whole(10)),
            ..Asked::default()
        };
        assert_eq!(chosen(&webcam(), asked), of("MJPG", (2592, 1944), "10"));
    }

    #[test]
    fn what_is_not_there_is_answered_with_what_is() {
        let asked = |fourcc, size| Asked {
            fourcc,
            size,
            rate: None,
        };
        let error = choose(&webcam(), &asked(Some(FourCc::NV12), None)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it has no format NV12; it has YUYV, H264, MJPG"
        );
        let error = choose(&webcam(), &asked(None, Some((7, 7)))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "it has no 7x7; it has 640x480, 1920x1080, 2592x1944"
        );
        assert_eq!(choose(&[], &Asked::default()), Err(ChoiceError::Nothing));
    }

    #[test]
    fn a_range_of_sizes_gives_a_usual_one() {
        let range = SizeInfo {
            least: (32, 32),
            most: (2592, 1944),
            step: (2, 2),
            rates: vec![FrameRate::from_whole(1), FrameRate::from_whole(90)],
            any_rate: true,
        };
        let formats = [format(b"MJPG", true, vec![range])];
        assert_eq!(
            chosen(&formats, Asked::default()),
            of("MJPG", (2560, 1440), "30")
        );
    }

    #[test]
    fn a_driver_that_lists_no_sizes_is_taken_as_it_is() {
        let formats = [format(b"NM12", false, Vec::new())];
        let asked = Asked {
            fourcc: Some(FourCc::NV12),
            ..Asked::default()
        };
        let choice = choose(&formats, &asked).unwrap();
        assert_eq!((choice.fourcc, choice.size), (FourCc(*b"NM12"), None));
    }
}
