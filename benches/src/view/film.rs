//! The test pattern as an H.264 film: what a camera with an encoder of its own sends, filled up to the bits that one takes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use sdvr_frame::Timestamp;
use sdvr_source::{CaptureOptions, Next, Source};

/// Frames a second.
pub(super) const RATE: u32 = 30;
/// Bits a second: the pattern alone would take a twentieth of that.
const BITRATE: &str = "4M";

/// Writes `seconds` of the pattern in this size to `film`, with a key frame every two seconds and no B-frames, as cameras encode.
pub(super) fn write(film: &Path, (width, height): (u32, u32), seconds: u32) -> anyhow::Result<()> {
    let frames = seconds * RATE;
    let spec = format!("test:?format=NV12&size={width}x{height}&fps=0&count={frames}");
    let mut source = Source::open(&spec.parse()?, &CaptureOptions::default())?;
    let mut encoder = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "rawvideo", "-pix_fmt", "nv12", "-s"])
        .arg(format!("{width}x{height}"))
        .args(["-r", &RATE.to_string(), "-i", "-"])
        .args(["-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g"])
        .args([
            &(2 * RATE).to_string(),
            "-b:v",
            BITRATE,
            "-maxrate",
            BITRATE,
        ])
        .args(["-bufsize", "1M", "-x264-params", "nal-hrd=cbr"])
        .args(["-pix_fmt", "yuv420p", "-f", "h264"])
        .arg(film)
        .stdin(Stdio::piped())
        .spawn()
        .context("ffmpeg makes the film")?;
    let mut input = encoder.stdin.take().context("its input is piped")?;
    loop {
        match source.try_next(Timestamp::now())? {
            Next::Frame(frame) => input.write_all(frame.payload)?,
            Next::Ended => break,
            Next::NotYet | Next::Changed => bail!("the pattern has frames at any time"),
        }
    }
    drop(input);
    ensure!(encoder.wait()?.success(), "ffmpeg has made no film");
    Ok(())
}
