//! The page of `sdvr web` in a real browser: what is in `tests/browser` is run beside real cameras.
//!
//! The browser is Chromium, driven by Node.js with packages of npm: `cargo xtask test` brings all of them.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use sdvr::{FourCc, FrameRate, PublishOptions, Published, Publisher};
use sdvr_frame::Timestamp;
use sdvr_source::{CaptureOptions, Next, Source};
use sdvr_tests::{Running, System, browser};

/// How many frames the film has; it is sent over and over.
const FILM_FRAMES: u32 = 240;
const SIZE: &str = "size=640x360";

/// One browser at a time: several would be kept from running by each other.
static BROWSER: Mutex<()> = Mutex::new(());

/// Cameras, and a page of them.
struct Site {
    system: System,
    cameras: HashMap<String, Running>,
    web: Option<Running>,
    address: SocketAddr,
}

impl Site {
    fn new() -> Self {
        let system = System::with_daemon();
        let (web, address) = start_web(&system, "127.0.0.1:0");
        Self {
            system,
            cameras: HashMap::new(),
            web: Some(web),
            address,
        }
    }

    fn start(&mut self, label: &str, source: &str, arguments: &[&str]) {
        let camera = self.system.start_client(label, source, arguments);
        self.cameras.insert(label.to_owned(), camera);
    }

    /// Does what a script asks for.
    fn handle(&mut self, words: &[&str]) {
        match words {
            ["start", label] => self.start(label, &test_camera("MJPG"), &[]),
            ["kill", label] => self.cameras.remove(*label).unwrap().kill(),
            ["kill-web"] => self.web.take().unwrap().kill(),
            ["start-web"] => {
                let (web, _) = start_web(&self.system, &self.address.to_string());
                self.web = Some(web);
            }
            ["kill-daemon"] => self.system.kill_daemon(),
            ["start-daemon"] => self.system.start_daemon(&[]),
            ["end-daemon"] => {
                assert!(self.system.terminate_daemon().success());
            }
            _ => panic!("a script asks for {words:?}"),
        }
    }

    /// Runs a script of `tests/browser` to its end, which has to be good.
    #[track_caller]
    fn run(&mut self, script: &str, environment: &[(&str, &str)]) {
        let _one = BROWSER
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut command = browser::script(script);
        command
            .env("SDVR_WEB_ADDRESS", format!("http://{}/", self.address))
            .envs(environment.iter().copied());
        let mut node = self.system.start(&mut command, script);
        let mut answers = node.child().stdin.take().unwrap();
        let asked = BufReader::new(node.child().stdout.take().unwrap());
        for line in asked.lines() {
            let words: Vec<String> = serde_json::from_str(&line.unwrap()).unwrap();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            self.handle(&words);
            writeln!(answers, "done").unwrap();
        }
        let status = node.wait();
        assert!(status.success(), "{script}: {status}");
    }
}

fn start_web(system: &System, address: &str) -> (Running, SocketAddr) {
    let mut command = system.command("sdvr");
    command
        .args(["web", "--listen", address])
        .stdout(Stdio::piped());
    let mut web = system.start(&mut command, "web");
    let line = web.first_line();
    let address = line
        .split("http://")
        .nth(1)
        .and_then(|rest| rest.split('/').next())
        .and_then(|address| address.parse().ok());
    let address = address.unwrap_or_else(|| panic!("it says {line:?}; log: {}", web.log()));
    (web, address)
}

fn test_camera(format: &str) -> String {
    format!("test:?format={format}&{SIZE}&fps=15")
}

/// The test pattern as H.264: frame n of the file shows picture n. Made once.
fn film() -> &'static Path {
    static FILM: OnceLock<PathBuf> = OnceLock::new();
    FILM.get_or_init(make_film)
}

fn make_film() -> PathBuf {
    let film = browser::packages().join(format!("pattern-{FILM_FRAMES}.h264"));
    if film.exists() {
        return film;
    }
    let spec = format!("test:?format=NV12&{SIZE}&fps=0&count={FILM_FRAMES}");
    let mut source = Source::open(&spec.parse().unwrap(), &CaptureOptions::default()).unwrap();
    let unfinished = film.with_extension(format!("{}.h264", std::process::id()));
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-y", "-f", "rawvideo"])
        .args(["-pix_fmt", "nv12", "-s", "640x360", "-r", "15", "-i", "-"])
        // What the pattern's numbers mean: a decoder would have to guess.
        .args(["-color_range", "tv", "-colorspace", "smpte170m"])
        .args(["-color_primaries", "smpte170m", "-color_trc", "smpte170m"])
        .args(["-c:v", "libx264", "-preset", "veryfast", "-crf", "12"])
        .args(["-g", "15", "-bf", "0", "-pix_fmt", "yuv420p", "-f", "h264"])
        .arg(&unfinished)
        .stdin(Stdio::piped())
        .spawn()
        .expect("ffmpeg is installed by `cargo xtask test`");
    let mut pictures = ffmpeg.stdin.take().unwrap();
    loop {
        match source.try_next(Timestamp::now()).unwrap() {
            Next::Frame(frame) => pictures.write_all(frame.payload).unwrap(),
            Next::Ended => break,
            _ => {}
        }
    }
    drop(pictures);
    assert!(ffmpeg.wait().unwrap().success());
    std::fs::rename(&unfinished, &film).unwrap();
    film
}

#[track_caller]
fn check_pictures(lacks: &str) {
    let mut site = Site::new();
    for (label, format) in [
        ("mjpg", "MJPG"),
        ("yuyv", "YUYV"),
        ("nv12", "NV12"),
        ("grey", "GREY"),
    ] {
        site.start(label, &test_camera(format), &[]);
    }
    site.start("film", film().to_str().unwrap(), &["--loop", "-r", "15"]);
    site.run(
        "pictures.js",
        &[
            ("SDVR_BROWSER_LACKS", lacks),
            ("SDVR_FILM_FRAMES", &FILM_FRAMES.to_string()),
        ],
    );
}

#[test]
fn pictures_move_and_are_those_that_cameras_sent() {
    check_pictures("");
}

#[test]
fn pictures_are_the_same_in_a_browser_that_decodes_only_video_elements() {
    check_pictures("VideoDecoder");
}

#[test]
fn pictures_are_the_same_in_a_browser_that_knows_only_images() {
    check_pictures("VideoDecoder,MediaSource,ManagedMediaSource");
}

#[test]
fn the_page_follows_cameras_and_servers_that_come_and_go() {
    Site::new().run("life.js", &[]);
}

#[test]
fn sixteen_cameras_move_at_once_and_a_slow_page_delays_no_other() {
    let mut site = Site::new();
    for number in 1..=16 {
        site.start(&format!("camera-{number}"), &test_camera("MJPG"), &[]);
    }
    site.run("crowd.js", &[]);
}

#[test]
fn what_cameras_say_of_themselves_is_text() {
    let mut site = Site::new();
    let options = PublishOptions::metadata(FourCc(*b"<u>\""), FrameRate::from_whole(10));
    let mut people = Publisher::create_in(&site.system.shm(), "door/people", options).unwrap();
    people
        .publish(b"<script>window.wasAttacked=1</script>", &Published::now())
        .unwrap();
    site.run("hostile.js", &[]);
}

#[test]
fn the_page_is_used_by_keyboard_by_screen_reader_and_on_a_phone() {
    let mut site = Site::new();
    for label in ["door", "yard"] {
        site.start(label, &test_camera("MJPG"), &[]);
    }
    site.run("using.js", &[]);
}
