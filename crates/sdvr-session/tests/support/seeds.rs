//! Many runs, each of which follows from its seed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Runs every seed below `count`, on all processors; `SDVR_SEEDS` says how many instead.
///
/// # Panics
///
/// With the seeds that failed, when all have run; each has said why before.
pub(crate) fn for_each_seed(count: u64, run: impl Fn(u64) + Sync) {
    let count = std::env::var("SDVR_SEEDS").map_or(count, |seeds| seeds.parse().unwrap());
    let next = AtomicU64::new(0);
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    // Only gives each seed to one thread.
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= count {
                        break;
                    }
                    if catch_unwind(AssertUnwindSafe(|| run(seed))).is_err() {
                        failed.lock().unwrap().push(seed);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "seeds {failed:?} failed, see above");
}
