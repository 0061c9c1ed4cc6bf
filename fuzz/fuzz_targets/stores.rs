//! The files of keys: whatever stands in them is refused, or read and written back the same.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use sdvr_trust::for_tests::{
    format_known_cameras, format_known_servers, format_pending, parse_key_file,
    parse_known_cameras, parse_known_servers, parse_old_server_key, parse_pending, parse_revoked,
};

fuzz_target!(|input: &[u8]| {
    let Some((kind, content)) = input.split_first() else {
        return;
    };
    let path = Path::new("file");
    let error = match kind % 6 {
        0 => match parse_known_servers(path, content) {
            // Only remarks, which the formatter does not keep, and an empty file is refused.
            Ok(servers) if servers.is_empty() => return,
            Ok(servers) => {
                let text = format_known_servers(&servers);
                let again =
                    parse_known_servers(path, text.as_bytes()).expect("it was written here");
                assert_eq!(format_known_servers(&again), text);
                assert_eq!(again.len(), servers.len());
                return;
            }
            Err(error) => error,
        },
        1 => match parse_known_cameras(path, content) {
            Ok(cameras) if cameras.is_empty() => return,
            Ok(cameras) => {
                let text = format_known_cameras(&cameras);
                let again =
                    parse_known_cameras(path, text.as_bytes()).expect("it was written here");
                assert_eq!(format_known_cameras(&again), text);
                let whom = |cameras: &[sdvr_trust::KnownCamera]| -> Vec<_> {
                    cameras
                        .iter()
                        .map(|camera| (camera.key, camera.label.clone()))
                        .collect()
                };
                assert_eq!(whom(&again), whom(&cameras));
                return;
            }
            Err(error) => error,
        },
        2 => match parse_key_file(path, content) {
            Ok(key) => {
                assert_ne!(key.public_key().0, [0; 32], "a key that anybody has");
                return;
            }
            Err(error) => error,
        },
        4 => match parse_pending(path, content) {
            Ok(pending) if pending.is_empty() => return,
            Ok(pending) => {
                let text = format_pending(&pending);
                let again = parse_pending(path, text.as_bytes()).expect("it was written here");
                assert_eq!(again, pending);
                return;
            }
            Err(error) => error,
        },
        5 => match parse_old_server_key(path, content) {
            Ok(_) => return,
            Err(error) => error,
        },
        _ => match parse_revoked(path, content) {
            Ok(_) => return,
            Err(error) => error,
        },
    };
    // What people are told must not be what a terminal obeys.
    let text = error.to_string();
    assert!(
        !text.contains(|character: char| character.is_control() && character != '\n'),
        "{text:?}"
    );
});
