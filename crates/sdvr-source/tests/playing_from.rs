//! Recordings are played from any point on: with the last key frame at or before it, however the file is indexed.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use sdvr_frame::{FrameFlags, Timestamp};
use sdvr_source::{CaptureOptions, CaptureTimes, PlayFrom};
use support::clips::{clip, packets};
use support::sources::*;

/// One of each kind of index and of key frames, with and without overtaking frames and gaps.
const KINDS: [&str; 19] = [
    "h264.mp4",
    "gaps.mp4",
    "fragments.mp4",
    "unindexed.mp4",
    "hybrid.mp4",
    "front.mp4",
    "with-sound.mp4",
    "h265.mp4",
    "vp9.mp4",
    "av1.mp4",
    "h264.mkv",
    "gaps.mkv",
    "live.mkv",
    "groups.mkv",
    "vp8.webm",
    "mjpeg.mkv",
    "yuyv422.mkv",
    "vp9.ivf",
    "av1.ivf",
];

fn from(offset: Duration) -> CaptureOptions {
    CaptureOptions {
        from: Some(PlayFrom::Offset(offset)),
        ..CaptureOptions::default()
    }
}

/// What is played of a file, and when since the first frame that is.
fn played(path: &Path, options: &CaptureOptions) -> (Vec<Vec<u8>>, Vec<i64>) {
    let frames = take_all(&mut open(path, options).unwrap());
    let first = frames[0].captured;
    let times = frames
        .iter()
        .map(|frame| frame.captured.nanoseconds_since(first))
        .collect();
    assert_eq!(
        numbers(&frames),
        (0..frames.len() as u64).collect::<Vec<_>>()
    );
    (
        frames.into_iter().map(|frame| frame.payload).collect(),
        times,
    )
}

/// In nanoseconds since the first frame, when each frame is by the file, and whether it is a key frame.
fn index(name: &str) -> Vec<(i64, bool)> {
    let packets = packets(&clip(name));
    let frames = take_all(&mut open(&clip(name), &CaptureOptions::default()).unwrap());
    let is_matroska = name.ends_with(".mkv") || name.ends_with(".webm");
    let times: Vec<f64> = packets
        .iter()
        .map(|packet| match packet.decoded {
            Some(time) if !is_matroska => time,
            _ => packet.shown,
        })
        .collect();
    assert_eq!(times.len(), frames.len(), "{name}");
    let since = |time: &f64| ((time - times[0]) * 1e9).round() as i64;
    let is_key = |frame: &Taken| frame.flags.contains(FrameFlags::KEY);
    times
        .iter()
        .map(since)
        .zip(frames.iter().map(is_key))
        .collect()
}

#[test]
fn playing_begins_with_the_last_key_frame_at_or_before_the_place() {
    for name in KINDS {
        let path = clip(name);
        let (all, times) = played(&path, &CaptureOptions::default());
        let index = index(name);
        let last = index.iter().map(|(time, _)| *time).max().unwrap();
        // Before, at and behind each frame; printed times are rounded to microseconds.
        let places = index
            .iter()
            .flat_map(|(time, _)| [-2000, 0, 20 * MS].map(|apart| time + apart));
        for place in places.filter(|place| (0..last).contains(place)) {
            let at_or_before =
                |(_, (time, is_key)): &(usize, &(i64, bool))| *is_key && *time <= place + 1000;
            let expected = index.iter().enumerate().rfind(at_or_before).unwrap().0;
            let (found, found_times) = played(
                &path,
                &from(Duration::from_nanos(place.cast_unsigned() + 1000)),
            );
            assert!(
                found == all[expected..],
                "{name}, from {place}: {} frames for {}",
                found.len(),
                all.len() - expected
            );
            // Of reordered frames, how much earlier decoding begins is that of the beginning.
            let apart = found_times
                .iter()
                .zip(&times[expected..])
                .map(|(found, time)| (found - (time - times[expected])).abs());
            assert!(
                apart.max().unwrap() < 81 * MS,
                "{name}, from {place}: {found_times:?}"
            );
        }
    }
}

#[test]
fn a_place_behind_the_end_is_refused_and_the_length_told() {
    for name in KINDS {
        let index = index(name);
        let last = index.iter().map(|(time, _)| *time).max().unwrap();
        let text = first_error(
            &clip(name),
            &from(Duration::from_nanos(last.cast_unsigned() + 1_000_000_000)),
        );
        assert!(
            text.contains(name) && text.contains("there is nothing at 00:00:0"),
            "{text}"
        );
        // Its last frame is shown for some time, too.
        let (_, said) = text.split_once("it is 00:00:0").unwrap();
        let said: f64 = said.split(' ').next().unwrap().parse().unwrap();
        let length = last as f64 / 1e9;
        assert!(
            (length..length + 0.5).contains(&said),
            "{name}: {text}, {length}"
        );
    }
}

#[test]
fn a_looped_recording_begins_there_again() {
    for name in ["fragments.mp4", "h264.mkv", "front.mp4"] {
        let options = CaptureOptions {
            looped: true,
            ..from(Duration::from_millis(900))
        };
        let (once, _) = played(&clip(name), &from(Duration::from_millis(900)));
        let mut source = open(&clip(name), &options).unwrap();
        let (mut now, mut frames) = (at(0), Vec::new());
        while frames.len() < 3 * once.len() {
            match take(&mut source, now) {
                Some(frame) => frames.push(frame.unwrap()),
                None => now = now.max(source.poll_timeout().unwrap()),
            }
        }
        let once: Vec<&[u8]> = once.iter().map(Vec::as_slice).collect();
        assert_eq!(payloads(&frames), once.repeat(3), "{name}");
        let apart = |pair: &[Taken]| pair[1].captured.nanoseconds_since(pair[0].captured);
        assert!(
            frames
                .windows(2)
                .all(|pair| (39 * MS..=41 * MS).contains(&apart(pair))),
            "{name}"
        );
    }
}

#[test]
fn a_pipe_is_left_out_up_to_the_first_key_frame_there() {
    for name in ["fragments.mp4", "h264.mkv", "vp9.ivf", "yuyv422.mkv"] {
        let (all, _) = played(&clip(name), &CaptureOptions::default());
        let index = index(name);
        for ms in [0, 300, 500, 790] {
            let place = ms as i64 * MS;
            let key = index
                .iter()
                .position(|(time, is_key)| *is_key && *time >= place);
            let files = Files::new();
            let (mut source, mut pipe) = files.pipe(&from(Duration::from_millis(ms))).unwrap();
            let bytes = std::fs::read(clip(name)).unwrap();
            let writer = std::thread::spawn(move || pipe.write_all(&bytes).unwrap());
            let frames = take_all(&mut source);
            writer.join().unwrap();
            assert_eq!(
                payloads(&frames),
                all[key.unwrap()..],
                "{name}, from {ms} ms"
            );
        }
    }
    let files = Files::new();
    let (mut source, mut pipe) = files.pipe(&from(Duration::from_secs(60))).unwrap();
    let bytes = std::fs::read(clip("h264.mkv")).unwrap();
    let writer = std::thread::spawn(move || pipe.write_all(&bytes).unwrap());
    let error = loop {
        match source.try_next(at(0)) {
            Ok(sdvr_source::Next::NotYet) => {}
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error.to_string(),
        }
    };
    writer.join().unwrap();
    assert!(
        error.contains("there is nothing at 00:01:00.000"),
        "{error}"
    );
}

#[test]
fn what_is_no_recording_has_no_places() {
    let files = Files::new();
    let path = files.write("a.mjpeg", &images(3).concat());
    let options = from(Duration::ZERO);
    assert!(first_error(&path, &options).contains("--from needs a recording"));
    let text = test_source("test:", &options).unwrap_err().to_string();
    assert!(text.contains("--from needs a recording"), "{text}");
    let recorded = CaptureOptions {
        times: CaptureTimes::Recorded,
        ..CaptureOptions::default()
    };
    let text = test_source("test:", &recorded).unwrap_err().to_string();
    assert!(
        text.contains("--times recorded needs a recording"),
        "{text}"
    );
    // It has times, but no date.
    let text = first_error(&clip("vp8.ivf"), &recorded);
    assert!(text.contains("does not say when it was recorded"), "{text}");
    let looped = CaptureOptions {
        looped: true,
        ..recorded
    };
    let text = open_error(&clip("dated.mp4"), &looped);
    assert!(text.contains("does not go with --loop"), "{text}");
}

/// What the clips with a date begin at.
const BEGINS: &str = "2021-02-03T04:05:06Z";
const BEGINS_S: i64 = 1_612_325_106;

#[test]
fn a_recording_that_has_a_date_is_played_from_another() {
    for name in ["dated.mp4", "dated.mkv"] {
        let (all, _) = played(&clip(name), &CaptureOptions::default());
        for (date, left) in [
            (BEGINS, 30),
            ("2021-02-03T04:05:06.5Z", 20),
            ("2021-02-03T04:05:05.5Z", 30),
        ] {
            let options = CaptureOptions {
                from: Some(date.parse().unwrap()),
                ..CaptureOptions::default()
            };
            let (found, _) = played(&clip(name), &options);
            assert!(found == all[30 - left..], "{name}, {date}: {}", found.len());
        }
        for (date, expected) in [
            (
                "2021-02-03T04:05:07.3Z",
                "there is nothing at 2021-02-03T04:05:07.300Z",
            ),
            ("2021-02-03T04:05:05Z", "begins at 2021-02-03T04:05:06.000Z"),
        ] {
            let options = CaptureOptions {
                from: Some(date.parse().unwrap()),
                ..CaptureOptions::default()
            };
            let text = first_error(&clip(name), &options);
            assert!(text.contains(expected), "{name}: {text}");
        }
    }
}

#[test]
fn recorded_times_are_those_of_the_recording() {
    for (name, begins_ms) in [("dated.mp4", 0), ("dated.mkv", 0), ("exact.mp4", 789)] {
        for (options, since_ms) in [
            (CaptureOptions::default(), 0),
            (from(Duration::from_millis(500)), 400),
        ] {
            let recorded = CaptureOptions {
                times: CaptureTimes::Recorded,
                ..options.clone()
            };
            let (_, expected) = played(&clip(name), &options);
            let frames = take_all(&mut open(&clip(name), &recorded).unwrap());
            let unix = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
            let boot = Timestamp::now().as_nanoseconds();
            let offset = unix.tv_sec * 1_000_000_000 + unix.tv_nsec - boot;
            for (frame, since) in frames.iter().zip(&expected) {
                let date = frame.captured.as_nanoseconds() + offset;
                let apart = date - BEGINS_S * 1_000_000_000 - (begins_ms + since_ms) * MS - since;
                // The clocks are not read at the same moment.
                assert!(apart.abs() < 20 * MS, "{name}: {apart} ns apart");
            }
            assert_eq!(frames.len(), expected.len());
        }
    }
}

#[test]
fn an_unfinished_recording_is_played_from_any_place_in_what_there_is() {
    let files = Files::new();
    for name in [
        "fragments.mp4",
        "h264.mkv",
        "live.mkv",
        "mjpeg.mkv",
        "front.mp4",
    ] {
        let whole = std::fs::read(clip(name)).unwrap();
        let path = files.write(name, &whole);
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let (all, _) = play_to_the_end(&path, &rate(0));
        for cut in (0..whole.len()).rev().step_by(37) {
            file.set_len(cut as u64).unwrap();
            let (there, _) = play_to_the_end(&path, &rate(0));
            for ms in [0, 500, 10_000] {
                let options = CaptureOptions {
                    from: Some(PlayFrom::Offset(Duration::from_millis(ms))),
                    ..rate(0)
                };
                let (found, error) = play_to_the_end(&path, &options);
                let is_tail = all[..there.len()].ends_with(&found);
                assert!(
                    is_tail,
                    "{name}, cut at {cut}, from {ms} ms: {} of {} frames",
                    found.len(),
                    there.len()
                );
                if ms == 0 {
                    assert_eq!(found.len(), there.len(), "{name}, cut at {cut}");
                }
                assert!(!found.is_empty() || error.is_some(), "{name}, cut at {cut}");
            }
        }
    }
}

/// As fast as it goes, and what was wrong in the end.
fn play_to_the_end(path: &Path, options: &CaptureOptions) -> (Vec<Vec<u8>>, Option<String>) {
    let mut frames = Vec::new();
    let mut source = match open(path, options) {
        Ok(source) => source,
        Err(error) => return (frames, Some(error.to_string())),
    };
    loop {
        match source.try_next(at(0)) {
            Ok(sdvr_source::Next::Frame(frame)) => frames.push(frame.payload.to_vec()),
            Ok(sdvr_source::Next::Ended) => return (frames, None),
            Ok(_) => {}
            Err(error) => return (frames, Some(error.to_string())),
        }
    }
}

#[test]
fn an_hour_is_no_longer_to_begin_in_than_a_second() {
    for name in [
        "hour.mp4",
        "hour-fragments.mp4",
        "hour-unindexed.mp4",
        "hour.mkv",
        "hour-live.mkv",
    ] {
        let path = clip(name);
        let started = Instant::now();
        let mut source = open(&path, &from(Duration::from_secs(3000))).unwrap();
        let frame = loop {
            if let Some(frame) = take(&mut source, at(0)) {
                break frame.unwrap();
            }
        };
        let took = started.elapsed();
        assert!(frame.flags.contains(FrameFlags::KEY));
        assert!(took < Duration::from_secs(1), "{name}: {took:?}");
        eprintln!("{name}: {took:?}");
        let options = CaptureOptions {
            from: Some(PlayFrom::Offset(Duration::from_secs(3000))),
            ..rate(0)
        };
        // Two frames a second, and a key frame every ten.
        assert_eq!(play_to_the_end(&path, &options).0.len(), 1200, "{name}");
    }
}
