//! What a file says of itself, as a line of text that people can read and we read back.
//!
//! `sdvr 1; camera=front-door; fingerprint=SHA256:…; format=H264 1280x720 30/1; begins=1764534900123456789`

use sdvr_frame::{FourCc, FrameRate, StreamFormat};

use crate::sample::{About, UtcTime};

/// What the line begins with: the version of all that is said here of files.
const BEGINNING: &str = "sdvr 1";
/// Longer than any line can be.
pub(super) const MOST_BYTES: usize = 1024;

pub(super) fn write(about: &About) -> String {
    let StreamFormat {
        fourcc,
        width,
        height,
        rate,
    } = about.format;
    let fingerprint = match about.fingerprint {
        Some(fingerprint) => format!("; fingerprint={fingerprint}"),
        None => String::new(),
    };
    let (numerator, denominator) = (rate.numerator, rate.denominator);
    format!(
        "{BEGINNING}; camera={}{fingerprint}; format={} {width}x{height} {numerator}/{denominator}; begins={}",
        about.label.as_str(),
        written_format(fourcc),
        about.begins.0
    )
}

/// The name, or eight hexadecimal digits of one that does not read back.
fn written_format(fourcc: FourCc) -> String {
    let name = fourcc.to_string();
    if name.parse() == Ok(fourcc) {
        return name;
    }
    format!("{:08x}", u32::from_be_bytes(fourcc.0))
}

fn parse_format(text: &str) -> Option<FourCc> {
    text.parse().ok().or_else(|| {
        let bytes = u32::from_str_radix(text, 16).ok()?.to_be_bytes();
        (text.len() == 8).then_some(FourCc(bytes))
    })
}

/// `None` if it is no such line.
pub(super) fn parse(line: &str) -> Option<About> {
    let mut parts = line.split("; ");
    if parts.next() != Some(BEGINNING) {
        return None;
    }
    let (mut label, mut fingerprint, mut format, mut begins) = (None, None, None, None);
    for part in parts {
        match part.split_once('=')? {
            ("camera", value) => label = Some(value.parse().ok()?),
            ("fingerprint", value) => fingerprint = Some(value.parse().ok()?),
            ("format", value) => format = Some(parse_stream_format(value)?),
            ("begins", value) => begins = Some(UtcTime(value.parse().ok()?)),
            _ => {}
        }
    }
    Some(About {
        label: label?,
        fingerprint,
        format: format?,
        begins: begins?,
    })
}

fn parse_stream_format(text: &str) -> Option<StreamFormat> {
    let mut words = text.split(' ');
    let fourcc = parse_format(words.next()?)?;
    let (width, height) = words.next()?.split_once('x')?;
    let (numerator, denominator) = words.next()?.split_once('/')?;
    Some(StreamFormat {
        fourcc,
        width: width.parse().ok()?,
        height: height.parse().ok()?,
        rate: FrameRate::new(numerator.parse().ok()?, denominator.parse().ok()?)?,
    })
}

#[cfg(test)]
mod tests {
    use sdvr_frame::Fingerprint;

    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for (fourcc, fingerprint) in [
            (FourCc::H264, None),
            (FourCc::Y16, Some(Fingerprint::from_bytes([7; 32]))),
            (FourCc(*b"Y16\xa0"), None),
            (FourCc([0, 255, b';', b' ']), None),
        ] {
            let about = About {
                label: "front-door/people".parse().unwrap(),
                fingerprint,
                format: StreamFormat {
                    fourcc,
                    width: 640,
                    height: 0,
                    rate: FrameRate::new(30_000, 1001).unwrap(),
                },
                begins: UtcTime(-5),
            };
            let line = write(&about);
            assert!(line.len() <= MOST_BYTES);
            assert_eq!(parse(&line), Some(about), "{line}");
        }
        for wrong in [
            "",
            "sdvr 1",
            "sdvr 2; camera=a",
            "sdvr 1; camera=../x; begins=1",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
