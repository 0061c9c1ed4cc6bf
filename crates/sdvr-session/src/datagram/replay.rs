//! Which packets of a session have been opened: each counts once, whatever the order in which they arrive.
//!
//! A window of bits that moves with the highest counter (RFC 6479): the bits of a block are cleared when the window reaches it, so that
//! nothing is ever shifted.
//!
//! ```text
//!    too old │◄──────────── 16,384 counters ───────────►│ highest │ not seen yet
//!            │ 1 1 1 0 1 1 …                    … 1 0 1 │    1    │
//! ```

/// How far behind the highest counter a packet may come: 15 ms at 10 Gbit/s of packets of 1,200 bytes.
const WINDOW: u64 = 16_384;
const BLOCK_BITS: u64 = u64::BITS as u64;
/// One block more than the window, as the newest is only in part behind the highest counter.
const BLOCKS: usize = (WINDOW / BLOCK_BITS) as usize + 1;

/// The counters of one direction that were opened.
#[derive(Debug)]
pub(crate) struct ReplayWindow {
    /// `None` before the first packet.
    highest: Option<u64>,
    /// As far as bits were set: a peer that has not said much yet takes little. Blocks that are not there are 0.
    blocks: Vec<u64>,
}

impl ReplayWindow {
    pub(crate) const fn new() -> Self {
        Self {
            highest: None,
            blocks: Vec::new(),
        }
    }

    /// The highest counter that was opened.
    pub(crate) const fn highest(&self) -> Option<u64> {
        self.highest
    }

    /// Whether a packet of this counter may still be opened. Ask before opening it, which is what costs.
    pub(crate) fn is_new(&self, counter: u64) -> bool {
        let Some(highest) = self.highest else {
            return true;
        };
        if counter > highest {
            return true;
        }
        let is_in_window = highest.abs_diff(counter) < WINDOW;
        is_in_window && self.block(counter) & bit(counter) == 0
    }

    /// A packet of this counter has opened. Only then: a forged one must not move the window.
    pub(crate) fn mark(&mut self, counter: u64) {
        match self.highest {
            None => self.highest = Some(counter),
            Some(highest) if counter > highest => {
                self.clear_between(highest / BLOCK_BITS, counter / BLOCK_BITS);
                self.highest = Some(counter);
            }
            Some(_) => {}
        }
        let place = place(counter);
        if self.blocks.len() <= place {
            let wanted = place.saturating_add(1).next_power_of_two().min(BLOCKS);
            let more = wanted.saturating_sub(self.blocks.len());
            self.blocks.reserve_exact(more);
            self.blocks.resize(wanted, 0);
        }
        if let Some(block) = self.blocks.get_mut(place) {
            *block |= bit(counter);
        }
    }

    /// Clears the blocks after `from` up to `to`.
    fn clear_between(&mut self, from: u64, to: u64) {
        let count = to.saturating_sub(from).min(BLOCKS as u64);
        for step in 0..count {
            let place = place(to.saturating_sub(step).saturating_mul(BLOCK_BITS));
            if let Some(block) = self.blocks.get_mut(place) {
                *block = 0;
            }
        }
    }

    fn block(&self, counter: u64) -> u64 {
        self.blocks.get(place(counter)).copied().unwrap_or(0)
    }
}

/// In which block a counter's bit is.
fn place(counter: u64) -> usize {
    // Neither is zero, and what is left is below the number of blocks.
    let place = (counter >> BLOCK_BITS.trailing_zeros()).checked_rem(BLOCKS as u64);
    place
        .and_then(|place| usize::try_from(place).ok())
        .unwrap_or(0)
}

const fn bit(counter: u64) -> u64 {
    1 << (counter % BLOCK_BITS)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Takes a packet as a receiver does.
    fn take(window: &mut ReplayWindow, counter: u64) -> bool {
        let is_new = window.is_new(counter);
        if is_new {
            window.mark(counter);
        }
        is_new
    }

    #[test]
    fn each_counter_is_new_once_in_any_order() {
        let mut window = ReplayWindow::new();
        for counter in [5, 0, 3, 4, 1, 2, 700, 699, 6] {
            assert!(take(&mut window, counter), "{counter}");
            assert!(!take(&mut window, counter), "{counter} again");
        }
        assert_eq!(window.highest(), Some(700));
    }

    #[test]
    fn what_is_behind_the_window_is_not_new() {
        let mut window = ReplayWindow::new();
        assert!(take(&mut window, WINDOW));
        assert!(window.is_new(1));
        assert!(!window.is_new(0));
        assert!(take(&mut window, 10 * WINDOW));
        assert!(window.is_new(9 * WINDOW + 1));
        assert!(!window.is_new(9 * WINDOW));
    }

    #[test]
    fn a_jump_forgets_only_what_is_behind_the_window() {
        for jump in [
            1,
            63,
            64,
            65,
            4096,
            WINDOW - 1,
            WINDOW,
            WINDOW + 64,
            1 << 40,
        ] {
            let mut window = ReplayWindow::new();
            (0..200).for_each(|counter| window.mark(counter));
            let highest = 199 + jump;
            window.mark(highest);
            for counter in highest.saturating_sub(WINDOW + 300)..=highest {
                let is_in_window = highest - counter < WINDOW;
                let was_seen = counter < 200 || counter == highest;
                let expected = is_in_window && !was_seen;
                assert_eq!(window.is_new(counter), expected, "{counter} after {jump}");
            }
        }
    }

    #[test]
    fn the_end_of_all_counters_is_a_counter_like_any_other() {
        let mut window = ReplayWindow::new();
        assert!(take(&mut window, u64::MAX));
        assert!(!take(&mut window, u64::MAX));
        assert!(take(&mut window, u64::MAX - WINDOW + 1));
        assert!(!window.is_new(0));
    }

    #[test]
    fn it_agrees_with_a_set_over_random_orders() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % below
        };
        let mut window = ReplayWindow::new();
        let mut seen = HashSet::new();
        let mut highest = 0;
        for _ in 0..200_000 {
            let counter = match next(100) {
                0 => highest + next(2 * WINDOW),
                1..50 => highest + 1,
                _ => (highest + 20).saturating_sub(next(WINDOW + 50)),
            };
            let expected = highest.saturating_sub(counter) < WINDOW && !seen.contains(&counter);
            assert_eq!(take(&mut window, counter), expected, "{counter}");
            if expected {
                seen.insert(counter);
                highest = highest.max(counter);
            }
        }
    }
}
