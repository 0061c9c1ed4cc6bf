//! A server that gets another key: clients follow, once the key is proved, and nobody is lost when a process is killed midway.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::fs;

use sdvr_trust::{
    KnownServers, ServerDecision, ServerKeyWatch, TrustError, revoke, rotate_server_key,
};
use support::{Home, base64, key};

const ADDRESS: &str = "[nvr.lan]:1337";

#[test]
fn the_key_before_stays_good_and_is_not_given_up_by_a_second_rotation() {
    let home = Home::new();
    let refused = rotate_server_key(&home.open()).unwrap_err();
    assert!(matches!(refused, TrustError::NoServerKey { .. }));
    let (mut watch, before) = ServerKeyWatch::begin(home.open()).unwrap();
    assert!(before.old.is_none() && watch.refresh().unwrap().is_none());

    let rotation = rotate_server_key(&home.open()).unwrap();
    assert_eq!(rotation.old, before.current.public_key());
    let keys = watch.refresh().unwrap().unwrap();
    assert_eq!(keys.current.public_key(), rotation.current);
    assert_eq!(keys.old.unwrap().public_key(), rotation.old);
    assert!(watch.refresh().unwrap().is_none());

    let again = rotate_server_key(&home.open()).unwrap_err();
    assert!(matches!(again, TrustError::RotatedLately { .. }));
    let keys = home.open().server_keys().unwrap();
    assert_eq!(keys.current.public_key(), rotation.current);
}

/// The time of the key before is over.
fn make_old(home: &Home) {
    let content = fs::read_to_string(home.file("server-old.key")).unwrap();
    let (start, rest) = content.split_once("until ").unwrap();
    let (_, rest) = rest.split_once('\n').unwrap();
    let changed = format!("{start}until 2020-01-01T00:00:00Z\n{rest}");
    home.write("server-old.key", changed.as_bytes());
}

#[test]
fn the_key_before_is_good_for_30_days() {
    let home = Home::new();
    let (mut watch, _) = ServerKeyWatch::begin(home.open()).unwrap();
    rotate_server_key(&home.open()).unwrap();
    assert!(watch.refresh().unwrap().unwrap().old.is_some());
    make_old(&home);
    let keys = watch.refresh().unwrap().unwrap();
    assert!(keys.old.is_none() && keys.discarded.is_none());
    assert!(watch.refresh().unwrap().is_none() && watch.take_discarded().is_none());
    rotate_server_key(&home.open()).unwrap();
    assert!(home.open().server_keys().unwrap().old.is_some());
}

#[test]
fn a_key_before_is_not_good_beside_a_key_that_did_not_replace_it() {
    for is_over in [true, false] {
        let home = Home::new();
        home.open().server_key().unwrap();
        let rotation = rotate_server_key(&home.open()).unwrap();
        if is_over {
            make_old(&home);
        }
        // The theft of the key before is noticed, and only half of it is put right.
        fs::remove_file(home.file("server.key")).unwrap();
        let (mut watch, keys) = ServerKeyWatch::begin(home.open()).unwrap();
        assert_ne!(keys.current.public_key(), rotation.current);
        assert!(keys.old.is_none());
        let discarded = watch.take_discarded().unwrap();
        assert_eq!((discarded.key, discarded.problem), (rotation.old, None));
        assert_eq!(watch.take_discarded(), None);
        assert!(!home.file("server-old.key").exists());
        assert!(watch.refresh().unwrap().is_none());
        // Nor is it what a rotation waits for.
        let again = rotate_server_key(&home.open()).unwrap();
        assert_eq!(again.old, keys.current.public_key());
        let keys = home.open().server_keys().unwrap();
        assert_eq!(keys.old.unwrap().public_key(), again.old);
    }
}

#[test]
fn a_key_before_that_is_bound_to_nothing_is_not_good() {
    let home = Home::new();
    let other = Home::new();
    home.open().server_key().unwrap();
    let key = other.open().server_key().unwrap().public_key();
    let content = fs::read(other.file("server.key")).unwrap();
    home.write("server-old.key", &content);
    rotate_server_key(&home.open()).unwrap();
    home.write("server-old.key", &content);
    let keys = home.open().server_keys().unwrap();
    assert!(keys.old.is_none());
    assert_eq!(keys.discarded.unwrap().key, key);
    assert!(!home.file("server-old.key").exists());
}

#[test]
fn a_key_before_that_cannot_be_removed_is_not_good_all_the_same() {
    let home = Home::new();
    home.open().server_key().unwrap();
    rotate_server_key(&home.open()).unwrap();
    fs::remove_file(home.file("server.key")).unwrap();
    // Somebody changes the files: he may be about to replace both.
    let lock = fs::File::open(home.file(".lock")).unwrap();
    home.open().server_key().unwrap();
    lock.lock().unwrap();
    let keys = home.open().server_keys().unwrap();
    assert!(keys.old.is_none() && keys.discarded.unwrap().problem.is_some());
    assert!(home.file("server-old.key").exists());
    lock.unlock().unwrap();
    let keys = home.open().server_keys().unwrap();
    assert!(keys.old.is_none() && keys.discarded.unwrap().problem.is_none());
    assert!(!home.file("server-old.key").exists());
}

#[test]
fn a_key_that_could_not_be_read_is_taken_when_it_can() {
    let home = Home::new();
    let (mut watch, before) = ServerKeyWatch::begin(home.open()).unwrap();
    let rotation = rotate_server_key(&home.open()).unwrap();
    let path = home.file("server.key");
    // Nothing of the file changes when what kept it from being read is over: here, a directory in the place of the other one.
    let (old, aside) = (home.file("server-old.key"), home.file("aside"));
    fs::rename(&old, &aside).unwrap();
    fs::create_dir(&old).unwrap();
    let version = |path| fs::metadata(path).unwrap().modified().unwrap();
    let unchanged = version(&path);
    watch.refresh().unwrap_err();
    assert!(watch.refresh().unwrap().is_none(), "it is said once");
    assert_eq!(watch.current(), before.current.public_key());
    fs::remove_dir(&old).unwrap();
    fs::rename(&aside, &old).unwrap();
    assert_eq!(version(&path), unchanged);
    let keys = watch.refresh().unwrap().unwrap();
    assert_eq!(keys.current.public_key(), rotation.current);
    assert_eq!(keys.old.unwrap().public_key(), rotation.old);
}

#[test]
fn a_key_before_that_is_removed_ends_in_a_running_server() {
    let home = Home::new();
    let (mut watch, _) = ServerKeyWatch::begin(home.open()).unwrap();
    rotate_server_key(&home.open()).unwrap();
    assert!(watch.refresh().unwrap().unwrap().old.is_some());
    fs::remove_file(home.file("server-old.key")).unwrap();
    assert!(watch.refresh().unwrap().unwrap().old.is_none());
    // The current one stays, until a server begins anew.
    fs::remove_file(home.file("server.key")).unwrap();
    assert!(watch.refresh().unwrap().is_none());
    assert!(!home.file("server.key").exists());
}

#[test]
fn killed_between_the_two_files_nothing_has_happened() {
    let home = Home::new();
    let key = home.open().server_key().unwrap().public_key();
    let content = fs::read(home.file("server.key")).unwrap();
    rotate_server_key(&home.open()).unwrap();
    // The one before is written, and the current one not yet replaced.
    home.write("server.key", &content);
    let keys = home.open().server_keys().unwrap();
    assert_eq!(keys.current.public_key(), key);
    assert!(keys.old.is_none() && keys.discarded.is_none());
    let rotation = rotate_server_key(&home.open()).unwrap();
    assert_eq!(rotation.old, key);
}

#[test]
fn an_announced_key_is_asked_for_and_takes_over_when_it_is_proved() {
    let home = Home::new();
    let directory = home.open();
    let servers = KnownServers::new(&directory);
    servers.remember(ADDRESS, &key(1), 2).unwrap();
    // Only of the key that is remembered.
    assert!(!servers.announce(ADDRESS, &key(7), &key(2)).unwrap());
    assert!(!servers.announce(ADDRESS, &key(1), &key(1)).unwrap());
    assert!(!servers.announce("[other]:1337", &key(1), &key(2)).unwrap());
    assert!(servers.announce(ADDRESS, &key(1), &key(2)).unwrap());
    assert!(!servers.announce(ADDRESS, &key(1), &key(2)).unwrap());
    let text = fs::read_to_string(home.file("known_servers")).unwrap();
    assert!(
        text.ends_with(&format!(" next={}\n", base64(&key(2)))),
        "{text}"
    );
    assert_eq!(servers.expected_key(ADDRESS).unwrap(), Some(key(2)));
    assert_eq!(servers.pin(ADDRESS).unwrap(), Some(key(1)));

    let decide = |number| servers.decide(ADDRESS, &key(number), 2, None).unwrap();
    assert!(matches!(decide(1), ServerDecision::Known));
    assert!(matches!(decide(2), ServerDecision::Known));
    assert!(matches!(decide(3), ServerDecision::Mismatch(_)));
    // The old one again: the new one still waits.
    servers.remember(ADDRESS, &key(1), 2).unwrap();
    assert_eq!(servers.expected_key(ADDRESS).unwrap(), Some(key(2)));
    servers.remember(ADDRESS, &key(2), 2).unwrap();
    assert_eq!(servers.pin(ADDRESS).unwrap(), Some(key(2)));
    assert!(matches!(decide(1), ServerDecision::Mismatch(_)));
    assert!(servers.remember(ADDRESS, &key(1), 2).is_err());
    let text = fs::read_to_string(home.file("known_servers")).unwrap();
    assert!(!text.contains("next="), "{text}");
}

#[test]
fn an_announced_key_that_is_revoked_is_not_taken() {
    let home = Home::new();
    let directory = home.open();
    let servers = KnownServers::new(&directory);
    servers.remember(ADDRESS, &key(1), 2).unwrap();
    servers.remember("[bad]:1337", &key(2), 2).unwrap();
    revoke(&home.open(), &key(2).fingerprint().to_string(), None).unwrap();
    servers.announce(ADDRESS, &key(1), &key(2)).unwrap();
    let decision = servers.decide(ADDRESS, &key(2), 2, None);
    assert!(matches!(decision, Err(TrustError::Revoked { .. })));
}
