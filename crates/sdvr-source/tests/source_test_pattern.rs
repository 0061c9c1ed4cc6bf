//! The test pattern comes in every format and at its rate; what nobody took in time is missing and numbered.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use sdvr_frame::{FourCc, FrameFlags, FrameRate, Timestamp, bench_frame};
use sdvr_source::{CaptureOptions, Source, SourceSpec};
use support::sources::*;

#[test]
fn the_test_pattern_comes_in_every_format() {
    for (format, bytes) in [
        ("MJPG", None),
        ("YUYV", Some(64 * 48 * 2)),
        ("NV12", Some(64 * 48 * 3 / 2)),
        ("GREY", Some(64 * 48)),
        ("BNCH", Some(1000)),
    ] {
        let more = if format == "BNCH" { "&bytes=1000" } else { "" };
        let spec = format!("test:?size=64x48&fps=0&count=40&format={format}{more}");
        let mut source = test_source(&spec, &CaptureOptions::default()).unwrap();
        assert!(!source.is_live());
        let description = source.description().unwrap();
        let frames = take_all(&mut source);
        assert_eq!(numbers(&frames), (0..40).collect::<Vec<_>>(), "{format}");
        assert_ne!(frames[0].payload, frames[1].payload, "{format} moves");
        for frame in &frames {
            assert_eq!(frame.flags, FrameFlags::KEY);
            assert!(frame.payload.len() <= description.frame_bytes.unwrap());
            match bytes {
                Some(bytes) => assert_eq!(frame.payload.len(), bytes, "{format}"),
                None => {
                    let cut = support::cut(&frame.payload, None, 1000);
                    assert_eq!(cut.lengths(), [frame.payload.len()]);
                    assert_eq!(cut.size, (64, 48));
                }
            }
            if format == "BNCH" {
                let header = bench_frame::check(&frame.payload).unwrap();
                assert_eq!(header.sequence.0, frame.number);
                assert_eq!(header.captured, frame.captured);
            }
        }
    }
}

#[test]
fn every_key_may_be_said_of_every_format() {
    // As the manual has it.
    let text = "test:?size=1280x720&fps=30&format=MJPG&bytes=100000&count=300";
    assert!(text.parse::<SourceSpec>().is_ok());
    for format in ["MJPG", "YUYV", "NV12", "GREY", "BNCH"] {
        let spec = format!("test:?size=64x48&fps=0&format={format}&bytes=4321&count=3");
        let mut source = test_source(&spec, &CaptureOptions::default()).unwrap();
        let frames = take_all(&mut source);
        assert_eq!(frames.len(), 3, "{format}");
        assert_eq!(frames[0].payload.len() == 4321, format == "BNCH");
    }
}

#[test]
fn a_stall_over_the_end_of_the_test_pattern_is_missing_before_its_last_frame() {
    let spec = "test:?format=BNCH&bytes=64&fps=100&count=20";
    let mut source = test_source(spec, &CaptureOptions::default()).unwrap();
    assert_eq!(take(&mut source, at(1000)).unwrap().unwrap().number, 0);
    assert_eq!(take(&mut source, at(9000)).unwrap().unwrap().number, 19);
    assert_eq!(take(&mut source, at(9100)), Some(None));
}

#[test]
fn what_is_made_on_demand_is_not_made_to_be_left_out() {
    let spec = "test:?format=BNCH&bytes=64&fps=0&count=3";
    let mut source = test_source(spec, &every_nth(u32::MAX)).unwrap();
    assert_eq!(numbers(&take_all(&mut source)), [0, 1, 2]);
}

#[test]
fn options_go_before_what_the_name_says() {
    let options = CaptureOptions {
        size: Some((32, 16)),
        fourcc: Some(FourCc::GREY),
        ..rate(5)
    };
    let source = test_source("test:?size=64x48&format=YUYV&fps=30", &options).unwrap();
    let format = source.description().unwrap().format;
    assert_eq!((format.width, format.height), (32, 16));
    assert_eq!(format.fourcc, FourCc::GREY);
    assert_eq!(format.rate, FrameRate::from_whole(5));
}

#[test]
fn moments_of_the_test_pattern_that_nobody_took_are_missing_numbers() {
    let mut source = test_source(
        "test:?format=BNCH&bytes=64&fps=100",
        &CaptureOptions::default(),
    )
    .unwrap();
    assert!(source.is_live());
    let mut number = |ms| take(&mut source, at(ms)).map(|next| next.unwrap().number);
    assert_eq!(number(1000), Some(0));
    assert_eq!(number(1005), None);
    assert_eq!(number(1010), Some(1));
    assert_eq!(number(1010), None);
    assert_eq!(number(1047), Some(4));
    assert_eq!(number(1050), Some(5));
    // A night's sleep is many numbers, and no burst.
    assert_eq!(number(1050 + 10_000), Some(1005));
    assert_eq!(number(1050 + 10_000), None);
    assert_eq!(source.poll_timeout(), Some(at(1060 + 10_000)));
}

#[test]
fn the_test_pattern_may_be_thinned_out() {
    let mut source =
        test_source("test:?format=BNCH&bytes=64&fps=100&count=5", &every_nth(3)).unwrap();
    let frames = take_all(&mut source);
    assert_eq!(numbers(&frames), [0, 1, 2, 3, 4]);
    let captured: Vec<Timestamp> = frames.iter().map(|frame| frame.captured).collect();
    assert_eq!(captured[1], captured[0].offset_by(30 * MS));
    assert_eq!(captured[4], captured[0].offset_by(120 * MS));
}

#[test]
fn a_source_has_a_name_of_local_facts() {
    let name = |text: &str| Source::stable_name(&text.parse().unwrap());
    assert_eq!(name("-"), "stdin");
    assert_eq!(name("test:"), "test");
    assert_eq!(name("/a/door.mjpeg"), "door");
    assert_eq!(name("/"), "file");
}
