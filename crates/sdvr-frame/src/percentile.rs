//! What a share of all values does not exceed.

/// The smallest of `sorted` that so many per cent of all do not exceed: a value that is there, not one between two. `None` of no values.
///
/// Of few values high percentiles are the largest, and 100 is it always; 0 is the smallest.
///
/// ```
/// use sdvr_frame::percentile;
///
/// let latencies_ms = [10, 20, 30, 40];
/// assert_eq!(percentile(&latencies_ms, 50), Some(20));
/// assert_eq!(percentile(&latencies_ms, 99), Some(40));
/// ```
#[must_use]
pub fn percentile<T: Copy>(sorted: &[T], per_cent: usize) -> Option<T> {
    let last = sorted.len().checked_sub(1)?;
    // How many values there are up to it.
    let rank = sorted.len().saturating_mul(per_cent).div_ceil(100);
    sorted.get(rank.saturating_sub(1).min(last)).copied()
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[track_caller]
    fn check(count: usize, per_cent: usize, rank: usize) {
        let sorted: Vec<usize> = (1..=count).collect();
        assert_eq!(
            percentile(&sorted, per_cent),
            Some(rank),
            "{per_cent} % of {count}"
        );
    }

    #[test]
    fn so_many_per_cent_are_not_above() {
        for (count, per_cent, rank) in [
            (1, 50, 1),
            (2, 50, 1),
            (3, 50, 2),
            (4, 25, 1),
            (99, 99, 99),
            (100, 99, 99),
            (101, 99, 100),
            (1000, 99, 990),
        ] {
            check(count, per_cent, rank);
        }
    }

    #[test]
    fn the_ends_are_the_smallest_and_the_largest() {
        for count in [1, 2, 1000] {
            check(count, 0, 1);
            check(count, 100, count);
            check(count, usize::MAX, count);
        }
        assert_eq!(percentile::<u64>(&[], 50), None);
    }
}
