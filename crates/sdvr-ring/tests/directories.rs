//! Who may use a directory of rings: one daemon, whose own it is; readers whom it lets; and nobody by surprise.

mod support;

use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sdvr_frame::StreamId;
use sdvr_ring::{
    CreateError, DirectoryError, RingDirectory, RingName, RingWatch, RingWriter, list_rings,
    open_directory,
};
use support::*;

/// A user and a group that are nobody's in particular.
const STRANGER: u32 = 65_534;
const FRIENDS: u32 = 64_321;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path)
        .expect("it is there")
        .permissions()
        .mode()
        & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("it is ours");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether a shell command succeeds as another user, in these groups.
fn succeeds_as_stranger(group: u32, command: &str) -> bool {
    Command::new("/bin/sh")
        .args(["-c", command])
        .uid(STRANGER)
        .gid(group)
        .stderr(std::process::Stdio::null())
        .status()
        .expect("there is a shell")
        .success()
}

/// The directory once it is free. Another test may be starting a program, which has all our locks for a moment.
fn directory_of_another_daemon(place: &Path) -> RingDirectory {
    let mut directory = None;
    until("the directory is free", || {
        directory = RingDirectory::create(&place.join("rings"), None).ok();
        directory.is_some()
    });
    directory.expect("it was made just now")
}

#[test]
fn a_second_daemon_is_told_that_the_first_is_there() {
    let place = folder();
    let first = create_rings(place.path());
    let path = place.path().join("rings");
    let second = RingDirectory::create(&path, None);
    let text = second
        .as_ref()
        .map(|_| String::new())
        .unwrap_or_else(ToString::to_string);
    assert!(
        matches!(second, Err(DirectoryError::Busy { .. })),
        "{second:?}"
    );
    assert!(
        text.contains(path.to_str().expect("it is text")) && text.contains("--shm-dir"),
        "{text}"
    );
    drop(first);
    directory_of_another_daemon(place.path());
    assert_eq!(mode(&path.join(".lock")), 0o600);
    assert_eq!(mode(&path), 0o750);
}

#[test]
fn a_directory_that_others_can_write_is_refused_by_both_sides() {
    let place = folder();
    let path = place.path().join("rings");
    std::fs::create_dir(&path).expect("the place is ours");
    for open in [0o770, 0o702, 0o1777] {
        set_mode(&path, open);
        let made = RingDirectory::create(&path, None);
        assert!(
            matches!(made, Err(DirectoryError::TooOpen { .. })),
            "{open:o}: {made:?}"
        );
        assert!(made.is_err_and(|error| error.to_string().contains("chmod")));
        assert!(open_directory(&path).is_none(), "{open:o}");
    }
    // One that its owner has closed stays closed.
    set_mode(&path, 0o700);
    RingDirectory::create(&path, None).expect("it is ours");
    assert_eq!(mode(&path), 0o700);
    assert!(open_directory(&path).is_some());
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let place = folder();
    let (real, link) = (place.path().join("real"), place.path().join("rings"));
    std::fs::create_dir(&real).expect("the place is ours");
    std::os::unix::fs::symlink(&real, &link).expect("the place is ours");
    let made = RingDirectory::create(&link, None);
    assert!(matches!(made, Err(DirectoryError::Io { .. })), "{made:?}");
    assert!(open_directory(&link).is_none());
    assert!(
        std::fs::read_dir(&real)
            .expect("it is ours")
            .next()
            .is_none(),
        "untouched"
    );
}

#[test]
fn a_directory_somebody_else_made_first_is_refused() {
    if !is_root() {
        eprintln!("skipped: only root can make a directory somebody else's");
        return;
    }
    let place = folder();
    let path = place.path().join("sdvr-0");
    std::fs::create_dir(&path).expect("the place is ours");
    std::os::unix::fs::chown(&path, Some(STRANGER), None).expect("this is root");
    let made = RingDirectory::create(&path, None);
    assert!(
        matches!(
            made,
            Err(DirectoryError::Foreign {
                owner: STRANGER,
                own: 0,
                ..
            })
        ),
        "{made:?}"
    );
    assert!(open_directory(&path).is_none(), "its name says root's");
    let named = place.path().join(format!("sdvr-{STRANGER}"));
    std::fs::rename(&path, &named).expect("the place is ours");
    assert!(
        open_directory(&named).is_some(),
        "its name says whose it is"
    );
}

#[test]
fn a_stranger_reads_nothing_and_the_group_reads_only() {
    if !is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let place = folder();
    set_mode(place.path(), 0o755);
    let path = place.path().join("rings");
    let directory = RingDirectory::create(&path, Some(FRIENDS)).expect("the place is ours");
    let mut writer = RingWriter::create(&directory, options(4, 4096)).expect("there is room");
    publish_numbered(&mut writer, 0);
    let ring = path.join(name().as_str());
    assert_eq!((mode(&ring), mode(&path)), (0o440, 0o750));
    let ring = ring.display();
    let path = path.display();
    for (group, command, expected) in [
        (STRANGER, format!("cat {ring} >/dev/null"), false),
        (STRANGER, format!("ls {path}"), false),
        (FRIENDS, format!("cat {ring} >/dev/null"), true),
        (FRIENDS, format!("ls {path} >/dev/null"), true),
        (FRIENDS, format!(": >>{ring}"), false),
        (FRIENDS, format!("rm -f {ring}"), false),
        (FRIENDS, format!(": >{path}/another"), false),
        (FRIENDS, format!("cat {path}/.lock"), false),
    ] {
        assert_eq!(succeeds_as_stranger(group, &command), expected, "{command}");
    }
}

#[test]
fn what_a_dead_daemon_left_is_removed_and_nothing_else() {
    let place = folder();
    let path = place.path().join("rings");
    let first = create_rings(place.path());
    let mut ring = RingWriter::create(&first, options(4, 4096)).expect("there is room");
    publish_numbered(&mut ring, 0);
    let reader = open_in(place.path()).expect("the ring is there");
    drop((ring, first));
    std::fs::write(path.join(".new-1-0"), "unfinished").expect("it is ours");
    std::fs::write(path.join("notes.txt"), "not a ring").expect("it is ours");
    let broken = RingName::new(&CAMERA, StreamId(9));
    std::fs::write(path.join(broken.as_str()), "no ring").expect("it is ours");
    let pipe = path.join(RingName::new(&CAMERA, StreamId(8)).as_str());
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .expect("it is ours");

    let second = directory_of_another_daemon(place.path());
    assert_eq!(second.remove_stale_rings().expect("it is ours").files, 4);
    assert!(list_rings(second.as_fd()).expect("it is ours").is_empty());
    assert!(path.join("notes.txt").exists());
    assert_eq!(reader.state(), sdvr_frame::StreamState::Moved);
    assert!(reader.is_replaced());
    until("the lock is free", || !reader.writer_lives());
    assert_eq!(
        reader.read(0, &mut Vec::new()),
        Ok(meta(0)),
        "what was read can still be read"
    );
    assert_eq!(second.remove_stale_rings().expect("it is ours").files, 0);
}

#[test]
fn stale_rings_are_ended_by_a_daemon_that_is_not_root() {
    if !is_root() {
        eprintln!("skipped: every other test here ran without root");
        return;
    }
    let place = folder();
    std::os::unix::fs::chown(place.path(), Some(STRANGER), Some(STRANGER)).expect("this is root");
    let program = std::env::current_exe().expect("this program has a path");
    // Where the stranger can run it. Not copied by this process: a program that another test starts meanwhile would hold the copy open for
    // writing, and what is open for writing cannot be run.
    let copy = place.path().join("program");
    let copied = Command::new("cp").arg(program).arg(&copy).status();
    assert!(copied.expect("cp is there").success(), "there is room");
    set_mode(&copy, 0o755);
    let output = Command::new(&copy)
        .args([
            "--exact",
            "what_a_dead_daemon_left_is_removed_and_nothing_else",
        ])
        .uid(STRANGER)
        .gid(STRANGER)
        .output()
        .expect("it can be run");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[test]
fn a_full_file_system_refuses_the_new_ring_and_keeps_the_old() {
    let Some(full) = SmallMount::new("2m") else {
        eprintln!("skipped: mounting is not permitted here");
        return;
    };
    let directory = create_rings(&full.0);
    let mut old =
        RingWriter::create(&directory, options(16, 1 << 20)).expect("there is room for one");
    let free = directory.free_bytes().expect("it is mounted");
    assert!(free < 1 << 20, "{free}");
    for _ in 0..3 {
        let made = RingWriter::create(&directory, options(16, 1 << 20));
        let Err(CreateError::NoSpace { bytes, free_bytes }) = made else {
            panic!("{made:?}");
        };
        assert!(bytes > 1 << 20);
        assert_eq!(free_bytes, free, "and nothing was left behind");
    }
    // All of its memory is its own: a whole lap and more.
    let reader = open_in(&full.0).expect("the ring is there");
    for n in 0..400 {
        publish_numbered(&mut old, n);
    }
    assert_eq!(reader.read(399, &mut Vec::new()), Ok(meta(399)));
    old.unlink();
    drop((old, reader));
    // Eventually for the same reason as above: memory is inherited, too.
    until("there is room again", || {
        RingWriter::create(&directory, options(16, 1 << 20)).is_ok()
    });
}

/// A file system of its own, of so many bytes.
struct SmallMount(
    std::path::PathBuf,
    #[expect(dead_code, reason = "removes the folder")] tempfile::TempDir,
);

impl SmallMount {
    fn new(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        let path = folder.path().join("mount");
        std::fs::create_dir(&path).expect("the folder is ours");
        let is_mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "sdvr-test"])
            .arg(&path)
            .output()
            .is_ok_and(|output| output.status.success());
        is_mounted.then_some(Self(path, folder))
    }
}

impl Drop for SmallMount {
    fn drop(&mut self) {
        // Lazily: a test that failed may still have something open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_watch_tells_of_rings_that_come_and_go_and_of_the_directory_itself() {
    let place = folder();
    let path = place.path().join("rings");
    let mut watch = RingWatch::new(&path);
    let count = || {
        open_directory(&path).map_or(0, |directory| {
            list_rings(directory.as_fd()).map_or(0, |names| names.len())
        })
    };
    let tells = |watch: &mut RingWatch, expected: usize| {
        assert!(watch.descriptor().is_some());
        until("the watch tells", || {
            watch.wait(Duration::from_secs(1)) && count() == expected
        });
    };
    // Twice: the second directory of the name is another one.
    for _ in 0..2 {
        let rings = directory_of_another_daemon(place.path());
        let mut ring = RingWriter::create(&rings, options(4, 4096)).expect("there is room");
        tells(&mut watch, 1);
        until("it settles", || !watch.wait(Duration::ZERO));
        ring.unlink();
        tells(&mut watch, 0);
        std::fs::remove_dir_all(&path).expect("it is ours");
        until("it notices that its directory is gone", || {
            watch.wait(Duration::from_millis(700))
        });
    }
}

#[test]
fn only_names_of_rings_are_listed() {
    let place = folder();
    let rings = create_rings(place.path());
    let path = place.path().join("rings");
    let good = [
        RingName::new(&CAMERA, StreamId(0)),
        RingName::new(&CAMERA, StreamId(65535)),
    ];
    for name in &good {
        std::fs::write(path.join(name.as_str()), "").expect("it is ours");
    }
    let hash = "0123456789abcdef0123456789abcdef";
    let bad = [
        hash.to_owned(),
        format!("{hash}."),
        format!("{hash}.01"),
        format!("{hash}.+1"),
        format!("{hash}.65536"),
        format!("{hash}.-1"),
        format!("{}.1", hash.to_uppercase()),
        format!("{}.1", &hash[1..]),
        format!(".{hash}.1"),
        ".new-1-2".to_owned(),
    ];
    for name in &bad {
        std::fs::write(path.join(name), "").expect("it is ours");
        assert_eq!(RingName::parse(name), None, "{name}");
    }
    let mut listed = list_rings(rings.as_fd()).expect("it is ours");
    listed.sort();
    let mut good = good.to_vec();
    good.sort();
    assert_eq!(listed, good);
}
