//! The real daemon gives up what it does not need, and refuses names that somebody else made before it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Stdio;

use rustix::io::Errno;
use sdvr_tests::System;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// The line of a status in `/proc`, without its name.
fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("{name}: {status}")).trim()
}

#[test]
fn every_thread_of_the_daemon_is_without_rights() {
    let mut system = System::new();
    system.start_daemon(&["--threads", "2"]);
    let _client = system.start_client("door", "test:?format=MJPG&size=64x48", &[]);
    system.wait_for_state("door", "live");
    let tasks = format!("/proc/{}/task", system.daemon().id());
    let statuses: Vec<String> = fs::read_dir(tasks)
        .unwrap()
        .map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap())
        .collect();
    // The first one, the door, two shards, the ring keeper, the figures.
    assert!(statuses.len() >= 6, "{statuses:?}");
    let is_root = rustix::process::geteuid().is_root();
    for status in &statuses {
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            // Only root could, and without new privileges it means nothing.
            if set == "CapBnd" && !is_root {
                continue;
            }
            let held = u64::from_str_radix(field(status, set), 16).unwrap();
            assert_eq!(held, 0, "{set}: {status}");
        }
        assert_eq!(field(status, "NoNewPrivs"), "1", "{status}");
        // A filter, not the mode in which only four calls are left.
        assert_eq!(field(status, "Seccomp"), "2", "{status}");
    }
    // On a kernel that has all of it, nothing else is said.
    let log = system.daemon().log();
    if log.contains("the daemon is not kept from") {
        eprintln!("not tested in full: {log}");
    }
}

/// Starts the daemon, which must end and say why.
#[track_caller]
fn assert_refused(system: &System, reasons: &[&str]) {
    let mut command = system.command("sdvrd");
    let port = system.port().to_string();
    command.args(["-l", "127.0.0.1", "-p", &port]);
    let mut daemon = system.start(command.stdout(Stdio::piped()), "sdvrd");
    assert_eq!(daemon.wait().code(), Some(1), "{}", daemon.log());
    assert_eq!(daemon.output(), b"", "it must not say that it is ready");
    for reason in reasons {
        assert!(daemon.log().contains(reason), "{reason}: {}", daemon.log());
    }
}

fn make_folder(path: &Path, mode: u32) {
    fs::create_dir(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Whoever is quicker than the daemon at making a name under `/dev/shm` keeps it from starting, and gets nothing.
#[test]
fn names_that_somebody_else_made_first_are_refused_loudly() {
    let system = System::new();
    let path = system.shm();
    let path_text = path.display().to_string();
    let link_text = "it is a file or a symbolic link. Remove it";

    fs::write(&path, "").unwrap();
    assert_refused(&system, &[&path_text, link_text]);
    fs::remove_file(&path).unwrap();

    // Even to a directory that would be right.
    let target = path.with_file_name("target");
    make_folder(&target, 0o750);
    symlink(&target, &path).unwrap();
    assert_refused(&system, &[&path_text, link_text]);
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
    fs::remove_file(&path).unwrap();

    make_folder(&path, 0o777);
    assert_refused(&system, &["chmod go-w", &path_text]);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();

    // A link in the place of the lock: what it points to is not touched.
    let victim = path.with_file_name("victim");
    fs::write(&victim, "as it was").unwrap();
    symlink(&victim, path.join(".lock")).unwrap();
    assert_refused(&system, &[&path_text]);
    assert_eq!(fs::read(&victim).unwrap(), b"as it was");
    fs::remove_file(path.join(".lock")).unwrap();

    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: only root can give a directory away");
        return;
    }
    chown(&path, Some(54_321), Some(54_321)).unwrap();
    assert_refused(&system, &["somebody else made it", &path_text]);
}

#[test]
fn a_directory_that_another_daemon_publishes_in_is_refused_loudly() {
    let mut system = System::with_daemon();
    let mut other = System::new();
    let shm = system.shm();
    let mut command = other.command("sdvrd");
    let port = other.port().to_string();
    command.env("SDVR_SHM_DIR", &shm).args(["-p", &port]);
    let mut second = other.start(command.stdout(Stdio::null()), "sdvrd");
    assert_eq!(second.wait().code(), Some(1));
    assert!(second.log().contains("another sdvrd"), "{}", second.log());
    assert!(system.daemon().runs());
    // Its own place is as good as ever.
    other.start_daemon(&[]);
}

#[test]
fn links_and_foreign_files_among_the_keys_are_refused_loudly() {
    let system = System::new();
    let keys = system.home().join(".sdvr");
    let target = system.home().join("target");
    make_folder(&target, 0o700);
    symlink(&target, &keys).unwrap();
    assert_refused(&system, &[&keys.display().to_string()]);
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
    fs::remove_file(&keys).unwrap();

    make_folder(&keys, 0o700);
    let victim = system.home().join("victim");
    fs::write(&victim, "as it was").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
    symlink(&victim, keys.join("known_cameras")).unwrap();
    assert_refused(&system, &["known_cameras"]);
    assert_eq!(fs::read(&victim).unwrap(), b"as it was");
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: only root can give a directory away");
        return;
    }
    chown(&keys, Some(54_321), Some(54_321)).unwrap();
    assert_refused(&system, &["54321", &keys.display().to_string()]);
}

/// Has the kernel say of calls, to this thread and what it starts, what an older one would.
fn without(calls: &[i64]) {
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let no_such_call = SeccompAction::Errno(Errno::NOSYS.raw_os_error().cast_unsigned());
    let architecture = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, no_such_call, architecture);
    let filter: BpfProgram = filter.unwrap().try_into().unwrap();
    seccompiler::apply_filter(&filter).unwrap();
}

/// Of the kernel's table for all architectures, and of the one of this.
const LANDLOCK_CREATE_RULESET: i64 = 444;
#[cfg(target_arch = "x86_64")]
const SECCOMP: i64 = 317;
#[cfg(not(target_arch = "x86_64"))]
const SECCOMP: i64 = 277;

#[test]
fn a_kernel_that_can_confine_nothing_is_warned_of_and_receives_cameras() {
    // A thread of its own, whose filters end with it.
    let test = std::thread::spawn(|| {
        without(&[LANDLOCK_CREATE_RULESET, SECCOMP]);
        let mut system = System::with_daemon();
        let _client = system.start_client("door", "test:?format=MJPG&size=64x48", &[]);
        system.wait_for_state("door", "live");
        let log = system.daemon().log();
        for warned in [
            "there is no landlock here",
            "there are no seccomp filters here",
        ] {
            assert!(log.contains(warned), "{warned}: {log}");
        }
        // What needs neither was given up all the same.
        let status = fs::read_to_string(format!("/proc/{}/status", system.daemon().id())).unwrap();
        assert_eq!(field(&status, "CapEff"), "0000000000000000", "{status}");
        assert_eq!(field(&status, "NoNewPrivs"), "1", "{status}");
    });
    test.join().unwrap();
}
