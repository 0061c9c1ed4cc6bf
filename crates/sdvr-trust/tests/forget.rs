//! `sdvr keys forget` takes what people type, and asks back rather than guess.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use sdvr_frame::Timestamp;
use sdvr_trust::{Forgotten, KnownCameras, KnownServers, TrustError, forget};
use support::{Home, key, label};

const START: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);

/// Knows the servers `[nvr.lan]:1337`, `[nvr.lan]:1400`, `[::1]:1337` and `[door]:1337`, the cameras `door` and `gate`.
fn home() -> Home {
    let home = Home::new();
    let directory = home.open();
    for (number, address) in (10..).zip([
        "[nvr.lan]:1337",
        "[nvr.lan]:1400",
        "[::1]:1337",
        "[door]:1337",
    ]) {
        KnownServers::new(&directory)
            .remember(address, &key(number), 2)
            .unwrap();
    }
    let mut cameras = KnownCameras::load(directory, START).unwrap();
    cameras.admit_all(START, &[(key(1), label("door")), (key(2), label("gate"))]);
    home
}

#[track_caller]
fn check_server(wanted: &str, address: &str) {
    let home = home();
    let forgotten = forget(&home.open(), wanted).unwrap();
    let address = address.to_owned();
    assert_eq!(
        forgotten,
        Forgotten::Server {
            address: address.clone()
        }
    );
    let directory = home.open();
    let servers = KnownServers::new(&directory);
    assert_eq!(servers.pin(&address).unwrap(), None);
    assert_eq!(servers.list().unwrap().len(), 3);
    let again = forget(&directory, &address).unwrap_err();
    assert!(matches!(again, TrustError::NotFound { .. }), "{again}");
}

#[test]
fn a_server_is_named_as_it_may_be_typed() {
    check_server("[nvr.lan]:1337", "[nvr.lan]:1337");
    check_server("NVR.lan", "[nvr.lan]:1337");
    check_server("nvr.lan:1400", "[nvr.lan]:1400");
    check_server("::1", "[::1]:1337");
    check_server("[::1]", "[::1]:1337");
    check_server("[door]:1337", "[door]:1337");
}

#[track_caller]
fn check_camera(wanted: &str, text: &str, number: u32) {
    let home = home();
    let forgotten = forget(&home.open(), wanted).unwrap();
    let (label, key) = (label(text), key(number));
    assert_eq!(forgotten, Forgotten::Camera { label, key });
    let cameras = KnownCameras::load(home.open(), START).unwrap();
    assert_eq!(cameras.list().len(), 1);
    assert_ne!(cameras.list()[0].key, key);
}

#[test]
fn a_camera_is_named_by_its_label_or_its_fingerprint() {
    check_camera("gate", "gate", 2);
    check_camera(&key(2).fingerprint().to_string(), "gate", 2);
    check_camera(&key(1).fingerprint().to_string(), "door", 1);
}

#[test]
fn what_names_two_things_is_asked_back() {
    let home = home();
    let error = forget(&home.open(), "door").unwrap_err();
    assert!(matches!(error, TrustError::Ambiguous { .. }), "{error}");
    let ways_out = format!("[door]:1337 or {}", key(1).fingerprint());
    assert!(error.to_string().ends_with(&ways_out), "{error}");
    assert_eq!(
        KnownCameras::load(home.open(), START).unwrap().list().len(),
        2
    );
}

#[test]
fn what_names_nothing_is_answered_with_what_there_is() {
    let home = home();
    let other = key(7).fingerprint().to_string();
    for wanted in ["dor", "[nvr.lan]:1", "nvr", "", "a b", "SHA256:", &other] {
        let error = forget(&home.open(), wanted).unwrap_err();
        assert!(
            error.to_string().ends_with(
                "known are: [nvr.lan]:1337, [nvr.lan]:1400, [::1]:1337, [door]:1337, door, gate"
            ),
            "{error}"
        );
    }
    let error = forget(&Home::new().open(), "door").unwrap_err();
    assert!(error.to_string().ends_with("known are: none"), "{error}");
}
