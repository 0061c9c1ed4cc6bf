//! Every file of the directory on a disk that is full: what was in it stays, what is said is true, and it works when there is room.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sdvr_frame::Timestamp;
use sdvr_trust::{
    Acceptance, Admission, Announced, Announcement, KeyDirectory, KnownCameras, KnownServers,
    Newcomer, Refusal, TrustError, approve, forget, pending_cameras, reinstate, revoke,
    rotate_camera_key, rotate_server_key,
};
use support::{Home, TinyDisk, key, label};

const NOW: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);
const ADDRESS: &str = "[nvr.lan]:1337";

fn newcomer(number: u32, wanted: &str) -> Newcomer {
    Newcomer {
        key: key(number),
        label: label(wanted),
        from: "192.0.2.7".parse().unwrap(),
    }
}

fn text(number: u32) -> String {
    key(number).fingerprint().to_string()
}

/// All files but the one that takes the room, and what is in them.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for directory in [directory.to_owned(), directory.join("cameras")] {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && !path.ends_with("filler") {
                let name = path.to_string_lossy().into_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[track_caller]
fn check_full<T: std::fmt::Debug>(file: &str, result: Result<T, TrustError>) {
    let said = result.unwrap_err().to_string();
    assert!(
        said.contains(file) && said.contains("No space left") && said.contains("free some space"),
        "{file}: {said}"
    );
}

#[test]
fn no_file_loses_anything_on_a_full_disk_and_all_work_when_there_is_room() {
    let Some(disk) = TinyDisk::mount(128 * 1024) else {
        return;
    };
    let directory = KeyDirectory::open(&disk.path).unwrap();
    let own = || KeyDirectory::open(&disk.path).unwrap();
    let servers = KnownServers::new(&directory);
    let mut tofu = KnownCameras::load(own(), NOW).unwrap();
    let wanted = [(1, "door"), (2, "yard"), (3, "gate")];
    tofu.admit_all(NOW, &wanted.map(|(number, wants)| newcomer(number, wants)));
    revoke(&directory, "gate", None).unwrap();
    let announce = |known: &mut KnownCameras, proved, next| {
        let (proved, next) = (key(proved), key(next));
        known
            .announce_all(NOW, &[Announced { proved, next }])
            .remove(0)
    };
    announce(&mut tofu, 1, 11);
    let mut known = KnownCameras::load(own(), NOW)
        .unwrap()
        .accepting(Acceptance::Ask);
    known.admit_all(NOW, &[newcomer(4, "shed")]);
    servers.remember(ADDRESS, &key(5), 2).unwrap();
    directory.server_key().unwrap();
    let mut identity = directory.camera_identity(&label("own"), true).unwrap();
    let mut rotating = directory.camera_identity(&label("other"), true).unwrap();
    rotate_camera_key(&directory, "other").unwrap();

    disk.fill();
    let before = files(&disk.path);
    for _ in 0..2 {
        check_full("revoked", revoke(&directory, "door", None));
        check_full("revoked", reinstate(&directory, &text(3), None));
        check_full("pending", forget(&directory, &text(4)));
        check_full("known_cameras", forget(&directory, "door"));
        check_full("known_cameras", approve(&directory, &text(4), None));
        check_full("known_servers", servers.remember("[new]:1", &key(6), 2));
        check_full("known_servers", servers.announce(ADDRESS, &key(5), &key(6)));
        check_full("known_servers", servers.note_told(ADDRESS, &key(7), None));
        check_full("known_servers", servers.forget(ADDRESS));
        check_full("server", rotate_server_key(&directory));
        check_full("own.next", rotate_camera_key(&directory, "own"));
        check_full("other.old", rotating.refresh());
        assert!(!identity.refresh().unwrap());
        // The daemon: who is known comes in, also with the key that it has announced, and who is not hears why.
        let wanted = [
            newcomer(11, "door"),
            newcomer(2, "yard"),
            newcomer(8, "new"),
        ];
        let admissions = known.admit_all(NOW, &wanted);
        let [
            Admission::Known { .. },
            Admission::Known { .. },
            Admission::Refused(refusal @ Refusal::NotNoted { .. }),
        ] = admissions.as_slice()
        else {
            panic!("{admissions:?}")
        };
        let said = refusal.to_string();
        assert!(said.contains("No space left"), "{said}");
        let answer = announce(&mut known, 2, 12);
        assert!(
            matches!(&answer, Announcement::StoreFailed { problem } if problem.contains("No space left")),
            "{answer:?}"
        );
        assert_eq!(files(&disk.path), before);
    }

    disk.make_room();
    let recorded = announce(&mut known, 2, 12);
    assert!(
        matches!(recorded, Announcement::Recorded { is_new: true, .. }),
        "{recorded:?}"
    );
    let admissions = known.admit_all(NOW, &[newcomer(11, "door"), newcomer(8, "new")]);
    assert!(
        matches!(
            admissions.as_slice(),
            [
                Admission::Known { .. },
                Admission::Refused(Refusal::Pending { is_new: true, .. })
            ]
        ),
        "{admissions:?}"
    );
    assert_eq!(known.keys_of(&key(1)), [key(11), key(1)]);
    assert!(rotating.refresh().unwrap());
    rotate_camera_key(&directory, "own").unwrap();
    assert!(identity.refresh().unwrap());
    rotate_server_key(&directory).unwrap();
    approve(&directory, &text(4), None).unwrap();
    revoke(&directory, "door", None).unwrap();
    reinstate(&directory, &text(3), None).unwrap().unwrap();
}

/// Two files are changed, and only the second cannot be: what was done is done, and is not said to have failed.
#[test]
fn when_only_the_list_of_those_that_wait_cannot_be_written_nothing_else_is_claimed() {
    let home = Home::new();
    let directory = home.open();
    let mut known = KnownCameras::load(home.open(), NOW)
        .unwrap()
        .accepting(Acceptance::Ask);
    let all = [(1, "door"), (2, "yard"), (3, "gate")];
    known.admit_all(NOW, &all.map(|(number, wants)| newcomer(number, wants)));
    let pending = fs::read(home.file("pending")).unwrap();
    // In the way of the file that takes its place.
    fs::create_dir(home.file(".pending.new")).unwrap();

    approve(&directory, &text(1), None).unwrap();
    revoke(&directory, &text(2), None).unwrap();
    known.refresh().unwrap();
    let waiting = || {
        let waiting = pending_cameras(&directory).unwrap();
        waiting.iter().map(|camera| camera.key).collect::<Vec<_>>()
    };
    assert_eq!(waiting(), [key(3)]);
    assert_eq!(fs::read(home.file("pending")).unwrap(), pending);
    let admissions = known.admit_all(NOW, &all.map(|(number, wants)| newcomer(number, wants)));
    assert!(
        matches!(
            admissions.as_slice(),
            [
                Admission::Known { .. },
                Admission::Refused(Refusal::Revoked { .. }),
                Admission::Refused(Refusal::Pending { is_new: false, .. })
            ]
        ),
        "{admissions:?}"
    );
    // One that is let in and one whose label is taken, at once: the first is in, the second hears of its label.
    let mut tofu = KnownCameras::load(home.open(), NOW).unwrap();
    let admissions = tofu.admit_all(NOW, &[newcomer(5, "new"), newcomer(6, "door")]);
    assert!(
        matches!(
            admissions.as_slice(),
            [
                Admission::New { .. },
                Admission::Refused(Refusal::LabelTaken { .. })
            ]
        ),
        "{admissions:?}"
    );
    // The one that would wait hears that it could not be noted, not that there were too many.
    known.refresh().unwrap();
    let admissions = known.admit_all(NOW, &[newcomer(7, "shed")]);
    let [Admission::Refused(refusal @ Refusal::NotNoted { .. })] = admissions.as_slice() else {
        panic!("{admissions:?}")
    };
    let said = refusal.to_string();
    assert!(
        said.contains("could not be noted") && said.contains(".pending.new"),
        "{said}"
    );
    fs::remove_dir(home.file(".pending.new")).unwrap();
    let admissions = known.admit_all(NOW, &[newcomer(7, "shed")]);
    assert!(
        matches!(
            admissions.as_slice(),
            [Admission::Refused(Refusal::Pending { is_new: true, .. })]
        ),
        "{admissions:?}"
    );
    assert_eq!(waiting(), [key(3), key(7)]);
}
