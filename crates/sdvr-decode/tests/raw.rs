//! Pixels that come raw: as ffmpeg makes them of the same bytes, of every format and size, and never outside the frame.

mod common;

use common::{chart, coded, converted, differences, format, picture_of};
use proptest::prelude::*;
use sdvr_decode::{DecodeError, Decoder, DecoderOptions, EngineChoice, Layout, Picture, Pixels};
use sdvr_frame::FourCc;

/// Formats, and what ffmpeg calls them.
const FORMATS: [(&[u8; 4], &str, Layout); 21] = [
    (b"YUYV", "yuyv422", Layout::Yuyv),
    (b"UYVY", "uyvy422", Layout::Uyvy),
    (b"YVYU", "yvyu422", Layout::Yvyu),
    (b"NV12", "nv12", Layout::Nv12),
    (b"NM12", "nv12", Layout::Nv12),
    (b"NV21", "nv21", Layout::Nv21),
    (b"NV16", "yuv422p", Layout::Nv16),
    (b"YU12", "yuv420p", Layout::Yuv420),
    (b"YM12", "yuv420p", Layout::Yuv420),
    (b"422P", "yuv422p", Layout::Yuv422),
    (b"444P", "yuv444p", Layout::Yuv444),
    (b"GREY", "gray", Layout::Gray),
    (b"Y16 ", "gray16le", Layout::Gray16),
    (b"Y16\xa0", "gray16be", Layout::Gray16BigEndian),
    (b"RGB3", "rgb24", Layout::Rgb),
    (b"BGR3", "bgr24", Layout::Bgr),
    (b"BA81", "rgb24", Layout::BayerBggr),
    (b"GBRG", "rgb24", Layout::BayerGbrg),
    (b"GRBG", "rgb24", Layout::BayerGrbg),
    (b"RGGB", "rgb24", Layout::BayerRggb),
    (b"YV12", "yuv420p", Layout::Yvu420),
];
const SIZES: [(u32, u32); 10] = [
    (1, 1),
    (1, 2),
    (2, 1),
    (3, 3),
    (5, 7),
    (17, 1),
    (16, 16),
    (33, 31),
    (63, 2),
    (61, 47),
];

/// Which of red, green and blue a mosaic has in its first pixels, two rows of two.
fn mosaic(fourcc: [u8; 4]) -> Option<[[usize; 2]; 2]> {
    match &fourcc {
        b"BA81" => Some([[2, 1], [1, 0]]),
        b"GBRG" => Some([[1, 2], [0, 1]]),
        b"GRBG" => Some([[1, 0], [2, 1]]),
        b"RGGB" => Some([[0, 1], [1, 2]]),
        _ => None,
    }
}

/// What ffmpeg drew, as the format has it that ffmpeg has no name for.
fn frame(fourcc: &[u8; 4], drawn: &[u8], (width, height): (u32, u32)) -> Vec<u8> {
    if let Some(colours) = mosaic(*fourcc) {
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let pixels = pixels.zip(drawn.as_chunks::<3>().0);
        return pixels
            .map(|((x, y), pixel)| pixel[colours[(y % 2) as usize][(x % 2) as usize]])
            .collect();
    }
    let pixels = (width * height) as usize;
    let (luma, chroma) = drawn.split_at(pixels.min(drawn.len()));
    let (cb, cr) = chroma.split_at(chroma.len() / 2);
    match fourcc {
        b"YV12" => [luma, cr, cb].concat(),
        b"NV16" => {
            let pairs = cb.iter().zip(cr).flat_map(|(cb, cr)| [*cb, *cr]);
            luma.iter().copied().chain(pairs).collect()
        }
        _ => drawn.to_vec(),
    }
}

/// The chart in that format and size is what ffmpeg makes of it, but for roundings.
fn check(fourcc: &[u8; 4], name: &str, layout: Layout, width: u32, height: u32) {
    let what = format!("{} {width}x{height}", FourCc(*fourcc));
    let own = chart(width, height, name);
    let frame = frame(fourcc, &own, (width, height));
    let expected = converted(&own, name, width, height, "rgb24");
    let of = |pixels| picture_of(format(FourCc(*fourcc), width, height), &frame, pixels);
    let rgb = of(Pixels::Rgb).expect(&what);
    assert_eq!(
        (rgb.width(), rgb.height(), rgb.layout()),
        (width, height, Layout::Rgb)
    );
    let (mean, most) = differences(rgb.bytes(), &expected);
    // A mosaic has a third of the colours; at edges the rest is guessed.
    let (mean_most, most_most) = if mosaic(*fourcc).is_some() {
        (12.0, 255)
    } else {
        (1.5, 5)
    };
    if !(mosaic(*fourcc).is_some() && width.min(height) < 4) {
        assert!(
            mean <= mean_most && most <= most_most,
            "{what}: {mean} {most}"
        );
    }

    let pixels = rgb.bytes().as_chunks::<3>().0;
    let bgr: Vec<u8> = pixels.iter().flat_map(|[r, g, b]| [*b, *g, *r]).collect();
    assert_eq!(
        differences(of(Pixels::Bgr).expect(&what).bytes(), &bgr).1,
        0,
        "{what}"
    );
    let rgba: Vec<u8> = pixels
        .iter()
        .flat_map(|[r, g, b]| [*r, *g, *b, 255])
        .collect();
    assert_eq!(
        differences(of(Pixels::Rgba).expect(&what).bytes(), &rgba).1,
        0,
        "{what}"
    );

    let gray = of(Pixels::Gray).expect(&what);
    let weighed: Vec<u8> = pixels
        .iter()
        .map(|[r, g, b]| {
            let sum = 299 * u32::from(*r) + 587 * u32::from(*g) + 114 * u32::from(*b);
            u8::try_from(sum / 1000).expect("it is a mean")
        })
        .collect();
    let (mean, _) = differences(gray.bytes(), &weighed);
    // Colours that no screen has are cut off in one of both.
    assert!(mean <= 8.0, "{what}: gray differs by {mean}");

    let planes = of(Pixels::Planes).expect(&what);
    assert_eq!(planes.layout(), layout, "{what}");
    assert_eq!(planes.bytes(), frame, "{what}");
    let of_planes: usize = planes.planes().map(|plane| plane.bytes.len()).sum();
    assert_eq!(of_planes, frame.len(), "{what}");
}

#[test]
fn every_raw_format_has_the_colours_that_ffmpeg_sees() {
    for (fourcc, name, layout) in FORMATS {
        check(fourcc, name, layout, 64, 48);
    }
}

/// The upper left part of a frame: of every plane the upper left part.
fn cropped(fourcc: FourCc, frame: &[u8], whole: (u32, u32), part: (u32, u32)) -> Vec<u8> {
    let planes_of = |(width, height): (u32, u32), bytes: &[u8]| -> Vec<(usize, usize)> {
        let picture = picture_of(format(fourcc, width, height), bytes, Pixels::Planes);
        let picture = picture.expect("the frame is whole");
        picture
            .planes()
            .map(|plane| (plane.row_bytes, plane.rows))
            .collect()
    };
    let part_bytes = fourcc.raw_frame_bytes(part.0, part.1);
    let part_bytes =
        part_bytes.unwrap_or_else(|| u64::from((part.0 + 2 * part.0.div_ceil(2)) * part.1));
    let part_bytes = usize::try_from(part_bytes).expect("it is small");
    let mut rest = frame;
    let mut out = Vec::new();
    for ((row_bytes, rows), (part_row_bytes, part_rows)) in planes_of(whole, frame)
        .into_iter()
        .zip(planes_of(part, &vec![0; part_bytes]))
    {
        let (plane, behind) = rest.split_at(row_bytes * rows);
        rest = behind;
        for row in plane.chunks(row_bytes).take(part_rows) {
            out.extend_from_slice(&row[..part_row_bytes]);
        }
    }
    out
}

#[test]
fn pictures_of_any_size_are_the_upper_left_of_larger_ones() {
    let whole = (64, 48);
    for (fourcc, name, _) in FORMATS {
        // A mosaic's edge is made of what is on this side of it.
        if mosaic(*fourcc).is_some() {
            continue;
        }
        let fourcc_name = FourCc(*fourcc);
        let large = frame(fourcc, &chart(whole.0, whole.1, name), whole);
        for part in SIZES {
            let small = cropped(fourcc_name, &large, whole, part);
            for (pixels, bytes) in [
                (Pixels::Rgb, 3),
                (Pixels::Bgr, 3),
                (Pixels::Rgba, 4),
                (Pixels::Gray, 1),
            ] {
                let of = |size: (u32, u32), frame: &[u8]| {
                    picture_of(format(fourcc_name, size.0, size.1), frame, pixels)
                        .expect("the frame is whole")
                        .into_bytes()
                };
                let expected: Vec<u8> = of(whole, &large)
                    .chunks(64 * bytes)
                    .take(part.1 as usize)
                    .flat_map(|row| row[..part.0 as usize * bytes].to_vec())
                    .collect();
                // Whole vectors of pixels are rounded otherwise than single ones.
                let (_, most) = differences(&of(part, &small), &expected);
                assert!(most <= 2, "{fourcc_name} {part:?} {pixels:?}: {most}");
            }
        }
    }
}

#[test]
fn a_mosaic_of_one_colour_is_that_colour_in_every_size() {
    let colour = [200_u8, 120, 40];
    for fourcc in [b"RGGB", b"GRBG", b"GBRG", b"BA81"] {
        for (width, height) in SIZES {
            let drawn = colour.repeat((width * height) as usize);
            let frame = frame(fourcc, &drawn, (width, height));
            let picture = picture_of(format(FourCc(*fourcc), width, height), &frame, Pixels::Rgb)
                .expect("the frame is whole");
            if width > 1 && height > 1 {
                let wrong = picture.bytes().chunks(3).find(|pixel| *pixel != colour);
                assert_eq!(wrong, None, "{} {width}x{height}", FourCc(*fourcc));
            }
        }
    }
}

#[test]
fn a_picture_of_8k_is_decoded() {
    let (width, height) = (7680, 4320);
    for fourcc in [
        FourCc::NV12,
        FourCc::YUYV,
        FourCc::YU12,
        FourCc::RGGB,
        FourCc::Y16,
    ] {
        let format = format(fourcc, width, height);
        let bytes = fourcc
            .raw_frame_bytes(width, height)
            .expect("its layout is known");
        let frame = vec![128; usize::try_from(bytes).expect("it is less than 100 MB")];
        let picture = picture_of(format, &frame, Pixels::Rgb).expect("the frame is whole");
        let [first, .., last] = picture.bytes() else {
            panic!("no pixels");
        };
        assert_eq!(first, last);
        assert!((126..=132).contains(first), "{first}");
    }
}

#[test]
fn frames_too_short_or_with_rows_of_another_length_are_refused_with_what_was_expected() {
    let format = format(FourCc::NV12, 640, 480);
    let of = |bytes: usize| picture_of(format, &vec![0; bytes], Pixels::Bgr);
    let expected = 640 * 480 * 3 / 2;
    for bytes in [0, 1, expected - 1, expected + 480 * 32] {
        let error = of(bytes).expect_err("it is no picture of that size");
        assert_eq!(
            error.to_string(),
            format!("{bytes} bytes are no NV12 picture of 640x480 pixels, which has {expected}")
        );
    }
    // The parameters of a FRAME line of YUV4MPEG2, and what a driver rounds up to.
    for bytes in [expected, expected + 1, expected + 256, expected + 479] {
        of(bytes).expect("what is behind the pixels is left alone");
    }
}

#[test]
fn sizes_without_pixels_or_with_too_many_are_refused() {
    for (width, height) in [
        (0, 0),
        (0, 480),
        (640, 0),
        (1 << 15, 1 << 15),
        (u32::MAX, u32::MAX),
    ] {
        for fourcc in [FourCc::YUYV, FourCc::GREY, FourCc::YUV444P] {
            let error = Decoder::new(format(fourcc, width, height)).expect_err("no such picture");
            assert_eq!(error, DecodeError::Size { width, height });
        }
    }
}

#[test]
fn the_header_of_a_yuv4mpeg2_stream_tells_its_planes() {
    for (name, colour, layout, bits) in [
        ("yuv411p", "411", Layout::Yuv411, 8),
        ("yuva444p", "444alpha", Layout::Yuva444, 8),
        ("yuv420p10le", "420p10", Layout::Yuv420Deep, 10),
        ("yuv422p12le", "422p12", Layout::Yuv422Deep, 12),
        ("yuv444p16le", "444p16", Layout::Yuv444Deep, 16),
        ("gray10le", "mono10", Layout::Gray16, 10),
    ] {
        for (width, height) in [(64, 48), (32, 2)] {
            let frame = chart(width, height, name);
            let mut options = DecoderOptions::default();
            options.extradata =
                format!("YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C{colour} XYSCSS=X\n")
                    .into_bytes();
            let mut decoder = Decoder::with_options(format(FourCc::Y4M, width, height), &options)
                .expect("it is a known colour space");
            let mut picture = Picture::default();
            decoder
                .decode(coded(&frame), Pixels::Planes, &mut picture)
                .expect("the frame is whole");
            assert_eq!(picture.bytes(), frame);
            assert_eq!((picture.layout(), picture.sample_bits()), (layout, bits));
            decoder
                .decode(coded(&frame), Pixels::Rgb, &mut picture)
                .expect("the frame is whole");
            let expected = converted(&frame, name, width, height, "rgb24");
            let (mean, most) = differences(picture.bytes(), &expected);
            assert!(
                mean <= 2.0 && most <= 10,
                "{name} {width}x{height}: {mean} {most}"
            );
        }
    }
    let error = Decoder::new(format(FourCc::Y4M, 64, 48)).expect_err("nothing tells its layout");
    assert!(error.to_string().contains("header"), "{error}");
}

#[test]
fn what_cannot_be_decoded_is_said_at_once() {
    for (fourcc, hint) in [
        (FourCc::BNCH, "no pixels"),
        (FourCc(*b"WXYZ"), "not a format"),
    ] {
        let error = Decoder::new(format(fourcc, 64, 48)).expect_err("nothing decodes it");
        assert!(error.to_string().contains(hint), "{error}");
    }
    let mut options = DecoderOptions::default();
    options.engine = EngineChoice::Hardware;
    Decoder::with_options(format(FourCc::NV12, 64, 48), &options)
        .expect_err("no hardware copies pixels");
    assert_eq!(
        Decoder::new(format(FourCc::NV12, 64, 48))
            .expect("it is raw")
            .engine(),
        "raw"
    );
}

#[test]
fn memory_is_used_again() {
    let format = format(FourCc::YUYV, 64, 48);
    let frame = chart(64, 48, "yuyv422");
    let mut decoder = Decoder::new(format).expect("it is raw");
    let mut picture = Picture::default();
    decoder
        .decode(coded(&frame), Pixels::Rgba, &mut picture)
        .expect("the frame is whole");
    let place = picture.bytes().as_ptr();
    for pixels in [Pixels::Rgb, Pixels::Gray, Pixels::Planes, Pixels::Rgba] {
        decoder
            .decode(coded(&frame), pixels, &mut picture)
            .expect("the frame is whole");
        assert_eq!(picture.bytes().as_ptr(), place);
    }
}

proptest! {
    #[test]
    fn no_bytes_of_no_size_are_read_outside_the_frame(
        which in 0..FORMATS.len(),
        (width, height) in (1_u32..70, 1_u32..20),
        missing in 0_usize..3,
        seed: u8,
    ) {
        let (fourcc, ..) = FORMATS[which];
        let format = format(FourCc(*fourcc), width, height);
        let bytes = FourCc(*fourcc).raw_frame_bytes(width, height).unwrap_or(64 * 1024);
        let bytes = usize::try_from(bytes).expect("it is small").saturating_sub(missing);
        let frame: Vec<u8> = (0..bytes).map(|at| at.to_le_bytes()[0].wrapping_mul(31).wrapping_add(seed)).collect();
        for pixels in [Pixels::Rgb, Pixels::Bgr, Pixels::Rgba, Pixels::Gray, Pixels::Planes] {
            let picture = picture_of(format, &frame, pixels);
            if missing > 0 && FourCc(*fourcc).raw_frame_bytes(width, height).is_some() {
                let is_too_short = matches!(picture, Err(DecodeError::Length { .. }));
                prop_assert!(is_too_short);
            }
        }
    }
}
