//! The daemon's figures, as a user sees them: `sdvr ls --daemon`.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::net::TcpStream;

use sdvr_tests::{System, text, wait_until};
use serde_json::Value;

fn daemon(system: &System) -> Value {
    let output = system.sdvr(&["ls", "--daemon", "--json"]);
    assert!(output.status.success(), "{output:?}");
    let daemons: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(daemons.as_array().unwrap().len(), 1, "{daemons}");
    daemons[0].clone()
}

#[test]
fn the_daemon_s_figures_are_what_happened() {
    let mut system = System::with_daemon();
    let seen = daemon(&system);
    assert_eq!(seen["alive"], true);
    assert_eq!(seen["process"], system.daemon().id());
    assert_eq!(
        (&seen["cameras_connected"], &seen["frames"]),
        (&0.into(), &0.into())
    );

    let source = "test:?format=BNCH&bytes=20000&fps=50&count=40";
    let mut clients =
        [1, 2].map(|number| system.start_client(&format!("camera-{number}"), source, &[]));
    wait_until("both cameras are counted", || {
        daemon(&system)["cameras_connected"] == 2
    });
    wait_until("their rings take memory", || {
        daemon(&system)["memory_used_bytes"].as_u64() >= Some(2 << 18)
    });
    for client in &mut clients {
        assert!(client.wait().success(), "{}", client.log());
    }
    // A port scan, and a camera under a label that is another's.
    drop(TcpStream::connect(("127.0.0.1", system.port())).unwrap());
    let key = system.home().join("other");
    let stranger = ["-k", key.to_str().unwrap(), "--once"];
    assert!(
        !system
            .start_client("camera-1", "test:", &stranger)
            .wait()
            .success()
    );
    wait_until("all is counted", || {
        let seen = daemon(&system);
        seen["strangers"].as_u64() >= Some(1)
            && seen["refused"] == 1
            && seen["cameras_connected"] == 0
    });
    let seen = daemon(&system);
    let frames = seen["frames"].as_u64().unwrap();
    let missing = seen["frames_missing"].as_u64().unwrap();
    // What a busy machine kept the sources from making has numbers, too.
    assert_eq!(frames + missing, 80, "{seen}");
    assert_eq!(seen["frame_bytes"], frames * 20_000);
    assert_eq!(
        (&seen["sessions"], &seen["new_cameras"]),
        (&2.into(), &2.into())
    );
    assert_eq!(seen["handshakes"], 3);
    wait_until("the memory is given back", || {
        daemon(&system)["memory_used_bytes"] == 0
    });

    let shown = text(&system.sdvr(&["ls", "--daemon"]).stdout);
    assert!(shown.contains("alive, process"), "{shown}");
    assert!(
        shown.contains("2 sessions began, 2 cameras were new"),
        "{shown}"
    );
}

#[test]
fn a_daemon_that_was_killed_or_stopped_is_told_from_one_that_lives() {
    let mut system = System::with_daemon();
    system.daemon().signal(rustix::process::Signal::STOP);
    wait_until("it is seen to hang", || daemon(&system)["alive"] == false);
    system.daemon().signal(rustix::process::Signal::CONT);
    wait_until("it is seen to live", || daemon(&system)["alive"] == true);
    system.kill_daemon();
    wait_until("it is seen to be gone", || {
        daemon(&system)["alive"] == false
    });
    system.start_daemon(&[]);
    assert_eq!(daemon(&system)["alive"], true);
    assert!(system.terminate_daemon().success());
    let output = system.sdvr(&["ls", "--daemon"]);
    assert!(
        output.stdout.is_empty() && output.status.success(),
        "{output:?}"
    );
    assert!(text(&output.stderr).contains("no daemon"), "{output:?}");
}
