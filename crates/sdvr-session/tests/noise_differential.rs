//! Our Noise IK against another implementation of it, and against a published vector.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

#[path = "support/public.rs"]
mod public;
mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use data_encoding::HEXLOWER;
use public::public;
use rand_core::{Infallible, TryCryptoRng, TryRng};
use sdvr_frame::PublicKey;
use sdvr_session::HandshakeError;
use sdvr_session::for_tests::{Finished, InitiatorStart, ResponderStart};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use support::Seeded;

const PATTERN: &str = "Noise_IK_25519_ChaChaPoly_BLAKE2s";
const SEEDS: u64 = 200;

/// The points of small order, in all the encodings that a masked high bit allows below 2^255: RFC 7748, section 7.
const SMALL_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

fn hex<const N: usize>(text: &str) -> [u8; N] {
    HEXLOWER
        .decode(text.as_bytes())
        .unwrap()
        .try_into()
        .unwrap()
}

/// What both ends of one handshake are made of.
struct Case {
    random: Seeded,
    prologue: Vec<u8>,
    initiator: [u8; 32],
    responder: [u8; 32],
    first: [u8; 24],
    second: [u8; 32],
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut random = Seeded(seed);
        let prologue_bytes = random.below(300);
        Self {
            prologue: (0..prologue_bytes)
                .map(|_| random.bytes::<1>()[0])
                .collect(),
            initiator: random.bytes(),
            responder: random.bytes(),
            first: random.bytes(),
            second: random.bytes(),
            random,
        }
    }

    fn initiator_start(&self) -> InitiatorStart<'_> {
        InitiatorStart {
            prologue: &self.prologue,
            own: &self.initiator,
            responder: public(self.responder),
        }
    }

    fn responder_start(&self) -> ResponderStart<'_> {
        ResponderStart {
            prologue: &self.prologue,
            own: &self.responder,
        }
    }

    fn snow(&self, private: &[u8; 32], peer: Option<PublicKey>) -> snow::HandshakeState {
        let builder = snow::Builder::new(PATTERN.parse().unwrap())
            .prologue(&self.prologue)
            .unwrap()
            .local_private_key(private)
            .unwrap();
        match peer {
            Some(key) => builder
                .remote_public_key(&key.0)
                .unwrap()
                .build_initiator()
                .unwrap(),
            None => builder.build_responder().unwrap(),
        }
    }
}

fn write(state: &mut snow::HandshakeState, payload: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 1024];
    let length = state.write_message(payload, &mut message).unwrap();
    message.truncate(length);
    message
}

fn read(state: &mut snow::HandshakeState, message: &[u8]) -> Vec<u8> {
    let mut payload = vec![0; 1024];
    let length = state.read_message(message, &mut payload).unwrap();
    payload.truncate(length);
    payload
}

#[track_caller]
fn same(ours: &Finished, theirs: &mut snow::HandshakeState, seed: u64) {
    assert!(theirs.is_handshake_finished(), "seed {seed}");
    assert_eq!(
        ours.handshake_hash,
        theirs.get_handshake_hash(),
        "seed {seed}"
    );
    let (from_initiator, from_responder) = theirs.dangerously_get_raw_split();
    assert_eq!(**ours.from_initiator, from_initiator, "seed {seed}");
    assert_eq!(**ours.from_responder, from_responder, "seed {seed}");
}

#[test]
fn our_initiator_agrees_with_another_responder() {
    for seed in 0..SEEDS {
        let case = Case::new(seed);
        let mut theirs = case.snow(&case.responder, None);
        let (ours, received) = case
            .initiator_start()
            .run::<32>(&mut case.random.clone(), &case.first, |message| {
                assert_eq!(read(&mut theirs, message), case.first);
                assert_eq!(
                    theirs.get_remote_static().unwrap(),
                    public(case.initiator).0
                );
                write(&mut theirs, &case.second)
            })
            .unwrap();
        assert_eq!(received, case.second);
        same(&ours, &mut theirs, seed);
    }
}

#[test]
fn our_responder_agrees_with_another_initiator() {
    for seed in 0..SEEDS {
        let case = Case::new(seed);
        let mut theirs = case.snow(&case.initiator, Some(public(case.responder)));
        let message = write(&mut theirs, &case.first);
        let (ours, received, reply) = case
            .responder_start()
            .run::<24>(&mut case.random.clone(), &message, &case.second)
            .unwrap();
        assert_eq!(received, case.first);
        assert_eq!(read(&mut theirs, &reply), case.second);
        same(&ours, &mut theirs, seed);
    }
}

/// Message 1 of `case`, and message 2 of its responder.
fn messages(case: &Case) -> (Vec<u8>, Vec<u8>) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    case.initiator_start()
        .run::<32>(&mut case.random.clone(), &case.first, |message| {
            first = message.to_vec();
            (_, _, second) = case
                .responder_start()
                .run::<24>(&mut Seeded(1), message, &case.second)
                .unwrap();
            second.clone()
        })
        .unwrap();
    (first, second)
}

fn answer_to(case: &Case, message: &[u8]) -> Result<(), HandshakeError> {
    case.responder_start()
        .run::<24>(&mut Seeded(1), message, &case.second)
        .map(|_| ())
}

fn finish_with(case: &Case, message: &[u8]) -> Result<(), HandshakeError> {
    case.initiator_start()
        .run::<32>(&mut case.random.clone(), &case.first, |_| message.to_vec())
        .map(|_| ())
}

#[test]
fn every_flipped_bit_is_noticed() {
    let case = Case::new(11);
    let (first, second) = messages(&case);
    assert_eq!((first.len(), second.len()), (120, 80));
    assert_eq!(answer_to(&case, &first), Ok(()));
    assert_eq!(finish_with(&case, &second), Ok(()));
    for bit in 0..first.len() * 8 {
        let mut altered = first.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let refused = answer_to(&case, &altered);
        assert_eq!(refused, Err(HandshakeError::NotAuthentic), "bit {bit}");
    }
    for bit in 0..second.len() * 8 {
        let mut altered = second.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let refused = finish_with(&case, &altered);
        assert_eq!(refused, Err(HandshakeError::NotAuthentic), "bit {bit}");
    }
}

#[test]
fn every_other_length_is_refused() {
    let case = Case::new(12);
    let (first, second) = messages(&case);
    for length in 0..first.len() {
        assert!(answer_to(&case, &first[..length]).is_err(), "{length}");
    }
    for length in 0..second.len() {
        assert!(finish_with(&case, &second[..length]).is_err(), "{length}");
    }
    assert!(answer_to(&case, &[first.as_slice(), &[0]].concat()).is_err());
    assert!(finish_with(&case, &[second.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn another_prologue_is_noticed() {
    let case = Case::new(13);
    let (first, second) = messages(&case);
    let mut other = Case::new(13);
    other.prologue.push(0);
    assert_eq!(answer_to(&other, &first), Err(HandshakeError::NotAuthentic));
    assert_eq!(
        finish_with(&other, &second),
        Err(HandshakeError::NotAuthentic)
    );
}

#[test]
fn another_responder_cannot_read_message_1() {
    let case = Case::new(14);
    let (first, _) = messages(&case);
    let mut other = Case::new(14);
    other.responder = [9; 32];
    assert_eq!(answer_to(&other, &first), Err(HandshakeError::NotAuthentic));
}

/// Each point of small order, with the bit that X25519 ignores clear and set.
fn small_order_points() -> impl Iterator<Item = [u8; 32]> {
    SMALL_ORDER.into_iter().flat_map(|text| {
        let clear: [u8; 32] = hex(text);
        let mut set = clear;
        set[31] |= 0x80;
        [clear, set]
    })
}

#[test]
fn a_server_key_of_small_order_is_refused() {
    let case = Case::new(15);
    for point in small_order_points() {
        let refused = InitiatorStart {
            responder: PublicKey(point),
            ..case.initiator_start()
        }
        .run::<32>(&mut case.random.clone(), &case.first, |_| {
            panic!("nothing may be sealed to such a key")
        })
        .map(|_| ());
        assert_eq!(refused, Err(HandshakeError::NotAuthentic));
    }
}

#[test]
fn an_ephemeral_key_of_small_order_is_refused() {
    let case = Case::new(16);
    let (first, second) = messages(&case);
    for point in small_order_points() {
        let mut message = first.clone();
        message[..32].copy_from_slice(&point);
        assert_eq!(
            answer_to(&case, &message),
            Err(HandshakeError::NotAuthentic)
        );
        let mut message = second.clone();
        message[..32].copy_from_slice(&point);
        assert_eq!(
            finish_with(&case, &message),
            Err(HandshakeError::NotAuthentic)
        );
    }
}

/// An X25519 that gives zeros for everything, as any peer computes with `public` if that is of small order.
struct ZeroDh {
    public: [u8; 32],
}

impl snow::types::Dh for ZeroDh {
    fn name(&self) -> &'static str {
        "25519"
    }
    fn pub_len(&self) -> usize {
        32
    }
    fn priv_len(&self) -> usize {
        32
    }
    fn set(&mut self, _: &[u8]) {}
    fn generate(&mut self, _: &mut dyn snow::types::Random) -> Result<(), snow::Error> {
        Ok(())
    }
    fn pubkey(&self) -> &[u8] {
        &self.public
    }
    fn privkey(&self) -> &[u8] {
        &[0; 32]
    }
    fn dh(&self, _: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        out[..32].fill(0);
        Ok(())
    }
}

/// Gives [`ZeroDh`] with one public key for the static key, for the ephemeral key too if `also_ephemeral`, and everything
/// else as usual.
struct ZeroResolver {
    point: [u8; 32],
    also_ephemeral: bool,
    resolved: AtomicBool,
    usual: DefaultResolver,
}

impl CryptoResolver for ZeroResolver {
    fn resolve_rng(&self) -> Option<Box<dyn snow::types::Random>> {
        self.usual.resolve_rng()
    }
    fn resolve_dh(&self, choice: &snow::params::DHChoice) -> Option<Box<dyn snow::types::Dh>> {
        // The library asks for the static key's first.
        let is_static = !self.resolved.swap(true, Ordering::Relaxed);
        if is_static || self.also_ephemeral {
            Some(Box::new(ZeroDh { public: self.point }))
        } else {
            self.usual.resolve_dh(choice)
        }
    }
    fn resolve_hash(
        &self,
        choice: &snow::params::HashChoice,
    ) -> Option<Box<dyn snow::types::Hash>> {
        self.usual.resolve_hash(choice)
    }
    fn resolve_cipher(
        &self,
        choice: &snow::params::CipherChoice,
    ) -> Option<Box<dyn snow::types::Cipher>> {
        self.usual.resolve_cipher(choice)
    }
}

/// The forger needs no private key at all.
#[track_caller]
fn check_forger(also_ephemeral: bool) {
    let case = Case::new(17);
    for point in small_order_points() {
        let resolver = Box::new(ZeroResolver {
            point,
            also_ephemeral,
            resolved: AtomicBool::new(false),
            usual: DefaultResolver,
        });
        let mut forger = snow::Builder::with_resolver(PATTERN.parse().unwrap(), resolver)
            .prologue(&case.prologue)
            .unwrap()
            .local_private_key(&[0; 32])
            .unwrap()
            .remote_public_key(&public(case.responder).0)
            .unwrap()
            .build_initiator()
            .unwrap();
        let message = write(&mut forger, &case.first);
        assert_eq!(message[..32] == point, also_ephemeral);
        // The forgery is a good one: whoever does not check the shared secret falls for it.
        let mut gullible = case.snow(&case.responder, None);
        assert_eq!(read(&mut gullible, &message), case.first);
        assert_eq!(gullible.get_remote_static().unwrap(), point);
        assert_eq!(
            answer_to(&case, &message),
            Err(HandshakeError::NotAuthentic)
        );
    }
}

#[test]
fn a_forger_whose_static_key_is_of_small_order_is_refused() {
    check_forger(false);
}

#[test]
fn a_forger_whose_keys_are_all_of_small_order_is_refused() {
    check_forger(true);
}

/// "Randomness" that is one given key.
struct Given([u8; 32]);

impl TryRng for Given {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("only a key is asked for")
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("only a key is asked for")
    }
    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.0);
        Ok(())
    }
}

impl TryCryptoRng for Given {}

/// `Noise_IK_25519_ChaChaPoly_BLAKE2s` of the test vectors of the cacophony library, which other implementations share.
#[test]
fn the_published_vector_comes_out() {
    let prologue: [u8; 9] = hex("4a6f686e2047616c74");
    let initiator = hex("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1");
    let initiator_ephemeral =
        hex("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a");
    let responder = hex("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893");
    let responder_ephemeral =
        hex("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b");
    let first_payload: [u8; 16] = hex("4c756477696720766f6e204d69736573");
    let second_payload: [u8; 15] = hex("4d757272617920526f746862617264");
    let first_message: [u8; 112] = hex(concat!(
        "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944",
        "0b03ddc7aac5123d06a1b23b71670e32e76c28239a7ca4ac8f784de7e44c1adb",
        "fc6e83fef7352a58d9d56157400c0a737b1d171ce368229c7b752ac25b8faf4e",
        "ca690f6d896f543be02c996ab2b86b76",
    ));
    let second_message: [u8; 63] = hex(concat!(
        "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843",
        "d9b5a8927f0ac9655ef76833bc7e5561f42e691ac8404efd6fbd6308b6a27c",
    ));
    let handshake_hash: [u8; 32] =
        hex("48f3cb8bc9319da4ba1e9933991b1c4ed4034f1f126a76d3a1fbcfd7f94248d4");

    let (at_initiator, received) = InitiatorStart {
        prologue: &prologue,
        own: &initiator,
        responder: public(responder),
    }
    .run::<15>(&mut Given(initiator_ephemeral), &first_payload, |message| {
        assert_eq!(message, first_message);
        second_message.to_vec()
    })
    .unwrap();
    assert_eq!(received, second_payload);

    let (at_responder, received, reply) = ResponderStart {
        prologue: &prologue,
        own: &responder,
    }
    .run::<16>(
        &mut Given(responder_ephemeral),
        &first_message,
        &second_payload,
    )
    .unwrap();
    assert_eq!(received, first_payload);
    assert_eq!(reply, second_message);

    for finished in [at_initiator, at_responder] {
        assert_eq!(finished.handshake_hash, handshake_hash);
        // The vector's transport messages: the first is the initiator's, sealed with nonce 0 and nothing beside it.
        check_transport(
            &finished.from_initiator,
            "462e20412e20486179656b",
            "2c256ed08fcd08c2980f954ee4beaccb61c9581340f5dd2fd1cf3b",
        );
        check_transport(
            &finished.from_responder,
            "4361726c204d656e676572",
            "d6033f70eee20945c7c9dba304e397ee3b284ff5e00fd9efb095d3",
        );
    }
}

#[track_caller]
fn check_transport(key: &[u8; 32], plaintext: &str, sealed: &str) {
    use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
    let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).unwrap());
    let mut bytes = HEXLOWER.decode(plaintext.as_bytes()).unwrap();
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut bytes)
        .unwrap();
    assert_eq!(HEXLOWER.encode(&bytes), sealed);
}
