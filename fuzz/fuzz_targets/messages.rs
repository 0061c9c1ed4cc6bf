//! What the other end says once keys are agreed: records altered on the way, and records of a peer that owns its key and breaks the protocol.
//!
//! The first byte chooses who listens (bit 0), whether frames flow already (bit 1), and whether the bytes are records as they come from the
//! network (bit 2) or contents to be sealed: `u16` length and content, again and again.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use sdvr_session::for_tests::{Control, keys_of};
use sdvr_session::{Event, Packet, Session, next_record};

#[path = "../../crates/sdvr-session/tests/support/mod.rs"]
mod support;

use support::{NOW, Seeded, established, streaming};

fuzz_target!(|input: &[u8]| {
    let Some((kind, mut bytes)) = input.split_first() else {
        return;
    };
    if let Ok((control, _)) = Control::parse(bytes) {
        let (mut once, mut again) = (Vec::new(), Vec::new());
        control.write(&mut once);
        let (same, rest) = Control::parse(&once).expect("it was written here");
        same.write(&mut again);
        assert!(rest.is_empty() && once == again, "{control:?}");
    }
    let (mut client, mut server) = if kind & 2 == 0 {
        established(true)
    } else {
        streaming(true)
    };
    let (from, to) = if kind & 1 == 0 {
        (&mut client, &mut server)
    } else {
        (&mut server, &mut client)
    };
    if kind & 4 != 0 {
        hear_from_network(to, bytes);
        return;
    }
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (content, rest) = rest.split_at(length);
        bytes = rest;
        let mut record = Vec::new();
        let (sealer, _) = keys_of(from).unwrap();
        let sealed = sealer.seal(&mut record, content.len(), |out| {
            out.extend_from_slice(content);
        });
        if sealed.is_err() || !hear(to, &mut record) {
            return;
        }
    }
});

fn hear_from_network(to: &mut Session, bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    match next_record(&bytes, to.longest_record_bytes()) {
        Ok(Packet::Complete(length)) => {
            assert!(length <= bytes.len());
            let record = bytes.get_mut(..length).expect("it is complete");
            assert!(!hear(to, record), "a record was forged");
        }
        Ok(Packet::NeedsMore(more)) => assert!(more <= to.longest_record_bytes()),
        Err(_) => {}
    }
}

/// Hands over a record and takes out all that comes of it; whether the session goes on.
fn hear(to: &mut Session, record: &mut [u8]) -> bool {
    // Late enough for a handshake inside the session.
    let now = NOW + Duration::from_secs(5);
    let is_open = match to.handle_record(now, record) {
        Ok(piece) => piece.is_none_or(|piece| !piece.bytes.is_empty()),
        Err(_) => false,
    };
    let mut goes_on = true;
    while let Some(event) = to.poll_event() {
        goes_on &= event != Event::Rekey || to.rekey(now, &mut Seeded(1)).is_ok();
    }
    let mut out = Vec::new();
    goes_on &= to.poll_transmit(now, &mut out).is_ok();
    // An answer may not be much longer than what it answers.
    assert!(out.len() <= 64 * record.len() + 4096, "{} bytes", out.len());
    to.handle_timeout(now);
    is_open && goes_on
}
