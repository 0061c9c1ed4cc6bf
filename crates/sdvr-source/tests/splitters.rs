//! Cutting streams of any format: what is none is named, time is bounded, and the cuts do not depend on how the bytes come.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::time::{Duration, Instant};

use proptest::prelude::*;
use sdvr_frame::FourCc;
use sdvr_source::splitter::{FRAME_MOST_BYTES, SplitError, Splitter};
use support::*;

const FORMATS: [Option<FourCc>; 4] = [
    None,
    Some(FourCc::MJPG),
    Some(FourCc::H264),
    Some(FourCc::HEVC),
];

#[test]
fn files_that_pack_video_are_named() {
    let mp4 = [&[0, 0, 0, 32], b"ftypisom".as_slice(), &[0; 100]].concat();
    // A box of 64-bit length looks like a start code.
    let large = [&[0, 0, 0, 1], b"ftypqt  ".as_slice(), &[0; 100]].concat();
    let matroska = [&[0x1a, 0x45, 0xdf, 0xa3], [0; 100].as_slice()].concat();
    let avi = [b"RIFF1234AVI LIST".as_slice(), &[0; 100]].concat();
    for (file, name) in [
        (mp4, "MP4"),
        (large, "MP4"),
        (matroska, "Matroska"),
        (avi, "AVI"),
    ] {
        let error = cut_every_way(&file, None).error.unwrap().to_string();
        assert!(error.contains(name) && error.contains("ffmpeg"), "{error}");
    }
}

#[test]
fn what_is_not_carried_is_named_with_what_to_do() {
    let padded = |start: &[u8]| [start, &[0; 100]].concat();
    let transport_stream = padded(&[0x47, 0x40, 0x11, 0x10, 0x00, 0x42, 0xf0, 0x25]);
    for (file, name, command) in [
        (padded(b"\x89PNG\r\n\x1a\n"), "a PNG picture", "-f mjpeg"),
        (padded(b"GIF89a"), "a GIF picture", "-f mjpeg"),
        (padded(b"RIFF1234WEBPVP8 "), "a WebP picture", "-f mjpeg"),
        (padded(&[0, 0, 1, 0xb3, 0x14]), "MPEG-2", "-f mjpeg"),
        (padded(&[0, 0, 1, 0xb0, 0x01]), "MPEG-4 part 2", "-f mjpeg"),
        (padded(b"DKIF\0\0"), "VP9", "-f mjpeg"),
        (transport_stream, "an MPEG-TS", "-c:v copy"),
        (padded(&[0, 0, 1, 0xba, 0x44]), "an MPEG-PS", "-c:v copy"),
        (padded(b"OggS\0"), "an Ogg", "-c:v copy"),
        (
            padded(b"--ffmpeg\r\nContent-type: image/jpeg\r\n"),
            "a multipart",
            "-f mpjpeg",
        ),
        (padded(b"\r\n--a b\r\n"), "begins with", "-f"),
        (padded(b"--\n"), "begins with", "-f"),
    ] {
        let error = cut_every_way(&file, None).error.unwrap().to_string();
        assert!(error.contains(name) && error.contains(command), "{error}");
    }
}

#[test]
fn what_is_unknown_is_shown_in_part_and_harmlessly() {
    let error = |stream: &[u8]| cut_every_way(stream, None).error.unwrap().to_string();
    let text = error(b"PK\x03\x04\x1b[31m and more");
    assert!(
        text.contains("begins with 50 4B 03 04 1B 5B 33 31;"),
        "{text}"
    );
    let text = error(b"\n");
    assert!(text.contains("begins with 0A;"), "{text}");
}

#[test]
fn time_grows_with_the_length_of_a_frame_and_not_with_its_square() {
    // 60 MB in pieces as they come from a file. What looks at everything again for each piece takes 120 times as long.
    const BYTES: usize = 60_000_000;
    const PIECE: usize = 256 * 1024;
    // These are looked at one by one, slowly without optimisation.
    const FILL_BYTES: usize = BYTES / 4;
    let nal = annex_b(&[(4, SPS), (4, &slice(0x65, true))]);
    let zeros = annex_b(&[(4, &nal265(32)), (4, &slice265(19, true))]);
    let streams = [
        jpeg(64, 64, &vec![0x55; BYTES]),
        // Fill bytes up to the end.
        jpeg(64, 64, &vec![0xff; FILL_BYTES]),
        jpeg_with(&vec![0xff; FILL_BYTES], 64, 64, &[&[1]]),
        [nal.as_slice(), &vec![0x55; BYTES], &nal].concat(),
        [zeros.as_slice(), &vec![0; BYTES], &zeros].concat(),
        y4m("W5000 H4000 C444", BYTES, &[""]),
    ];
    for stream in &streams {
        let mut splitter = Splitter::detect(stream, true, None).unwrap().unwrap();
        let started = Instant::now();
        let mut end = 0;
        let found = loop {
            end = (end + PIECE).min(stream.len());
            if let Some(found) = splitter
                .next_frame(&stream[..end], end == stream.len())
                .unwrap()
            {
                break found;
            }
            assert!(end < stream.len());
        };
        let took = started.elapsed();
        assert!(found.consumed >= FILL_BYTES);
        println!("{:?}: {took:?}", splitter.format().fourcc);
        assert!(
            took < Duration::from_secs(8),
            "{:?}: {took:?}",
            splitter.format().fourcc
        );
    }
}

#[test]
fn a_frame_without_an_end_is_given_up() {
    let mut endless = jpeg(64, 64, &[]);
    endless.truncate(endless.len() - 2);
    endless.resize(FRAME_MOST_BYTES + 8192, 0x55);
    let mut nal = annex_b(&[(4, SPS), (4, &slice(0x65, true))]);
    nal.resize(FRAME_MOST_BYTES + 8192, 0x55);
    for stream in [endless, nal] {
        let mut splitter = Splitter::detect(&stream, false, None).unwrap().unwrap();
        assert_eq!(
            splitter.next_frame(&stream, false),
            Err(SplitError::TooLong)
        );
    }
}

/// Bytes that are often what the splitters look for.
fn likely_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        3 => any::<u8>(),
        2 => Just(0_u8),
        1 => Just(1_u8),
        2 => Just(0xff_u8),
        1 => Just(0xd8_u8),
        1 => Just(0xd9_u8),
        1 => Just(0xda_u8),
        1 => Just(0x65_u8),
        1 => Just(0x67_u8),
        1 => Just(0x42_u8),
    ];
    prop::collection::vec(byte, 0..400)
}

/// Pieces of streams, whole and damaged.
fn likely_pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        likely_bytes(),
        prop::collection::vec(any::<u8>(), 0..60).prop_map(|scan| jpeg(16, 16, &scan)),
        (
            any::<bool>(),
            0..32_u8,
            prop::collection::vec(any::<u8>(), 0..30)
        )
            .prop_map(|(long, kind, content)| {
                let nal = [&[0x60 | kind], content.as_slice()].concat();
                annex_b(&[(if long { 4 } else { 3 }, &nal)])
            }),
        (0..64_u8, prop::collection::vec(any::<u8>(), 0..30)).prop_map(|(kind, content)| {
            annex_b(&[(4, &[&[kind << 1, 1], content.as_slice()].concat())])
        }),
        (1..9_u8, 1..9_u8, "[ -~]{0,12}").prop_map(|(w, h, text)| {
            format!("YUV4MPEG2 W{w} H{h} {text}\nFRAME {text}\n").into_bytes()
        }),
        Just(annex_b(&[(4, SPS)])),
        Just(annex_b(&[(4, INTERLACED_SPS)])),
        (0..2_u32, any::<Option<bool>>())
            .prop_map(|(number, field)| annex_b(&[(3, &skipped(0x41, number, field))])),
        Just(b"FRAME\n".to_vec()),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_cut_the_same_however_they_come(bytes in likely_bytes()) {
        for forced in FORMATS {
            cut_every_way(&bytes, forced);
        }
    }

    #[test]
    fn any_pieces_are_cut_the_same_however_they_come(bytes in likely_pieces()) {
        for forced in FORMATS {
            cut_every_way(&bytes, forced);
        }
    }

    #[test]
    fn streams_of_images_are_cut_between_them(
        scans in prop::collection::vec(prop::collection::vec(0..0xff_u8, 0..200), 1..8),
    ) {
        let images: Vec<Vec<u8>> = scans.iter().map(|scan| jpeg(16, 16, scan)).collect();
        let frames = cut_every_way(&images.concat(), None);
        prop_assert_eq!(frames.payloads(), images);
    }
}
