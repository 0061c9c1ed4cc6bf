//! Cutting H.264 and H.265 into pictures: where the standards part them, with what belongs to them, and with the key frames marked.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use sdvr_frame::FourCc;
use support::*;

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
fn decoding_can_begin_at_a_recovery_point() {
    // recovery_poc_cnt 0, after a text with something like it.
    let sei = [
        39 << 1,
        1,
        0x05,
        0x03,
        0x06,
        0x01,
        0xe0,
        0x06,
        0x01,
        0xe0,
        0x80,
    ];
    let units = [
        annex_b(&[(4, &nal265(32)), (4, &slice265(19, true))]),
        annex_b(&[(4, &sei), (3, &slice265(1, true)), (3, &slice265(1, false))]),
        annex_b(&[(4, &sei[..8]), (3, &slice265(1, true))]),
        annex_b(&[(4, &slice265(1, true))]),
    ];
    let frames = cut_every_way(&units.concat(), None);
    assert_eq!(frames.payloads(), units);
    assert_eq!(frames.flags(), [KEY, KEY, NONE, NONE]);
}

#[test]
fn h265_is_told_by_a_picture_where_parameter_sets_are_missing() {
    for kind in 16..=21 {
        let stream = annex_b(&[(4, &slice265(kind, true)), (4, &slice265(1, true))]);
        let frames = cut_every_way(&stream, None);
        assert_eq!(frames.flags(), [KEY, NONE], "{kind}");
        assert_eq!(frames, cut_every_way(&stream, Some(FourCc::HEVC)));
    }
    let h264 = annex_b(&[(4, &[0x65, 0x88, 0x84]), (4, &[0x41, 0x9a, 0x22])]);
    assert_eq!(
        cut_every_way(&h264, None),
        cut_every_way(&h264, Some(FourCc::H264))
    );
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
