//! Cutting H.264 into pictures: where the standard parts them, with what belongs to them, and with the key frames marked.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use sdvr_frame::FourCc;
use sdvr_source::splitter::{SplitError, Splitter};
use support::*;

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

/// An SEI unit of these messages.
fn sei(messages: &[&[u8]]) -> Vec<u8> {
    [&[0x06], messages.concat().as_slice(), &[0x80]].concat()
}

/// recovery_frame_cnt 0 and 11, as x264 writes them for an open group of pictures and for an intra refresh.
const RECOVERY_AT_ONCE: &[u8] = &[0x06, 0x01, 0xc4];
const RECOVERY_LATER: &[u8] = &[0x06, 0x02, 0x19, 0x10];
/// A buffering period and a text, with what looks like a recovery point in it.
const BUFFERING: &[u8] = &[0x00, 0x05, 0x88, 0x00, 0x00, 0x03, 0x01, 0x40];
const TEXT: &[u8] = &[0x05, 0x06, 0x06, 0x01, 0xc4, 0x06, 0x01, 0xc4];

#[test]
fn decoding_can_begin_at_a_recovery_point() {
    let (i, p) = (slice(0x61, true), slice(0x41, true));
    let unit = |sei: &[u8], slice: &[u8]| annex_b(&[(4, AUD), (3, sei), (3, slice)]);
    let long = [&[0x05, 0xff, 0x2d], [0x55; 300].as_slice()].concat();
    let units = [
        (annex_b(&[(4, SPS), (4, PPS), (4, &slice(0x65, true))]), KEY),
        (unit(&sei(&[RECOVERY_AT_ONCE]), &i), KEY),
        (unit(&sei(&[TEXT]), &i), NONE),
        (unit(&sei(&[RECOVERY_LATER]), &p), KEY),
        (annex_b(&[(4, &p)]), NONE),
        (unit(&sei(&[BUFFERING, &long, RECOVERY_AT_ONCE]), &p), KEY),
        (unit(&sei(&[BUFFERING, &long, TEXT]), &p), NONE),
        // In a unit of its own, before another.
        (
            annex_b(&[
                (4, &sei(&[RECOVERY_AT_ONCE])),
                (3, &sei(&[TEXT])),
                (3, &slice(0x61, true)),
                (3, &slice(0x61, false)),
            ]),
            KEY,
        ),
        (unit(&sei(&[]), &p), NONE),
        (unit(&[0x06], &p), NONE),
    ];
    let stream: Vec<u8> = units.iter().flat_map(|(unit, _)| unit.clone()).collect();
    let frames = cut_every_way(&stream, None);
    assert_eq!(
        frames.payloads(),
        units.each_ref().map(|(unit, _)| unit.as_slice())
    );
    assert_eq!(frames.flags(), units.each_ref().map(|(_, flags)| *flags));
}

/// The top field of an IDR picture of frame_num 0, of one I_PCM macroblock, cut short.
const IDR_FIELD: &[u8] = &[
    0x65, 0x88, 0x85, 0x21, 0xa0, 0x64, 0x64, 0x64, 0x64, 0x64, 0x64, 0x64, 0x64,
];

#[test]
fn two_fields_of_a_picture_are_one_frame() {
    let field = |number, is_bottom| skipped(0x41, number, Some(is_bottom));
    let [top, bottom] = [field(0, false), field(0, true)];
    let units = [
        annex_b(&[(4, INTERLACED_SPS), (4, PPS), (4, IDR_FIELD), (4, &bottom)]),
        // What precedes the second field is part of the frame.
        annex_b(&[
            (4, AUD),
            (4, &field(1, true)),
            (4, AUD),
            (3, SEI),
            (3, PPS),
            (3, &field(1, false)),
        ]),
        annex_b(&[(3, &field(2, false)), (3, &field(2, true))]),
        // Frames, coded as such in the same stream.
        annex_b(&[(4, &skipped(0x41, 3, None))]),
        annex_b(&[(4, &skipped(0x41, 4, None))]),
        // A field that lost its other: the next one is of another picture, of the same parity, or an IDR picture.
        annex_b(&[(4, &field(5, false))]),
        annex_b(&[(4, &field(6, true)), (4, &field(6, false))]),
        annex_b(&[(4, AUD), (4, &bottom)]),
        annex_b(&[(4, AUD), (4, &bottom)]),
        annex_b(&[(4, IDR_FIELD), (4, &bottom)]),
        annex_b(&[(4, &top), (4, &bottom), (3, &[0x0c, 0xff, 0x80])]),
        // A third field begins another frame, whatever it is.
        annex_b(&[(4, &top)]),
    ];
    let frames = cut_every_way(&units.concat(), None);
    assert_eq!(frames.payloads(), units);
    let keys: Vec<usize> = (0..units.len())
        .filter(|&at| frames.flags()[at] == KEY)
        .collect();
    assert_eq!(keys, [0, 9]);
    assert_eq!(frames.size, (16, 32));
    // A recovery point of either field is one of the frame.
    let recovery = sei(&[RECOVERY_AT_ONCE]);
    let units = [
        annex_b(&[(4, INTERLACED_SPS), (4, IDR_FIELD), (4, &bottom)]),
        annex_b(&[(4, &recovery), (4, &field(1, false)), (4, &field(1, true))]),
        annex_b(&[(4, &field(2, false)), (4, &recovery), (4, &field(2, true))]),
        annex_b(&[
            (4, &skipped(0x01, 3, Some(false))),
            (4, &skipped(0x01, 3, Some(true))),
        ]),
    ];
    let frames = cut_every_way(&units.concat(), None);
    assert_eq!(frames.payloads(), units);
    assert_eq!(frames.flags(), [KEY, KEY, KEY, DISCARDABLE]);
}

#[test]
fn a_field_is_told_however_late_its_header_comes() {
    // Of parameter set 200, whose number takes 15 bits, so that what tells a field is in the fifth byte.
    let field = |number: u32, is_bottom| {
        let set = 0b1_0011_0000_0000_1100_1001_u32;
        let bits = set << 11 | number << 7 | 2 << 5 | u32::from(is_bottom) << 5 | 0b1_0101;
        [&[0x41], bits.to_be_bytes().as_slice()].concat()
    };
    let units = [
        annex_b(&[(4, INTERLACED_SPS), (4, &[0x55; 64]), (4, IDR_FIELD)]),
        annex_b(&[(4, &field(1, false)), (4, &field(1, true))]),
        annex_b(&[(4, &field(2, false))]),
        annex_b(&[(4, &field(3, false)), (4, &field(3, true))]),
    ];
    assert_eq!(cut_every_way(&units.concat(), None).payloads(), units);
}

#[test]
fn a_second_field_that_does_not_come_is_not_waited_for() {
    let first = annex_b(&[(4, INTERLACED_SPS), (4, IDR_FIELD)]);
    for filler in [10, 4000, 4080, 4095, 4096, 4097, 5000, 20_000] {
        let long = [&[0x06, 0x05], vec![0x55; filler].as_slice()].concat();
        let second = annex_b(&[(4, &long), (4, &skipped(0x41, 0, Some(true)))]);
        let stream = [first.as_slice(), &second].concat();
        let is_near = filler < 4090;
        let frames = cut_every_way(&stream, None);
        assert_eq!(
            frames.lengths().len(),
            if is_near { 1 } else { 2 },
            "{filler}"
        );
        let known = stream.get(..first.len() + 4097).unwrap_or(&stream);
        let mut splitter = Splitter::detect(known, true, None).unwrap().unwrap();
        let found = splitter.next_frame(known, false).unwrap();
        assert_eq!(found.is_some(), !is_near, "{filler}");
    }
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
