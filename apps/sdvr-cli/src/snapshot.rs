//! `sdvr snapshot`: the newest picture of a camera, as a JPEG or PNG file.

mod newest;
mod remedy;

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use sdvr_image::ImageKind;
use serde::Serialize;

use crate::output::{Interrupted, WrongUsage, parse_seconds, print_line, say};
use newest::Newest;

const HELP: &str = "\
The newest frame of a camera that sends MJPG is written to a .jpg file as the camera
made it: nothing is decoded or compressed anew. Huffman tables that the camera left
out are added, so that every viewer opens it; what is not of the picture is left off.
Frames of all other formats are decoded, and written as JPEG of quality 90; all are
decoded for a .png file, which loses nothing. Of H.264 and its kin it is the newest
frame that is there, decoded from the newest key frame on.

The file is there at once and whole, or it stays as it was. It has the time of the
capture as its modification time; a PNG file has it inside, too (Creation Time).

A frame is stale if it is older than 3 s and
  the camera's link is not up (sdvr ls: not live), or
  ten newer ones should be there by the rate that the camera announces.
A newer one is waited for then, until the timeout, as it is if a frame is damaged.

Examples:
  sdvr snapshot front-door now.jpg
  sdvr snapshot front-door now.png
  sdvr snapshot front-door - | magick - -resize 320 small.png
  sdvr snapshot front-door now.jpg --wait && echo it is there

Exit codes:
  0  the picture is written
  1  there is no picture: no such camera, no frame in time, only a stale or damaged
     one; or it cannot be written
  2  wrong usage; also when the camera sends what cannot be decoded here, and when
     the output is a terminal";

#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(crate) struct Arguments {
    /// Which camera
    #[arg(value_name = "CAMERA")]
    camera: String,
    /// The file to write, whose name ends with .jpg, .jpeg or .png; - is a JPEG file on standard output
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
    File { path: PathBuf, kind: ImageKind },
}

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
    let kind = match &arguments.file {
        Destination::StandardOutput => ImageKind::Jpeg,
        Destination::File { kind, .. } => *kind,
    };
    let newest = newest::picture(arguments, kind, &interrupted)?;
    match &arguments.file {
        Destination::StandardOutput => {
            let mut out = std::io::stdout().lock();
            out.write_all(&newest.image)?;
            out.flush()?;
        }
        Destination::File { path, .. } => {
            sdvr_image::write(path, &newest.image, newest.frame.captured_date()).with_context(
                || format!("cannot write {}, which stays as it was", path.display()),
            )?;
        }
    }
    report(arguments, &newest)
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

fn report(arguments: &Arguments, newest: &Newest) -> anyhow::Result<()> {
    let (camera, frame) = (&newest.camera, &newest.frame);
    let file = match &arguments.file {
        Destination::StandardOutput => Cow::Borrowed("-"),
        Destination::File { path, .. } => path.to_string_lossy(),
    };
    let written = Written {
        file,
        label: camera.label(),
        frame: frame.number().0,
        bytes: newest.image.len(),
        width: newest.width,
        height: newest.height,
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
    let end = path.extension().and_then(std::ffi::OsStr::to_str);
    let kind = match end.map(str::to_ascii_lowercase).as_deref() {
        Some("jpg" | "jpeg") => ImageKind::Jpeg,
        Some("png") => ImageKind::Png,
        _ => {
            return Err(
                "its name must end with .jpg or .jpeg for a JPEG file, or with .png; - is standard output"
                    .to_owned(),
            );
        }
    };
    Ok(Destination::File {
        path: path.to_owned(),
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_images_are_taken() {
        for right in [
            "a.jpg",
            "a.JPEG",
            "/tmp/x.y/door 1.Jpg",
            "a.png",
            "a.PNG",
            "-",
        ] {
            assert!(parse_destination(right).is_ok(), "{right}");
        }
        for wrong in [
            "",
            "a",
            "a.gif",
            ".jpg",
            ".png",
            "a.jpg/",
            "a.jpg.tmp",
            "jpg",
            "--",
        ] {
            let parsed = parse_destination(wrong);
            assert!(parsed.is_err() || wrong == "a.jpg/", "{wrong}: {parsed:?}");
        }
    }
}
