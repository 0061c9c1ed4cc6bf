//! What decoding costs beside the libraries that do it: the same files, in the same run, on one thread.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, ensure};
use openh264::decoder::{Decoder as OpenH264, DecoderConfig, Flush};
use openh264::formats::YUVSource;
use sdvr_decode::{Coded, Decoder, Picture, Pixels};
use sdvr_frame::{FourCc, FrameFlags, FrameRate, StreamFormat};
use sdvr_source::splitter::Splitter;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::floor::thread_cpu;

const FRAMES: u32 = 100;
/// The frames of a file, and whether decoding can begin at each.
type Film = [(Vec<u8>, bool)];

/// Both take turns, so that a machine that is slow for a while is so for both.
const ROUNDS: u32 = 3;

/// Measures both, and prints a line for each format.
pub(crate) fn run() -> anyhow::Result<()> {
    println!("decoding {FRAMES} frames of 1280x720, CPU ms a frame, best of {ROUNDS} rounds");
    let h264 = frames(
        FourCc::H264,
        &[
            "-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-f", "h264",
        ],
    )?;
    compare(
        "H.264, planes",
        FourCc::H264,
        &h264,
        Pixels::Planes,
        openh264_alone,
    )?;
    let mjpeg = frames(
        FourCc::MJPG,
        &[
            "-c:v", "mjpeg", "-huffman", "default", "-q:v", "4", "-f", "mjpeg",
        ],
    )?;
    compare("MJPEG, RGB", FourCc::MJPG, &mjpeg, Pixels::Rgb, zune_alone)
}

/// The frames of a file that ffmpeg makes, and whether decoding can begin at each.
fn frames(fourcc: FourCc, codec: &[&str]) -> anyhow::Result<Vec<(Vec<u8>, bool)>> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-f", "lavfi", "-i"])
        .args([
            "testsrc2=size=1280x720:rate=25,noise=alls=12:allf=t",
            "-pix_fmt",
            "yuvj420p",
        ])
        .args(["-frames:v", &FRAMES.to_string()])
        .args(codec)
        .arg("-")
        .output()
        .context("ffmpeg is needed")?;
    ensure!(output.status.success(), "ffmpeg cannot make {fourcc}");
    let mut rest = output.stdout.as_slice();
    let splitter = Splitter::detect(rest, true, Some(fourcc)).ok().flatten();
    let mut splitter = splitter.context("ffmpeg has made something else")?;
    let mut frames = Vec::new();
    while let Some(end) = splitter.next_frame(rest, true)? {
        let is_key = end.flags.contains(FrameFlags::KEY);
        let frame = rest.get(end.payload).context("a frame is in the file")?;
        frames.push((frame.to_vec(), is_key));
        rest = rest.get(end.consumed..).unwrap_or_default();
    }
    Ok(frames)
}

fn compare(
    what: &str,
    fourcc: FourCc,
    frames: &Film,
    pixels: Pixels,
    alone: fn(&Film) -> anyhow::Result<u64>,
) -> anyhow::Result<()> {
    let (mut own_best, mut alone_best) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let start = thread_cpu();
        let own_pictures = own(fourcc, frames, pixels)?;
        own_best = own_best.min(thread_cpu().saturating_sub(start));
        let start = thread_cpu();
        let alone_pictures = alone(frames)?;
        alone_best = alone_best.min(thread_cpu().saturating_sub(start));
        ensure!(
            own_pictures == alone_pictures,
            "{own_pictures} pictures, and {alone_pictures}"
        );
    }
    let a_frame = |time: Duration| time.as_secs_f64() * 1000.0 / frames.len() as f64;
    println!(
        "  {what:14} {:6.2}, the library alone {:6.2}: {:.2} times its CPU time",
        a_frame(own_best),
        a_frame(alone_best),
        own_best.as_secs_f64() / alone_best.as_secs_f64(),
    );
    Ok(())
}

fn own(fourcc: FourCc, frames: &Film, pixels: Pixels) -> anyhow::Result<u64> {
    let mut decoder = Decoder::new(StreamFormat {
        fourcc,
        width: 1280,
        height: 720,
        rate: FrameRate::from_whole(25),
    })?;
    let mut picture = Picture::default();
    let mut pictures = 0;
    for (number, (bytes, is_key)) in (0..).zip(frames) {
        let is_key = *is_key;
        let coded = Coded {
            bytes,
            number,
            is_key,
        };
        pictures += u64::from(decoder.decode(coded, pixels, &mut picture)?);
    }
    while decoder.drain(pixels, &mut picture)? {
        pictures += 1;
    }
    Ok(pictures)
}

/// As its documentation has it: a picture is read where the decoder has it.
fn openh264_alone(frames: &Film) -> anyhow::Result<u64> {
    let config = DecoderConfig::new().flush_after_decode(Flush::Flush);
    let mut decoder = OpenH264::with_api_config(openh264::OpenH264API::from_source(), config)?;
    let mut pictures = 0;
    for (bytes, _) in frames {
        if let Some(picture) = decoder.decode(bytes)? {
            std::hint::black_box(picture.y());
            pictures += 1;
        }
    }
    Ok(pictures + decoder.flush_remaining()?.len() as u64)
}

/// Into memory that is used again.
fn zune_alone(frames: &Film) -> anyhow::Result<u64> {
    let mut out = Vec::new();
    for (bytes, _) in frames {
        let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
        let failed = |error| anyhow::anyhow!("zune-jpeg: {error:?}");
        decoder.decode_headers().map_err(failed)?;
        out.resize(decoder.output_buffer_size().unwrap_or_default(), 0);
        decoder.decode_into(&mut out).map_err(failed)?;
    }
    Ok(frames.len() as u64)
}
