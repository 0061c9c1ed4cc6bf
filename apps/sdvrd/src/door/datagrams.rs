//! Handshakes over datagrams: a HELLO leaves nothing here, and an HS1 a place in a list, until its sender has introduced itself to its shard.

use std::collections::HashMap;
use std::sync::Arc;

use rand_core::CryptoRng;
use sdvr_frame::{LinkAddress, Timestamp};
use sdvr_session::{HELLO_REPLY_BYTES, PacketType, Site, SourceAddress};
use sdvr_transport::{DatagramBuffer, DatagramSocket};
use tracing::warn;

use super::deciding::{Introduction, Place};
use super::report::Matter;
use super::strangers::{Stranger, Strangers};
use super::{Door, FIRST_SOCKET, Running};
use crate::knock::TurnedAway;
use crate::peer::Peer;
use crate::shard::{Decision, Introduced, Newcomer, ToShard};

/// Batches taken of one socket in one turn, so that connections get theirs.
const BATCHES_MOST: u32 = 4;
/// Those who have shaken hands and not introduced themselves, at once. Each is a session at a shard, and takes 4 KiB: all strangers together
/// must not take more than 16 MiB.
const GUESTS_MOST: usize = 3072;

/// Where datagrams come from that begin sessions, and whose senders are not let in yet.
pub(super) struct DatagramDoor {
    /// One for each medium.
    sockets: Vec<Arc<DatagramSocket>>,
    buffer: DatagramBuffer,
    guests: Strangers<Guest>,
    /// By where they are.
    by_address: HashMap<LinkAddress, u64>,
    /// By the index of their session.
    by_index: HashMap<u32, u64>,
    /// How many there are of each shard.
    per_shard: HashMap<usize, usize>,
}

/// Somebody who has shaken hands.
#[derive(Debug)]
struct Guest {
    since: Timestamp,
    site: Site,
    address: LinkAddress,
    index: u32,
    /// What it said and what was answered: it says the same again when the answer was lost.
    initiation: Box<[u8]>,
    response: Box<[u8]>,
}

/// The shard that has the session of an index.
pub(super) fn shard_of(index: u32) -> usize {
    let [shard, ..] = index.to_le_bytes();
    shard.into()
}

impl Stranger for Guest {
    fn site(&self) -> Site {
        self.site
    }

    fn since(&self) -> Timestamp {
        self.since
    }
}

impl DatagramDoor {
    pub(super) fn new(sockets: Vec<Arc<DatagramSocket>>) -> Self {
        Self {
            sockets,
            buffer: DatagramBuffer::default(),
            guests: Strangers::new(),
            by_address: HashMap::new(),
            by_index: HashMap::new(),
            per_shard: HashMap::new(),
        }
    }

    pub(super) fn has_guests(&self) -> bool {
        self.guests.len() > 0
    }

    /// How many have their session at this shard.
    pub(super) fn guests_of(&self, shard: usize) -> usize {
        self.per_shard.get(&shard).copied().unwrap_or(0)
    }

    /// The answer to who says again what it has said already.
    fn answer_again(&mut self, from: LinkAddress, initiation: &[u8]) -> Option<&[u8]> {
        let guest = self.guests.get_mut(*self.by_address.get(&from)?)?;
        (*guest.initiation == *initiation).then_some(&*guest.response)
    }

    fn insert(&mut self, guest: Guest) {
        let (address, index) = (guest.address, guest.index);
        let token = self.guests.insert(guest);
        self.by_address.insert(address, token);
        self.by_index.insert(index, token);
        *self.per_shard.entry(shard_of(index)).or_default() += 1;
    }

    fn remove(&mut self, token: u64) -> Option<Guest> {
        let guest = self.guests.remove(token)?;
        self.by_index.remove(&guest.index);
        if let Some(count) = self.per_shard.get_mut(&shard_of(guest.index)) {
            *count = count.saturating_sub(1);
        }
        if self.by_address.get(&guest.address) == Some(&token) {
            self.by_address.remove(&guest.address);
        }
        Some(guest)
    }
}

impl<R: CryptoRng> Running<R> {
    /// Takes what has come by a socket.
    pub(super) fn handle_socket(&mut self, now: Timestamp, token: u64) -> std::io::Result<()> {
        let medium = usize::try_from(token - FIRST_SOCKET).unwrap_or(usize::MAX);
        let Some(socket) = self.datagrams.sockets.get(medium).map(Arc::clone) else {
            return Ok(());
        };
        let mut buffer = std::mem::take(&mut self.datagrams.buffer);
        let mut result = Ok(());
        for _ in 0..BATCHES_MOST {
            let received = socket.receive(&mut buffer, |from, packet| {
                self.handle_packet(now, medium, &socket, from, packet);
            });
            if !matches!(received, Ok(1..)) {
                result = received.map(drop);
                break;
            }
        }
        self.datagrams.buffer = buffer;
        result
    }

    fn handle_packet(
        &mut self,
        now: Timestamp,
        medium: usize,
        socket: &DatagramSocket,
        from: LinkAddress,
        packet: &[u8],
    ) {
        let answer = |bytes: &[u8]| {
            // One that the kernel does not take is lost, as it may be on the link, too: the client asks again.
            let _ = socket.send(from, bytes, bytes.len());
        };
        let result = match PacketType::of(packet) {
            Some(PacketType::Hello) => {
                let result = self.reply_to_hello(now, medium, from, packet);
                result.map(|reply| answer(&reply))
            }
            Some(PacketType::Initiation) => {
                if let Some(response) = self.datagrams.answer_again(from, packet) {
                    answer(response);
                    return;
                }
                self.shake_hands(now, medium, from, packet)
                    .map(|response| answer(&response))
            }
            // A datagram of a session that has come to the wrong socket is lost, as it may be on the link.
            _ => return,
        };
        if let Err(reason) = result {
            self.tell_turned_away(from, &reason);
        }
    }

    /// The answer to a HELLO, unless too many are answered already.
    fn reply_to_hello(
        &mut self,
        now: Timestamp,
        medium: usize,
        from: LinkAddress,
        packet: &[u8],
    ) -> Result<[u8; HELLO_REPLY_BYTES], TurnedAway> {
        let source = SourceAddress::from(from);
        if !self.hellos.take(now, medium, source.site()) {
            return Err(TurnedAway::Unanswered);
        }
        let Door {
            handshake, random, ..
        } = &mut self.door;
        Ok(handshake.handle_hello(now, &source, packet, None, random)?)
    }

    fn tell_turned_away(&mut self, from: LinkAddress, reason: &TurnedAway) {
        self.door.counters.count_turned_away(reason);
        match reason {
            TurnedAway::Unanswered => self.leave_unanswered(),
            TurnedAway::Unknown(_) => {
                if self.report.gets_line(Matter::Refused) {
                    warn!(peer = %from, "camera refused: {reason}");
                }
            }
            _ => {
                self.report.gets_line(Matter::Stranger);
                tracing::debug!(peer = %from, %reason, "turned away");
            }
        }
    }

    /// Answers an HS1: its sender has a session from now on, at a shard.
    fn shake_hands(
        &mut self,
        now: Timestamp,
        medium: usize,
        from: LinkAddress,
        packet: &[u8],
    ) -> Result<Box<[u8]>, TurnedAway> {
        let source = SourceAddress::from(from);
        let initiation = self
            .door
            .handshake
            .handle_initiation(now, &source, packet)?;
        let key = initiation.client_key();
        if self.door.known.refuses_unheard(&key) {
            return Err(TurnedAway::Unknown(key.fingerprint()));
        }
        while let Some(token) = self
            .datagrams
            .guests
            .one_too_many(source.site(), GUESTS_MOST)
        {
            self.forget_guest(token, &TurnedAway::Crowded);
        }
        let shard = self.shard_for(&key);
        let index = self.new_index(shard);
        let (session, response) = initiation.accept_datagrams(now, index, &mut self.door.random)?;
        let response: Box<[u8]> = response.into();
        self.datagrams.insert(Guest {
            since: now,
            site: source.site(),
            address: from,
            index,
            initiation: packet.into(),
            response: response.clone(),
        });
        self.tell_shard(
            index,
            ToShard::Newcomer(Newcomer {
                index,
                session: Box::new(session),
                address: from,
                medium,
            }),
        );
        Ok(response)
    }

    /// A session's index: by its low byte the kernel finds the shard, and the rest is no other's, but for rare chances.
    fn new_index(&mut self, shard: usize) -> u32 {
        let [_, high @ ..] = self.door.random.next_u32().to_le_bytes();
        let [a, b, c] = high;
        // There are at most 256 shards.
        u32::from_le_bytes([u8::try_from(shard).unwrap_or(0), a, b, c])
    }

    /// Tells the shard that has the session.
    pub(super) fn tell_shard(&self, index: u32, message: ToShard) {
        if let Some(shard) = self.door.shards.get(shard_of(index)) {
            shard.send(message);
        }
    }

    fn forget_guest(&mut self, token: u64, reason: &TurnedAway) {
        let Some(guest) = self.datagrams.remove(token) else {
            return;
        };
        self.door.counters.count_turned_away(reason);
        self.report.gets_line(Matter::Stranger);
        self.tell_shard(
            guest.index,
            ToShard::Decided(guest.index, Decision::Forgotten),
        );
    }

    pub(super) fn forget_slow_guests(&mut self, now: Timestamp) {
        for token in self.datagrams.guests.slow(now) {
            self.forget_guest(token, &TurnedAway::Slow);
        }
    }

    /// A guest has introduced itself.
    pub(super) fn hear_introduction(&mut self, introduced: Introduced) {
        let Introduced {
            index,
            key,
            address,
            setup,
        } = introduced;
        let token = self.datagrams.by_index.get(&index).copied();
        if token
            .and_then(|token| self.datagrams.remove(token))
            .is_none()
        {
            // It took too long, and its shard has been told so.
            return;
        }
        self.door.counters.handshakes.count();
        self.waiting.push(Introduction {
            key,
            peer: Peer::Datagrams(address),
            setup,
            place: Place::Shard(index),
        });
    }
}
