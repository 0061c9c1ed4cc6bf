//! Cameras that get another key, with real programs: `sdvr keys rotate --camera`.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use sdvr_tests::consumer::Consumer;
use sdvr_tests::{System, text, wait_until};

const SOURCE: &str = "test:?format=BNCH&bytes=1000&fps=20";

fn known(system: &System, name: &str) -> String {
    std::fs::read_to_string(system.home().join(".sdvr").join(name)).unwrap()
}

fn copy_of_keys(system: &System, name: &str) -> PathBuf {
    let copy = system.home().join(name);
    let status = std::process::Command::new("cp")
        .arg("-a")
        .arg(system.home().join(".sdvr"))
        .arg(&copy)
        .status()
        .unwrap();
    assert!(status.success());
    copy
}

/// What a client with these keys says that streams five frames.
fn once(system: &System, directory: &Path) -> (Option<i32>, String) {
    let output = system
        .client_command("door", "test:?format=BNCH&bytes=1000&fps=20&count=5")
        .args(["--once", "-k"])
        .arg(directory)
        .output()
        .unwrap();
    (output.status.code(), text(&output.stderr))
}

/// The key that the camera has on its host.
fn fingerprint_of_camera(system: &System) -> String {
    let own: serde_json::Value =
        serde_json::from_str(&system.keys(&["fingerprint", "--json"])).unwrap();
    let cameras = own.as_array().unwrap().iter();
    let camera = cameras.clone().find(|key| key["kind"] == "camera").unwrap();
    camera["fingerprint"].as_str().unwrap().to_owned()
}

#[test]
fn a_camera_with_a_new_key_streams_on_and_its_old_key_ends() {
    let mut system = System::with_daemon();
    let client = system.start_client("door", SOURCE, &[]);
    system.wait_for_state("door", "live");
    let consumer = Consumer::start(&system.shm(), "door");
    let before = fingerprint_of_camera(&system);
    let stolen = copy_of_keys(&system, "stolen");

    system.keys(&["rotate", "--camera", "door"]);
    wait_until("the server has recorded it", || {
        known(&system, "known_cameras").contains(" next=")
    });
    wait_until("the client has heard so", || {
        known(&system, "known_servers").contains(" told=")
    });
    let now = fingerprint_of_camera(&system);
    assert_ne!(now, before);
    let list = system.keys(&["list"]);
    assert!(
        list.contains(&before) && list.contains(&format!("next {now}")),
        "{list}"
    );
    // The session goes on, and a second rotation must wait.
    assert_eq!(client.times_said("connected label"), 1, "{}", client.log());
    let again = system.sdvr(&["keys", "rotate", "--camera", "door"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(text(&again.stderr).contains("replaced lately"), "{again:?}");

    // The camera's host starts anew.
    let rings = system.rings();
    let frames = consumer.seen().frames;
    let client = {
        drop(client);
        system.start_client("door", SOURCE, &[])
    };
    wait_until("the new key has taken over", || {
        known(&system, "known_cameras").contains(" old=")
    });
    let text_now = known(&system, "known_cameras");
    assert!(!text_now.contains(" next="), "{text_now}");
    wait_until("frames flow again", || consumer.seen().frames > frames + 20);
    assert_ne!(
        system.rings(),
        rings,
        "another run has a ring of the new key"
    );
    let list = system.keys(&["list"]);
    assert!(
        list.contains(&format!("before {before} until 2")) && list.contains(&now),
        "{list}"
    );

    // The server comes back: the camera comes with the new key, and nothing else is known.
    system.kill_daemon();
    system.start_daemon(&["--accept", "closed"]);
    wait_until("it is back", || client.times_said("connected label") == 2);
    let frames = consumer.seen().frames;
    wait_until("frames flow again", || consumer.seen().frames > frames + 20);
    assert_eq!(consumer.seen().wrong, Vec::<String>::new());

    // Whoever has the old key is the camera until its time is over, and never after.
    let known_cameras = known(&system, "known_cameras");
    let (start, _) = known_cameras.split_once("until=").unwrap();
    let over = format!("{start}until=2020-01-01T00:00:00Z\n");
    std::fs::write(system.home().join(".sdvr/known_cameras"), over).unwrap();
    wait_until("the thief is refused", || {
        let (code, said) = once(&system, &stolen);
        code == Some(1) && said.contains("has had another key there for longer")
    });
    let log = system.daemon().log();
    assert!(
        log.contains("was the camera door's until it got another one")
            && log.contains("sdvr keys forget door"),
        "{log}"
    );
    system.wait_for_figure("refused_old_key", 1);
    assert_eq!(client.times_said("connected label"), 2, "{}", client.log());
    drop(client);
    assert_eq!(once(&system, &system.home().join(".sdvr")).0, Some(0));
}

/// The link is cut in the middle of a run: readers of the camera see one run, and every frame that came.
#[test]
fn a_reconnect_with_the_new_key_goes_on_in_the_same_ring() {
    let mut system = System::with_daemon();
    let client = system.start_client("door", SOURCE, &[]);
    system.wait_for_state("door", "live");
    let consumer = Consumer::start(&system.shm(), "door");
    wait_until("frames flow", || consumer.seen().frames > 5);
    system.keys(&["rotate", "--camera", "door"]);
    wait_until("the client has heard so", || {
        known(&system, "known_servers").contains(" told=")
    });
    let rings = system.rings();
    // Two seconds of silence make a client connect anew.
    let daemon = system.daemon().id();
    stop_for(daemon, Duration::from_millis(2500));
    wait_until("it is back with the new key", || {
        client.times_said("connected label") == 2
            && known(&system, "known_cameras").contains(" old=")
    });
    let frames = consumer.seen().frames;
    wait_until("frames flow again", || consumer.seen().frames > frames + 20);
    assert_eq!(system.rings(), rings);
    // Also one that has to be made anew.
    std::fs::remove_file(&rings[0]).unwrap();
    wait_until("the ring is made anew", || system.rings() == rings);
    let frames = consumer.seen().frames;
    wait_until("frames flow again", || consumer.seen().frames > frames + 20);
    let seen = consumer.seen();
    assert_eq!(seen.wrong, Vec::<String>::new());
    assert_eq!(seen.last.len(), 1, "it is one run");

    // The next run has a ring in the name of the new key, and the old one is gone.
    drop(client);
    let _client = system.start_client("door", SOURCE, &[]);
    wait_until("the next run is seen", || consumer.seen().last.len() == 2);
    let frames = consumer.seen().frames;
    wait_until("frames flow", || consumer.seen().frames > frames + 20);
    wait_until("there is one ring", || system.rings().len() == 1);
    assert_ne!(system.rings(), rings);
}

fn stop_for(id: u32, time: Duration) {
    use rustix::process::{Pid, Signal, kill_process};
    let id = Pid::from_raw(id.try_into().unwrap()).unwrap();
    kill_process(id, Signal::STOP).unwrap();
    std::thread::sleep(time);
    kill_process(id, Signal::CONT).unwrap();
}

#[test]
fn a_camera_that_was_away_while_its_key_was_replaced_loses_none_of_its_servers() {
    let mut system = System::with_daemon();
    let mut other = System::new();
    other.start_daemon(&["--accept", "tofu"]);
    let directory = system.home().join("keys");
    let stream_to = |system: &System| once(system, &directory);
    for system in [&system, &other] {
        let (code, said) = stream_to(system);
        assert_eq!(code, Some(0), "{said}");
    }
    let rotate = |system: &System| {
        let directory = directory.to_str().unwrap();
        system.keys(&["-k", directory, "rotate", "--camera", "door"]);
    };
    rotate(&system);
    // Neither takes new cameras.
    for system in [&mut system, &mut other] {
        system.kill_daemon();
        system.start_daemon(&["--accept", "closed"]);
    }
    for _ in 0..2 {
        let (code, said) = stream_to(&system);
        assert_eq!(code, Some(0), "{said}");
    }
    let known_there = known(&system, "known_cameras");
    assert!(known_there.contains(" old="), "{known_there}");
    assert!(!known(&other, "known_cameras").contains("next="));
    for _ in 0..2 {
        let (code, said) = stream_to(&other);
        assert_eq!(code, Some(0), "{said}");
    }
    assert!(known(&other, "known_cameras").contains(" old="));
}

#[test]
fn killed_at_any_moment_of_a_rotation_neither_end_loses_the_other() {
    let mut system = System::with_daemon();
    let mut client = system.start_client("door", SOURCE, &[]);
    system.wait_for_state("door", "live");
    for round in 0..8_u64 {
        forget_when_it_was_rotated(&system);
        if round % 4 == 3 {
            system.kill_daemon();
            system.start_daemon(&["--accept", "closed"]);
            system.wait_for_state("door", "live");
        }
        let (before, told) = (fingerprint_of_camera(&system), told(&system));
        let mut command = system.command("sdvr");
        command
            .args(["keys", "rotate", "--camera", "door"])
            .stdout(std::process::Stdio::null());
        let mut rotating = system.start(&mut command, "rotate");
        std::thread::sleep(Duration::from_millis(round));
        rotating.kill();
        // Done, or not begun.
        let again = system.sdvr(&["keys", "rotate", "--camera", "door"]);
        let is_known = text(&again.stderr).contains("has a new key already")
            || text(&again.stderr).contains("was replaced lately");
        assert!(again.status.success() || is_known, "{again:?}");

        std::thread::sleep(Duration::from_millis(round * 70));
        if round % 4 != 2 {
            client.kill();
        }
        if round % 4 != 3 {
            system.kill_daemon();
            // It takes no new cameras. One that has started anew lets a camera announce a key at once.
            system.start_daemon(&["--accept", "closed"]);
        }
        if round % 4 != 2 {
            client = system.start_client("door", SOURCE, &[]);
        }
        wait_until("the client has another key, and the server knows", || {
            fingerprint_of_camera(&system) != before && self::told(&system) != told
        });
        client.kill();
        client = system.start_client("door", SOURCE, &[]);
        let now = fingerprint_of_camera(&system);
        wait_until("the new key has taken over", || {
            system
                .keys(&["list"])
                .contains(&format!("camera  door  {now}"))
        });
        wait_until("it streams", || {
            let list = system.list();
            list.iter()
                .any(|camera| camera["fingerprint"] == now.as_str() && camera["state"] == "live")
        });
    }
    let lines = known(&system, "known_cameras");
    assert_eq!(lines.matches("door ").count(), 1, "{lines}");
    assert!(system.keys(&["pending"]).is_empty());
}

/// What the client has noted of the server: which keys that knows.
fn told(system: &System) -> Option<String> {
    let servers = known(system, "known_servers");
    Some(servers.split_once(" told=")?.1.to_owned())
}

/// As if the last rotation were long ago.
fn forget_when_it_was_rotated(system: &System) {
    let old = system.home().join(".sdvr/cameras/door.old");
    if let Ok(content) = std::fs::read_to_string(&old) {
        let (start, _) = content.split_once("created ").unwrap();
        std::fs::write(&old, format!("{start}created 2020-01-01T00:00:00Z\n")).unwrap();
    }
}
