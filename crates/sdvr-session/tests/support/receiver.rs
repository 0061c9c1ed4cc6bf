//! What a driver does with bytes that arrive.

use sdvr_frame::Timestamp;
use sdvr_session::{Packet, Session, next_record};

/// A frame that came out whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrived {
    pub(crate) number: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) missed: u64,
}

/// Cuts a byte stream into records and puts frames together, as a driver does.
#[derive(Default)]
pub(crate) struct Receiver {
    pub(crate) buffer: Vec<u8>,
    pub(crate) frame: Vec<u8>,
    pub(crate) frame_missed: u64,
    pub(crate) arrived: Vec<Arrived>,
    pub(crate) media_times: Vec<Timestamp>,
}

impl Receiver {
    pub(crate) fn take_in(&mut self, session: &mut Session, now: Timestamp, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        while let Packet::Complete(length) =
            next_record(&self.buffer, session.longest_record_bytes()).unwrap()
        {
            let mut record: Vec<u8> = self.buffer.drain(..length).collect();
            let Some(piece) = session.handle_record(now, &mut record).unwrap() else {
                return;
            };
            self.media_times.push(now);
            if piece.header.is_first {
                self.frame.clear();
                self.frame_missed = piece.missed;
            } else {
                assert_eq!(piece.missed, 0, "a gap is told once");
            }
            assert_eq!(piece.header.offset as usize, self.frame.len());
            self.frame.extend_from_slice(piece.bytes);
            if piece.header.is_last {
                self.arrived.push(Arrived {
                    number: piece.header.number.0,
                    bytes: std::mem::take(&mut self.frame),
                    missed: self.frame_missed,
                });
            }
        }
    }

    /// Whether more records are waiting: the driver lets events be handled between two of them.
    pub(crate) fn has_more(&self, session: &Session) -> bool {
        matches!(
            next_record(&self.buffer, session.longest_record_bytes()),
            Ok(Packet::Complete(_))
        )
    }
}
