//! What the memory of the real programs holds: the keys in use, and none that were left.
//!
//! Nobody tells a test the keys of a session between two programs. It finds them: an AES key that is in use lies in memory beside its fifteen
//! round keys, which no other bytes resemble; the secret of the next epoch is what the next key, seen later, can be derived from; and a
//! library preloaded into both programs writes down the randomness of which ephemeral keys are made.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sdvr_session::Suites;
use sdvr_session::for_tests::hkdf;
use sdvr_tests::memory::{find, writable_memory};
use sdvr_tests::{Running, System};

/// Small frames, so that memory is little and holds no more random bytes than it must.
const SOURCE: &str = "test:?format=BNCH&bytes=2000&fps=25";
/// An epoch a second, a handshake every two.
const KEY_SECONDS: &str = "1,2";
const PICTURES_APART: Duration = Duration::from_millis(300);
/// A handshake that had begun so many pictures before is over, on a busy machine too.
const OVER_AFTER: usize = 4;
const PAGE_BYTES: usize = 4096;
const ROUND_KEYS: usize = 15;
const SCHEDULE_BYTES: usize = 16 * ROUND_KEYS;

type Key = [u8; 32];

/// The memory of a program while it stood still.
struct Picture(Vec<Vec<u8>>);

impl Picture {
    fn take(program: &Running) -> Self {
        program.signal(rustix::process::Signal::STOP);
        let memory = writable_memory(program.id());
        program.signal(rustix::process::Signal::CONT);
        // Most pages were never touched.
        let is_empty = |page: &[u8; PAGE_BYTES]| page.iter().all(|byte| *byte == 0);
        let touched = memory.iter().flat_map(|mapping| {
            let (pages, []) = mapping.as_chunks::<PAGE_BYTES>() else {
                panic!("a mapping is whole pages")
            };
            pages
                .chunk_by(|page, next| is_empty(page) == is_empty(next))
                .filter(|pages| !is_empty(&pages[0]))
                .map(|pages| pages.as_flattened().to_vec())
        });
        Self(touched.collect())
    }

    /// The AES-256 keys whose round keys lie beside them.
    fn keys(&self, aes: &Aes) -> HashSet<Key> {
        let mut keys = HashSet::new();
        for mapping in &self.0 {
            for window in mapping.windows(SCHEDULE_BYTES).step_by(8) {
                if let Some(key) = aes.key_of(window) {
                    keys.insert(key);
                }
            }
        }
        keys
    }

    /// What lies in memory and gives one of `keys` when it is the secret of its epoch.
    fn secrets_of(&self, keys: &HashSet<Key>) -> Vec<Key> {
        let mut secrets = Vec::new();
        for mapping in &self.0 {
            for window in mapping.windows(32).step_by(16) {
                let secret: &Key = window.try_into().unwrap();
                if looks_random(secret) && keys.contains(&*hkdf(secret, &[b"key"])) {
                    secrets.push(*secret);
                }
            }
        }
        secrets
    }

    fn holds(&self, secrets: &[&[u8]]) -> Vec<usize> {
        find(&self.0, secrets.iter().copied())
    }
}

/// Of 32 random bytes, fewer than 24 are different once in millions of times.
fn looks_random(bytes: &Key) -> bool {
    let mut seen = [false; 256];
    for byte in bytes {
        seen[usize::from(*byte)] = true;
    }
    seen.iter().filter(|seen| **seen).count() >= 24
}

/// The key expansion of AES-256 (FIPS 197, section 5.2).
struct Aes {
    sbox: [u8; 256],
}

impl Aes {
    fn new() -> Self {
        // Multiplication by 3 goes through all of the field, by its inverse the other way (FIPS 197, sections 4.2 and 5.1.1).
        let mut sbox = [0x63; 256];
        let (mut power, mut inverse) = (1_u8, 1_u8);
        loop {
            power ^= (power << 1) ^ if power & 0x80 == 0 { 0 } else { 0x1b };
            inverse ^= inverse << 1;
            inverse ^= inverse << 2;
            inverse ^= inverse << 4;
            if inverse & 0x80 != 0 {
                inverse ^= 0x09;
            }
            let rotated = (1..5).fold(inverse, |sum, by| sum ^ inverse.rotate_left(by));
            sbox[usize::from(power)] = rotated ^ 0x63;
            if power == 1 {
                return Self { sbox };
            }
        }
    }

    fn substitute(&self, word: [u8; 4]) -> [u8; 4] {
        word.map(|byte| self.sbox[usize::from(byte)])
    }

    /// Word `number` of an expansion, from the word before it and the one eight before.
    fn word(&self, number: usize, before: [u8; 4], eight_before: [u8; 4]) -> [u8; 4] {
        let mut mixed = before;
        match number % 8 {
            0 => {
                mixed.rotate_left(1);
                mixed = self.substitute(mixed);
                mixed[0] ^= 1 << (number / 8 - 1);
            }
            4 => mixed = self.substitute(mixed),
            _ => {}
        }
        std::array::from_fn(|byte| eight_before[byte] ^ mixed[byte])
    }

    /// The key, if these are the words of its expansion.
    fn key_of(&self, bytes: &[u8]) -> Option<Key> {
        let (words, []) = bytes.as_chunks::<4>() else {
            return None;
        };
        let is_next =
            |number| words[number] == self.word(number, words[number - 1], words[number - 8]);
        (8..words.len())
            .all(is_next)
            .then(|| bytes.first_chunk().copied())?
    }

    /// The key and its other round keys, two of which give the key away.
    fn expand(&self, key: &Key) -> Vec<u8> {
        let mut words = key.as_chunks::<4>().0.to_vec();
        for number in 8..4 * ROUND_KEYS {
            words.push(self.word(number, words[number - 1], words[number - 8]));
        }
        words.concat()
    }
}

/// Compiles what is preloaded, as the programs' own cryptography was compiled.
fn preloaded(folder: &Path) -> PathBuf {
    let library = folder.join("log_randomness.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys/log_randomness.c");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .args([library.as_os_str(), source.as_os_str()])
        .status();
    assert!(status.unwrap().success());
    library
}

fn randomness(log: &Path) -> Vec<Key> {
    let bytes = std::fs::read(log).unwrap_or_default();
    bytes.as_chunks::<32>().0.to_vec()
}

fn private_key(path: &Path) -> Key {
    let content = std::fs::read(path).unwrap();
    *sdvr_trust::for_tests::parse_key_file(path, &content)
        .unwrap()
        .expose()
}

/// Whether keys can be found at all; says so if not.
fn can_look() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("not tested: only root can read the memory of programs that protect it");
    }
    let has_aes = Suites::of_this_machine() == Suites::all(true);
    if !has_aes {
        eprintln!("not tested: without AES in hardware, keys have no round keys to be found by");
    }
    is_root && has_aes
}

/// A program that is looked into again and again.
struct Watched<'a> {
    name: &'static str,
    program: &'a Running,
    long_term_key: Key,
    pictures: Vec<Picture>,
}

impl Watched<'_> {
    /// Looks at what the pictures hold. `over` are the ephemeral keys of handshakes that were over at each of them.
    fn examine(&self, aes: &Aes, over: &[&[Key]]) -> Found {
        let name = self.name;
        let mut found = Found::default();
        for (picture, ephemerals) in self.pictures.iter().zip(over) {
            let in_use = picture.keys(aes);
            assert_eq!(in_use.len(), 2, "{name} has a key for each direction");
            // Who looks finds what is there.
            assert_eq!(picture.holds(&[&self.long_term_key]), [0], "{name}");
            let left: Vec<_> = found.keys.difference(&in_use).collect();
            let left: Vec<_> = left.into_iter().map(|key| aes.expand(key)).collect();
            let left: Vec<&[u8]> = left.iter().map(Vec::as_slice).collect();
            assert!(picture.holds(&left).is_empty(), "{name} holds an old key");
            let ephemerals: Vec<&[u8]> = ephemerals.iter().map(<[u8; 32]>::as_slice).collect();
            let held = picture.holds(&ephemerals);
            assert!(held.is_empty(), "{name} holds an ephemeral key: {held:?}");
            found.keys.extend(&in_use);
            found.in_use.push(in_use);
        }
        let mut begun: HashSet<Key> = HashSet::new();
        for (picture, in_use) in self.pictures.iter().zip(&found.in_use) {
            begun.extend(in_use);
            for secret in picture.secrets_of(&found.keys) {
                let key = *hkdf(&secret, &[b"key"]);
                let is_to_come = !begun.contains(&key);
                assert!(
                    is_to_come,
                    "{name} holds the secret of an epoch that has begun"
                );
                found.of_epochs_to_come.insert(key);
            }
        }
        found
    }
}

/// What was in a program's memory.
#[derive(Default)]
struct Found {
    /// Every key that was in use.
    keys: HashSet<Key>,
    /// Those in use at each picture.
    in_use: Vec<HashSet<Key>>,
    /// Keys whose secrets were there before their epoch.
    of_epochs_to_come: HashSet<Key>,
}

#[test]
fn programs_hold_the_keys_in_use_and_nothing_of_those_that_were_left() {
    if !can_look() {
        return;
    }
    let mut system = System::new();
    let folder = system.home().to_owned();
    let log = folder.join("randomness");
    let library = preloaded(&folder);
    system.set_environment("SDVR_KEY_SECONDS", KEY_SECONDS);
    system.set_environment("SDVR_TEST_RANDOMNESS", log.to_str().unwrap());
    system.set_environment("LD_PRELOAD", library.to_str().unwrap());
    system.start_daemon(&[]);
    let client = system.start_client("cam", SOURCE, &[]);
    system.wait_for_state("cam", "live");
    // What is made from now on is for handshakes.
    let at_first = randomness(&log).len();
    assert!(at_first >= 2, "each end has made an ephemeral key");

    let keys = folder.join(".sdvr");
    let watched = |name, program, key: &str| Watched {
        name,
        program,
        long_term_key: private_key(&keys.join(key)),
        pictures: Vec::new(),
    };
    let daemon = &*system.daemon();
    let mut programs = [
        watched("sdvrc", &client, "cameras/cam.key"),
        watched("sdvrd", daemon, "server.key"),
    ];
    let deadline = Instant::now() + sdvr_tests::PATIENCE;
    let mut made = vec![at_first];
    // Three handshakes, of which both ends have taken part, that were over when the last picture was taken.
    while made.iter().rev().nth(OVER_AFTER) < Some(&(at_first + 6)) {
        for program in &mut programs {
            program.pictures.push(Picture::take(program.program));
        }
        assert!(Instant::now() < deadline, "keys are not renewed");
        std::thread::sleep(PICTURES_APART);
        made.push(randomness(&log).len());
    }
    let ephemerals = randomness(&log);
    let over: Vec<&[Key]> = std::iter::repeat_n(&at_first, OVER_AFTER)
        .chain(&made)
        .map(|made| &ephemerals[at_first..*made])
        .collect();

    let aes = Aes::new();
    let found = programs
        .each_ref()
        .map(|program| program.examine(&aes, &over));
    for (program, found) in programs.iter().zip(&found) {
        let (first, last) = (found.in_use.first().unwrap(), found.in_use.last().unwrap());
        assert!(first.is_disjoint(last), "{} has new keys", program.name);
        // The control: the secret of an epoch to come is there, and found.
        assert!(!found.of_epochs_to_come.is_empty(), "{}", program.name);
        eprintln!(
            "{}: {} pictures, {} keys, the secrets of {} before",
            program.name,
            program.pictures.len(),
            found.keys.len(),
            found.of_epochs_to_come.len()
        );
    }
    let [client, daemon] = found;
    assert!(
        !client.keys.is_disjoint(&daemon.keys),
        "both have the same keys"
    );
}

#[test]
fn keys_are_recognised_by_their_expansion() {
    // FIPS 197, appendix A.3.
    let key: Key = [
        0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77,
        0x81, 0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7, 0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14,
        0xdf, 0xf4,
    ];
    let aes = Aes::new();
    let mut schedule = aes.expand(&key);
    assert_eq!(schedule.len(), SCHEDULE_BYTES);
    assert_eq!(schedule[236..], [0x70, 0x6c, 0x63, 0x1e]);
    assert_eq!(aes.key_of(&schedule), Some(key));
    schedule[100] ^= 1;
    assert_eq!(aes.key_of(&schedule), None);
}
