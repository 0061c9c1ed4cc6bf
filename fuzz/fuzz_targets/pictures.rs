//! Frames of every format: pictures or errors, of the size that they say, whatever the bytes are.
//!
//! The first byte says which format, the second what is wanted, two each how wide and high it was announced. Frames follow, each with two bytes of
//! length; the highest bit says that decoding can begin with it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sdvr_decode::{Coded, Decoder, Picture, Pixels};
use sdvr_frame::{FourCc, FrameRate, StreamFormat};

const FORMATS: [&[u8; 4]; 24] = [
    b"MJPG", b"H264", b"MJPG", b"H264", b"YUYV", b"UYVY", b"YVYU", b"VYUY", b"NV12", b"NV21",
    b"NV16", b"NV61", b"YU12", b"YV12", b"422P", b"444P", b"GREY", b"Y16 ", b"RGB3", b"BGR3",
    b"RGGB", b"BA81", b"GRBG", b"Y4M0",
];
const PIXELS: [Pixels; 5] = [
    Pixels::Rgb,
    Pixels::Bgr,
    Pixels::Rgba,
    Pixels::Gray,
    Pixels::Planes,
];

fuzz_target!(|input: &[u8]| {
    let Some((&[kind, pixels, width_low, width_high, height_low, height_high], mut rest)) =
        input.split_first_chunk()
    else {
        return;
    };
    let format = StreamFormat {
        fourcc: FourCc(*FORMATS[usize::from(kind) % FORMATS.len()]),
        width: u16::from_le_bytes([width_low, width_high]).into(),
        height: u16::from_le_bytes([height_low, height_high]).into(),
        rate: FrameRate::UNPACED,
    };
    let pixels = PIXELS[usize::from(pixels) % PIXELS.len()];
    let Ok(mut decoder) = Decoder::new(format) else {
        return;
    };
    let mut picture = Picture::default();
    let mut number = 0;
    while let Some((&length, behind)) = rest.split_first_chunk() {
        let length = u16::from_le_bytes(length);
        let (frame, behind) = behind.split_at(usize::from(length & 0x7fff).min(behind.len()));
        rest = behind;
        let coded = Coded {
            bytes: frame,
            number,
            is_key: length & 0x8000 != 0,
        };
        if decoder.decode(coded, pixels, &mut picture) == Ok(true) {
            check(&picture, number);
        }
        number += 1;
    }
    while decoder.drain(pixels, &mut picture) == Ok(true) {
        check(&picture, number);
    }
});

fn check(picture: &Picture, number: u64) {
    assert!(picture.number() <= number);
    assert!(u64::from(picture.width()) * u64::from(picture.height()) <= Picture::PIXELS_MOST);
    let of_planes: usize = picture
        .planes()
        .map(|plane| plane.row_bytes * plane.rows)
        .sum();
    assert_eq!(of_planes, picture.bytes().len());
}
