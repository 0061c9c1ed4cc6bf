//! Randomness that can be had again: a test says its seed when it fails, and takes it from `SDVR_TEST_SEED`.

/// Numbers that look random and follow from a seed (`SplitMix64`).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Seeded by `SDVR_TEST_SEED`, else by the system. Printed, which cargo shows of tests that fail.
    #[must_use]
    pub fn new(what: &str) -> Self {
        let seed = match std::env::var("SDVR_TEST_SEED") {
            Ok(seed) => seed.parse().expect("SDVR_TEST_SEED is a number"),
            Err(_) => getrandom::u64().expect("the system has randomness"),
        };
        eprintln!("{what}: SDVR_TEST_SEED={seed}");
        Self(seed)
    }

    /// Any number.
    pub const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub const fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }
}
