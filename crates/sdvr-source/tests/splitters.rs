//! Cutting streams into frames: the cuts are where the standards say, do not depend on how the bytes come, and lose nothing.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::time::{Duration, Instant};

use proptest::prelude::*;
use sdvr_frame::{FourCc, FrameFlags};
use sdvr_source::splitter::{FRAME_MOST_BYTES, SplitError, Splitter};
use support::{Frames, annex_b, cut, jpeg, jpeg_with, segment};

const KEY: FrameFlags = FrameFlags::KEY;
const NONE: FrameFlags = FrameFlags::NONE;
const DISCARDABLE: FrameFlags = FrameFlags::DISCARDABLE;
const FORMATS: [Option<FourCc>; 4] = [
    None,
    Some(FourCc::MJPG),
    Some(FourCc::H264),
    Some(FourCc::HEVC),
];

/// Cuts it at once and in pieces of several sizes, checks what always holds, and gives what came out.
fn cut_every_way(stream: &[u8], forced: Option<FourCc>) -> Frames {
    let whole = cut(stream, forced, stream.len().max(1));
    for chunk in [1, 2, 3, 7, 64, 1000] {
        let pieces = cut(stream, forced, chunk);
        assert_eq!(pieces, whole, "in pieces of {chunk}");
    }
    let mut all: Vec<u8> = whole
        .frames
        .iter()
        .flat_map(|frame| frame.consumed.iter().copied())
        .collect();
    all.extend(&whole.rest);
    assert_eq!(all, stream, "all frames together are the stream");
    whole
}

fn is_unknown(frames: &Frames) -> bool {
    matches!(frames.error, Some(SplitError::Unknown(_)))
}

// JPEG

#[test]
fn images_end_with_their_last_byte() {
    let images = [
        jpeg(64, 48, &[1, 2, 3]),
        jpeg(64, 48, &[]),
        jpeg(64, 48, &[9; 3000]),
    ];
    let frames = cut_every_way(&images.concat(), None);
    assert_eq!(frames.payloads(), images);
    assert_eq!(frames.flags(), [KEY; 3]);
    assert_eq!(frames.size, (64, 48));
    assert!(!frames.is_cut_off);
    // Without a byte of the next image, and before the end of the stream.
    let first = &images[0];
    let mut splitter = Splitter::detect(first, true, None).unwrap().unwrap();
    let found = splitter.next_frame(first, false).unwrap().unwrap();
    assert_eq!(found.consumed, first.len());
}

#[test]
fn restart_markers_stuffed_bytes_and_fill_bytes_do_not_end_an_image() {
    let scan: Vec<u8> = (0xd0..=0xd7)
        .flat_map(|restart| [5, 0xff, 0x00, 0xff, restart, 0xff, 0xff, restart])
        .collect();
    let mut image = jpeg(16, 16, &scan);
    // Fill bytes before the end, and before a segment.
    let end = image.len() - 2;
    image.splice(end..end, [0xff; 5]);
    image.splice(2..2, [0xff; 3]);
    let frames = cut_every_way(&[image.clone(), image.clone()].concat(), None);
    assert_eq!(frames.payloads(), [image.as_slice(), &image]);
    assert_eq!(frames.size, (16, 16));
}

#[test]
fn a_thumbnail_does_not_end_an_image_nor_give_it_its_size() {
    let thumbnail = jpeg(8, 8, &[1, 2, 3]);
    let more = [
        segment(0xe0, b"JFIF\0"),
        segment(
            0xe1,
            &[b"Exif\0\0".as_slice(), &thumbnail, &thumbnail].concat(),
        ),
        segment(0xfe, &[0xff, 0xd9, 0xff, 0xd8]),
        segment(0xef, &vec![0xff; 65_533]),
    ]
    .concat();
    let image = jpeg_with(&more, 640, 480, &[&[4, 5]]);
    let frames = cut_every_way(&[image.clone(), image.clone()].concat(), None);
    assert_eq!(frames.payloads(), [image.as_slice(), &image]);
    assert_eq!(frames.size, (640, 480));
}

#[test]
fn an_image_may_have_many_scans() {
    let image = jpeg_with(&[], 32, 32, &[&[1; 10], &[2; 300], &[], &[0xff, 0, 3]]);
    let frames = cut_every_way(&[image.clone(), image.clone()].concat(), None);
    assert_eq!(frames.payloads(), [image.as_slice(), &image]);
}

#[test]
fn what_stands_between_images_goes_with_the_next() {
    let image = jpeg(32, 32, &[1, 2, 3]);
    let boundary = b"\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n".as_slice();
    let padding = [0xff_u8; 7];
    let stream = [
        &image, boundary, &image, &padding, &image, &[0; 512], &image,
    ]
    .concat();
    let frames = cut_every_way(&stream, None);
    let length = image.len();
    assert_eq!(
        frames.lengths(),
        [
            length,
            boundary.len() + length,
            padding.len() + length,
            512 + length
        ]
    );
    // A stream that begins with a boundary has to be named.
    let stream = [boundary, &image].concat();
    assert!(is_unknown(&cut(&stream, None, 1)));
    assert_eq!(
        cut_every_way(&stream, Some(FourCc::MJPG)).lengths(),
        [stream.len()]
    );
}

#[test]
fn much_that_is_no_image_is_an_error_however_it_comes() {
    let image = jpeg(32, 32, &[1, 2, 3]);
    let with_padding = |bytes| [image.as_slice(), &vec![0; bytes], &image].concat();
    let frames = cut_every_way(&with_padding(64 * 1024), None);
    assert_eq!(frames.lengths().len(), 2);
    for bytes in [64 * 1024 + 1, 100_000] {
        let frames = cut_every_way(&with_padding(bytes), None);
        assert_eq!(frames.error, Some(SplitError::NoImage), "{bytes}");
        assert_eq!(frames.frames.len(), 1);
    }
    let garbage: Vec<u8> = (0..200_000_u32)
        .map(|number| (number % 251) as u8)
        .collect();
    assert_eq!(
        cut_every_way(&garbage, Some(FourCc::MJPG)).error,
        Some(SplitError::NoImage)
    );
    assert!(is_unknown(&cut_every_way(&garbage, None)));
    assert_eq!(cut_every_way(&[], None).error, Some(SplitError::Empty));
}

#[test]
fn a_cut_off_image_is_no_frame_at_any_length() {
    let image = jpeg_with(
        &segment(0xe1, &jpeg(8, 8, &[1])),
        32,
        32,
        &[&[1, 2, 0xff, 0, 3]],
    );
    for length in 0..image.len() {
        let stream = [&image, &image[..length]].concat();
        let frames = cut(&stream, None, stream.len());
        assert_eq!(frames.lengths(), [image.len()], "{length}");
        assert_eq!(frames.rest, &image[..length]);
        assert_eq!(frames.is_cut_off, length >= 2, "{length}");
    }
    // The last boundary of a multipart stream is no image that was cut off.
    let frames = cut_every_way(&[&image, b"\r\n--frame--\r\n".as_slice()].concat(), None);
    assert!(!frames.is_cut_off);
}

#[test]
fn a_marker_where_none_belongs_is_an_error() {
    let image = jpeg(32, 32, &[1, 2, 3]);
    let torn = [&image[..image.len() - 2], &image].concat();
    assert_eq!(
        cut_every_way(&torn, None).error,
        Some(SplitError::Marker(0xd8))
    );
    let frames = cut_every_way(&[0xff, 0xd8, 0xd9, 0, 0], Some(FourCc::MJPG));
    assert_eq!(frames.error, Some(SplitError::NoMarker(0xd9)));
}

#[test]
fn any_frame_header_gives_the_size() {
    for code in [0xc0, 0xc1, 0xc2, 0xc3, 0xc5, 0xc9, 0xcf] {
        let mut image = jpeg(7681, 4321, &[1]);
        let at = image
            .windows(2)
            .position(|pair| pair == [0xff, 0xc0])
            .unwrap();
        image[at + 1] = code;
        assert_eq!(cut_every_way(&image, None).size, (7681, 4321), "{code:02x}");
    }
}

// H.264

/// A slice of H.264: its header byte, then whether it is the first of its picture.
fn slice(header: u8, is_first: bool) -> Vec<u8> {
    vec![header, if is_first { 0x88 } else { 0x48 }, 0x84, 0x21, 0xa0]
}

const AUD: &[u8] = &[0x09, 0xf0];
const SEI: &[u8] = &[0x06, 0x05, 0x01, 0x00, 0x80];
const PPS: &[u8] = &[0x68, 0xeb, 0xef, 0x20];
/// 176 by 144, of x264.
const SPS: &[u8] = &[
    0x67, 0x42, 0xc0, 0x0a, 0xda, 0x0b, 0x13, 0xb0, 0x11, 0x00, 0x00, 0x03, 0x00, 0x01, 0x00, 0x00,
    0x03, 0x00, 0x0a, 0x0f, 0x12, 0x26, 0xa0,
];

#[test]
fn what_precedes_a_picture_goes_with_it() {
    let (idr, p) = (slice(0x65, true), slice(0x41, true));
    let units = [
        annex_b(&[(4, AUD), (4, SPS), (4, PPS), (4, SEI), (3, &idr)]),
        annex_b(&[(4, AUD), (3, &p)]),
        annex_b(&[(4, SEI), (3, &p)]),
        annex_b(&[(4, &p)]),
        annex_b(&[(3, &p)]),
        annex_b(&[(4, PPS), (3, &p)]),
        annex_b(&[(4, SPS), (4, PPS), (4, &idr)]),
    ];
    let frames = cut_every_way(&units.concat(), None);
    assert_eq!(frames.payloads(), units);
    assert_eq!(
        frames.flags(),
        [KEY, NONE, NONE, NONE, NONE, NONE, KEY],
        "IDR pictures are where decoding can begin"
    );
    assert_eq!(frames.size, (176, 144));
    assert!(!frames.is_cut_off);
}

#[test]
fn slices_of_one_picture_stay_together() {
    let idr = [slice(0x65, true), slice(0x65, false), slice(0x65, false)];
    let p = [slice(0x41, true), slice(0x41, false)];
    // Partitions and what else follows a slice belong to it; so do the end of a sequence and filler.
    let units = [
        annex_b(&[(4, SPS), (4, &idr[0]), (3, &idr[1]), (4, &idr[2])]),
        annex_b(&[
            (4, &p[0]),
            (3, &p[1]),
            (3, &[0x0c, 0xff, 0x80]),
            (3, &[0x0a]),
        ]),
        annex_b(&[
            (3, &slice(0x42, true)),
            (3, &[0x43, 0x11, 0x80]),
            (3, &[0x44, 0x11, 0x80]),
        ]),
    ];
    let frames = cut_every_way(&units.concat(), None);
    assert_eq!(frames.payloads(), units);
    assert_eq!(frames.flags(), [KEY, NONE, NONE]);
}

#[test]
fn what_precedes_every_slice_does_not_part_a_picture() {
    // A prefix NAL unit, as encoders with temporal layers write it, and a slice of a second layer.
    let (prefix, upper) = ([0x6e, 0x40, 0x80, 0x07], [0x74, 0x40, 0x80, 0x07, 0x11]);
    let idr = [slice(0x65, true), slice(0x65, false)];
    let p = [slice(0x41, true), slice(0x41, false)];
    let units = [
        annex_b(&[
            (4, SPS),
            (4, PPS),
            (4, &prefix),
            (3, &idr[0]),
            (4, &prefix),
            (3, &idr[1]),
        ]),
        annex_b(&[(4, &prefix), (3, &p[0]), (3, &upper)]),
        annex_b(&[(4, &prefix), (3, &p[0]), (4, &prefix), (4, &p[1])]),
        annex_b(&[(4, &prefix), (4, SEI), (4, &p[0])]),
        annex_b(&[(3, &p[0])]),
    ];
    let frames = cut_every_way(&units.concat(), None);
    assert_eq!(frames.payloads(), units);
    // One that goes on and on is not waited for: it begins a picture like anything else would.
    for length in [1020, 1021, 1022, 1023, 1024, 1025, 1030, 5000] {
        let long = [&[0x6e], vec![0x11; length].as_slice()].concat();
        let stream = annex_b(&[(4, SPS), (4, &idr[0]), (3, &long), (3, &idr[1])]);
        cut_every_way(&stream, None);
    }
    let endless = [&[0x6e], vec![0x11; 5000].as_slice()].concat();
    let stream = annex_b(&[(4, SPS), (4, &idr[0]), (3, &endless)]);
    let mut splitter = Splitter::detect(&stream, false, None).unwrap().unwrap();
    assert!(splitter.next_frame(&stream, false).unwrap().is_some());
}

#[test]
fn a_picture_that_no_other_needs_is_discardable() {
    let units = [
        annex_b(&[(4, SPS), (4, &slice(0x65, true))]),
        annex_b(&[(4, &slice(0x01, true)), (4, &slice(0x01, false))]),
        annex_b(&[(4, &slice(0x21, true))]),
        annex_b(&[(4, SEI), (4, &slice(0x01, true))]),
    ];
    let frames = cut_every_way(&units.concat(), None);
    assert_eq!(frames.payloads(), units);
    assert_eq!(frames.flags(), [KEY, DISCARDABLE, NONE, DISCARDABLE]);
}

#[test]
fn trailing_zeros_stay_with_their_picture() {
    let p = slice(0x41, true);
    let units = [
        [
            &[0; 9],
            annex_b(&[(4, SPS), (4, &slice(0x65, true))]).as_slice(),
            &[0; 5],
        ]
        .concat(),
        [annex_b(&[(4, &p)]).as_slice(), &[0; 3]].concat(),
        annex_b(&[(4, &p)]),
    ];
    let stream = [units.concat().as_slice(), &[0; 4]].concat();
    let frames = cut_every_way(&stream, None);
    assert_eq!(
        frames.lengths(),
        [units[0].len(), units[1].len(), units[2].len() + 4]
    );
}

#[test]
fn zeros_before_a_stream_do_not_matter_however_they_come() {
    for zeros in [0, 3, 40, 58, 59, 60, 61, 62, 63, 64, 65, 70, 200] {
        let stream = [
            vec![0; zeros],
            annex_b(&[(4, SPS), (4, &slice(0x65, true))]),
        ]
        .concat();
        let frames = cut_every_way(&stream, None);
        assert_eq!(is_unknown(&frames), zeros > 58, "{zeros}");
        let frames = cut_every_way(&stream, Some(FourCc::H264));
        assert_eq!(frames.lengths(), [stream.len()], "{zeros}");
    }
}

#[test]
fn a_stream_without_start_codes_is_an_error_however_it_comes() {
    for length in [1025, 5000] {
        let stream = [vec![0x11; length], annex_b(&[(3, &slice(0x65, true))])].concat();
        let frames = cut_every_way(&stream, Some(FourCc::H264));
        assert_eq!(frames.error, Some(SplitError::NoStartCode), "{length}");
    }
    let garbage = vec![0x11; 5000];
    for forced in [FourCc::H264, FourCc::HEVC] {
        let frames = cut_every_way(&garbage, Some(forced));
        assert_eq!(frames.error, Some(SplitError::NoStartCode));
    }
    // The rest of a picture whose beginning was missed is little.
    let stream = [vec![0x11; 1024], annex_b(&[(3, &slice(0x65, true))])].concat();
    assert_eq!(
        cut_every_way(&stream, Some(FourCc::H264)).lengths(),
        [stream.len()]
    );
}

#[test]
fn parameter_sets_alone_are_no_frame() {
    let stream = annex_b(&[(4, SPS), (4, PPS), (4, SEI)]);
    let frames = cut_every_way(&stream, None);
    assert!(frames.frames.is_empty());
    assert!(frames.is_cut_off);
}

// H.265

/// A slice of H.265 of a type.
fn slice265(kind: u8, is_first: bool) -> Vec<u8> {
    vec![kind << 1, 1, if is_first { 0xaf } else { 0x2f }, 0x11, 0x80]
}

fn nal265(kind: u8) -> Vec<u8> {
    vec![kind << 1, 1, 0x55, 0x66, 0x80]
}

/// A sequence parameter set of H.265, as far as temporal sub-layers go.
fn sps265(sub_layers: u8) -> Vec<u8> {
    vec![33 << 1, 1, (sub_layers - 1) << 1 | 1, 0x80]
}

#[test]
fn h265_units_begin_where_its_standard_says() {
    let (vps, pps, aud) = (nal265(32), nal265(34), nal265(35));
    let (prefix_sei, suffix_sei, end) = (nal265(39), nal265(40), vec![37 << 1, 1]);
    let idr = [slice265(19, true), slice265(19, false)];
    let p = [slice265(1, true), slice265(1, false)];
    let units = [
        annex_b(&[
            (4, &vps),
            (4, &pps),
            (3, &prefix_sei),
            (3, &idr[0]),
            (3, &idr[1]),
            (3, &suffix_sei),
        ]),
        annex_b(&[(4, &aud), (3, &p[0]), (3, &p[1])]),
        annex_b(&[(4, &p[0]), (3, &suffix_sei), (3, &end)]),
        annex_b(&[(3, &prefix_sei), (3, &p[0])]),
        annex_b(&[(3, &p[0])]),
    ];
    let frames = cut_every_way(&units.concat(), None);
    assert_eq!(frames.payloads(), units);
    assert_eq!(frames.flags(), [KEY, NONE, NONE, NONE, NONE]);
}

#[test]
fn h265_types_tell_what_a_picture_is() {
    let kinds = [
        (16, KEY),
        (17, KEY),
        (18, KEY),
        (19, KEY),
        (20, KEY),
        (21, KEY),
        (0, DISCARDABLE),
        (1, NONE),
        (2, DISCARDABLE),
        (3, NONE),
        (6, DISCARDABLE),
        (7, NONE),
        (8, DISCARDABLE),
        (9, NONE),
    ];
    let mut stream = annex_b(&[(4, &nal265(32)), (4, &sps265(1))]);
    for (kind, _) in kinds {
        stream.extend(annex_b(&[(4, &slice265(kind, true))]));
    }
    let frames = cut_every_way(&stream, None);
    assert_eq!(frames.flags(), kinds.map(|(_, flags)| flags));
}

#[test]
fn h265_pictures_that_a_higher_sub_layer_may_need_are_not_discardable() {
    // TSA_N, no reference within its own sub-layer.
    let picture = |temporal_id: u8| vec![2 << 1, temporal_id + 1, 0xaf, 0x11, 0x80];
    let stream = |parameter_sets: &[(usize, &[u8])]| {
        let pictures = [0, 1, 2].map(|id| annex_b(&[(4, &picture(id))]));
        [annex_b(parameter_sets), pictures.concat()].concat()
    };
    let vps = nal265(32);
    let frames = cut_every_way(&stream(&[(4, &vps), (4, &sps265(3))]), None);
    assert_eq!(frames.flags(), [NONE, NONE, DISCARDABLE]);
    // Nobody has said how many there are.
    let frames = cut_every_way(&stream(&[(4, &vps)]), None);
    assert_eq!(frames.flags(), [NONE; 3]);
}

#[test]
fn h265_layers_above_the_first_belong_to_its_pictures() {
    let mut upper = slice265(1, true);
    upper[1] = 1 << 3 | 1;
    let mut upper_sei = nal265(39);
    upper_sei[1] = 1 << 3 | 1;
    let p = slice265(1, true);
    let units = [
        annex_b(&[(4, &nal265(32)), (4, &slice265(19, true)), (3, &upper)]),
        annex_b(&[(4, &p), (3, &upper_sei), (3, &upper)]),
        annex_b(&[(4, &p)]),
    ];
    assert_eq!(cut_every_way(&units.concat(), None).payloads(), units);
}

// Parameter sets of real encoders

#[test]
fn the_size_is_read_from_parameter_sets_of_real_encoders() {
    for (name, size, hex) in include_str!("vectors/parameter_sets.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let mut words = line.split_whitespace();
            (
                words.next().unwrap(),
                words.next().unwrap(),
                words.next().unwrap(),
            )
        })
    {
        let nal: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let (forced, picture) = if name.starts_with("h264") {
            (FourCc::H264, slice(0x65, true))
        } else {
            (FourCc::HEVC, slice265(19, true))
        };
        let frames = cut_every_way(&annex_b(&[(4, &nal), (4, &picture)]), Some(forced));
        let (width, height) = frames.size;
        assert_eq!(format!("{width}x{height}"), size, "{name}");
        // Cut off anywhere, it gives that size or none, and never anything worse.
        for length in 1..nal.len() {
            let cut_nal = annex_b(&[(4, &nal[..length]), (4, &picture)]);
            let _ = cut(&cut_nal, Some(forced), usize::MAX / 2);
        }
    }
}

// YUV4MPEG2

fn y4m(header: &str, frame_bytes: usize, parameters: &[&str]) -> Vec<u8> {
    let mut stream = format!("YUV4MPEG2 {header}\n").into_bytes();
    for (number, parameters) in parameters.iter().enumerate() {
        stream.extend(format!("FRAME{parameters}\n").bytes());
        stream.extend((0..frame_bytes).map(|at| (at * 7 + number) as u8));
    }
    stream
}

/// Puts a file together again from what travels: the header, then payloads and trailers.
fn rebuilt(header: &[u8], frames: &Frames) -> Vec<u8> {
    let mut stream = header.to_vec();
    for frame in &frames.frames {
        stream.extend(b"FRAME");
        stream.extend(&frame.trailer);
        stream.push(b'\n');
        stream.extend(&frame.payload);
    }
    stream
}

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

// All of them

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
