//! The parsers take any bytes without a panic, and what was written is read back the same.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use sdvr_frame::{PublicKey, Timestamp};
use sdvr_trust::for_tests::{
    parse_key_file, parse_known_cameras, parse_known_servers, parse_old_server_key, parse_revoked,
};
use sdvr_trust::{KnownCameras, KnownServers};
use support::{Home, base64, label};

fn parse_as_everything(content: &[u8]) {
    let path = Path::new("file");
    let _ = parse_key_file(path, content);
    let _ = parse_old_server_key(path, content);
    let _ = parse_known_cameras(path, content);
    let _ = parse_known_servers(path, content);
    let _ = parse_revoked(path, content);
}

/// A valid line of any file, to be damaged.
fn line() -> impl Strategy<Value = String> {
    (any::<[u8; 32]>(), 0..5_u8).prop_map(|(bytes, kind)| {
        let key = base64(&PublicKey(bytes));
        let time = "2026-03-01T12:00:00Z";
        match kind {
            0 => format!("door x25519 {key} added={time} via=tofu a=b\n"),
            1 => format!("[nvr.lan]:1337 x25519 {key} first={time} last={time} ver=2 next=x\n"),
            2 => format!("x25519 {key} {time} stolen\n"),
            3 => format!(
                "sdvr-private-key 2\nx25519 {key}\ncreated {time}\nuntil {time}\nsuccessor {key}\n"
            ),
            _ => format!("sdvr-private-key 1\nx25519 {key}\ncreated {time}\n"),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_parsed_or_refused(content in prop::collection::vec(any::<u8>(), 0..512)) {
        parse_as_everything(&content);
    }

    #[test]
    fn any_damage_is_parsed_or_refused(
        line in line(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut content = line.into_bytes();
        for (place, byte) in damage {
            let place = place.index(content.len());
            content[place] = byte;
        }
        parse_as_everything(&content);
        parse_as_everything(&content[..cut.index(content.len())]);
    }

    #[test]
    fn a_time_is_read_or_refused_and_can_be_written(
        time in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,9})?Z",
    ) {
        let key = base64(&PublicKey([1; 32]));
        let content = format!("door x25519 {key} added={time} via=tofu\n");
        if let Ok(cameras) = parse_known_cameras(Path::new("file"), content.as_bytes()) {
            prop_assert_eq!(cameras[0].added().len(), "2026-03-01T12:00:00Z".len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_remembered_is_read_back(
        cameras in prop::collection::hash_map(
            any::<[u8; 32]>(), "[A-Za-z0-9][A-Za-z0-9._-]{0,62}", 1..8),
        servers in prop::collection::hash_map(
            "\\[[a-z0-9.:%-]{1,40}\\]:[1-9][0-9]{0,3}", any::<[u8; 32]>(), 1..8),
        // Of a later version: none of them has a meaning now.
        fields in prop::collection::vec("x[a-z]{0,7}=[!-~]{0,20}", 0..4),
    ) {
        let home = Home::new();
        let now = Timestamp::from_nanoseconds(0);
        let first = base64(&PublicKey([255; 32]));
        let rest: String = fields.iter().map(|field| format!(" {field}")).collect();
        let line = format!("{} x25519 {first} added=2026-03-01T12:00:00Z via=ask{rest}\n", "x".repeat(60));
        home.write("known_cameras", line.as_bytes());

        let mut known = KnownCameras::load(home.open(), now).unwrap();
        let wanted: Vec<_> = cameras
            .iter()
            .map(|(bytes, text)| (PublicKey(*bytes), label(text)))
            .collect();
        known.admit_all(now, &wanted);
        let again = KnownCameras::load(home.open(), now).unwrap();
        let written = |known: &KnownCameras| -> Vec<_> {
            known
                .list()
                .iter()
                .map(|camera| (camera.key, camera.label.clone(), camera.via().to_owned()))
                .collect()
        };
        prop_assert_eq!(written(&again), written(&known));
        prop_assert!(again.list().len() > 1);
        let text = fs::read_to_string(home.file("known_cameras")).unwrap();
        prop_assert!(text.starts_with(&line));

        let directory = home.open();
        let remembered = KnownServers::new(&directory);
        for (address, bytes) in &servers {
            remembered.remember(address, &PublicKey(*bytes), 2).unwrap();
        }
        for (address, bytes) in &servers {
            prop_assert_eq!(remembered.pin(address).unwrap(), Some(PublicKey(*bytes)));
        }
        prop_assert_eq!(remembered.list().unwrap().len(), servers.len());
    }
}
