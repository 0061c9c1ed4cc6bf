//! A server is remembered by the address that was typed; another key at that address is refused in words that are frozen here.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use sdvr_trust::{KeyDirectory, KnownServers, ServerDecision, TrustError};
use support::{Home, base64, chmod, key};

const ADDRESS: &str = "[nvr.lan]:1337";

fn line(address: &str, number: u32, last: &str, rest: &str) -> String {
    let key = base64(&key(number));
    format!("{address} x25519 {key} first=2026-03-01T12:00:00Z last={last} ver=2{rest}\n")
}

#[test]
fn an_unknown_server_is_a_first_contact_until_it_is_remembered() {
    let home = Home::new();
    let directory = home.open();
    let servers = KnownServers::new(&directory);
    let decide = |number| servers.decide(ADDRESS, &key(number), 2, None).unwrap();
    assert!(matches!(decide(1), ServerDecision::FirstContact));
    assert!(servers.list().unwrap().is_empty());
    assert!(
        !home.file("known_servers").exists(),
        "deciding remembers nothing"
    );
    servers.remember(ADDRESS, &key(1), 2).unwrap();
    assert!(matches!(decide(1), ServerDecision::Known));
    assert!(matches!(decide(2), ServerDecision::Mismatch(_)));
    assert_eq!(servers.pin(ADDRESS).unwrap(), Some(key(1)));
    // Another port is another server.
    assert_eq!(servers.pin("[nvr.lan]:1338").unwrap(), None);
    assert!(matches!(
        servers.decide("[nvr.lan]:1338", &key(2), 2, None).unwrap(),
        ServerDecision::FirstContact
    ));
}

#[test]
fn an_older_protocol_than_before_is_refused() {
    let home = Home::new();
    let directory = home.open();
    let servers = KnownServers::new(&directory);
    servers.remember(ADDRESS, &key(1), 3).unwrap();
    let decide = |version| servers.decide(ADDRESS, &key(1), version, None).unwrap();
    assert!(matches!(
        decide(2),
        ServerDecision::OlderVersion { known: 3 }
    ));
    assert!(matches!(decide(3), ServerDecision::Known));
    assert!(matches!(decide(4), ServerDecision::Known));
    // What is remembered is the highest.
    servers.remember(ADDRESS, &key(1), 4).unwrap();
    servers.remember(ADDRESS, &key(1), 2).unwrap();
    assert!(matches!(
        decide(3),
        ServerDecision::OlderVersion { known: 4 }
    ));
}

#[test]
fn a_key_given_by_the_user_is_the_only_one() {
    let home = Home::new();
    let directory = home.open();
    let servers = KnownServers::new(&directory);
    let given = Some(key(1).fingerprint());
    assert!(matches!(
        servers.decide(ADDRESS, &key(1), 2, given).unwrap(),
        ServerDecision::FirstContact
    ));
    let ServerDecision::Mismatch(mismatch) = servers.decide(ADDRESS, &key(2), 2, given).unwrap()
    else {
        panic!("another key than the one given was taken");
    };
    assert_eq!(
        mismatch.to_string(),
        format!(
            "@@@ SDVR: THE SERVER AT [nvr.lan]:1337 HAS A DIFFERENT KEY @@@\n\
             Expected {}  (given with --server-key)\n\
             Offered  {}\n\
             Someone may be intercepting this camera, or the server was reinstalled.\n\
             Nothing was sent. No video will flow until you act:\n  \
             on the server:  sdvr keys fingerprint        (compare with \"Offered\")\n  \
             if it matches:  give that fingerprint with --server-key",
            key(1).fingerprint(),
            key(2).fingerprint()
        )
    );
    // It does not overrule what is remembered.
    servers.remember(ADDRESS, &key(2), 2).unwrap();
    assert!(matches!(
        servers.decide(ADDRESS, &key(1), 2, given).unwrap(),
        ServerDecision::Mismatch(_)
    ));
}

#[test]
fn the_refusal_has_the_words_of_the_design() {
    let home = Home::new();
    home.write(
        "known_servers",
        [
            "# mine\n",
            "\n",
            &line("[other]:1", 5, "2026-03-01T12:00:00Z", ""),
            &line(ADDRESS, 1, "2026-03-01T12:00:00Z", ""),
        ]
        .concat()
        .as_bytes(),
    );
    // In a child: its HOME is where the directory is, and changing our own would race with other tests.
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "print_mismatch", "--ignored", "--nocapture"])
        .env("HOME", home.path.parent().unwrap())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let expected = "\
@@@ SDVR: THE SERVER AT [nvr.lan]:1337 HAS A DIFFERENT KEY @@@
Expected SHA256:EXPECTED  (first seen 2026-03-01, ~/.sdvr/known_servers:4)
Offered  SHA256:OFFERED
Someone may be intercepting this camera, or the server was reinstalled.
Nothing was sent. No video will flow until you act:
  on the server:  sdvr keys fingerprint        (compare with \"Offered\")
  if it matches:  sdvr keys forget [nvr.lan]:1337
"
    .replace("SHA256:EXPECTED", &key(1).fingerprint().to_string())
    .replace("SHA256:OFFERED", &key(2).fingerprint().to_string());
    assert!(printed.contains(&expected), "{printed}");
}

#[test]
#[ignore = "run by the_refusal_has_the_words_of_the_design"]
fn print_mismatch() {
    let path = sdvr_trust::default_path().unwrap();
    let directory = KeyDirectory::open(&path).unwrap();
    let decision = KnownServers::new(&directory)
        .decide(ADDRESS, &key(2), 2, None)
        .unwrap();
    let ServerDecision::Mismatch(mismatch) = decision else {
        panic!("{decision:?}");
    };
    println!("\n{mismatch}");
}

#[test]
fn another_key_never_replaces_the_one_that_is_remembered() {
    let home = Home::new();
    let directory = home.open();
    let servers = KnownServers::new(&directory);
    servers.remember(ADDRESS, &key(1), 2).unwrap();
    let before = fs::read(home.file("known_servers")).unwrap();
    let error = servers.remember(ADDRESS, &key(2), 2).unwrap_err();
    assert!(
        matches!(&error, TrustError::OtherKey { address, line: 1, .. } if address == ADDRESS),
        "{error}"
    );
    assert_eq!(fs::read(home.file("known_servers")).unwrap(), before);
}

#[test]
fn seeing_a_server_again_is_written_once_a_day() {
    let home = Home::new();
    let directory = home.open();
    let servers = KnownServers::new(&directory);
    let path = home.file("known_servers");
    servers.remember(ADDRESS, &key(1), 2).unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    for _ in 0..10 {
        servers.remember(ADDRESS, &key(1), 2).unwrap();
    }
    assert_eq!(fs::metadata(&path).unwrap().ino(), inode);

    let old = line(ADDRESS, 1, "2026-03-02T12:00:00Z", "");
    home.write("known_servers", old.as_bytes());
    servers.remember(ADDRESS, &key(1), 2).unwrap();
    let [server] = <[_; 1]>::try_from(servers.list().unwrap()).unwrap();
    assert_eq!(server.first_seen(), "2026-03-01T12:00:00Z");
    assert_ne!(server.last_seen(), "2026-03-02T12:00:00Z");
}

#[test]
fn fields_of_later_versions_are_kept() {
    let home = Home::new();
    let directory = home.open();
    let servers = KnownServers::new(&directory);
    let next = base64(&key(9));
    let fields = format!(" next={next} note=a=b");
    let old = line(ADDRESS, 1, "2026-03-02T12:00:00Z", &fields);
    home.write("known_servers", old.as_bytes());
    servers.remember(ADDRESS, &key(1), 2).unwrap();
    servers.remember("[b]:1", &key(2), 2).unwrap();
    let text = fs::read_to_string(home.file("known_servers")).unwrap();
    let first = text.lines().next().unwrap();
    assert!(first.ends_with(&format!(" ver=2{fields}")), "{text}");
    assert_eq!(text.lines().count(), 2);
}

#[test]
fn what_is_no_address_is_not_written() {
    let home = Home::new();
    let directory = home.open();
    let servers = KnownServers::new(&directory);
    servers.remember(ADDRESS, &key(1), 2).unwrap();
    for wrong in [
        "",
        "nvr.lan:1337",
        "[nvr.lan]",
        "[nvr lan]:1337",
        "[]:1337",
        "[a]:65536",
        "[a]:+1",
        "[a]:1\n[b]:1",
        "[a\u{1b}[2J]:1",
    ] {
        let error = servers.remember(wrong, &key(2), 2).unwrap_err();
        assert!(matches!(error, TrustError::Address { .. }), "{wrong:?}");
    }
    assert_eq!(servers.list().unwrap().len(), 1);
    for right in ["[::1]:1337", "[fe80::1%eth0]:1", "[192.0.2.1]:65535"] {
        servers.remember(right, &key(2), 2).unwrap();
        assert_eq!(servers.pin(right).unwrap(), Some(key(2)));
    }
}

#[test]
fn forgetting_takes_one_server() {
    let home = Home::new();
    let directory = home.open();
    let servers = KnownServers::new(&directory);
    servers.remember(ADDRESS, &key(1), 2).unwrap();
    servers.remember("[b]:1", &key(2), 2).unwrap();
    assert!(!servers.forget("[c]:1").unwrap());
    assert!(servers.forget(ADDRESS).unwrap());
    assert!(!servers.forget(ADDRESS).unwrap());
    assert_eq!(servers.pin("[b]:1").unwrap(), Some(key(2)));
    assert!(matches!(
        servers.decide(ADDRESS, &key(9), 2, None).unwrap(),
        ServerDecision::FirstContact
    ));
}

#[test]
fn what_cannot_be_read_is_not_taken_for_nothing() {
    let home = Home::new();
    let directory = home.open();
    let servers = KnownServers::new(&directory);
    let good = line(ADDRESS, 1, "2026-03-01T12:00:00Z", "");
    let refuses_everything = |what: &str| {
        for number in [1, 2] {
            assert!(
                servers.decide(ADDRESS, &key(number), 2, None).is_err(),
                "{what:?}"
            );
            assert!(
                servers.remember("[new]:1", &key(number), 2).is_err(),
                "{what:?}"
            );
        }
        assert!(servers.forget(ADDRESS).is_err(), "{what:?}");
    };
    // Torn at every byte, but for the two ends of a line.
    for length in 1..good.len() {
        home.write("known_servers", &good.as_bytes()[..length]);
        refuses_everything(&good[..length]);
    }
    let wrong = [
        good.replace('\n', "\r\n"),
        good.replace(" x25519", "  x25519"),
        good.replace(" x25519", "\tx25519"),
        good.replace(" ver=2", " ver=2 "),
        good.replace(" ver=2", " ver=2 more"),
        good.replace(" ver=2", " ver=256"),
        good.replace(" ver=2", " ver=2 told="),
        good.replace(" ver=2", &format!(" ver=2 told={},", base64(&key(3)))),
        good.replace(
            " ver=2",
            &format!(" ver=2 told={0} told={0}", base64(&key(3))),
        ),
        good.replace(" ver=2", " ver=2 a=\0"),
        good.replace(" ver=2", " ver=2 =a"),
        good.replace("first=", "last="),
        good.replace("x25519", "x448"),
        format!(" {good}"),
        format!("{good}{good}"),
        format!("{good}garbage\n"),
    ];
    for wrong in wrong {
        home.write("known_servers", wrong.as_bytes());
        refuses_everything(&wrong);
        assert_eq!(
            fs::read_to_string(home.file("known_servers")).unwrap(),
            wrong,
            "it must not be replaced"
        );
    }
    home.write("known_servers", good.as_bytes());
    chmod(&home.file("known_servers"), 0o644);
    refuses_everything("mode");
    fs::remove_file(home.file("known_servers")).unwrap();
    std::os::unix::fs::symlink("nothing", home.file("known_servers")).unwrap();
    refuses_everything("link");
}

#[test]
fn an_error_names_the_file_and_the_line() {
    let home = Home::new();
    let good = line(ADDRESS, 1, "2026-03-01T12:00:00Z", "");
    home.write("known_servers", format!("# one\n{good}\nbad\n").as_bytes());
    let directory = home.open();
    let error = KnownServers::new(&directory).list().unwrap_err();
    let place = format!("{}:4: ", home.file("known_servers").display());
    assert!(error.to_string().starts_with(&place), "{error}");
}
