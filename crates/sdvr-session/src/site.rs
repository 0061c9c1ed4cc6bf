//! How many handshakes one site may begin: a flood from one place must leave room and time for cameras from others.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use sdvr_frame::Timestamp;

/// Handshakes a site may begin at once: it may switch a thousand cameras on behind one address.
const BURST: u32 = 1_000;
/// One more for each of these: 500 a second.
const INTERVAL: Duration = Duration::from_millis(2);
/// After so long without a handshake, a site has its whole burst again.
const REFILL_TIME: Duration = INTERVAL.saturating_mul(BURST);
/// Sites remembered in each of two generations. All beyond share what one site may.
const SITES_MOST: usize = 8_192;

/// A place that packets come from: an IPv4 address, or an IPv6 /64, within which addresses cost nothing, as they do on the Ethernet that an
/// interface is in.
///
/// ```
/// use sdvr_session::SourceAddress;
///
/// let site = |text: &str| SourceAddress::from(text.parse::<std::net::SocketAddr>().unwrap()).site();
/// assert_eq!(site("[2001:db8:1:2::3]:1337"), site("[2001:db8:1:2:ffff::]:1400"));
/// assert_ne!(site("[2001:db8:1:2::3]:1337"), site("[2001:db8:1:3::3]:1337"));
/// assert_ne!(site("192.0.2.1:1337"), site("192.0.2.2:1337"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Site([u8; 8]);

impl Site {
    /// All that are not remembered one by one: nobody sends from a multicast address.
    const OTHERS: Self = Self([0xff; 8]);

    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Self([a, b, c, d, e, f, g, h])
            }
        }
    }

    /// The Ethernet of the interface with this index.
    pub(crate) fn of_interface([a, b, c, d]: [u8; 4]) -> Self {
        // As below; the two differ in the fourth byte.
        Self([0, 0, 0xff, 0xfe, a, b, c, d])
    }

    fn of_v4(ip: Ipv4Addr) -> Self {
        let [a, b, c, d] = ip.octets();
        // A /64 that begins with zeros is given to nobody.
        Self([0, 0, 0xff, 0xff, a, b, c, d])
    }
}

/// What each site has left.
///
/// By site, the time at which it has its whole burst again: a handshake moves that on by what one costs, but never further ahead
/// than the burst. A time that is over means the same as none, so nothing is lost with a generation that is forgotten after the
/// time that a refill takes.
#[derive(Debug)]
pub(crate) struct Allowances {
    full_at: [HashMap<Site, Timestamp>; 2],
    since: Timestamp,
}

impl Allowances {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self {
            full_at: Default::default(),
            since: now,
        }
    }

    /// Whether `site` may begin a handshake. Remembers nothing.
    pub(crate) fn has_any(&self, now: Timestamp, site: Site) -> bool {
        self.spend(now, self.remembered_as(site)).is_some()
    }

    /// Takes one of the handshakes that `site` has left; false when there is none.
    pub(crate) fn take(&mut self, now: Timestamp, site: Site) -> bool {
        let [current, previous] = &mut self.full_at;
        if now.saturating_since(self.since) > REFILL_TIME {
            std::mem::swap(current, previous);
            current.clear();
            self.since = now;
        }
        let site = self.remembered_as(site);
        let Some(full_at) = self.spend(now, site) else {
            return false;
        };
        let [current, _] = &mut self.full_at;
        current.insert(site, full_at);
        true
    }

    /// When `site` would be full again after one more handshake; `None` when it has none left.
    fn spend(&self, now: Timestamp, site: Site) -> Option<Timestamp> {
        let [current, previous] = &self.full_at;
        let full_at = current.get(&site).or_else(|| previous.get(&site));
        let next = full_at.map_or(now, |&full_at| full_at.max(now)) + INTERVAL;
        (next.saturating_since(now) <= REFILL_TIME).then_some(next)
    }

    /// `site` itself, as long as there is room for it.
    fn remembered_as(&self, site: Site) -> Site {
        let [current, _] = &self.full_at;
        if current.len() < SITES_MOST || current.contains_key(&site) {
            site
        } else {
            Site::OTHERS
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);

    fn site(number: u32) -> Site {
        Site::of_v4(number.into())
    }

    fn taken(allowances: &mut Allowances, now: Timestamp, site: Site) -> u32 {
        (0..10_000)
            .map(|_| u32::from(allowances.take(now, site)))
            .sum()
    }

    #[test]
    fn a_thousand_cameras_come_at_once_and_then_500_a_second() {
        let mut allowances = Allowances::new(START);
        assert_eq!(taken(&mut allowances, START, site(1)), 1_000);
        assert!(!allowances.has_any(START, site(1)));
        // Across generations, of which the first ends within these.
        for second in 1..=10 {
            let now = START + Duration::from_secs(second);
            assert!(allowances.has_any(now, site(1)));
            assert_eq!(taken(&mut allowances, now, site(1)), 500, "second {second}");
        }
        let later = START + Duration::from_secs(3600);
        assert_eq!(taken(&mut allowances, later, site(1)), 1_000);
    }

    #[test]
    fn time_that_goes_back_gives_nothing() {
        let mut allowances = Allowances::new(START);
        assert_eq!(taken(&mut allowances, START, site(1)), 1_000);
        let before = START - Duration::from_millis(500);
        assert_eq!(taken(&mut allowances, before, site(1)), 0);
        assert_eq!(taken(&mut allowances, START, site(1)), 0);
    }

    /// Whatever comes, and from wherever: what is remembered is bounded, and what sites beyond it get all together, too.
    #[test]
    fn a_flood_of_sites_is_remembered_up_to_a_bound_and_none_gets_more_by_it() {
        let mut allowances = Allowances::new(START);
        assert_eq!(taken(&mut allowances, START, site(0)), 1_000);
        let let_in = (1..100_000)
            .filter(|&number| allowances.take(START, site(number)))
            .count();
        assert_eq!(let_in, SITES_MOST - 1 + 1_000);
        assert!(
            !allowances.has_any(START, site(0)),
            "the flood has washed it away"
        );
        let kept = |allowances: &Allowances| -> usize {
            allowances.full_at.iter().map(HashMap::len).sum()
        };
        assert_eq!(kept(&allowances), SITES_MOST + 1);
        for second in 1..10 {
            let now = START + Duration::from_secs(second);
            (0..20_000).for_each(|number| {
                allowances.take(now, site(number));
            });
            assert!(kept(&allowances) <= 2 * (SITES_MOST + 1));
        }
    }

    #[test]
    fn an_ipv4_address_is_one_site_in_either_form() {
        let mapped: IpAddr = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(Site::of(mapped), Site::of("192.0.2.1".parse().unwrap()));
        assert_ne!(Site::of(mapped), Site::of("::1".parse().unwrap()));
    }
}
