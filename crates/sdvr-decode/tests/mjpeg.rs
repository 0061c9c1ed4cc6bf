//! JPEG images as cameras and files have them: right pixels of whole ones, an error of every one that is not whole.

mod common;

use common::{coded, differences, ffmpeg, format, picture_of};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use proptest::prelude::*;
use sdvr_decode::{DecodeError, Decoder, Layout, Picture, Pixels};
use sdvr_frame::FourCc;

const SIZES: [(u32, u32); 8] = [
    (1, 1),
    (1, 2),
    (3, 3),
    (5, 7),
    (17, 1),
    (16, 16),
    (64, 48),
    (161, 121),
];

/// A soft slope of colours with a diagonal edge.
fn drawn(width: u32, height: u32) -> Vec<u8> {
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    pixels
        .flat_map(|(x, y)| {
            let slope =
                |at: u32, of: u32| u8::try_from(40 + 160 * at / of.max(1)).unwrap_or(u8::MAX);
            let edge = if x + y < width / 2 { 30 } else { 0 };
            [slope(x, width), slope(y, height), 90 + edge]
        })
        .collect()
}

fn image(
    (width, height): (u32, u32),
    set: impl FnOnce(&mut Encoder<&mut Vec<u8>>),
    colours: ColorType,
) -> Vec<u8> {
    let mut image = Vec::new();
    let mut encoder = Encoder::new(&mut image, 92);
    set(&mut encoder);
    let mut pixels = drawn(width, height);
    if colours == ColorType::Luma {
        pixels = pixels.chunks(3).map(|pixel| pixel[0]).collect();
    }
    let side = |side: u32| u16::try_from(side).expect("it is small");
    encoder
        .encode(&pixels, side(width), side(height), colours)
        .expect("the picture has that size");
    image
}

/// As a webcam sends it: without segments of that marker, which are in the headers.
fn without(marker: u8, image: &[u8]) -> Vec<u8> {
    let mut out = image[..2].to_vec();
    let mut at = 2;
    while image[at + 1] != 0xda {
        let length = usize::from(u16::from_be_bytes([image[at + 2], image[at + 3]])) + 2;
        if image[at + 1] != marker {
            out.extend_from_slice(&image[at..at + length]);
        }
        at += length;
    }
    out.extend_from_slice(&image[at..]);
    out
}

fn of(image: &[u8], pixels: Pixels) -> Result<Picture, DecodeError> {
    // The announced size is not the image's: what counts is in the image.
    picture_of(format(FourCc::MJPG, 640, 480), image, pixels)
}

/// All images that cameras send, but for their sizes.
fn kinds(size: (u32, u32)) -> Vec<(&'static str, Vec<u8>, ColorType)> {
    let colour = |set: fn(&mut Encoder<&mut Vec<u8>>)| image(size, set, ColorType::Rgb);
    let whole = colour(|encoder| encoder.set_sampling_factor(SamplingFactor::F_2_2));
    vec![
        (
            "4:2:0 without tables",
            without(0xc4, &whole),
            ColorType::Rgb,
        ),
        ("4:2:0", whole, ColorType::Rgb),
        (
            "4:2:2",
            colour(|encoder| encoder.set_sampling_factor(SamplingFactor::F_2_1)),
            ColorType::Rgb,
        ),
        (
            "4:4:4",
            colour(|encoder| encoder.set_sampling_factor(SamplingFactor::F_1_1)),
            ColorType::Rgb,
        ),
        (
            "restarts",
            colour(|encoder| encoder.set_restart_interval(1)),
            ColorType::Rgb,
        ),
        (
            "progressive",
            colour(|encoder| encoder.set_progressive(true)),
            ColorType::Rgb,
        ),
        (
            "optimised",
            colour(|encoder| encoder.set_optimized_huffman_tables(true)),
            ColorType::Rgb,
        ),
        (
            "gray",
            image(size, |_| {}, ColorType::Luma),
            ColorType::Luma,
        ),
    ]
}

#[test]
fn every_kind_of_image_has_the_pixels_that_were_encoded() {
    for size in SIZES {
        for (kind, image, colours) in kinds(size) {
            let what = format!("{kind} {size:?}");
            let original = drawn(size.0, size.1);
            let expected: Vec<u8> = match colours {
                ColorType::Luma => original.chunks(3).flat_map(|pixel| [pixel[0]; 3]).collect(),
                _ => original,
            };
            let rgb = of(&image, Pixels::Rgb).expect(&what);
            assert_eq!((rgb.width(), rgb.height()), size, "{what}");
            let (mean, _) = differences(rgb.bytes(), &expected);
            // Of few pixels those that share their colour are many.
            assert!(
                mean < if size.0.min(size.1) > 8 { 4.0 } else { 20.0 },
                "{what}: {mean}"
            );

            let pixels = rgb.bytes().as_chunks::<3>().0;
            let bgr: Vec<u8> = pixels.iter().flat_map(|[r, g, b]| [*b, *g, *r]).collect();
            assert_eq!(of(&image, Pixels::Bgr).expect(&what).bytes(), bgr, "{what}");
            let rgba: Vec<u8> = pixels
                .iter()
                .flat_map(|[r, g, b]| [*r, *g, *b, 255])
                .collect();
            assert_eq!(
                of(&image, Pixels::Rgba).expect(&what).bytes(),
                rgba,
                "{what}"
            );
            let gray = of(&image, Pixels::Gray).expect(&what);
            let planes = of(&image, Pixels::Planes).expect(&what);
            match colours {
                ColorType::Luma => {
                    assert_eq!(planes.layout(), Layout::Gray);
                    assert_eq!(planes.bytes(), gray.bytes(), "{what}");
                }
                _ => {
                    assert_eq!(planes.layout(), Layout::Ycbcr);
                    let luma: Vec<u8> = planes.bytes().chunks(3).map(|pixel| pixel[0]).collect();
                    let (_, most) = differences(&luma, gray.bytes());
                    assert_eq!(most, 0, "{what}");
                }
            }
        }
    }
}

#[test]
fn images_have_the_pixels_that_ffmpeg_sees() {
    for pixel_format in ["yuvj420p", "yuvj422p", "yuvj444p"] {
        let image = ffmpeg(
            &[
                "-f",
                "lavfi",
                "-i",
                "testsrc2=size=320x240:rate=1",
                "-frames:v",
                "1",
                "-c:v",
                "mjpeg",
                "-huffman",
                "default",
                "-q:v",
                "3",
                "-pix_fmt",
                pixel_format,
                "-f",
                "mjpeg",
            ],
            &[],
        );
        let expected = ffmpeg(
            &[
                "-f",
                "mjpeg",
                "-i",
                "-",
                "-sws_flags",
                "accurate_rnd+full_chroma_int+bilinear",
                "-f",
                "rawvideo",
                "-pix_fmt",
                "rgb24",
            ],
            &image,
        );
        for image in [without(0xc4, &image), image] {
            let (mean, _) = differences(
                of(&image, Pixels::Rgb).expect("it is whole").bytes(),
                &expected,
            );
            assert!(mean < 3.0, "{pixel_format}: {mean}");
        }
    }
}

#[test]
fn an_image_of_8k_is_decoded() {
    let image = image((7680, 4320), |_| {}, ColorType::Luma);
    let picture = of(&image, Pixels::Gray).expect("it is whole");
    assert_eq!((picture.width(), picture.height()), (7680, 4320));
}

#[test]
fn a_stream_may_change_its_size_between_two_images() {
    let mut decoder = Decoder::new(format(FourCc::MJPG, 64, 48)).expect("there is a decoder");
    assert_eq!(decoder.engine(), "zune-jpeg");
    let mut picture = Picture::default();
    for size in [(64, 48), (161, 121), (16, 16)] {
        let image = image(size, |_| {}, ColorType::Rgb);
        decoder
            .decode(coded(&image), Pixels::Bgr, &mut picture)
            .expect("it is whole");
        assert_eq!((picture.width(), picture.height()), size);
        assert_eq!(picture.bytes().len(), (size.0 * size.1 * 3) as usize);
    }
}

#[test]
fn an_image_cut_anywhere_is_an_error_and_the_next_one_is_decoded() {
    for (kind, image, _) in kinds((64, 48)) {
        let mut decoder = Decoder::new(format(FourCc::MJPG, 64, 48)).expect("there is a decoder");
        let mut picture = Picture::default();
        for end in 0..image.len() {
            let error = decoder
                .decode(coded(&image[..end]), Pixels::Bgr, &mut picture)
                .expect_err("it is cut off");
            let is_damaged = matches!(
                error,
                DecodeError::Damaged {
                    format: FourCc::MJPG,
                    ..
                }
            );
            assert!(is_damaged, "{kind} {end}: {error}");
        }
        decoder
            .decode(coded(&image), Pixels::Bgr, &mut picture)
            .expect("it is whole");
    }
}

#[test]
fn an_image_whose_middle_was_lost_is_an_error() {
    for size in [(64, 48), (161, 121)] {
        for (kind, image, _) in kinds(size) {
            // Of a progressive one that is a picture with less detail.
            if kind == "progressive" {
                continue;
            }
            let scan = image
                .windows(2)
                .position(|pair| pair == [0xff, 0xda])
                .expect("there is a scan");
            let (data, end) = (scan + 14, image.len() - 2);
            // The last byte may be no more than what fills it up.
            for cut in data..end - 2 {
                let lost = [&image[..cut], &image[end..]].concat();
                let error = of(&lost, Pixels::Bgr).map(drop);
                assert!(
                    error.is_err(),
                    "{kind} {size:?}: cut at {cut} of {data}..{end}"
                );
            }
        }
    }
}

#[test]
fn a_small_image_that_claims_to_be_large_takes_no_memory() {
    for progressive in [false, true] {
        let mut image = image(
            (16, 16),
            |encoder| encoder.set_progressive(progressive),
            ColorType::Rgb,
        );
        let frame = image
            .windows(2)
            .position(|pair| matches!(pair, [0xff, 0xc0 | 0xc2]))
            .expect("there is a frame header");
        for (side, is_too_large) in [(16_000_u16, false), (u16::MAX, true)] {
            image[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
            image[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
            let mut picture = Picture::default();
            let error = Decoder::new(format(FourCc::MJPG, 64, 48))
                .expect("there is a decoder")
                .decode(coded(&image), Pixels::Bgr, &mut picture)
                .expect_err("it has no such picture");
            assert_eq!(
                matches!(error, DecodeError::Size { .. }),
                is_too_large,
                "{error}"
            );
            assert_eq!(picture.into_bytes().capacity(), 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn flipped_bits_give_a_picture_or_an_error(
        which in 0_usize..8,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..8),
    ) {
        let (_, mut image, _) = kinds((64, 48)).swap_remove(which);
        for (at, bit) in flips {
            let at = at.index(image.len());
            image[at] ^= 1 << bit;
        }
        for pixels in [Pixels::Bgr, Pixels::Gray, Pixels::Planes] {
            if let Ok(picture) = of(&image, pixels) {
                let of_planes: usize = picture.planes().map(|plane| plane.bytes.len()).sum();
                prop_assert_eq!(of_planes, picture.bytes().len());
            }
        }
    }

    #[test]
    fn any_bytes_behind_a_start_of_image_give_a_picture_or_an_error(bytes: Vec<u8>) {
        let image = [&[0xff, 0xd8][..], &bytes, &[0xff, 0xd9]].concat();
        let _ = of(&image, Pixels::Rgba);
    }
}
