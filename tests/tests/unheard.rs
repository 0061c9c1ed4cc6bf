//! Nobody reads what a program says, or its disk is full: that ends nothing, and nothing panics.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::fs::File;
use std::process::{Command, Stdio};

use sdvr_tests::{System, text, wait_until};

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// A pipe whose reader has gone.
fn nobody() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_daemon_and_a_camera_go_on_without_a_log() {
    for log in [Stdio::from(full()), nobody()] {
        let system = System::new();
        let mut daemon = system.command("sdvrd");
        daemon.args(["-l", "127.0.0.1", "-p", &system.port().to_string()]);
        let mut daemon = daemon.stdout(full()).stderr(log).spawn().unwrap();
        let mut quiet = system.client_command("quiet", "test:?format=BNCH&bytes=10000&fps=20");
        let mut quiet = quiet.stderr(full()).spawn().unwrap();
        system.wait_for_state("quiet", "live");
        let mut other = system.client_command("other", "test:?format=BNCH&bytes=10000&fps=20");
        let mut other = other.stderr(nobody()).spawn().unwrap();
        system.wait_for_state("other", "live");
        let findings = system.verify("quiet", 1.0);
        assert!(findings["frames"].as_u64().unwrap() > 0, "{findings}");
        for child in [&mut quiet, &mut other, &mut daemon] {
            assert!(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

fn ends(command: &mut Command, code: i32) -> String {
    let output = command.stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{command:?}: {output:?}");
    text(&output.stderr)
}

#[test]
fn the_toolbox_ends_quietly_when_its_reader_has_enough_and_says_when_the_disk_is_full() {
    let system = System::with_daemon();
    let _camera = system.start_client("camera", "test:?format=BNCH&bytes=10000&fps=20", &[]);
    system.wait_for_state("camera", "live");
    let commands: [&[&str]; 7] = [
        &["keys", "list"],
        &["keys", "fingerprint"],
        &["ls"],
        &["ls", "--json"],
        &["watch", "camera"],
        &["watch", "camera", "--json"],
        &["pipe", "camera"],
    ];
    for arguments in commands {
        let mut command = system.command("sdvr");
        let said = ends(command.args(arguments).stdout(nobody()), 0);
        assert_eq!(said, "", "{arguments:?}");
        let mut command = system.command("sdvr");
        let said = ends(command.args(arguments).stdout(full()), 1);
        assert!(
            said.contains("standard output") && said.contains("No space left"),
            "{arguments:?}: {said}"
        );
    }
    let mut nosuch = system.command("sdvr");
    let output = nosuch.args(["watch", "nosuch"]).stderr(full()).output();
    assert_eq!(output.unwrap().status.code(), Some(1));
}

#[test]
fn readers_are_told_when_a_source_fails() {
    let system = System::with_daemon();
    let clip = system.home().join("broken.y4m");
    let frame = [b"FRAME\n".as_slice(), &[7; 64 * 48]].concat();
    let header = b"YUV4MPEG2 W64 H48 F20:1 Ip A1:1 Cmono\n".as_slice();
    std::fs::write(
        &clip,
        [header, &frame, &frame, &frame, b"NO FRAME\n", &frame].concat(),
    )
    .unwrap();
    let mut pipe = system.command("sdvr");
    let pipe = pipe
        .args(["pipe", "broken", "--wait"])
        .stdout(Stdio::piped());
    let pipe = pipe.spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let mut client = system.client_command("broken", clip.to_str().unwrap());
    let said = ends(client.args(["-r", "20"]), 1);
    assert!(said.contains("broken.y4m"), "{said}");
    let output = pipe.wait_with_output().unwrap();
    assert_eq!(output.stdout.len(), header.len() + 3 * frame.len());
    wait_until("its ring is gone", || system.list().is_empty());
}
