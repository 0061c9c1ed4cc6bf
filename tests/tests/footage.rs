//! Real footage through the whole system: what comes out is what went in, to the byte.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use sdvr::{Camera, Error, Policy};
use sdvr_tests::{PATIENCE, Running, System, footage, wait_until};

/// How a file is given to the client.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// As a camera would, at so many frames a second.
    Paced(u32),
    /// As fast as it goes; nothing may be dropped.
    Unpaced,
    /// As a camera program on a pipe.
    StandardInput,
}

#[test]
fn mjpeg_comes_out_as_it_went_in() {
    comes_out_as_it_went_in("mjpeg", "mjpeg", 100);
}

#[test]
fn h264_comes_out_as_it_went_in() {
    comes_out_as_it_went_in("h264", "h264", 100);
}

#[test]
fn h265_comes_out_as_it_went_in() {
    comes_out_as_it_went_in("hevc", "hevc", 100);
}

#[test]
fn y4m_comes_out_as_it_went_in() {
    comes_out_as_it_went_in("y4m", "yuv4mpegpipe", 20);
}

fn comes_out_as_it_went_in(extension: &str, format: &str, frames: u32) {
    let clip = clip(extension, frames);
    assert_eq!(footage::probed_frames(&clip, format), u64::from(frames));
    let system = System::with_daemon();
    // The ring of a raw stream holds some eight frames: what is read late is lost, so it comes at a rate that a busy machine keeps up with.
    let rate = if extension == "y4m" { 20 } else { 200 };
    let ways = [Way::Paced(rate), Way::Unpaced, Way::StandardInput];
    for (way, name) in ways.into_iter().zip(["paced", "unpaced", "stdin"]) {
        let label = format!("{extension}-{name}");
        let output = through_the_system(&system, &label, &clip, way);
        assert_same(&output, &clip, &label);
        assert_eq!(footage::probed_frames(&output, format), u64::from(frames));
    }
}

#[test]
fn y4m_keeps_comments_interlacing_and_what_is_said_of_frames() {
    let system = System::with_daemon();
    let plain = std::fs::read(clip("y4m", 20)).unwrap();
    let (header, frames) = split_y4m(&plain);
    let headers = [
        (
            "comments",
            format!("{header} XCOMMENT=A_shop_window XYSCSS=420JPEG"),
        ),
        ("top-first", header.replace(" Ip", " It")),
        ("bottom-first", header.replace(" Ip", " Ib")),
    ];
    for (name, header) in headers {
        assert!(
            header.contains('I') && header != split_y4m(&plain).0,
            "{header}"
        );
        for has_parameters in [false, true] {
            let mut stream = format!("{header}\n").into_bytes();
            for (number, frame) in frames.iter().enumerate() {
                // Not every frame has parameters, and not all have as many.
                let parameters = match number % 3 {
                    0 if has_parameters => format!(" Itpp XNUMBER={number}"),
                    1 if has_parameters => " I1pi".to_owned(),
                    _ => String::new(),
                };
                stream.extend(format!("FRAME{parameters}\n").bytes());
                stream.extend_from_slice(frame);
            }
            let label = format!("{name}-{has_parameters}");
            let source = system.home().join(format!("{label}.y4m"));
            std::fs::write(&source, stream).unwrap();
            let output = through_the_system(&system, &label, &source, Way::Unpaced);
            assert_same(&output, &source, &label);
            assert_eq!(footage::probed_frames(&output, "yuv4mpegpipe"), 20);
        }
    }
}

/// The header line and the planes of the frames of a stream whose frames have no parameters.
fn split_y4m(stream: &[u8]) -> (String, Vec<&[u8]>) {
    let end = stream.iter().position(|&byte| byte == b'\n').unwrap();
    let (header, rest) = stream.split_at(end);
    let frame_bytes = b"FRAME\n".len() + 768 * 576 * 3 / 2;
    let frames = rest[1..]
        .chunks(frame_bytes)
        .map(|frame| frame.strip_prefix(b"FRAME\n").unwrap());
    (
        String::from_utf8(header.to_vec()).unwrap(),
        frames.collect(),
    )
}

#[test]
fn key_frames_are_where_ffprobe_finds_them() {
    let system = System::with_daemon();
    for (extension, fourcc) in [("h264", "H264"), ("hevc", "HEVC"), ("mjpeg", "MJPG")] {
        let clip = clip(extension, 100);
        let (keys, bytes) = through_a_camera(&system, extension, &clip, fourcc);
        assert_eq!(keys, probed_keys(&clip, extension), "{extension}");
        assert!(
            bytes == std::fs::read(&clip).unwrap(),
            "{extension} has changed"
        );
    }
}

#[test]
fn streams_of_other_encoders_come_out_with_their_key_frames() {
    let system = System::with_daemon();
    for (name, fourcc, keys_least) in [
        ("open.h264", "H264", 3),
        ("refresh.h264", "H264", 3),
        ("interlaced.h264", "H264", 3),
        ("slices.h264", "H264", 3),
        ("open.hevc", "HEVC", 3),
        ("444.mjpeg", "MJPG", 30),
    ] {
        let clip = clip(name, 30);
        let (label, format) = (name.replace('.', "-"), name.split('.').next_back().unwrap());
        let (keys, bytes) = through_a_camera(&system, &label, &clip, fourcc);
        assert_eq!(keys, probed_keys(&clip, format), "{name}");
        assert_eq!(keys.len() as u64, footage::probed_frames(&clip, format));
        let count = keys.iter().filter(|&&is_key| is_key).count();
        assert!(count >= keys_least, "{name} has {count} key frames");
        assert!(bytes == std::fs::read(&clip).unwrap(), "{name} has changed");
    }
}

/// Sends a clip at 100 frames a second; gives which of its frames a program finds to be key frames, and all their bytes.
fn through_a_camera(
    system: &System,
    label: &str,
    clip: &Path,
    fourcc: &str,
) -> (Vec<bool>, Vec<u8>) {
    let mut camera = Camera::wait_for_in(&system.shm(), label);
    let source = clip.to_str().unwrap();
    let mut client = system.start_client(label, source, &["--once", "-r", "100"]);
    let (mut keys, mut bytes) = (Vec::new(), Vec::new());
    let deadline = Instant::now() + 2 * PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "the stream does not end");
        match camera.next(Policy::Every, Duration::from_millis(200)) {
            Ok(Some(frame)) => {
                assert_eq!(frame.format().fourcc.to_string(), fourcc);
                assert_eq!((frame.format().width, frame.format().height), (768, 576));
                keys.push(frame.is_key());
                bytes.extend_from_slice(frame.bytes());
            }
            Ok(None) => {}
            Err(Error::Ended) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(client.wait().code(), Some(0), "{}", client.log());
    (keys, bytes)
}

/// Which packets of the file ffprobe calls key frames.
fn probed_keys(path: &Path, format: &str) -> Vec<bool> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-f", format, "-show_entries", "packet=flags"])
        .args(["-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|flags| flags.starts_with('K')).collect()
}

#[test]
fn a_file_can_be_sent_again_at_once_under_the_same_name() {
    let system = System::with_daemon();
    let clip = clip("h264", 100);
    for _ in 0..3 {
        let output = through_the_system(&system, "again", &clip, Way::Unpaced);
        assert_same(&output, &clip, "again");
    }
}

#[test]
fn a_file_that_loops_goes_on() {
    let system = System::with_daemon();
    let clip = clip("mjpeg", 100);
    let _client = system.start_client("loop", clip.to_str().unwrap(), &["--loop", "-r", "200"]);
    let mut camera = Camera::wait_for_in(&system.shm(), "loop");
    let deadline = Instant::now() + 2 * PATIENCE;
    for frame in camera.frames(Policy::Every) {
        assert!(Instant::now() < deadline, "250 frames take so long");
        if frame.unwrap().number().0 > 250 {
            break;
        }
    }
}

#[test]
fn a_stream_cut_off_in_a_frame_keeps_its_whole_frames() {
    let system = System::with_daemon();
    let clip = clip("mjpeg", 100);
    let whole = std::fs::read(&clip).unwrap();
    let cut = system.home().join("cut.mjpeg");
    std::fs::write(&cut, &whole[..whole.len() - 1000]).unwrap();
    let output = std::fs::read(through_the_system(&system, "cut", &cut, Way::Unpaced)).unwrap();
    assert!(whole.starts_with(&output));
    assert!(output.ends_with(&[0xff, 0xd9]), "its last frame is whole");
    let last_frame = whole.len() - output.len();
    assert!(
        (1000..100_000).contains(&last_frame),
        "{last_frame} bytes are missing"
    );
}

/// Sends a file through client, daemon and `sdvr pipe --wait`; gives what came out. All of them must end well.
fn through_the_system(system: &System, label: &str, clip: &Path, way: Way) -> PathBuf {
    // In memory: a disk that is busy for seconds would make the pipe too late for a ring.
    let output = system.shm().with_file_name(format!("{label}.out"));
    let mut pipe = start_pipe(system, label, &output);
    let mut client = start_sending(system, label, clip, way);
    assert_eq!(client.wait().code(), Some(0), "{label}: {}", client.log());
    assert_eq!(pipe.wait().code(), Some(0), "{label}: {}", pipe.log());
    assert!(
        !pipe.log().contains("missed"),
        "{label}: {}{}",
        pipe.log(),
        client.log()
    );
    output
}

/// `sdvr pipe --wait`, waiting.
fn start_pipe(system: &System, label: &str, output: &Path) -> Running {
    let mut command = system.command("sdvr");
    command
        .args(["pipe", label, "--wait"])
        .stdout(std::fs::File::create(output).unwrap());
    let pipe = system.start(&mut command, "pipe");
    // It listens for signals before it looks for the camera, and must have looked before the camera comes.
    let status = format!("/proc/{}/status", pipe.id());
    wait_until("the pipe waits", || {
        let status = std::fs::read_to_string(&status).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        caught >> (rustix::process::Signal::TERM.as_raw() - 1) & 1 == 1
    });
    std::thread::sleep(Duration::from_millis(200));
    pipe
}

fn start_sending(system: &System, label: &str, clip: &Path, way: Way) -> Running {
    let source = clip.to_str().unwrap();
    match way {
        Way::Paced(rate) => {
            system.start_client(label, source, &["--once", "-r", &rate.to_string()])
        }
        Way::Unpaced => system.start_client(label, source, &["--once"]),
        Way::StandardInput => {
            let mut cat = Command::new("cat")
                .arg(clip)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut command = system.client_command(label, "-");
            command.arg("--once").stdin(cat.stdout.take().unwrap());
            let client = system.start(&mut command, label);
            // The command holds the pipe's other end; without it `cat` ends with the client.
            drop(command);
            std::thread::spawn(move || cat.wait());
            client
        }
    }
}

/// Two files have the same bytes. Not shown when they differ: they are megabytes.
#[track_caller]
fn assert_same(output: &Path, clip: &Path, what: &str) {
    let (got, wanted) = (std::fs::read(output).unwrap(), std::fs::read(clip).unwrap());
    let first = got.iter().zip(&wanted).position(|(a, b)| a != b);
    assert!(
        got == wanted,
        "{what}: {} bytes of {} came out, the first difference is at {first:?}",
        got.len(),
        wanted.len()
    );
}

/// A clip, made by one test at a time.
fn clip(extension: &str, frames: u32) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    footage::clip(extension, frames)
}
