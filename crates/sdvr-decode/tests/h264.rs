//! H.264: what ffmpeg decodes, in the order in which it is shown; damage is an error until the next key frame.
#![cfg(any(feature = "h264", feature = "libav"))]

mod common;

use common::{differences, ffmpeg, format, units};
use proptest::prelude::*;
use sdvr_decode::{
    Coded, DecodeError, Decoder, DecoderOptions, EngineChoice, Layout, Picture, Pixels,
};
use sdvr_frame::FourCc;

/// Some seconds of a moving chart by x264, at 25 frames a second.
fn clip(size: &str, frames: u32, options: &str) -> Vec<u8> {
    let source = format!("testsrc2=size={size}:rate=25");
    ffmpeg(
        &[
            "-f",
            "lavfi",
            "-i",
            &source,
            "-frames:v",
            &frames.to_string(),
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-pix_fmt",
            "yuv420p",
            "-x264-params",
            options,
            "-f",
            "h264",
        ],
        &[],
    )
}

/// All pictures as planes, by ffmpeg.
fn decoded_by_ffmpeg(stream: &[u8]) -> Vec<u8> {
    ffmpeg(
        &[
            "-f", "h264", "-i", "-", "-f", "rawvideo", "-pix_fmt", "yuv420p",
        ],
        stream,
    )
}

fn decoder() -> Decoder {
    Decoder::new(format(FourCc::H264, 0, 0)).expect("this build has a decoder")
}

/// What became of each frame, and at last what was still to come.
fn decode_all(
    decoder: &mut Decoder,
    units: &[(Vec<u8>, bool)],
) -> Vec<Result<Option<Picture>, DecodeError>> {
    let mut results = Vec::new();
    let mut picture = Picture::default();
    for (number, (bytes, is_key)) in (0..).zip(units) {
        let coded = Coded {
            bytes,
            number,
            is_key: *is_key,
        };
        let result = decoder.decode(coded, Pixels::Planes, &mut picture);
        results.push(result.map(|came| came.then(|| picture.clone())));
    }
    loop {
        match decoder.drain(Pixels::Planes, &mut picture) {
            Ok(true) => results.push(Ok(Some(picture.clone()))),
            Ok(false) => break,
            Err(error) => results.push(Err(error)),
        }
    }
    results
}

#[track_caller]
fn pictures(results: Vec<Result<Option<Picture>, DecodeError>>) -> Vec<Picture> {
    results
        .into_iter()
        .filter_map(|result| result.expect("nothing is damaged"))
        .collect()
}

/// Whether B pictures are exact, too: OpenH264's differ by some levels where motion is taken from neighbours in parts of 8 x 8 pixels.
const B_PICTURES_ARE_EXACT: bool = cfg!(feature = "libav");

/// Every picture is ffmpeg's, and each frame gave one.
#[track_caller]
fn check(stream: &[u8], is_exact: bool) {
    let units = units(stream, FourCc::H264);
    let pictures = pictures(decode_all(&mut decoder(), &units));
    assert_eq!(pictures.len(), units.len(), "a picture a frame");
    let expected = decoded_by_ffmpeg(stream);
    let mut rest = expected.as_slice();
    for (place, picture) in pictures.iter().enumerate() {
        assert_eq!(picture.layout(), Layout::Yuv420);
        let (own, behind) = rest.split_at(picture.bytes().len());
        let (mean, most) = differences(picture.bytes(), own);
        let is_right = most == 0 || !is_exact && most <= 8 && mean < 0.1;
        let number = picture.number();
        assert!(
            is_right,
            "picture {place}, of frame {number}: {mean} {most}"
        );
        rest = behind;
    }
    assert_eq!(rest.len(), 0, "all of ffmpeg's pictures");
    let mut numbers: Vec<u64> = pictures.iter().map(Picture::number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..units.len() as u64).collect::<Vec<_>>());
}

#[test]
fn pictures_of_every_kind_of_stream_are_those_of_ffmpeg() {
    for options in [
        "keyint=10:bframes=0:cabac=0",
        "keyint=10:bframes=0",
        "keyint=10:bframes=3:b-pyramid=none",
        "keyint=25:bframes=3:b-pyramid=normal:ref=4",
        "keyint=10:slices=4:aud=1:bframes=0",
        "keyint=10:slices=4:bframes=2",
        "keyint=250:intra-refresh=1:bframes=0",
        "keyint=10:bframes=2:weightp=2:8x8dct=1",
    ] {
        println!("{options}");
        let is_exact = options.contains("bframes=0") || B_PICTURES_ARE_EXACT;
        check(&clip("320x240", 60, options), is_exact);
    }
}

#[test]
fn pictures_of_odd_and_cropped_sizes_are_whole() {
    for size in ["16x16", "18x2", "34x50", "322x242", "1920x1080"] {
        println!("{size}");
        check(&clip(size, 5, "keyint=3:bframes=1"), B_PICTURES_ARE_EXACT);
    }
}

#[test]
fn a_stream_that_says_that_nothing_is_reordered_gives_each_picture_at_once() {
    for options in [
        "keyint=10:bframes=0",
        "keyint=10:bframes=0:cabac=0:no-8x8dct=1",
    ] {
        let units = units(&clip("320x240", 30, options), FourCc::H264);
        let results = decode_all(&mut decoder(), &units);
        assert_eq!(results.len(), units.len());
        for (number, picture) in (0..).zip(pictures(results)) {
            assert_eq!(picture.number(), number);
        }
    }
}

#[test]
fn a_stream_may_change_its_size_in_the_middle() {
    let mut stream = clip("640x360", 12, "keyint=6:bframes=2");
    stream.extend(clip("320x180", 12, "keyint=6:bframes=2"));
    stream.extend(clip("642x362", 12, "keyint=6:bframes=0"));
    let units = units(&stream, FourCc::H264);
    let pictures = pictures(decode_all(&mut decoder(), &units));
    let sizes: Vec<_> = pictures
        .iter()
        .map(|picture| (picture.width(), picture.height()))
        .collect();
    let expected = [[(640, 360); 12], [(320, 180); 12], [(642, 362); 12]].concat();
    assert_eq!(sizes, expected);
}

#[test]
fn decoding_begins_at_a_key_frame_and_again_after_a_gap() {
    let units = units(
        &clip("320x240", 30, "keyint=10:scenecut=0:bframes=0"),
        FourCc::H264,
    );
    let expected = pictures(decode_all(&mut decoder(), &units));
    let mut decoder = decoder();
    let mut picture = Picture::default();
    let mut decode = |decoder: &mut Decoder, number: usize| {
        let (bytes, is_key) = &units[number];
        let coded = Coded {
            bytes,
            number: number as u64,
            is_key: *is_key,
        };
        decoder
            .decode(coded, Pixels::Planes, &mut picture)
            .map(|came| came.then(|| picture.clone()))
    };
    assert_eq!(decode(&mut decoder, 5), Err(DecodeError::AwaitsKeyFrame));
    for (number, expected) in expected.iter().enumerate().take(15).skip(10) {
        assert_eq!(
            decode(&mut decoder, number).as_ref(),
            Ok(&Some(expected.clone()))
        );
    }
    decoder.reset();
    for number in 17..20 {
        assert_eq!(
            decode(&mut decoder, number),
            Err(DecodeError::AwaitsKeyFrame)
        );
    }
    for (number, expected) in expected.iter().enumerate().skip(20) {
        assert_eq!(
            decode(&mut decoder, number).as_ref(),
            Ok(&Some(expected.clone()))
        );
    }
}

#[test]
fn a_frame_that_is_passed_is_there_for_those_after_it() {
    let units = units(&clip("320x240", 20, "keyint=20:bframes=0"), FourCc::H264);
    let expected = pictures(decode_all(&mut decoder(), &units));
    let mut decoder = decoder();
    let mut picture = Picture::default();
    for (number, (bytes, is_key)) in units.iter().enumerate() {
        let coded = Coded {
            bytes,
            number: number as u64,
            is_key: *is_key,
        };
        if number % 5 == 4 {
            assert_eq!(
                decoder.decode(coded, Pixels::Planes, &mut picture),
                Ok(true)
            );
            assert_eq!(picture, expected[number]);
        } else {
            assert_eq!(decoder.pass(coded), Ok(Some(coded.number)));
        }
    }
}

#[test]
fn parameter_sets_may_come_beforehand() {
    let stream = clip("320x240", 10, "keyint=10:bframes=0");
    let units = units(&stream, FourCc::H264);
    let slice = units[0]
        .0
        .windows(4)
        .position(|bytes| bytes[..3] == [0, 0, 1] && bytes[3] & 31 == 5)
        .expect("it begins with a key frame");
    let (parameters, key) = units[0].0.split_at(slice);
    let mut options = DecoderOptions::default();
    options.extradata = parameters.to_vec();
    let mut decoder = Decoder::with_options(format(FourCc::H264, 320, 240), &options)
        .expect("there is a decoder");
    let mut without = units.clone();
    without[0].0 = key.to_vec();
    let decoded = pictures(decode_all(&mut decoder, &without));
    assert_eq!(decoded.len(), units.len());
    // And the ones of the first key frame are there for the next.
    decoder.reset();
    assert_eq!(pictures(decode_all(&mut decoder, &without)), decoded);
}

#[test]
fn damage_is_an_error_and_pictures_are_right_again_from_the_next_key_frame_on() {
    let mut units = units(
        &clip("320x240", 60, "keyint=10:scenecut=0:bframes=0:slices=4"),
        FourCc::H264,
    );
    let expected = pictures(decode_all(&mut decoder(), &units));
    // One loses its second half, one the second of its slices.
    let half = units[13].0.len() / 2;
    units[13].0.truncate(half);
    let starts: Vec<usize> = units[34]
        .0
        .windows(3)
        .enumerate()
        .filter_map(|(at, bytes)| (bytes == [0, 0, 1]).then_some(at))
        .collect();
    assert_eq!(starts.len(), 4);
    units[34].0.drain(starts[1]..starts[2]);
    let results = decode_all(&mut decoder(), &units);
    for (number, result) in results.iter().enumerate() {
        match number {
            13 | 34 => {
                let error = result.as_ref().map(|_| number).expect_err("it is damaged");
                assert!(
                    matches!(error, DecodeError::Damaged { .. }),
                    "{number}: {error}"
                );
            }
            14..20 | 35..40 => assert_eq!(result, &Err(DecodeError::AwaitsKeyFrame), "{number}"),
            _ => assert!(result == &Ok(Some(expected[number].clone())), "{number}"),
        }
    }
}

#[test]
fn what_hardware_would_do_is_not_done_by_software_in_silence() {
    let mut options = DecoderOptions::default();
    options.engine = EngineChoice::Hardware;
    let error = Decoder::with_options(format(FourCc::H264, 320, 240), &options)
        .expect_err("this machine has none");
    assert!(
        matches!(
            error,
            DecodeError::Unsupported {
                format: FourCc::H264,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
#[cfg(not(feature = "libav"))]
fn what_openh264_cannot_decode_is_said_to_be_that() {
    for (pixel_format, options, hint) in [
        ("yuv444p", "keyint=5", "8 bits"),
        ("yuv422p10le", "keyint=5", "8 bits"),
        ("yuv420p", "keyint=5:tff=1", "interlaced"),
    ] {
        let stream = ffmpeg(
            &[
                "-f",
                "lavfi",
                "-i",
                "testsrc2=size=64x64:rate=25",
                "-frames:v",
                "3",
                "-c:v",
                "libx264",
                "-pix_fmt",
                pixel_format,
                "-x264-params",
                options,
                "-f",
                "h264",
            ],
            &[],
        );
        for result in decode_all(&mut decoder(), &units(&stream, FourCc::H264))
            .into_iter()
            .take(1)
        {
            let error = result.map(drop).expect_err("it cannot");
            let text = error.to_string();
            assert!(
                text.contains(hint) && text.contains("libav"),
                "{pixel_format}: {text}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn flipped_and_missing_bits_give_pictures_or_errors(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..30),
        cut: prop::sample::Index,
    ) {
        static STREAM: std::sync::LazyLock<Vec<u8>> =
            std::sync::LazyLock::new(|| clip("96x80", 20, "keyint=5:bframes=2:slices=2"));
        let mut units = units(&STREAM, FourCc::H264);
        for (at, bit) in flips {
            let which = at.index(units.len());
            let unit = &mut units[which].0;
            let at = at.index(unit.len());
            unit[at] ^= 1 << bit;
        }
        let which = cut.index(units.len());
        let unit = &mut units[which].0;
        unit.truncate(cut.index(unit.len()));
        for result in decode_all(&mut decoder(), &units) {
            if let Ok(Some(picture)) = result {
                let of_planes: usize = picture.planes().map(|plane| plane.bytes.len()).sum();
                prop_assert_eq!(of_planes, picture.bytes().len());
            }
        }
    }
}

#[cfg(not(feature = "libav"))]
#[test]
fn a_picture_that_is_held_back_can_be_looked_at_and_comes_in_its_turn() {
    let units = units(&clip("320x240", 12, "keyint=12:bframes=2"), FourCc::H264);
    let mut decoder = decoder();
    let (mut looked_at, mut picture) = (Picture::default(), Picture::default());
    assert_eq!(decoder.preview(Pixels::Planes, &mut looked_at), Ok(false));
    let mut numbers = units.iter().zip(0..);
    let mut came = None;
    for ((bytes, is_key), number) in &mut numbers {
        let coded = Coded {
            bytes,
            number,
            is_key: *is_key,
        };
        let is_out = decoder.decode(coded, Pixels::Planes, &mut picture);
        if number == 0 {
            assert_eq!(
                is_out,
                Ok(false),
                "it waits for what may be shown before it"
            );
            assert_eq!(decoder.preview(Pixels::Planes, &mut looked_at), Ok(true));
            assert_eq!(looked_at.number(), 0);
        } else if is_out == Ok(true) {
            came = Some(picture.clone());
            break;
        }
    }
    assert_eq!(came, Some(looked_at));
}
