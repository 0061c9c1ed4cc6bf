//! What becomes of each frame: decided in the order of sending, out of a seed. No I/O and no clock.

use std::time::Duration;

use crate::impairment::{Impairment, Jitter, Loss, Rate};
use crate::random::{Numbers, Purpose};

/// What becomes of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It arrives.
    Arrives(Arrival),
    /// It is lost by chance.
    Lost,
    /// It is too large, and vanishes.
    TooLarge,
    /// The queue before the narrow place is full.
    QueueFull,
}

/// How a frame arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When, on the clock of `now`.
    pub at: Duration,
    /// Whether there are two of it.
    pub is_doubled: bool,
    /// The bit to be flipped, of however many there are: to be taken modulo that.
    pub flipped_bit: Option<u64>,
}

/// Decides what becomes of each frame of one direction.
///
/// Every frame takes one number of every kind of decision's own stream, whatever becomes of it. So the same seed loses the same frames of a
/// sequence, whatever else the link does, and whenever they are sent ([`Loss::Outages`] are by time; a queue is, too).
///
/// ```
/// use std::time::Duration;
/// use sdvr_test_link::{Fate, Impairment, Loss, Verdict};
///
/// let impairment = Impairment { loss: Loss::Random { share: 0.5 }, ..Impairment::default() };
/// let mut fate = Fate::new(impairment, 7);
/// let mut again = Fate::new(impairment, 7);
/// for now in (0..100).map(Duration::from_millis) {
///     assert_eq!(fate.decide(now, 1_200), again.decide(now, 1_200));
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Fate {
    impairment: Impairment,
    loss: LossState,
    jitter: Numbers,
    reordering: Numbers,
    duplication: Numbers,
    corruption: Numbers,
    corrupted_bit: Numbers,
    /// When the narrow place has passed on all that it has.
    narrow_place_is_free_at: Duration,
    /// No frame that keeps its order arrives before this.
    last_arrival: Duration,
}

impl Fate {
    /// Decides by `seed`.
    #[must_use]
    pub fn new(impairment: Impairment, seed: u64) -> Self {
        Self {
            impairment,
            loss: LossState::new(seed),
            jitter: Numbers::new(seed, Purpose::Jitter),
            reordering: Numbers::new(seed, Purpose::Reordering),
            duplication: Numbers::new(seed, Purpose::Duplication),
            corruption: Numbers::new(seed, Purpose::Corruption),
            corrupted_bit: Numbers::new(seed, Purpose::CorruptedBit),
            narrow_place_is_free_at: Duration::ZERO,
            last_arrival: Duration::ZERO,
        }
    }

    /// Treats the next frames otherwise. The streams of numbers go on where they are.
    pub fn impair(&mut self, impairment: Impairment) {
        if impairment.loss != self.impairment.loss {
            self.loss.begin_anew();
        }
        self.impairment = impairment;
    }

    /// Says what becomes of the next frame, whose packet has so many bytes. `now` never goes back.
    pub fn decide(&mut self, now: Duration, packet_bytes: usize) -> Verdict {
        let impairment = self.impairment;
        // All of them first: a stream that only some frames draw from would make the others' fates hang on theirs.
        let is_lost = self.loss.is_next_lost(impairment.loss, now);
        let jitter = self.jitter.next_share();
        let is_held_back = self.reordering.next_share() < impairment.reordering.probability;
        let is_doubled = self.duplication.next_share() < impairment.duplication;
        let is_corrupted = self.corruption.next_share() < impairment.corruption;
        let bit = self.corrupted_bit.next();

        if impairment
            .largest_packet_bytes
            .is_some_and(|largest| packet_bytes > largest)
        {
            return Verdict::TooLarge;
        }
        let Some(leaves_at) = self.squeeze(impairment.rate, now, packet_bytes) else {
            return Verdict::QueueFull;
        };
        if is_lost {
            return Verdict::Lost;
        }
        let undisturbed = leaves_at.saturating_add(impairment.delay);
        let at = match impairment.jitter {
            _ if is_held_back => undisturbed.saturating_add(impairment.reordering.held_back),
            Jitter::Overtaking(most) => undisturbed.saturating_add(most.mul_f64(jitter)),
            Jitter::InOrder(most) => {
                self.keep_order(undisturbed.saturating_add(most.mul_f64(jitter)))
            }
            Jitter::None => self.keep_order(undisturbed),
        };
        Verdict::Arrives(Arrival {
            at,
            is_doubled,
            flipped_bit: is_corrupted.then_some(bit),
        })
    }

    fn keep_order(&mut self, at: Duration) -> Duration {
        self.last_arrival = self.last_arrival.max(at);
        self.last_arrival
    }

    /// When the frame has passed the narrow place; `None` if it finds no room before it.
    fn squeeze(
        &mut self,
        rate: Option<Rate>,
        now: Duration,
        packet_bytes: usize,
    ) -> Option<Duration> {
        let Some(rate) = rate else {
            return Some(now);
        };
        let bits_per_second = u128::from(rate.bits_per_second.max(1));
        let begins_at = self.narrow_place_is_free_at.max(now);
        let waiting_bits = (begins_at - now).as_nanos() * bits_per_second / NANOSECONDS;
        if waiting_bits + packet_bytes as u128 * 8 > rate.queue_bytes as u128 * 8 {
            return None;
        }
        let takes = packet_bytes as u128 * 8 * NANOSECONDS / bits_per_second;
        self.narrow_place_is_free_at = begins_at.saturating_add(Duration::from_nanos(
            u64::try_from(takes).unwrap_or(u64::MAX),
        ));
        Some(self.narrow_place_is_free_at)
    }
}

/// In a second.
const NANOSECONDS: u128 = 1_000_000_000;
/// So that finding the next one after a long silence takes no time worth mentioning.
const SHORTEST_OUTAGE: Duration = Duration::from_millis(1);

/// Where the link is between good and bad.
#[derive(Debug, Clone)]
struct LossState {
    numbers: Numbers,
    outages: Numbers,
    /// Frames of a row that are still to be lost.
    burst_frames_left: u32,
    is_bad: bool,
    /// The outage that is, or that is next; `None` until a frame asks.
    outage: Option<Outage>,
}

#[derive(Debug, Clone, Copy)]
struct Outage {
    begins: Duration,
    ends: Duration,
}

impl LossState {
    fn new(seed: u64) -> Self {
        Self {
            numbers: Numbers::new(seed, Purpose::Loss),
            outages: Numbers::new(seed, Purpose::Outage),
            burst_frames_left: 0,
            is_bad: false,
            outage: None,
        }
    }

    /// Forgets where the link is, but not how far the numbers are.
    fn begin_anew(&mut self) {
        self.burst_frames_left = 0;
        self.is_bad = false;
        self.outage = None;
    }

    fn is_next_lost(&mut self, loss: Loss, now: Duration) -> bool {
        let number = self.numbers.next_share();
        match loss {
            Loss::None => false,
            Loss::Random { share } => number < share,
            Loss::Bursts { share, frames } => self.is_in_burst(number, share, frames.max(1)),
            Loss::Outages { share, lasting } => self.is_in_outage(now, share, lasting),
            Loss::GilbertElliott {
                to_bad,
                to_good,
                loss_in_good,
                loss_in_bad,
            } => {
                // One number for both questions: stretched, what is left of it after the first is uniform again.
                let leaves = if self.is_bad { to_good } else { to_bad }.clamp(0.0, 1.0);
                let rest = if number < leaves {
                    self.is_bad = !self.is_bad;
                    number / leaves
                } else {
                    (number - leaves) / (1.0 - leaves)
                };
                rest < if self.is_bad {
                    loss_in_bad
                } else {
                    loss_in_good
                }
            }
        }
    }

    fn is_in_burst(&mut self, number: f64, share: f64, frames: u32) -> bool {
        if self.burst_frames_left == 0 {
            // Between two rows there are on average `frames * (1 - share) / share` others.
            let share = share.clamp(0.0, 1.0);
            let begins = share / (share + f64::from(frames) * (1.0 - share));
            let begins_here = number < begins;
            if !begins_here {
                return false;
            }
            self.burst_frames_left = frames;
        }
        self.burst_frames_left -= 1;
        true
    }

    fn is_in_outage(&mut self, now: Duration, share: f64, lasting: Duration) -> bool {
        if share >= 1.0 {
            return true;
        }
        if share <= 0.0 || share.is_nan() {
            return false;
        }
        let lasting = lasting.max(SHORTEST_OUTAGE);
        let mut outage = match self.outage {
            Some(outage) => outage,
            None => self.next_outage(now, share, lasting),
        };
        while now >= outage.ends {
            outage = self.next_outage(outage.ends, share, lasting);
        }
        self.outage = Some(outage);
        now >= outage.begins
    }

    /// The first one after `good_since`.
    fn next_outage(&mut self, good_since: Duration, share: f64, lasting: Duration) -> Outage {
        let mean = lasting.as_secs_f64() * (1.0 - share) / share;
        let good_seconds = -mean * (1.0 - self.outages.next_share()).ln();
        // Shares next to nothing make a time that no `Duration` holds: then there is none.
        let good = Duration::try_from_secs_f64(good_seconds).unwrap_or(Duration::MAX);
        let begins = good_since.saturating_add(good);
        Outage {
            begins,
            ends: begins.saturating_add(lasting),
        }
    }
}

#[cfg(test)]
mod tests;
