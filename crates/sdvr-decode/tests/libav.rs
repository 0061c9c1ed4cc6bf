//! What only libavcodec decodes: every codec is what ffmpeg makes of it, and the engine in use is said.
#![cfg(feature = "libav")]

mod common;

use common::{ffmpeg, format, units};
use sdvr_decode::{
    Coded, DecodeError, Decoder, DecoderOptions, EngineChoice, Layout, Picture, Pixels,
};
use sdvr_frame::FourCc;

/// Frames of a moving chart in a container whose frames are easily found: after 32 bytes each has 12 of its own, with its length first.
fn ivf(codec: &[&str]) -> (Vec<u8>, Vec<(Vec<u8>, bool)>) {
    let mut arguments = vec![
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=160x120:rate=25",
        "-frames:v",
        "25",
        "-pix_fmt",
        "yuv420p",
    ];
    arguments.extend_from_slice(codec);
    arguments.extend_from_slice(&["-f", "ivf"]);
    let file = ffmpeg(&arguments, &[]);
    let mut rest = &file[32..];
    let mut frames = Vec::new();
    while let Some((header, behind)) = rest.split_first_chunk::<12>() {
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        frames.push((behind[..length].to_vec(), frames.is_empty()));
        rest = &behind[length..];
    }
    (file, frames)
}

/// All pictures' bytes, one after the other.
fn decode(decoder: &mut Decoder, frames: &[(Vec<u8>, bool)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut picture = Picture::default();
    for (number, (bytes, is_key)) in (0..).zip(frames) {
        let coded = Coded {
            bytes,
            number,
            is_key: *is_key,
        };
        if decoder
            .decode(coded, Pixels::Planes, &mut picture)
            .expect("nothing is damaged")
        {
            out.extend_from_slice(picture.bytes());
        }
    }
    while decoder
        .drain(Pixels::Planes, &mut picture)
        .expect("nothing is damaged")
    {
        out.extend_from_slice(picture.bytes());
    }
    out
}

#[test]
fn every_codec_is_decoded_as_ffmpeg_does() {
    for (fourcc, codec, container) in [
        (
            FourCc::VP80,
            ["-c:v", "libvpx", "-deadline", "realtime"],
            "vp8",
        ),
        (
            FourCc::VP90,
            ["-c:v", "libvpx-vp9", "-deadline", "realtime"],
            "vp9",
        ),
        (
            FourCc::AV01,
            ["-c:v", "libaom-av1", "-cpu-used", "8"],
            "av1",
        ),
    ] {
        let (file, frames) = ivf(&codec);
        let mut decoder = Decoder::new(format(fourcc, 160, 120)).expect("libavcodec has it");
        println!("{container}: {}", decoder.engine());
        let expected = ffmpeg(
            &[
                "-f", "ivf", "-i", "-", "-f", "rawvideo", "-pix_fmt", "yuv420p",
            ],
            &file,
        );
        assert!(decode(&mut decoder, &frames) == expected, "{container}");
    }
}

#[test]
fn h265_of_eight_and_ten_bits_is_decoded_as_ffmpeg_does() {
    for (pixel_format, layout) in [
        ("yuv420p", Layout::Yuv420),
        ("yuv420p10le", Layout::Yuv420Deep),
    ] {
        let stream = ffmpeg(
            &[
                "-f",
                "lavfi",
                "-i",
                "testsrc2=size=160x120:rate=25",
                "-frames:v",
                "25",
                "-c:v",
                "libx265",
                "-preset",
                "ultrafast",
                "-x265-params",
                "keyint=10:bframes=2:log-level=none",
                "-pix_fmt",
                pixel_format,
                "-f",
                "hevc",
            ],
            &[],
        );
        let expected = ffmpeg(
            &[
                "-f",
                "hevc",
                "-i",
                "-",
                "-f",
                "rawvideo",
                "-pix_fmt",
                pixel_format,
            ],
            &stream,
        );
        let mut decoder = Decoder::new(format(FourCc::HEVC, 160, 120)).expect("libavcodec has it");
        let units = units(&stream, FourCc::HEVC);
        assert!(decode(&mut decoder, &units) == expected, "{pixel_format}");

        let mut picture = Picture::default();
        let coded = Coded {
            bytes: &units[0].0,
            number: 0,
            is_key: true,
        };
        let came = decoder
            .decode(coded, Pixels::Planes, &mut picture)
            .expect("it is a key frame");
        if came {
            assert_eq!(picture.layout(), layout);
        }
    }
}

#[test]
fn interlaced_and_deep_h264_is_decoded() {
    for (pixel_format, options) in [
        ("yuv444p", "keyint=5"),
        ("yuv422p10le", "keyint=5"),
        ("yuv420p", "keyint=5:tff=1"),
    ] {
        let stream = ffmpeg(
            &[
                "-f",
                "lavfi",
                "-i",
                "testsrc2=size=64x64:rate=25",
                "-frames:v",
                "10",
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
        let expected = ffmpeg(
            &[
                "-f",
                "h264",
                "-i",
                "-",
                "-f",
                "rawvideo",
                "-pix_fmt",
                pixel_format,
            ],
            &stream,
        );
        let mut decoder = Decoder::new(format(FourCc::H264, 64, 64)).expect("libavcodec has it");
        assert!(
            decode(&mut decoder, &units(&stream, FourCc::H264)) == expected,
            "{pixel_format} {options}"
        );
    }
}

#[test]
fn the_engine_is_said_and_hardware_that_is_demanded_is_never_replaced() {
    for fourcc in [FourCc::H264, FourCc::HEVC, FourCc::VP90] {
        let of = |engine: EngineChoice| {
            let mut options = DecoderOptions::default();
            options.engine = engine;
            Decoder::with_options(format(fourcc, 64, 64), &options)
        };
        let software = of(EngineChoice::Software).expect("libavcodec has it");
        assert!(
            software.engine().ends_with(", software"),
            "{}",
            software.engine()
        );
        let automatic = of(EngineChoice::Auto).expect("libavcodec has it");
        let engine = automatic.engine();
        match of(EngineChoice::Hardware) {
            Ok(hardware) => assert_eq!(hardware.engine(), engine),
            Err(error) => {
                assert!(
                    engine.contains("software: no hardware decoder was found ("),
                    "{engine}"
                );
                let is_refused = matches!(error, DecodeError::Unsupported { .. });
                assert!(
                    is_refused && error.to_string().contains("hardware"),
                    "{error}"
                );
            }
        }
    }
}
