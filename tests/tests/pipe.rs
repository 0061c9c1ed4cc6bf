//! `sdvr pipe` into other programs: they see the pictures that the source had, all of them, in each form.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sdvr::{FourCc, FrameRate, PublishOptions, Published, Publisher, StreamFormat};
use sdvr_tests::footage::clip;
use sdvr_tests::{Running, System, text, wait_until};

const FRAMES: u32 = 20;
const RGB: &[&str] = &[
    "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "768x576", "-r", "20",
];
const Y4M: &[&str] = &["-f", "yuv4mpegpipe"];

/// Starts `sdvr pipe` for a camera that is not there yet, into a file.
fn start_pipe(system: &System, label: &str, more: &[&str]) -> (Running, PathBuf) {
    let name = format!("{label}{}", more.concat().replace('-', "."));
    let path = system.home().join(&name);
    let mut command = system.command("sdvr");
    command
        .args(["pipe", label, "--wait"])
        .args(more)
        .stdout(File::create(&path).unwrap());
    let pipe = system.start(&mut command, &name);
    wait_until("it is waited for the camera", || watches(pipe.id()));
    (pipe, path)
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

/// Sends a clip once at a rate that a busy machine keeps up with, while it is piped; gives what was written.
fn piped(system: &System, clip: &Path, format: &str) -> PathBuf {
    let extension = clip.extension().unwrap().to_str().unwrap();
    let label = format!("{extension}-{format}");
    let (mut pipe, path) = start_pipe(system, &label, &["--format", format]);
    let mut client = system.start_client(&label, clip.to_str().unwrap(), &["--once", "-r", "20"]);
    assert!(client.wait().success(), "{}", client.log());
    let status = pipe.wait();
    assert!(status.success(), "{status}: {}", pipe.log());
    path
}

/// What ffmpeg makes of a file of pictures: a hash for each, in one form.
fn hashes(input: &[&str], file: &Path, pixels: &str) -> Vec<String> {
    let output = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-xerror"])
        .args(input)
        .arg("-i")
        .arg(file)
        .args(["-pix_fmt", pixels, "-f", "framemd5", "-"])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg is there; `cargo xtask test` installs it");
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let lines = text(&output.stdout);
    let frames = lines.lines().filter(|line| !line.starts_with('#'));
    let hash = |line: &str| line.rsplit(", ").next().unwrap().to_owned();
    frames.map(hash).collect()
}

/// How alike two files of pictures are, in decibels: the least of all pictures.
fn likeness(input: &[&str], file: &Path, reference: &Path) -> f64 {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostats", "-xerror"])
        .args(input)
        .arg("-i")
        .arg(file)
        .args(["-r", "20", "-i"])
        .arg(reference)
        .args(["-lavfi", "[0]format=rgb24[a];[1]format=rgb24[b];[a][b]psnr"])
        .args(["-f", "null", "-"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}");
    let (_, figure) = said.rsplit_once(" min:").unwrap();
    figure.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn coded_frames_come_out_as_the_pictures_that_other_decoders_see() {
    let system = System::with_daemon();
    for clip in ["h264", "mjpeg"].map(|extension| clip(extension, FRAMES)) {
        for (format, input) in [("rgb", RGB), ("y4m", Y4M)] {
            let path = piped(&system, &clip, format);
            assert_eq!(hashes(input, &path, "rgb24").len(), FRAMES as usize);
            let decibels = likeness(input, &path, &clip);
            assert!(
                decibels > 35.0,
                "{format} of {}: {decibels}",
                clip.display()
            );
        }
    }
}

#[test]
fn packed_pixels_become_planes_without_a_loss() {
    let system = System::with_daemon();
    for (fourcc, pixels, planes) in [
        ("YUYV", "yuyv422", "yuv422p"),
        ("NV12", "nv12", "yuv420p"),
        ("GREY", "gray", "gray"),
    ] {
        let (mut raw, raw_path) = start_pipe(&system, fourcc, &["--format", "raw"]);
        let (mut y4m, y4m_path) = start_pipe(&system, fourcc, &["--format", "y4m"]);
        let source = format!("test:?format={fourcc}&size=66x50&fps=20&count=10");
        let mut client = system.start_client(fourcc, &source, &["--once"]);
        assert!(client.wait().success(), "{}", client.log());
        assert!(raw.wait().success(), "{}", raw.log());
        assert!(y4m.wait().success(), "{}", y4m.log());
        let raw = ["-f", "rawvideo", "-pix_fmt", pixels, "-s", "66x50"];
        let expected = hashes(&raw, &raw_path, planes);
        assert_eq!(expected.len(), 10, "{fourcc}");
        assert_eq!(hashes(Y4M, &y4m_path, planes), expected, "{fourcc}");
    }
}

#[test]
fn what_v_says_is_what_ffmpeg_needs() {
    let system = System::with_daemon();
    let source = "test:?format=YUYV&size=64x48&fps=20&count=10";
    for format in ["raw", "y4m", "rgb"] {
        let label = format!("told-{format}");
        let (mut pipe, path) = start_pipe(&system, &label, &["--format", format, "-v"]);
        let mut client = system.start_client(&label, source, &["--once"]);
        assert!(client.wait().success(), "{}", client.log());
        assert!(pipe.wait().success(), "{}", pipe.log());
        let said = pipe.log();
        let (_, told) = said.split_once("ffmpeg ").unwrap();
        let words: Vec<&str> = told.split_whitespace().collect();
        let input = words.strip_suffix(&["-i", "-"]).unwrap();
        assert_eq!(hashes(input, &path, "rgb24").len(), 10, "{said}");
    }
}

#[test]
fn coded_bytes_begin_where_a_decoder_can() {
    let system = System::with_daemon();
    let video = clip("h264", 100);
    let _client = system.start_client("door", video.to_str().unwrap(), &["--loop", "-r", "50"]);
    system.wait_for_state("door", "live");
    for _ in 0..3 {
        let program = sdvr_tests::binary("sdvr");
        let output = Command::new("sh")
            .args(["-c", "\"$0\" pipe door | head -c 5"])
            .arg(program)
            .env("SDVR_SHM_DIR", system.shm())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        // Parameters, which stand before a key frame only.
        assert_eq!(output.stdout, [0, 0, 0, 1, 0x67], "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn a_reader_that_has_enough_ends_it_quietly() {
    let system = System::with_daemon();
    let _client = system.start_client("door", "test:?format=MJPG&size=64x48&fps=50", &[]);
    system.wait_for_state("door", "live");
    for format in ["rgb", "y4m"] {
        let mut command = system.command("sdvr");
        command
            .args(["pipe", "door", "--format", format])
            .stdout(Stdio::piped());
        let mut pipe = system.start(&mut command, format);
        let mut some = [0; 1000];
        let mut out = pipe.child().stdout.take().unwrap();
        std::io::Read::read_exact(&mut out, &mut some).unwrap();
        drop(out);
        assert!(pipe.wait().success(), "{}", pipe.log());
        assert_eq!(pipe.log(), "");
    }
}

#[test]
fn rgb_ends_when_the_size_changes() {
    let system = System::with_daemon();
    let mut client = system.start_client("door", "test:?format=YUYV&size=64x48&fps=20", &[]);
    let (mut pipe, path) = start_pipe(&system, "door", &["--format", "rgb"]);
    wait_until("pictures are written", || {
        std::fs::metadata(&path).unwrap().len() > 20_000
    });
    client.kill();
    let _client = system.start_client("door", "test:?format=YUYV&size=32x24&fps=20", &[]);
    assert_eq!(pipe.wait().code(), Some(1), "{}", pipe.log());
    let said = pipe.log();
    for word in ["32x24", "64x48"] {
        assert!(said.contains(word), "{said}");
    }
    assert_eq!(std::fs::read(&path).unwrap().len() % (64 * 48 * 3), 0);
}

/// A stream of whatever frames.
fn publisher(system: &System, fourcc: FourCc) -> Publisher {
    let format = StreamFormat {
        fourcc,
        width: 64,
        height: 48,
        rate: FrameRate::from_whole(20),
    };
    let options = PublishOptions::new(format);
    Publisher::create_in(&system.shm(), "odd", options).unwrap()
}

/// A picture of the test camera.
fn image(system: &System) -> Vec<u8> {
    let (mut pipe, path) = start_pipe(system, "model", &[]);
    let source = "test:?format=MJPG&size=64x48&fps=20&count=1";
    let mut client = system.start_client("model", source, &["--once"]);
    assert!(client.wait().success() && pipe.wait().success());
    std::fs::read(path).unwrap()
}

#[test]
fn damaged_frames_are_left_out_and_counted() {
    let system = System::with_daemon();
    let image = image(&system);
    let (mut pipe, path) = start_pipe(&system, "odd", &["--format", "rgb"]);
    let mut odd = publisher(&system, FourCc::MJPG);
    wait_until("the first picture is written", || {
        odd.publish(&image, &Published::now()).unwrap();
        std::fs::metadata(&path).unwrap().len() > 0
    });
    for frame in [b"no image at all", &image[..100], &image] {
        odd.publish(frame, &Published::now()).unwrap();
    }
    odd.close();
    assert_eq!(pipe.wait().code(), Some(1), "{}", pipe.log());
    let said = pipe.log();
    for words in [
        " of odd cannot be shown: ",
        "missed 0 frames in all, 2 of those that came gave no picture",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    let written = std::fs::read(&path).unwrap();
    let pictures: Vec<&[u8]> = written.chunks(64 * 48 * 3).collect();
    assert!(pictures.len() >= 2);
    assert!(pictures.iter().all(|picture| *picture == pictures[0]));
}

#[test]
fn frames_without_pixels_are_wrong_usage() {
    let system = System::with_daemon();
    let _client = system.start_client("measuring", "test:?format=BNCH&bytes=2000&fps=20", &[]);
    system.wait_for_state("measuring", "live");
    for format in ["rgb", "y4m"] {
        let output = system.sdvr(&["pipe", "measuring", "--format", format]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stdout.is_empty());
        let said = text(&output.stderr);
        for words in ["measuring", "BNCH", "frame ", "have no pixels"] {
            assert!(said.contains(words), "{words} in {said}");
        }
    }
}

#[test]
fn pixels_without_brightness_are_no_y4m_and_it_says_what_is() {
    let system = System::with_daemon();
    let (mut pipe, _) = start_pipe(&system, "odd", &["--format", "y4m"]);
    let mut odd = publisher(&system, FourCc::RGB3);
    odd.publish(&[7; 64 * 48 * 3], &Published::now()).unwrap();
    assert_eq!(pipe.wait().code(), Some(2), "{}", pipe.log());
    let said = pipe.log();
    assert!(
        said.contains("odd sends RGB3") && said.contains("--format rgb"),
        "{said}"
    );
}
