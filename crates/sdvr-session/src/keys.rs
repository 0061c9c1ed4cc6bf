//! From a finished handshake to the keys that seal records.

use std::fmt;

use aws_lc_rs::aead::{
    AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey,
};
use blake2::Blake2s256;
use hmac::{KeyInit, Mac, SimpleHmac};
use zeroize::{Zeroize, Zeroizing};

use crate::error::{HandshakeError, SessionError};

/// The cipher of a session's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// For machines without AES in hardware.
    ChaCha20Poly1305,
    /// For machines with it.
    Aes256Gcm,
}

impl Suite {
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::ChaCha20Poly1305 => 0,
            Self::Aes256Gcm => 1,
        }
    }

    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::ChaCha20Poly1305),
            1 => Some(Self::Aes256Gcm),
            _ => None,
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::ChaCha20Poly1305 => "X25519 + ChaCha20-Poly1305",
            Self::Aes256Gcm => "X25519 + AES-256-GCM",
        })
    }
}

/// What ciphers an end offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suites(pub(crate) u16);

impl Suites {
    const CHACHA: u16 = 1;
    const AES_GCM: u16 = 1 << 1;
    const AES_IN_HARDWARE: u16 = 1 << 8;

    /// Both ciphers, on a machine with or without AES in hardware.
    #[must_use]
    pub const fn all(aes_in_hardware: bool) -> Self {
        Self(
            Self::CHACHA
                | Self::AES_GCM
                | if aes_in_hardware {
                    Self::AES_IN_HARDWARE
                } else {
                    0
                },
        )
    }

    /// Both ciphers, as this machine computes them: where AES is not in hardware, `ChaCha20` is faster and leaks nothing by
    /// its timing.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self::all(has_aes())
    }

    /// The cipher for ends that offer `self` and `other`: AES where both are fast at it. No third choice.
    pub(crate) const fn choose(self, other: Self) -> Result<Suite, HandshakeError> {
        let both = self.0 & other.0;
        let fast_aes = Self::AES_GCM | Self::AES_IN_HARDWARE;
        if both & fast_aes == fast_aes {
            Ok(Suite::Aes256Gcm)
        } else if both & Self::CHACHA != 0 {
            Ok(Suite::ChaCha20Poly1305)
        } else {
            Err(HandshakeError::Suite)
        }
    }
}

fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes")
        && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    false
}

/// Which way records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    FromClient,
    FromServer,
}

/// HMAC-BLAKE2s of the concatenation of `parts`.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    // A key of any length is valid for HMAC, so the error arm is never taken; a fixed key there would be worse than zeros
    // only if it could be.
    let Ok(mut mac) = SimpleHmac::<Blake2s256>::new_from_slice(key) else {
        return Zeroizing::new([0; 32]);
    };
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// The key derivation of WIRE.md, section 2.
#[must_use]
pub fn hkdf(key: &[u8; 32], info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let extracted = hmac(&[0; 32], &[key]);
    let mut parts = info.to_vec();
    parts.push(&[1]);
    hmac(&*extracted, &parts)
}

/// Overwrites what earlier calls have left below this one on the stack: what wipes itself when it is dropped has been
/// copied there when it was moved. Deep enough for all that this crate computes with secrets.
#[inline(never)]
pub(crate) fn wipe_stack() {
    let mut below = [0_u64; STACK_WIPED_WORDS];
    below.zeroize();
    std::hint::black_box(&below);
}

const STACK_WIPED_WORDS: usize = 32 * 1024 / 8;

/// The secret of one epoch of one direction, from which its key and the next secret come.
pub struct TrafficSecret(Box<Zeroizing<[u8; 32]>>);

impl TrafficSecret {
    pub(crate) fn new(
        split_key: &[u8; 32],
        suite: Suite,
        direction: Direction,
        handshake_hash: &[u8; 32],
    ) -> Self {
        let direction = match direction {
            Direction::FromClient => b"c",
            Direction::FromServer => b"s",
        };
        Self(Box::new(hkdf(
            split_key,
            &[
                b"sdvr2 secret",
                &[suite.number()],
                direction,
                handshake_hash,
            ],
        )))
    }

    /// The key of this epoch, whose first record is number `counter`, and the secret of the next. Forget this one when they
    /// are in use.
    pub(crate) fn epoch(&self, suite: Suite, counter: u64) -> Option<(TrafficKey, Self)> {
        let algorithm = match suite {
            Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            Suite::Aes256Gcm => &AES_256_GCM,
        };
        let key = hkdf(&self.0, &[b"key"]);
        let iv = hkdf(&self.0, &[b"iv"]);
        let next = Self(Box::new(hkdf(&self.0, &[b"next"])));
        #[cfg(test)]
        {
            crate::memory_tests::note("a secret", &self.0);
            crate::memory_tests::note("a key", &key);
        }
        let key = TrafficKey {
            key: LessSafeKey::new(UnboundKey::new(algorithm, &*key).ok()?),
            iv: Box::new(Zeroizing::new(*iv.first_chunk()?)),
            counter,
            records: 0,
            bytes: 0,
        };
        Some((key, next))
    }
}

impl fmt::Debug for TrafficSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TrafficSecret")
    }
}

/// The key of one epoch of one direction, with the counter of its records.
pub(crate) struct TrafficKey {
    pub(crate) key: LessSafeKey,
    iv: Box<Zeroizing<[u8; NONCE_LEN]>>,
    /// Goes on over epochs.
    counter: u64,
    records: u64,
    bytes: u64,
}

impl TrafficKey {
    /// No sender uses a key for more than this, whoever does not confirm its epochs. AES-GCM stays below a confidentiality
    /// advantage of 2^-57 for 2^35 blocks under one key (RFC 9001, appendix B.1), which is 2^39 bytes.
    const SENDER_BYTES: u64 = 1 << 38;
    const SENDER_RECORDS: u64 = 1 << 26;

    /// The number of the next record, which is how many there were in the session.
    pub(crate) const fn counter(&self) -> u64 {
        self.counter
    }

    /// Records that went under this key.
    pub(crate) const fn records(&self) -> u64 {
        self.records
    }

    /// Bytes that went under this key.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The nonce of the next record, for sealing. The counter advances even if sealing fails: a number used twice under one
    /// key would break the cipher.
    pub(crate) fn next_nonce(&mut self, record_bytes: usize) -> Result<Nonce, SessionError> {
        if self.bytes >= Self::SENDER_BYTES
            || self.records >= Self::SENDER_RECORDS
            || self.counter == u64::MAX
        {
            return Err(SessionError::KeysUsedUp);
        }
        let nonce = self.nonce(self.counter);
        self.counter = self.counter.saturating_add(1);
        self.count(record_bytes);
        Ok(nonce)
    }

    /// Opens what was sealed as number `counter`, in place. What does not open changes nothing.
    pub(crate) fn open<'a, A: AsRef<[u8]>>(
        &mut self,
        counter: u64,
        header: A,
        sealed: &'a mut [u8],
    ) -> Result<&'a [u8], SessionError> {
        let is_used_up =
            self.bytes >= 2 * Self::SENDER_BYTES || self.records >= 2 * Self::SENDER_RECORDS;
        if is_used_up || counter == u64::MAX {
            return Err(SessionError::KeysUsedUp);
        }
        let sealed_bytes = sealed.len();
        let content = self
            .key
            .open_in_place(self.nonce(counter), Aad::from(header), sealed)
            .map_err(|_| SessionError::NotAuthentic)?;
        self.counter = self.counter.max(counter.saturating_add(1));
        self.count(sealed_bytes);
        Ok(content)
    }

    fn nonce(&self, counter: u64) -> Nonce {
        let mut nonce = **self.iv;
        for (byte, counter) in nonce.iter_mut().skip(4).zip(counter.to_be_bytes()) {
            *byte ^= counter;
        }
        Nonce::assume_unique_for_key(nonce)
    }

    const fn count(&mut self, record_bytes: usize) {
        self.records = self.records.saturating_add(1);
        self.bytes = self.bytes.saturating_add(record_bytes as u64);
    }
}

impl fmt::Debug for TrafficKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TrafficKey")
            .field("counter", &self.counter)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> TrafficSecret {
        TrafficSecret::new(&[5; 32], Suite::Aes256Gcm, Direction::FromClient, &[6; 32])
    }

    fn key(records: u64, bytes: u64) -> TrafficKey {
        let (mut key, _) = secret().epoch(Suite::Aes256Gcm, 0).unwrap();
        key.records = records;
        key.bytes = bytes;
        key
    }

    #[test]
    fn no_nonce_comes_twice() {
        let mut key = key(0, 0);
        let nonces: std::collections::HashSet<[u8; NONCE_LEN]> = (0..100_000)
            .map(|_| *key.next_nonce(1).unwrap().as_ref())
            .collect();
        assert_eq!(nonces.len(), 100_000);
        assert_eq!(key.counter(), 100_000);
    }

    #[test]
    fn a_key_refuses_what_it_cannot_safely_seal_and_opens_twice_that() {
        let refused = Err(SessionError::KeysUsedUp);
        assert!(key((1 << 26) - 1, (1 << 38) - 1).next_nonce(1).is_ok());
        assert_eq!(key(1 << 26, 0).next_nonce(1).map(|_| ()), refused);
        assert_eq!(key(0, 1 << 38).next_nonce(1).map(|_| ()), refused);
        let open = |mut key: TrafficKey, counter| {
            let mut sealed = [0; 32];
            key.open(counter, [], &mut sealed).map(|_| ())
        };
        // It has not been sealed under this key: until then, nothing speaks against opening it.
        let tried = Err(SessionError::NotAuthentic);
        assert_eq!(open(key((1 << 27) - 1, (1 << 39) - 1), 0), tried);
        assert_eq!(open(key(1 << 27, 0), 0), refused);
        assert_eq!(open(key(0, 1 << 39), 0), refused);
        assert_eq!(open(key(0, 0), u64::MAX), refused);
        let mut at_the_end = key(0, 0);
        at_the_end.counter = u64::MAX;
        assert_eq!(at_the_end.next_nonce(1).map(|_| ()), refused);
    }

    #[test]
    fn the_next_epoch_has_another_key_and_goes_on_with_the_counter() {
        let (mut first, next) = secret().epoch(Suite::Aes256Gcm, 7).unwrap();
        first.next_nonce(10).unwrap();
        let (second, after) = next.epoch(Suite::Aes256Gcm, first.counter()).unwrap();
        assert_eq!(
            (second.counter(), second.records(), second.bytes()),
            (8, 0, 0)
        );
        assert_ne!(**second.iv, **first.iv);
        assert_ne!(**next.0, **after.0);
    }

    #[test]
    fn directions_and_suites_have_different_keys() {
        let secret = |suite, direction| {
            let secret = TrafficSecret::new(&[5; 32], suite, direction, &[6; 32]);
            **secret.0
        };
        let secrets: std::collections::HashSet<[u8; 32]> = [
            secret(Suite::Aes256Gcm, Direction::FromClient),
            secret(Suite::Aes256Gcm, Direction::FromServer),
            secret(Suite::ChaCha20Poly1305, Direction::FromClient),
            secret(Suite::ChaCha20Poly1305, Direction::FromServer),
        ]
        .into();
        assert_eq!(secrets.len(), 4);
    }
}
