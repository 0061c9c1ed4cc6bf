//! What one direction of the link does to frames, as it is asked for.

use std::time::Duration;

/// How one direction of a link treats what is sent through it. The default harms nothing and delays nothing.
///
/// Shares and probabilities are from 0 to 1; what is below counts as 0, what is above as 1. Bytes are those of the packet: the IP packet, or
/// what follows the ethertype of other frames. Ethernet's 14 bytes do not count.
///
/// ```
/// use std::time::Duration;
/// use sdvr_test_link::{Impairment, Loss};
///
/// let radio = Impairment {
///     loss: Loss::Bursts { share: 0.05, frames: 5 },
///     delay: Duration::from_millis(10),
///     ..Impairment::default()
/// };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Impairment {
    /// Which frames never arrive.
    pub loss: Loss,
    /// How long every frame is under way. Frames that are to keep their order keep it also when this is lowered meanwhile.
    pub delay: Duration,
    /// How much longer some are.
    pub jitter: Jitter,
    /// Which are held back.
    pub reordering: Reordering,
    /// How probable it is that a frame arrives twice, the second right behind the first.
    pub duplication: f64,
    /// How probable it is that one bit of a frame is flipped.
    ///
    /// Of UDP and TCP it is one of the payload, and the checksum is made to fit, so that the program sees what a forger would send; of other
    /// frames one behind Ethernet's header. Segments without payload, and pieces of IP packets, stay whole.
    pub corruption: f64,
    /// How much passes in a second, and how much waits.
    pub rate: Option<Rate>,
    /// Packets with more bytes than this vanish, and nobody is told: a black hole.
    pub largest_packet_bytes: Option<usize>,
}

/// Which frames never arrive.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Loss {
    /// All do.
    #[default]
    None,
    /// Each for itself.
    Random {
        /// Of all frames, how many are lost.
        share: f64,
    },
    /// Always so many in a row; two rows may touch.
    Bursts {
        /// Of all frames, how many are lost.
        share: f64,
        /// How long a row is; 0 counts as 1.
        frames: u32,
    },
    /// For always so long everything, whether something is sent or not; the time between two outages is distributed exponentially. The first
    /// frame begins the time.
    Outages {
        /// Of the time, how much is outage.
        share: f64,
        /// How long one is; less than 1 ms counts as 1 ms.
        lasting: Duration,
    },
    /// The model of Gilbert and Elliott: a link that is good or bad, and changes with every frame as likely as said.
    GilbertElliott {
        /// How probable it is that a good link is bad for the next frame.
        to_bad: f64,
        /// How probable it is that a bad link is good for the next frame.
        to_good: f64,
        /// How probable loss is while it is good.
        loss_in_good: f64,
        /// How probable loss is while it is bad.
        loss_in_bad: f64,
    },
}

/// How much longer than [`Impairment::delay`] a frame is under way. Uniformly distributed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Jitter {
    /// No longer.
    #[default]
    None,
    /// Between zero and this; a later frame may overtake an earlier one.
    Overtaking(Duration),
    /// Between zero and this, but not before the frame in front of it has arrived: a queue somewhere on the way.
    InOrder(Duration),
}

/// Which frames are held back, so that others overtake them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reordering {
    /// How probable it is that a frame is held back.
    pub probability: f64,
    /// For how long. All frames that follow within this time overtake it: at 1,000 frames a second, 5 ms are five places.
    pub held_back: Duration,
}

/// A narrow place with a queue before it.
///
/// A frame takes its time there also when it is lost afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// What passes; 0 counts as 1.
    pub bits_per_second: u64,
    /// What waits, with the frame that is passing. What comes on top of it is dropped; a queue smaller than a packet lets none of its size
    /// through.
    pub queue_bytes: usize,
}
