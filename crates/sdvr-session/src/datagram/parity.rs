//! Forward error correction: parity from which fragments are computed that have not arrived, without asking for them.
//!
//! The fragments of a frame are dealt to groups like cards, so that those which are lost in one burst are of different groups. Each group
//! has rows of parity; as many rows as fragments of the group are missing give them all back (a Cauchy code over GF(2^8), WIRE.md section 6).
//!
//! ```text
//! fragments   0 1 2 3 4 5 6 7 8          parity   0 1 2 3
//! group       A B A B A B A B A                   A B A B
//!                                        row      0 0 1 1
//! ```
//!
//! Written here, as it is little and the known ones do not fit. `reed-solomon-simd` (GF(2^16), by transforms) takes 0.6 ms to restore one
//! fragment of a frame of 100 KB and at first 40 ms for its tables of 8 MiB, in the one thread that serves all cameras of a shard.

mod cover;
mod field;
mod rows;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::partial::FrameFacts;
use crate::error::SessionError;

pub(crate) use cover::Cover;

/// Fragments in a group, at most.
const GROUP_MOST: u32 = 128;
/// Rows of parity of a group, at most.
pub(crate) const ROWS_MOST: u8 = 64;

/// Which parity a datagram carries, as it stands in the place of a fragment's offset.
///
/// ```text
/// byte 0             3       4
///      +-------------+-------+
///      | number      | rows  |
///      +-------------+-------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ParityPlace {
    /// From 0 on; row `number / groups` of group `number % groups`.
    pub(crate) number: u32,
    /// That each group has.
    pub(crate) rows: u8,
}

impl ParityPlace {
    pub(crate) const fn from_offset(offset: u32) -> Self {
        let [a, b, c, rows] = offset.to_le_bytes();
        let number = u32::from_le_bytes([a, b, c, 0]);
        Self { number, rows }
    }

    pub(crate) const fn to_offset(self) -> u32 {
        let [a, b, c, _] = self.number.to_le_bytes();
        u32::from_le_bytes([a, b, c, self.rows])
    }
}

/// How the fragments of a frame are dealt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Groups {
    fragments: u32,
    count: u32,
    /// Of a parity: that of the longest fragment.
    pub(crate) parity_bytes: usize,
    fragment_bytes: usize,
}

impl Groups {
    pub(crate) fn of(facts: &FrameFacts) -> Self {
        let fragments = facts.fragments();
        let fragment_bytes = usize::from(facts.fragment_bytes);
        Self {
            fragments,
            count: fragments.div_ceil(GROUP_MOST).max(1),
            parity_bytes: fragment_bytes.min(facts.frame_bytes as usize),
            fragment_bytes,
        }
    }

    pub(crate) fn group_of(&self, number: u32) -> u32 {
        number.checked_rem(self.count).unwrap_or(0)
    }

    fn row_of(&self, number: u32) -> u32 {
        number.checked_div(self.count).unwrap_or(0)
    }

    /// The fragments of a group, in order.
    fn fragments_of(&self, group: u32) -> impl Iterator<Item = u32> + use<> {
        let step = usize::try_from(self.count).unwrap_or(usize::MAX);
        (group..self.fragments).step_by(step.max(1))
    }

    /// How many parities there are, of so many rows.
    pub(crate) const fn parities(&self, rows: u8) -> u32 {
        self.count.saturating_mul(rows as u32)
    }

    /// How many rows are so many per cent of a group's fragments, rounded up.
    pub(crate) fn rows_of_percent(&self, percent: u8) -> u8 {
        let largest = u64::from(self.fragments.div_ceil(self.count.max(1)));
        let rows = largest.saturating_mul(percent.into()).div_ceil(100);
        u8::try_from(rows).unwrap_or(ROWS_MOST).min(ROWS_MOST)
    }

    /// How many rows a frame of these groups has, if one of others has `rows`, of the same percentage.
    pub(crate) fn rows_like(&self, others: &Self, rows: u8) -> u8 {
        let largest = |groups: &Self| u64::from(groups.fragments.div_ceil(groups.count.max(1)));
        let alike = largest(self)
            .saturating_mul(rows.into())
            .checked_div(largest(others))
            .unwrap_or(0);
        u8::try_from(alike).unwrap_or(ROWS_MOST).clamp(1, ROWS_MOST)
    }

    /// How many rows of a group have a number of `from` or above.
    pub(crate) fn rows_from(&self, group: u32, rows: u8, from: u32) -> u32 {
        let before = from.saturating_sub(group).div_ceil(self.count.max(1));
        u32::from(rows).saturating_sub(before)
    }

    fn fragment<'a>(&self, frame: &'a [u8], number: u32) -> &'a [u8] {
        let begin = (number as usize).saturating_mul(self.fragment_bytes);
        let rest = frame.get(begin..).unwrap_or_default();
        rest.get(..self.fragment_bytes).unwrap_or(rest)
    }
}

/// The parity of a frame at its sender.
#[derive(Debug)]
pub(crate) struct Parity {
    groups: Groups,
    pub(crate) rows: u8,
    /// Group by group, row by row.
    bytes: Vec<u8>,
}

impl Parity {
    /// Of a frame, so many per cent of its fragments; `None` if that is nothing.
    pub(crate) fn of(facts: &FrameFacts, frame: &[u8], percent: u8) -> Option<Self> {
        let groups = Groups::of(facts);
        let rows = groups.rows_of_percent(percent);
        if rows == 0 || groups.parity_bytes == 0 {
            return None;
        }
        let group_bytes = usize::from(rows).saturating_mul(groups.parity_bytes);
        let mut bytes = vec![0; group_bytes.saturating_mul(groups.count as usize)];
        let mut coefficients = vec![0; rows.into()];
        for (group, parity) in (0..).zip(bytes.chunks_mut(group_bytes)) {
            for (place, number) in (0..).zip(groups.fragments_of(group)) {
                for (row, coefficient) in (0..).zip(&mut coefficients) {
                    *coefficient = rows::coefficient(row, place);
                }
                let fragment = groups.fragment(frame, number);
                rows::add_products(fragment, &coefficients, parity, groups.parity_bytes);
            }
        }
        Some(Self {
            groups,
            rows,
            bytes,
        })
    }

    pub(crate) const fn count(&self) -> u32 {
        self.groups.parities(self.rows)
    }

    pub(crate) fn bytes(&self, number: u32) -> &[u8] {
        let (group, row) = (self.groups.group_of(number), self.groups.row_of(number));
        let place = group.saturating_mul(self.rows.into()).saturating_add(row);
        let begin = (place as usize).saturating_mul(self.groups.parity_bytes);
        let rest = self.bytes.get(begin..).unwrap_or_default();
        rest.get(..self.groups.parity_bytes).unwrap_or(rest)
    }
}

/// The parity of a frame that has arrived, of groups in which fragments are missing.
#[derive(Debug)]
pub(crate) struct ArrivedParity {
    pub(crate) groups: Groups,
    pub(crate) rows: u8,
    /// One more than the highest number that has arrived.
    pub(crate) heard: u32,
    waiting: BTreeMap<u32, Waiting>,
}

/// A group of which less has arrived than it takes.
#[derive(Debug)]
struct Waiting {
    missing: usize,
    rows: Vec<u8>,
    /// Of these rows, one after the other.
    bytes: Vec<u8>,
}

/// Fragments that were computed, of one group.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) fragments: Vec<u32>,
    /// One after the other, as long as the longest.
    pub(crate) bytes: Vec<u8>,
}

impl ArrivedParity {
    pub(crate) fn new(facts: &FrameFacts, rows: u8) -> Self {
        Self {
            groups: Groups::of(facts),
            rows,
            heard: 0,
            waiting: BTreeMap::new(),
        }
    }

    pub(crate) fn held_bytes(&self) -> usize {
        let waiting = self.waiting.values();
        waiting
            .map(|group| {
                let rows = group.rows.capacity();
                group.bytes.capacity().saturating_add(rows)
            })
            .sum()
    }

    /// How many rows of a group have arrived while fragments of it were missing.
    pub(crate) fn arrived_of(&self, group: u32) -> u32 {
        let waiting = self.waiting.get(&group);
        waiting.map_or(0, |group| u32::try_from(group.rows.len()).unwrap_or(0))
    }

    /// Takes a parity; `has` tells whether a fragment has arrived. Gives the group that can be computed now, if any.
    ///
    /// # Errors
    ///
    /// The frame has no such parity.
    pub(crate) fn take(
        &mut self,
        place: ParityPlace,
        bytes: &[u8],
        has: impl Fn(u32) -> bool,
    ) -> Result<Option<u32>, SessionError> {
        let is_of_the_frame = place.rows == self.rows
            && (1..=ROWS_MOST).contains(&place.rows)
            && place.number < self.groups.parities(place.rows)
            && bytes.len() == self.groups.parity_bytes;
        if !is_of_the_frame {
            return Err(SessionError::Frame("parity does not fit its frame"));
        }
        self.heard = self.heard.max(place.number.saturating_add(1));
        let group = self.groups.group_of(place.number);
        let row = u8::try_from(self.groups.row_of(place.number)).unwrap_or(ROWS_MOST);
        let waiting = match self.waiting.entry(group) {
            Entry::Occupied(waiting) => waiting.into_mut(),
            Entry::Vacant(vacant) => {
                let fragments = self.groups.fragments_of(group);
                let missing = fragments.filter(|number| !has(*number)).count();
                if missing == 0 {
                    return Ok(None);
                }
                vacant.insert(Waiting {
                    missing,
                    rows: Vec::new(),
                    bytes: Vec::new(),
                })
            }
        };
        if waiting.rows.contains(&row) {
            return Ok(None);
        }
        waiting.rows.push(row);
        waiting.bytes.extend_from_slice(bytes);
        Ok((waiting.rows.len() >= waiting.missing).then_some(group))
    }

    /// A fragment has arrived that had not. Gives the group that can be computed now, if any.
    pub(crate) fn fill(&mut self, number: u32) -> Option<u32> {
        let group = self.groups.group_of(number);
        let waiting = self.waiting.get_mut(&group)?;
        waiting.missing = waiting.missing.saturating_sub(1);
        if waiting.missing == 0 {
            self.waiting.remove(&group);
            return None;
        }
        (waiting.rows.len() >= waiting.missing).then_some(group)
    }

    /// Computes what is missing of a group that [`Self::take`] or [`Self::fill`] gave; `frame` holds what has arrived.
    pub(crate) fn restore(
        &mut self,
        group: u32,
        frame: &[u8],
        has: impl Fn(u32) -> bool,
    ) -> Option<Restored> {
        let Waiting {
            missing,
            rows,
            mut bytes,
        } = self.waiting.remove(&group)?;
        let rows = rows.get(..missing)?;
        let length = self.groups.parity_bytes;
        bytes.truncate(missing.saturating_mul(length));
        let mut coefficients = vec![0; missing];
        let (mut fragments, mut places) = (Vec::new(), Vec::new());
        for (place, number) in (0..).zip(self.groups.fragments_of(group)) {
            if !has(number) {
                fragments.push(number);
                places.push(place);
                continue;
            }
            for (row, coefficient) in rows.iter().zip(&mut coefficients) {
                *coefficient = rows::coefficient(*row, place);
            }
            let fragment = self.groups.fragment(frame, number);
            rows::add_products(fragment, &coefficients, &mut bytes, length);
        }
        rows::solve(rows, &places, &mut bytes, length);
        Some(Restored { fragments, bytes })
    }
}

#[cfg(test)]
mod tests;
