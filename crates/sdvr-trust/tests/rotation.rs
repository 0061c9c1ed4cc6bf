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

#[test]
fn the_key_before_is_good_for_30_days() {
    let home = Home::new();
    home.open().server_key().unwrap();
    rotate_server_key(&home.open()).unwrap();
    let content = fs::read_to_string(home.file("server.key")).unwrap();
    let (start, _) = content.split_once("created ").unwrap();
    home.write(
        "server.key",
        format!("{start}created 2020-01-01T00:00:00Z\n").as_bytes(),
    );
    assert!(home.open().server_keys().unwrap().old.is_none());
    rotate_server_key(&home.open()).unwrap();
    assert!(home.open().server_keys().unwrap().old.is_some());
}

#[test]
fn killed_between_the_two_files_nothing_has_happened() {
    let home = Home::new();
    let key = home.open().server_key().unwrap().public_key();
    let content = fs::read(home.file("server.key")).unwrap();
    home.write("server-old.key", &content);
    let keys = home.open().server_keys().unwrap();
    assert_eq!(keys.current.public_key(), key);
    assert!(keys.old.is_none());
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
