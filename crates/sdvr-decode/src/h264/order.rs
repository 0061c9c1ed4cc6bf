//! Pictures in the order in which they are shown.
//!
//! OpenH264 has an order of its own, which takes the pictures that wait from those that the stream may refer to, and fails for want of them.

use crate::picture::Picture;
use sdvr_frame::h264::{PictureOrder, SequenceParameters};
use sdvr_frame::picture_order::Place;

/// No stream may keep back more pictures than that (A.3.1, h).
const WAITING_MOST: usize = 16;
/// Counts, and keeps the pictures that wait.
#[derive(Debug, Default)]
pub(super) struct Order {
    count: PictureOrder,
    waiting: Vec<(Place, Picture)>,
    /// Whose memory is used again.
    spare: Vec<Picture>,
}

impl Order {
    /// The place of the picture whose first slice this is; `None` when the slice does not tell.
    pub(super) fn place(&mut self, slice: &[u8], sequence: &SequenceParameters) -> Option<Place> {
        self.count.place(slice, sequence)
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
