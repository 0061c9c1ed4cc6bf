//! Sealed datagrams: each says its number, as some are lost and others overtake.
//!
//! ```text
//! byte 0      1       2        4                8         16
//!      +------+-------+--------+----------------+---------+-----------------+-----+
//!      | 0x10 | epoch | length | receiver index | counter | sealed messages | tag |
//!      +------+-------+--------+----------------+---------+-----------------+-----+
//! ```
//!
//! `length` is the whole datagram's: Ethernet pads what is short. The first 16 bytes are authenticated.

use std::time::Duration;

use sdvr_frame::Timestamp;

use super::ReplayWindow;
use crate::codec::{Put, Reader};
use crate::epochs::{Chain, SendingKeys, TAG_BYTES, Upcoming};
use crate::error::{Malformed, SessionError};
use crate::keys::{Suite, TrafficKey, TrafficSecret, wipe_stack};

pub(crate) const DATA_TYPE: u8 = 0x10;
pub(crate) const DATA_HEADER_BYTES: usize = 16;
/// What sealing adds to the messages of a datagram.
pub(crate) const DATAGRAM_OVERHEAD_BYTES: usize = DATA_HEADER_BYTES + TAG_BYTES;
/// How long packets of the epoch before may come after the first of the next, at least.
const PREVIOUS_KEPT: Duration = Duration::from_secs(1);

/// The clear but authenticated start of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHeader {
    /// Modulo 256.
    pub epoch: u8,
    /// Of the whole datagram.
    pub length: u16,
    /// Which session of the receiver.
    pub receiver: u32,
    /// The packet's number in its direction and session.
    pub counter: u64,
}

impl DataHeader {
    /// Parses the header of a datagram that may be followed by padding.
    ///
    /// # Errors
    ///
    /// [`Malformed`] when it is no DATA, or shorter than it says.
    pub fn parse(datagram: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(datagram);
        let number = reader.u8()?;
        if number != DATA_TYPE {
            return Err(Malformed::UnexpectedType(number));
        }
        let header = Self {
            epoch: reader.u8()?,
            length: reader.u16()?,
            receiver: reader.u32()?,
            counter: reader.u64()?,
        };
        let length = usize::from(header.length);
        if (DATAGRAM_OVERHEAD_BYTES..=datagram.len()).contains(&length) {
            Ok(header)
        } else {
            Err(Malformed::Length(header.length.into()))
        }
    }

    fn bytes(self) -> [u8; DATA_HEADER_BYTES] {
        let mut bytes = [0; DATA_HEADER_BYTES];
        let (first, counter) = bytes.split_at_mut(8);
        let [a, b] = self.length.to_le_bytes();
        let [c, d, e, f] = self.receiver.to_le_bytes();
        first.copy_from_slice(&[DATA_TYPE, self.epoch, a, b, c, d, e, f]);
        counter.copy_from_slice(&self.counter.to_le_bytes());
        bytes
    }
}

/// Seals one direction's datagrams.
#[derive(Debug)]
pub(crate) struct DatagramSealer {
    pub(crate) keys: SendingKeys,
    receiver: u32,
}

impl DatagramSealer {
    /// Begins with packet 0 of `secret`, in epoch 0, for the session that the other end knows as `receiver`.
    pub(crate) fn new(secret: &TrafficSecret, suite: Suite, receiver: u32) -> Option<Self> {
        let keys = SendingKeys::new(secret, suite)?;
        Some(Self { keys, receiver })
    }

    /// Appends one datagram to `out`, holding what `write` appends; gives its number.
    ///
    /// # Errors
    ///
    /// [`SessionError::KeysUsedUp`], or it would be longer than a datagram can be; `out` is then as before.
    pub(crate) fn seal(
        &mut self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<u64, SessionError> {
        let start = out.len();
        out.put(&[0; DATA_HEADER_BYTES]);
        write(out);
        let sealed = self.seal_in_place(out.get_mut(start..).unwrap_or_default());
        match sealed {
            Ok((counter, tag)) => {
                out.put(&tag);
                Ok(counter)
            }
            Err(error) => {
                out.truncate(start);
                Err(error)
            }
        }
    }

    fn seal_in_place(
        &mut self,
        datagram: &mut [u8],
    ) -> Result<(u64, [u8; TAG_BYTES]), SessionError> {
        let too_long = || SessionError::RecordTooLong(u32::MAX);
        let length = datagram.len().saturating_add(TAG_BYTES);
        let header = DataHeader {
            epoch: self.keys.epoch(),
            length: u16::try_from(length).map_err(|_| too_long())?,
            receiver: self.receiver,
            counter: self.keys.counter(),
        };
        let (place, content) = datagram
            .split_first_chunk_mut::<DATA_HEADER_BYTES>()
            .ok_or_else(too_long)?;
        *place = header.bytes();
        let tag = self.keys.seal(*place, content)?;
        Ok((header.counter, tag))
    }
}

/// Why a datagram was not opened. The session goes on: anybody can send one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejected {
    /// It is no sealed datagram.
    #[error("it is no sealed datagram: {0}")]
    Malformed(#[from] Malformed),
    /// It was opened before, or is too old to tell.
    #[error("it was received before, or comes too late")]
    Replayed,
    /// Its epoch is neither the present one nor one beside it.
    #[error("epoch {0} is not at hand")]
    Epoch(u8),
    /// It was not sealed by the other end, or altered on the way.
    #[error("it is not authentic")]
    NotAuthentic,
}

/// What was in a datagram.
#[derive(Debug)]
pub(crate) struct OpenedDatagram<'a> {
    /// The messages.
    pub(crate) messages: &'a [u8],
    /// Its number.
    pub(crate) counter: u64,
    /// Whether its number is the highest so far: only such a packet may tell that the other end has moved.
    pub(crate) is_newest: bool,
    /// Whether it is the first to arrive of its epoch, other than epoch 0.
    pub(crate) begins_epoch: bool,
}

/// Opens one direction's datagrams.
#[derive(Debug)]
pub(crate) struct DatagramOpener {
    pub(crate) chain: Chain,
    window: ReplayWindow,
    previous: Option<Previous>,
    /// Made when the first packet that claims to be of the next epoch comes, as forging one must not cost more than opening one.
    upcoming: Option<Upcoming>,
}

/// The epoch before the present one, of which packets may still be on their way.
#[derive(Debug)]
struct Previous {
    key: TrafficKey,
    /// When it is forgotten.
    until: Timestamp,
}

impl DatagramOpener {
    /// Begins with packet 0 of `secret`, in epoch 0.
    pub(crate) fn new(secret: &TrafficSecret, suite: Suite) -> Option<Self> {
        Some(Self {
            chain: Chain::new(secret, suite)?,
            window: ReplayWindow::new(),
            previous: None,
            upcoming: None,
        })
    }

    /// One more than the highest number that was opened.
    #[must_use]
    pub(crate) fn end_counter(&self) -> u64 {
        self.window
            .highest()
            .map_or(0, |highest| highest.saturating_add(1))
    }

    /// Opens `datagram`, header included, in place. `round_trip` tells how long packets of the epoch before may be on their way.
    ///
    /// # Errors
    ///
    /// [`Rejected`]; nothing has changed then.
    pub(crate) fn open<'a>(
        &mut self,
        now: Timestamp,
        round_trip: Duration,
        datagram: &'a mut [u8],
    ) -> Result<OpenedDatagram<'a>, Rejected> {
        let header = DataHeader::parse(datagram)?;
        if !self.window.is_new(header.counter) {
            return Err(Rejected::Replayed);
        }
        let datagram = datagram
            .get_mut(..header.length.into())
            .ok_or(Malformed::Short)?;
        let (clear, sealed) = datagram
            .split_first_chunk_mut::<DATA_HEADER_BYTES>()
            .ok_or(Malformed::Short)?;
        let is_newest = header.counter >= self.end_counter();
        let present = self.chain.epoch();
        let mut begins_epoch = false;
        let messages = if header.epoch == present {
            open_with(&mut self.chain.key, header, clear, sealed)?
        } else if header.epoch == present.wrapping_add(1) {
            begins_epoch = true;
            self.open_next(now, round_trip, header, clear, sealed)?
        } else if header.epoch.wrapping_add(1) == present {
            self.open_previous(now, header, clear, sealed)?
        } else {
            return Err(Rejected::Epoch(header.epoch));
        };
        self.window.mark(header.counter);
        Ok(OpenedDatagram {
            messages,
            counter: header.counter,
            is_newest,
            begins_epoch,
        })
    }

    #[cold]
    fn open_next<'a>(
        &mut self,
        now: Timestamp,
        round_trip: Duration,
        header: DataHeader,
        clear: &[u8; DATA_HEADER_BYTES],
        sealed: &'a mut [u8],
    ) -> Result<&'a [u8], Rejected> {
        let mut upcoming = self
            .upcoming
            .take()
            .or_else(|| self.chain.upcoming())
            .ok_or(Rejected::Epoch(header.epoch))?;
        let opened = open_with(&mut upcoming.key, header, clear, sealed);
        match opened {
            Ok(_) => {
                self.previous = Some(Previous {
                    key: self.chain.begin(upcoming),
                    until: now + PREVIOUS_KEPT.max(round_trip.saturating_mul(3)),
                });
                wipe_stack();
            }
            Err(_) => self.upcoming = Some(upcoming),
        }
        opened
    }

    #[cold]
    fn open_previous<'a>(
        &mut self,
        now: Timestamp,
        header: DataHeader,
        clear: &[u8; DATA_HEADER_BYTES],
        sealed: &'a mut [u8],
    ) -> Result<&'a [u8], Rejected> {
        self.forget_previous(now);
        let previous = self
            .previous
            .as_mut()
            .ok_or(Rejected::Epoch(header.epoch))?;
        open_with(&mut previous.key, header, clear, sealed)
    }

    /// Forgets the epoch before when its time is over; call it at [`Self::poll_timeout`].
    pub(crate) fn forget_previous(&mut self, now: Timestamp) {
        if self.poll_timeout() <= now {
            self.previous = None;
            wipe_stack();
        }
    }

    /// When the epoch before is to be forgotten.
    #[must_use]
    pub(crate) fn poll_timeout(&self) -> Timestamp {
        self.previous
            .as_ref()
            .map_or(Timestamp::NEVER, |previous| previous.until)
    }

    /// A handshake has begun: until it is done no other epoch may come.
    pub(crate) fn await_fresh(&mut self) {
        self.upcoming = None;
        self.chain.await_fresh();
    }

    /// A handshake is done: the next epoch begins with its secret.
    pub(crate) fn set_fresh(&mut self, secret: TrafficSecret) {
        self.upcoming = None;
        self.chain.set_fresh(secret);
    }
}

fn open_with<'a>(
    key: &mut TrafficKey,
    header: DataHeader,
    clear: &[u8; DATA_HEADER_BYTES],
    sealed: &'a mut [u8],
) -> Result<&'a [u8], Rejected> {
    key.open(header.counter, clear, sealed)
        .map_err(|_| Rejected::NotAuthentic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_limits::KeyLimits;
    use crate::keys::Direction;

    const NOW: Timestamp = Timestamp::from_nanoseconds(1_000_000_000_000);
    const ROUND_TRIP: Duration = Duration::from_millis(20);
    const RECEIVER: u32 = 0x1234_5678;

    fn ends() -> (DatagramSealer, DatagramOpener) {
        let secret =
            TrafficSecret::new(&[5; 32], Suite::Aes256Gcm, Direction::FromClient, &[6; 32]);
        (
            DatagramSealer::new(&secret, Suite::Aes256Gcm, RECEIVER).unwrap(),
            DatagramOpener::new(&secret, Suite::Aes256Gcm).unwrap(),
        )
    }

    fn seal(sealer: &mut DatagramSealer, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        sealer
            .seal(&mut out, |out| out.extend_from_slice(text))
            .unwrap();
        out
    }

    fn open(
        opener: &mut DatagramOpener,
        now: Timestamp,
        datagram: &[u8],
    ) -> Result<Vec<u8>, Rejected> {
        let mut datagram = datagram.to_vec();
        let opened = opener.open(now, ROUND_TRIP, &mut datagram)?;
        Ok(opened.messages.to_vec())
    }

    /// Goes on to the next epoch, which the other end has confirmed.
    fn next_epoch(sealer: &mut DatagramSealer, now: Timestamp) {
        sealer.keys.confirm(sealer.keys.counter());
        sealer
            .keys
            .renew_if_due(now, &KeyLimits::default())
            .unwrap();
        let due = now + KeyLimits::default().epoch_time;
        let before = sealer.keys.epoch();
        sealer
            .keys
            .renew_if_due(due, &KeyLimits::default())
            .unwrap();
        assert_eq!(sealer.keys.epoch(), before.wrapping_add(1));
    }

    #[test]
    fn what_was_sealed_opens_once_in_any_order() {
        let (mut sealer, mut opener) = ends();
        let sent: Vec<Vec<u8>> = (0..50_u8)
            .map(|number| seal(&mut sealer, &[number; 30]))
            .collect();
        for place in [3, 0, 49, 7, 1, 48] {
            let expected = vec![u8::try_from(place).unwrap(); 30];
            assert_eq!(open(&mut opener, NOW, &sent[place]), Ok(expected));
            assert_eq!(
                open(&mut opener, NOW, &sent[place]),
                Err(Rejected::Replayed)
            );
        }
        assert_eq!(opener.end_counter(), 50);
    }

    #[test]
    fn only_the_highest_number_so_far_is_the_newest() {
        let (mut sealer, mut opener) = ends();
        let sent: Vec<Vec<u8>> = (0..3_u8)
            .map(|number| seal(&mut sealer, &[number]))
            .collect();
        let mut newest = |place: usize| {
            let mut datagram = sent[place].clone();
            opener
                .open(NOW, ROUND_TRIP, &mut datagram)
                .unwrap()
                .is_newest
        };
        assert_eq!([newest(1), newest(0), newest(2)], [true, false, true]);
    }

    #[test]
    fn an_altered_byte_opens_nothing_and_moves_nothing() {
        let (mut sealer, mut opener) = ends();
        let sent = seal(&mut sealer, b"a message");
        for place in 0..sent.len() {
            let mut altered = sent.clone();
            altered[place] ^= 0x40;
            assert!(open(&mut opener, NOW, &altered).is_err(), "byte {place}");
        }
        for length in 0..sent.len() {
            assert!(
                open(&mut opener, NOW, &sent[..length]).is_err(),
                "{length} bytes"
            );
        }
        assert_eq!(opener.end_counter(), 0);
        let mut padded = sent;
        padded.extend_from_slice(&[0; 20]);
        assert_eq!(open(&mut opener, NOW, &padded), Ok(b"a message".to_vec()));
    }

    #[test]
    fn an_epoch_before_opens_for_a_second_after_the_next_has_begun_and_then_is_forgotten() {
        let (mut sealer, mut opener) = ends();
        let old: Vec<Vec<u8>> = (0..3_u8)
            .map(|number| seal(&mut sealer, &[number]))
            .collect();
        assert!(open(&mut opener, NOW, &old[0]).is_ok());
        next_epoch(&mut sealer, NOW);
        let new = seal(&mut sealer, b"new");
        assert_eq!(open(&mut opener, NOW, &new), Ok(b"new".to_vec()));
        assert_eq!(open(&mut opener, NOW, &old[1]), Ok(vec![1]));
        assert_eq!(opener.poll_timeout(), NOW + PREVIOUS_KEPT);
        let over = opener.poll_timeout();
        assert_eq!(open(&mut opener, over, &old[2]), Err(Rejected::Epoch(0)));
        assert_eq!(opener.poll_timeout(), Timestamp::NEVER);
    }

    #[test]
    fn forged_packets_of_the_next_epoch_do_not_begin_it() {
        let (mut sealer, mut opener) = ends();
        let old = seal(&mut sealer, b"old");
        let mut forged = seal(&mut sealer, b"forged");
        forged[1] = 1;
        assert_eq!(open(&mut opener, NOW, &forged), Err(Rejected::NotAuthentic));
        assert_eq!(open(&mut opener, NOW, &old), Ok(b"old".to_vec()));
        next_epoch(&mut sealer, NOW);
        let new = seal(&mut sealer, b"new");
        assert_eq!(open(&mut opener, NOW, &new), Ok(b"new".to_vec()));
        forged[1] = 3;
        assert_eq!(open(&mut opener, NOW, &forged), Err(Rejected::Epoch(3)));
    }

    #[test]
    fn no_epoch_follows_while_a_handshake_goes_on() {
        let (mut sealer, mut opener) = ends();
        let first = seal(&mut sealer, b"first");
        assert!(open(&mut opener, NOW, &first).is_ok());
        next_epoch(&mut sealer, NOW);
        let next = seal(&mut sealer, b"next");
        opener.await_fresh();
        assert_eq!(open(&mut opener, NOW, &next), Err(Rejected::Epoch(1)));
    }
}
