//! Those who were not let in yet, and who of them goes when there are too many.

use std::collections::HashMap;

use sdvr_frame::Timestamp;
use sdvr_session::Site;

use crate::knock::STRANGER_TIME;
use crate::slots::Slots;

/// One site may have one in so many of all strangers.
const SITE_SHARE: usize = 4;

/// Somebody who was not let in yet.
pub(crate) trait Stranger {
    /// Where it comes from.
    fn site(&self) -> Site;
    /// When it came.
    fn since(&self) -> Timestamp;
}

/// All strangers of one kind, by token and by site.
#[derive(Debug)]
pub(super) struct Strangers<S> {
    strangers: Slots<S>,
    per_site: HashMap<Site, usize>,
}

impl<S: Stranger> Strangers<S> {
    pub(super) fn new() -> Self {
        Self {
            strangers: Slots::new(),
            per_site: HashMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.strangers.len()
    }

    pub(super) fn insert(&mut self, stranger: S) -> u64 {
        *self.per_site.entry(stranger.site()).or_default() += 1;
        self.strangers.insert(stranger)
    }

    pub(super) fn get_mut(&mut self, token: u64) -> Option<&mut S> {
        self.strangers.get_mut(token)
    }

    pub(super) fn remove(&mut self, token: u64) -> Option<S> {
        let stranger = self.strangers.remove(token)?;
        if let Some(count) = self.per_site.get_mut(&stranger.site()) {
            *count -= 1;
            if *count == 0 {
                self.per_site.remove(&stranger.site());
            }
        }
        Some(stranger)
    }

    /// Who must go so that another from `site` may come, if there may be `most` in all. To be asked until it is nobody.
    ///
    /// A site that has its share makes room itself; else the one that has the most does. So who comes from many addresses takes
    /// nothing from a camera before having no more than that camera's site.
    pub(super) fn one_too_many(&self, site: Site, most: usize) -> Option<u64> {
        let share = (most / SITE_SHARE).max(1);
        let own = self.count(site);
        let crowd = if own >= share {
            own
        } else if self.len() >= most {
            self.per_site.values().copied().max()?
        } else {
            return None;
        };
        let must_yield = |other: Site| match own >= share {
            true => other == site,
            false => self.count(other) == crowd,
        };
        self.strangers
            .iter()
            .filter(|(_, stranger)| must_yield(stranger.site()))
            .min_by_key(|(_, stranger)| stranger.since())
            .map(|(token, _)| token)
    }

    fn count(&self, site: Site) -> usize {
        self.per_site.get(&site).copied().unwrap_or(0)
    }

    /// Those who have taken too long.
    pub(super) fn slow(&self, now: Timestamp) -> Vec<u64> {
        self.strangers
            .iter()
            .filter(|(_, stranger)| now.saturating_since(stranger.since()) > STRANGER_TIME)
            .map(|(token, _)| token)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
    use std::time::Duration;

    use sdvr_transport::Listener;

    use crate::knock::Knock;

    const START: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);

    /// Strangers over real connections, with made up addresses.
    struct Crowd {
        listener: Listener,
        strangers: Strangers<Knock>,
        clients: Vec<TcpStream>,
    }

    impl Crowd {
        fn new() -> Self {
            Self {
                listener: sdvr_transport::listen(Some(Ipv4Addr::LOCALHOST.into()), 0).unwrap(),
                strangers: Strangers::new(),
                clients: Vec::new(),
            }
        }

        /// One more stranger, later than those before.
        fn comes_from(&mut self, address: &str) -> u64 {
            self.clients
                .push(TcpStream::connect(self.listener.address()).unwrap());
            let (link, _) = std::iter::repeat_with(|| self.listener.accept().unwrap())
                .flatten()
                .next()
                .unwrap();
            let peer = SocketAddr::new(address.parse::<IpAddr>().unwrap(), 4711);
            let since = START + Duration::from_millis(self.clients.len().try_into().unwrap());
            self.strangers.insert(Knock::new(link, peer, since))
        }

        fn yields_to(&self, address: &str, most: usize) -> Option<u64> {
            self.strangers.one_too_many(site(address), most)
        }
    }

    fn site(address: &str) -> Site {
        let peer = SocketAddr::new(address.parse::<IpAddr>().unwrap(), 4711);
        sdvr_session::SourceAddress::from(peer).site()
    }

    #[test]
    fn nobody_goes_while_there_is_room() {
        let mut crowd = Crowd::new();
        (0..3).for_each(|_| {
            crowd.comes_from("192.0.2.1");
        });
        assert_eq!(crowd.yields_to("192.0.2.1", 16), None);
        assert_eq!(crowd.yields_to("192.0.2.2", 16), None);
    }

    #[test]
    fn a_site_that_has_its_share_makes_room_itself() {
        let mut crowd = Crowd::new();
        let other = crowd.comes_from("192.0.2.2");
        let oldest = crowd.comes_from("2001:db8::1");
        (2..5).for_each(|host| {
            crowd.comes_from(&format!("2001:db8::{host}"));
        });
        assert_eq!(crowd.yields_to("2001:db8::ffff", 16), Some(oldest));
        assert_eq!(crowd.yields_to("2001:db8:0:1::", 16), None);
        assert!(crowd.strangers.remove(oldest).is_some());
        assert_eq!(crowd.yields_to("2001:db8::ffff", 16), None);
        // With less room there is less to share.
        assert_eq!(crowd.yields_to("192.0.2.2", 4), Some(other));
    }

    #[test]
    fn who_comes_from_many_addresses_does_not_push_a_camera_out() {
        let mut crowd = Crowd::new();
        let camera = crowd.comes_from("192.0.2.1");
        let first = crowd.comes_from("198.51.100.1");
        for host in [1, 1, 2, 2, 2, 3, 3, 3] {
            crowd.comes_from(&format!("198.51.100.{host}"));
        }
        assert_eq!(crowd.strangers.len(), 10);
        let mut gone = Vec::new();
        for host in 4..7 {
            let address = format!("198.51.100.{host}");
            let token = crowd.yields_to(&address, 10).unwrap();
            gone.push(token);
            assert!(crowd.strangers.remove(token).is_some());
            crowd.comes_from(&address);
        }
        assert!(gone.contains(&first) && !gone.contains(&camera), "{gone:?}");
    }

    #[test]
    fn nothing_is_kept_of_those_who_went() {
        let mut crowd = Crowd::new();
        let token = crowd.comes_from("192.0.2.1");
        assert!(crowd.strangers.remove(token).is_some());
        assert!(crowd.strangers.remove(token).is_none());
        assert!(crowd.strangers.per_site.is_empty());
    }
}
