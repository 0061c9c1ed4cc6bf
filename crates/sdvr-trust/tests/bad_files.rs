//! Every file of the directory, damaged in every way that files are: an error that names it, nothing read of it, nothing changed.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::fs;
use std::os::unix::fs::{chown, symlink};

use sdvr_frame::Timestamp;
use sdvr_trust::{
    Acceptance, Admission, KeyDirectory, KnownCameras, KnownServers, TrustError, revoke,
    rotate_camera_key, rotate_server_key,
};
use support::{Home, chmod, key, label};

const NOW: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);
const ADDRESS: &str = "[nvr.lan]:1337";
const NOBODY: u32 = 65_534;

/// What reads a file.
type Reading = fn(&KeyDirectory) -> Result<(), TrustError>;

fn server_keys(directory: &KeyDirectory) -> Result<(), TrustError> {
    directory.server_keys().map(drop)
}

fn identity(directory: &KeyDirectory) -> Result<(), TrustError> {
    directory.camera_identity(&label("door"), true).map(drop)
}

/// As a camera that runs does.
fn next_key(directory: &KeyDirectory) -> Result<(), TrustError> {
    let mut identity = directory.camera_identity(&label("yard"), true)?;
    let before = identity.key.public_key();
    let result = identity.refresh();
    assert!(result.is_ok() || identity.key.public_key() == before);
    result.map(drop)
}

fn servers(directory: &KeyDirectory) -> Result<(), TrustError> {
    let servers = KnownServers::new(directory);
    servers.remember("[new.lan]:1", &key(9), 2)?;
    servers.note_told(ADDRESS, &key(8), None)?;
    servers.decide(ADDRESS, &key(5), 2, None).map(drop)
}

fn cameras(directory: &KeyDirectory) -> Result<(), TrustError> {
    KnownCameras::load(KeyDirectory::open(directory.path())?, NOW).map(drop)
}

fn revoked_servers(directory: &KeyDirectory) -> Result<(), TrustError> {
    cameras(directory)?;
    KnownServers::new(directory)
        .decide(ADDRESS, &key(5), 2, None)
        .map(drop)
}

/// Every file, and what reads it.
const FILES: [(&str, Reading); 9] = [
    ("server.key", server_keys),
    ("server-old.key", server_keys),
    ("cameras/door.key", identity),
    ("cameras/door.old", identity),
    ("cameras/yard.next", next_key),
    ("known_servers", servers),
    ("known_cameras", cameras),
    ("pending", cameras),
    ("revoked", revoked_servers),
];

/// A directory in which each of the files is.
fn home() -> Home {
    let home = Home::new();
    let directory = home.open();
    directory.server_key().unwrap();
    rotate_server_key(&directory).unwrap();
    let mut door = directory.camera_identity(&label("door"), true).unwrap();
    rotate_camera_key(&directory, "door").unwrap();
    assert!(door.refresh().unwrap());
    directory.camera_identity(&label("yard"), true).unwrap();
    rotate_camera_key(&directory, "yard").unwrap();
    KnownServers::new(&directory)
        .remember(ADDRESS, &key(5), 2)
        .unwrap();
    let tofu = KnownCameras::load(home.open(), NOW).unwrap();
    let known = [(key(1), label("door")), (key(2), label("gate"))];
    tofu.accepting(Acceptance::Tofu).admit_all(NOW, &known);
    let asking = KnownCameras::load(home.open(), NOW).unwrap();
    let waiting = [(key(3), label("shed"))];
    asking.accepting(Acceptance::Ask).admit_all(NOW, &waiting);
    revoke(&directory, "gate", None).unwrap();
    home
}

#[test]
fn files_that_others_could_have_written_or_read_are_refused_with_the_remedy() {
    let is_root = rustix::process::geteuid().is_root();
    let own = rustix::process::geteuid().as_raw();
    for (name, read) in FILES {
        let home = home();
        let path = home.file(name);
        let whole = fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let refused = |remedy: &str| {
            let error = read(&home.open()).unwrap_err().to_string();
            let file = path.display().to_string();
            assert!(
                error.contains(&file) && error.contains(remedy),
                "{name}: {error}"
            );
        };
        for mode in [0o644, 0o660, 0o602] {
            chmod(&path, mode);
            refused("Type: chmod 0600 ");
        }
        chmod(&path, 0o600);
        if is_root {
            chown(&path, Some(NOBODY), None).unwrap();
            refused(&format!("Type: chown {own} "));
            chown(&path, Some(own), None).unwrap();
        }
        let elsewhere = home.file("elsewhere");
        fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        refused("links are not followed");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        refused("is not a plain file");
        fs::remove_dir(&path).unwrap();
        fs::rename(&elsewhere, &path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole, "{name}");
        read(&home.open()).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn a_torn_file_is_refused_and_left_as_it_is() {
    for (name, read) in FILES {
        let home = home();
        let path = home.file(name);
        let whole = fs::read(&path).unwrap();
        // Not between two lines, where a whole file could end.
        let ends = [0, 1, whole.len() / 3, whole.len() / 2 + 3, whole.len() - 1];
        for end in ends {
            home.write(name, &whole[..end]);
            let error = read(&home.open()).unwrap_err();
            let TrustError::Parse { path: named, .. } = &error else {
                panic!("{name} cut to {end}: {error}")
            };
            assert_eq!(named, &path);
            assert_eq!(fs::read(&path).unwrap(), &whole[..end], "{name}");
        }
        home.write(name, &whole);
        read(&home.open()).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// Lets one camera in, as a daemon of its own would, which asks again when others are at the files.
fn admit(directory: &KeyDirectory, number: u32) {
    let camera = (key(number), label(&format!("cam{number}")));
    let is_new = || {
        let own = KeyDirectory::open(directory.path()).unwrap();
        let mut known = KnownCameras::load(own, NOW).unwrap();
        let admissions = known.admit_all(NOW, std::slice::from_ref(&camera));
        matches!(admissions.as_slice(), [Admission::New { .. }])
    };
    while !is_new() {}
}

/// Commands and programs that change the same files at once, each under the lock: every change is there afterwards.
#[test]
fn changes_at_once_are_all_there() {
    const EACH: u32 = 20;
    let home = Home::new();
    let path = home.path.clone();
    let in_thread = |work: fn(&KeyDirectory, u32)| {
        let path = path.clone();
        std::thread::spawn(move || {
            let directory = KeyDirectory::open(&path).unwrap();
            (0..EACH).for_each(|number| work(&directory, number));
        })
    };
    // To be revoked.
    for number in 0..EACH {
        admit(&home.open(), 1000 + number);
    }
    let threads = [
        in_thread(|directory, number| admit(directory, 2000 + number)),
        in_thread(|directory, number| admit(directory, 3000 + number)),
        in_thread(|directory, number| {
            revoke(directory, &format!("cam{}", 1000 + number), None).unwrap();
        }),
        in_thread(|directory, number| {
            let servers = KnownServers::new(directory);
            let address = format!("[host{number}]:1");
            servers.remember(&address, &key(number), 2).unwrap();
            servers.note_told(&address, &key(8), None).unwrap();
        }),
        in_thread(|directory, number| {
            let servers = KnownServers::new(directory);
            let address = format!("[other{number}]:1");
            servers.remember(&address, &key(number), 2).unwrap();
        }),
        in_thread(|directory, number| {
            let name = label(&format!("own{number}"));
            directory.camera_identity(&name, true).unwrap();
            rotate_camera_key(directory, name.as_str()).unwrap();
        }),
    ];
    for thread in threads {
        thread.join().unwrap();
    }
    let known = KnownCameras::load(home.open(), NOW).unwrap();
    assert_eq!(known.list().len(), 3 * EACH as usize);
    assert!((0..EACH).all(|number| known.revocation(&key(1000 + number)).is_some()));
    let directory = home.open();
    let servers = KnownServers::new(&directory).list().unwrap();
    assert_eq!(servers.len(), 2 * EACH as usize);
    let text = fs::read_to_string(home.file("known_servers")).unwrap();
    assert_eq!(text.matches(" told=").count(), EACH as usize);
    let own = directory.camera_keys().unwrap();
    assert_eq!(own.len(), EACH as usize);
    assert!(own.iter().all(|camera| camera.next.is_some()));
}
