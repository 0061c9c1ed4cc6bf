//! What frames that are put together take, of all sessions of a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A stream that holds no more yields to nobody: a few frames of an ordinary camera. Who takes much must not keep others from little.
const SMALL_BYTES: usize = 1 << 20;

/// How much frames on their way over datagrams may take, in all sessions that have this budget. By default there is no bound but each stream's.
///
/// When it is used up, a stream that holds more than a megabyte gives up its oldest frame.
///
/// ```
/// use sdvr_session::ReassemblyBudget;
///
/// let budget = ReassemblyBudget::new(64 << 20);
/// assert_eq!(budget.held_bytes(), 0);
/// ```
#[derive(Clone, Debug, Default)]
pub struct ReassemblyBudget(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    most_bytes: usize,
    held_bytes: AtomicUsize,
}

impl ReassemblyBudget {
    /// One of so many bytes.
    #[must_use]
    pub fn new(most_bytes: usize) -> Self {
        Self(Some(Arc::new(Shared {
            most_bytes,
            held_bytes: AtomicUsize::new(0),
        })))
    }

    /// What all sessions hold now; 0 without a bound.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        // Relaxed, here and below: a sum that stands for itself.
        self.0
            .as_ref()
            .map_or(0, |shared| shared.held_bytes.load(Ordering::Relaxed))
    }
}

/// What one stream holds of it.
#[derive(Debug, Default)]
pub(crate) struct Held {
    budget: ReassemblyBudget,
    bytes: usize,
}

impl Held {
    pub(crate) fn of(budget: &ReassemblyBudget) -> Self {
        Self {
            budget: budget.clone(),
            bytes: 0,
        }
    }

    /// The stream holds so many bytes now.
    pub(crate) fn set(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.bytes, bytes);
        let Some(shared) = &self.budget.0 else {
            return;
        };
        if bytes > before {
            let more = bytes.saturating_sub(before);
            shared.held_bytes.fetch_add(more, Ordering::Relaxed);
        } else if bytes < before {
            let less = before.saturating_sub(bytes);
            shared.held_bytes.fetch_sub(less, Ordering::Relaxed);
        }
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the stream has to give something up.
    pub(crate) fn must_yield(&self) -> bool {
        self.bytes > SMALL_BYTES
            && self
                .budget
                .0
                .as_ref()
                .is_some_and(|shared| shared.held_bytes.load(Ordering::Relaxed) > shared.most_bytes)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_much_yields_and_who_holds_little_does_not() {
        let budget = ReassemblyBudget::new(10 << 20);
        let [mut much, mut little] = [Held::of(&budget), Held::of(&budget)];
        much.set(10 << 20);
        assert!(!much.must_yield());
        little.set(500_000);
        assert!(much.must_yield() && !little.must_yield());
        much.set(9 << 20);
        assert!(!much.must_yield());
        assert_eq!(budget.held_bytes(), (9 << 20) + 500_000);
        drop((much, little));
        assert_eq!(budget.held_bytes(), 0);
    }
}
