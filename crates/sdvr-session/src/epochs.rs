//! The keys of one direction, epoch after epoch: what seals with them, and what opens.

use std::fmt;

use aws_lc_rs::aead::Aad;
use sdvr_frame::Timestamp;

use crate::error::SessionError;
use crate::key_limits::KeyLimits;
use crate::keys::{Suite, TrafficKey, TrafficSecret, wipe_stack};

/// What sealing appends.
pub(crate) const TAG_BYTES: usize = 16;

/// Where the keys of the next epoch come from.
enum Next {
    /// From this epoch's secret, of which nothing else is left.
    Ratchet(TrafficSecret),
    /// From a handshake that goes on: there is no next epoch until it is done.
    Awaited,
    /// From a handshake that is done.
    Fresh(TrafficSecret),
}

/// The present epoch of a direction and where the next one comes from.
pub(crate) struct Chain {
    suite: Suite,
    pub(crate) key: TrafficKey,
    next: Next,
    epoch: u8,
}

impl Chain {
    /// Begins with packet 0 of `secret`, in epoch 0.
    pub(crate) fn new(secret: &TrafficSecret, suite: Suite) -> Option<Self> {
        let (key, next) = secret.epoch(suite, 0)?;
        Some(Self {
            suite,
            key,
            next: Next::Ratchet(next),
            epoch: 0,
        })
    }

    /// Modulo 256.
    pub(crate) const fn epoch(&self) -> u8 {
        self.epoch
    }

    /// A handshake has begun: this epoch is the last of its chain.
    pub(crate) fn await_fresh(&mut self) {
        self.next = Next::Awaited;
    }

    /// A handshake is done: the next epoch begins with its secret.
    pub(crate) fn set_fresh(&mut self, secret: TrafficSecret) {
        self.next = Next::Fresh(secret);
    }

    /// Whether no handshake is under way.
    pub(crate) const fn is_settled(&self) -> bool {
        matches!(self.next, Next::Ratchet(_))
    }

    /// The next epoch, not begun: it goes on from the present one's counter. `None` while there is none.
    pub(crate) fn upcoming(&self) -> Option<Upcoming> {
        let (Next::Ratchet(secret) | Next::Fresh(secret)) = &self.next else {
            return None;
        };
        let (key, next) = secret.epoch(self.suite, self.key.counter())?;
        Some(Upcoming { key, next })
    }

    /// Begins the next epoch; gives the key of the one before.
    pub(crate) fn begin(&mut self, upcoming: Upcoming) -> TrafficKey {
        self.next = Next::Ratchet(upcoming.next);
        self.epoch = self.epoch.wrapping_add(1);
        std::mem::replace(&mut self.key, upcoming.key)
    }
}

/// The keys of an epoch that has not begun.
pub(crate) struct Upcoming {
    pub(crate) key: TrafficKey,
    next: TrafficSecret,
}

/// What seals, and when it goes on to new keys.
pub(crate) struct SendingKeys {
    chain: Chain,
    /// The number of the epoch's first packet.
    epoch_begins: u64,
    epoch_began: Timestamp,
    /// Whether the other end has named a packet of this epoch.
    is_confirmed: bool,
    /// In the epochs before this one, since the last handshake.
    bytes_before: u64,
}

impl SendingKeys {
    pub(crate) fn new(secret: &TrafficSecret, suite: Suite) -> Option<Self> {
        Some(Self {
            chain: Chain::new(secret, suite)?,
            epoch_begins: 0,
            epoch_began: Timestamp::NEVER,
            is_confirmed: false,
            bytes_before: 0,
        })
    }

    pub(crate) const fn chain(&mut self) -> &mut Chain {
        &mut self.chain
    }

    pub(crate) const fn epoch(&self) -> u8 {
        self.chain.epoch
    }

    /// Whether no handshake is under way.
    pub(crate) const fn is_settled(&self) -> bool {
        self.chain.is_settled()
    }

    /// Packets sealed so far.
    pub(crate) const fn counter(&self) -> u64 {
        self.chain.key.counter()
    }

    /// Bytes sealed since the last handshake.
    pub(crate) const fn bytes_since_handshake(&self) -> u64 {
        self.bytes_before.saturating_add(self.chain.key.bytes())
    }

    /// The other end has opened `packets` packets, or the last of so many: whether there were so many.
    pub(crate) const fn confirm(&mut self, packets: u64) -> bool {
        let is_possible = packets <= self.counter();
        self.is_confirmed |= is_possible && packets > self.epoch_begins;
        is_possible
    }

    /// The other end has answered a packet of epoch 0, without naming it.
    pub(crate) const fn confirm_first_epoch(&mut self) {
        self.is_confirmed |= self.epoch_begins == 0;
    }

    /// Goes on to the next epoch if it is time and this one is confirmed.
    pub(crate) fn renew_if_due(
        &mut self,
        now: Timestamp,
        limits: &KeyLimits,
    ) -> Result<(), SessionError> {
        // The session's first packet: its time begins.
        if self.epoch_began == Timestamp::NEVER {
            self.epoch_began = now;
        }
        let key = &self.chain.key;
        let is_due = match self.chain.next {
            Next::Fresh(_) => true,
            Next::Awaited => false,
            Next::Ratchet(_) => {
                now >= self.epoch_began + limits.epoch_time
                    || key.bytes() >= limits.epoch_bytes
                    || key.records() >= limits.epoch_records
            }
        };
        if is_due && self.is_confirmed {
            self.renew(now)
        } else {
            Ok(())
        }
    }

    #[cold]
    fn renew(&mut self, now: Timestamp) -> Result<(), SessionError> {
        let upcoming = self.chain.upcoming().ok_or(SessionError::KeysUsedUp)?;
        self.bytes_before = if self.is_settled() {
            self.bytes_since_handshake()
        } else {
            0
        };
        self.epoch_begins = self.counter();
        drop(self.chain.begin(upcoming));
        self.epoch_began = now;
        self.is_confirmed = false;
        wipe_stack();
        Ok(())
    }

    /// Seals `content` in place; gives its tag.
    pub(crate) fn seal<A: AsRef<[u8]>>(
        &mut self,
        header: A,
        content: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], SessionError> {
        let nonce = self.chain.key.next_nonce(content.len())?;
        let tag = self
            .chain
            .key
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(header), content)
            .map_err(|_| SessionError::KeysUsedUp)?;
        tag.as_ref()
            .try_into()
            .map_err(|_| SessionError::KeysUsedUp)
    }
}

impl fmt::Debug for SendingKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SendingKeys")
            .field("key", &self.chain.key)
            .field("epoch", &self.chain.epoch)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Chain")
            .field("key", &self.key)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}
