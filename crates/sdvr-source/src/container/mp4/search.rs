//! The place in an MP4 where playing begins.
//!
//! Tables are looked through in memory. Of fragments, only what says where their samples are is read (`moof`), from one to the next, or from the one on
//! that the index at the end of the file names (`mfra`, ISO/IEC 14496-12, 8.8.9 to 8.8.11).

use std::collections::VecDeque;

use super::boxes::{self, boxes, version_and_flags};
use super::fragment::Run;
use super::tables::At;
use super::{Mp4, Playing, body, count};
use crate::container::fields::Fields;
use crate::container::search::Sought;
use crate::container::{ContainerError, Step, View, nanoseconds};
use crate::play_from::PlayFrom;

/// Some twenty bytes a fragment: a month of one a second.
const INDEX_MOST_BYTES: u64 = 64 << 20;
/// `mfro`, the last of a file with an index.
const FOOTER_BYTES: u64 = 16;

/// Where to begin.
#[derive(Clone, Copy, Debug)]
enum Spot {
    /// With a sample of the tables.
    Tables(At),
    /// With a sample of a fragment: where that begins, when its samples do unless it says so, and how many are before this one.
    Fragment {
        offset: u64,
        time: u64,
        samples: u32,
    },
}

#[derive(Debug)]
pub(super) struct Search {
    sought: Sought<Spot>,
    index: Index,
    /// Where the walk goes on behind the tables.
    behind_tables: u64,
}

/// What is known of the index of fragments. With the place where the walk goes on without one.
#[derive(Clone, Copy, Debug)]
enum Index {
    NotLookedFor,
    /// Its last box comes next.
    Footer(u64),
    /// It comes next.
    Whole(u64),
    /// A fragment that it has named comes next; and when samples begin at the other place.
    Jumped(u64, u64),
    /// It was of use, or there is none.
    Done,
}

impl Mp4 {
    /// Looks for where to begin before any sample is handed out.
    pub(in crate::container) fn search(&mut self, from: PlayFrom, file_bytes: u64) {
        self.search = Some(Box::new(Search {
            sought: Sought::new(from, file_bytes),
            index: Index::NotLookedFor,
            behind_tables: 0,
        }));
    }

    pub(in crate::container) const fn is_searching(&self) -> bool {
        self.search.is_some()
    }

    pub(in crate::container) const fn first_time(&self) -> Option<i64> {
        self.first_time
    }

    /// When the first sample, at `first`, was recorded.
    pub(in crate::container) fn date(&self, first: i64) -> Option<i64> {
        match self.reference {
            Some((time, date)) => Some(date.saturating_sub(time.saturating_sub(first))),
            None => self.movie.as_ref()?.date,
        }
    }

    /// A step of the search; the walk through the boxes is the same.
    pub(super) fn search_next(&mut self, view: View<'_>) -> Result<Step, ContainerError> {
        let index = self.search.as_ref().map(|search| search.index);
        match index {
            Some(Index::Footer(back)) => return self.read_footer(view, back),
            Some(Index::Whole(back)) => return self.read_index(view, back),
            Some(Index::Jumped(back, time)) => match boxes::header(view.bytes) {
                None if !view.is_end => return Ok(Step::Need(boxes::HEADER_MOST_BYTES)),
                Some(Ok(header)) if header.kind == *b"moof" => self.set_index(Index::Done),
                // It names what is not there.
                _ => {
                    self.fragment_time = time;
                    return Ok(self.go_back(back));
                }
            },
            _ => {}
        }
        let step = match self.play_next(view) {
            Err(ContainerError::CutOff(_) | ContainerError::NoSamples)
                if self
                    .search
                    .as_ref()
                    .is_some_and(|search| search.sought.has_begun()) =>
            {
                Step::Ended
            }
            step => step?,
        };
        let Some(search) = &self.search else {
            return Ok(step);
        };
        let most = search.sought.file_bytes;
        let is_end = match step {
            Step::Ended => true,
            Step::Seek(offset) => offset > most,
            Step::Skip(bytes) => view.offset.saturating_add(bytes) > most,
            Step::Need(_) | Step::Sample(_) => false,
        };
        // Before the first sample it is not the search that is in vain.
        if is_end && search.sought.has_begun() {
            let spot = search.sought.end(None)?;
            return Ok(self.begin_at(spot));
        }
        Ok(step)
    }

    /// Looks through the tables; `behind` is where the walk goes on.
    pub(super) fn search_tables(&mut self, behind: u64) -> Result<Step, ContainerError> {
        let (Some(search), Some(movie)) = (&mut self.search, &mut self.movie) else {
            return Ok(Step::Ended);
        };
        search.behind_tables = behind;
        let ticks = movie.ticks_per_second;
        let in_file = |time: u64| nanoseconds(time.into(), 1, ticks.into());
        let date = movie.date;
        let mut is_passed = false;
        let mut is_cut_off = false;
        loop {
            let at = movie.tables.at();
            // An index that is damaged says so when it is played up to there.
            let Ok(Some(located)) = movie.tables.next() else {
                break;
            };
            is_cut_off =
                located.offset.saturating_add(located.bytes.into()) > search.sought.file_bytes;
            if is_cut_off {
                break;
            }
            let (time, spot) = (in_file(located.time), Spot::Tables(at));
            is_passed = search.sought.see(time, located.is_key, spot, || date)?;
            if is_passed {
                break;
            }
        }
        if !search.sought.has_begun() || !is_passed && !is_cut_off && movie.fragments.is_some() {
            self.playing = Playing::Nothing;
            return Ok(Step::Seek(behind));
        }
        let length = (!is_cut_off).then(|| in_file(movie.tables.time()));
        let spot = search.sought.end(length)?;
        Ok(self.begin_at(spot))
    }

    /// Looks through a fragment that begins at `offset`; `time` is when its samples begin unless it says so.
    pub(super) fn search_runs(
        &mut self,
        runs: VecDeque<Run>,
        offset: u64,
        time: u64,
        behind: u64,
    ) -> Result<Step, ContainerError> {
        let ticks = self
            .movie
            .as_ref()
            .map_or(1, |movie| movie.ticks_per_second);
        let in_file = |time: u64| nanoseconds(time.into(), 1, ticks.into());
        let (date, reference) = (
            self.movie.as_ref().and_then(|movie| movie.date),
            self.reference,
        );
        let Some(search) = &mut self.search else {
            return Ok(Step::Ended);
        };
        let mut samples = 0_u32;
        for mut run in runs {
            while let Some(located) = run.next() {
                let end = located.offset.saturating_add(located.bytes.into());
                let is_cut_off = end > search.sought.file_bytes;
                if is_cut_off && !search.sought.has_begun() {
                    return Err(ContainerError::CutOff("its first sample"));
                }
                let sample_time = in_file(located.time);
                let date = || match reference {
                    Some((time, date)) => {
                        Some(date.saturating_sub(time.saturating_sub(sample_time)))
                    }
                    None => date,
                };
                let spot = Spot::Fragment {
                    offset,
                    time,
                    samples,
                };
                if is_cut_off || search.sought.see(sample_time, located.is_key, spot, date)? {
                    let spot = search.sought.end(None)?;
                    return Ok(self.begin_at(spot));
                }
                samples = samples.saturating_add(1);
            }
        }
        if matches!(search.index, Index::NotLookedFor) && search.sought.has_begun() {
            let footer = search.sought.file_bytes.saturating_sub(FOOTER_BYTES);
            if footer > behind {
                search.index = Index::Footer(behind);
                return Ok(Step::Seek(footer));
            }
        }
        Ok(Step::Seek(behind))
    }

    /// The last box of an index says how long the index is.
    fn read_footer(&mut self, view: View<'_>, back: u64) -> Result<Step, ContainerError> {
        let Some(bytes) = view.bytes.get(..16) else {
            return if view.is_end {
                Ok(self.go_back(back))
            } else {
                Ok(Step::Need(16))
            };
        };
        let mut fields = Fields::new(bytes);
        let length = (|| {
            let (_, kind, _) = (fields.u32()?, fields.four()?, fields.u32()?);
            fields.u32().filter(|_| kind == *b"mfro")
        })();
        let end = view.offset.saturating_add(FOOTER_BYTES);
        match length.and_then(|length| end.checked_sub(length.into())) {
            Some(offset) if offset > back => {
                self.set_index(Index::Whole(back));
                Ok(Step::Seek(offset))
            }
            _ => Ok(self.go_back(back)),
        }
    }

    fn read_index(&mut self, view: View<'_>, back: u64) -> Result<Step, ContainerError> {
        let header = match boxes::header(view.bytes) {
            Some(Ok(header)) if header.kind == *b"mfra" => header,
            None if !view.is_end => return Ok(Step::Need(boxes::HEADER_MOST_BYTES)),
            _ => return Ok(self.go_back(back)),
        };
        let mfra = match body(header, view, "the index of its fragments", INDEX_MOST_BYTES) {
            Ok(Some(mfra)) => mfra,
            Ok(None) if !view.is_end => return Ok(Step::Need(count(header))),
            _ => return Ok(self.go_back(back)),
        };
        let (Some(movie), Some(search)) = (&self.movie, &mut self.search) else {
            return Ok(Step::Ended);
        };
        let target = search.sought.target().unwrap_or(i64::MIN);
        let entry = last_entry(mfra, movie.track.number, |time| {
            nanoseconds(time.into(), 1, movie.ticks_per_second.into()) <= target
        });
        match entry {
            Some((time, offset)) if offset > back => {
                search.index = Index::Jumped(back, self.fragment_time);
                search.sought.jump();
                self.fragment_time = time;
                Ok(Step::Seek(offset))
            }
            _ => Ok(self.go_back(back)),
        }
    }

    const fn go_back(&mut self, to: u64) -> Step {
        self.set_index(Index::Done);
        Step::Seek(to)
    }

    const fn set_index(&mut self, index: Index) {
        if let Some(search) = &mut self.search {
            search.index = index;
        }
    }

    /// The search is over: the next sample is the one at `spot`.
    fn begin_at(&mut self, spot: Spot) -> Step {
        let Some(search) = self.search.take() else {
            return Step::Ended;
        };
        self.first_time = search.sought.first();
        match (spot, &mut self.movie) {
            (Spot::Tables(at), Some(movie)) => {
                movie.tables.go_to(at);
                self.playing = Playing::Tables(None);
                self.resume = search.behind_tables;
                Step::Skip(0)
            }
            (Spot::Tables(_), None) => Step::Ended,
            (
                Spot::Fragment {
                    offset,
                    time,
                    samples,
                },
                _,
            ) => {
                self.fragment_time = time;
                self.left_out = samples;
                Step::Seek(offset)
            }
        }
    }
}

/// Time and place of the last entry that is early enough, of those of a track in the body of an `mfra`.
fn last_entry(
    mfra: &[u8],
    track: u64,
    is_early_enough: impl Fn(u64) -> bool,
) -> Option<(u64, u64)> {
    let mut last: Option<(u64, u64)> = None;
    for found in boxes(mfra) {
        let (kind, tfra) = found.ok()?;
        let mut fields = Fields::new(tfra);
        let (version, _) = version_and_flags(&mut fields)?;
        if kind != *b"tfra" || u64::from(fields.u32()?) != track {
            continue;
        }
        let lengths = fields.u32()?;
        // Which run and sample of the fragment it is: each of one to four bytes.
        let rest_bytes = [4, 2, 0]
            .iter()
            .map(|shift| (lengths >> shift & 3) as usize + 1);
        let rest_bytes: usize = rest_bytes.sum();
        for _ in 0..fields.u32()? {
            let (time, offset) = match version {
                1 => (fields.u64()?, fields.u64()?),
                _ => (fields.u32()?.into(), fields.u32()?.into()),
            };
            fields.take(rest_bytes)?;
            if is_early_enough(time) && last.is_none_or(|(latest, _)| latest <= time) {
                last = Some((time, offset));
            }
        }
    }
    last
}
