//! Which missing fragments need not be asked for, as parity gives them back.

use std::collections::BTreeMap;

use super::{ArrivedParity, Groups};
use crate::datagram::partial::PartialFrame;

/// How many missing fragments of each group of a frame are covered: by parity that has arrived, and by such as is still on its way.
#[derive(Debug)]
pub(crate) enum Cover<'a> {
    /// There is no parity, and none to come.
    None,
    Parity {
        groups: Groups,
        rows: u8,
        arrived: Option<&'a ArrivedParity>,
        is_over: bool,
        /// Of the groups that were asked about.
        left: BTreeMap<u32, u32>,
        /// How many fragments may be covered yet, of this frame and others.
        most: &'a mut u32,
    },
}

impl<'a> Cover<'a> {
    /// Of a frame of which more is on its way unless it `is_over`. Before its own parity tells, it is expected to have as much as the last one.
    pub(crate) fn of(
        frame: &'a PartialFrame,
        is_over: bool,
        parity_lately: Option<(Groups, u8)>,
        most: &'a mut u32,
    ) -> Self {
        let arrived = frame.parity();
        let (groups, rows) = match (arrived, parity_lately) {
            (Some(parity), _) => (parity.groups, parity.rows),
            (None, Some((others, rows))) if !is_over => {
                let groups = Groups::of(frame.facts());
                (groups, groups.rows_like(&others, rows))
            }
            (None, _) => return Self::None,
        };
        Self::Parity {
            groups,
            rows,
            arrived,
            is_over,
            left: BTreeMap::new(),
            most,
        }
    }

    pub(crate) const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether a missing fragment is covered. Each one that is leaves less for the next, so ask about each once, up to the first that is not.
    pub(crate) fn covers(&mut self, fragment: u32) -> bool {
        let Self::Parity {
            groups,
            rows,
            arrived,
            is_over,
            left,
            most,
        } = self
        else {
            return false;
        };
        let group = groups.group_of(fragment);
        let left = left.entry(group).or_insert_with(|| {
            let heard = arrived.map_or(0, |parity| parity.heard);
            let to_come = if *is_over {
                0
            } else {
                groups.rows_from(group, *rows, heard)
            };
            let has_come = arrived.map_or(0, |parity| parity.arrived_of(group));
            has_come.saturating_add(to_come)
        });
        let covers = *left > 0 && **most > 0;
        *left = left.saturating_sub(1);
        **most = most.saturating_sub(1);
        covers
    }
}
