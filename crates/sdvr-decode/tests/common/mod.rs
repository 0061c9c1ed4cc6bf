//! What the tests of pictures share: a chart drawn by ffmpeg, which is also whom the pixels are compared with.
#![allow(dead_code, reason = "not every test needs everything")]

use std::io::Write;
use std::process::{Command, Stdio};

use sdvr_decode::{Coded, DecodeError, Decoder, Picture, Pixels};
use sdvr_frame::{FourCc, FrameFlags, FrameRate, StreamFormat};
use sdvr_source::splitter::Splitter;

pub(crate) fn format(fourcc: FourCc, width: u32, height: u32) -> StreamFormat {
    StreamFormat {
        fourcc,
        width,
        height,
        rate: FrameRate::from_whole(25),
    }
}

pub(crate) fn coded(bytes: &[u8]) -> Coded<'_> {
    Coded {
        bytes,
        number: 7,
        is_key: true,
    }
}

/// The picture of one frame that stands alone.
pub(crate) fn picture_of(
    format: StreamFormat,
    bytes: &[u8],
    pixels: Pixels,
) -> Result<Picture, DecodeError> {
    let mut picture = Picture::default();
    let came = Decoder::new(format)?.decode(coded(bytes), pixels, &mut picture)?;
    assert!(came, "a frame that stands alone gives its picture");
    assert_eq!(picture.number(), 7);
    Ok(picture)
}

/// What ffmpeg writes, given `input`.
pub(crate) fn ffmpeg(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-threads", "1"])
        .args(arguments)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ffmpeg is there; `cargo xtask test` installs it");
    let mut stdin = child.stdin.take().expect("it is piped");
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || {
        // It may stop reading before the end.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("it runs");
    feeder.join().expect("the feeder ends with its input");
    assert!(output.status.success(), "ffmpeg {arguments:?}");
    output.stdout
}

/// A chart of colours with soft and hard edges, as pixels that ffmpeg calls `pixel_format`.
pub(crate) fn chart(width: u32, height: u32, pixel_format: &str) -> Vec<u8> {
    // Drawn large and made small, so that every size has many colours.
    let size = format!("scale={width}:{height}:flags=area,format=rgb24,format={pixel_format}");
    ffmpeg(
        &[
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=320x240:rate=1",
            "-frames:v",
            "1",
            "-vf",
            &size,
            "-f",
            "rawvideo",
            "-pix_fmt",
            pixel_format,
        ],
        &[],
    )
}

/// A stream's access units, as `sdvrc` cuts them, and whether decoding can begin at each.
pub(crate) fn units(stream: &[u8], fourcc: FourCc) -> Vec<(Vec<u8>, bool)> {
    let mut splitter = Splitter::detect(stream, true, Some(fourcc))
        .expect("it is a stream of that format")
        .expect("there is enough of it");
    let mut units = Vec::new();
    let mut rest = stream;
    while let Some(frame) = splitter.next_frame(rest, true).expect("it is whole") {
        let is_key = frame.flags.contains(FrameFlags::KEY);
        units.push((rest[frame.payload.clone()].to_vec(), is_key));
        rest = &rest[frame.consumed..];
    }
    units
}

/// Raw pixels made into others by ffmpeg: exactly, not fast.
pub(crate) fn converted(bytes: &[u8], from: &str, width: u32, height: u32, to: &str) -> Vec<u8> {
    ffmpeg(
        &[
            "-f",
            "rawvideo",
            "-pix_fmt",
            from,
            "-s",
            &format!("{width}x{height}"),
            "-i",
            "-",
            "-sws_flags",
            "accurate_rnd+full_chroma_int+neighbor",
            "-f",
            "rawvideo",
            "-pix_fmt",
            to,
        ],
        bytes,
    )
}

/// The mean and the largest difference of two runs of samples.
#[track_caller]
pub(crate) fn differences(left: &[u8], right: &[u8]) -> (f64, u8) {
    assert_eq!(left.len(), right.len());
    let all = left
        .iter()
        .zip(right)
        .map(|(left, right)| left.abs_diff(*right));
    let sum: u64 = all.clone().map(u64::from).sum();
    let count = u32::try_from(left.len()).expect("pictures of tests are small");
    #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
    let mean = sum as f64 / f64::from(count.max(1));
    (mean, all.max().unwrap_or(0))
}
