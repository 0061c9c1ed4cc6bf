//! Cutting YUV4MPEG2 into frames, from which the file can be put together again.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use proptest::prelude::*;
use sdvr_frame::{FourCc, FrameFlags};
use sdvr_source::splitter::Splitter;
use support::*;

#[test]
fn a_yuv_file_is_rebuilt_byte_for_byte() {
    let header = "W6 H4 F30000:1001 Ip A1:1 C420jpeg XYSCSS=420JPEG XCOLORRANGE=LIMITED";
    let stream = y4m(header, 36, &["", " Ip", "", " I1p XQ=3 X", ""]);
    let frames = cut_every_way(&stream, None);
    let trailer = KEY | FrameFlags::TRAILER;
    assert_eq!(frames.flags(), [KEY, trailer, KEY, trailer, KEY]);
    assert_eq!(frames.frames[3].trailer, b" I1p XQ=3 X");
    assert_eq!(frames.size, (6, 4));
    let line = format!("YUV4MPEG2 {header}\n");
    let mut splitter = Splitter::detect(&stream, true, None).unwrap().unwrap();
    splitter.next_frame(&stream, true).unwrap();
    assert_eq!(splitter.extradata(), line.as_bytes(), "kept as it is");
    assert_eq!(rebuilt(splitter.extradata(), &frames), stream);
    assert_eq!(
        (
            splitter.format().rate.numerator,
            splitter.format().rate.denominator
        ),
        (30_000, 1001)
    );
}

#[test]
fn every_colour_space_has_its_frames() {
    // 7 by 5: odd sides round up.
    let (luma, half) = (35, 4 * 3);
    for (colour, fourcc, bytes) in [
        ("", FourCc::YU12, luma + 2 * half),
        ("C420", FourCc::YU12, luma + 2 * half),
        ("C420jpeg", FourCc::YU12, luma + 2 * half),
        ("C420mpeg2", FourCc::YU12, luma + 2 * half),
        ("C420paldv", FourCc::YU12, luma + 2 * half),
        ("C420p10", FourCc::Y4M, 2 * (luma + 2 * half)),
        ("C422", FourCc::YUV422P, luma + 2 * 4 * 5),
        ("C422p12", FourCc::Y4M, 2 * (luma + 2 * 4 * 5)),
        ("C444", FourCc::YUV444P, 3 * luma),
        ("C444p16", FourCc::Y4M, 6 * luma),
        ("C444alpha", FourCc::Y4M, 4 * luma),
        ("C411", FourCc::Y4M, luma + 2 * 2 * 5),
        ("Cmono", FourCc::GREY, luma),
        ("Cmono12", FourCc::Y4M, 2 * luma),
    ] {
        let stream = y4m(&format!("W7 H5 {colour} It"), bytes, &["", " Ib", ""]);
        let frames = cut_every_way(&stream, None);
        assert_eq!(frames.frames.len(), 3, "{colour}: {:?}", frames.error);
        assert!(frames.rest.is_empty(), "{colour}");
        let mut splitter = Splitter::detect(&stream, true, None).unwrap().unwrap();
        splitter.next_frame(&stream, true).unwrap();
        assert_eq!(splitter.format().fourcc, fourcc, "{colour}");
    }
}

#[test]
fn headers_that_are_none_say_why() {
    let error = |stream: &[u8]| cut_every_way(stream, None).error.unwrap().to_string();
    let long = format!("W6 H4 X{}", "x".repeat(1024));
    for (header, part) in [
        (long.as_str(), "longer than 1 KiB"),
        ("W6", "no size"),
        ("W0 H4", "impossible"),
        ("W-6 H4", "impossible"),
        ("W99999999999 H4", "impossible"),
        ("W6 H4 C410", "colour space"),
        ("W6 H4 C420p17", "colour space"),
        ("W6 H4 C420p", "colour space"),
        ("W6 H4 Cmonomono", "colour space"),
        ("W32768 H32768 C444p16", "64 MiB"),
    ] {
        let stream = y4m(header, 100, &["", ""]);
        assert!(
            error(&stream).contains(part),
            "{header}: {}",
            error(&stream)
        );
    }
    // The longest that is allowed.
    let longest = format!("W6 H4 X{}", "x".repeat(1024 - "YUV4MPEG2 W6 H4 X\n".len()));
    assert_eq!(
        cut_every_way(&y4m(&longest, 36, &[""]), None).lengths(),
        [1024 + 6 + 36]
    );
    let mut damaged = y4m("W6 H4", 36, &["", ""]);
    let second = damaged.len() - 36 - 6;
    damaged[second] = b'f';
    assert!(error(&damaged).contains("begin with FRAME"));
    let parameters = format!(" X{}", "x".repeat(256));
    let stream = y4m("W6 H4", 36, &["", &parameters]);
    assert!(error(&stream).contains("longer than 256"));
}

#[test]
fn a_cut_off_yuv_frame_is_no_frame_at_any_length() {
    let stream = y4m("W6 H4", 36, &["", " Ip"]);
    let first = y4m("W6 H4", 36, &[""]).len();
    for length in first..stream.len() {
        let frames = cut(&stream[..length], None, length);
        assert_eq!(frames.lengths(), [first], "{length}");
        assert_eq!(frames.is_cut_off, length > first, "{length}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn yuv_files_are_rebuilt(
        width in 1..9_u32,
        height in 1..9_u32,
        parameters in prop::collection::vec("( [IX][!-~]{0,10}){0,3}", 1..6),
    ) {
        let header = format!("W{width} H{height} Cmono");
        let parameters: Vec<&str> = parameters.iter().map(String::as_str).collect();
        let stream = y4m(&header, (width * height) as usize, &parameters);
        let frames = cut_every_way(&stream, None);
        prop_assert_eq!(rebuilt(format!("YUV4MPEG2 {header}\n").as_bytes(), &frames), stream);
    }
}
