//! Streams that are damaged, change their size or have one that is unusual, through the real programs: what gives no picture is told, with camera, frame and
//! cause, and what comes after it is seen.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sdvr::{Camera, Pixels};
use sdvr_tests::decoded::{Outcome, Readers, build_program_in_c};
use sdvr_tests::footage;
use sdvr_tests::{Running, System, text};

/// `sdvr pipe --wait`, into nothing.
fn start_pipe(system: &System, label: &str) -> Running {
    let mut command = system.command("sdvr");
    command
        .args(["pipe", label, "--wait", "--format", "rgb"])
        .stdout(Stdio::null());
    system.start(&mut command, "pipe")
}

/// Sends a file once and gives what programs in Rust and in C found in it.
fn through(system: &System, program: &Path, label: &str, file: &Path, rate: &str) -> [Outcome; 2] {
    let readers = Readers::start(system, program, label);
    let source = file.to_str().unwrap();
    let mut client = system.start_client(label, source, &["--once", "-r", rate]);
    assert!(client.wait().success(), "{}", client.log());
    readers.finish()
}

/// Makes a stream of ffmpeg's own test picture.
fn film(system: &System, size: &str, frames: u32, coded: &[&str]) -> Vec<u8> {
    let file = system.home().join("film");
    let output = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-y", "-f", "lavfi", "-i"])
        .arg(format!("testsrc2=size={size}:rate=25"))
        .args(["-frames:v", &frames.to_string()])
        .args(coded)
        .arg(&file)
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg is there; `cargo xtask test` installs it");
    assert!(output.status.success(), "{}", text(&output.stderr));
    fs::read(file).unwrap()
}

const H264: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-pix_fmt",
    "yuv420p",
    "-g",
    "10",
    "-f",
    "h264",
];
const MJPEG: &[&str] = &["-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-f", "mjpeg"];

fn written(system: &System, name: &str, bytes: &[u8]) -> PathBuf {
    let file = system.home().join(name);
    fs::write(&file, bytes).unwrap();
    file
}

#[test]
fn damaged_footage_of_a_real_camera_is_told_frame_by_frame_and_goes_on() {
    let system = System::with_daemon();
    let program = build_program_in_c(system.home());
    let file = footage::directory().join("box.mp4");
    let mut pipe = start_pipe(&system, "box");
    for outcome in through(&system, &program, "box", &file, "100") {
        outcome.assert_told_well("box");
        assert!(!outcome.errors.is_empty(), "its damage is found");
        assert!(outcome.goes_on(), "{:?}", outcome.errors);
        for (_, error) in &outcome.errors {
            assert!(error.contains("the H264 picture is damaged: "), "{error}");
        }
        for (number, width, height) in &outcome.pictures {
            assert_eq!((*width, *height), (640, 480), "{number}");
        }
    }
    assert_eq!(pipe.wait().code(), Some(1), "{}", pipe.log());
    let log = pipe.log();
    assert!(log.contains("of those that came gave no picture"), "{log}");
    assert!(log.contains("of box cannot be shown: "), "{log}");
}

#[test]
fn images_with_wrong_bits_are_told_one_by_one() {
    let system = System::with_daemon();
    let program = build_program_in_c(system.home());
    let whole = film(&system, "320x180", 60, MJPEG);
    let images = images(&whole);
    assert_eq!(images.len(), 60);
    let mut random: u64 = 1;
    let mut stream = Vec::new();
    for (number, image) in images.iter().enumerate() {
        let mut image = image.to_vec();
        // The first and the last ones are as they were.
        if (10..50).contains(&number) {
            for _ in 0..20 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let bit = usize::try_from(random >> 33).unwrap() % ((image.len() - 4) * 8);
                image[2 + bit / 8] ^= 1 << (bit % 8);
            }
        }
        stream.extend(image);
    }
    let file = written(&system, "bits.mjpeg", &stream);
    for outcome in through(&system, &program, "bits", &file, "50") {
        outcome.assert_told_well("bits");
        assert!(outcome.errors.len() >= 10, "{outcome:?}");
        assert!(outcome.goes_on(), "{outcome:?}");
    }
}

/// The images of a stream.
fn images(stream: &[u8]) -> Vec<&[u8]> {
    let begins = stream.windows(3).enumerate();
    let begins = begins.filter(|(_, three)| *three == [0xff, 0xd8, 0xff]);
    let mut begins: Vec<usize> = begins.map(|(at, _)| at).collect();
    begins.push(stream.len());
    begins.windows(2).map(|it| &stream[it[0]..it[1]]).collect()
}

#[test]
fn streams_that_change_their_size_in_the_middle_are_shown_in_both() {
    let system = System::with_daemon();
    let program = build_program_in_c(system.home());
    for (label, coded) in [("h264", H264), ("mjpeg", MJPEG)] {
        let stream = [
            film(&system, "640x360", 20, coded),
            film(&system, "320x180", 20, coded),
        ];
        let file = written(&system, &format!("changes.{label}"), &stream.concat());
        for outcome in through(&system, &program, label, &file, "20") {
            assert_eq!(outcome.errors, [], "{label}");
            for size in [(640, 360), (320, 180)] {
                let is_of_it = |it: &&(u64, u32, u32)| (it.1, it.2) == size;
                let of_it = outcome.pictures.iter().filter(is_of_it).count();
                assert_eq!(of_it, 20, "{label} {size:?}: {outcome:?}");
            }
        }
    }
}

/// Two pictures of one colour each, as a camera program would send them: `colours` are YUV4MPEG2's.
fn planes(system: &System, colours: &str, (width, height): (usize, usize)) -> PathBuf {
    let chroma = match colours {
        "mono" => 0,
        "420jpeg" => 2 * width.div_ceil(2) * height.div_ceil(2),
        "422" => 2 * width.div_ceil(2) * height,
        _ => 2 * width * height,
    };
    let mut stream = format!("YUV4MPEG2 W{width} H{height} F2:1 Ip C{colours}\n").into_bytes();
    for picture in [50, 90] {
        stream.extend(b"FRAME\n");
        stream.extend(std::iter::repeat_n(picture, width * height + chroma));
    }
    written(system, &format!("{colours}.y4m"), &stream)
}

#[test]
fn the_smallest_the_largest_and_odd_pictures_are_whole() {
    let system = System::with_daemon();
    let whole = |label: &str, source: &str, size: (u32, u32)| {
        let camera = Camera::wait_for_in(&system.shm(), label);
        let reader = std::thread::spawn(|| Outcome::of(camera, Pixels::Gray));
        let mut client = system.start_client(label, source, &["--once", "-r", "5"]);
        assert!(client.wait().success(), "{label}: {}", client.log());
        let outcome = reader.join().unwrap().unwrap();
        assert_eq!(outcome.errors, [], "{label}");
        // Of the large ones a busy machine may miss one.
        assert!(!outcome.pictures.is_empty(), "{label}");
        for (_, width, height) in outcome.pictures {
            assert_eq!((width, height), size, "{label}");
        }
    };
    for size in [(1, 1), (1, 7), (3, 5), (17, 9)] {
        for colours in ["mono", "420jpeg", "422", "444"] {
            let file = planes(&system, colours, size);
            let label = format!("{colours}-{}x{}", size.0, size.1);
            let size = (
                u32::try_from(size.0).unwrap(),
                u32::try_from(size.1).unwrap(),
            );
            whole(&label, file.to_str().unwrap(), size);
        }
    }
    for (width, height) in [(1, 1), (17, 9)] {
        let size = format!("{width}x{height}");
        let coded = [MJPEG, &["-s", &size]].concat();
        let file = written(&system, "small.mjpeg", &film(&system, "64x64", 2, &coded));
        whole(&size, file.to_str().unwrap(), (width, height));
    }
    for fourcc in ["GREY", "MJPG"] {
        let source = format!("test:?format={fourcc}&size=7680x4320&fps=1&count=2");
        whole(fourcc, &source, (7680, 4320));
    }
}
