//! Where the other end is: an address is believed when a secret sent there has come back from it.
//!
//! An authentic packet from a new address shows that the other end has moved (a new lease, another network, a router that has forgotten), or
//! that somebody has passed its packet on. The answer to a challenge tells them apart.
//!
//! ```text
//! the newest packet comes from B ──► challenge to B ──► its answer ──► B is the address; all else went to A until then
//! ```

use std::time::Duration;

use sdvr_frame::Timestamp;

/// The other end moves no more often.
const MOVE_LEAST: Duration = Duration::from_secs(1);
/// A challenge is sent again, so many times soon after each other: it, or its answer, may have been lost.
const AGAIN: Duration = Duration::from_millis(100);
const SOON: u32 = 5;
/// And then as long as packets come from there: what is said to the old address reaches nobody, so the session hangs on it.
const AGAIN_LATER: Duration = Duration::from_secs(1);

/// The address of one peer.
#[derive(Clone, Debug)]
pub struct PeerPath<Address> {
    address: Address,
    moved: Option<Timestamp>,
    candidate: Option<Candidate<Address>>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate<Address> {
    address: Address,
    secret: [u8; 8],
    asked: Timestamp,
    challenges: u32,
}

impl<Address: Copy + Eq> PeerPath<Address> {
    /// A peer whose address was proved by the handshake.
    pub const fn new(address: Address) -> Self {
        Self {
            address,
            moved: None,
            candidate: None,
        }
    }

    /// Where to send to.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The newest authentic packet came from `address`. Gives what is to be said there, by [`crate::Session::challenge`], if anything is;
    /// `secret` makes it up.
    ///
    /// Equal addresses may differ in what does not say where the other end is, as in the one of this end that it sends to: the newest is kept,
    /// so that answers leave from there.
    pub fn handle_newest(
        &mut self,
        now: Timestamp,
        address: Address,
        secret: impl FnOnce() -> [u8; 8],
    ) -> Option<[u8; 8]> {
        if address == self.address {
            self.address = address;
            self.candidate = None;
            return None;
        }
        if self.moved.is_some_and(|moved| now < moved + MOVE_LEAST) {
            return None;
        }
        let candidate = match &mut self.candidate {
            Some(candidate) if candidate.address == address => candidate,
            other => other.insert(Candidate {
                address,
                secret: secret(),
                asked: Timestamp::NEVER,
                challenges: 0,
            }),
        };
        let again = match candidate.challenges {
            0 => Duration::ZERO,
            1..SOON => AGAIN,
            _ => AGAIN_LATER,
        };
        if candidate.challenges > 0 && now < candidate.asked + again {
            return None;
        }
        candidate.asked = now;
        candidate.challenges = candidate.challenges.saturating_add(1);
        Some(candidate.secret)
    }

    /// Where challenges go.
    pub fn candidate(&self) -> Option<Address> {
        self.candidate.as_ref().map(|candidate| candidate.address)
    }

    /// An answer came from `from`: whether the other end is there from now on.
    pub fn handle_answer(&mut self, now: Timestamp, from: Address, secret: [u8; 8]) -> bool {
        let is_right = self
            .candidate
            .as_ref()
            .is_some_and(|candidate| candidate.address == from && candidate.secret == secret);
        if is_right {
            self.address = from;
            self.moved = Some(now);
            self.candidate = None;
        }
        is_right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);
    const SECRET: [u8; 8] = [7; 8];

    fn after(milliseconds: u64) -> Timestamp {
        NOW + Duration::from_millis(milliseconds)
    }

    #[test]
    fn an_address_is_believed_when_its_secret_has_come_back_from_it() {
        let mut path = PeerPath::new('a');
        assert_eq!(path.handle_newest(NOW, 'a', || SECRET), None);
        assert_eq!(path.handle_newest(NOW, 'b', || SECRET), Some(SECRET));
        assert_eq!((path.address(), path.candidate()), ('a', Some('b')));
        assert!(!path.handle_answer(NOW, 'b', [8; 8]));
        assert!(!path.handle_answer(NOW, 'c', SECRET));
        assert!(path.handle_answer(NOW, 'b', SECRET));
        assert_eq!((path.address(), path.candidate()), ('b', None));
        assert!(!path.handle_answer(NOW, 'b', SECRET), "once");
    }

    /// An address of the other end, and this end's that it sends to.
    #[derive(Clone, Copy, Debug)]
    struct Pair {
        peer: char,
        own: u8,
    }

    impl PartialEq for Pair {
        fn eq(&self, other: &Self) -> bool {
            self.peer == other.peer
        }
    }

    impl Eq for Pair {}

    #[test]
    fn answers_leave_from_where_the_other_end_sends_to_now() {
        let pair = |peer, own| Pair { peer, own };
        let mut path = PeerPath::new(pair('a', 1));
        assert_eq!(path.handle_newest(NOW, pair('a', 2), || SECRET), None);
        assert_eq!(path.address().own, 2);
        // Nobody else decides that.
        path.handle_newest(NOW, pair('b', 3), || SECRET);
        assert_eq!((path.address().peer, path.address().own), ('a', 2));
    }

    #[test]
    fn a_challenge_is_made_again_soon_and_then_once_a_second() {
        let mut path = PeerPath::new('a');
        let times: Vec<u64> = (0..3000)
            .filter(|&time| path.handle_newest(after(time), 'b', || SECRET).is_some())
            .collect();
        assert_eq!(times, [0, 100, 200, 300, 400, 1400, 2400]);
        // The old address is heard again: it was somebody else, or is another attempt from now on.
        assert_eq!(path.handle_newest(after(3000), 'a', || SECRET), None);
        assert_eq!(
            path.handle_newest(after(3000), 'b', || SECRET),
            Some(SECRET)
        );
    }

    #[test]
    fn nobody_moves_more_often_than_once_a_second() {
        let mut path = PeerPath::new('a');
        path.handle_newest(NOW, 'b', || SECRET);
        assert!(path.handle_answer(NOW, 'b', SECRET));
        assert_eq!(path.handle_newest(after(999), 'c', || SECRET), None);
        assert_eq!(
            path.handle_newest(after(1000), 'c', || SECRET),
            Some(SECRET)
        );
    }
}
