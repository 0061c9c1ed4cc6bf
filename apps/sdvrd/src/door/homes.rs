//! Which shard each camera lives in, from its first admission on: a reconnect finds its rings there.

use std::collections::HashMap;

use sdvr_frame::PublicKey;

/// The shards of the cameras that were let in, by keys that are known: a key that is not any more is to be removed.
#[derive(Debug)]
pub(super) struct Homes {
    /// All keys with which cameras came: a camera may have a session under one that it is about to leave.
    by_key: HashMap<PublicKey, CameraNumber>,
    cameras: HashMap<CameraNumber, Home>,
    next: CameraNumber,
    cameras_per_shard: Vec<usize>,
}

/// Tells cameras apart whatever their keys are.
type CameraNumber = u64;

#[derive(Debug)]
struct Home {
    shard: usize,
    /// How many keys lead here.
    keys: usize,
}

impl Homes {
    pub(super) fn new(shards: usize) -> Self {
        Self {
            by_key: HashMap::new(),
            cameras: HashMap::new(),
            next: 0,
            cameras_per_shard: vec![0; shards],
        }
    }

    /// Where a camera lives that came with this key.
    pub(super) fn of(&self, key: &PublicKey) -> Option<usize> {
        let camera = self.by_key.get(key)?;
        self.cameras.get(camera).map(|home| home.shard)
    }

    /// Where a camera lives that came with this key or one of the others.
    pub(super) fn of_any(&self, key: &PublicKey, others: &[PublicKey]) -> Option<usize> {
        let mut keys = std::iter::once(key).chain(others);
        keys.find_map(|key| self.of(key))
    }

    /// The shard with the fewest cameras, of those that are there and those that are `coming` to each.
    pub(super) fn emptiest_shard(&self, coming: impl Fn(usize) -> usize) -> usize {
        let counts = self.cameras_per_shard.iter().enumerate();
        counts
            .min_by_key(|(shard, count)| **count + coming(*shard))
            .map_or(0, |(shard, _)| shard)
    }

    /// The shard of one that is let in: the one it has, also under another key, or the `proposed` one. It is found there from now on.
    pub(super) fn take_in(
        &mut self,
        key: PublicKey,
        others: &[PublicKey],
        proposed: usize,
    ) -> usize {
        if let Some(home) = self.of(&key) {
            return home;
        }
        let of_others = others.iter().find_map(|other| self.by_key.get(other));
        let camera = match of_others {
            Some(&camera) => camera,
            None => {
                self.next += 1;
                self.next
            }
        };
        let home = self.cameras.entry(camera).or_insert_with(|| {
            if let Some(count) = self.cameras_per_shard.get_mut(proposed) {
                *count += 1;
            }
            Home {
                shard: proposed,
                keys: 0,
            }
        });
        home.keys += 1;
        self.by_key.insert(key, camera);
        home.shard
    }

    /// No camera comes with this key any more; gives where the one lived that did.
    pub(super) fn remove(&mut self, key: &PublicKey) -> Option<usize> {
        let camera = self.by_key.remove(key)?;
        let home = self.cameras.get_mut(&camera)?;
        let shard = home.shard;
        home.keys = home.keys.saturating_sub(1);
        if home.keys == 0 {
            self.cameras.remove(&camera);
            if let Some(count) = self.cameras_per_shard.get_mut(shard) {
                *count = count.saturating_sub(1);
            }
        }
        Some(shard)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn key(number: u8) -> PublicKey {
        PublicKey([number; 32])
    }

    fn take_in(homes: &mut Homes, key: PublicKey, others: &[PublicKey]) -> usize {
        let emptiest = homes.emptiest_shard(|_| 0);
        homes.take_in(key, others, emptiest)
    }

    #[test]
    fn cameras_are_spread_and_come_back_to_their_shard() {
        let mut homes = Homes::new(2);
        let first: Vec<usize> = (0..4).map(|it| take_in(&mut homes, key(it), &[])).collect();
        assert_eq!(first, [0, 1, 0, 1]);
        let again: Vec<usize> = (0..4).map(|it| take_in(&mut homes, key(it), &[])).collect();
        assert_eq!(again, first);
        assert_eq!(homes.cameras_per_shard, [2, 2]);
    }

    #[test]
    fn a_camera_with_another_key_lives_where_it_did_and_is_one_camera() {
        let mut homes = Homes::new(3);
        take_in(&mut homes, key(0), &[]);
        assert_eq!(take_in(&mut homes, key(1), &[]), 1);
        for number in 2..100 {
            // Each key but the first is the next of the one before, and good beside it for a while.
            let before = [key(number - 1)];
            assert_eq!(homes.of_any(&key(number), &before), Some(1));
            assert_eq!(homes.of(&key(number)), None);
            assert_eq!(take_in(&mut homes, key(number), &before), 1);
            assert_eq!(homes.of(&key(number - 1)), Some(1));
            assert_eq!(homes.cameras_per_shard, [1, 1, 0]);
            assert_eq!(homes.remove(&key(number - 1)), Some(1));
        }
        assert_eq!((homes.by_key.len(), homes.cameras.len()), (2, 2));
        assert_eq!(homes.of(&key(99)), Some(1));
        assert_eq!(homes.cameras_per_shard, [1, 1, 0]);
    }

    #[test]
    fn nothing_is_kept_of_cameras_that_are_not_known_any_more() {
        let mut homes = Homes::new(2);
        for round in 0..100 {
            take_in(&mut homes, key(round), &[]);
            take_in(&mut homes, key(200), &[]);
            assert_eq!(homes.remove(&key(round)), Some(0));
            assert_eq!(homes.remove(&key(round)), None);
            assert_eq!(homes.remove(&key(200)), Some(1));
        }
        assert!(homes.by_key.is_empty() && homes.cameras.is_empty());
        assert_eq!(homes.cameras_per_shard, [0, 0]);
    }

    #[test]
    fn those_who_are_coming_count() {
        let mut homes = Homes::new(3);
        assert_eq!(homes.emptiest_shard(|shard| [2, 1, 2][shard]), 1);
        assert_eq!(homes.take_in(key(0), &[], 1), 1);
        assert_eq!(homes.emptiest_shard(|shard| [2, 1, 1][shard]), 2);
        // Once it is somewhere, nothing else that is proposed counts.
        assert_eq!(homes.take_in(key(0), &[], 2), 1);
        assert_eq!(homes.take_in(key(1), &[key(0)], 2), 1);
    }
}
