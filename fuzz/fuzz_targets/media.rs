//! Pieces of frames of a camera that owns its key, in any order and with any header: only whole frames come out, in order.
//!
//! The input is 13 bytes a piece: frame length, number, offset, length of the piece, capture time and flags, small as a rule so that pieces
//! meet; or, if the first byte is odd, the header as it is, followed by a piece of 5 bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};
use sdvr_session::for_tests::{MediaHeader, keys_of};
use sdvr_session::{MediaFragment, Session};

#[path = "../../crates/sdvr-session/tests/support/mod.rs"]
mod support;

use support::{NOW, streaming};

/// What a consumer has been promised, checked piece by piece.
#[derive(Default)]
struct Promised {
    last: Option<FrameNumber>,
    /// The frame that is not whole yet, and how much of it came.
    begun: Option<(MediaHeader, u64)>,
}

impl Promised {
    fn take(&mut self, piece: &MediaFragment<'_>) {
        let header = piece.header;
        let got = match self.begun.take() {
            None => {
                assert!(self.last.is_none_or(|last| last < header.number));
                assert!(
                    u64::from(header.frame_bytes) <= u64::from(support::stream().frame_kib) << 10
                );
                0
            }
            Some((begun, got)) => {
                assert_eq!(
                    (begun.number, begun.frame_bytes),
                    (header.number, header.frame_bytes)
                );
                assert_eq!(
                    (begun.captured, begun.flags),
                    (header.captured, header.flags)
                );
                got
            }
        };
        assert_eq!(u64::from(header.offset), got);
        let got = got + piece.bytes.len() as u64;
        self.last = Some(header.number);
        if header.is_last {
            assert_eq!(got, u64::from(header.frame_bytes), "a frame with a hole");
        } else {
            assert!(got < u64::from(header.frame_bytes));
            self.begun = Some((header, got));
        }
    }
}

fn header(bytes: &[u8; 13]) -> MediaHeader {
    let [
        length,
        length_high,
        number,
        number_high,
        offset,
        offset_high,
        _,
        time,
        flags,
        stream,
        exact @ ..,
    ] = *bytes;
    let far = |low: u8, high: u8| {
        if high < 250 {
            u32::from(low)
        } else {
            u32::MAX - u32::from(low)
        }
    };
    let flag = |bit: u8, flag| {
        if flags & bit != 0 {
            flag
        } else {
            FrameFlags::NONE
        }
    };
    MediaHeader {
        stream: StreamId(u16::from(stream / 128)),
        frame_bytes: far(length, length_high),
        number: FrameNumber(u64::from(far(number, number_high)) << (exact[0] & 32)),
        captured: Timestamp::from_nanoseconds(i64::from(time / 128)),
        flags: flag(1, FrameFlags::KEY)
            | flag(8, FrameFlags::DISCARDABLE)
            | flag(32, FrameFlags::TRAILER),
        is_first: flags & 2 != 0,
        is_last: flags & 4 != 0,
        is_parity: flags & 16 != 0,
        offset: far(offset, offset_high),
        fragment_bytes: 0,
        since: 0,
    }
}

fn send(
    client: &mut Session,
    server: &mut Session,
    message: &[u8],
    promised: &mut Promised,
) -> bool {
    let mut record = Vec::new();
    let (sealer, _) = keys_of(client).unwrap();
    let sealed = sealer.seal(&mut record, message.len(), |out| {
        out.extend_from_slice(message)
    });
    sealed.expect("the key is new");
    match server.handle_record(NOW, &mut record) {
        Ok(Some(piece)) => promised.take(&piece),
        Ok(None) => {}
        Err(_) => return false,
    }
    true
}

fuzz_target!(|input: &[u8]| {
    let Some((kind, bytes)) = input.split_first() else {
        return;
    };
    if let Ok((header, rest)) = MediaHeader::parse(bytes) {
        let mut again = Vec::new();
        header.write(&mut again);
        assert_eq!(again.as_slice(), &bytes[..bytes.len() - rest.len()]);
    }
    let (mut client, mut server) = streaming(true);
    let mut promised = Promised::default();
    if kind % 2 == 1 {
        bytes
            .chunks(37)
            .all(|message| send(&mut client, &mut server, message, &mut promised));
        return;
    }
    let (pieces, _) = bytes.as_chunks();
    for piece in pieces {
        let mut message = Vec::new();
        header(piece).write(&mut message);
        message.resize(message.len() + usize::from(piece[6]), 0xab);
        if !send(&mut client, &mut server, &message, &mut promised) {
            return;
        }
    }
});
