//! The book of the budget: every ring's share, and who waits for one.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::Account;
use crate::sizing::RingSize;

/// How much there is for a new ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// The whole budget.
    pub(crate) total_bytes: u64,
    /// What nobody has.
    pub(crate) free_bytes: u64,
    /// What must be left of that.
    pub(crate) kept_bytes: u64,
    /// What the camera has in other rings.
    pub(crate) camera_bytes: u64,
    /// What it may take before the memory of its own rings that have ended is given back.
    pub(crate) camera_may_take_bytes: u64,
}

/// What the owner of a ring is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plea {
    /// To make it anew at half its depth.
    Halve,
    /// To end it, since its camera is lost.
    GiveUp,
}

#[derive(Debug)]
pub(super) struct Ledger {
    total_bytes: u64,
    used_bytes: u64,
    next_number: u64,
    shares: BTreeMap<u64, Entry>,
    /// What those need at least who wait, in the order in which they came.
    queue: BTreeMap<u64, u64>,
}

/// One ring's share.
#[derive(Debug)]
pub(super) struct Entry {
    size: RingSize,
    /// It is not made smaller than this.
    least: RingSize,
    account: Account,
    life: Life,
    /// The share of the ring that is about to take its place.
    heir: Option<u64>,
    plea: Option<Plea>,
}

/// What the ring does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Streams,
    /// Its camera is lost, since this number was given.
    Lost(u64),
    /// It has ended.
    Leaves,
}

impl Entry {
    pub(super) const fn new(size: RingSize, least: RingSize, account: Account) -> Self {
        Self {
            size,
            least,
            account,
            life: Life::Streams,
            heir: None,
            plea: None,
        }
    }

    /// What it gives back when it has ended.
    const fn bytes(&self) -> u64 {
        self.size.total_bytes()
    }

    /// Half of it, if it can be made so small and is not being replaced already.
    fn half(&self) -> Option<RingSize> {
        let half = self.size.halved();
        let is_enough = half.data_bytes >= self.least.data_bytes;
        (self.life == Life::Streams && self.heir.is_none() && is_enough).then_some(half)
    }

    /// What is on its way back because it has ended, was asked for or is being replaced.
    fn promised_bytes(&self) -> u64 {
        match (self.life, self.plea) {
            (Life::Leaves, _) | (_, Some(Plea::GiveUp)) => self.bytes(),
            _ if self.heir.is_some() => self.bytes(),
            (_, Some(Plea::Halve)) => self.bytes() - self.size.halved().total_bytes(),
            (_, None) => 0,
        }
    }

    /// What can be had of it at most.
    fn spare_bytes(&self) -> u64 {
        match self.life {
            Life::Leaves | Life::Lost(_) => self.bytes(),
            Life::Streams if self.heir.is_some() => self.bytes(),
            Life::Streams => {
                let least = self.size.least_above(self.least.data_bytes);
                self.bytes() - least.total_bytes()
            }
        }
    }
}

impl Ledger {
    pub(super) const fn new(total_bytes: u64) -> Self {
        Self {
            total_bytes,
            used_bytes: 0,
            next_number: 0,
            shares: BTreeMap::new(),
            queue: BTreeMap::new(),
        }
    }

    pub(super) const fn room(&self) -> Room {
        Room {
            total_bytes: self.total_bytes,
            free_bytes: self.total_bytes.saturating_sub(self.used_bytes),
            kept_bytes: 0,
            camera_bytes: 0,
            camera_may_take_bytes: self.total_bytes,
        }
    }

    /// How much there is for a ring of a camera that takes the place of another.
    pub(super) fn room_for(&self, account: &Account, instead_of: Option<u64>) -> Room {
        let replaced = instead_of.and_then(|number| self.shares.get(&number));
        let replaced_bytes = replaced.map_or(0, Entry::bytes);
        let camera_bytes = account.held_bytes().saturating_sub(replaced_bytes);
        let leaving_bytes = account.leaving_bytes();
        // Else a camera that opens streams all the time would have everything, most of it in rings that have ended.
        let camera_may_take_bytes = if leaving_bytes == 0 {
            self.total_bytes
        } else {
            (self.total_bytes / 4 * 3).saturating_sub(camera_bytes + leaving_bytes)
        };
        Room {
            camera_bytes,
            camera_may_take_bytes,
            ..self.room()
        }
    }

    /// What must stay free so that the deepest ring can be made smaller.
    pub(super) fn kept_bytes(&self) -> u64 {
        let halves = self.shares.values().filter_map(Entry::half);
        halves.map(RingSize::total_bytes).max().unwrap_or(0)
    }

    /// What will be given back soon.
    pub(super) fn leaving_bytes(&self) -> u64 {
        let shares = self.shares.values();
        let leaving = shares.filter(|entry| entry.life == Life::Leaves);
        leaving.map(Entry::bytes).sum()
    }

    /// What those need who came before `number`, or all who wait.
    pub(super) fn wanted_bytes(&self, number: Option<u64>) -> u64 {
        self.queue
            .range(..number.unwrap_or(u64::MAX))
            .map(|(_, bytes)| bytes)
            .sum()
    }

    /// Whether so much can be had, if everybody gives what can be spared.
    pub(super) fn can_free(&self, bytes: u64) -> bool {
        let spare: u64 = self.shares.values().map(Entry::spare_bytes).sum();
        bytes <= self.room().free_bytes + spare
    }

    pub(super) fn least_of(&self, number: u64) -> Option<RingSize> {
        self.shares.get(&number).map(|entry| entry.least)
    }

    pub(super) const fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// Who has this number waits for so much.
    pub(super) fn wants(&mut self, number: u64, needed_bytes: u64) {
        self.queue.insert(number, needed_bytes);
    }

    pub(super) fn leave_queue(&mut self, number: u64) {
        self.queue.remove(&number);
        if self.queue.is_empty() {
            // Nobody needs it any more.
            self.shares.values_mut().for_each(|entry| entry.plea = None);
        }
    }

    /// Asks lost cameras for their rings and then the owners of the deepest rings for half of theirs, until there is room for all who wait.
    pub(super) fn ask_around(&mut self) {
        let wanted = self.wanted_bytes(None);
        self.ask_lost_until(wanted);
        while self.missing_bytes(wanted + self.kept_bytes()) > 0 {
            let entries = self.shares.values_mut();
            let unasked = entries.filter(|entry| entry.plea.is_none() && entry.half().is_some());
            let Some(deepest) = unasked.max_by_key(|entry| entry.bytes()) else {
                break;
            };
            deepest.plea = Some(Plea::Halve);
        }
    }

    /// Asks lost cameras for their rings if those have `missing_bytes`.
    pub(super) fn ask_lost(&mut self, missing_bytes: u64) {
        let is_lost = |entry: &&Entry| matches!(entry.life, Life::Lost(_));
        let lost: u64 = self.shares.values().filter(is_lost).map(Entry::bytes).sum();
        if lost >= missing_bytes {
            let free = self.room().free_bytes + self.promised_bytes();
            self.ask_lost_until(free + missing_bytes);
        }
    }

    /// Asks cameras for their rings, those first that are lost longest, until `wanted_bytes` are to be had.
    fn ask_lost_until(&mut self, wanted_bytes: u64) {
        while self.missing_bytes(wanted_bytes) > 0 {
            let entries = self.shares.values_mut();
            let unasked = entries.filter_map(|entry| match entry.life {
                Life::Lost(since) if entry.plea.is_none() && entry.heir.is_none() => {
                    Some((since, entry))
                }
                _ => None,
            });
            let Some((_, longest)) = unasked.min_by_key(|(since, _)| *since) else {
                break;
            };
            longest.plea = Some(Plea::GiveUp);
        }
    }

    fn promised_bytes(&self) -> u64 {
        self.shares.values().map(Entry::promised_bytes).sum()
    }

    fn missing_bytes(&self, wanted_bytes: u64) -> u64 {
        wanted_bytes.saturating_sub(self.room().free_bytes + self.promised_bytes())
    }

    pub(super) fn has_pleas(&self) -> bool {
        self.shares.values().any(|entry| entry.plea.is_some())
    }

    pub(super) fn plea(&self, number: u64) -> Option<Plea> {
        self.shares.get(&number)?.plea
    }

    /// What is asked for cannot be given.
    pub(super) fn decline(&mut self, number: u64) {
        if let Some(entry) = self.shares.get_mut(&number)
            && entry.plea.take() == Some(Plea::Halve)
        {
            entry.least = entry.size;
        }
    }

    pub(super) fn set_lost(&mut self, number: u64, is_lost: bool) {
        let since = self.number();
        if let Some(entry) = self.shares.get_mut(&number)
            && entry.life != Life::Leaves
        {
            entry.plea = None;
            entry.life = if is_lost {
                Life::Lost(since)
            } else {
                Life::Streams
            };
        }
    }

    pub(super) fn enter(&mut self, entry: Entry, instead_of: Option<u64>) -> u64 {
        let number = self.number();
        // Relaxed, here and below: it is read under the lock.
        entry
            .account
            .held_bytes
            .fetch_add(entry.bytes(), Ordering::Relaxed);
        self.used_bytes += entry.bytes();
        if let Some(replaced) = instead_of.and_then(|replaced| self.shares.get_mut(&replaced)) {
            replaced.heir = Some(number);
        }
        self.shares.insert(number, entry);
        number
    }

    pub(super) fn leave(&mut self, number: u64) {
        if let Some(entry) = self.shares.get_mut(&number)
            && std::mem::replace(&mut entry.life, Life::Leaves) != Life::Leaves
        {
            entry.plea = None;
            entry
                .account
                .held_bytes
                .fetch_sub(entry.bytes(), Ordering::Relaxed);
            entry
                .account
                .leaving_bytes
                .fetch_add(entry.bytes(), Ordering::Relaxed);
        }
    }

    pub(super) fn strike(&mut self, number: u64) {
        let Some(entry) = self.shares.remove(&number) else {
            return;
        };
        self.used_bytes -= entry.bytes();
        let bytes = if entry.life == Life::Leaves {
            &entry.account.leaving_bytes
        } else {
            &entry.account.held_bytes
        };
        bytes.fetch_sub(entry.bytes(), Ordering::Relaxed);
        // The ring that it was to replace stays.
        let heirs = self
            .shares
            .values_mut()
            .filter(|other| other.heir == Some(number));
        heirs.for_each(|other| other.heir = None);
    }
}
