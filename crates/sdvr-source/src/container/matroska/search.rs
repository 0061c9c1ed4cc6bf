//! The place in a Matroska file where playing begins.
//!
//! First by the index (`Cues`, RFC 9559, 5.1.5) that the beginning of the file names, else from cluster to cluster, of which the first block is looked at.
//! From the last one that may hold the place, it is then looked for block by block. No frame is read.

use super::ebml::{self, Header, UNKNOWN_LENGTH, elements, unsigned};
use super::{
    BLOCK, BLOCK_GROUP, CLUSTER, Matroska, Next, SEGMENT, SIMPLE_BLOCK, bounded, read_head,
    read_header, whole,
};
use crate::container::search::Sought;
use crate::container::{ContainerError, Step, View, nanoseconds};
use crate::play_from::PlayFrom;

const SEEK_HEAD: u32 = 0x114d_9b74;
const SEEK: u32 = 0x4dbb;
const SEEK_ID: u32 = 0x53ab;
const SEEK_POSITION: u32 = 0x53ac;
const CUES: u32 = 0x1c53_bb6b;
const CUE_POINT: u32 = 0xbb;
const CUE_TIME: u32 = 0xb3;
const CUE_POSITIONS: u32 = 0xb7;
const CUE_TRACK: u32 = 0xf7;
const CUE_CLUSTER: u32 = 0xf1;
/// Of a block in a group: what it needs to be decoded.
const REFERENCE: u32 = 0xfb;

const SEEK_HEAD_MOST_BYTES: u64 = 1 << 16;
/// Some twenty bytes a key frame: a day of 25 a second.
const CUES_MOST_BYTES: u64 = 64 << 20;
/// Frames are shown this much later at most than frames that stand behind them: with key frames far from each other, the search need not go on to the next.
const OVERTAKEN_MOST_NS: i64 = 2_000_000_000;

/// Where to begin: with a block of a cluster, of which so many are before it.
#[derive(Clone, Copy, Debug)]
struct Spot {
    cluster: u64,
    blocks: u32,
}

#[derive(Debug)]
pub(super) struct Search {
    sought: Sought<Spot>,
    phase: Phase,
    /// Where positions in the file are counted from.
    segment: u64,
    /// Where the index is, once that is known.
    cues: Option<u64>,
    cluster: Cluster,
    /// A block in a group, which is a key frame if nothing else in the group says that it is none.
    undecided: Option<Candidate>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// From cluster to cluster.
    Clusters,
    /// The index comes next. With where the walk goes on without it.
    Cues(u64),
    /// A cluster that the index has named comes next. With the same.
    Jumped(u64),
    /// From block to block.
    Blocks,
}

/// The cluster that the walk is in.
#[derive(Clone, Copy, Debug, Default)]
struct Cluster {
    offset: u64,
    /// Where it ends, if it says so.
    end: Option<u64>,
    /// Blocks of the track in it so far.
    blocks: u32,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    time: i64,
    spot: Spot,
}

impl Matroska {
    /// Looks for where to begin before any sample is handed out.
    pub(in crate::container) fn search(&mut self, from: PlayFrom, file_bytes: u64) {
        self.search = Some(Box::new(Search {
            sought: Sought::new(from, file_bytes),
            phase: Phase::Clusters,
            segment: 0,
            cues: None,
            cluster: Cluster::default(),
            undecided: None,
        }));
    }

    pub(in crate::container) const fn is_searching(&self) -> bool {
        self.search.is_some()
    }

    pub(in crate::container) const fn first_time(&self) -> Option<i64> {
        self.first_time
    }

    /// When the first block was recorded.
    pub(in crate::container) const fn date(&self) -> Option<i64> {
        self.date
    }

    pub(super) fn search_next(&mut self, view: View<'_>) -> Result<Step, ContainerError> {
        let Some(search) = &self.search else {
            return Ok(Step::Skip(0));
        };
        let (has_begun, most) = (search.sought.has_begun(), search.sought.file_bytes);
        let step = match self.search_element(view) {
            // What is cut off or damaged is the end of what can be found.
            Err(ContainerError::CutOff(_) | ContainerError::Malformed(_)) if has_begun => {
                Step::Ended
            }
            step => step?,
        };
        let is_end = match step {
            Step::Ended => true,
            Step::Seek(offset) => offset > most,
            Step::Skip(bytes) => view.offset.saturating_add(bytes) > most,
            Step::Need(_) | Step::Sample(_) => false,
        };
        let has_begun = |search: &Search| search.sought.has_begun();
        if is_end && self.search.as_deref().is_some_and(has_begun) {
            return self.search_ended();
        }
        Ok(step)
    }

    fn search_element(&mut self, view: View<'_>) -> Result<Step, ContainerError> {
        let header = match read_header(view)? {
            Next::Header(header) => header,
            Next::Need(step) => return Ok(step),
            Next::End => {
                return match self.settle(true)? {
                    Some(step) => Ok(step),
                    None if self.search.as_ref().is_some_and(|it| it.sought.has_begun()) => {
                        Ok(Step::Ended)
                    }
                    None => self.end(),
                };
            }
        };
        let Some(search) = &mut self.search else {
            return Ok(Step::Skip(0));
        };
        match search.phase {
            Phase::Cues(back) => return self.read_cues(header, view, back),
            Phase::Jumped(back) if header.id != CLUSTER => {
                // It names what is not there.
                search.phase = Phase::Clusters;
                return Ok(Step::Seek(back));
            }
            Phase::Jumped(_) => search.phase = Phase::Blocks,
            Phase::Clusters | Phase::Blocks => {}
        }
        if header.id == REFERENCE {
            let step = self.settle(false)?;
            return Ok(step.unwrap_or_else(|| Step::Skip(whole(header))));
        }
        if matches!(header.id, SIMPLE_BLOCK | BLOCK_GROUP | CLUSTER)
            && let Some(step) = self.settle(true)?
        {
            return Ok(step);
        }
        self.search_in(header, view)
    }

    fn search_in(&mut self, header: Header, view: View<'_>) -> Result<Step, ContainerError> {
        let Some(search) = &mut self.search else {
            return Ok(Step::Skip(0));
        };
        let inside = view.offset.saturating_add(header.bytes as u64);
        // A cluster whose length is wrong: who went to its end would come by here for ever.
        if search.cluster.end.is_some_and(|end| end <= view.offset) {
            search.cluster.end = None;
        }
        match header.id {
            SEGMENT => search.segment = inside,
            CLUSTER => {
                search.cluster = Cluster {
                    offset: view.offset,
                    end: match header.length {
                        UNKNOWN_LENGTH => None,
                        length => Some(inside.saturating_add(length)),
                    },
                    blocks: 0,
                };
            }
            CUES => search.cues = Some(view.offset),
            SEEK_HEAD => {
                let what = "the list of its parts";
                let count = bounded(what, header.length, SEEK_HEAD_MOST_BYTES)?
                    .saturating_add(header.bytes);
                let Some(body) = view.bytes.get(header.bytes..count) else {
                    return view.need(count, what);
                };
                let cues = position_of(body, CUES);
                search.cues = cues.and_then(|position| search.segment.checked_add(position));
            }
            SIMPLE_BLOCK | BLOCK => return self.search_block(header, view),
            _ => {}
        }
        self.handle_element(header, view)
    }

    fn search_block(&mut self, header: Header, view: View<'_>) -> Result<Step, ContainerError> {
        let head = match read_head(header, view)? {
            Ok(head) => head,
            Err(step) => return Ok(step),
        };
        let behind = view.offset.saturating_add(whole(header));
        let time = self.block_time(head);
        let (Some(chosen), Some(search)) = (&self.chosen, &mut self.search) else {
            // Which says what is wrong with it.
            return self.handle_element(header, view);
        };
        if head.track != chosen.track.number {
            return Ok(Step::Seek(behind));
        }
        if behind > search.sought.file_bytes {
            return Err(ContainerError::CutOff("a block"));
        }
        let spot = Spot {
            cluster: search.cluster.offset,
            blocks: search.cluster.blocks,
        };
        search.cluster.blocks = search.cluster.blocks.saturating_add(1);
        search.undecided = Some(Candidate { time, spot });
        if header.id == SIMPLE_BLOCK
            && let Some(step) = self.settle(head.is_key)?
        {
            return Ok(step);
        }
        Ok(Step::Seek(behind))
    }

    /// Decides on the block that was found, if there is one: where else than behind it the search goes on.
    fn settle(&mut self, is_key: bool) -> Result<Option<Step>, ContainerError> {
        let date = self.date;
        let Some(search) = &mut self.search else {
            return Ok(None);
        };
        let Some(Candidate { time, spot }) = search.undecided.take() else {
            return Ok(None);
        };
        let is_first = !search.sought.has_begun();
        let is_passed = search.sought.see(time, is_key, spot, || date)?;
        match search.phase {
            Phase::Blocks => {
                let target = search.sought.target().unwrap_or(time);
                let is_far = time > target.saturating_add(OVERTAKEN_MOST_NS);
                if is_passed && (is_key || is_far) {
                    return self.search_ended().map(Some);
                }
            }
            Phase::Clusters if is_passed => return self.search_ended().map(Some),
            Phase::Clusters => {
                let behind = search.cluster.end.unwrap_or(search.cluster.offset);
                if is_first && let Some(cues) = search.cues {
                    search.phase = Phase::Cues(behind);
                    return Ok(Some(Step::Seek(cues)));
                }
                if search.cluster.end.is_some() {
                    search.sought.jump();
                }
                return Ok(search.cluster.end.map(Step::Seek));
            }
            Phase::Cues(_) | Phase::Jumped(_) => {}
        }
        Ok(None)
    }

    /// There is no more to be seen of the file, or no need to. What was passed over is looked at once more, block by block.
    fn search_ended(&mut self) -> Result<Step, ContainerError> {
        let Some(search) = &mut self.search else {
            return Ok(Step::Skip(0));
        };
        let Some(best) = search.sought.best() else {
            return Err(ContainerError::NoSamples);
        };
        search.undecided = None;
        match search.phase {
            Phase::Clusters => {
                search.phase = Phase::Blocks;
                search.sought.jump();
                return Ok(Step::Seek(best.cluster));
            }
            // It is the index that is not there.
            Phase::Cues(back) | Phase::Jumped(back) => {
                search.phase = Phase::Clusters;
                if back > search.sought.file_bytes {
                    return self.search_ended();
                }
                return Ok(Step::Seek(back));
            }
            Phase::Blocks => {}
        }
        let spot = search.sought.end(None)?;
        self.first_time = search.sought.first();
        self.search = None;
        self.left_out = spot.blocks;
        Ok(Step::Seek(spot.cluster))
    }

    fn read_cues(
        &mut self,
        header: Header,
        view: View<'_>,
        back: u64,
    ) -> Result<Step, ContainerError> {
        let Some(search) = &mut self.search else {
            return Ok(Step::Skip(0));
        };
        let what = "the index";
        let cues = match bounded(what, header.length, CUES_MOST_BYTES) {
            Ok(length) if header.id == CUES => {
                let count = length.saturating_add(header.bytes);
                match view.bytes.get(header.bytes..count) {
                    None if !view.is_end => return Ok(Step::Need(count)),
                    cues => cues,
                }
            }
            _ => None,
        };
        let (track, tick_ns) = (
            self.chosen.as_ref().map_or(0, |chosen| chosen.track.number),
            self.tick_ns,
        );
        let target = search.sought.target().unwrap_or(i64::MIN);
        let is_early_enough =
            |ticks: u64| nanoseconds(ticks.into(), tick_ns, 1_000_000_000) <= target;
        let position = cues.and_then(|cues| last_cue(cues, track, is_early_enough));
        let cluster = position.and_then(|position| search.segment.checked_add(position));
        let (phase, to) = match cluster {
            Some(cluster) => (Phase::Jumped(back), cluster),
            None => (Phase::Clusters, back),
        };
        search.phase = phase;
        search.sought.jump();
        Ok(Step::Seek(to))
    }
}

/// The position of an element, as the list of a segment's parts has it.
fn position_of(seek_head: &[u8], id: u32) -> Option<u64> {
    elements(seek_head)
        .filter(|(found, _)| *found == SEEK)
        .find_map(|(_, seek)| {
            let child = |id| {
                let found = ebml::elements(seek).find(|(found, _)| *found == id);
                found.and_then(|(_, body)| unsigned(body))
            };
            (child(SEEK_ID)? == id.into()).then_some(child(SEEK_POSITION)?)
        })
}

/// The position of the last cluster of a track that an index names and that begins early enough.
fn last_cue(cues: &[u8], track: u64, is_early_enough: impl Fn(u64) -> bool) -> Option<u64> {
    let mut last: Option<(u64, u64)> = None;
    for (_, point) in elements(cues).filter(|(id, _)| *id == CUE_POINT) {
        let time = elements(point).find(|(id, _)| *id == CUE_TIME);
        let Some(time) = time.and_then(|(_, body)| unsigned(body)) else {
            continue;
        };
        if !is_early_enough(time) || last.is_some_and(|(latest, _)| latest > time) {
            continue;
        }
        for (_, positions) in elements(point).filter(|(id, _)| *id == CUE_POSITIONS) {
            let child = |id| {
                let found = elements(positions).find(|(found, _)| *found == id);
                found.and_then(|(_, body)| unsigned(body))
            };
            if child(CUE_TRACK) == Some(track)
                && let Some(position) = child(CUE_CLUSTER)
            {
                last = Some((time, position));
            }
        }
    }
    last.map(|(_, position)| position)
}
