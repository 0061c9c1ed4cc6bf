//! The daemon's figures, as a user sees them: `sdvr ls --daemon`.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::net::TcpStream;

use sdvr_tests::{System, text, wait_until};

#[test]
fn the_daemon_s_figures_are_what_happened() {
    let mut system = System::with_daemon();
    let seen = system.figures();
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
        system.figures()["cameras_connected"] == 2
    });
    wait_until("their rings take memory", || {
        system.figures()["memory_used_bytes"].as_u64() >= Some(2 << 18)
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
        let seen = system.figures();
        seen["strangers_gone"].as_u64() >= Some(1)
            && seen["strangers"] == seen["strangers_gone"]
            && (&seen["refused"], &seen["refused_label"]) == (&1.into(), &1.into())
            && seen["cameras_connected"] == 0
    });
    let seen = system.figures();
    let frames = seen["frames"].as_u64().unwrap();
    let missing = seen["frames_missing"].as_u64().unwrap();
    // What a busy machine kept the sources from making has numbers, too.
    assert_eq!(frames + missing, 80, "{seen}");
    assert_eq!(seen["frame_bytes"], frames * 20_000);
    assert!(
        seen["received_bytes"].as_u64().unwrap() > frames * 20_000,
        "{seen}"
    );
    assert_eq!(seen["sessions_finished"], 2);
    assert_eq!(
        (&seen["sessions"], &seen["new_cameras"]),
        (&2.into(), &2.into())
    );
    assert_eq!(seen["handshakes"], 3);
    // What the daemon itself takes: more than nothing, and no more than a small machine has.
    let resident = seen["resident_bytes"].as_u64().unwrap();
    assert!((1 << 20..1 << 32).contains(&resident), "{seen}");
    let cpu_us = seen["cpu_us"].as_u64().unwrap();
    wait_until("its time goes on", || {
        system.figures()["cpu_us"].as_u64() > Some(cpu_us)
    });
    // Nobody sees what TCP sends again.
    assert_eq!(seen["packets_retransmitted"], 0);
    wait_until("the memory is given back", || {
        system.figures()["memory_used_bytes"] == 0
    });

    let shown = text(&system.sdvr(&["ls", "--daemon"]).stdout);
    assert!(shown.contains("alive, process"), "{shown}");
    for line in [
        "2 cameras were new",
        "2 sessions began: 2 finished",
        "1 cameras: 1 for another camera's label",
        "3 handshakes, ",
        " of memory, ",
        " of processor time",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
}

#[test]
fn a_daemon_that_was_killed_or_stopped_is_told_from_one_that_lives() {
    let mut system = System::with_daemon();
    system.daemon().signal(rustix::process::Signal::STOP);
    wait_until("it is seen to hang", || system.figures()["alive"] == false);
    system.daemon().signal(rustix::process::Signal::CONT);
    wait_until("it is seen to live", || system.figures()["alive"] == true);
    system.kill_daemon();
    wait_until("it is seen to be gone", || {
        system.figures()["alive"] == false
    });
    system.start_daemon(&[]);
    assert_eq!(system.figures()["alive"], true);
    assert!(system.terminate_daemon().success());
    let output = system.sdvr(&["ls", "--daemon"]);
    assert!(
        output.stdout.is_empty() && output.status.success(),
        "{output:?}"
    );
    assert!(text(&output.stderr).contains("no daemon"), "{output:?}");
}

/// Whatever has the page's name: it is said, and nothing is made of it.
#[test]
fn a_page_that_cannot_be_understood_is_said_with_its_directory() {
    let mut system = System::with_daemon();
    let page = system.shm().join("statistics");
    let whole = std::fs::read(&page).unwrap();
    system.kill_daemon();
    let mut of_other_layout = whole.clone();
    of_other_layout[8..16].copy_from_slice(&2_u64.to_ne_bytes());
    let mut changed = whole.clone();
    changed[40] ^= 1;
    let pages: [(&[u8], &str); 5] = [
        (&[], "damaged"),
        (&whole[..whole.len() / 2], "damaged"),
        (&changed, "damaged"),
        (&[b'x'; 100_000], "damaged"),
        (&of_other_layout, "layout 2"),
    ];
    for (bytes, said) in pages {
        std::fs::remove_file(&page).unwrap();
        std::fs::write(&page, bytes).unwrap();
        for arguments in [&["ls", "--daemon"][..], &["ls", "--daemon", "--json"]] {
            let output = system.sdvr(arguments);
            assert_eq!(output.status.code(), Some(1), "{said}: {output:?}");
            let error = text(&output.stderr);
            let directory = system.shm().display().to_string();
            assert!(
                error.contains(said) && error.contains(&directory),
                "{error}"
            );
        }
    }
    // The next daemon has a page of its own in its place.
    system.start_daemon(&[]);
    assert_eq!(system.figures()["alive"], true);
}

/// A page that cannot be made is no reason to publish frames of which nobody can know how they do.
#[test]
fn a_daemon_whose_page_cannot_be_made_says_so_and_ends() {
    let system = System::new();
    std::fs::create_dir_all(system.shm().join("statistics/in the way")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o750);
    std::fs::set_permissions(system.shm(), mode).unwrap();
    let mut command = system.command("sdvrd");
    command.args(["-l", "127.0.0.1", "-p", &system.port().to_string()]);
    let mut daemon = system.start(command.stdout(std::process::Stdio::piped()), "sdvrd");
    assert_eq!(daemon.wait().code(), Some(1), "{}", daemon.log());
    assert_eq!(daemon.output(), b"", "it must not say that it is ready");
    let log = daemon.log();
    let directory = system.shm().display().to_string();
    assert!(
        log.contains(&directory) && log.contains("Is a directory"),
        "{log}"
    );
}

#[test]
fn a_camera_s_last_frame_is_as_old_as_it_says() {
    let system = System::with_daemon();
    let client = system.start_client("door", "test:?format=BNCH&bytes=1000&fps=50", &[]);
    system.wait_for_state("door", "live");
    let age = || system.list()[0]["age_s"].as_f64();
    wait_until("frames are young", || age() < Some(0.5) && age().is_some());
    client.signal(rustix::process::Signal::STOP);
    wait_until("the last one grows old", || age() > Some(2.0));
    client.signal(rustix::process::Signal::CONT);
    wait_until("frames are young again", || age() < Some(0.5));
    let shown = text(&system.sdvr(&["ls"]).stdout);
    assert!(
        shown.contains("  AGE  ") && shown.contains("s  tcp"),
        "{shown}"
    );
}
