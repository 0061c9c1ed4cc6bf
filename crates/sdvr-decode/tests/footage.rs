//! Footage of real cameras: `box.mp4` of Debian's opencv-doc, whose H.264 is damaged, and `cup.mp4`. `cargo xtask test` fetches them by the package's name.
#![cfg(any(feature = "h264", feature = "libav"))]

mod common;

use std::path::{Path, PathBuf};

use common::{ffmpeg, format, units};
use sdvr_decode::{Coded, DecodeError, Decoder, Picture, Pixels};
use sdvr_frame::FourCc;

/// The frames of a file's video, as `sdvrc` would send them.
fn frames(name: &str) -> Vec<(Vec<u8>, bool)> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    let file = target.join("footage").join(name);
    assert!(
        file.exists(),
        "{} is not there; `cargo xtask test` fetches it",
        file.display()
    );
    let file = file.display().to_string();
    let stream = ffmpeg(
        &[
            "-loglevel",
            "fatal",
            "-i",
            &file,
            "-an",
            "-c",
            "copy",
            "-bsf:v",
            "h264_mp4toannexb",
            "-f",
            "h264",
        ],
        &[],
    );
    units(&stream, FourCc::H264)
}

/// How many frames gave a picture, how many were damaged, and how many waited for a key frame.
fn decode(frames: &[(Vec<u8>, bool)]) -> (usize, usize, usize) {
    let mut decoder =
        Decoder::new(format(FourCc::H264, 640, 480)).expect("this build has a decoder");
    let mut picture = Picture::default();
    let (mut pictures, mut damaged, mut waited) = (0, 0, 0);
    for (number, (bytes, is_key)) in (0..).zip(frames) {
        let coded = Coded {
            bytes,
            number,
            is_key: *is_key,
        };
        match decoder.decode(coded, Pixels::Bgr, &mut picture) {
            Ok(true) => {
                assert_eq!(
                    picture.bytes().len(),
                    (picture.width() * picture.height() * 3) as usize
                );
                pictures += 1;
            }
            Ok(false) => {}
            Err(DecodeError::AwaitsKeyFrame) => waited += 1,
            Err(DecodeError::Damaged { format, cause }) => {
                assert!(format == FourCc::H264 && !cause.is_empty());
                damaged += 1;
            }
            Err(other) => panic!("frame {number}: {other}"),
        }
    }
    while decoder
        .drain(Pixels::Bgr, &mut picture)
        .expect("nothing is damaged at the end")
    {
        pictures += 1;
    }
    (pictures, damaged, waited)
}

#[test]
fn damaged_footage_gives_errors_where_it_is_damaged_and_pictures_elsewhere() {
    let frames = frames("box.mp4");
    let (pictures, damaged, waited) = decode(&frames);
    println!(
        "{} frames: {pictures} pictures, {damaged} damaged, {waited} waited",
        frames.len()
    );
    assert!(damaged > 0, "its damage is found");
    assert!(
        pictures > frames.len() / 2,
        "{pictures} of {}",
        frames.len()
    );
}

#[test]
fn whole_footage_gives_a_picture_a_frame() {
    let frames = frames("cup.mp4");
    let (pictures, damaged, waited) = decode(&frames);
    assert_eq!((pictures, damaged, waited), (frames.len(), 0, 0));
}
