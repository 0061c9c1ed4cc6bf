//! The token: proof that a client can receive at its address, kept by the client so that the server need keep nothing.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rand_core::CryptoRng;
use sdvr_frame::{LinkAddress, PublicKey, Timestamp};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::codec::{Put, Reader, padded};
use crate::error::HandshakeError;
use crate::hello::HelloCore;
use crate::keys::hmac;
use crate::site::{Allowances, Site};

pub(crate) const TOKEN_BYTES: usize = 32;
const LIFE: Duration = Duration::from_secs(10);
const KEY_LIFE: Duration = Duration::from_secs(60);
/// How long a generation of used salts lasts. Longer than a token's life, which is counted in whole milliseconds: a salt is
/// forgotten one generation after its token was used, and the token must be too old by then.
const STRIKES_LIFE: Duration = Duration::from_secs(11);
/// Used salts remembered per generation, so this many handshakes fit into one.
const STRIKES_MOST: usize = 65_536;
/// When a site is asked to come back that has begun as many handshakes as it may.
const BUSY_MS: u32 = 1_000;

/// What the address of a network card begins with; those of IP begin with its version.
const ETHERNET: u8 = 1;

/// Where a packet came from, as the token binds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceAddress([u8; 19]);

impl From<SocketAddr> for SourceAddress {
    fn from(address: SocketAddr) -> Self {
        let mut out = Vec::with_capacity(19);
        match address.ip() {
            IpAddr::V4(ip) => {
                out.put_u8(4);
                out.put(&[0; 12]);
                out.put(&ip.octets());
            }
            IpAddr::V6(ip) => {
                out.put_u8(6);
                out.put(&ip.octets());
            }
        }
        out.put_u16(address.port());
        Self(padded(out))
    }
}

impl From<LinkAddress> for SourceAddress {
    fn from(address: LinkAddress) -> Self {
        match address {
            LinkAddress::Udp { address, .. } => Self::from(address),
            LinkAddress::Ethernet { interface, mac } => {
                let mut out = Vec::with_capacity(19);
                out.put_u8(ETHERNET);
                out.put_u32(interface.index());
                out.put(&mac.0);
                Self(padded(out))
            }
        }
    }
}

impl SourceAddress {
    /// The site that it belongs to.
    #[must_use]
    pub fn site(&self) -> Site {
        let [family, ip @ .., _, _] = self.0;
        let [a, b, c, d, ..] = ip;
        let ip = Ipv6Addr::from(ip);
        match (family, ip.to_ipv4()) {
            (ETHERNET, _) => Site::of_interface([a, b, c, d]),
            (4, Some(ip)) => Site::of(ip.into()),
            _ => Site::of(ip.into()),
        }
    }
}

/// What a token stands for.
#[derive(Debug)]
pub(crate) struct TokenSubject<'a> {
    pub(crate) source: &'a SourceAddress,
    pub(crate) core: &'a HelloCore,
    pub(crate) version: u8,
    pub(crate) suite: u8,
    pub(crate) server_key: &'a PublicKey,
}

/// Issues tokens and takes each back once.
pub(crate) struct Tokens {
    key: Zeroizing<[u8; 32]>,
    previous_key: Zeroizing<[u8; 32]>,
    key_since: Timestamp,
    /// Salts of tokens that were used: this generation and the one before.
    strikes: [std::collections::HashSet<[u8; 8]>; 2],
    strikes_since: Timestamp,
    allowances: Allowances,
}

impl Tokens {
    pub(crate) fn new(now: Timestamp, random: &mut dyn CryptoRng) -> Self {
        let mut tokens = Self {
            key: Zeroizing::new([0; 32]),
            previous_key: Zeroizing::new([0; 32]),
            key_since: now,
            strikes: Default::default(),
            strikes_since: now,
            allowances: Allowances::new(now),
        };
        random.fill_bytes(&mut *tokens.key);
        random.fill_bytes(&mut *tokens.previous_key);
        tokens
    }

    pub(crate) fn issue(
        &mut self,
        now: Timestamp,
        subject: &TokenSubject<'_>,
        random: &mut dyn CryptoRng,
    ) -> [u8; TOKEN_BYTES] {
        if now.saturating_since(self.key_since) >= KEY_LIFE {
            self.previous_key = std::mem::replace(&mut self.key, Zeroizing::new([0; 32]));
            random.fill_bytes(&mut *self.key);
            self.key_since = now;
        }
        let mut salt = [0; 8];
        random.fill_bytes(&mut salt);
        let issued_ms = milliseconds(now);
        let mut token = Vec::with_capacity(TOKEN_BYTES);
        token.put_u64(issued_ms);
        token.put(&salt);
        token.put(&tag(&self.key, issued_ms, salt, subject));
        padded(token)
    }

    /// How long a site must wait that has begun as many handshakes as it may; `None` when it need not.
    pub(crate) fn busy_ms(&self, now: Timestamp, source: &SourceAddress) -> Option<u32> {
        (!self.allowances.has_any(now, source.site())).then_some(BUSY_MS)
    }

    /// Accepts a token that is ours, fresh, was not used before, and whose site may begin a handshake.
    pub(crate) fn accept(
        &mut self,
        now: Timestamp,
        token: &[u8; TOKEN_BYTES],
        subject: &TokenSubject<'_>,
    ) -> Result<(), HandshakeError> {
        let mut reader = Reader::new(token);
        let issued_ms = reader.u64()?;
        let salt: [u8; 8] = reader.array()?;
        let received: [u8; 16] = reader.array()?;
        let keys = [&self.key, &self.previous_key];
        let is_ours = keys
            .iter()
            .any(|key| bool::from(tag(key, issued_ms, salt, subject).ct_eq(&received)));
        let age_ms = milliseconds(now)
            .checked_sub(issued_ms)
            .ok_or(HandshakeError::Token)?;
        if !is_ours || u128::from(age_ms) > LIFE.as_millis() {
            return Err(HandshakeError::Token);
        }
        self.strike(now, salt, subject.source.site())
    }

    fn strike(&mut self, now: Timestamp, salt: [u8; 8], site: Site) -> Result<(), HandshakeError> {
        let [current, previous] = &mut self.strikes;
        if now.saturating_since(self.strikes_since) > STRIKES_LIFE {
            std::mem::swap(current, previous);
            current.clear();
            self.strikes_since = now;
        }
        if previous.contains(&salt) || current.contains(&salt) {
            return Err(HandshakeError::Replayed);
        }
        // After the token, so that nobody spends what another site has; before it is remembered, so that no site fills the
        // memory for all: in a generation one has at most a tenth of it.
        if !self.allowances.take(now, site) {
            return Err(HandshakeError::Busy {
                retry_after_ms: BUSY_MS,
            });
        }
        // When full, nobody gets in who might be a replay; a fresh HELLO works again within seconds.
        if current.len() >= STRIKES_MOST {
            return Err(HandshakeError::Token);
        }
        current.insert(salt);
        Ok(())
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tokens")
    }
}

fn milliseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanoseconds() / 1_000_000).unwrap_or(0)
}

fn tag(key: &[u8; 32], issued_ms: u64, salt: [u8; 8], subject: &TokenSubject<'_>) -> [u8; 16] {
    let whole = hmac(
        key,
        &[
            b"tok2",
            &issued_ms.to_le_bytes(),
            &salt,
            &subject.source.0,
            subject.core.bytes(),
            &[subject.version, subject.suite],
            &subject.server_key.0,
        ],
    );
    let (half, _) = whole.split_first_chunk().unwrap_or((&[0; 16], &[]));
    *half
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hello::Limits;
    use crate::keys::Suites;
    use rand_core::{Infallible, TryCryptoRng, TryRng};
    use sdvr_frame::{Interface, MacAddress};

    /// Different numbers, which is all that salts need here.
    struct Counting(u64);

    impl TryRng for Counting {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            Ok(0)
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            Ok(0)
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            self.0 += 1;
            let number = self.0.to_le_bytes();
            bytes
                .iter_mut()
                .zip(number.iter().cycle())
                .for_each(|(to, from)| *to = *from);
            Ok(())
        }
    }

    impl TryCryptoRng for Counting {}

    /// A flood of good tokens fills the memory for used ones up to its limit; then nobody gets in who might be a replay,
    /// and a generation later everybody does.
    #[test]
    fn the_memory_for_used_tokens_is_bounded() {
        let random = &mut Counting(0);
        let now = Timestamp::from_nanoseconds(1_000_000_000);
        let core = HelloCore::new(Suites::all(true), &Limits::default(), None, random);
        let subject = TokenSubject {
            source: &SourceAddress([0; 19]),
            core: &core,
            version: 2,
            suite: 0,
            server_key: &PublicKey([7; 32]),
        };
        let mut tokens = Tokens::new(now, random);
        let first = tokens.issue(now, &subject, random);
        assert_eq!(tokens.accept(now, &first, &subject), Ok(()));
        for _ in 1..STRIKES_MOST {
            random.0 += 1;
            // From as many sites as it takes.
            let site = Site::of(u32::try_from(random.0 / 500).unwrap().to_be_bytes().into());
            assert_eq!(tokens.strike(now, random.0.to_le_bytes(), site), Ok(()));
        }
        let another = tokens.issue(now, &subject, random);
        let full = tokens.accept(now, &another, &subject);
        assert_eq!(full, Err(HandshakeError::Token));
        let replayed = tokens.accept(now, &first, &subject);
        assert_eq!(replayed, Err(HandshakeError::Replayed));
        let later = now + STRIKES_LIFE + Duration::from_millis(1);
        let another = tokens.issue(later, &subject, random);
        assert_eq!(tokens.accept(later, &another, &subject), Ok(()));
        assert!(
            tokens
                .strikes
                .iter()
                .all(|strikes| strikes.len() <= STRIKES_MOST)
        );
    }

    #[test]
    fn a_card_on_a_link_is_one_source_and_its_link_one_site() {
        let card = |index, last| {
            SourceAddress::from(LinkAddress::Ethernet {
                interface: Interface::new(index, "eth0").unwrap(),
                mac: MacAddress([2, 0, 0, 0, 0, last]),
            })
        };
        let different = [card(1, 1), card(1, 2), card(2, 1), card(1 << 24, 1)];
        let distinct: std::collections::HashSet<SourceAddress> = different.into();
        assert_eq!(distinct.len(), different.len());
        assert_eq!(card(1, 1).site(), card(1, 2).site());
        assert_ne!(card(1, 1).site(), card(2, 1).site());
        assert_ne!(card(1, 1).site(), card(1 << 24, 1).site());
        // 1.0.0.0 has the bytes of an interface's index.
        let host: SocketAddr = "1.0.0.0:1".parse().unwrap();
        assert_ne!(card(1, 1).site(), SourceAddress::from(host).site());
        assert_eq!(
            SourceAddress::from(LinkAddress::from(host)),
            SourceAddress::from(host)
        );
    }

    #[test]
    fn one_site_cannot_use_up_the_memory_for_used_tokens() {
        let random = &mut Counting(0);
        let start = Timestamp::from_nanoseconds(1_000_000_000);
        let mut tokens = Tokens::new(start, random);
        let site = |text: &str| SourceAddress::from(text.parse::<SocketAddr>().unwrap()).site();
        // A generation long, 10,000 a second, from ever another address of a /64.
        for number in 0..110_000_u64 {
            let now = start + Duration::from_micros(number * 100);
            let flood = site(&format!("[2001:db8::{:x}]:1", number % 65_536));
            let _ = tokens.strike(now, number.to_le_bytes(), flood);
        }
        let used: usize = tokens.strikes.iter().map(|strikes| strikes.len()).sum();
        assert!((6_000..=6_600).contains(&used), "{used}");
        let now = start + Duration::from_micros(10_999_900);
        let flood = tokens.strike(now, [0xff; 8], site("[2001:db8::]:1"));
        assert_eq!(
            flood,
            Err(HandshakeError::Busy {
                retry_after_ms: BUSY_MS
            })
        );
        let other = tokens.strike(now, [0xfe; 8], site("[2001:db8:0:1::]:1"));
        assert_eq!(other, Ok(()));
    }
}
