//! Cutting MJPEG into images: by what their markers say, whatever stands in them and between them.

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
    assert_eq!(cut(&stream, None, 1).error, Some(SplitError::Multipart));
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
fn an_image_without_its_end_ends_where_the_next_begins() {
    let image = jpeg(32, 32, &[1, 2, 3, 0xff, 0, 4]);
    // In its data, behind a stuffed byte, without any data, before half a stuffed byte, and with fill bytes instead of its end.
    for torn in [
        &image[..image.len() - 2],
        &image[..image.len() - 3],
        &image[..image.len() - 8],
        &image[..image.len() - 4],
        &[&image[..image.len() - 2], &[0xff; 3]].concat(),
    ] {
        let stream = [&image, torn, &image].concat();
        let frames = cut_every_way(&stream, None);
        // A lone FF is taken for fill: it stays with the image, or with the marker of the next one.
        assert_eq!(frames.lengths().len(), 3, "{torn:02x?}");
        assert_eq!(frames.payloads()[0], image);
        assert_eq!(frames.payloads()[1], torn);
        assert_eq!(frames.payloads()[2], image);
        assert!(!frames.is_cut_off);
    }
    // The last one of a stream is not whole, and nothing ends it.
    let frames = cut_every_way(&image[..image.len() - 2], None);
    assert!(frames.frames.is_empty() && frames.is_cut_off);
}

/// A bad cable, or a byte that flipped on the way: a camera must not end for it.
#[test]
fn an_image_with_a_marker_that_cannot_be_is_one_frame_and_the_next_is_whole() {
    let image = jpeg(32, 32, &[1, 2, 3, 0xff, 0, 4]);
    let data = image.len() - 4;
    for damage in [
        // A reserved marker in the data, and what can only be headers.
        [&image[..data], &[0xff, 0xa8, 7, 7], &image[data..]].concat(),
        [&image[..2], &[7; 9], &image[2..]].concat(),
        // Cut off in its headers, with the next one right behind.
        image[..2].to_vec(),
        // Noise with beginnings of images that are none.
        [
            &image[..data],
            &[0xff, 0x02, 0xff, 0xd8, 0, 0xff, 0xd8, 1, 2, 3],
        ]
        .concat(),
    ] {
        let stream = [&image, damage.as_slice(), &image, &image].concat();
        let frames = cut_every_way(&stream, None);
        assert_eq!(frames.error, None, "{damage:02x?}");
        assert_eq!(
            frames.payloads(),
            [&image, &damage, &image, &image].map(|frame| frame.clone())
        );
        assert!(!frames.is_cut_off);
    }
    // At the end nothing comes that would end it.
    let stream = [image.as_slice(), &image[..data], &[0xff, 0xa8, 7]].concat();
    let frames = cut_every_way(&stream, None);
    assert!(frames.frames.len() == 1 && frames.is_cut_off && frames.error.is_none());
}

#[test]
fn a_marker_where_none_belongs_is_an_error() {
    // Within the headers, before there is anything to see.
    let image = jpeg(32, 32, &[1, 2, 3]);
    let torn = [&image[..2], &image].concat();
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
