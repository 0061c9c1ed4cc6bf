//! The order in which pictures are shown: by their picture order count, of which each slice says the low bits (H.264, 8.2.1.1; H.265, 8.3.1).

/// Where a picture is in the order: those before a picture from which nothing reaches back come before it, whatever they count.
///
/// ```
/// use sdvr_frame::picture_order::Place;
///
/// let (before, after) = (Place { sequence: 1, count: 8 }, Place { sequence: 2, count: 0 });
/// assert!(before < after && after < Place::LAST);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// How many coded video sequences began before it, its own included.
    pub sequence: u64,
    /// Its picture order count.
    pub count: i64,
}

impl Place {
    /// Behind all others: of a picture that does not tell its place.
    pub const LAST: Self = Self {
        sequence: u64::MAX,
        count: i64::MAX,
    };
}

/// Makes counts of their low bits. Both standards do so in the same way, by the last picture that others build on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counter {
    sequence: u64,
    /// `prevPicOrderCntMsb` and `prevPicOrderCntLsb`.
    high: i64,
    low: i64,
}

/// What a slice says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LowBits {
    pub(crate) value: u32,
    /// How many bits there are, 16 at most.
    pub(crate) bits: u32,
    /// Whether the counts of pictures after it build on this one's.
    pub(crate) is_reference: bool,
}

impl Counter {
    /// A coded video sequence begins with the next picture.
    pub(crate) fn begin_sequence(&mut self) {
        self.sequence = self.sequence.saturating_add(1);
        (self.high, self.low) = (0, 0);
    }

    pub(crate) fn place(&mut self, said: LowBits) -> Place {
        let low = i64::from(said.value);
        let most = 1_i64 << said.bits.min(16);
        let high = if low < self.low && self.low - low >= most / 2 {
            self.high.saturating_add(most)
        } else if low > self.low && low - self.low > most / 2 {
            self.high.saturating_sub(most)
        } else {
            self.high
        };
        if said.is_reference {
            (self.high, self.low) = (high, low);
        }
        Place {
            sequence: self.sequence,
            count: high.saturating_add(low),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_bits_go_round_in_both_directions() {
        let mut counter = Counter::default();
        counter.begin_sequence();
        let mut count = |value, is_reference| {
            counter
                .place(LowBits {
                    value,
                    bits: 4,
                    is_reference,
                })
                .count
        };
        assert_eq!(count(0, true), 0);
        // What is shown before the key frame.
        assert_eq!(count(14, false), -2);
        let up = [6, 12, 2, 8].map(|value| count(value, true));
        assert_eq!(up, [6, 12, 18, 24]);
        assert_eq!(count(4, false), 20);
        assert_eq!(count(14, true), 30);
        counter.begin_sequence();
        let begins = counter.place(LowBits {
            value: 0,
            bits: 4,
            is_reference: true,
        });
        assert_eq!((begins.sequence, begins.count), (2, 0));
    }
}
