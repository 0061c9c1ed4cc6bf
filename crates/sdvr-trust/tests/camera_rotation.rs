//! A camera that gets another key: the servers follow once it is proved, nobody else gets in with it, and nothing is lost when a
//! process is killed midway.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::fs;
use std::time::Duration;

use sdvr_frame::{PublicKey, Timestamp};
use sdvr_trust::{
    Acceptance, Admission, Announced, Announcement, KnownCameras, KnownServers, NotItsKey, Refusal,
    Removal, TrustError, WhichKey, approve, forget, revoke, rotate_camera_key,
};
use support::{Home, base64, key, label};

const NOW: Timestamp = Timestamp::from_nanoseconds(1_000_000_000_000);

fn known(home: &Home, acceptance: Acceptance) -> KnownCameras {
    KnownCameras::load(home.open(), NOW)
        .unwrap()
        .accepting(acceptance)
}

fn admit(known: &mut KnownCameras, key: PublicKey, wanted: &str) -> Admission {
    known.admit_all(NOW, &[(key, label(wanted))]).remove(0)
}

/// A camera "door" with key 1, which is known.
fn with_door() -> (Home, KnownCameras) {
    let home = Home::new();
    let mut known = known(&home, Acceptance::Tofu);
    admit(&mut known, key(1), "door");
    (home, known)
}

fn announce_at(now: Timestamp, known: &mut KnownCameras, proved: u32, next: u32) -> Announcement {
    let announced = Announced {
        proved: key(proved),
        next: key(next),
    };
    known.announce_all(now, &[announced]).remove(0)
}

fn announce(known: &mut KnownCameras, proved: u32, next: u32) -> Announcement {
    announce_at(NOW, known, proved, next)
}

fn is_known(admission: &Admission) -> bool {
    matches!(admission, Admission::Known { label } if label.as_str() == "door")
}

fn is_recorded(announcement: &Announcement, new: bool) -> bool {
    matches!(announcement, Announcement::Recorded { is_new, .. } if *is_new == new)
}

fn line(home: &Home) -> String {
    fs::read_to_string(home.file("known_cameras")).unwrap()
}

#[test]
fn an_announced_key_takes_over_when_it_is_proved_and_the_one_before_stays_good() {
    for acceptance in [Acceptance::Tofu, Acceptance::Ask, Acceptance::Closed] {
        let (home, _) = with_door();
        let mut known = known(&home, acceptance);
        assert!(is_recorded(&announce(&mut known, 1, 2), true));
        assert!(is_recorded(&announce(&mut known, 1, 2), false));
        let text = line(&home);
        let next = format!(" next={}", base64(&key(2)));
        assert!(text.contains(&next) && !text.contains("old="), "{text}");
        // It decides nothing yet.
        assert!(is_known(&admit(&mut known, key(1), "door")));
        assert!(line(&home).contains(&next));
        assert!(!known.refuses_unheard(&key(2)) && !known.refuses_unheard(&key(1)));

        assert!(is_known(&admit(&mut known, key(2), "door")));
        let text = line(&home);
        let old = format!(" old={} until=", base64(&key(1)));
        assert!(text.contains(&old) && !text.contains("next="), "{text}");
        let camera = &known.list()[0];
        assert_eq!((camera.key, camera.next()), (key(2), None));
        assert_eq!(camera.old().unwrap().0, key(1));
        // Both, also for who reads the file anew, and nobody waits.
        for mut known in [known, self::known(&home, acceptance)] {
            assert!(is_known(&admit(&mut known, key(1), "door")));
            assert!(is_known(&admit(&mut known, key(2), "door")));
            assert!(!is_known(&admit(&mut known, key(3), "door")));
            assert_eq!(known.keys_of(&key(1)), [key(2), key(1)]);
        }
    }
}

#[test]
fn the_key_before_is_refused_after_30_days_with_the_way_out() {
    let (home, mut known) = with_door();
    announce(&mut known, 1, 2);
    admit(&mut known, key(2), "door");
    let text = line(&home);
    let until = text.split("until=").nth(1).unwrap().trim_end();
    let days = humantime_days_from_now(until);
    assert!((29..=30).contains(&days), "{until}");

    let over = text.replace(until, "2020-01-01T00:00:00Z");
    home.write("known_cameras", over.as_bytes());
    // A session that it has ends, too.
    let removed = known.refresh().unwrap().removed;
    assert!(
        matches!(removed.as_slice(), [it] if it.key == key(1) && it.why == Removal::KeyReplaced),
        "{removed:?}"
    );
    let Admission::Refused(refusal @ Refusal::KeyReplaced { .. }) =
        admit(&mut known, key(1), "door")
    else {
        panic!("it was let in")
    };
    let said = refusal.to_string();
    assert!(
        said.contains("good until 2020-01-01") && said.contains("sdvr keys forget door"),
        "{said}"
    );
    // Also under another label: it is no new camera.
    assert!(matches!(
        admit(&mut known, key(1), "yard"),
        Admission::Refused(Refusal::KeyReplaced { .. })
    ));
    assert!(is_known(&admit(&mut known, key(2), "door")));
}

#[test]
fn a_session_of_the_key_before_ends_when_its_time_is_over() {
    let (home, mut known) = with_door();
    announce(&mut known, 1, 2);
    admit(&mut known, key(2), "door");
    let text = line(&home);
    let until = text.split("until=").nth(1).unwrap().trim_end();
    let output = std::process::Command::new("date")
        .args(["-u", "-d", "now + 2 seconds", "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .unwrap();
    let soon = String::from_utf8(output.stdout).unwrap();
    home.write("known_cameras", text.replace(until, soon.trim()).as_bytes());
    let begin = std::time::Instant::now();
    let removed = loop {
        let mut removed = known.refresh().unwrap().removed;
        if let Some(removed) = removed.pop() {
            break removed;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "it never ends");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!((removed.key, removed.label), (key(1), label("door")));
    assert_eq!(removed.why, Removal::KeyReplaced);
    // Said once, also when the file is read again.
    admit(&mut known, key(3), "new");
    home.write("known_cameras", line(&home).as_bytes());
    assert!(known.refresh().unwrap().removed.is_empty());
}

/// Whole days from now to a time of this century.
fn humantime_days_from_now(text: &str) -> u64 {
    let output = std::process::Command::new("date")
        .args(["-d", text, "+%s"])
        .output()
        .unwrap();
    let then: u64 = String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    (then - now.as_secs()) / 86_400
}

#[test]
fn a_key_that_is_not_the_cameras_to_have_is_refused() {
    let (home, mut known) = with_door();
    admit(&mut known, key(5), "yard");
    let mut asking = self::known(&home, Acceptance::Ask);
    admit(&mut asking, key(6), "gate");
    admit(&mut known, key(7), "stolen");
    revoke(&home.open(), "stolen", None).unwrap();
    known.refresh().unwrap();
    let before = line(&home);
    let refused = |known: &mut KnownCameras, proved, next| match announce(known, proved, next) {
        Announcement::Refused(why) => why,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        refused(&mut known, 1, 5),
        NotItsKey::OtherCameras { holder, .. } if holder.as_str() == "yard"
    ));
    assert!(matches!(refused(&mut known, 1, 6), NotItsKey::Waits { .. }));
    for (proved, next) in [(1, 7), (7, 8)] {
        let why = refused(&mut known, proved, next);
        assert!(matches!(why, NotItsKey::Revoked { .. }), "{why:?}");
    }
    assert!(matches!(refused(&mut known, 99, 8), NotItsKey::Forgotten));
    assert_eq!(line(&home), before);
    // Two that announce the same: one has it.
    let both = [1, 5].map(|proved| Announced {
        proved: key(proved),
        next: key(9),
    });
    let answers = known.announce_all(NOW, &both);
    assert!(is_recorded(&answers[0], true), "{answers:?}");
    assert!(
        matches!(
            answers[1],
            Announcement::Refused(NotItsKey::OtherCameras { .. })
        ),
        "{answers:?}"
    );
}

/// An old key may be why there is a new one.
#[test]
fn who_has_only_the_old_key_cannot_give_the_camera_another() {
    let (home, mut known) = with_door();
    announce(&mut known, 1, 2);
    admit(&mut known, key(2), "door");
    let before = line(&home);
    let later = NOW + Duration::from_secs(3600);
    for (proved, next) in [(1, 3), (2, 1)] {
        let answer = announce_at(later, &mut known, proved, next);
        assert!(
            matches!(answer, Announcement::Refused(NotItsKey::NotCurrent { .. })),
            "{answer:?}"
        );
    }
    // That the current one is known may be said to it: the camera may have missed the answer.
    assert!(is_recorded(&announce_at(later, &mut known, 1, 2), false));
    assert_eq!(line(&home), before);
}

#[test]
fn revoking_and_forgetting_a_camera_is_about_all_its_keys() {
    for proved in [false, true] {
        let (home, mut known) = with_door();
        announce(&mut known, 1, 2);
        if proved {
            admit(&mut known, key(2), "door");
        }
        let revocation = revoke(&home.open(), "door", Some("stolen")).unwrap();
        assert_eq!(revocation.keys.len(), 2);
        let changes = known.refresh().unwrap();
        for number in [1, 2] {
            let removed = changes.removed.iter().find(|it| it.key == key(number));
            assert!(matches!(
                removed.map(|it| &it.why),
                Some(Removal::Revoked { .. })
            ));
            let admission = admit(&mut known, key(number), "door");
            assert!(matches!(
                admission,
                Admission::Refused(Refusal::Revoked { .. })
            ));
        }
        assert!(matches!(
            announce_at(NOW + Duration::from_secs(100), &mut known, 1, 3),
            Announcement::Refused(NotItsKey::Revoked { .. })
        ));
    }
    let (home, mut known) = with_door();
    announce(&mut known, 1, 2);
    // Each of its fingerprints names it.
    forget(&home.open(), &key(2).fingerprint().to_string()).unwrap();
    let changes = known.refresh().unwrap();
    let mut removed: Vec<_> = changes.removed.iter().map(|it| it.key).collect();
    removed.sort_by_key(|key| key.0);
    assert_eq!(removed, [key(1), key(2)]);
    assert!(known.list().is_empty());
}

#[test]
fn the_key_before_cannot_be_approved_as_another_camera() {
    let (home, mut known) = with_door();
    announce(&mut known, 1, 2);
    for number in [1, 2] {
        let fingerprint = key(number).fingerprint().to_string();
        let error = approve(&home.open(), &fingerprint, Some(label("other"))).unwrap_err();
        assert!(matches!(error, TrustError::AlreadyKnown { .. }), "{error}");
    }
}

#[test]
fn a_camera_announces_at_most_a_key_a_minute() {
    let (home, mut known) = with_door();
    assert!(is_recorded(&announce(&mut known, 1, 2), true));
    let before = line(&home);
    assert_eq!(announce(&mut known, 1, 3), Announcement::TooOften);
    assert_eq!(line(&home), before);
    // Not by becoming another one either.
    admit(&mut known, key(2), "door");
    assert_eq!(announce(&mut known, 2, 3), Announcement::TooOften);
    let later = NOW + Duration::from_secs(61);
    assert!(is_recorded(&announce_at(later, &mut known, 2, 3), true));
}

#[test]
fn the_command_makes_a_key_that_the_camera_takes_and_keeps_the_one_before() {
    let home = Home::new();
    let directory = home.open();
    let error = rotate_camera_key(&directory, "door").unwrap_err();
    assert!(matches!(error, TrustError::NotFound { .. }), "{error}");
    let mut identity = directory.camera_identity(&label("door"), true).unwrap();
    let first = identity.key.public_key();
    for wanted in ["yard", "../door", "door.key"] {
        let error = rotate_camera_key(&directory, wanted).unwrap_err();
        assert!(error.to_string().contains("known are: door"), "{error}");
    }
    assert!(!identity.refresh().unwrap());

    let rotation = rotate_camera_key(&directory, "door").unwrap();
    assert_eq!(rotation.current, first);
    let error = rotate_camera_key(&directory, "door").unwrap_err();
    assert!(matches!(error, TrustError::CameraRotationWaits { .. }));
    let keys = directory.camera_keys().unwrap();
    assert_eq!(
        (keys[0].current, keys[0].next),
        (first, Some(rotation.next))
    );

    assert!(identity.refresh().unwrap());
    assert!(!identity.refresh().unwrap());
    assert_eq!(identity.key.public_key(), rotation.next);
    assert_eq!(identity.old.as_ref().unwrap().public_key(), first);
    // The name is taken all the while.
    let error = directory.camera_identity(&label("door"), true).unwrap_err();
    assert!(matches!(error, TrustError::KeyInUse { .. }), "{error}");
    let other = directory.camera_identity(&label("door"), false).unwrap();
    assert_eq!(other.label.as_str(), "door-2");

    drop(identity);
    let identity = directory.camera_identity(&label("door"), true).unwrap();
    assert_eq!(identity.key.public_key(), rotation.next);
    assert_eq!(identity.old.as_ref().unwrap().public_key(), first);
    let error = rotate_camera_key(&directory, "door").unwrap_err();
    assert!(matches!(error, TrustError::CameraRotatedLately { .. }));
    // After 30 days.
    let old = fs::read_to_string(home.file("cameras/door.old")).unwrap();
    let (start, _) = old.split_once("created ").unwrap();
    home.write(
        "cameras/door.old",
        format!("{start}created 2020-01-01T00:00:00Z\n").as_bytes(),
    );
    rotate_camera_key(&directory, "door").unwrap();
}

#[test]
fn killed_between_any_two_files_the_camera_has_its_key() {
    let home = Home::new();
    let directory = home.open();
    let identity = directory.camera_identity(&label("door"), true).unwrap();
    let first = identity.key.public_key();
    drop(identity);
    let rotation = rotate_camera_key(&directory, "door").unwrap();
    // As after the first of the two changes.
    let content = fs::read(home.file("cameras/door.key")).unwrap();
    home.write("cameras/door.old", &content);
    let mut identity = directory.camera_identity(&label("door"), true).unwrap();
    assert_eq!(identity.key.public_key(), first);
    assert!(identity.old.is_none());
    assert!(identity.refresh().unwrap());
    assert_eq!(identity.key.public_key(), rotation.next);
    assert_eq!(identity.old.as_ref().unwrap().public_key(), first);
}

#[test]
fn a_new_key_that_cannot_be_used_is_said_once_and_changes_nothing() {
    let home = Home::new();
    let directory = home.open();
    let mut identity = directory.camera_identity(&label("door"), true).unwrap();
    let first = identity.key.public_key();
    rotate_camera_key(&directory, "door").unwrap();
    let whole = fs::read(home.file("cameras/door.next")).unwrap();
    for end in [0, 1, 30, whole.len() - 1] {
        home.write("cameras/door.next", &whole[..end]);
        let error = identity.refresh().unwrap_err();
        assert!(error.to_string().contains("door.next:"), "{error}");
        assert!(!identity.refresh().unwrap(), "it is said again");
        assert_eq!(identity.key.public_key(), first);
        assert!(identity.old.is_none());
    }
    support::chmod(&home.file("cameras/door.next"), 0o644);
    assert!(matches!(identity.refresh(), Err(TrustError::Mode { .. })));
    home.write("cameras/door.next", &whole);
    assert!(identity.refresh().unwrap());
}

#[test]
fn a_server_that_has_not_said_that_it_has_the_new_key_is_met_under_the_old_one() {
    const ADDRESSES: [&str; 2] = ["[nvr.lan]:1337", "[away.lan]:1337"];
    let home = Home::new();
    let directory = home.open();
    let servers = KnownServers::new(&directory);
    let mut identity = directory.camera_identity(&label("door"), true).unwrap();
    for address in ADDRESSES {
        servers.remember(address, &key(1), 2).unwrap();
    }
    let which = |identity: &sdvr_trust::CameraIdentity, address: &str| {
        identity.key_for(&servers, address).unwrap()
    };
    assert_eq!(which(&identity, ADDRESSES[0]), WhichKey::Current);
    rotate_camera_key(&directory, "door").unwrap();
    identity.refresh().unwrap();
    let (current, old) = (
        identity.key.public_key(),
        identity.old.as_ref().unwrap().public_key(),
    );
    assert_eq!(which(&identity, ADDRESSES[0]), WhichKey::Old);
    assert!(
        servers
            .note_told(ADDRESSES[0], &current, Some(&old))
            .unwrap()
    );
    assert!(
        !servers
            .note_told(ADDRESSES[0], &current, Some(&old))
            .unwrap()
    );
    assert!(!servers.note_told("[new.lan]:1", &current, None).unwrap());
    assert_eq!(which(&identity, ADDRESSES[0]), WhichKey::Current);
    assert_eq!(which(&identity, ADDRESSES[1]), WhichKey::Old);
    // One that was never met has no key of this camera.
    assert_eq!(which(&identity, "[new.lan]:1337"), WhichKey::Current);
    // What was noted survives what else is written; another camera's is beside it.
    servers.note_told(ADDRESSES[0], &key(8), None).unwrap();
    servers.announce(ADDRESSES[0], &key(1), &key(2)).unwrap();
    servers.remember(ADDRESSES[0], &key(2), 2).unwrap();
    assert_eq!(which(&identity, ADDRESSES[0]), WhichKey::Current);
    let text = fs::read_to_string(home.file("known_servers")).unwrap();
    let told = format!(" told={},{}\n", base64(&current), base64(&key(8)));
    assert!(text.contains(&told), "{text}");
    // The next key takes the place of this one.
    servers
        .note_told(ADDRESSES[0], &key(9), Some(&current))
        .unwrap();
    let text = fs::read_to_string(home.file("known_servers")).unwrap();
    assert!(!text.contains(&base64(&current)), "{text}");
}
