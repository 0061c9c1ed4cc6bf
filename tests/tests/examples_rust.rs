//! The examples of the library, as programs that run: what they print of real cameras is so.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::path::Path;
use std::process::{Command, Stdio};

use sdvr::{Camera, Policy, StreamState};
use sdvr_tests::footage::clip;
use sdvr_tests::{PATIENCE, Running, System, binary, text, wait_until};

/// Starts an example, which cargo builds beside the programs: `cargo build -p sdvr --examples`.
fn start(system: &System, name: &str, arguments: &[&str]) -> Running {
    let path = binary(&format!("examples/{name}"));
    let mut command = Command::new(path);
    command
        .args(arguments)
        .env("SDVR_SHM_DIR", system.shm())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let example = system.start(&mut command, name);
    wait_until("it waits for its camera", || watches(example.id()));
    example
}

/// Whether a process has the kernel tell it of new files.
fn watches(process: u32) -> bool {
    let Ok(descriptors) = std::fs::read_dir(format!("/proc/{process}/fd")) else {
        return false;
    };
    descriptors.flatten().any(|descriptor| {
        let what = std::fs::read_link(descriptor.path()).unwrap_or_default();
        what.to_string_lossy().contains("inotify")
    })
}

#[track_caller]
fn output(mut example: Running) -> String {
    let output = text(&example.output());
    assert!(example.wait().success(), "{}", example.log());
    output
}

#[test]
fn print_frames_prints_each() {
    let system = System::with_daemon();
    let all = start(&system, "print_frames", &["door"]);
    let some = start(&system, "print_frames", &["door", "--count", "3"]);
    let source = "test:?format=BNCH&bytes=1234&fps=20&count=10";
    let mut client = system.start_client("door", source, &["--once"]);
    assert!(client.wait().success(), "{}", client.log());
    let printed = output(all);
    assert_eq!(printed.lines().count(), 10, "{printed}");
    for (number, line) in printed.lines().enumerate() {
        assert!(
            line.starts_with(&format!("frame {number}: captured at ")),
            "{line}"
        );
        assert!(line.ends_with(" s, 1234 bytes, 0 missed"), "{line}");
    }
    assert_eq!(output(some).lines().count(), 3);
}

#[test]
fn save_picture_writes_what_other_programs_open() {
    let system = System::with_daemon();
    let mut saving = Vec::new();
    for name in ["now.png", "now.ppm"] {
        let file = system.home().join(name);
        let arguments = ["door", file.to_str().unwrap()];
        saving.push((start(&system, "save_picture", &arguments), file.clone()));
    }
    let _client = system.start_client("door", "test:?format=NV12&size=66x50&fps=20", &[]);
    for (example, file) in saving {
        assert!(output(example).contains("frame "));
        assert_eq!(size(&file), "66,50\n");
    }
}

fn size(file: &Path) -> String {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-of",
            "csv=p=0",
            "-show_entries",
            "stream=width,height",
        ])
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

#[test]
fn detect_motion_finds_who_walks_by() {
    const FRAMES: u32 = 60;
    let system = System::with_daemon();
    let example = start(&system, "detect_motion", &["street"]);
    let footage = clip("y4m", FRAMES);
    let source = footage.to_str().unwrap();
    let mut client = system.start_client("street", source, &["--once", "-r", "20"]);
    assert!(client.wait().success(), "{}", client.log());
    let printed = output(example);
    // People walk in all of it.
    let lines: Vec<&str> = printed.lines().collect();
    assert!(
        lines.len() > 30 && lines.len() < FRAMES as usize,
        "{printed}"
    );
    for line in lines {
        let (frame, boxes) = line.split_once(": ").unwrap();
        let number: u32 = frame.strip_prefix("frame ").unwrap().parse().unwrap();
        assert!((1..FRAMES).contains(&number), "{line}");
        let words: Vec<&str> = boxes.split(' ').collect();
        let boxes: Vec<[u32; 4]> = words.chunks(2).map(parsed).collect();
        for [x, y, width, height] in &boxes {
            assert!(
                x % 16 == 0 && y % 16 == 0 && width * height >= 2 * 16 * 16,
                "{line}"
            );
            assert!(x + width <= 768 && y + height <= 576, "{line}");
        }
        assert!(boxes.is_sorted_by_key(|[x, y, ..]| (*y, *x)), "{line}");
    }
}

/// `X,Y` and `WxH`.
fn parsed(words: &[&str]) -> [u32; 4] {
    let (x, y) = words[0].split_once(',').unwrap();
    let (width, height) = words[1].split_once('x').unwrap();
    [x, y, width, height].map(|figure| figure.parse().unwrap())
}

#[test]
fn publish_derived_publishes_every_frame_beside_the_camera() {
    let system = System::with_daemon();
    let example = start(&system, "publish_derived", &["door"]);
    let mut gray = Camera::wait_for_in(&system.shm(), "door/gray");
    let source = "test:?format=YUYV&size=66x50&fps=20&count=10";
    let mut client = system.start_client("door", source, &["--once"]);
    for number in 0..10 {
        let frame = gray.next(Policy::Every, PATIENCE).unwrap().unwrap();
        assert_eq!((frame.number().0, frame.bytes().len()), (number, 66 * 50));
        assert_eq!(frame.format().fourcc.to_string(), "GREY");
    }
    assert!(client.wait().success(), "{}", client.log());
    assert_eq!(output(example), "");
    assert_ne!(gray.state(), StreamState::Live);
}
