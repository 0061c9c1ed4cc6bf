//! Containers that are cut off, damaged or made to harm: the frames before that come out, then an error that says where, and nothing else happens.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::path::Path;

use proptest::prelude::*;
use sdvr_source::{Next, Source};
use support::clips::clip;
use support::sources::*;

/// One of each kind, small.
const KINDS: [&str; 10] = [
    "tiny-h264.mp4",
    "tiny-fragments.mp4",
    "tiny-front.mp4",
    "tiny-h264.mkv",
    "tiny-live.mkv",
    "tiny-h265.mp4",
    "tiny-vp8.ivf",
    "tiny-vp9.webm",
    "tiny-av1.mp4",
    "tiny-av1.mkv",
];

/// Frames until the end or an error, at no particular time; all of it in so many calls at most.
fn play(source: &mut Source) -> (Vec<Vec<u8>>, Option<String>) {
    let mut frames = Vec::new();
    for _ in 0..20_000 {
        match source.try_next(at(0)) {
            Ok(Next::Frame(frame)) => frames.push(frame.payload.to_vec()),
            Ok(Next::Ended) => return (frames, None),
            Ok(_) => {}
            Err(error) => return (frames, Some(error.to_string())),
        }
    }
    panic!("it never ends");
}

fn play_file(path: &Path) -> (Vec<Vec<u8>>, Option<String>) {
    match open(path, &rate(0)) {
        Ok(mut source) => play(&mut source),
        Err(error) => (Vec::new(), Some(error.to_string())),
    }
}

#[test]
fn whatever_is_cut_off_the_frames_before_come_out() {
    let files = Files::new();
    for name in KINDS {
        let whole = std::fs::read(clip(name)).unwrap();
        let (expected, _) = play_file(&clip(name));
        let path = files.write("cut", &whole);
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        for cut in (0..whole.len()).rev() {
            file.set_len(cut as u64).unwrap();
            let (frames, error) = play_file(&path);
            assert_eq!(frames, expected[..frames.len()], "{name}, cut at {cut}");
            let is_all = frames.len() == expected.len();
            assert!(
                is_all || error.is_some() || !frames.is_empty(),
                "{name}, cut at {cut}"
            );
        }
    }
}

#[test]
fn a_sample_beyond_the_end_is_named() {
    let files = Files::new();
    for name in ["front.mp4", "h264.mkv", "vp8.ivf"] {
        let whole = std::fs::read(clip(name)).unwrap();
        let path = files.write(name, &whole[..whole.len() * 3 / 4]);
        let (frames, error) = play_file(&path);
        let error = error.unwrap();
        let place = format!("{name}, track 1, sample {}, byte ", frames.len());
        assert!(
            error.contains(&place) && error.contains("the file ends within"),
            "{error}"
        );
        assert!(frames.len() > 10, "{name}");
    }
}

#[test]
fn a_damaged_sample_is_named() {
    let files = Files::new();
    let mut bytes = std::fs::read(clip("front.mp4")).unwrap();
    let (expected, _) = play_file(&clip("front.mp4"));
    // Behind a start code, there is what the file has behind a length; of the longest frame that is one unit, so that its bytes are nowhere else.
    let places = (1..expected.len()).filter_map(|index| {
        let unit = &expected[index][4..];
        let place = bytes.windows(unit.len()).position(|bytes| bytes == unit)?;
        Some((index, place))
    });
    let (index, place) = places
        .max_by_key(|(index, _)| expected[*index].len())
        .unwrap();
    bytes[place - 4..place].fill(0xff);
    let (frames, error) = play_file(&files.write("front.mp4", &bytes));
    let error = error.unwrap();
    assert_eq!(frames, expected[..index]);
    assert!(
        error.contains(&format!("front.mp4, track 1, sample {index}, byte ")),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_ends_it_or_not_but_never_the_program(
        kind in 0..KINDS.len(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        header_only in any::<bool>(),
    ) {
        let mut bytes = std::fs::read(clip(KINDS[kind])).unwrap();
        let length = if header_only { bytes.len().min(1200) } else { bytes.len() };
        for (at, value) in damage {
            bytes[at.index(length)] = value;
        }
        let files = Files::new();
        let path = files.write("damaged", &bytes);
        play_file(&path);
        let later = sdvr_source::CaptureOptions {
            from: Some(sdvr_source::PlayFrom::Offset(std::time::Duration::from_millis(100))),
            ..rate(0)
        };
        if let Ok(mut source) = open(&path, &later) {
            play(&mut source);
        }
    }
}

/// An element of EBML with a length of one or eight bytes.
fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
    let length = match u8::try_from(body.len()) {
        Ok(length) if length < 127 => vec![0x80 | length],
        _ => [&[0x01], &(body.len() as u64).to_be_bytes()[1..]].concat(),
    };
    [id, &length, body].concat()
}

const UNKNOWN: [u8; 8] = [0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

fn matroska(clusters: &[u8], codec: &[u8]) -> Vec<u8> {
    matroska_with(clusters, codec, &[])
}

/// With the settings of its video.
fn matroska_with(clusters: &[u8], codec: &[u8], video: &[u8]) -> Vec<u8> {
    let track = [
        element(&[0xd7], &[1]),
        element(&[0x83], &[1]),
        element(&[0x86], codec),
        element(&[0x23, 0xe3, 0x83], &40_000_000_u32.to_be_bytes()),
        element(&[0xe0], video),
    ];
    [
        element(
            &[0x1a, 0x45, 0xdf, 0xa3],
            &element(&[0x42, 0x82], b"matroska"),
        ),
        [&[0x18, 0x53, 0x80, 0x67], UNKNOWN.as_slice()].concat(),
        element(&[0xec], &[0; 300]),
        element(
            &[0x16, 0x54, 0xae, 0x6b],
            &element(&[0xae], &track.concat()),
        ),
        clusters.to_vec(),
    ]
    .concat()
}

#[test]
fn laced_blocks_and_clusters_without_length_come_out() {
    let files = Files::new();
    let images: Vec<Vec<u8>> = (0..3_u8)
        .map(|fill| [[0xff, 0xd8].as_slice(), &[fill; 40], &[0xff, 0xd9]].concat())
        .collect();
    let bytes = images[0].len();
    let block = |flags: u8, sizes: &[u8]| {
        let head = [0x81, 0, 0, flags];
        element(
            &[0xa3],
            &[&head, sizes, images.concat().as_slice()].concat(),
        )
    };
    let blocks = [
        block(0x02, &[2, bytes as u8, bytes as u8]),
        block(0x04, &[2]),
        // The second is as long as the first: the middle of what a byte can say.
        block(0x06, &[2, 0x80 | bytes as u8, 0x80 | 63]),
    ];
    let cluster = |time: u8, block: &[u8]| {
        let group = [
            element(&[0xe7], &[time]),
            element(&[0xec], &[0; 5]),
            block.to_vec(),
        ];
        [
            &[0x1f, 0x43, 0xb6, 0x75],
            UNKNOWN.as_slice(),
            &group.concat(),
        ]
        .concat()
    };
    let clusters: Vec<Vec<u8>> = [0, 120, 240]
        .into_iter()
        .zip(&blocks)
        .map(|(time, block)| cluster(time, block))
        .collect();
    let path = files.write("laced.mkv", &matroska(&clusters.concat(), b"V_MJPEG"));
    let mut source = open(&path, &sdvr_source::CaptureOptions::default()).unwrap();
    let frames = take_all(&mut source);
    let images: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
    assert_eq!(payloads(&frames), images.repeat(3));
    let apart = |pair: &[Taken]| pair[1].captured.nanoseconds_since(pair[0].captured);
    assert!(frames.windows(2).all(|pair| apart(pair) == 40 * MS));
}

#[test]
fn lengths_that_nobody_has_are_refused_before_memory_is_spent() {
    let files = Files::new();
    let huge = [
        &[0x01],
        0x00ff_ffff_ffff_fff0_u64.to_be_bytes()[1..].as_ref(),
    ]
    .concat();
    let cluster = [
        &[0x1f, 0x43, 0xb6, 0x75],
        UNKNOWN.as_slice(),
        &[0xa3],
        &huge,
        &[0x81; 40],
    ]
    .concat();
    let ivf = [
        b"DKIF\0\0\x20\0VP80",
        [16, 0, 16, 0, 25, 0, 0, 0, 1, 0, 0, 0].as_slice(),
        &[0; 8],
        &[0xff; 12],
    ]
    .concat();
    let moov = [
        &[0, 0, 0, 16],
        b"ftypisom".as_slice(),
        &[0; 4],
        &[0, 0, 0, 1],
        b"moov",
        &[0, 0, 0, 0xff, 0, 0, 0, 0],
        &[0; 64],
    ]
    .concat();
    for (name, bytes) in [
        ("block.mkv", matroska(&cluster, b"V_VP8")),
        ("frame.ivf", ivf),
        ("index.mp4", moov),
    ] {
        let error = play_file(&files.write(name, &bytes)).1.unwrap();
        assert!(error.contains("at most"), "{error}");
    }
}

#[test]
fn uncompressed_frames_are_as_long_as_their_format_makes_them() {
    let files = Files::new();
    let cluster = |frames: &[&[u8]]| {
        let blocks = frames
            .iter()
            .map(|frame| element(&[0xa3], &[&[0x81, 0, 0, 0x80], *frame].concat()));
        let group = [element(&[0xe7], &[0]), blocks.collect::<Vec<_>>().concat()];
        element(&[0x1f, 0x43, 0xb6, 0x75], &group.concat())
    };
    let video = |name: &[u8], side: u8| {
        [
            element(&[0xb0], &[side]),
            element(&[0xba], &[side]),
            element(&[0x2e, 0xb5, 0x24], name),
        ]
        .concat()
    };
    let played = |name: &[u8], side: u8, frames: &[&[u8]]| {
        let bytes = matroska_with(&cluster(frames), b"V_UNCOMPRESSED", &video(name, side));
        play_file(&files.write("pixels.mkv", &bytes))
    };
    // Some devices put rows behind the picture.
    let (long, exact, short) = ([1; 9], [2; 8], [3; 7]);
    assert_eq!(
        played(b"YUY2", 2, &[&exact, &long]),
        (vec![exact.to_vec(), long.to_vec()], None)
    );
    let (frames, error) = played(b"YUY2", 2, &[&exact, &short]);
    assert_eq!(frames, [exact]);
    let error = error.unwrap();
    assert!(
        error.contains("sample 1, ") && error.contains("shorter than its size"),
        "{error}"
    );
    for (name, side, expected) in [
        (
            b"v210".as_slice(),
            2,
            "its video is V210, which is not carried",
        ),
        (b"YUY", 2, "its video is of an unknown kind"),
        (b"YUY2", 0, "does not say how large its pictures are"),
    ] {
        let (frames, error) = played(name, side, &[&exact]);
        let error = error.unwrap();
        assert!(
            frames.is_empty() && error.to_lowercase().contains(&expected.to_lowercase()),
            "{error}"
        );
    }
}
