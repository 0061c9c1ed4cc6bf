//! `sdvr demo`: what it shows, and that nothing of it is left behind.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use sdvr_tests::{Running, System, children_of, wait_until};

const CAMERAS: [&str; 4] = ["front-door", "workbench", "garden", "microscope"];

#[test]
fn the_demonstration_leaves_nothing_behind() {
    let demo = Demo::start(&["--no-web", "--seconds", "5"]);
    demo.ends(0);
}

#[test]
fn the_demonstration_has_a_page_with_cameras_over_every_link_without_privileges() {
    let demo = Demo::start_until(&[], |printed| printed.contains("http://"));
    let printed = demo.printed();
    let address = printed.split_once("http://").unwrap().1;
    let address = address.split(['/', ' ', '\n']).next().unwrap();
    assert!(fetch(address, "/").starts_with("HTTP/1.1 200"));
    let mut links = Vec::new();
    wait_until("the page knows all cameras", || {
        let answer = fetch(address, "/api/cameras");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let cameras: serde_json::Value = serde_json::from_str(body).unwrap();
        let cameras = cameras.as_array().unwrap();
        links = cameras
            .iter()
            .map(|camera| camera["link"].as_str().unwrap_or_default().to_owned())
            .collect();
        links.sort();
        links.len() == CAMERAS.len()
    });
    assert_eq!(links, ["tcp", "tcp", "udp", "udp"]);
    assert_eq!(
        demo.children.len(),
        2 + CAMERAS.len(),
        "a daemon, cameras and the page"
    );
    demo.running.signal(Signal::INT);
    demo.ends(0);
}

/// What a server answers.
fn fetch(address: &str, path: &str) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    write!(
        connection,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn an_interrupted_demonstration_leaves_nothing_behind() {
    let demo = Demo::start(&["--no-web"]);
    demo.running.signal(Signal::INT);
    demo.ends(0);
}

#[test]
fn a_demonstration_ended_by_ctrl_c_at_a_terminal_leaves_nothing_behind() {
    // A terminal sends the signal to all programs of the group at once: also to the daemon and the cameras.
    let demo = Demo::start(&["--no-web"]);
    let group = Pid::from_raw(i32::try_from(demo.running.id()).unwrap()).unwrap();
    kill_process_group(group, Signal::INT).unwrap();
    demo.ends(0);
}

/// `sdvr demo` while it runs.
struct Demo {
    system: System,
    running: Running,
    children: Vec<sdvr_tests::ProcessSeen>,
    shm: std::path::PathBuf,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        Self::start_until(arguments, |printed| {
            CAMERAS.iter().all(|camera| shows_frames(printed, camera))
        })
    }

    fn start_until(arguments: &[&str], is_ready: impl Fn(&str) -> bool) -> Self {
        let system = System::new();
        std::fs::create_dir(system.home().join("tmp")).unwrap();
        let output = std::fs::File::create(system.home().join("demo.out")).unwrap();
        let mut command = system.command("sdvr");
        command
            .arg("demo")
            .args(arguments)
            .env("TMPDIR", system.home().join("tmp"))
            .stdout(Stdio::from(output))
            .process_group(0);
        let mut running = system.start(&mut command, "demo");
        let printed = || std::fs::read_to_string(system.home().join("demo.out")).unwrap();
        wait_until("the demonstration is ready", || {
            assert!(running.runs(), "{}{}", printed(), running.log());
            is_ready(&printed())
        });
        let printed = printed();
        let (_, shm) = printed.split_once("SDVR_SHM_DIR=").unwrap();
        let shm = shm.split_whitespace().next().unwrap().into();
        let children = children_of(running.id());
        Self {
            running,
            children,
            shm,
            system,
        }
    }

    fn printed(&self) -> String {
        std::fs::read_to_string(self.system.home().join("demo.out")).unwrap()
    }

    /// It ends with `code`, and nothing is left.
    #[track_caller]
    fn ends(mut self, code: i32) {
        let status = self.running.wait();
        let printed = self.printed();
        assert_eq!(status.code(), Some(code), "{printed}{}", self.running.log());
        assert!(printed.contains("Nothing is left behind."), "{printed}");
        for child in &self.children {
            assert!(!child.is_there(), "{child:?}");
        }
        let directory = self.shm.parent().unwrap();
        assert!(
            directory.starts_with("/dev/shm/"),
            "{}",
            directory.display()
        );
        assert!(!directory.exists(), "{}", directory.display());
        let left: Vec<_> = std::fs::read_dir(self.system.home().join("tmp"))
            .unwrap()
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Whether a line of the table says that the camera sends.
fn shows_frames(printed: &str, camera: &str) -> bool {
    printed.lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some(camera)
            && words
                .next()
                .and_then(|frames| frames.parse().ok())
                .is_some_and(|frames: u64| frames > 0)
    })
}

#[test]
fn a_demonstration_interrupted_before_its_first_picture_leaves_nothing_behind() {
    let demo = Demo::start_until(&[], |printed| printed.contains("SDVR_SHM_DIR="));
    let group = Pid::from_raw(i32::try_from(demo.running.id()).unwrap()).unwrap();
    kill_process_group(group, Signal::INT).unwrap();
    demo.ends(0);
}
