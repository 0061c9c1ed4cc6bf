//! `Noise_IK_25519_ChaChaPoly_BLAKE2s`: the Noise Protocol Framework, revision 34, sections 5 and 7.5.
//!
//! ```text
//!   <- s                    the initiator knows the responder's static key
//!   ...
//!   -> e, es, s, ss         message 1: e 32, s 32+16, payload+16
//!   <- e, ee, se            message 2: e 32, payload+16
//! ```
//!
//! Written here because the library at hand leaves chaining keys in memory and accepts an all-zero shared secret; it is held
//! against that library in `tests/noise_differential.rs`. Every secret is wiped when it is dropped, and each state is
//! consumed by the step that leaves it.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use blake2::{Blake2s256, Digest};
use rand_core::CryptoRng;
use sdvr_frame::PublicKey;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use crate::codec::{Put, Reader};
use crate::error::HandshakeError;
use crate::keys::hmac;

const PROTOCOL_NAME: [u8; 32] = *b"Noise_IK_25519_ChaChaPoly_BLAKE2";
const TAG_BYTES: usize = 16;

/// What both ends have when the handshake is done.
pub struct Finished {
    /// The key of what the initiator sends.
    pub from_initiator: Box<Zeroizing<[u8; 32]>>,
    /// The key of what the responder sends.
    pub from_responder: Box<Zeroizing<[u8; 32]>>,
    /// Names this handshake; equal at both ends.
    pub handshake_hash: [u8; 32],
}

/// A private key, wiped on drop. On the heap, as whatever is moved leaves a copy where it was.
type Secret = Box<StaticSecret>;

fn public_of(secret: &StaticSecret) -> [u8; 32] {
    x25519_dalek::PublicKey::from(secret).to_bytes()
}

fn generate(random: &mut dyn CryptoRng) -> Secret {
    let mut bytes = Zeroizing::new([0; 32]);
    random.fill_bytes(&mut *bytes);
    #[cfg(test)]
    crate::memory_tests::note("an ephemeral", &bytes);
    secret_of(&bytes)
}

fn secret_of(bytes: &[u8; 32]) -> Secret {
    Box::new(StaticSecret::from(*bytes))
}

/// The "CipherState" and "SymmetricState" of the framework.
struct Symmetric {
    hash: [u8; 32],
    chaining_key: Box<Zeroizing<[u8; 32]>>,
    cipher: Option<Cipher>,
}

struct Cipher {
    key: LessSafeKey,
    counter: u64,
}

impl Cipher {
    fn new(key: &[u8; 32]) -> Result<Self, HandshakeError> {
        let key =
            UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| HandshakeError::NotAuthentic)?;
        Ok(Self {
            key: LessSafeKey::new(key),
            counter: 0,
        })
    }

    /// 32 zero bits, then the counter in little-endian (section 12.3).
    fn next_nonce(&mut self) -> Nonce {
        let [a, b, c, d, e, f, g, h] = self.counter.to_le_bytes();
        self.counter = self.counter.saturating_add(1);
        Nonce::assume_unique_for_key([0, 0, 0, 0, a, b, c, d, e, f, g, h])
    }
}

impl Symmetric {
    fn new(prologue: &[u8], responder: &PublicKey) -> Self {
        // The name has one byte more than a hash ("…BLAKE2s"), so it is hashed (section 5.2).
        let hash: [u8; 32] = Blake2s256::digest([PROTOCOL_NAME.as_slice(), b"s"].concat()).into();
        let mut state = Self {
            hash,
            chaining_key: Box::new(Zeroizing::new(hash)),
            cipher: None,
        };
        state.mix_hash(prologue);
        state.mix_hash(&responder.0);
        state
    }

    fn mix_hash(&mut self, bytes: &[u8]) {
        let mut hash = Blake2s256::new();
        hash.update(self.hash);
        hash.update(bytes);
        self.hash = hash.finalize().into();
    }

    fn mix_key(&mut self, input: &[u8; 32]) -> Result<(), HandshakeError> {
        let (chaining_key, key) = self.derive(input);
        #[cfg(test)]
        {
            crate::memory_tests::note("a shared secret", input);
            crate::memory_tests::note("a chaining key", &chaining_key);
            crate::memory_tests::note("a handshake's key", &key);
        }
        *self.chaining_key = chaining_key;
        self.cipher = Some(Cipher::new(&key)?);
        Ok(())
    }

    /// HKDF with two outputs (section 4.3).
    fn derive(&self, input: &[u8]) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
        let extracted = hmac(&**self.chaining_key, &[input]);
        let first = hmac(&*extracted, &[&[1]]);
        let second = hmac(&*extracted, &[&*first, &[2]]);
        (first, second)
    }

    fn mix_shared(&mut self, own: &StaticSecret, other: &[u8; 32]) -> Result<(), HandshakeError> {
        let shared = own.diffie_hellman(&x25519_dalek::PublicKey::from(*other));
        // A peer's point of small order would make the secret a constant that anybody knows.
        if !shared.was_contributory() {
            return Err(HandshakeError::NotAuthentic);
        }
        self.mix_key(shared.as_bytes())
    }

    fn seal(&mut self, out: &mut Vec<u8>, plaintext: &[u8]) -> Result<(), HandshakeError> {
        let cipher = self.cipher.as_mut().ok_or(HandshakeError::NotAuthentic)?;
        let mut sealed = plaintext.to_vec();
        let nonce = cipher.next_nonce();
        cipher
            .key
            .seal_in_place_append_tag(nonce, Aad::from(self.hash), &mut sealed)
            .map_err(|_| HandshakeError::NotAuthentic)?;
        self.mix_hash(&sealed);
        out.put(&sealed);
        Ok(())
    }

    fn open<const N: usize>(&mut self, sealed: &[u8]) -> Result<[u8; N], HandshakeError> {
        let cipher = self.cipher.as_mut().ok_or(HandshakeError::NotAuthentic)?;
        let mut opened = sealed.to_vec();
        let nonce = cipher.next_nonce();
        let plaintext = cipher
            .key
            .open_in_place(nonce, Aad::from(self.hash), &mut opened)
            .map_err(|_| HandshakeError::NotAuthentic)?;
        let plaintext = (&*plaintext)
            .try_into()
            .map_err(|_| HandshakeError::NotAuthentic)?;
        self.mix_hash(sealed);
        Ok(plaintext)
    }

    /// In a frame of its own, which `wipe_stack` reaches from the callers.
    #[inline(never)]
    fn split(self) -> Finished {
        let (from_initiator, from_responder) = self.derive(&[]);
        #[cfg(test)]
        {
            crate::memory_tests::note("a split key", &from_initiator);
            crate::memory_tests::note("a split key", &from_responder);
        }
        Finished {
            from_initiator: Box::new(from_initiator),
            from_responder: Box::new(from_responder),
            handshake_hash: self.hash,
        }
    }
}

/// The initiator before message 1.
pub struct InitiatorStart<'a> {
    /// Both ends must know the same bytes.
    pub prologue: &'a [u8],
    /// This end's private key.
    pub own: &'a [u8; 32],
    /// The responder's public key.
    pub responder: PublicKey,
}

/// The initiator between the messages.
pub(crate) struct InitiatorWaiting {
    symmetric: Symmetric,
    own: Secret,
    ephemeral: Secret,
}

impl InitiatorStart<'_> {
    /// Appends message 1 with `payload` to `out`.
    pub(crate) fn write(
        self,
        random: &mut dyn CryptoRng,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<InitiatorWaiting, HandshakeError> {
        let own = secret_of(self.own);
        let mut symmetric = Symmetric::new(self.prologue, &self.responder);
        let ephemeral = generate(random);
        let ephemeral_public = public_of(&ephemeral);
        symmetric.mix_hash(&ephemeral_public);
        out.put(&ephemeral_public);
        symmetric.mix_shared(&ephemeral, &self.responder.0)?;
        symmetric.seal(out, &public_of(&own))?;
        symmetric.mix_shared(&own, &self.responder.0)?;
        symmetric.seal(out, payload)?;
        Ok(InitiatorWaiting {
            symmetric,
            own,
            ephemeral,
        })
    }

    /// The whole exchange against a responder that answers through `exchange`: for comparison with other implementations.
    #[doc(hidden)]
    pub fn run<const N: usize>(
        self,
        random: &mut dyn CryptoRng,
        payload: &[u8],
        exchange: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Result<(Finished, [u8; N]), HandshakeError> {
        let mut message = Vec::new();
        let waiting = self.write(random, payload, &mut message)?;
        waiting.read(&exchange(&message))
    }
}

impl InitiatorWaiting {
    /// Takes message 2 and gives its payload of `N` bytes.
    pub(crate) fn read<const N: usize>(
        mut self,
        message: &[u8],
    ) -> Result<(Finished, [u8; N]), HandshakeError> {
        let mut reader = Reader::new(message);
        let ephemeral: [u8; 32] = reader.array()?;
        let sealed_payload = reader.take(N.saturating_add(TAG_BYTES))?;
        reader.end()?;
        self.symmetric.mix_hash(&ephemeral);
        self.symmetric.mix_shared(&self.ephemeral, &ephemeral)?;
        self.symmetric.mix_shared(&self.own, &ephemeral)?;
        let payload = self.symmetric.open(sealed_payload)?;
        Ok((self.symmetric.split(), payload))
    }
}

/// The responder before message 1.
pub struct ResponderStart<'a> {
    /// Both ends must know the same bytes.
    pub prologue: &'a [u8],
    /// This end's private key.
    pub own: &'a [u8; 32],
}

/// The responder that knows whom the initiator claims to be, with two of its five Diffie-Hellman steps done.
pub(crate) struct ResponderNamed {
    symmetric: Symmetric,
    own: Secret,
    initiator: [u8; 32],
    initiator_ephemeral: [u8; 32],
    sealed_payload: Vec<u8>,
}

/// The responder that has read message 1.
pub(crate) struct ResponderReady {
    symmetric: Symmetric,
    initiator: [u8; 32],
    initiator_ephemeral: [u8; 32],
}

impl ResponderStart<'_> {
    /// Reads message 1 as far as the initiator's key.
    pub(crate) fn read(self, message: &[u8]) -> Result<ResponderNamed, HandshakeError> {
        let own = secret_of(self.own);
        let mut reader = Reader::new(message);
        let ephemeral: [u8; 32] = reader.array()?;
        let sealed_static = reader.take(32 + TAG_BYTES)?;
        let sealed_payload = reader.rest().to_vec();
        let mut symmetric = Symmetric::new(self.prologue, &PublicKey(public_of(&own)));
        symmetric.mix_hash(&ephemeral);
        symmetric.mix_shared(&own, &ephemeral)?;
        let initiator = symmetric.open(sealed_static)?;
        Ok(ResponderNamed {
            symmetric,
            own,
            initiator,
            initiator_ephemeral: ephemeral,
            sealed_payload,
        })
    }

    /// The whole exchange: for comparison with other implementations.
    #[doc(hidden)]
    pub fn run<const N: usize>(
        self,
        random: &mut dyn CryptoRng,
        message: &[u8],
        payload: &[u8],
    ) -> Result<(Finished, [u8; N], Vec<u8>), HandshakeError> {
        let (ready, received) = self.read(message)?.verify()?;
        let mut reply = Vec::new();
        let finished = ready.write(random, payload, &mut reply)?;
        Ok((finished, received, reply))
    }
}

impl ResponderNamed {
    /// Whom the initiator claims to be. Proved by [`Self::verify`].
    pub(crate) const fn initiator(&self) -> PublicKey {
        PublicKey(self.initiator)
    }

    /// Checks that the initiator owns its key and gives the payload of message 1.
    pub(crate) fn verify<const N: usize>(
        mut self,
    ) -> Result<(ResponderReady, [u8; N]), HandshakeError> {
        self.symmetric.mix_shared(&self.own, &self.initiator)?;
        let payload = self.symmetric.open(&self.sealed_payload)?;
        Ok((
            ResponderReady {
                symmetric: self.symmetric,
                initiator: self.initiator,
                initiator_ephemeral: self.initiator_ephemeral,
            },
            payload,
        ))
    }
}

impl ResponderReady {
    /// Appends message 2 with `payload` to `out`.
    pub(crate) fn write(
        mut self,
        random: &mut dyn CryptoRng,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Finished, HandshakeError> {
        let ephemeral = generate(random);
        let ephemeral_public = public_of(&ephemeral);
        self.symmetric.mix_hash(&ephemeral_public);
        out.put(&ephemeral_public);
        self.symmetric
            .mix_shared(&ephemeral, &self.initiator_ephemeral)?;
        self.symmetric.mix_shared(&ephemeral, &self.initiator)?;
        self.symmetric.seal(out, payload)?;
        Ok(self.symmetric.split())
    }
}

macro_rules! print_nothing_secret {
    ($($type:ident $(<$life:lifetime>)?),*) => {$(
        impl std::fmt::Debug for $type $(<$life>)? {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(stringify!($type))
            }
        }
    )*};
}

print_nothing_secret!(
    Finished,
    InitiatorStart<'_>,
    InitiatorWaiting,
    ResponderStart<'_>,
    ResponderNamed,
    ResponderReady
);
