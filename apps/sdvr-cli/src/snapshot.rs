//! `sdvr snapshot`: the newest picture of a camera, as a JPEG file.

mod picture_file;
mod remedy;

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use sdvr::{Camera, Error, FourCc, Frame, Policy, Start, StreamFormat, StreamState, Timestamp};
use serde::Serialize;

use crate::output::{Interrupted, WrongUsage, parse_seconds, print_line, say};

const HELP: &str = "\
The newest frame is written as the camera made it: nothing is decoded or
compressed anew. Huffman tables that the camera left out are added, so that every
viewer opens it; what is not of the picture is left off. Only cameras that send
MJPG can be written so; for others it is said which program makes the picture.

The file is there at once and whole, or it stays as it was. It has the time of the
capture as its modification time.

A frame is stale if it is older than 3 s and
  the camera's link is not up (sdvr ls: not live), or
  ten newer ones should be there by the rate that the camera announces.
A newer one is waited for then, until the timeout, as it is if a frame is damaged.

Examples:
  sdvr snapshot front-door now.jpg
  sdvr snapshot front-door - | magick - -resize 320 small.png
  sdvr snapshot front-door now.jpg --wait && echo it is there

Exit codes:
  0  the picture is written
  1  there is no picture: no such camera, no frame in time, only a stale or damaged
     one; or it cannot be written
  2  wrong usage; also when the camera does not send JPEG images, and when the
     output is a terminal";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// Which camera
    #[arg(value_name = "CAMERA")]
    camera: String,
    /// The file to write, whose name ends with .jpg or .jpeg; - is standard output
    #[arg(value_name = "FILE", value_parser = parse_destination)]
    file: Destination,
    /// Wait for the camera if it is not there yet
    #[arg(long)]
    wait: bool,
    /// Give up after so many seconds without a frame [default: 5; with --wait: never]
    #[arg(long, value_name = "S", value_parser = parse_seconds)]
    timeout: Option<f64>,
    /// Take the newest frame however old it is
    #[arg(long)]
    stale_ok: bool,
    /// Print an object: file, size, age, label, capture date
    #[arg(long)]
    json: bool,
    /// Say on standard error what was written
    #[arg(short, long)]
    verbose: bool,
}

/// Where the picture goes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Destination {
    StandardOutput,
    File(PathBuf),
}

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// How often it is looked whether the user wants to go.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// A frame of a camera whose link is not up is stale when it is older. The link may be silent for as long before that is noticed.
const STALE: Duration = Duration::from_secs(3);
/// A live camera's frame is stale when so many more should be there: dark rooms make webcams several times slower than they announce.
const STALE_INTERVALS: u64 = 10;

/// What was written. The names are a promise.
#[derive(Debug, Serialize)]
struct Written<'a> {
    file: Cow<'a, str>,
    label: &'a str,
    frame: u64,
    bytes: usize,
    width: u32,
    height: u32,
    captured: String,
    captured_ns: i64,
    age_us: u64,
    state: String,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.file == Destination::StandardOutput {
        check_standard_output(arguments)?;
    }
    let interrupted = Interrupted::listen()?;
    let (camera, frame) = newest_frame(arguments, &interrupted)?;
    // It was looked at before it was taken.
    let image = sdvr::jpeg::with_huffman_tables(frame.bytes())?;
    match &arguments.file {
        Destination::StandardOutput => {
            let mut out = std::io::stdout().lock();
            out.write_all(&image)?;
            out.flush()?;
        }
        Destination::File(path) => picture_file::write(path, &image, frame.captured_date())?,
    }
    report(arguments, &camera, &frame, image.len())
}

fn check_standard_output(arguments: &Arguments) -> Result<(), WrongUsage> {
    let camera = &arguments.camera;
    if arguments.json {
        return Err(WrongUsage(
            "the picture is on standard output, and --json would be, too; name a file, or use -v"
                .to_owned(),
        ));
    }
    if std::io::stdout().is_terminal() {
        return Err(WrongUsage(format!(
            "the picture would go to the terminal; name a file, or pipe it into a program: sdvr snapshot {camera} - | magick - out.png"
        )));
    }
    Ok(())
}

/// The camera and its newest frame that is good enough.
fn newest_frame(
    arguments: &Arguments,
    interrupted: &Interrupted,
) -> anyhow::Result<(Camera, Frame)> {
    let timeout = match arguments.timeout {
        Some(seconds) => Some(Duration::from_secs_f64(seconds)),
        None if arguments.wait => None,
        None => Some(TIMEOUT_DEFAULT),
    };
    let deadline = timeout.map_or(Timestamp::NEVER, |timeout| Timestamp::now() + timeout);
    // A frame that is there already is the newest until another comes.
    let mut camera = match Camera::open_at(&arguments.camera, Start::Oldest) {
        Err(Error::NotFound { .. }) if arguments.wait => Camera::wait_for(&arguments.camera),
        camera => camera?,
    };
    let mut refused = None;
    while !interrupted.is_set() {
        if let Some(info) = camera.info() {
            check_format(&arguments.camera, &info.format)?;
        }
        let rest = deadline.saturating_since(Timestamp::now());
        match camera.next(Policy::Latest, rest.min(LOOK_INTERVAL)) {
            Ok(Some(frame)) => match refusal(arguments, &camera, &frame) {
                None => return Ok((camera, frame)),
                why => refused = why,
            },
            Ok(None) if rest.is_zero() => return Err(no_frame(&camera, timeout, refused)),
            // One that has ended may come back until the time is up.
            Ok(None) | Err(Error::Ended) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bail!("interrupted before there was a picture")
}

/// Why a frame is not taken, for people; `None` when it is.
fn refusal(arguments: &Arguments, camera: &Camera, frame: &Frame) -> Option<String> {
    if let Err(error) = sdvr::jpeg::with_huffman_tables(frame.bytes()) {
        return Some(format!("frame {} is damaged: {error}", frame.number()));
    }
    let limit = stale_after(camera.state(), frame.format())?;
    let age = frame.age();
    (age > limit && !arguments.stale_ok).then(|| {
        format!(
            "its newest frame is {:.0} s old; --stale-ok takes it",
            age.as_secs_f64()
        )
    })
}

/// From which age on a frame is stale; `None`: never.
fn stale_after(state: StreamState, format: StreamFormat) -> Option<Duration> {
    if state != StreamState::Live {
        return Some(STALE);
    }
    let interval_ns = format.rate.interval_ns()?;
    let intervals = Duration::from_nanos(interval_ns.saturating_mul(STALE_INTERVALS));
    Some(intervals.max(STALE))
}

fn no_frame(camera: &Camera, timeout: Option<Duration>, refused: Option<String>) -> anyhow::Error {
    let (label, state) = (camera.label(), camera.state());
    let seconds = timeout.unwrap_or_default().as_secs_f64();
    match refused {
        None => anyhow::anyhow!("no frame of {label} came in {seconds} s; the camera is {state}"),
        Some(why) => anyhow::anyhow!(
            "no good frame of {label} came in {seconds} s; the camera is {state}, and {why}"
        ),
    }
}

fn check_format(camera: &str, format: &StreamFormat) -> Result<(), WrongUsage> {
    // V4L2 has two names for JPEG images.
    if [FourCc::MJPG, FourCc(*b"JPEG")].contains(&format.fourcc) {
        return Ok(());
    }
    Err(WrongUsage(remedy::for_format(camera, format)))
}

fn report(
    arguments: &Arguments,
    camera: &Camera,
    frame: &Frame,
    bytes: usize,
) -> anyhow::Result<()> {
    let file = match &arguments.file {
        Destination::StandardOutput => Cow::Borrowed("-"),
        Destination::File(path) => path.to_string_lossy(),
    };
    let written = Written {
        file,
        label: camera.label(),
        frame: frame.number().0,
        bytes,
        width: frame.format().width,
        height: frame.format().height,
        captured: humantime::format_rfc3339_millis(frame.captured_date()).to_string(),
        captured_ns: frame.captured().as_nanoseconds(),
        age_us: u64::try_from(frame.age().as_micros()).unwrap_or(u64::MAX),
        state: camera.state().to_string(),
    };
    if arguments.verbose {
        say(format_args!(
            "sdvr: {}: frame {} of {}, {} bytes, captured {}, {:.1} s ago; the camera is {}",
            written.file,
            written.frame,
            written.label,
            written.bytes,
            written.captured,
            frame.age().as_secs_f64(),
            written.state
        ));
    }
    if arguments.json {
        print_line(serde_json::to_string(&written)?)?;
    }
    Ok(())
}

fn parse_destination(text: &str) -> Result<Destination, String> {
    if text == "-" {
        return Ok(Destination::StandardOutput);
    }
    let path = Path::new(text);
    let is_jpeg = path
        .extension()
        .and_then(std::ffi::OsStr::to_str)
        .is_some_and(|end| ["jpg", "jpeg"].contains(&end.to_ascii_lowercase().as_str()));
    if is_jpeg {
        Ok(Destination::File(path.to_owned()))
    } else {
        Err(
            "it will be a JPEG file, so its name must end with .jpg or .jpeg; - is standard output"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use sdvr::FrameRate;

    use super::*;

    #[test]
    fn only_names_of_jpeg_files_are_taken() {
        for right in ["a.jpg", "a.JPEG", "/tmp/x.y/door 1.Jpg", "-"] {
            assert!(parse_destination(right).is_ok(), "{right}");
        }
        for wrong in ["", "a", "a.png", ".jpg", "a.jpg/", "a.jpg.tmp", "jpg", "--"] {
            let parsed = parse_destination(wrong);
            assert!(parsed.is_err() || wrong == "a.jpg/", "{wrong}: {parsed:?}");
        }
    }

    #[test]
    fn a_slow_camera_s_frame_is_not_stale_before_its_time() {
        let check = |state, rate, limit: Option<u64>| {
            let format = StreamFormat {
                fourcc: FourCc::MJPG,
                width: 640,
                height: 480,
                rate,
            };
            assert_eq!(
                stale_after(state, format),
                limit.map(Duration::from_secs),
                "{state} {rate}"
            );
        };
        let hourly = FrameRate::new(1, 3600).expect("the denominator is not 0");
        check(StreamState::Live, FrameRate::from_whole(30), Some(3));
        check(StreamState::Live, FrameRate::from_whole(1), Some(10));
        check(StreamState::Live, hourly, Some(36_000));
        check(StreamState::Live, FrameRate::UNPACED, None);
        for state in [StreamState::Stale, StreamState::Lost, StreamState::Closed] {
            check(state, hourly, Some(3));
        }
    }
}
