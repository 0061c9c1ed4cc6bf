//! Images of an encoder that uses the standard tables, with and without them, whole and damaged.

use jpeg_encoder::{ColorType, Encoder};
use proptest::prelude::*;

use super::*;

/// A picture with all its Huffman tables, in colour, with a restart marker after every second block.
fn colour() -> Vec<u8> {
    encoded(|encoder, out| {
        encoder.set_restart_interval(2);
        out.push(3);
    })
}

/// A picture of a noisy slope, as the encoder makes it by itself: with the tables of annex K.
fn encoded(set: impl FnOnce(&mut Encoder<&mut Vec<u8>>, &mut Vec<u8>)) -> Vec<u8> {
    let mut image = Vec::new();
    let mut channels = Vec::new();
    let mut encoder = Encoder::new(&mut image, 90);
    set(&mut encoder, &mut channels);
    let (colour, channels) = match channels.first() {
        Some(1) => (ColorType::Luma, 1),
        _ => (ColorType::Rgb, 3),
    };
    let pixels: Vec<u8> = (0..64_u32 * 48 * channels)
        .map(|at| {
            at.wrapping_mul(at)
                .wrapping_mul(2_654_435_761)
                .to_be_bytes()[0]
                / 2
        })
        .collect();
    encoder
        .encode(&pixels, 64, 48, colour)
        .expect("the picture has that size");
    image
}

/// The segments of an image: where each begins and ends, and its marker.
fn segments_of(image: &[u8]) -> Vec<(std::ops::Range<usize>, u8)> {
    let mut segments = Segments::new(image);
    let mut found = Vec::new();
    loop {
        let segment = segments.next().expect("the image is whole");
        found.push((segment.at..segments.at, segment.marker));
        match segment.marker {
            START_OF_SCAN => segments.skip_entropy_coded(),
            END_OF_IMAGE => return found,
            _ => {}
        }
    }
}

/// The image as a webcam sends it: without segments of that marker.
fn without(marker: u8, image: &[u8]) -> Vec<u8> {
    let mut left = image.to_vec();
    for (place, _) in segments_of(image)
        .into_iter()
        .rev()
        .filter(|(_, own)| *own == marker)
    {
        left.drain(place);
    }
    left
}

/// The contents of the tables in an image, sorted, each with its class and number.
fn tables_of(image: &[u8]) -> Vec<Vec<u8>> {
    let mut tables = Vec::new();
    for (place, _) in segments_of(image)
        .into_iter()
        .filter(|(_, own)| *own == DEFINE_HUFFMAN_TABLES)
    {
        let mut rest = &image[place.start + 4..place.end];
        while !rest.is_empty() {
            let count: usize = rest[1..17].iter().map(|&count| usize::from(count)).sum();
            let (table, after) = rest.split_at(17 + count);
            tables.push(table.to_vec());
            rest = after;
        }
    }
    tables.sort();
    tables
}

/// The image with a segment before the one with that marker.
fn with_segment(image: &[u8], marker: u8, content: &[u8], before: u8) -> Vec<u8> {
    let (place, _) = segments_of(image)
        .into_iter()
        .find(|(_, own)| *own == before)
        .expect("there is one");
    let length = u16::try_from(content.len() + 2)
        .expect("it is short")
        .to_be_bytes();
    let mut longer = image[..place.start].to_vec();
    longer.extend_from_slice(&[0xff, marker, length[0], length[1]]);
    longer.extend_from_slice(content);
    longer.extend_from_slice(&image[place.start..]);
    longer
}

#[track_caller]
fn is_untouched(image: &[u8]) {
    match with_huffman_tables(image) {
        Ok(Cow::Borrowed(same)) => assert_eq!(same, image),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_tables_are_those_of_another_encoder() {
    let original = colour();
    let mended = with_huffman_tables(&without(DEFINE_HUFFMAN_TABLES, &original))
        .expect("it is an image")
        .into_owned();
    let tables = tables_of(&mended);
    assert_eq!(tables, tables_of(&original));
    let lengths: Vec<usize> = tables.iter().map(Vec::len).collect();
    assert_eq!(lengths, [29, 29, 179, 179]);
}

#[test]
fn nothing_but_the_tables_is_added() {
    let bare = without(DEFINE_HUFFMAN_TABLES, &colour());
    let mended = with_huffman_tables(&bare)
        .expect("it is an image")
        .into_owned();
    // Both bytes of the marker, two of the length, and 416 of the tables.
    assert_eq!(mended.len(), bare.len() + 420);
    assert_eq!(without(DEFINE_HUFFMAN_TABLES, &mended), bare);
    let markers: Vec<u8> = segments_of(&mended)
        .into_iter()
        .map(|(_, marker)| marker)
        .collect();
    let scan = markers
        .iter()
        .position(|&marker| marker == START_OF_SCAN)
        .expect("it has one");
    assert_eq!(markers[scan - 1], DEFINE_HUFFMAN_TABLES);
    is_untouched(&mended);
}

#[test]
fn an_image_with_its_tables_is_left_as_it_is() {
    is_untouched(&colour());
    is_untouched(&encoded(|encoder, out| {
        encoder.set_optimized_huffman_tables(true);
        out.push(3);
    }));
    is_untouched(&encoded(|_, out| out.push(1)));
}

#[test]
fn only_those_tables_are_added_that_are_missing() {
    let original = colour();
    // Some cameras send the luminance's tables only.
    let bare = without(DEFINE_HUFFMAN_TABLES, &original);
    let luminance: Vec<u8> = tables_of(&original)
        .into_iter()
        .filter(|table| table[0] & 15 == 0)
        .flatten()
        .collect();
    let half = with_segment(&bare, DEFINE_HUFFMAN_TABLES, &luminance, START_OF_SCAN);
    let mended = with_huffman_tables(&half).expect("it is an image");
    assert_eq!(tables_of(&mended), tables_of(&original));
}

#[test]
fn an_image_without_tables_in_several_scans_gets_them_once() {
    let original = encoded(|encoder, out| {
        // More samples than four blocks in an MCU: the encoder writes each component as a scan.
        encoder.set_sampling_factor(jpeg_encoder::SamplingFactor::R_4_1_1);
        out.push(3);
    });
    let mended = with_huffman_tables(&without(DEFINE_HUFFMAN_TABLES, &original))
        .expect("it is an image")
        .into_owned();
    assert_eq!(tables_of(&mended), tables_of(&original));
}

#[test]
fn a_progressive_image_is_left_as_it_is() {
    let image = encoded(|encoder, out| {
        encoder.set_progressive(true);
        out.push(3);
    });
    is_untouched(&without(DEFINE_HUFFMAN_TABLES, &image));
}

#[test]
fn markers_inside_of_segments_are_none() {
    let false_markers = [
        0xff, 0xd9, 0xff, 0xd8, 0xff, 0xda, 0, 2, 0xff, 0xc4, 0, 2, 0xff,
    ];
    let bare = without(DEFINE_HUFFMAN_TABLES, &colour());
    for marker in [0xe1, 0xed, 0xef, 0xfe] {
        for before in [0xdb, 0xc0, START_OF_SCAN] {
            let image = with_segment(&bare, marker, &false_markers, before);
            let mended = with_huffman_tables(&image).expect("it is an image");
            assert_eq!(mended.len(), image.len() + 420);
            assert_eq!(without(DEFINE_HUFFMAN_TABLES, &mended), image);
        }
    }
}

#[test]
fn what_stands_around_the_image_is_left_off() {
    let image = colour();
    let boundary = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n";
    for before in [&[][..], &[0; 40], boundary] {
        for behind in [&[][..], &[0; 3000], &[0xff; 7], &image, b"\r\n"] {
            let frame = [before, &image, behind].concat();
            assert_eq!(with_huffman_tables(&frame).as_deref(), Ok(&image[..]));
        }
    }
    let too_much = [&vec![0; PADDING_MOST_BYTES][..], &image].concat();
    assert_eq!(with_huffman_tables(&too_much), Err(Malformed::NoImage));
}

#[test]
fn fill_bytes_before_a_marker_are_borne() {
    let mut image = without(DEFINE_HUFFMAN_TABLES, &colour());
    for (place, _) in segments_of(&image).into_iter().rev() {
        image.splice(place.start..place.start, [0xff; 3]);
    }
    let mended = with_huffman_tables(&image).expect("it is an image");
    assert_eq!(mended.len(), image.len() + 420);
}

#[test]
fn an_image_that_ends_early_is_refused_wherever_it_ends() {
    let image = colour();
    let scan = segments_of(&image)
        .into_iter()
        .find(|(_, marker)| *marker == START_OF_SCAN);
    let picture = scan.expect("it has one").0.end..image.len();
    for length in 0..image.len() {
        let cut = &image[..length];
        assert!(
            with_huffman_tables(cut).is_err(),
            "{length} of {}",
            image.len()
        );
        // The next image begins in the middle of this one's picture.
        if picture.contains(&length) {
            assert!(
                with_huffman_tables(&[cut, &image].concat()).is_err(),
                "{length}"
            );
        }
    }
}

#[test]
fn what_is_no_image_is_refused_with_the_place() {
    use Malformed::{NoImage, NoMarker, NoPicture, Segment};
    let check =
        |bytes: &[u8], error| assert_eq!(with_huffman_tables(bytes), Err(error), "{bytes:x?}");
    check(b"", NoImage);
    check(b"YUYV", NoImage);
    check(&[0xff, 0xd8, 0xff, 0xd9], NoPicture);
    // A scan without a frame header.
    check(
        &[
            0xff, 0xd8, 0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 1, 0xff, 0xd9,
        ],
        NoPicture,
    );
    check(&[0xff, 0xd8, 0x12], NoMarker { at: 2 });
    check(
        &[0xff, 0xd8, 0xff, 0x00],
        Segment {
            marker: 0x00,
            at: 2,
        },
    );
    // A length that does not even count itself, a table that does not fit, a class and a number that do not exist, no component.
    for (marker, content) in [
        (0xe0, &[0, 1][..]),
        (0xc4, &[0, 4, 0, 0]),
        (0xc4, &[0, 3, 0x20]),
        (0xc4, &[0, 3, 0x04]),
        (0xda, &[0, 3, 0]),
        (0xda, &[0, 2]),
        (0xda, &[0, 5, 1, 1, 0x40]),
        (0xda, &[0, 5, 2, 1, 0]),
    ] {
        check(
            &[&[0xff, 0xd8, 0xff, marker], content].concat(),
            Segment { marker, at: 2 },
        );
    }
}

proptest! {
    #[test]
    fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let frame = [&START_OF_IMAGE[..], &bytes].concat();
        let _ = with_huffman_tables(&bytes);
        let _ = with_huffman_tables(&frame);
    }

    /// What is made of a damaged image is one to which nothing more has to be done, or it is refused.
    #[test]
    fn a_damaged_image_is_refused_or_mended_for_good(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        has_tables in any::<bool>(),
        length in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut image = colour();
        if !has_tables {
            image = without(DEFINE_HUFFMAN_TABLES, &image);
        }
        if is_cut {
            image.truncate(length.index(image.len()));
        }
        for (place, byte) in damage {
            // Where the segments are, most of the time.
            let places = image.len().min(700);
            if let Some(to) = (places > 0).then(|| place.index(places)).and_then(|at| image.get_mut(at)) {
                *to = byte;
            }
        }
        if let Ok(mended) = with_huffman_tables(&image) {
            prop_assert!(mended.starts_with(&START_OF_IMAGE) && mended.ends_with(&[0xff, END_OF_IMAGE]));
            let again = with_huffman_tables(&mended);
            prop_assert!(matches!(again, Ok(Cow::Borrowed(same)) if same == &mended[..]), "{again:?}");
        }
    }
}
