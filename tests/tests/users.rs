//! Who the daemon is, and who can read what it publishes. Only root can try these; for others they say so.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::{Gid, Uid};
use sdvr_tests::{Running, System, binary, text, wait_until};

/// The group that may read.
const GROUP: u32 = 54_322;
/// Users without an entry anywhere.
const MEMBER: u32 = 54_321;
const STRANGER: u32 = 54_323;
/// A user that every host has, and that is not root.
const NOBODY: &str = "nobody";

/// Whether this runs as root; says so if not.
fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("not tested: only root can be somebody else");
    }
    is_root
}

/// Lets everybody go as far as to the directory of rings, and to programs beside it.
fn open_up(system: &System) -> PathBuf {
    let folder = system.shm().parent().unwrap().to_owned();
    set_mode(&folder, 0o755);
    copy_program("sdvr", &folder)
}

/// Not by this process: what another thread starts meanwhile would have the copy open for a moment, and a program that somebody may write to
/// cannot be started.
fn copy_program(name: &str, folder: &Path) -> PathBuf {
    let copied = Command::new("cp").arg(binary(name)).arg(folder).status();
    assert!(copied.unwrap().success());
    folder.join(name)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// What `sdvr ls --json` says to somebody, who has a copy of it and no home.
fn list_as(program: &Path, system: &System, uid: u32, gid: u32) -> Output {
    let mut command = Command::new(program);
    command
        .args(["ls", "--json"])
        .env("SDVR_SHM_DIR", system.shm())
        .env_remove("HOME")
        .current_dir("/")
        .uid(uid)
        .gid(gid);
    command.output().unwrap()
}

/// Does something as somebody else, in a thread of his.
fn as_user<T: Send>(uid: u32, gid: u32, action: impl FnOnce() -> T + Send) -> T {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            rustix::thread::set_thread_groups(&[]).unwrap();
            rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
            rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            action()
        });
        thread.join().unwrap()
    })
}

#[track_caller]
fn assert_denied<T>(what: &str, result: io::Result<T>) {
    let Err(error) = result else {
        panic!("{what}: it works");
    };
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{what}: {error}");
}

#[test]
fn members_of_the_group_read_and_change_nothing_and_others_see_nothing() {
    if !is_root() {
        return;
    }
    let mut system = System::new();
    let program = open_up(&system);
    system.start_daemon(&["--group", &GROUP.to_string()]);
    let _client = system.start_client("door", "test:?format=MJPG&size=64x48", &[]);
    system.wait_for_state("door", "live");
    let listed = list_as(&program, &system, MEMBER, GROUP);
    let cameras: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(cameras[0]["label"], "door", "{listed:?}");

    let directory = system.shm();
    let files = [system.rings().remove(0), directory.join("statistics")];
    as_user(MEMBER, GROUP, || {
        for file in &files {
            let path = file.display().to_string();
            let readable = File::open(file).unwrap();
            assert_denied(&path, OpenOptions::new().write(true).open(file));
            let truncating = OpenOptions::new().write(true).truncate(true).open(file);
            assert_denied(&path, truncating);
            // The descriptor is for reading, and no other one can be made of it.
            readable.set_len(0).unwrap_err();
            let fd = std::os::fd::AsRawFd::as_raw_fd(&readable);
            let again = OpenOptions::new()
                .write(true)
                .open(format!("/proc/self/fd/{fd}"));
            assert!(again.is_err(), "{path}");
            set_mode_error(file);
            assert_denied(&path, fs::remove_file(file));
            assert_denied(&path, fs::rename(file, directory.join("other")));
        }
        assert_denied("new file", File::create(directory.join("new")));
        assert_denied("lock", File::open(directory.join(".lock")));
    });
    // It went on.
    let verified = system.list();
    assert_eq!(verified[0]["state"], "live");

    let listed = list_as(&program, &system, STRANGER, STRANGER);
    assert!(!text(&listed.stdout).contains("door"), "{listed:?}");
    as_user(STRANGER, STRANGER, || {
        assert_denied("list", fs::read_dir(&directory));
        for file in &files {
            assert_denied("open", File::open(file));
            assert_denied("look at", fs::metadata(file));
        }
    });
}

/// Only the owner may change the mode.
#[track_caller]
fn set_mode_error(file: &Path) {
    let changed = fs::set_permissions(file, fs::Permissions::from_mode(0o666));
    assert_denied("chmod", changed);
}

/// Starts a daemon with options of its own and gives it when it is ready.
fn start(system: &System, change: impl FnOnce(&mut Command)) -> Running {
    let mut command = system.command("sdvrd");
    let port = system.port().to_string();
    command.args(["-l", "127.0.0.1", "-p", &port]);
    change(command.stdout(Stdio::piped()));
    let mut daemon = system.start(&mut command, "sdvrd");
    let line = daemon.first_line();
    assert!(line.starts_with("sdvrd ready"), "{}", daemon.log());
    daemon
}

fn status(daemon: &Running, name: &str) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect()
}

fn number_of(user: &str) -> (u32, u32) {
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let mut entries = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let entry = entries.find(|entry| entry[0] == user).unwrap();
    (entry[2].parse().unwrap(), entry[3].parse().unwrap())
}

#[test]
fn root_starts_it_as_a_user_whose_group_can_read() {
    if !is_root() {
        return;
    }
    let system = System::new();
    let program = open_up(&system);
    let (uid, gid) = number_of(NOBODY);
    // Both in folders that are root's: only root can make them.
    let keys = system.shm().with_file_name("keys");
    let group = GROUP.to_string();
    let mut daemon = start(&system, |command| {
        command
            .args(["--user", NOBODY, "--group", &group, "-k"])
            .arg(&keys);
    });
    assert_eq!(status(&daemon, "Uid:"), [uid; 4]);
    assert_eq!(status(&daemon, "Gid:"), [gid; 4]);
    assert_eq!(status(&daemon, "Groups:"), [GROUP]);
    // What else runs as that user cannot trace it: who could, would own this.
    let memory = fs::metadata(format!("/proc/{}/mem", daemon.id())).unwrap();
    assert_eq!(memory.uid(), 0);
    let _client = system.start_client("door", "test:?format=MJPG&size=64x48&fps=20", &[]);
    let is_live = || {
        let listed = list_as(&program, &system, MEMBER, GROUP);
        let cameras: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
        cameras[0]["label"] == "door" && cameras[0]["state"] == "live"
    };
    wait_until("a member of the group sees the camera", is_live);
    let stranger = list_as(&program, &system, STRANGER, STRANGER);
    assert!(!text(&stranger.stdout).contains("door"), "{stranger:?}");

    let owner = |path: &Path| {
        let metadata = fs::metadata(path).unwrap();
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
    };
    assert_eq!(owner(&system.shm()), (uid, GROUP, 0o750));
    assert_eq!(owner(&system.rings()[0]), (uid, GROUP, 0o440));
    assert_eq!(owner(&keys), (uid, gid, 0o700));
    for entry in fs::read_dir(&keys).unwrap() {
        assert_eq!(owner(&entry.unwrap().path()), (uid, gid, 0o600));
    }
    // The camera is remembered, and what it left is found by the next one.
    assert!(daemon.terminate().success(), "{}", daemon.log());
    let remembered = fs::read_to_string(keys.join("known_cameras")).unwrap();
    assert!(remembered.contains("door"), "{remembered}");
    let _again = start(&system, |command| {
        command
            .args(["--user", NOBODY, "--group", &group, "-k"])
            .arg(&keys);
    });
    wait_until("the camera is back", is_live);
}

/// How a daemon ends that cannot start, and what it says.
fn refusal(system: &System, program: &Path, change: impl FnOnce(&mut Command)) -> (i32, String) {
    let mut command = Command::new(program);
    let port = system.port().to_string();
    command
        .env("HOME", system.home())
        .env("SDVR_SHM_DIR", system.shm())
        .args(["-l", "127.0.0.1", "-p", &port])
        .stdout(Stdio::null());
    change(&mut command);
    let mut daemon = system.start(&mut command, "sdvrd");
    (daemon.wait().code().unwrap(), daemon.log())
}

#[test]
fn a_user_that_it_cannot_become_is_refused() {
    let system = System::new();
    let daemon = binary("sdvrd");
    for user in ["root", "0", "no-such-user", ""] {
        let (code, said) = refusal(&system, &daemon, |command| {
            command.args(["--user", user]);
        });
        assert!(
            code == 2 && said.contains("--user"),
            "{user}: {code} {said}"
        );
    }
    if !is_root() {
        return;
    }
    let program = open_up(&system);
    let daemon = copy_program("sdvrd", program.parent().unwrap());
    let (code, said) = refusal(&system, &daemon, |command| {
        command
            .args(["--user", NOBODY])
            .uid(MEMBER)
            .gid(MEMBER)
            .current_dir("/");
    });
    assert!(code == 1 && said.contains("only root"), "{code} {said}");
}

/// Root makes directories for the user where he cannot. He must not be able to choose where.
#[test]
fn root_makes_no_directory_through_a_link() {
    if !is_root() {
        return;
    }
    let system = System::new();
    open_up(&system);
    let folder = system.shm().with_file_name("");
    let target = folder.join("target");
    let inner = target.join("inner");
    fs::create_dir_all(&inner).unwrap();
    symlink(&target, folder.join("link")).unwrap();
    for keys in ["link/keys", "link/inner/keys"] {
        let (code, said) = refusal(&system, &binary("sdvrd"), |command| {
            command
                .args(["--user", NOBODY, "-k"])
                .arg(folder.join(keys));
        });
        assert!(code == 1 && said.contains(keys), "{code} {said}");
    }
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1);
    assert_eq!(fs::read_dir(&inner).unwrap().count(), 0);
}

#[test]
fn who_starts_it_by_sudo_can_read_the_frames() {
    if !is_root() {
        return;
    }
    let system = System::new();
    let program = open_up(&system);
    let keys = system.home().join("keys");
    let by_sudo = |command: &mut Command, more: &[&str]| {
        command.env("SUDO_UID", MEMBER.to_string());
        command.env("SUDO_GID", GROUP.to_string());
        command
            .args([OsStr::new("-k"), keys.as_os_str()])
            .args(more);
    };
    let mut daemon = start(&system, |command| by_sudo(command, &[]));
    // It is root's, without root's rights.
    assert_eq!(status(&daemon, "Uid:"), [0; 4]);
    assert!(daemon.log().contains("started by sudo"), "{}", daemon.log());
    let _client = system.start_client("door", "test:?format=MJPG&size=64x48&fps=20", &[]);
    let sees_it = |gid: u32| {
        let listed = list_as(&program, &system, MEMBER, gid);
        text(&listed.stdout).contains("door")
    };
    wait_until("who called sudo sees the camera", || sees_it(GROUP));
    assert!(!sees_it(STRANGER));
    assert!(daemon.terminate().success());

    // Unless another group was asked for.
    let stranger = STRANGER.to_string();
    let daemon = start(&system, |command| by_sudo(command, &["--group", &stranger]));
    wait_until("the other group sees the camera", || sees_it(STRANGER));
    assert!(!sees_it(GROUP));
    assert!(
        !daemon.log().contains("started by sudo"),
        "{}",
        daemon.log()
    );
}
