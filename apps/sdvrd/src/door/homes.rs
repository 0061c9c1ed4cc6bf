//! Which shard each camera lives in, from its first admission on: a reconnect finds its rings there.

use std::collections::HashMap;

use sdvr_frame::PublicKey;

/// The shards of the cameras that were let in and are known yet, so of no more than are known.
#[derive(Debug)]
pub(super) struct Homes {
    /// By the key with which each camera came last.
    by_key: HashMap<PublicKey, usize>,
    cameras_per_shard: Vec<usize>,
}

impl Homes {
    pub(super) fn new(shards: usize) -> Self {
        Self {
            by_key: HashMap::new(),
            cameras_per_shard: vec![0; shards],
        }
    }

    /// Where a camera lives that came with this key last.
    pub(super) fn of(&self, key: &PublicKey) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    /// The shard of a camera that was let in: the one it had, also under another key, or the one with the fewest. From now on it
    /// is found by this key.
    pub(super) fn take_in(&mut self, key: PublicKey, others: &[PublicKey]) -> usize {
        let before: Vec<usize> = std::iter::once(&key)
            .chain(others)
            .filter_map(|key| self.remove(key))
            .collect();
        let home = before.first().copied().unwrap_or_else(|| {
            let counts = self.cameras_per_shard.iter().enumerate();
            counts
                .min_by_key(|(_, count)| **count)
                .map_or(0, |(index, _)| index)
        });
        if let Some(count) = self.cameras_per_shard.get_mut(home) {
            *count += 1;
        }
        self.by_key.insert(key, home);
        home
    }

    /// The camera may not come with this key any more; gives where it lived, if it had come with it last.
    pub(super) fn remove(&mut self, key: &PublicKey) -> Option<usize> {
        let home = self.by_key.remove(key)?;
        if let Some(count) = self.cameras_per_shard.get_mut(home) {
            *count = count.saturating_sub(1);
        }
        Some(home)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn key(number: u8) -> PublicKey {
        PublicKey([number; 32])
    }

    #[test]
    fn cameras_are_spread_and_come_back_to_their_shard() {
        let mut homes = Homes::new(2);
        let first: Vec<usize> = (0..4).map(|it| homes.take_in(key(it), &[])).collect();
        assert_eq!(first, [0, 1, 0, 1]);
        let again: Vec<usize> = (0..4).map(|it| homes.take_in(key(it), &[])).collect();
        assert_eq!(again, first);
        assert_eq!(homes.cameras_per_shard, [2, 2]);
    }

    #[test]
    fn a_camera_with_another_key_lives_where_it_did_and_is_one_camera() {
        let mut homes = Homes::new(3);
        homes.take_in(key(0), &[]);
        assert_eq!(homes.take_in(key(1), &[]), 1);
        for number in 2..100 {
            // Each key but the first is the next of the one before.
            assert_eq!(homes.take_in(key(number), &[key(number - 1)]), 1);
        }
        assert_eq!(homes.of(&key(99)), Some(1));
        assert_eq!((homes.by_key.len(), homes.of(&key(98))), (2, None));
        assert_eq!(homes.cameras_per_shard, [1, 1, 0]);
    }

    #[test]
    fn nothing_is_kept_of_cameras_that_are_not_known_any_more() {
        let mut homes = Homes::new(2);
        for round in 0..100 {
            homes.take_in(key(round), &[]);
            homes.take_in(key(200), &[]);
            assert_eq!(homes.remove(&key(round)), Some(0));
            assert_eq!(homes.remove(&key(round)), None);
            assert_eq!(homes.remove(&key(200)), Some(1));
        }
        assert!(homes.by_key.is_empty());
        assert_eq!(homes.cameras_per_shard, [0, 0]);
    }
}
