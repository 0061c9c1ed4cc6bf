//! The program, and what a hostile end says in it.

use sdvr_frame::{FrameFlags, FrameNumber, StreamId, Timestamp};
use sdvr_session::FragmentRequest;
use sdvr_session::for_tests::{Control, MediaHeader};

use crate::support::NOW;

/// Nothing is sent that fits no datagram.
const CONTENT_MOST_BYTES: usize = 1400;
/// The next number of the lane: two messages have introduced the camera, and two have answered it.
const LANE_NEXT: u32 = 2;

/// What is left of the input.
pub(crate) struct Program<'a> {
    rest: &'a [u8],
    lane_next: u32,
}

impl<'a> Program<'a> {
    pub(crate) const fn new(rest: &'a [u8]) -> Self {
        Self {
            rest,
            lane_next: LANE_NEXT,
        }
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    pub(crate) fn word(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes([self.byte()?, self.byte()?]))
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// A message of any type.
    pub(crate) fn control(&mut self) -> Option<Vec<u8>> {
        let (kind, length) = (self.byte()?, self.byte()?);
        let body = self.take(length.into());
        let mut message = vec![kind, 0];
        message.extend_from_slice(&(body.len() as u16).to_le_bytes());
        message.extend_from_slice(body);
        Some(message)
    }

    /// The same in the lane, with its next number, or another one.
    pub(crate) fn in_lane(&mut self) -> Option<Vec<u8>> {
        let step = self.byte()?;
        let number = if step < 200 {
            self.lane_next += 1;
            self.lane_next - 1
        } else {
            self.lane_next
                .wrapping_add(u32::from(step))
                .wrapping_sub(228)
        };
        let message = self.control()?;
        let mut content = Vec::new();
        Control::Lane { number, message }.write(&mut content);
        Some(content)
    }

    /// Anything.
    pub(crate) fn rest_of_length(&mut self) -> Option<Vec<u8>> {
        let length = self.byte()?;
        Some(self.take(length.into()).to_vec())
    }

    /// Fragments are asked for, of frames about as new as `newest`.
    pub(crate) fn requests(&mut self, newest: u64) -> Option<Vec<u8>> {
        let (count, stream) = (self.byte()?, self.byte()?);
        let mut requests = Vec::new();
        for _ in 0..count & 63 {
            let (back, start, length) = (self.byte()?, self.byte()?, self.word()?);
            let start = u32::from(start) << (back >> 4);
            requests.push(FragmentRequest {
                number: FrameNumber(newest.wrapping_sub(u64::from(back & 15))),
                fragments: start..start + u32::from(length),
            });
        }
        let stream = StreamId(u16::from(stream / 128));
        let mut content = Vec::new();
        Control::Nack { stream, requests }.write(&mut content);
        Some(content)
    }
}

/// Frames of which fragments come: what is said of each follows from its number, but for lies.
#[derive(Default)]
pub(crate) struct Frames {
    /// The number of the first of sixteen.
    first: u64,
}

impl Frames {
    /// What all fragments of a frame say of it.
    fn header(&mut self, program: &mut Program<'_>) -> Option<MediaHeader> {
        let (slot, lie) = (program.byte()?, program.byte()?);
        if slot & 64 != 0 {
            self.first += 1 + u64::from(slot & 15);
        }
        let number = self.first + u64::from(slot & 15);
        let fragment_bytes = [256_u16, 264, 1024, 1360][(number & 3) as usize];
        let fragments = [1_u32, 7, 70, 1490][(number >> 2 & 3) as usize];
        let rest = 1 + (number as u32 * 37) % u32::from(fragment_bytes);
        let captured = NOW.offset_by(i64::try_from(number & 0xffff_ffff).ok()? * 33_000_000);
        let flags = if number & 1 == 0 {
            FrameFlags::KEY
        } else {
            FrameFlags::DISCARDABLE
        };
        let mut header = MediaHeader {
            is_first: false,
            is_last: false,
            fragment_bytes,
            since: u16::from(slot >> 7),
            ..MediaHeader::whole(
                StreamId(u16::from(slot >> 4 & 1)),
                (FrameNumber(number), captured, flags),
                u32::from(fragment_bytes) * (fragments - 1) + rest,
            )
        };
        match lie {
            0..200 => {}
            200..208 => header.since = program.word()?,
            208..216 => header.frame_bytes = u32::from(program.word()?) << (lie & 7) << 4,
            216..224 => header.fragment_bytes = program.word()?,
            224..232 => header.number = FrameNumber(u64::MAX - u64::from(program.byte()?)),
            232..240 => {
                let time = i64::from(program.word()?) << (lie & 7) << 20;
                header.captured = Timestamp::from_nanoseconds(time);
            }
            240..248 => header.captured = Timestamp::NEVER,
            248.. => header.flags = FrameFlags::TRAILER,
        }
        Some(header)
    }

    /// Some of a frame's fragments.
    pub(crate) fn fragments(&mut self, program: &mut Program<'_>) -> Option<Vec<Vec<u8>>> {
        let header = self.header(program)?;
        let (first, count, step, fill) = (
            u32::from(program.word()?),
            u32::from(program.byte()? & 127),
            1 + u32::from(program.byte()?),
            program.byte()?,
        );
        let fragments = header
            .frame_bytes
            .div_ceil(u32::from(header.fragment_bytes).max(1))
            .max(1);
        let fragment = |place: u32| {
            let number = first.wrapping_add(place * step) % fragments;
            let offset = number.checked_mul(header.fragment_bytes.into())?;
            let rest = header.frame_bytes.saturating_sub(offset);
            let bytes = rest.min(header.fragment_bytes.into()) as usize;
            let mut content = Vec::new();
            MediaHeader { offset, ..header }.write(&mut content);
            content.resize(content.len() + bytes.min(CONTENT_MOST_BYTES), fill);
            Some(content)
        };
        Some((0..=count).filter_map(fragment).collect())
    }

    /// Some of a frame's parity.
    pub(crate) fn parity(&mut self, program: &mut Program<'_>) -> Option<Vec<Vec<u8>>> {
        let header = self.header(program)?;
        let (rows, first, count, fill) = (
            u32::from(program.byte()?),
            u32::from(program.byte()?),
            u32::from(program.byte()? & 15),
            program.byte()?,
        );
        // As long as the longest fragment.
        let bytes = header.frame_bytes.min(header.fragment_bytes.into()) as usize;
        let row = |place: u32| {
            let mut content = Vec::new();
            let header = MediaHeader {
                is_parity: true,
                offset: rows << 24 | (first + place),
                ..header
            };
            header.write(&mut content);
            content.resize(content.len() + bytes.min(CONTENT_MOST_BYTES), fill);
            content
        };
        Some((0..=count).map(row).collect())
    }
}
