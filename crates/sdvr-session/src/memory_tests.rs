//! Keys are not in memory any more when they are not in use any more: a child process streams and renews its keys, this one
//! does the same, knows by it every secret that there was, and looks for them in the child.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use sdvr_frame::Timestamp;

use crate::{Event, KeyLimits, Session};

#[path = "../tests/support/mod.rs"]
mod support;

#[path = "../tests/support/memory.rs"]
mod memory;

use memory::{find, writable_memory};
use support::{NOW, Seeded, deliver_at, exchange_at, payload, seal_frame, streaming};

/// A secret that was computed, and what it was.
type Note = (&'static str, [u8; 32]);

thread_local! {
    static NOTES: RefCell<Option<Vec<Note>>> = const { RefCell::new(None) };
}

/// Remembers a secret, in the process that looks for it and in no other.
pub(crate) fn note(what: &'static str, secret: &[u8; 32]) {
    NOTES.with_borrow_mut(|notes| {
        if let Some(notes) = notes {
            notes.push((what, *secret));
        }
    });
}

const ROUNDS: u64 = 40;
const KEY: &str = "a key";

/// Streams until many epochs and two handshakes have gone by. Both directions begin an epoch in each round.
fn stream(aes: bool) -> (Session, Session) {
    let (mut client, mut server) = streaming(aes);
    let mut random = Seeded(20_264);
    let mut handshakes = 0;
    let mut now = NOW;
    for number in 0..ROUNDS {
        now = now + KeyLimits::default().epoch_time;
        handshakes += rekey_if_due(&mut client, &mut server, now, &mut random);
        let payload = payload(number, 100_000);
        let mut wire = seal_frame(&mut client, now, number, &payload);
        assert_eq!(deliver_at(now, &mut server, &mut wire), payload);
        exchange_at(now, &mut server, &mut client);
        exchange_at(now, &mut client, &mut server);
        while server.poll_event().is_some() || client.poll_event().is_some() {}
    }
    assert_eq!(handshakes, 2);
    (client, server)
}

fn rekey_if_due(
    client: &mut Session,
    server: &mut Session,
    now: Timestamp,
    random: &mut Seeded,
) -> u32 {
    client.handle_timeout(now);
    if client.poll_event() != Some(Event::Rekey) {
        return 0;
    }
    client.rekey(now, random).unwrap();
    exchange_at(now, client, server);
    assert_eq!(server.poll_event(), Some(Event::Rekey));
    server.rekey(now, random).unwrap();
    exchange_at(now, server, client);
    1
}

#[test]
#[ignore = "the child of the test below"]
fn child() {
    let Ok(suite) = std::env::var("SDVR_MEMORY_CHILD") else {
        return;
    };
    let sessions = stream(suite == "aes");
    println!("\nready");
    // Until the parent has looked.
    let _ = std::io::stdin().read(&mut [0]);
    drop(sessions);
}

/// A child that has streamed and waits.
struct Streamed {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Streamed {
    fn start(suite: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "memory_tests::child", "--ignored", "--nocapture"])
            .env("SDVR_MEMORY_CHILD", suite)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while line != "ready\n" {
            line.clear();
            let bytes = output.read_line(&mut line).unwrap();
            assert!(bytes > 0, "the child has ended");
        }
        Self {
            process: child,
            output,
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.output.read_to_end(&mut Vec::new()).unwrap();
        self.process.wait().unwrap();
    }
}

fn check(suite: &str) {
    NOTES.set(Some(Vec::new()));
    let sessions = stream(suite == "aes");
    let notes = NOTES.take().unwrap();
    drop(sessions);
    let mut current: Vec<[u8; 32]> = Vec::new();
    let keys = notes.iter().rev().filter(|(what, _)| *what == KEY);
    for (_, key) in keys {
        if !current.contains(key) {
            current.push(*key);
        }
    }
    assert!(current.len() > 60, "{} keys", current.len());
    current.truncate(2);
    let count = |name| notes.iter().filter(|(what, _)| *what == name).count();
    // Two ends, three handshakes; four Diffie-Hellman steps in each.
    assert_eq!(count("an ephemeral"), 6);
    assert_eq!(count("a chaining key"), 24);

    let streamed = Streamed::start(suite);
    let memory = writable_memory(streamed.process.id());
    drop(streamed);
    let found = find(&memory, notes.iter().map(|(_, secret)| secret.as_slice()));
    let (in_use, left): (Vec<usize>, Vec<usize>) = found
        .into_iter()
        .partition(|&number| current.contains(&notes[number].1));
    let left: Vec<_> = left
        .iter()
        .map(|&number| (number, notes[number].0))
        .collect();
    // The control: whoever looks finds what is there.
    assert_eq!(in_use.len(), 2, "the keys in use are found");
    assert_eq!(left, [], "of {}", notes.len());
}

#[test]
fn memory_holds_no_secret_of_a_handshake_and_no_key_of_an_epoch_that_was_left_under_aes() {
    check("aes");
}

#[test]
fn memory_holds_no_secret_of_a_handshake_and_no_key_of_an_epoch_that_was_left_under_chacha() {
    check("chacha");
}
