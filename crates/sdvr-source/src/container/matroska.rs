//! Matroska and `WebM` (RFC 9559).
//!
//! Elements are walked through in the order in which they stand. Segments, clusters and groups of blocks are entered by their headers alone,
//! for what is in them has ids of its own; so a length that is not known, as in what is still being written, does not matter. Of the rest,
//! the segment's information and its tracks are read, and everything else is stepped over.

mod block;
mod ebml;
mod search;
mod tracks;

use std::collections::VecDeque;

use self::block::Lacing;
use self::ebml::{Header, Parsed, UNKNOWN_LENGTH};
use self::tracks::Chosen;
use super::{ContainerError, Sample, Step, Time, Track, View};
use crate::splitter::FRAME_MOST_BYTES;

/// The tracks' own descriptions are some hundred bytes each.
const TRACKS_MOST_BYTES: u64 = 16 << 20;
const INFO_MOST_BYTES: u64 = 1 << 20;
/// What is said about a block besides its frames: its head, and the lengths of up to 256 frames.
const BLOCK_MOST_BYTES: u64 = FRAME_MOST_BYTES as u64 + (1 << 20);
const DEFAULT_TICK_NS: u64 = 1_000_000;

const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_a966;
const TICK: u32 = 0x002a_d7b1;
/// In nanoseconds since 2001.
const DATE: u32 = 0x4461;
const NS_TO_2001: i64 = 978_307_200_000_000_000;
const TRACKS: u32 = 0x1654_ae6b;
const CLUSTER: u32 = 0x1f43_b675;
const CLUSTER_TIME: u32 = 0xe7;
const SIMPLE_BLOCK: u32 = 0xa3;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;

/// Finds the samples of the first video track.
#[derive(Debug)]
pub(crate) struct Matroska {
    tick_ns: u64,
    chosen: Option<Chosen>,
    cluster_time: u64,
    /// The block that is being handed out.
    block: Option<OpenBlock>,
    samples: u64,
    /// When it was recorded: nanoseconds since 1970.
    date: Option<i64>,
    /// While the place is looked for at which playing begins.
    search: Option<Box<search::Search>>,
    /// When the first block is, if playing did not begin with it.
    first_time: Option<i64>,
    /// How many blocks of the cluster that comes next are before that place.
    left_out: u32,
}

/// Frames of one block, which stand one behind the other from here.
#[derive(Debug)]
struct OpenBlock {
    time_ns: i64,
    lengths: VecDeque<usize>,
}

impl Default for Matroska {
    fn default() -> Self {
        Self {
            tick_ns: DEFAULT_TICK_NS,
            chosen: None,
            cluster_time: 0,
            block: None,
            samples: 0,
            date: None,
            search: None,
            first_time: None,
            left_out: 0,
        }
    }
}

impl Matroska {
    pub(super) const fn track(&self) -> Option<&Track> {
        match &self.chosen {
            Some(chosen) => Some(&chosen.track),
            None => None,
        }
    }

    pub(super) const fn samples(&self) -> u64 {
        self.samples
    }

    pub(super) fn next(&mut self, view: View<'_>) -> Result<Step, ContainerError> {
        match self.search {
            Some(_) => self.search_next(view),
            None => self.play_next(view),
        }
    }

    fn play_next(&mut self, view: View<'_>) -> Result<Step, ContainerError> {
        if let Some(sample) = self.next_of_block() {
            return Ok(Step::Sample(sample));
        }
        match read_header(view)? {
            Next::Header(header) => self.handle_element(header, view),
            Next::Need(step) => Ok(step),
            Next::End => self.end(),
        }
    }

    fn end(&self) -> Result<Step, ContainerError> {
        match (&self.chosen, self.samples) {
            (None, _) => Err(ContainerError::CutOff("its header, before its tracks")),
            (Some(_), 0) => Err(ContainerError::NoSamples),
            (Some(_), _) => Ok(Step::Ended),
        }
    }

    fn handle_element(&mut self, header: Header, view: View<'_>) -> Result<Step, ContainerError> {
        let enter = Step::Skip(header.bytes as u64);
        match header.id {
            SEGMENT | CLUSTER | BLOCK_GROUP => return Ok(enter),
            _ if header.length == UNKNOWN_LENGTH => {
                return Err(ContainerError::Malformed(
                    "an element has no length that must have one",
                ));
            }
            EBML | INFO | TRACKS | CLUSTER_TIME | SIMPLE_BLOCK | BLOCK => {}
            _ => return Ok(Step::Skip(whole(header))),
        }
        if matches!(header.id, SIMPLE_BLOCK | BLOCK) {
            return self.handle_block(header, view);
        }
        let (what, most) = match header.id {
            TRACKS => ("the list of tracks", TRACKS_MOST_BYTES),
            CLUSTER_TIME => ("a cluster's time", 8),
            _ => ("the file's description", INFO_MOST_BYTES),
        };
        let count = bounded(what, header.length, most)?.saturating_add(header.bytes);
        let Some(body) = view.bytes.get(header.bytes..count) else {
            return view.need(count, what);
        };
        match header.id {
            CLUSTER_TIME => self.cluster_time = ebml::unsigned(body).unwrap_or(0),
            INFO => {
                let tick = ebml::elements(body).find(|(id, _)| *id == TICK);
                let tick = tick.and_then(|(_, body)| ebml::unsigned(body));
                self.tick_ns = tick.filter(|&ns| ns > 0).unwrap_or(DEFAULT_TICK_NS);
                let date = ebml::elements(body).find(|(id, _)| *id == DATE);
                self.date = date.and_then(|(_, body)| since_1970(body));
            }
            TRACKS if self.chosen.is_none() => self.chosen = Some(tracks::choose(body)?),
            _ => {}
        }
        Ok(Step::Skip(whole(header)))
    }

    fn handle_block(&mut self, header: Header, view: View<'_>) -> Result<Step, ContainerError> {
        let Some(chosen) = &self.chosen else {
            return Err(ContainerError::Malformed(
                "frames stand before the list of tracks",
            ));
        };
        let head = match read_head(header, view)? {
            Ok(head) => head,
            Err(step) => return Ok(step),
        };
        if head.track != chosen.track.number {
            return Ok(Step::Skip(whole(header)));
        }
        if let Some(left) = self.left_out.checked_sub(1) {
            self.left_out = left;
            return Ok(Step::Skip(whole(header)));
        }
        let length = bounded("a block", header.length, BLOCK_MOST_BYTES)?;
        let frames_at = header.bytes.saturating_add(head.bytes);
        let (lengths, lacing_bytes) = if head.lacing == Lacing::None {
            // Its frame need not be here to be handed out.
            (vec![length.saturating_sub(head.bytes)], 0)
        } else {
            let count = header.bytes.saturating_add(length);
            let Some(body) = view.bytes.get(frames_at..count) else {
                return view.need(count, "a block");
            };
            block::laced(head.lacing, body)?
        };
        self.block = Some(OpenBlock {
            time_ns: self.block_time(head),
            lengths: lengths.into(),
        });
        Ok(Step::Skip(frames_at.saturating_add(lacing_bytes) as u64))
    }

    /// When a block of this cluster is.
    fn block_time(&self, head: block::Head) -> i64 {
        let ticks = i128::from(self.cluster_time).saturating_add(head.time.into());
        super::nanoseconds(ticks, self.tick_ns, 1_000_000_000)
    }

    /// The next frame of the block that is open.
    fn next_of_block(&mut self) -> Option<Sample> {
        let block = self.block.as_mut()?;
        let Some(bytes) = block.lengths.pop_front() else {
            self.block = None;
            return None;
        };
        let time = Time::Presentation(block.time_ns);
        let frame_ns = self.chosen.as_ref().map_or(0, |chosen| chosen.frame_ns);
        block.time_ns = block
            .time_ns
            .saturating_add(i64::try_from(frame_ns).unwrap_or(i64::MAX));
        let number = self.samples;
        self.samples = number.saturating_add(1);
        Some(Sample {
            bytes,
            number,
            time,
            description: 0,
        })
    }
}

/// What stands where an element should.
enum Next {
    Header(Header),
    /// Not enough to tell.
    Need(Step),
    End,
}

fn read_header(view: View<'_>) -> Result<Next, ContainerError> {
    match ebml::header(view.bytes) {
        Parsed::Whole(header) => Ok(Next::Header(header)),
        Parsed::Wrong => Err(ContainerError::Malformed(
            "no element begins where one should",
        )),
        Parsed::Short if view.is_end && view.bytes.is_empty() => Ok(Next::End),
        Parsed::Short if view.is_end => Err(ContainerError::CutOff("an element's header")),
        Parsed::Short => Ok(Next::Need(Step::Need(ebml::HEADER_MOST_BYTES))),
    }
}

/// The head of the block that begins here, or what is needed for it.
fn read_head(header: Header, view: View<'_>) -> Result<Result<block::Head, Step>, ContainerError> {
    let length = usize::try_from(header.length).unwrap_or(usize::MAX);
    let head_bytes = header
        .bytes
        .saturating_add(length.min(block::HEADER_MOST_BYTES));
    let Some(head) = view.bytes.get(header.bytes..head_bytes) else {
        return view.need(head_bytes, "a block's head").map(Err);
    };
    block::head(head).map(Ok).ok_or(ContainerError::Malformed(
        "a block is too short for its head",
    ))
}

/// A date of this format, in nanoseconds since 1970; none where it is of no use.
fn since_1970(date: &[u8]) -> Option<i64> {
    let date = i64::from_be_bytes(date.try_into().ok()?);
    date.checked_add(NS_TO_2001).filter(|&date| date > 0)
}

const fn whole(header: Header) -> u64 {
    header.length.saturating_add(header.bytes as u64)
}

fn bounded(what: &'static str, bytes: u64, most: u64) -> Result<usize, ContainerError> {
    match usize::try_from(bytes) {
        Ok(count) if bytes <= most => Ok(count),
        _ => Err(ContainerError::TooLarge { what, bytes, most }),
    }
}
