//! What the camera program does when it is told to: frames on request, all cameras of a host.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::time::Duration;

use rustix::process::Signal;
use sdvr_tests::{System, text, wait_until};

fn frames(system: &System, label: &str) -> u64 {
    let list = system.list();
    let camera = list.iter().find(|camera| camera["label"] == label);
    camera.map_or(0, |camera| camera["frames"].as_u64().unwrap())
}

#[test]
fn with_t_each_signal_sends_one_frame_and_none_is_missing_between() {
    let system = System::with_daemon();
    let clip = system.home().join("clip.y4m");
    let picture = [b"FRAME\n".as_slice(), &[7; 64 * 48]].concat();
    let header = b"YUV4MPEG2 W64 H48 F20:1 Ip A1:1 Cmono\n".as_slice();
    std::fs::write(&clip, [header, &picture.repeat(50)].concat()).unwrap();
    for (label, source) in [
        // A camera whose other frames go by, and a file that waits.
        ("passing", "test:?format=MJPG&size=64x48&fps=20"),
        ("waiting", clip.to_str().unwrap()),
    ] {
        let client = system.start_client(label, source, &["-t"]);
        system.wait_for_state(label, "live");
        let mut watch = system.command("sdvr");
        let watch = watch.args(["watch", label, "--json", "--count", "3"]);
        let mut watch = system.start(watch.stdout(std::process::Stdio::piped()), "watch");
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(frames(&system, label), 0, "{label}");
        for count in 1..=3 {
            client.signal(Signal::USR1);
            wait_until("a frame comes for the signal", || {
                frames(&system, label) >= count
            });
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!(frames(&system, label), count, "{label}");
        }
        let lines = text(&watch.output());
        assert_eq!(lines.lines().count(), 3, "{lines}");
        for line in lines.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["missed"], 0, "{line}");
        }
    }
}

/// Any host of the tests may have cameras; that it goes on and ends well is promised in any case.
#[test]
fn all_cameras_are_waited_for_until_the_user_wants_to_go() {
    let system = System::with_daemon();
    let mut client = system.command("sdvrc");
    client.args(["--all", "-d", "127.0.0.1", "-p", &system.port().to_string()]);
    let mut client = system.start(&mut client, "all");
    wait_until("it says what it does", || {
        client.log().contains("streaming every camera of this host")
    });
    std::thread::sleep(Duration::from_millis(700));
    assert!(client.runs(), "{}", client.log());
    assert!(client.terminate().success(), "{}", client.log());
    let mut both = system.command("sdvrc");
    let output = both.args(["--all", "-i", "test:"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
