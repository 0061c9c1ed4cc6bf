//! Things that run out: shared memory, descriptors, disks. The new is refused with the cause, the old loses nothing.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::net;
use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};
use sdvr_session::OutgoingFrame;
use sdvr_tests::hostile_camera::{HostileCamera, stream};
use sdvr_tests::small_disk::SmallDisk;
use sdvr_tests::{Running, System, wait_until};

#[test]
fn full_shared_memory_refuses_the_new_stream_only() {
    let mut system = System::new();
    let shm = system.shm();
    let Some(_disk) = SmallDisk::mount(&shm, 3 << 20) else {
        return;
    };
    // More than there is, so that the file system is what runs out.
    system.start_daemon(&["--memory", "1G"]);
    let first = system.start_client("first", "test:?format=BNCH&bytes=10000&fps=10", &[]);
    system.wait_for_state("first", "live");
    let second = system.start_client("second", "test:?format=BNCH&bytes=400000&fps=30", &[]);
    wait_until("the daemon says so", || {
        system_log(&mut system).contains("shared memory is full")
    });
    wait_until("the client says so", || {
        second.log().contains("no shared memory left")
    });
    let findings = system.verify("first", 2.0);
    first.assert_nothing_lost(&findings);
    assert!(findings["frames"].as_u64().unwrap() > 10, "{findings}");
}

fn system_log(system: &mut System) -> String {
    system.daemon().log()
}

#[test]
fn a_budget_smaller_than_a_frame_is_said() {
    let mut system = System::new();
    system.start_daemon(&["--memory", "1M"]);
    let client = system.start_client("large", "test:?format=BNCH&bytes=4000000&fps=5", &[]);
    wait_until("the client says so", || {
        client.log().contains("no shared memory left")
    });
    let log = system.daemon().log();
    // What a ring for it takes, and what there is.
    for part in [
        "needed_kib=16396",
        "camera_may_kib=512",
        "memory_kib=1024",
        "Raise --memory",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    let _small = system.start_client("small", "test:?format=BNCH&bytes=5000&fps=30", &[]);
    system.wait_for_state("small", "live");
}

#[test]
fn the_shared_memory_of_a_container_holds_several_cameras_and_a_large_one() {
    let mut system = System::new();
    let shm = system.shm();
    let Some(_disk) = SmallDisk::mount(&shm, 64 << 20) else {
        return;
    };
    system.start_daemon(&[]);
    let sources = [
        ("small-1", "test:?format=BNCH&bytes=20000&fps=30"),
        ("small-2", "test:?format=BNCH&bytes=20000&fps=30"),
        ("small-3", "test:?format=BNCH&bytes=60000&fps=15"),
        ("middle", "test:?format=BNCH&bytes=1000000&fps=5"),
        ("large", "test:?format=BNCH&bytes=4000000&fps=2"),
    ];
    let cameras = sources.map(|(label, source)| (label, system.start_client(label, source, &[])));
    for (label, _) in sources {
        system.wait_for_state(label, "live");
    }
    let findings = std::thread::scope(|scope| {
        let system = &system;
        let readers = sources.map(|(label, _)| scope.spawn(move || system.verify(label, 5.0)));
        readers.map(|reader| reader.join().unwrap())
    });
    for ((label, mut camera), findings) in cameras.into_iter().zip(findings) {
        assert!(camera.runs(), "{label}: {}", camera.log());
        assert!(
            findings["frames"].as_u64().unwrap() >= 8,
            "{label}: {findings}"
        );
        camera.assert_nothing_lost(&findings);
    }
    assert!(system.daemon().runs());
    let log = system.daemon().log();
    let warnings: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("WARN") || line.contains("ERROR"))
        .collect();
    assert!(
        warnings.len() == 1 && warnings[0].contains("little shared memory"),
        "{log}"
    );
    assert!(warnings[0].contains("--shm-size"), "{log}");
}

#[test]
fn a_file_system_too_small_for_any_camera_is_refused_at_the_start() {
    let system = System::new();
    let shm = system.shm();
    let Some(_disk) = SmallDisk::mount(&shm, 1 << 20) else {
        return;
    };
    let output = system
        .command("sdvrd")
        .args(["-l", "127.0.0.1", "-p", "0"])
        .output()
        .unwrap();
    let said = sdvr_tests::text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "--memory",
        "KiB that are free",
        "at least 1 MiB",
        "--shm-size",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// A daemon with one shard that may have so many files open.
fn start_limited_daemon(system: &System, files: u32) -> Running {
    let daemon = format!(
        "ulimit -n {files}; exec {} -l 127.0.0.1 -p {} --threads 1",
        sdvr_tests::binary("sdvrd").display(),
        system.port()
    );
    let mut command = Command::new("bash");
    command
        .args(["-c", &daemon])
        .env("HOME", system.home())
        .env("SDVR_SHM_DIR", system.shm())
        .stdout(Stdio::piped());
    let mut daemon = system.start(&mut command, "limited");
    assert!(daemon.first_line().starts_with("sdvrd ready"));
    daemon
}

#[test]
fn no_descriptors_left_costs_a_connected_camera_nothing() {
    let system = System::new();
    let mut daemon = start_limited_daemon(&system, 40);
    let camera = system.start_client("camera", "test:?format=BNCH&bytes=10000&fps=10", &[]);
    system.wait_for_state("camera", "live");
    let held: Vec<_> = (0..60)
        .filter_map(|_| TcpStream::connect(("127.0.0.1", system.port())).ok())
        .collect();
    let findings = system.verify("camera", 3.0);
    camera.assert_nothing_lost(&findings);
    for what in [
        "limit of open files",
        "limit=40",
        "ulimit -n",
        "LimitNOFILE=",
    ] {
        assert!(daemon.log().contains(what), "{what}: {}", daemon.log());
    }
    system.wait_for_figure("without_descriptor", 1);
    drop(held);
    let _late = system.start_client("late", "test:?format=BNCH&bytes=10000&fps=10", &[]);
    system.wait_for_state("late", "live");
    assert!(daemon.runs());
}

/// Strangers that connect from eight addresses, hold what they get and come again when they are turned away.
struct Flood {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<usize>>,
}

impl Flood {
    fn start(port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let flood = |last: u8| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || flood_from(Ipv4Addr::new(127, 0, 0, last), port, &stop))
        };
        let threads = (2..10).map(flood).collect();
        Self { stop, threads }
    }

    /// Ends it; gives how many connections were made.
    fn stop(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let threads = std::mem::take(&mut self.threads);
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn flood_from(address: Ipv4Addr, port: u16, stop: &AtomicBool) -> usize {
    let mut held: Vec<OwnedFd> = Vec::new();
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        held.retain(is_open);
        // Not more than the kernel keeps for the daemon, or connecting would block.
        if held.len() < 100
            && let Ok(stream) = connect_from(address, port)
        {
            held.push(stream);
            count += 1;
        }
        // A thousand a second of all together: more than the daemon may have by far, and not a test of the machine.
        std::thread::sleep(Duration::from_millis(8));
    }
    count
}

/// Whether the daemon has not hung up. It never says anything to somebody who says nothing.
fn is_open(stream: &OwnedFd) -> bool {
    let flags = net::RecvFlags::DONTWAIT;
    net::recv(stream, &mut [0; 1], flags) == Err(rustix::io::Errno::AGAIN)
}

fn connect_from(address: Ipv4Addr, port: u16) -> rustix::io::Result<OwnedFd> {
    let socket = net::socket(net::AddressFamily::INET, net::SocketType::STREAM, None)?;
    net::bind(&socket, &SocketAddrV4::new(address, 0))?;
    net::connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    Ok(socket)
}

/// How many files it has open; `None` where this process may not know.
fn open_files(program: &Running) -> Option<usize> {
    let list = format!("/proc/{}/fd", program.id());
    Some(std::fs::read_dir(list).ok()?.count())
}

#[test]
fn strangers_take_no_descriptor_that_a_camera_needs() {
    const SOURCE: &str = "test:?format=BNCH&bytes=1000&fps=10";
    let system = System::new();
    let mut daemon = start_limited_daemon(&system, 64);
    let known = system.start_client("known", SOURCE, &[]);
    system.wait_for_state("known", "live");
    drop(known);

    let flood = Flood::start(system.port());
    wait_until("strangers have all that they may have", || {
        daemon.log().contains("limit of open files")
    });
    for _ in 0..100 {
        if let Some(open) = open_files(&daemon) {
            assert!(
                open <= 52,
                "{open} of 64 files are open: strangers leave too few"
            );
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    // The known camera comes back, and new ones come: they get their rings, and the new ones are remembered.
    let labels = ["known", "new-1", "new-2", "new-3", "new-4"];
    let cameras = labels.map(|label| system.start_client(label, SOURCE, &[]));
    for label in labels {
        system.wait_for_state(label, "live");
    }
    let remembered = std::fs::read_to_string(system.home().join(".sdvr/known_cameras")).unwrap();
    for label in labels {
        assert!(
            remembered.contains(&format!("{label} x25519 ")),
            "{remembered}"
        );
        let findings = system.verify(label, 0.5);
        assert!(findings["frames"].as_u64().unwrap() > 0, "{findings}");
    }
    assert!(flood.stop() > 200, "that was no flood");
    assert!(daemon.runs());
    let log = daemon.log();
    assert!(!log.contains("stream refused"), "{log}");
    drop(cameras);
}

#[test]
fn a_full_disk_refuses_new_cameras_and_keeps_the_known() {
    let mut system = System::new();
    let keys = system.home().join("keys");
    let Some(_disk) = SmallDisk::mount(&keys, 64 * 1024) else {
        return;
    };
    let keys_text = keys.to_str().unwrap().to_owned();
    system.start_daemon(&["-k", &keys_text]);
    let known = system.start_client("known", "test:?format=BNCH&bytes=1000&fps=20", &[]);
    system.wait_for_state("known", "live");
    // Fill it up.
    let filler = keys.join("filler");
    let _ = std::fs::write(&filler, vec![0; 128 * 1024]);
    let new = system.start_client("new", "test:?format=BNCH&bytes=1000&fps=20", &[]);
    wait_until("the client is told", || {
        new.log().contains("could not record this camera")
    });
    assert!(
        system.daemon().log().contains("could not be remembered"),
        "{}",
        system.daemon().log()
    );
    // The known one comes back all the same.
    drop(known);
    let _known = system.start_client("known", "test:?format=BNCH&bytes=1000&fps=20", &[]);
    system.wait_for_state("known", "live");
    std::fs::remove_file(filler).unwrap();
    system.wait_for_state("new", "live");
}

#[test]
fn a_taken_port_and_a_taken_directory_are_said() {
    let mut system = System::with_daemon();
    let port = system.port().to_string();
    let output = system
        .command("sdvrd")
        .args(["-l", "127.0.0.1", "-p", &port])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains("another sdvrd may be running") && text.contains(&port),
        "{text}"
    );
    let output = system
        .command("sdvrd")
        .args(["-l", "127.0.0.1", "-p", "0"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("another sdvrd already publishes"), "{text}");
    assert!(system.daemon().runs());
}

#[test]
fn a_ring_that_somebody_removes_comes_back() {
    let system = System::with_daemon();
    let _camera = system.start_client("camera", "test:?format=BNCH&bytes=1000&fps=20", &[]);
    system.wait_for_state("camera", "live");
    for entry in std::fs::read_dir(system.shm()).unwrap() {
        let entry = entry.unwrap();
        if sdvr_ring::RingName::parse(&entry.file_name().to_string_lossy()).is_some() {
            std::fs::remove_file(entry.path()).unwrap();
        }
    }
    system.wait_for_state("camera", "live");
}

#[test]
fn a_ring_removed_in_the_middle_of_a_frame_costs_neither_that_frame_nor_the_session() {
    let mut system = System::with_daemon();
    let mut camera = HostileCamera::handshake(&system);
    camera.introduce("camera");
    let mut large = stream(0);
    large.frame_kib = 1024;
    camera.session.open_stream(large);
    camera.transmit();
    assert!(camera.is_let_in());
    let payload = vec![7; 600_000];
    let mut number = 0;
    let mut begin_frame = || {
        number += 1;
        let now = Timestamp::now();
        OutgoingFrame::new(StreamId(0), FrameNumber(number), now, FrameFlags::KEY)
    };
    let send_record = |camera: &mut HostileCamera, frame: &mut OutgoingFrame| {
        let mut record = Vec::new();
        let session = &mut camera.session;
        let is_last = session
            .seal_frame(Timestamp::now(), frame, &payload, &mut record)
            .unwrap();
        camera.stream.write_all(&record).unwrap();
        is_last
    };
    let mut cut_through = begin_frame();
    assert!(!send_record(&mut camera, &mut cut_through));
    for ring in system.rings() {
        std::fs::remove_file(ring).unwrap();
    }
    wait_until("the ring is back", || !system.rings().is_empty());
    // It is known to the camera's thread by now, which is in the middle of a frame.
    std::thread::sleep(Duration::from_millis(200));
    while !send_record(&mut camera, &mut cut_through) {}
    let mut next = begin_frame();
    while !send_record(&mut camera, &mut next) {}
    wait_until("both frames are there", || {
        let list = system.list();
        list.len() == 1 && list[0]["frames"] == 2
    });
    let log = system.daemon().log();
    assert!(!log.contains("broke the protocol"), "{log}");
}

#[test]
fn others_see_neither_frames_nor_keys() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: becoming another user needs root");
        return;
    }
    let system = System::with_daemon();
    let _camera = system.start_client("camera", "test:?format=BNCH&bytes=1000&fps=20", &[]);
    system.wait_for_state("camera", "live");
    // The folders above are open, so that what is tested is ours.
    use std::os::unix::fs::PermissionsExt;
    for path in [system.home(), system.shm().parent().unwrap()] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let script = format!(
        "cat {}/* {}/.sdvr/server.key; ls {}",
        system.shm().display(),
        system.home().display(),
        system.shm().display()
    );
    let output = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "bash",
            "-c",
            &script,
        ])
        .output()
        .unwrap();
    assert!(
        !output.status.success() && output.stdout.is_empty(),
        "{output:?}"
    );
    let denied = String::from_utf8_lossy(&output.stderr)
        .matches("Permission denied")
        .count();
    assert!(denied >= 2, "{output:?}");
}
