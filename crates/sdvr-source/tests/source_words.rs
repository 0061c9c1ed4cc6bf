//! What cannot be a source, and options that do not fit it, are refused in words that say what to do.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::path::Path;

use sdvr_frame::FourCc;
use sdvr_source::{CaptureOptions, Source, SourceError, SourceSpec};
use support::sources::*;
use support::{annex_b, jpeg};

#[test]
fn what_cannot_be_a_source_says_so_with_its_name() {
    let files = Files::new();
    let none = CaptureOptions::default();
    let missing = files.0.path().join("missing.mjpeg");
    let text = open_error(&missing, &none);
    assert!(
        text.contains("missing.mjpeg") && text.contains("No such file"),
        "{text}"
    );
    let text = open_error(files.0.path(), &none);
    assert!(text.contains("is a directory"), "{text}");
    let text = first_error(&files.write("empty", b""), &none);
    assert!(text.contains("empty, byte 0: it is empty"), "{text}");
    let text = first_error(
        &files.write("empty2", b""),
        &CaptureOptions {
            fourcc: Some(FourCc::MJPG),
            ..none.clone()
        },
    );
    assert!(text.contains("it is empty"), "{text}");
    let text = first_error(&files.write("text.txt", &[b'x'; 1000]), &none);
    assert!(
        text.contains("MJPEG, H.264 or H.265") && text.contains("-f"),
        "{text}"
    );
    let image = jpeg(64, 48, &[1; 100]);
    let text = first_error(&files.write("torn", &image[..50]), &none);
    assert!(text.contains("before its first frame is whole"), "{text}");
    // Where it goes wrong is said.
    let mut damaged = [image.as_slice(), &image].concat();
    // Where the second segment begins.
    damaged[71] = 0x11;
    let text = first_error(&files.write("damaged", &damaged), &none);
    assert!(
        text.contains("byte 71: ") && text.contains("11 stands"),
        "{text}"
    );
    let frame = b"FRAME\n0123456789ab";
    let y4m = [b"YUV4MPEG2 W4 H3 Cmono\n".as_slice(), frame, frame].concat();
    let second = y4m.len() - frame.len();
    let mut damaged = y4m.clone();
    damaged[second] = b'G';
    let text = first_error(&files.write("damaged.y4m", &damaged.repeat(4)), &none);
    assert!(text.contains(&format!("byte {second}: ")), "{text}");
}

#[test]
fn addresses_are_not_taken_for_files() {
    for address in [
        "rtsp://user@camera.lan/stream",
        "http://camera.lan/video.mjpg",
        "rtmps://host/app",
    ] {
        let text = address.parse::<SourceSpec>().unwrap_err().to_string();
        assert!(text.contains(&format!("ffmpeg -i {address}")), "{text}");
    }
    for (text, path) in [
        ("file:rtsp://x", "rtsp://x"),
        ("file:///tmp/x", "///tmp/x"),
        ("a b://x", "a b://x"),
        ("./rtsp://x", "./rtsp://x"),
        ("c://x", "c://x"),
        ("rtsp:x", "rtsp:x"),
    ] {
        assert_eq!(text.parse(), Ok(SourceSpec::File(path.into())), "{text}");
    }
}

#[test]
fn nodes_of_cameras_are_opened_as_such() {
    let missing: SourceSpec = "/dev/video4242".parse().unwrap();
    assert_eq!(missing, SourceSpec::Device("/dev/video4242".into()));
    let text = Source::open(&missing, &CaptureOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("there is no /dev/video4242; this host has"),
        "{text}"
    );
    // A device whose driver is not there is not read as a file, either, however it is named.
    let files = Files::new();
    let device = files.0.path().join("cam");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::CharacterDevice;
    let number = rustix::fs::makedev(81, 4242);
    if rustix::fs::mknodat(rustix::fs::CWD, &device, kind, mode, number).is_err() {
        eprintln!("skipped: only an administrator makes devices");
        return;
    }
    for name in [
        device.display().to_string(),
        format!("file:{}", device.display()),
    ] {
        assert_eq!(
            name.parse(),
            Ok(SourceSpec::Device(device.clone())),
            "{name}"
        );
    }
    let text = open_error(&device, &CaptureOptions::default());
    assert!(text.contains("there is no"), "{text}");
}

#[test]
fn what_is_no_camera_is_not_opened_as_one() {
    for path in ["/dev/null", "/proc/self/exe", "/dev"] {
        let spec = SourceSpec::Device(path.into());
        let error = Source::open(&spec, &CaptureOptions::default()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(path), "{text}");
        assert!(matches!(error, SourceError::Camera(_)), "{text}");
    }
    let spec = SourceSpec::Device("/dev/null".into());
    let text = Source::open(&spec, &CaptureOptions::default())
        .unwrap_err()
        .to_string();
    assert!(text.contains("/dev/null is no camera"), "{text}");
    let options = CaptureOptions {
        looped: true,
        ..CaptureOptions::default()
    };
    let text = Source::open(&spec, &options).unwrap_err().to_string();
    assert!(text.contains("--loop needs a file"), "{text}");
}

#[test]
fn a_terminal_is_refused_with_an_example() {
    // Each opening makes a new terminal.
    let path = Path::new("/dev/ptmx");
    if !path.exists() {
        eprintln!("skipped: there are no terminals here");
        return;
    }
    let text = open_error(path, &CaptureOptions::default());
    assert!(text.contains("terminal") && text.contains("-i -"), "{text}");
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let files = Files::new();
    let h264 = files.write(
        "a.h264",
        &annex_b(&[(4, &[0x65, 0x88, 0x84]), (4, &[0x41, 0x88, 0x84])]).repeat(20),
    );
    let text = first_error(&h264, &every_nth(2));
    assert!(text.contains("-x"), "{text}");
    let mjpeg = files.write("a.mjpeg", &images(2).concat());
    let with_format = |fourcc| CaptureOptions {
        fourcc: Some(fourcc),
        ..CaptureOptions::default()
    };
    let text = first_error(&mjpeg, &with_format(FourCc::YUYV));
    assert!(text.contains("-f"), "{text}");
    let text = open_error(
        &mjpeg,
        &CaptureOptions {
            size: Some((64, 48)),
            ..CaptureOptions::default()
        },
    );
    assert!(text.contains("-s"), "{text}");
    let text = files.pipe(&looped()).unwrap_err().to_string();
    assert!(text.contains("a pipe cannot begin again"), "{text}");
    let none = CaptureOptions::default();
    for (spec, options) in [
        ("test:", with_format(FourCc::H264)),
        (
            "test:",
            CaptureOptions {
                size: Some((0, 0)),
                ..none.clone()
            },
        ),
        (
            "test:?format=YUYV",
            CaptureOptions {
                size: Some((17, 16)),
                ..none.clone()
            },
        ),
        (
            "test:?format=GREY",
            CaptureOptions {
                size: Some((1 << 20, 1 << 20)),
                ..none
            },
        ),
    ] {
        let error = test_source(spec, &options).unwrap_err();
        assert!(
            matches!(error, SourceError::Options(_)),
            "{spec} {options:?}: {error}"
        );
    }
}
