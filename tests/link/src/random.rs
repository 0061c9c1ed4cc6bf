//! Where the link's chances come from: one stream of numbers for each kind of decision, so that the third frame meets the same fate whatever
//! else is asked for.

/// What numbers are drawn for. Each has a stream of its own.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(crate) enum Purpose {
    Loss = 1,
    Outage,
    Jitter,
    Reordering,
    Duplication,
    Corruption,
    CorruptedBit,
    OtherSide,
}

/// SplitMix64: the n-th number depends on seed, purpose and n only.
#[derive(Debug, Clone)]
pub(crate) struct Numbers {
    state: u64,
}

impl Numbers {
    pub(crate) fn new(seed: u64, purpose: Purpose) -> Self {
        Self {
            state: mix(seed ^ mix(purpose as u64)),
        }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// At least 0, less than 1.
    pub(crate) fn next_share(&mut self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "53 bits are what an f64 holds exactly"
        )]
        let numerator = (self.next() >> 11) as f64;
        numerator / (1_u64 << 53) as f64
    }
}

/// The seed of the direction from B to A, so that the two do not lose the same frames.
pub(crate) fn other_seed(seed: u64) -> u64 {
    Numbers::new(seed, Purpose::OtherSide).next()
}

fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
