//! How many HELLOs are answered: 20,000 a second in all, as an answer costs a keyed hash and a system call, and whoever sends a HELLO has not shown
//! yet where he is.

use std::collections::HashSet;

use sdvr_frame::{Allowance, Timestamp};
use sdvr_session::Site;

/// All answers in any one second, by whatever they leave.
const ANSWERS_MOST: u32 = 20_000;
/// Those of one kind at once: a site may switch a thousand cameras on.
const BURST: u32 = 1_000;
/// Sites of cameras that are remembered, in each of two generations. Only who is let in takes a place.
const SITES_MOST: usize = 8_192;

/// What may still be answered.
///
/// Connections and each medium of datagrams have equal shares: who floods one of them with forged senders keeps nobody out who comes by another. Half
/// of a medium's share is kept for sites from where a camera was let in, so that a camera comes back in a flood by whoever does not know where it is.
#[derive(Debug)]
pub(super) struct Hellos {
    connections: Allowance,
    media: Vec<Medium>,
    sites: [HashSet<Site>; 2],
}

#[derive(Debug)]
struct Medium {
    of_cameras: Allowance,
    of_anybody: Allowance,
}

impl Hellos {
    /// For connections and so many media of datagrams.
    pub(super) fn new(now: Timestamp, media: usize) -> Self {
        let ways = u32::try_from(media.saturating_add(1)).unwrap_or(u32::MAX);
        let share = ANSWERS_MOST / ways;
        let medium = || Medium {
            of_cameras: allowance(now, share / 2),
            of_anybody: allowance(now, share / 2),
        };
        Self {
            connections: allowance(now, share),
            media: std::iter::repeat_with(medium).take(media).collect(),
            sites: Default::default(),
        }
    }

    /// Of those that come by connections, whose senders are where they say.
    pub(super) const fn connections(&mut self) -> &mut Allowance {
        &mut self.connections
    }

    /// Whether one is answered that has come by this medium as from `site`; it counts as answered then.
    pub(super) fn take(&mut self, now: Timestamp, medium: usize, site: Site) -> bool {
        let is_of_camera = self.sites.iter().any(|sites| sites.contains(&site));
        self.media.get_mut(medium).is_some_and(|medium| {
            (is_of_camera && medium.of_cameras.take(now)) || medium.of_anybody.take(now)
        })
    }

    /// A camera was let in that has shown that it is there.
    pub(super) fn remember(&mut self, site: Site) {
        let [current, previous] = &mut self.sites;
        if current.len() >= SITES_MOST && !current.contains(&site) {
            std::mem::swap(current, previous);
            current.clear();
        }
        current.insert(site);
    }
}

/// At most so many in any one second: a burst and what comes in the second after it.
fn allowance(now: Timestamp, in_a_second: u32) -> Allowance {
    let burst = BURST.min(in_a_second / 2);
    Allowance::new(now, burst.into(), (in_a_second - burst).into())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use sdvr_session::SourceAddress;

    use super::*;

    const START: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);
    const CAMERA: u32 = 0;

    fn site(number: u32) -> Site {
        SourceAddress::from(SocketAddr::from((number.to_be_bytes(), 1337))).site()
    }

    /// Those answered in each of `seconds`, when forty thousand ask in each by every medium and by connections, and again from where a
    /// camera was.
    fn answered_in_flood(hellos: &mut Hellos, media: usize, seconds: u64) -> Vec<usize> {
        let answered = |second| {
            let moments = (0..40_000_u32).map(|moment| {
                let now = START
                    + Duration::from_secs(second)
                    + Duration::from_micros(25 * u64::from(moment));
                let connections = usize::from(hellos.connections().take(now));
                let sites = [site(CAMERA), site(1 + moment)];
                let datagrams = (0..media)
                    .flat_map(|medium| sites.map(|site| (medium, site)))
                    .filter(|&(medium, site)| hellos.take(now, medium, site));
                connections + datagrams.count()
            });
            moments.sum()
        };
        (0..seconds).map(answered).collect()
    }

    #[test]
    fn no_second_has_more_than_twenty_thousand_answers_however_many_ask() {
        for media in 0..=3 {
            let mut hellos = Hellos::new(START, media);
            hellos.remember(site(CAMERA));
            let answered = answered_in_flood(&mut hellos, media, 3);
            let is_bounded = |count: &usize| (12_000..=20_000).contains(count);
            assert!(answered.iter().all(is_bounded), "{media}: {answered:?}");
        }
    }

    #[test]
    fn a_flood_with_forged_senders_keeps_out_neither_connections_nor_known_sites_nor_other_media() {
        let mut hellos = Hellos::new(START, 2);
        hellos.remember(site(CAMERA));
        let flooded = (0..50_000).filter(|&number| hellos.take(START, 0, site(1 + number)));
        assert_eq!(flooded.count(), 1_000);
        let answered = |may: &mut dyn FnMut() -> bool| (0..1_000).filter(|_| may()).count();
        assert_eq!(answered(&mut || hellos.connections().take(START)), 1_000);
        assert_eq!(answered(&mut || hellos.take(START, 0, site(CAMERA))), 1_000);
        assert_eq!(answered(&mut || hellos.take(START, 1, site(1))), 1_000);
    }

    #[test]
    fn sites_of_cameras_are_remembered_in_bounded_memory() {
        let mut hellos = Hellos::new(START, 1);
        for number in 0..100_000 {
            hellos.remember(site(number));
            hellos.remember(site(CAMERA));
        }
        let kept: usize = hellos.sites.iter().map(HashSet::len).sum();
        assert!((SITES_MOST..=2 * SITES_MOST).contains(&kept), "{kept}");
        assert!(hellos.sites[0].contains(&site(CAMERA)));
    }
}
