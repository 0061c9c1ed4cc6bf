//! Files with tracks and times: what ffmpeg finds in them is what is handed out, at their own times.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::io::Write;
use std::path::Path;

use sdvr_frame::{FourCc, FrameFlags, FrameRate};
use sdvr_source::{CaptureOptions, Next, Source};
use support::clips::{clip, packet_bytes, packets, pictures};
use support::sources::*;

/// Seconds since the first frame.
fn times(frames: &[Taken]) -> Vec<f64> {
    let first = frames.first().map_or_else(|| at(0), |frame| frame.captured);
    frames
        .iter()
        .map(|frame| frame.captured.nanoseconds_since(first) as f64 / 1e9)
        .collect()
}

/// Those of decoding, as the packets tell: they say it, or it is when they are shown, in order.
fn decoding_times(name: &str) -> Vec<f64> {
    // What does not follow from the order: an encoder decides how much earlier decoding begins.
    let clip = clip(if name == "gaps.mkv" { "gaps.mp4" } else { name });
    let packets = packets(&clip);
    let is_matroska = clip
        .extension()
        .is_some_and(|name| name == "mkv" || name == "webm");
    let mut times: Vec<f64> = packets
        .iter()
        .map(|packet| match packet.decoded {
            Some(time) if !is_matroska => time,
            _ => packet.shown,
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.iter().map(|time| time - times[0]).collect()
}

fn assert_times(found: &[f64], expected: &[f64], name: &str) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        // As far as a program that prints microseconds rounds them.
        let apart = (found - expected).abs();
        assert!(
            apart < 0.000_002,
            "{name}, frame {index}: {found} for {expected}"
        );
    }
}

/// A file that ffmpeg can decode, out of frames.
fn written(files: &Files, fourcc: FourCc, frames: &[Taken]) -> std::path::PathBuf {
    let bytes = payloads(frames).concat();
    match fourcc {
        FourCc::H264 => files.write("out.h264", &bytes),
        FourCc::HEVC => files.write("out.hevc", &bytes),
        FourCc::AV01 => files.write("out.obu", &bytes),
        FourCc::MJPG => files.write("out.mjpeg", &bytes),
        _ => {
            let mut ivf = [b"DKIF\0\0\x20\0", fourcc.0.as_slice(), &[96, 0, 64, 0]].concat();
            for word in [25_u32, 1, frames.len() as u32, 0] {
                ivf.extend(word.to_le_bytes());
            }
            for frame in frames {
                ivf.extend((frame.payload.len() as u32).to_le_bytes());
                ivf.extend(frame.number.to_le_bytes());
                ivf.extend(&frame.payload);
            }
            files.write("out.ivf", &ivf)
        }
    }
}

fn all_frames(path: &Path, options: &CaptureOptions) -> (Vec<Taken>, Source) {
    let mut source = open(path, options).unwrap();
    let frames = take_all(&mut source);
    (frames, source)
}

fn comes_out_as_ffmpeg_finds_it(name: &str, fourcc: FourCc) {
    let clip = clip(name);
    let (frames, source) = all_frames(&clip, &CaptureOptions::default());
    let description = source.description().unwrap();
    let format = description.format;
    assert_eq!(
        (format.fourcc, format.width, format.height),
        (fourcc, 96, 64),
        "{name}"
    );
    assert_eq!(description.first_frame_bytes, frames[0].payload.len());
    assert!(!source.is_live(), "{name} is never dropped from");
    assert_eq!(
        numbers(&frames),
        (0..frames.len() as u64).collect::<Vec<_>>()
    );
    assert_times(&times(&frames), &decoding_times(name), name);
    let keys = |frame: &Taken| frame.flags.contains(FrameFlags::KEY);
    let found: Vec<bool> = frames.iter().map(keys).collect();
    // ffmpeg 5 marks no packet of IVF as a key frame but the first, unless it looks into it.
    if !name.ends_with(".ivf") {
        let expected: Vec<bool> = packets(&clip).iter().map(|packet| packet.is_key).collect();
        assert_eq!(found, expected, "{name}");
    }
    assert!(
        found.iter().filter(|&&is_key| is_key).count() >= 3,
        "{name}"
    );
    let files = Files::new();
    let expected = pictures(&clip);
    assert!(expected.len() >= 20, "{name}");
    assert_eq!(
        pictures(&written(&files, fourcc, &frames)),
        expected,
        "{name}"
    );
    // From any key frame on.
    let last_key = found.iter().rposition(|&is_key| is_key).unwrap();
    let tail = pictures(&written(&files, fourcc, &frames[last_key..]));
    assert_eq!(tail, expected[expected.len() - tail.len()..], "{name}");
    // An open group of pictures has some that are only right with the group before.
    let lost = frames.len() - last_key - tail.len();
    assert!(lost <= if fourcc == FourCc::HEVC { 3 } else { 0 }, "{name}");
}

#[test]
fn h264_comes_out_of_every_container_as_ffmpeg_finds_it() {
    for name in [
        "h264.mp4",
        "gaps.mp4",
        "fragments.mp4",
        "hybrid.mp4",
        "front.mp4",
        "h264.mkv",
        "gaps.mkv",
        "live.mkv",
        "with-sound.mp4",
    ] {
        comes_out_as_ffmpeg_finds_it(name, FourCc::H264);
    }
}

#[test]
fn h265_comes_out_of_every_container_as_ffmpeg_finds_it() {
    for name in ["h265.mp4", "in-band.mp4", "h265.mkv"] {
        comes_out_as_ffmpeg_finds_it(name, FourCc::HEVC);
    }
}

#[test]
fn vp8_and_vp9_come_out_of_every_container_as_ffmpeg_finds_them() {
    for name in ["vp8.webm", "vp8.ivf"] {
        comes_out_as_ffmpeg_finds_it(name, FourCc::VP80);
    }
    for name in ["vp9.webm", "vp9.ivf", "vp9.mp4"] {
        comes_out_as_ffmpeg_finds_it(name, FourCc::VP90);
    }
}

#[test]
fn av1_comes_out_of_every_container_as_ffmpeg_finds_it() {
    for name in ["av1.mp4", "av1.mkv", "av1.ivf"] {
        comes_out_as_ffmpeg_finds_it(name, FourCc::AV01);
    }
}

#[test]
fn mjpeg_comes_out_of_every_container_as_ffmpeg_finds_it() {
    for name in ["mjpeg.mkv", "mjpeg.mp4", "mjpeg.mov"] {
        comes_out_as_ffmpeg_finds_it(name, FourCc::MJPG);
    }
}

#[test]
fn pixels_come_out_of_matroska_as_they_went_in() {
    for (name, fourcc) in [
        ("yuyv422.mkv", FourCc::YUYV),
        ("uyvy422.mkv", FourCc::UYVY),
        ("yvyu422.mkv", FourCc::YVYU),
        ("nv12.mkv", FourCc::NV12),
        ("nv21.mkv", FourCc::NV21),
        ("yuv420p.mkv", FourCc::YU12),
        ("yuv422p.mkv", FourCc::YUV422P),
        ("gray.mkv", FourCc::GREY),
    ] {
        let clip = clip(name);
        let (frames, source) = all_frames(&clip, &CaptureOptions::default());
        let description = source.description().unwrap();
        let format = description.format;
        assert_eq!(
            (format.fourcc, format.width, format.height),
            (fourcc, 95, 63),
            "{name}"
        );
        let frame_bytes = fourcc.raw_frame_bytes(95, 63).unwrap() as usize;
        assert_eq!(description.frame_bytes, Some(frame_bytes), "{name}");
        assert_eq!(frames.len(), 30, "{name}");
        assert!(frames.iter().all(|frame| frame.flags == FrameFlags::KEY));
        assert!(
            payloads(&frames).concat() == packet_bytes(&clip),
            "{name}: other bytes"
        );
        assert_times(&times(&frames), &decoding_times(name), name);
    }
}

#[test]
fn what_can_be_read_forwards_comes_through_a_pipe() {
    for name in [
        "fragments.mp4",
        "front.mp4",
        "h264.mkv",
        "live.mkv",
        "vp9.webm",
        "av1.ivf",
        "mjpeg.mkv",
    ] {
        let clip = clip(name);
        let expected = all_frames(&clip, &CaptureOptions::default()).0;
        let files = Files::new();
        let (mut source, mut pipe) = files.pipe(&CaptureOptions::default()).unwrap();
        let bytes = std::fs::read(&clip).unwrap();
        let writer = std::thread::spawn(move || pipe.write_all(&bytes).unwrap());
        let frames = take_all(&mut source);
        writer.join().unwrap();
        assert_eq!(payloads(&frames), payloads(&expected), "{name}");
        let flags = |frames: &[Taken]| frames.iter().map(|frame| frame.flags).collect::<Vec<_>>();
        assert_eq!(flags(&frames), flags(&expected), "{name}");
    }
}

#[test]
fn an_index_behind_the_frames_is_refused_in_a_pipe() {
    let files = Files::new();
    let (mut source, mut pipe) = files.pipe(&CaptureOptions::default()).unwrap();
    let bytes = std::fs::read(clip("h264.mp4")).unwrap();
    pipe.write_all(&bytes[..bytes.len().min(60_000)]).unwrap();
    let error = loop {
        match source.try_next(at(0)) {
            Ok(next) => assert!(matches!(next, Next::NotYet), "{next:?}"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("name the file instead of -"), "{error}");
}

#[test]
fn a_rate_of_the_users_takes_the_place_of_the_files() {
    let (frames, source) = all_frames(&clip("gaps.mp4"), &rate(100));
    assert!(source.is_live());
    assert_eq!(
        source.description().unwrap().format.rate,
        FrameRate::from_whole(100)
    );
    let expected: Vec<f64> = (0..frames.len())
        .map(|index| index as f64 / 100.0)
        .collect();
    assert_times(&times(&frames), &expected, "gaps.mp4");
    let mut unpaced = open(&clip("gaps.mp4"), &rate(0)).unwrap();
    assert!(!unpaced.is_live());
    let mut count = 0;
    while let Some(frame) = take(&mut unpaced, at(7)).unwrap() {
        assert_eq!(frame.captured, at(7));
        count += 1;
    }
    assert_eq!(count, frames.len());
}

#[test]
fn a_files_own_rate_is_announced() {
    for name in ["h264.mp4", "fragments.mp4", "h264.mkv"] {
        let source = all_frames(&clip(name), &CaptureOptions::default()).1;
        let rate = source.description().unwrap().format.rate;
        assert!((rate.as_f64() - 25.0).abs() < 0.01, "{name}: {rate}");
    }
}

#[test]
fn a_file_waits_for_who_is_late_and_goes_on_from_there() {
    let mut source = open(&clip("h264.mp4"), &CaptureOptions::default()).unwrap();
    let mut next = |ms| take(&mut source, at(ms)).map(|frame| frame.unwrap().captured);
    assert_eq!(next(1000), Some(at(1000)));
    assert_eq!(next(1039), None);
    assert_eq!(next(1100), Some(at(1040)));
    // Nobody took frames for a minute.
    assert_eq!(next(61_000), Some(at(61_000)));
    assert_eq!(next(61_039), None);
    assert_eq!(next(61_040), Some(at(61_040)));
}

#[test]
fn numbers_and_times_go_on_when_a_file_begins_again() {
    for name in ["h264.mp4", "h264.mkv", "fragments.mp4", "vp8.ivf"] {
        let expected = all_frames(&clip(name), &CaptureOptions::default()).0;
        let mut source = open(&clip(name), &looped()).unwrap();
        let mut now = at(1000);
        let mut frames = Vec::new();
        while frames.len() < 3 * expected.len() {
            match take(&mut source, now) {
                Some(frame) => frames.push(frame.unwrap()),
                None => now = now.max(source.poll_timeout().unwrap()),
            }
        }
        assert_eq!(payloads(&frames), payloads(&expected).repeat(3), "{name}");
        assert_eq!(
            numbers(&frames),
            (0..frames.len() as u64).collect::<Vec<_>>()
        );
        let times = times(&frames);
        for (index, pair) in times.windows(2).enumerate() {
            let apart = pair[1] - pair[0];
            assert!(
                (0.039..0.041).contains(&apart),
                "{name}, frame {index}: {apart}"
            );
        }
    }
}

#[test]
fn what_is_not_carried_is_said() {
    let files = Files::new();
    for (name, expected) in [
        ("sound.mp4", "no video track"),
        ("mpeg4.mp4", "MP4V, which is not carried; H.264, H.265, VP8"),
        ("encrypted.mp4", "encrypted"),
    ] {
        let text = first_error(&clip(name), &CaptureOptions::default());
        assert!(
            text.to_lowercase().contains(&expected.to_lowercase()),
            "{text}"
        );
        assert!(text.contains(name) && text.contains("byte "), "{text}");
    }
    let text = first_error(&clip("h264.mp4"), &every_nth(2));
    assert!(text.contains("-x cannot thin out"), "{text}");
    let options = CaptureOptions {
        fourcc: Some(FourCc::HEVC),
        ..CaptureOptions::default()
    };
    let text = first_error(&clip("h264.mp4"), &options);
    assert!(text.contains("another format"), "{text}");
    // A name says nothing.
    let path = files.write("pictures.mjpeg", &std::fs::read(clip("h264.mkv")).unwrap());
    assert!(!all_frames(&path, &CaptureOptions::default()).0.is_empty());
}

#[test]
fn images_may_be_thinned_out() {
    let all = all_frames(&clip("mjpeg.mkv"), &CaptureOptions::default()).0;
    let (some, source) = all_frames(&clip("mjpeg.mkv"), &every_nth(5));
    let expected: Vec<_> = all
        .iter()
        .step_by(5)
        .map(|frame| frame.payload.as_slice())
        .collect();
    assert_eq!(payloads(&some), expected);
    assert_eq!(
        source.description().unwrap().format.rate.as_f64().round(),
        5.0
    );
}
