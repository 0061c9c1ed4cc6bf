//! What the parsers take, they take in one form only: written again, it is the same to the byte.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::path::Path;

use data_encoding::BASE64;
use proptest::prelude::*;
use sdvr_trust::for_tests::{
    format_known_cameras, format_known_servers, parse_known_cameras, parse_known_servers,
};

const TIME: &str =
    "20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|2[0-8])T(0[0-9]|1[0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z";

fn key() -> impl Strategy<Value = String> {
    any::<[u8; 32]>().prop_map(|key| BASE64.encode(&key))
}

fn camera() -> impl Strategy<Value = String> {
    (
        "[A-Za-z0-9][A-Za-z0-9._-]{0,62}",
        key(),
        TIME,
        "tofu|ask|manual",
    )
        .prop_map(|(label, key, added, via)| {
            format!("{label} x25519 {key} added={added} via={via}\n")
        })
}

fn server() -> impl Strategy<Value = String> {
    let address = "\\[[a-z0-9.:%_-]{1,255}\\]:[1-9][0-9]{0,3}|eth:[0-9a-f]{2}(:[0-9a-f]{2}){5}";
    // One of them: there is one order, and damage may make the first a field that is kept behind the second.
    let next = key().prop_map(|key| format!(" next={key}"));
    let told =
        prop::collection::vec(key(), 1..4).prop_map(|keys| format!(" told={}", keys.join(",")));
    let rest = prop_oneof![Just(String::new()), next, told];
    (address, key(), TIME, TIME, 1..=u8::MAX, rest).prop_map(
        |(address, key, first, last, version, rest)| {
            format!("{address} x25519 {key} first={first} last={last} ver={version}{rest}\n")
        },
    )
}

/// The text of distinct lines with a byte changed, or not.
fn damaged(text: String, damage: Option<(prop::sample::Index, u8)>) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    if let Some((place, byte)) = damage {
        let place = place.index(bytes.len());
        // At the start it would be an empty line, which is the user's, before a line that may be good.
        if (place, byte) != (0, b'\n') {
            bytes[place] = byte;
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn good_cameras_are_taken_and_every_taken_text_has_one_form(
        line in camera(),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let is_good = damage.is_none();
        let content = damaged(line, damage);
        match parse_known_cameras(Path::new("file"), &content) {
            Ok(cameras) if !cameras.is_empty() => {
                prop_assert_eq!(format_known_cameras(&cameras).into_bytes(), content);
            }
            Ok(_) => prop_assert!(content.starts_with(b"#")),
            Err(error) => prop_assert!(!is_good, "{}", error),
        }
    }

    #[test]
    fn good_servers_are_taken_and_every_taken_text_has_one_form(
        line in server(),
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let is_good = damage.is_none();
        let content = damaged(line, damage);
        match parse_known_servers(Path::new("file"), &content) {
            Ok(servers) if !servers.is_empty() => {
                prop_assert_eq!(format_known_servers(&servers).into_bytes(), content);
            }
            Ok(_) => prop_assert!(content.starts_with(b"#")),
            Err(error) => prop_assert!(!is_good, "{}", error),
        }
    }
}
