//! Frames as cameras send them, recordings of them, and what players say of those.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    dead_code,
    reason = "a test that cannot go on must stop, with the place; not every file uses every helper"
)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sdvr_frame::{Fingerprint, FourCc, FrameFlags, FrameRate, StreamFormat, Timestamp};
use sdvr_record::container::{Added, Ending, Muxer};
use sdvr_record::{About, Sample, UtcTime};
use sdvr_source::{CaptureOptions, Next, Source, SourceSpec};

pub(crate) const BEGINS: UtcTime = UtcTime(1_764_534_900_123_456_789);
pub(crate) const SIZE: (u32, u32) = (96, 64);
const PICTURES: &str = "-f lavfi -i testsrc=size=96x64:rate=25:duration=1.2 -pix_fmt yuv420p";

/// A frame that was captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Captured {
    pub(crate) at: UtcTime,
    pub(crate) is_key: bool,
    pub(crate) bytes: Vec<u8>,
}

/// How a stream is made, and what it is.
fn recipe(name: &str) -> (String, FourCc) {
    let encoded = |options: &str| format!("{PICTURES} {options}");
    let raw = |pixels: &str| {
        format!("-f lavfi -i testsrc=size=96x64:rate=25:duration=0.4 -pix_fmt {pixels} -f rawvideo")
    };
    let (x264, x265) = (
        "-c:v libx264 -preset veryfast -threads 1",
        "-c:v libx265 -preset ultrafast",
    );
    match name {
        "plain.h264" => (encoded(&format!("{x264} -g 10 -bf 0 -aud 1")), FourCc::H264),
        "long.h264" => (
            encoded(&format!("{x264} -g 100 -bf 0 -profile:v baseline")),
            FourCc::H264,
        ),
        "reordered.h264" => (encoded(&format!("{x264} -g 10 -bf 3")), FourCc::H264),
        "open.h264" => (
            encoded(&format!(
                "{x264} -g 10 -bf 3 -b_strategy 0 -x264-params open-gop=1"
            )),
            FourCc::H264,
        ),
        "reordered.hevc" => (
            encoded(&format!(
                "{x265} -x265-params log-level=error:bframes=4:b-adapt=0:keyint=10:pools=1:repeat-headers=1:open-gop=0"
            )),
            FourCc::HEVC,
        ),
        "plain.hevc" => (
            encoded(&format!(
                "{x265} -x265-params log-level=error:bframes=0:keyint=10:pools=1:repeat-headers=1"
            )),
            FourCc::HEVC,
        ),
        "plain.ivf" => (
            encoded("-c:v libaom-av1 -cpu-used 8 -g 10 -usage realtime"),
            FourCc::AV01,
        ),
        "vp8.ivf" => (
            encoded("-c:v libvpx -g 10 -deadline realtime"),
            FourCc::VP80,
        ),
        "vp9.ivf" => (
            encoded("-c:v libvpx-vp9 -g 10 -deadline realtime -cpu-used 8"),
            FourCc::VP90,
        ),
        "plain.mjpeg" => (encoded("-c:v mjpeg -pix_fmt yuvj420p"), FourCc::MJPG),
        "yuyv.raw" => (raw("yuyv422"), FourCc::YUYV),
        "uyvy.raw" => (raw("uyvy422"), FourCc::UYVY),
        "yvyu.raw" => (raw("yvyu422"), FourCc::YVYU),
        "nv12.raw" => (raw("nv12"), FourCc::NV12),
        "nm12.raw" => (raw("nv12"), FourCc::NM12),
        "nv21.raw" => (raw("nv21"), FourCc::NV21),
        "yu12.raw" => (raw("yuv420p"), FourCc::YU12),
        "ym12.raw" => (raw("yuv420p"), FourCc::YM12),
        "grey.raw" => (raw("gray"), FourCc::GREY),
        "y16.raw" => (raw("gray16le"), FourCc::Y16),
        "rgb3.raw" => (raw("rgb24"), FourCc::RGB3),
        "bgr3.raw" => (raw("bgr24"), FourCc::BGR3),
        "422p.raw" => (raw("yuv422p"), FourCc::YUV422P),
        "444p.raw" => (raw("yuv444p"), FourCc::YUV444P),
        "ba81.raw" => (raw("gray"), FourCc::BA81),
        "gbrg.raw" => (raw("gray"), FourCc::GBRG),
        "grbg.raw" => (raw("gray"), FourCc::GRBG),
        "rggb.raw" => (raw("gray"), FourCc::RGGB),
        _ => panic!("there is no stream {name}"),
    }
}

/// The file of a stream, made once and kept.
pub(crate) fn stream(name: &str) -> (PathBuf, FourCc) {
    let (options, fourcc) = recipe(name);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("streams");
    let path = directory.join(name);
    if !path.exists() {
        std::fs::create_dir_all(&directory).unwrap();
        // Under another name until it is whole: tests run side by side.
        let making = tempfile::tempdir_in(&directory).unwrap();
        let made = making.path().join(name);
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error"]);
        command.args(options.split_whitespace()).arg(&made);
        assert!(command.status().unwrap().success(), "{name} cannot be made");
        std::fs::rename(&made, &path).unwrap();
    }
    (path, fourcc)
}

pub(crate) fn format(fourcc: FourCc) -> StreamFormat {
    StreamFormat {
        fourcc,
        width: SIZE.0,
        height: SIZE.1,
        rate: FrameRate::from_whole(25),
    }
}

pub(crate) fn about(fourcc: FourCc) -> About {
    About {
        label: "front-door".parse().unwrap(),
        fingerprint: Some(Fingerprint::from_bytes([0x5a; 32])),
        format: format(fourcc),
        begins: BEGINS,
    }
}

/// When the frame of this number was captured: never quite as announced, and with a gap of seven seconds.
pub(crate) fn time(number: usize) -> UtcTime {
    let number = i64::try_from(number).unwrap();
    let jitter = number * number * 137_911 % 9_000_000;
    let gap = if number >= 7 { 7_000_000_000 } else { 0 };
    UtcTime(BEGINS.0 + number * 40_000_000 + jitter + gap)
}

/// Those times as files have them: whole microseconds since the first.
pub(crate) fn ticks(frames: &[Captured]) -> Vec<i64> {
    frames
        .iter()
        .map(|frame| (frame.at.0 - BEGINS.0) / 1000)
        .collect()
}

/// The frames of a stream, as `sdvrc` takes them.
pub(crate) fn frames(name: &str) -> (Vec<Captured>, FourCc) {
    let (path, fourcc) = stream(name);
    let frames = if let Some(bytes) = fourcc.raw_frame_bytes(SIZE.0, SIZE.1) {
        let content = std::fs::read(path).unwrap();
        let frames = content.chunks_exact(bytes as usize);
        frames.map(|frame| (true, frame.to_vec())).collect()
    } else {
        taken(&path)
    };
    let captured = |(number, (is_key, bytes))| Captured {
        at: time(number),
        is_key,
        bytes,
    };
    (
        frames.into_iter().enumerate().map(captured).collect(),
        fourcc,
    )
}

/// What comes out of a file: whether each is a key frame, and its bytes.
pub(crate) fn taken(path: &Path) -> Vec<(bool, Vec<u8>)> {
    let options = CaptureOptions::default();
    let mut source = Source::open(&SourceSpec::File(path.to_owned()), &options).unwrap();
    let mut now = Timestamp::from_nanoseconds(1_000_000_000);
    let mut frames = Vec::new();
    loop {
        match source.try_next(now).unwrap() {
            Next::Frame(frame) => frames.push((
                frame.flags.contains(FrameFlags::KEY),
                frame.payload.to_vec(),
            )),
            Next::Ended => return frames,
            Next::Changed => panic!("only cameras become something else"),
            Next::NotYet => match source.poll_timeout() {
                Some(due) => now = now.max(due),
                None => std::thread::yield_now(),
            },
        }
    }
}

/// A recording, by its parts.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) head: Vec<u8>,
    pub(crate) fragments: Vec<Vec<u8>>,
    /// How many frames each has.
    pub(crate) counts: Vec<usize>,
    pub(crate) ending: Ending,
    pub(crate) extension: &'static str,
}

pub(crate) fn begin(about: &About, first: &Captured) -> Muxer {
    let first = Sample {
        captured: first.at,
        is_key: first.is_key,
        bytes: &first.bytes,
    };
    Muxer::begin(about, &first).unwrap()
}

/// Fragments of so many frames.
pub(crate) fn record(about: &About, frames: &[Captured], every: usize) -> Recording {
    let mut muxer = begin(about, &frames[0]);
    let mut fragments = Vec::new();
    let mut counts = Vec::new();
    for lot in frames.chunks(every) {
        for frame in lot {
            let added = muxer.add(frame.at, frame.is_key, frame.bytes.clone());
            assert_eq!(added, Added::Taken);
        }
        let fragment = muxer.take_fragment();
        counts.push(fragment.frames() as usize);
        fragments.push(fragment.to_vec());
    }
    let rest = muxer.take_rest();
    if !rest.is_empty() {
        counts.push(rest.frames() as usize);
        fragments.push(rest.to_vec());
    }
    assert_eq!(counts.iter().sum::<usize>(), frames.len());
    assert!(muxer.take_rest().is_empty());
    Recording {
        head: muxer.head().to_vec(),
        fragments,
        counts,
        ending: muxer.ending(),
        extension: muxer.kind().extension(),
    }
}

impl Recording {
    /// As it is while it is being written.
    pub(crate) fn unfinished(&self) -> Vec<u8> {
        [self.head.clone(), self.fragments.concat()].concat()
    }

    pub(crate) fn whole(&self) -> Vec<u8> {
        let mut bytes = self.unfinished();
        bytes.extend(&self.ending.tail);
        for (offset, patch) in &self.ending.patches {
            let at = *offset as usize;
            assert!(
                at + patch.len() <= self.head.len(),
                "only the head is changed"
            );
            bytes[at..at + patch.len()].copy_from_slice(patch);
        }
        bytes
    }
}

pub(crate) struct Files(tempfile::TempDir);

impl Files {
    /// In memory: cuts are many.
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir_in("/dev/shm").unwrap())
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

pub(crate) fn open(path: &Path) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}

/// What ffprobe says of a packet: when it is decoded, in microseconds, and whether it is a key frame.
pub(crate) fn packets(path: &Path) -> Vec<(i64, bool)> {
    let packet = |line: &str| {
        let (time, flags) = line.split_once(',').unwrap();
        (micros(time), flags.starts_with('K'))
    };
    let text = probed(path, "packet=dts_time,flags");
    text.lines().map(packet).collect()
}

/// When each picture of a file is shown, in the order in which ffprobe decodes them: microseconds.
pub(crate) fn shown(path: &Path) -> Vec<i64> {
    let text = probed(path, "frame=pts_time");
    let times = text.lines().filter(|line| !line.is_empty());
    times
        .map(|line| micros(line.split(',').next().unwrap()))
        .collect()
}

/// What ffprobe says of the film in a file, a line for each of what there are several of.
fn probed(path: &Path, entries: &str) -> String {
    let arguments = [
        "-select_streams",
        "v:0",
        "-of",
        "csv=p=0",
        "-show_entries",
        entries,
    ];
    said("ffprobe", &arguments, path)
}

/// Of seconds with six digits behind the point.
fn micros(seconds: &str) -> i64 {
    let digits = seconds.replace(['-', '.'], "");
    let micros: i64 = digits.parse().unwrap();
    if seconds.starts_with('-') {
        -micros
    } else {
        micros
    }
}

/// What a program says of a file to which it finds no fault.
pub(crate) fn said(program: &str, arguments: &[&str], path: &Path) -> String {
    let output = Command::new(program)
        .args(["-v", "error"])
        .args(arguments)
        .arg(path)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && errors.is_empty(),
        "{program} {}: {errors}",
        path.display()
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Decodes all of a file, to which ffmpeg must find no fault. (Before version 6 it rounds times to what it thinks the rate is, and complains
/// that some are equal, if it is not told to leave them as they are.)
pub(crate) fn decode(path: &Path) {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-xerror", "-i"])
        .arg(path)
        .args([
            "-map",
            "0:v",
            "-fps_mode",
            "passthrough",
            "-enc_time_base",
            "-1",
            "-f",
            "null",
            "-",
        ])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && errors.is_empty(),
        "{}: {errors}",
        path.display()
    );
}

/// A hash of every picture that ffmpeg decodes out of a file, which is told to it by `input`.
pub(crate) fn pictures(input: &[&str], path: &Path) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error"])
        .args(input)
        .arg("-i")
        .arg(path)
        .args([
            "-map",
            "0:v",
            "-fps_mode",
            "passthrough",
            "-pix_fmt",
            "rgb24",
        ])
        .args(["-f", "framemd5", "-"])
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}
