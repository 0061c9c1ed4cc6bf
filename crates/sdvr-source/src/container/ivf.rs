//! IVF, in which VP8, VP9 and AV1 are mostly tried out.
//!
//! ```text
//! file   "DKIF" | version 2 | header length 2 | four characters | width 2 | height 2 | ticks a second 4 | … per 4 | frames 4 | unused 4
//! frame  length 4 | time in ticks 8 | the frame
//! ```
//!
//! The least significant byte comes first.

use super::search::Sought;
use super::{Codec, ContainerError, Description, Sample, Step, Time, Track, View, frames};
use crate::play_from::PlayFrom;
use crate::splitter::FRAME_MOST_BYTES;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 12;
/// Of a frame, what tells whether it is a key frame.
const SHOWN_BYTES: usize = 16;

/// Finds the frames of an IVF file.
#[derive(Debug, Default)]
pub(crate) struct Ivf {
    state: State,
    samples: u64,
    /// While the place is looked for at which playing begins: by the offset of a frame's header.
    search: Option<Sought<u64>>,
    /// When the first frame is, if playing did not begin with it.
    first_time: Option<i64>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Start,
    /// The header was read.
    Frames(Header),
}

#[derive(Debug)]
struct Header {
    track: Track,
    ticks_per_second: u32,
    /// The numerator of a tick: seconds times `ticks_per_second`.
    tick: u32,
    /// A frame whose header was stepped over.
    next: Option<Sample>,
}

impl Ivf {
    pub(super) const fn track(&self) -> Option<&Track> {
        match &self.state {
            State::Start => None,
            State::Frames(header) => Some(&header.track),
        }
    }

    pub(super) const fn samples(&self) -> u64 {
        self.samples
    }

    /// Looks for where to begin before any sample is handed out: from frame to frame.
    pub(super) const fn search(&mut self, from: PlayFrom, file_bytes: u64) {
        self.search = Some(Sought::new(from, file_bytes));
    }

    pub(super) const fn is_searching(&self) -> bool {
        self.search.is_some()
    }

    pub(super) const fn first_time(&self) -> Option<i64> {
        self.first_time
    }

    pub(super) fn next(&mut self, view: View<'_>) -> Result<Step, ContainerError> {
        let step = self.play_next(view)?;
        let Some(search) = &mut self.search else {
            return Ok(step);
        };
        let sample = match step {
            Step::Sample(sample) => sample,
            Step::Ended if search.has_begun() => return self.search_ended(),
            step => return Ok(step),
        };
        // It is handed out again, if it is the one.
        self.samples = sample.number;
        let State::Frames(header) = &mut self.state else {
            return Ok(step);
        };
        let behind = view.offset.saturating_add(sample.bytes as u64);
        if behind > search.file_bytes && search.has_begun() {
            return self.search_ended();
        }
        let count = sample.bytes.min(SHOWN_BYTES);
        let Some(beginning) = view.bytes.get(..count) else {
            header.next = Some(sample);
            return view.need(count, "a frame");
        };
        let is_key = header
            .track
            .descriptions
            .first()
            .is_some_and(|description| frames::begins_key(description.codec, beginning));
        let time = sample.time.nanoseconds();
        let spot = view.offset.saturating_sub(FRAME_HEADER_BYTES as u64);
        if search.see(time, is_key, spot, || None)? {
            return self.search_ended();
        }
        Ok(Step::Seek(behind))
    }

    fn search_ended(&mut self) -> Result<Step, ContainerError> {
        let Some(search) = self.search.take() else {
            return Ok(Step::Ended);
        };
        self.first_time = search.first();
        search.end(None).map(Step::Seek)
    }

    fn play_next(&mut self, view: View<'_>) -> Result<Step, ContainerError> {
        let header = match &mut self.state {
            State::Start => {
                let Some(bytes) = view.bytes.first_chunk() else {
                    return view.need(HEADER_BYTES, "the header");
                };
                let (header, header_bytes) = parse_header(bytes)?;
                self.state = State::Frames(header);
                return Ok(Step::Skip(header_bytes));
            }
            State::Frames(header) => header,
        };
        if let Some(sample) = header.next.take() {
            self.samples = self.samples.saturating_add(1);
            return Ok(Step::Sample(sample));
        }
        let Some(bytes) = view.bytes.first_chunk::<FRAME_HEADER_BYTES>() else {
            if view.is_end && view.bytes.is_empty() {
                return Ok(Step::Ended);
            }
            return view.need(FRAME_HEADER_BYTES, "a frame's header");
        };
        let [a, b, c, d, time @ ..] = *bytes;
        let length = u32::from_le_bytes([a, b, c, d]);
        let bytes = usize::try_from(length).unwrap_or(usize::MAX);
        if bytes > FRAME_MOST_BYTES {
            return Err(ContainerError::TooLarge {
                what: "a frame",
                bytes: length.into(),
                most: FRAME_MOST_BYTES as u64,
            });
        }
        let ticks = u64::from_le_bytes(time);
        let time = super::nanoseconds(
            ticks.into(),
            header.tick.into(),
            header.ticks_per_second.into(),
        );
        header.next = Some(Sample {
            bytes,
            number: self.samples,
            time: Time::Decoding(time),
            description: 0,
        });
        Ok(Step::Skip(FRAME_HEADER_BYTES as u64))
    }
}

fn parse_header(bytes: &[u8; HEADER_BYTES]) -> Result<(Header, u64), ContainerError> {
    let [
        _,
        _,
        _,
        _,
        version,
        version_high,
        length,
        length_high,
        rest @ ..,
    ] = *bytes;
    let [
        a,
        b,
        c,
        d,
        width,
        width_high,
        height,
        height_high,
        rest @ ..,
    ] = rest;
    let [r0, r1, r2, r3, s0, s1, s2, s3, ..] = rest;
    if (version, version_high) != (0, 0) {
        return Err(ContainerError::Malformed(
            "its version is not 0, the only one of IVF",
        ));
    }
    let header_bytes = u16::from_le_bytes([length, length_high]);
    if usize::from(header_bytes) < HEADER_BYTES {
        return Err(ContainerError::Malformed(
            "its header says to be shorter than IVF's",
        ));
    }
    let codec = match &[a, b, c, d] {
        b"VP80" => Codec::Vp8,
        b"VP90" => Codec::Vp9,
        b"AV01" => Codec::Av1,
        other => {
            let name = sdvr_frame::FourCc(*other).to_string();
            return Err(ContainerError::Codec(name));
        }
    };
    let (ticks_per_second, tick) = (
        u32::from_le_bytes([r0, r1, r2, r3]),
        u32::from_le_bytes([s0, s1, s2, s3]),
    );
    if ticks_per_second == 0 || tick == 0 {
        return Err(ContainerError::Malformed("its header has no unit of time"));
    }
    let header = Header {
        track: Track {
            number: 1,
            width: u16::from_le_bytes([width, width_high]).into(),
            height: u16::from_le_bytes([height, height_high]).into(),
            // A tick is a frame, where it is the inverse of a rate at all; a millisecond is just a unit.
            rate: match super::rate(1, tick.into(), ticks_per_second.into()) {
                rate if rate.as_f64() < 1000.0 => rate,
                _ => sdvr_frame::FrameRate::UNPACED,
            },
            descriptions: vec![Description {
                codec,
                record: Vec::new(),
                stripped: Vec::new(),
            }],
        },
        ticks_per_second,
        tick,
        next: None,
    };
    Ok((header, header_bytes.into()))
}
