//! How large a ring a stream gets.

use std::time::Duration;

use sdvr_frame::{FourCc, StreamFormat};

use crate::budget::Room;
use crate::depth::Reach;

/// No ring is smaller: an idle camera costs this much.
const LEAST_BYTES: u64 = 256 * 1024;
/// A ring holds at least so many of the largest frames.
const LARGEST_FRAMES: u64 = 8;
/// With little memory, fewer, but never less than these: one being written, one being read, one between.
const LARGEST_FRAMES_LEAST: u64 = 3;
/// A stream without a rate comes as fast as the link carries it; this lets a reader be some tens of milliseconds late.
const UNPACED_BYTES: u64 = 64 << 20;
/// Uncompressed, that is a file of gigabytes, and a reader that writes it down is slower than the link.
const UNPACED_RAW_BYTES: u64 = 256 << 20;
/// Bytes before the slots.
const HEADER_BYTES: u64 = 4096;
/// Bytes of a slot, which is what a ring spends on a frame besides its bytes.
const SLOT_BYTES: u64 = 128;
/// Slots that a ring has at least and at most, powers of two.
const SLOTS_LEAST: u32 = 64;
const SLOTS_MOST: u32 = 65_536;
/// Frames begin at multiples of this.
const FRAME_ALIGNMENT: u64 = 64;

/// The sizes of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RingSize {
    /// Frames it can hold at most, a power of two.
    pub(crate) slots: u32,
    /// Bytes for frames, a power of two.
    pub(crate) data_bytes: u64,
}

impl RingSize {
    /// What a frame takes of the data.
    pub(crate) const fn place_of(frame_bytes: u64) -> u64 {
        frame_bytes.next_multiple_of(FRAME_ALIGNMENT)
    }

    /// Whether it holds more than `other`.
    pub(crate) const fn is_deeper_than(self, other: Self) -> bool {
        self.data_bytes > other.data_bytes
            || self.data_bytes == other.data_bytes && self.slots > other.slots
    }

    /// Whether it holds what it should.
    pub(crate) const fn holds(self, reach: Reach) -> bool {
        self.data_bytes >= reach.bytes && self.slots as u64 >= reach.frames
    }

    /// What the ring takes of the budget.
    pub(crate) const fn total_bytes(self) -> u64 {
        HEADER_BYTES + self.slots as u64 * SLOT_BYTES + self.data_bytes
    }

    /// What takes so much of the budget, for what is not made anew.
    pub(crate) fn of_total_bytes(bytes: u64) -> Option<Self> {
        Some(Self {
            slots: 0,
            data_bytes: bytes.checked_sub(HEADER_BYTES)?,
        })
    }

    /// A ring of half the depth.
    pub(crate) const fn halved(self) -> Self {
        Self {
            slots: if self.slots > SLOTS_LEAST {
                self.slots / 2
            } else {
                self.slots
            },
            data_bytes: self.data_bytes / 2,
        }
    }

    /// The smallest ring that this one becomes by being halved and that has at least as many bytes for frames.
    pub(crate) fn least_above(self, data_bytes: u64) -> Self {
        let sizes = std::iter::successors(Some(self), |size| Some(size.halved()));
        let large_enough = sizes.take_while(|size| size.data_bytes >= data_bytes.max(1));
        large_enough.last().unwrap_or(self)
    }
}

/// The size of a ring for a stream whose frames have at most `frame_bytes`, and which has shown that it needs `reach`. `None` when not
/// even a few frames fit.
///
/// A camera has at most a quarter of everything in all its rings, so that the next one finds room; half, if a ring for a few
/// of its frames needs as much. A ring that could be smaller leaves room for one of half its depth, so that it can be made smaller when
/// others come.
pub(crate) fn ring_size(
    format: &StreamFormat,
    frame_bytes: u64,
    ring_time: Duration,
    reach: Reach,
    room: Room,
) -> Option<RingSize> {
    let frame_bytes = RingSize::place_of(frame_bytes.max(1));
    let wanted = wanted_bytes(format, frame_bytes, ring_time, room.total_bytes).max(reach.bytes);
    let largest = wanted.max(LEAST_BYTES).checked_next_power_of_two()?;
    let least = least_data_bytes(frame_bytes)?;
    let sizes = std::iter::successors(Some(largest), |bytes| Some(bytes / 2))
        .take_while(|&bytes| bytes >= least)
        .map(|data_bytes| RingSize {
            slots: slots(format, frame_bytes, data_bytes).max(slots_for(reach, data_bytes)),
            data_bytes,
        });
    let of_camera = |part: u64| part.saturating_sub(room.camera_bytes);
    let fits = |size: &RingSize| {
        let left_bytes = if size.data_bytes > least {
            size.halved().total_bytes().max(room.kept_bytes)
        } else {
            room.kept_bytes
        };
        size.total_bytes().saturating_add(left_bytes) <= room.free_bytes
    };
    let mut smallest = None;
    for size in sizes {
        if size.total_bytes() <= of_camera(room.total_bytes / 4) && fits(&size) {
            return Some(size);
        }
        smallest = Some(size);
    }
    // Rings are powers of two, and half of the memory usually is one, too: what stands beside the frames does not count here.
    smallest.filter(|size| size.data_bytes <= of_camera(room.total_bytes / 2) && fits(size))
}

/// The smallest ring for a stream whose frames have at most `frame_bytes`. `None` when no ring is so large.
pub(crate) fn least_ring_size(format: &StreamFormat, frame_bytes: u64) -> Option<RingSize> {
    let frame_bytes = RingSize::place_of(frame_bytes.max(1));
    let data_bytes = least_data_bytes(frame_bytes)?;
    Some(RingSize {
        slots: slots(format, frame_bytes, data_bytes),
        data_bytes,
    })
}

fn least_data_bytes(frame_bytes: u64) -> Option<u64> {
    frame_bytes
        .checked_mul(LARGEST_FRAMES_LEAST)?
        .checked_next_power_of_two()
}

fn wanted_bytes(
    format: &StreamFormat,
    frame_bytes: u64,
    ring_time: Duration,
    total_bytes: u64,
) -> u64 {
    let largest = frame_bytes.saturating_mul(LARGEST_FRAMES);
    if format.rate.numerator == 0 {
        let unpaced = if format.fourcc.is_raw() {
            UNPACED_RAW_BYTES
        } else {
            UNPACED_BYTES
        };
        return largest.max(unpaced.min(total_bytes / 32));
    }
    if format.fourcc.is_raw() {
        // A ring that fits the cache makes its readers a third cheaper: frames, not seconds.
        return largest;
    }
    let interval_ns = format.rate.interval_ns().unwrap_or(u64::MAX).max(1);
    let frames = u64::try_from(ring_time.as_nanos()).unwrap_or(u64::MAX) / interval_ns;
    largest
        .max(typical_bytes(format, frame_bytes).saturating_mul(frames.clamp(LARGEST_FRAMES, 4096)))
}

/// What a frame has on the average, as far as the announced maximum tells.
fn typical_bytes(format: &StreamFormat, frame_bytes: u64) -> u64 {
    if format.fourcc.is_raw() || format.fourcc == FourCc::BNCH {
        frame_bytes
    } else {
        frame_bytes / 8
    }
}

fn slots(format: &StreamFormat, frame_bytes: u64, data_bytes: u64) -> u32 {
    // Small frames come, too: enough slots for frames of a quarter of the typical size.
    let small = (typical_bytes(format, frame_bytes) / 4).max(512);
    u32::try_from(
        (data_bytes / small)
            .clamp(SLOTS_LEAST.into(), SLOTS_MOST.into())
            .next_power_of_two(),
    )
    .unwrap_or(SLOTS_MOST)
}

/// As many as the frames of `reach` that `data_bytes` can hold need.
fn slots_for(reach: Reach, data_bytes: u64) -> u32 {
    let held = data_bytes.min(reach.bytes);
    let frames = u128::from(reach.frames) * u128::from(held) / u128::from(reach.bytes.max(1));
    u32::try_from(frames.min(SLOTS_MOST.into())).map_or(1, u32::next_power_of_two)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sdvr_frame::FrameRate;

    fn size(fourcc: FourCc, rate: u32, frame_bytes: u64, free_bytes: u64) -> Option<RingSize> {
        let format = StreamFormat {
            fourcc,
            width: 0,
            height: 0,
            rate: FrameRate::from_whole(rate),
        };
        size_in(&format, frame_bytes, free_bytes, 0)
    }

    fn size_in(
        format: &StreamFormat,
        frame_bytes: u64,
        total_bytes: u64,
        camera_bytes: u64,
    ) -> Option<RingSize> {
        let room = Room {
            total_bytes,
            free_bytes: total_bytes - camera_bytes,
            camera_bytes,
            ..Room::default()
        };
        let time = Duration::from_secs(2);
        ring_size(format, frame_bytes, time, Reach::default(), room)
    }

    #[test]
    fn what_a_stream_has_shown_to_need_counts_as_far_as_its_share_goes() {
        let format = StreamFormat {
            fourcc: FourCc::H264,
            width: 0,
            height: 0,
            rate: FrameRate::from_whole(30),
        };
        let reach = Reach {
            bytes: 20 << 20,
            frames: 20_000,
        };
        let size = |total_bytes| {
            let room = Room {
                total_bytes,
                free_bytes: total_bytes,
                ..Room::default()
            };
            ring_size(&format, 100_000, Duration::from_secs(2), reach, room).unwrap()
        };
        let whole = size(1 << 30);
        assert_eq!((whole.data_bytes, whole.slots), (32 << 20, 32_768));
        assert!(whole.holds(reach) && whole.is_deeper_than(size(64 << 20)));
        // A quarter of 64 MiB, and not all of it frames.
        let part = size(64 << 20);
        assert_eq!((part.data_bytes, part.slots), (8 << 20, 8192));
        assert!(!part.holds(reach));
    }

    #[test]
    fn all_rings_of_a_camera_have_a_quarter_of_the_memory_and_half_if_they_must() {
        let format = StreamFormat {
            fourcc: FourCc::YUYV,
            width: 0,
            height: 0,
            rate: FrameRate::from_whole(30),
        };
        let mut camera_bytes = 0;
        let mut sizes = Vec::new();
        while let Some(size) = size_in(&format, 1 << 20, 64 << 20, camera_bytes) {
            camera_bytes += size.total_bytes();
            sizes.push(size.data_bytes >> 20);
        }
        // Eight frames, four below a quarter; then what holds three each, up to half.
        assert_eq!(sizes, [8, 4, 4, 4, 4, 4]);
        assert!(camera_bytes <= 32 << 20, "{camera_bytes}");
    }

    #[test]
    fn a_small_camera_gets_two_seconds() {
        let size = size(FourCc::BNCH, 30, 20_000, 8 << 30).unwrap();
        assert!(
            size.data_bytes >= 60 * 20_000 && size.data_bytes <= 2 << 20,
            "{size:?}"
        );
    }

    #[test]
    fn raw_frames_are_counted_not_timed() {
        let size = size(FourCc::YUYV, 30, 4_147_200, 8 << 30).unwrap();
        assert_eq!(size.data_bytes, 32 << 20);
    }

    #[test]
    fn a_container_s_shared_memory_holds_something_of_everything() {
        for bytes in [20_000, 100_000, 1 << 20, 4_147_200] {
            let size = size(FourCc::MJPG, 30, bytes, 32 << 20).unwrap_or_else(|| panic!("{bytes}"));
            assert!(
                size.total_bytes() <= 8 << 20 || bytes > 1 << 20,
                "{bytes}: {size:?}"
            );
            assert!(size.data_bytes >= 1 << 18);
        }
    }

    #[test]
    fn a_ring_leaves_room_to_make_it_smaller_unless_it_is_the_smallest() {
        let format = StreamFormat {
            fourcc: FourCc::YUYV,
            width: 0,
            height: 0,
            rate: FrameRate::from_whole(30),
        };
        let size = |free_kib: u64, kept_kib: u64| {
            let room = Room {
                total_bytes: 64 << 20,
                free_bytes: free_kib << 10,
                kept_bytes: kept_kib << 10,
                ..Room::default()
            };
            let time = Duration::from_secs(2);
            let size = ring_size(&format, 1 << 20, time, Reach::default(), room);
            size.map(|size| size.data_bytes >> 20)
        };
        let (whole_kib, half_kib) = ((8 << 10) + 12, (4 << 10) + 12);
        assert_eq!(size(whole_kib + half_kib, 0), Some(8));
        assert_eq!(size(whole_kib + half_kib - 1, 0), Some(4));
        assert_eq!(size(whole_kib + half_kib, half_kib + 1), Some(4));
        assert_eq!(size(half_kib, 0), Some(4));
        assert_eq!(size(half_kib, 1), None);
        let least = least_ring_size(&format, 1 << 20).unwrap();
        assert_eq!(least.total_bytes(), half_kib << 10);
    }

    #[test]
    fn halves_of_a_ring_end_at_the_least() {
        let size = RingSize {
            slots: 256,
            data_bytes: 8 << 20,
        };
        let part = |data_bytes| {
            let least = size.least_above(data_bytes);
            (least.slots, least.data_bytes >> 20)
        };
        assert_eq!(part(1 << 20), (64, 1));
        assert_eq!(part(3 << 20), (128, 4));
        assert_eq!(part(16 << 20), (256, 8));
    }

    #[test]
    fn what_cannot_fit_is_refused() {
        assert_eq!(size(FourCc::YUYV, 30, 100 << 20, 64 << 20), None);
        assert_eq!(size(FourCc::MJPG, 30, 256 << 20, 1 << 20), None);
        assert_eq!(size(FourCc::MJPG, 1, 1, 0), None);
    }
}
