//! The order in which pictures are shown: by their picture order count (H.264, 8.2.1), which their slices say.
//!
//! OpenH264 has an order of its own, which takes the pictures that wait from those that the stream may refer to, and fails for want of them.

use super::sps::{OrderCount, ParameterSet};
use crate::picture::Picture;
use sdvr_frame::bits::{Bits, without_emulation_prevention};

/// No stream may keep back more pictures than that (A.3.1, h).
const WAITING_MOST: usize = 16;
/// More than the fields of a slice's header up to the count take.
const SLICE_HEADER_BYTES: usize = 32;

/// Where a picture is in the order: pictures before a key frame come before it, whatever they count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    keys: u64,
    count: i64,
}

impl Place {
    /// Behind all others: of a picture that does not tell its place.
    pub(super) const LAST: Self = Self {
        keys: u64::MAX,
        count: i64::MAX,
    };
}

/// Counts, and keeps the pictures that wait.
#[derive(Debug, Default)]
pub(super) struct Order {
    keys: u64,
    /// `prevPicOrderCntMsb` and `prevPicOrderCntLsb` of 8.2.1.1.
    reference_high: i64,
    reference_low: i64,
    waiting: Vec<(Place, Picture)>,
    /// Whose memory is used again.
    spare: Vec<Picture>,
}

impl Order {
    /// The place of the picture whose first slice this is; `None` when the slice does not tell.
    pub(super) fn place(&mut self, slice: &[u8], sequence: &ParameterSet) -> Option<Place> {
        let (&header, rest) = slice.split_first()?;
        let is_key = header & 31 == super::KEY_SLICE;
        if is_key {
            self.keys = self.keys.saturating_add(1);
            (self.reference_high, self.reference_low) = (0, 0);
        }
        let OrderCount::Low { bits: count_bits } = sequence.order else {
            return None;
        };
        let start = rest.get(..SLICE_HEADER_BYTES).unwrap_or(rest);
        let start = without_emulation_prevention(start);
        let bits = &mut Bits::new(&start);
        for _ in 0..3 {
            bits.unsigned()?;
        }
        bits.take(sequence.frame_number_bits)?;
        if is_key {
            bits.unsigned()?;
        }
        let low = i64::from(bits.take(count_bits)?);
        let most = 1_i64 << count_bits;
        let high = if low < self.reference_low && self.reference_low - low >= most / 2 {
            self.reference_high.saturating_add(most)
        } else if low > self.reference_low && low - self.reference_low > most / 2 {
            self.reference_high.saturating_sub(most)
        } else {
            self.reference_high
        };
        // Only of pictures that others refer to.
        if header & 0x60 != 0 {
            (self.reference_high, self.reference_low) = (high, low);
        }
        Some(Place {
            keys: self.keys,
            count: high.saturating_add(low),
        })
    }

    /// Whether no picture waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A picture to decode into.
    pub(super) fn spare(&mut self) -> Picture {
        self.spare.pop().unwrap_or_default()
    }

    /// Takes back a picture that is not needed any more.
    pub(super) fn give_back(&mut self, picture: Picture) {
        if self.spare.len() < 2 {
            self.spare.push(picture);
        }
    }

    /// Puts the picture that was decoded last in its place, and takes out the one whose turn it is.
    ///
    /// Where the stream says how many pictures wait at most, the first one's turn is when more do; else when one that is shown after it has just been
    /// decoded, which is right for every encoder that decodes what is shown first as soon as it can.
    pub(super) fn exchange(
        &mut self,
        place: Place,
        picture: Picture,
        reordered: Option<u32>,
    ) -> Option<Picture> {
        self.waiting.push((place, picture));
        let first = self.waiting.iter().map(|(place, _)| *place).min()?;
        let is_due = match reordered {
            // A damaged parameter set may say any number, and all that wait are kept.
            Some(most) => self.waiting.len() > WAITING_MOST.min(most as usize),
            None => first < place || self.waiting.len() > WAITING_MOST,
        };
        if is_due { self.take_first() } else { None }
    }

    /// Takes out the picture that is shown first of those that wait.
    pub(super) fn take_first(&mut self) -> Option<Picture> {
        let places = self.waiting.iter().enumerate();
        let (at, _) = places.min_by_key(|(_, (place, _))| *place)?;
        Some(self.waiting.swap_remove(at).1)
    }

    /// The picture that waits, while it is the only one.
    pub(super) const fn only(&self) -> Option<&Picture> {
        match self.waiting.as_slice() {
            [(_, picture)] => Some(picture),
            _ => None,
        }
    }

    /// Forgets all pictures.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_parameter_set_makes_pictures_wait_for_ever() {
        for reordered in [None, Some(3), Some(100), Some(u32::MAX)] {
            let mut order = Order::default();
            let wait_at_most = reordered.map_or(WAITING_MOST, |it| WAITING_MOST.min(it as usize));
            let mut came_out = 0;
            for number in 0..100 {
                let next = order.exchange(Place::LAST, Picture::default(), reordered);
                came_out += usize::from(next.is_some());
                assert_eq!(came_out, (number + 1_usize).saturating_sub(wait_at_most));
            }
        }
    }
}
