//! The directory of rings: whose it must be, who gets in, and what happens when there is no room.
//!
//! Some of this only root can try: chown, mount, another user's eyes. As another user those tests say that they were
//! skipped and do nothing.

mod support;

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use rustix::fs::{Gid, Mode, OFlags, Uid};
use sdvr_frame::{PublicKey, StreamId};
use sdvr_ring::{
    CreateError, DirectoryError, OpenError, RingDirectory, RingName, RingWriter, list_rings,
    open_directory,
};
use support::{Place, folder, is_frame, name, open, options, publish, ring_path};

/// Some user who is nobody here.
const STRANGER: u32 = 54_321;
/// Some group.
const GROUP: u32 = 54_322;

/// Whether this runs as root; says so if not.
fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: only root can try this");
    }
    is_root
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
}

fn refusal(path: &Path) -> DirectoryError {
    RingDirectory::create(path, None).expect_err("it must be refused")
}

#[test]
fn names_of_rings_parse_back_and_nothing_else_does() {
    for stream in [0, 1, 10, u16::MAX] {
        let name = RingName::new(&PublicKey([0xab; 32]), StreamId(stream));
        assert_eq!(RingName::parse(name.as_str()), Some(name));
    }
    let hash = "0123456789abcdef0123456789abcdef";
    assert!(RingName::parse(&format!("{hash}.0")).is_some());
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        hash.to_owned(),
        format!("{hash}."),
        format!("{hash}.00"),
        format!("{hash}.01"),
        format!("{hash}.+1"),
        format!("{hash}.-1"),
        format!("{hash}. 1"),
        format!("{hash}.65536"),
        format!("{hash}.1.1"),
        format!("{hash}.1/"),
        format!("{hash}0.1"),
        format!("{}.1", &hash[1..]),
        format!("{}.1", hash.to_uppercase()),
        format!("{}g.1", &hash[1..]),
        format!("../{}.1", &hash[3..]),
        ".new-1-1".to_owned(),
        format!("{}é.1", &hash[2..]),
    ] {
        assert_eq!(RingName::parse(&bad), None, "{bad}");
    }
}

#[test]
fn a_new_directory_and_its_rings_have_the_modes_they_should() {
    let folder = folder();
    let path = folder.path().join("rings");
    let rings = RingDirectory::create(&path, None).expect("it can be made");
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").mode() & 0o7777;
    assert_eq!(mode(&path), 0o750);
    assert_eq!(mode(&path.join(".lock")), 0o600);
    let writer = RingWriter::create(&rings, options(4, 4096)).expect("there is room");
    assert_eq!(mode(&ring_path(&path)), 0o440);
    assert_eq!(rings.path(), path);
    let directory = open_directory(&path).expect("it can be trusted");
    let names = list_rings(directory.as_fd()).expect("it can be read");
    assert_eq!(names, [writer.name().clone()]);
}

#[test]
fn a_directory_that_is_closed_to_the_group_stays_so() {
    let folder = folder();
    set_mode(folder.path(), 0o700);
    let _rings = RingDirectory::create(folder.path(), None).expect("ours");
    let mode = std::fs::metadata(folder.path()).expect("there").mode();
    assert_eq!(mode & 0o7777, 0o700);
}

#[test]
fn a_second_daemon_is_refused_until_the_first_is_gone() {
    let place = Place::new();
    let refusal = refusal(place.path());
    assert!(
        matches!(refusal, DirectoryError::Busy { .. }),
        "{refusal:?}"
    );
    assert!(refusal.to_string().contains("--shm-dir"), "{refusal}");
    let Place { rings, folder } = place;
    drop(rings);
    assert!(RingDirectory::create(folder.path(), None).is_ok());
}

#[test]
fn a_directory_that_others_may_write_is_refused_with_the_remedy() {
    let folder = folder();
    for mode in [0o770, 0o707, 0o777, 0o1777, 0o720] {
        set_mode(folder.path(), mode);
        let refusal = refusal(folder.path());
        assert!(
            matches!(refusal, DirectoryError::TooOpen { mode: found, .. } if found == mode),
            "{refusal:?}"
        );
        let remedy = format!("chmod go-w {}", folder.path().display());
        assert!(refusal.to_string().contains(&remedy), "{refusal}");
        assert!(
            open_directory(folder.path()).is_none(),
            "readers distrust it, too"
        );
    }
    set_mode(folder.path(), 0o755);
    assert!(RingDirectory::create(folder.path(), None).is_ok());
    assert!(open_directory(folder.path()).is_some());
}

#[test]
fn a_link_or_a_file_in_place_of_the_directory_is_refused_with_the_remedy() {
    let folder = folder();
    let (target, link, file) = (
        folder.path().join("target"),
        folder.path().join("link"),
        folder.path().join("file"),
    );
    std::fs::create_dir(&target).expect("ours");
    symlink(&target, &link).expect("ours");
    std::fs::write(&file, "").expect("ours");
    for path in [&link, &file] {
        let refusal = refusal(path);
        assert!(matches!(refusal, DirectoryError::Io { .. }), "{refusal:?}");
        let text = refusal.to_string();
        assert!(
            text.contains("Remove it") && text.contains("--shm-dir"),
            "{text}"
        );
        assert!(open_directory(path).is_none());
    }
    assert_eq!(
        std::fs::read_dir(&target).expect("there").count(),
        0,
        "nothing went through the link"
    );
}

#[test]
fn a_directory_of_somebody_else_is_refused_with_the_remedy() {
    if !is_root() {
        return;
    }
    let folder = folder();
    let path = folder.path().join("sdvr-0");
    std::fs::create_dir(&path).expect("ours");
    std::os::unix::fs::chown(&path, Some(STRANGER), None).expect("root may");
    let refusal = refusal(&path);
    assert!(
        matches!(
            refusal,
            DirectoryError::Foreign {
                owner: STRANGER,
                own: 0,
                ..
            }
        ),
        "{refusal:?}"
    );
    let text = refusal.to_string();
    assert!(
        text.contains("Remove it") && text.contains("--shm-dir"),
        "{text}"
    );
    assert!(
        open_directory(&path).is_none(),
        "named after root and not root's"
    );
    let own_name = folder.path().join(format!("sdvr-{STRANGER}"));
    std::fs::rename(&path, &own_name).expect("ours");
    assert!(open_directory(&own_name).is_some(), "named after its owner");
}

/// A small file system of its own, unmounted at the end.
struct SmallFileSystem(tempfile::TempDir);

impl SmallFileSystem {
    fn mount(size: &str) -> Option<Self> {
        let folder = folder();
        let is_mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={size},mode=700"))
            .arg("sdvr-test")
            .arg(folder.path())
            .status()
            .is_ok_and(|status| status.success());
        if !is_mounted {
            eprintln!("skipped: root may not mount here");
        }
        is_mounted.then_some(Self(folder))
    }
}

impl Drop for SmallFileSystem {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

#[test]
fn a_full_file_system_refuses_the_new_ring_and_keeps_the_others() {
    let Some(small) = is_root().then(|| SmallFileSystem::mount("4m")).flatten() else {
        return;
    };
    let path = small.0.path();
    let rings = RingDirectory::create(path, None).expect("ours");
    let mut writer = RingWriter::create(&rings, options(64, 1 << 20)).expect("one fits");
    let reader = open(path).expect("it is there");
    publish(&mut writer, 500_000);
    let free = rings.free_bytes().expect("the system says");
    for _ in 0..20 {
        let mut big = options(64, 4 << 20);
        big.stream = StreamId(1);
        let error = RingWriter::create(&rings, big).expect_err("it cannot fit");
        match &error {
            CreateError::NoSpace { bytes, free_bytes } => {
                assert!(*bytes > 4 << 20);
                assert_eq!(*free_bytes, free, "nothing of it is left behind");
            }
            other => panic!("{other}"),
        }
        assert!(error.to_string().contains("--memory"), "{error}");
        assert!(error.to_string().contains("remount,size="), "{error}");
    }
    assert_eq!(support::file_names(path), [name().as_str()]);
    assert_eq!(rings.free_bytes().expect("the system says"), free);

    // Nothing at all is left for anybody else: the ring has all its memory already.
    let filler = path.join("filler");
    let file = std::fs::File::create(&filler).expect("ours");
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, free)
        .expect("so much was free");
    assert_eq!(rings.free_bytes().expect("the system says"), 0);
    let mut buffer = Vec::new();
    for _ in 0..50 {
        let n = publish(&mut writer, 700_001);
        assert!(reader.read(n, &mut buffer).is_ok() && is_frame(&buffer, n));
    }
    // And when there is room again, there is.
    drop(file);
    std::fs::remove_file(&filler).expect("ours");
    let mut second = options(64, 1 << 20);
    second.stream = StreamId(1);
    assert!(RingWriter::create(&rings, second).is_ok());
}

/// Runs `work` as another user and group. Only this thread changes, for it makes the system calls itself.
fn as_user<T: Send>(user: u32, group: u32, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let (uid, gid) = (Uid::from_raw(user), Gid::from_raw(group));
            rustix::thread::set_thread_groups(&[]).expect("root may");
            rustix::thread::set_thread_res_gid(gid, gid, gid).expect("root may");
            rustix::thread::set_thread_res_uid(uid, uid, uid).expect("root may");
            work()
        });
        thread.join().expect("the other user does not panic")
    })
}

#[test]
fn another_user_cannot_open_a_ring_nor_list_the_directory() {
    if !is_root() {
        return;
    }
    let folder = folder();
    set_mode(folder.path(), 0o755);
    let path = folder.path().join("rings");
    let rings = RingDirectory::create(&path, None).expect("ours");
    let _writer = RingWriter::create(&rings, options(4, 4096)).expect("there is room");
    // Even one who has the directory open, from somebody who may.
    let directory = support::directory(&path);
    as_user(STRANGER, STRANGER, || {
        assert!(open_directory(&path).is_none());
        let opened = sdvr_ring::RingReader::open(directory.as_fd(), &name());
        assert!(matches!(opened, Err(OpenError::Forbidden)), "{opened:?}");
        assert!(std::fs::File::open(ring_path(&path)).is_err());
        assert!(RingDirectory::create(&path, None).is_err());
    });
}

#[test]
fn the_group_may_read_and_nothing_else() {
    if !is_root() {
        return;
    }
    let folder = folder();
    set_mode(folder.path(), 0o755);
    let path = folder.path().join("rings");
    let rings = RingDirectory::create(&path, Some(GROUP)).expect("ours");
    let mut writer = RingWriter::create(&rings, options(4, 4096)).expect("there is room");
    publish(&mut writer, 100);
    as_user(STRANGER, GROUP, || {
        let reader = open(&path).expect("the group may");
        let mut buffer = Vec::new();
        assert!(reader.read(0, &mut buffer).is_ok() && is_frame(&buffer, 0));
        assert!(reader.writer_lives());

        let file = rustix::fs::open(ring_path(&path), OFlags::RDONLY, Mode::empty())
            .expect("the group may");
        let again = format!("/proc/thread-self/fd/{}", file.as_raw_fd());
        for way in [ring_path(&path), again.into()] {
            let writing = rustix::fs::open(&way, OFlags::RDWR, Mode::empty());
            assert!(writing.is_err(), "{} can be written", way.display());
        }
        assert!(rustix::fs::fchmod(&file, Mode::from_raw_mode(0o660)).is_err());
        assert!(rustix::fs::ftruncate(&file, 0).is_err());
        assert!(std::fs::remove_file(ring_path(&path)).is_err());
        assert!(std::fs::write(path.join("squatter"), "").is_err());
        assert!(std::fs::File::open(path.join(".lock")).is_err());
    });
    let without = as_user(STRANGER, STRANGER, || open(&path).is_err());
    assert!(without, "another group may not");
}

#[test]
fn a_reader_s_lock_does_not_look_like_a_writer_nor_keeps_one_out() {
    let place = Place::new();
    let writer = place.ring(4, 4096);
    let reader = place.open();
    let file = std::fs::File::open(ring_path(place.path())).expect("ours");
    // flock takes an exclusive lock without the right to write; fcntl, whose kind the writer has, does not.
    file.try_lock().expect("nobody has a lock of this kind");
    let other = place.ring(4, 4096);
    assert!(reader.writer_lives() && place.open().writer_lives());
    drop(writer);
    assert!(!reader.writer_lives(), "for all the lock that we have");
    assert!(place.open().writer_lives());
    drop(other);
}
