//! Recordings are what players that are not ours find in them: every frame, at its own time.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

mod containers_support;

use std::path::Path;
use std::process::Command;

use containers_support::*;
use sdvr_frame::FourCc;
use sdvr_record::container::{self, Added, Kind, Muxer, NotRecordable};
use sdvr_record::{Sample, UtcTime};

/// The frames without what means nothing: lengths of start codes, zeros behind units.
fn normal(fourcc: FourCc, frame: &[u8]) -> Vec<Vec<u8>> {
    if !matches!(fourcc, FourCc::H264 | FourCc::HEVC) {
        return vec![frame.to_vec()];
    }
    let mut units = Vec::new();
    let mut rest = frame;
    while let Some(at) = rest.windows(3).position(|bytes| bytes == [0, 0, 1]) {
        units.push(rest[..at].to_vec());
        rest = &rest[at + 3..];
    }
    units.push(rest.to_vec());
    for unit in &mut units {
        while unit.last() == Some(&0) {
            unit.pop();
        }
    }
    units
}

/// How many frames, when, which are key frames, and that they decode to the same pictures without a complaint: when the file was ended, and while it is being written.
fn is_recorded_whole(name: &str) {
    let (frames, fourcc) = frames(name);
    let about = about(fourcc);
    let recording = record(&about, &frames, 4);
    let files = Files::new();
    let path = |state: &str| format!("{name}-{state}.{}", recording.extension);
    let whole = files.write(&path("whole"), &recording.whole());
    let unfinished = files.write(&path("unfinished"), &recording.unfinished());
    let keys = frames.iter().map(|frame| frame.is_key);
    let expected: Vec<(i64, bool)> = ticks(&frames).into_iter().zip(keys).collect();
    for file in [&whole, &unfinished] {
        let (found, first) = (packets(file), packets(file)[0].0);
        let since_first: Vec<_> = found.iter().map(|(at, key)| (at - first, *key)).collect();
        assert_eq!(since_first, expected, "{name}");
        let is_reordered = name.starts_with("reordered") || name.starts_with("open");
        assert_eq!(first == 0, !is_reordered, "{name}: {first}");
        let source = if fourcc.is_raw() {
            Vec::new()
        } else {
            taken(file)
        };
        for (index, (is_key, bytes)) in source.iter().enumerate() {
            assert_eq!(*is_key, frames[index].is_key, "{name}, frame {index}");
            let same = normal(fourcc, bytes) == normal(fourcc, &frames[index].bytes);
            assert!(same, "{name}, frame {index}");
        }
        assert!(fourcc.is_raw() || source.len() == frames.len(), "{name}");
        reads_back(file, &frames, fourcc);
        // ffprobe moves all times for frames that are shown long before they are decoded, as some are by the gap, so that none is.
        let shown = shown(file);
        let since_first: Vec<i64> = shown.iter().map(|time| time - shown[0]).collect();
        assert_eq!(since_first, ticks(&frames), "{name}");
        assert_eq!(shown[0] == 0, !is_reordered, "{name}: {}", shown[0]);
        decode(file);
    }
    let (stream, _) = stream(name);
    let input: &[&str] = if fourcc.is_raw() {
        raw_input(name)
    } else {
        &[]
    };
    let expected = pictures(input, &stream);
    assert_eq!(expected.len(), frames.len(), "{name}");
    assert_eq!(pictures(&[], &whole), expected, "{name}");
    says_what_it_is(&whole, &frames);
}

fn raw_input(name: &str) -> &'static [&'static str] {
    macro_rules! raw {
        ($pixels:literal) => {
            &["-f", "rawvideo", "-s", "96x64", "-pix_fmt", $pixels]
        };
    }
    match name {
        "yuyv.raw" => raw!("yuyv422"),
        "uyvy.raw" => raw!("uyvy422"),
        "yvyu.raw" => raw!("yvyu422"),
        "nv12.raw" | "nm12.raw" => raw!("nv12"),
        "nv21.raw" => raw!("nv21"),
        "yu12.raw" | "ym12.raw" => raw!("yuv420p"),
        "grey.raw" => raw!("gray"),
        "y16.raw" => raw!("gray16le"),
        "rgb3.raw" => raw!("rgb24"),
        "bgr3.raw" => raw!("bgr24"),
        "422p.raw" => raw!("yuv422p"),
        "444p.raw" => raw!("yuv444p"),
        "ba81.raw" => raw!("bayer_bggr8"),
        "gbrg.raw" => raw!("bayer_gbrg8"),
        "grbg.raw" => raw!("bayer_grbg8"),
        "rggb.raw" => raw!("bayer_rggb8"),
        _ => panic!("{name} is not raw"),
    }
}

/// Our own reader finds the same.
fn reads_back(path: &Path, frames: &[Captured], fourcc: FourCc) {
    let file = open(path);
    let scan = container::scan(&file).unwrap();
    assert_eq!(scan.about, about(fourcc));
    assert_eq!(scan.frames, frames.len() as u64);
    let to_micros = |ns: i64| ns / 1000;
    let last = scan.last.unwrap().0 - BEGINS.0;
    assert_eq!(to_micros(last), *ticks(frames).last().unwrap());
    let count: u64 = scan.stretches.iter().map(|one| u64::from(one.frames)).sum();
    assert_eq!(count, scan.frames);
    let mut reader = container::frames(&file).unwrap();
    let mut bytes = Vec::new();
    for (index, frame) in frames.iter().enumerate() {
        let at = reader.try_next().unwrap().unwrap();
        reader.read(&at, &mut bytes).unwrap();
        assert_eq!(at.is_key, frame.is_key, "frame {index}");
        let ticks = to_micros(at.captured.0 - BEGINS.0);
        assert_eq!(ticks, to_micros(frame.at.0 - BEGINS.0), "frame {index}");
        assert!(
            normal(fourcc, &bytes) == normal(fourcc, &frame.bytes),
            "frame {index}"
        );
    }
    assert_eq!(reader.try_next().unwrap(), None);
}

/// Title, date and length.
fn says_what_it_is(path: &Path, frames: &[Captured]) {
    let entries = "format=duration:format_tags";
    let text = said(
        "ffprobe",
        &["-of", "default=nw=1", "-show_entries", entries],
        path,
    );
    let text = text.to_lowercase();
    assert!(text.contains("tag:title=front-door"), "{text}");
    assert!(
        text.contains("sdvr 1; camera=front-door; fingerprint=sha256:"),
        "{text}"
    );
    assert!(
        text.contains("tag:creation_time=2025-11-30t20:35:00."),
        "{text}"
    );
    let ticks = ticks(frames);
    let [.., first, before, last] = ticks.as_slice() else {
        panic!("there are too few frames");
    };
    let duration = text.lines().find_map(|line| line.strip_prefix("duration="));
    let duration: f64 = duration.unwrap().parse().unwrap();
    let expected = (last + (last - before).min(before - first)) as f64 / 1e6;
    assert!(
        (duration - expected).abs() < 0.002,
        "{duration} for {expected}"
    );
}

#[test]
fn h264_is_recorded_whole() {
    is_recorded_whole("plain.h264");
    is_recorded_whole("long.h264");
}

#[test]
fn frames_that_are_shown_in_another_order_have_their_times_in_that() {
    for name in ["reordered.h264", "open.h264", "reordered.hevc"] {
        is_recorded_whole(name);
        // Without a gap before a picture that is shown before it nothing is moved.
        let (mut frames, fourcc) = frames(name);
        for frame in &mut frames[7..] {
            frame.at.0 -= 6_500_000_000;
        }
        let recording = record(&about(fourcc), &frames, 4);
        let files = Files::new();
        let file = files.write("steady.mp4", &recording.whole());
        assert_eq!(shown(&file), ticks(&frames), "{name}");
        decode(&file);
    }
}

#[test]
fn h265_is_recorded_whole() {
    is_recorded_whole("plain.hevc");
}

#[test]
fn av1_is_recorded_whole() {
    is_recorded_whole("plain.ivf");
}

#[test]
fn vp8_and_vp9_are_recorded_whole() {
    is_recorded_whole("vp8.ivf");
    is_recorded_whole("vp9.ivf");
}

#[test]
fn mjpeg_is_recorded_whole() {
    is_recorded_whole("plain.mjpeg");
}

#[test]
fn packed_pixels_are_recorded_whole() {
    for name in ["yuyv.raw", "uyvy.raw", "yvyu.raw", "rgb3.raw", "bgr3.raw"] {
        is_recorded_whole(name);
    }
}

#[test]
fn planes_are_recorded_whole() {
    for name in [
        "nv12.raw", "nm12.raw", "nv21.raw", "yu12.raw", "ym12.raw", "422p.raw", "444p.raw",
        "grey.raw", "y16.raw",
    ] {
        is_recorded_whole(name);
    }
}

#[test]
fn bayer_patterns_are_recorded_whole() {
    for name in ["ba81.raw", "gbrg.raw", "grbg.raw", "rggb.raw"] {
        is_recorded_whole(name);
    }
}

/// A stream of nothing but this frame.
fn begins(fourcc: FourCc, is_key: bool, bytes: &[u8]) -> Result<Muxer, NotRecordable> {
    let first = Sample {
        captured: BEGINS,
        is_key,
        bytes,
    };
    Muxer::begin(&about(fourcc), &first)
}

#[test]
fn a_file_begins_with_a_frame_that_can_be_decoded_and_says_what_it_lacks() {
    for (name, lacks) in [
        ("plain.h264", "sequence parameter set"),
        ("plain.hevc", "video parameter set"),
        ("plain.ivf", "sequence header"),
    ] {
        let (frames, fourcc) = frames(name);
        let key = &frames[0];
        assert!(begins(fourcc, true, &key.bytes).is_ok(), "{name}");
        let not_key = begins(fourcc, false, &key.bytes).unwrap_err();
        assert_eq!(not_key, NotRecordable::NotKey(fourcc));
        // Another frame has none, whatever is said of it.
        let without = begins(fourcc, true, &frames[1].bytes).unwrap_err();
        assert_eq!(without, NotRecordable::NoParameters(fourcc, lacks));
        assert_eq!(begins(fourcc, true, &[]).unwrap_err(), NotRecordable::Empty);
        // Whatever is cut off, it is refused or it is not; nothing worse happens.
        for cut in 0..key.bytes.len() {
            let _ = begins(fourcc, true, &key.bytes[..cut]);
        }
    }
    assert!(begins(FourCc::VP80, false, &[1, 2]).is_err());
    assert!(begins(FourCc::MJPG, false, &[1, 2]).is_ok());
}

#[test]
fn other_parameters_and_sizes_need_another_file() {
    let (plain, fourcc) = frames("plain.h264");
    let (other, _) = frames("long.h264");
    let sample = |frame: &Captured| (frame.at, frame.is_key, frame.bytes.clone());
    let muxer = begin(&about(fourcc), &plain[0]);
    let fits = |frame: &Captured, format| {
        let (captured, is_key, bytes) = sample(frame);
        let bytes = bytes.as_slice();
        muxer.fits(
            &format,
            &Sample {
                captured,
                is_key,
                bytes,
            },
        )
    };
    assert!(plain.iter().all(|frame| fits(frame, format(fourcc))));
    assert!(!fits(&other[0], format(fourcc)));
    let mut larger = format(fourcc);
    larger.width += 16;
    assert!(!fits(&plain[0], larger));
    let mut faster = format(fourcc);
    faster.rate = sdvr_frame::FrameRate::from_whole(50);
    assert!(fits(&plain[0], faster));
}

#[test]
fn frames_without_bytes_and_parameter_sets_alone_are_told() {
    let (frames, fourcc) = frames("plain.h264");
    let mut muxer = begin(&about(fourcc), &frames[0]);
    let is_set = |unit: &&Vec<u8>| matches!(unit.first().map(|byte| byte & 0x1f), Some(7..=9));
    let units = normal(fourcc, &frames[0].bytes);
    let sets = units.iter().filter(is_set);
    let sets: Vec<u8> = sets
        .flat_map(|unit| [&[0, 0, 0, 1], unit.as_slice()].concat())
        .collect();
    assert_eq!(muxer.add(BEGINS, true, sets), Added::Empty);
    assert_eq!(muxer.add(BEGINS, true, Vec::new()), Added::Empty);
    assert!(muxer.take_fragment().is_empty());
    let mut images = begins(FourCc::MJPG, true, &[1]).unwrap();
    assert_eq!(images.add(BEGINS, true, Vec::new()), Added::Empty);
    assert_eq!(images.add(BEGINS, true, vec![1]), Added::Taken);
    assert_eq!(images.take_fragment().bytes(), 36);
}

#[test]
fn frames_of_64_mib_and_of_the_wrong_length_are_recorded_as_they_are() {
    let files = Files::new();
    for (fourcc, first) in [(FourCc::YUYV, vec![7]), (FourCc::MJPG, vec![7; 64 << 20])] {
        let frames = [first, vec![9; 64 << 20], vec![8]];
        let captured = frames.iter().enumerate().map(|(number, bytes)| Captured {
            at: time(number),
            is_key: true,
            bytes: bytes.clone(),
        });
        let captured: Vec<_> = captured.collect();
        let recording = record(&about(fourcc), &captured, 1);
        let path = files.write("large.mkv", &recording.whole());
        reads_back(&path, &captured, fourcc);
    }
    let (frames, fourcc) = frames("plain.h264");
    let mut large = frames.clone();
    // More of the same slice, as far as anyone can tell without decoding it.
    large[1].bytes.resize(64 << 20, 0x55);
    let recording = record(&about(fourcc), &large[..3], 3);
    let path = files.write("large.mp4", &recording.whole());
    let file = open(&path);
    let mut reader = container::frames(&file).unwrap();
    let mut bytes = Vec::new();
    for frame in &large[..3] {
        let at = reader.try_next().unwrap().unwrap();
        reader.read(&at, &mut bytes).unwrap();
        // Start codes are a byte longer or not, zeros at the end are left out.
        let lost = frame.bytes.len().abs_diff(bytes.len());
        assert!(lost < 16, "{} for {}", bytes.len(), frame.bytes.len());
    }
    let found = packets(&path)
        .iter()
        .map(|packet| packet.0)
        .collect::<Vec<_>>();
    assert_eq!(found, ticks(&large[..3]));
}

#[test]
fn clocks_that_are_set_back_and_far_ahead_leave_times_in_order() {
    let files = Files::new();
    for name in ["plain.h264", "plain.mjpeg"] {
        let (mut frames, fourcc) = frames(name);
        frames.truncate(6);
        let two_hours = 7_200_000_000_000;
        let at = [
            0,
            40_000_000,
            -5,
            40_000_000,
            two_hours,
            two_hours + 40_000_000,
        ];
        for (frame, at) in frames.iter_mut().zip(at) {
            frame.at = UtcTime(BEGINS.0 + at);
        }
        let recording = record(&about(fourcc), &frames, 6);
        let path = files.write(
            &format!("{name}.{}", recording.extension),
            &recording.whole(),
        );
        let found: Vec<i64> = packets(&path).iter().map(|packet| packet.0).collect();
        let expected = [0, 40_000, 40_001, 40_002, 7_200_000_000, 7_200_040_000];
        assert_eq!(found, expected, "{name}");
        assert_eq!(container::scan(&open(&path)).unwrap().frames, 6);
        decode(&path);
    }
}

#[test]
fn every_format_has_a_container() {
    for (fourcc, kind) in [
        (FourCc::H264, Kind::Mp4),
        (FourCc::HEVC, Kind::Mp4),
        (FourCc::AV01, Kind::Mp4),
        (FourCc::MJPG, Kind::Matroska),
        (FourCc::VP90, Kind::Matroska),
        (FourCc(*b"pRAA"), Kind::Matroska),
    ] {
        assert_eq!(Kind::of(fourcc), kind, "{fourcc}");
    }
    // One that no player knows is there all the same, under its own name.
    let frame = Captured {
        at: BEGINS,
        is_key: true,
        bytes: vec![5; 100],
    };
    let fourcc = FourCc(*b"pRAA");
    let recording = record(&about(fourcc), std::slice::from_ref(&frame), 1);
    let files = Files::new();
    let path = files.write("unknown.mkv", &recording.whole());
    reads_back(&path, &[frame], fourcc);
    assert!(recording.head.windows(4).any(|bytes| bytes == b"pRAA"));
}

#[test]
fn mkvinfo_finds_no_fault_with_a_matroska() {
    let files = Files::new();
    for name in ["plain.mjpeg", "vp8.ivf", "yuyv.raw"] {
        let (frames, fourcc) = frames(name);
        let recording = record(&about(fourcc), &frames, 4);
        for (state, bytes) in [
            ("whole", recording.whole()),
            ("unfinished", recording.unfinished()),
        ] {
            let path = files.write(&format!("{name}-{state}.mkv"), &bytes);
            let output = Command::new("mkvinfo")
                .arg("--all")
                .arg(&path)
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            let faults = ["Error", "Warning", "nknown element", "truncated", "resync"];
            let wrong = text
                .lines()
                .find(|line| faults.iter().any(|fault| line.contains(fault)));
            assert!(
                output.status.success() && wrong.is_none(),
                "{name} {state}: {wrong:?}"
            );
            assert_eq!(
                text.matches("Simple block").count(),
                frames.len(),
                "{name} {state}"
            );
            assert_eq!(text.contains("Cue point"), state == "whole", "{name}");
            assert_eq!(text.contains("+ Duration:"), state == "whole", "{name}");
        }
    }
}

#[test]
fn frames_that_are_written_apart_lie_as_those_that_were_taken() {
    let (frames, fourcc) = frames("plain.mjpeg");
    let about = about(fourcc);
    let taken = record(&about, &frames, 1);
    let mut muxer = begin(&about, &frames[0]);
    let mut bytes = muxer.head().to_vec();
    for (n, frame) in frames.iter().enumerate() {
        let announce = |muxer: &Muxer| {
            let announced = muxer.announce(frame.at, frame.is_key, frame.bytes.len() as u64);
            announced.unwrap()
        };
        // Announced in vain, for it was overwritten.
        drop(announce(&muxer));
        if n % 5 == 4 {
            let added = muxer.add(frame.at, frame.is_key, frame.bytes.clone());
            assert_eq!(added, Added::Taken);
            assert!(
                muxer.announce(frame.at, true, 1).is_none(),
                "another one waits"
            );
            bytes.extend(muxer.take_fragment().to_vec());
        } else {
            let announced = announce(&muxer);
            bytes.extend([announced.head(), &frame.bytes].concat());
            muxer.wrote(announced);
        }
    }
    assert!(muxer.announce(frames[0].at, true, 0).is_none(), "no bytes");
    assert_eq!(bytes, taken.unfinished());
    assert_eq!(muxer.ending(), taken.ending);
    let (frames, fourcc) = self::frames("plain.h264");
    let muxer = begin(&self::about(fourcc), &frames[0]);
    assert!(muxer.announce(frames[0].at, true, 9).is_none(), "MP4");
}
