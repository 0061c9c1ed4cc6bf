//! MP4 and `QuickTime`, whole or in fragments (ISO/IEC 14496-12).
//!
//! The boxes of the file are walked through in order. `moov` and `moof` are read; they say where samples are, and those are then gone to. In a
//! pipe, that works where the samples are behind what says where they are, as in fragments and in files that are made for it. Edit lists,
//! which leave parts of a track out when it is shown, are not looked at: all that was recorded is played.

mod boxes;
mod entry;
mod fragment;
mod movie;
mod reference;
mod search;
mod tables;

use std::collections::VecDeque;

use self::boxes::Header;
use self::fragment::Run;
use self::movie::Movie;
use self::tables::Located;
use super::{ContainerError, Sample, Step, Time, Track, View};
use crate::splitter::FRAME_MOST_BYTES;

/// Some twenty bytes a sample: a week of 25 frames a second.
const MOOV_MOST_BYTES: u64 = 512 << 20;
const MOOF_MOST_BYTES: u64 = 64 << 20;
const REFERENCE_MOST_BYTES: u64 = 1 << 10;

/// Finds the samples of the first video track.
#[derive(Debug)]
pub(crate) struct Mp4 {
    is_pipe: bool,
    movie: Option<Movie>,
    /// Samples to be handed out next.
    playing: Playing,
    /// Where the walk goes on after them.
    resume: u64,
    /// When samples begin in a fragment that does not say.
    fragment_time: u64,
    samples: u64,
    /// While the place is looked for at which playing begins.
    search: Option<Box<search::Search>>,
    /// When the first sample of the file is, if playing did not begin with it.
    first_time: Option<i64>,
    /// How many samples of the fragment that comes next are before that place.
    left_out: u32,
    /// A time in the file, and which date that was: nanoseconds since 1970.
    reference: Option<(i64, i64)>,
}

/// Which samples are next.
#[derive(Debug, Default)]
enum Playing {
    /// None are known of.
    #[default]
    Nothing,
    /// Those that the tables of the track name: at the first box that may hold them.
    TablesWait,
    RunsWait(VecDeque<Run>),
    Tables(Option<Located>),
    Runs(VecDeque<Run>, Option<Located>),
    /// And nothing more, as there are no fragments.
    Done,
}

/// Whether a file begins with one of the boxes that may be the first.
pub(super) fn is_beginning(start: &[u8]) -> bool {
    const FIRST: [&[u8; 4]; 9] = [
        b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"wide", b"sidx", b"skip", b"free",
    ];
    let kind = start.get(4..8);
    // Text may have such words; a length of a few bytes tells.
    let is_short = start.first() == Some(&0) || start.get(4..8) == Some(b"mdat");
    is_short && FIRST.iter().any(|first| kind == Some(first.as_slice()))
}

impl Mp4 {
    pub(super) fn new(is_pipe: bool) -> Self {
        Self {
            is_pipe,
            movie: None,
            playing: Playing::Nothing,
            resume: 0,
            fragment_time: 0,
            samples: 0,
            search: None,
            first_time: None,
            left_out: 0,
            reference: None,
        }
    }

    pub(super) fn restart(&mut self) {
        *self = Self::new(self.is_pipe);
    }

    pub(super) fn track(&self) -> Option<&Track> {
        self.movie.as_ref().map(|movie| &movie.track)
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
        if let Some(located) = self.next_located()? {
            return self.play(located, view);
        }
        if self.resume > 0 {
            return self.go_on();
        }
        if matches!(self.playing, Playing::Done) {
            return Ok(Step::Ended);
        }
        let header = match boxes::header(view.bytes) {
            Some(header) => header?,
            None if !view.is_end => {
                // The long form is only waited for where it is said to be there.
                let count = match view.bytes.len() {
                    0..boxes::HEADER_BYTES => boxes::HEADER_BYTES,
                    _ => boxes::HEADER_MOST_BYTES,
                };
                return Ok(Step::Need(count));
            }
            None if view.bytes.iter().all(|&byte| byte == 0) => return self.handle_end(view),
            None => return Err(ContainerError::CutOff("a box's header")),
        };
        self.handle_box(header, view)
    }

    /// The next sample of those that are being played.
    fn next_located(&mut self) -> Result<Option<Located>, ContainerError> {
        match (&mut self.playing, &mut self.movie) {
            (Playing::Tables(next), Some(movie)) => match next.take() {
                Some(located) => Ok(Some(located)),
                None => movie.tables.next(),
            },
            (Playing::Runs(runs, next), _) => {
                if next.is_some() {
                    return Ok(next.take());
                }
                while let Some(run) = runs.front_mut() {
                    if let Some(located) = run.next() {
                        return Ok(Some(located));
                    }
                    runs.pop_front();
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Hands a sample out where it begins, or goes there.
    fn play(&mut self, located: Located, view: View<'_>) -> Result<Step, ContainerError> {
        let Some(movie) = &self.movie else {
            return Ok(Step::Ended);
        };
        let bytes = usize::try_from(located.bytes).unwrap_or(usize::MAX);
        if bytes > FRAME_MOST_BYTES {
            return Err(ContainerError::TooLarge {
                what: "a sample",
                bytes: located.bytes.into(),
                most: FRAME_MOST_BYTES as u64,
            });
        }
        if located.description >= movie.track.descriptions.len() {
            return Err(ContainerError::Malformed(
                "a sample is of a kind that its list of codecs does not have",
            ));
        }
        if located.offset != view.offset {
            if self.is_pipe && located.offset < view.offset {
                return Err(ContainerError::Backwards);
            }
            match &mut self.playing {
                Playing::Tables(next) | Playing::Runs(_, next) => *next = Some(located),
                _ => {}
            }
            return Ok(Step::Seek(located.offset));
        }
        let number = self.samples;
        self.samples = number.saturating_add(1);
        let ticks = movie.ticks_per_second;
        Ok(Step::Sample(Sample {
            bytes,
            number,
            time: Time::Decoding(super::nanoseconds(located.time.into(), 1, ticks.into())),
            description: located.description,
        }))
    }

    /// Behind the samples of a box: on with the walk, if there may be more.
    fn go_on(&mut self) -> Result<Step, ContainerError> {
        let resume = std::mem::take(&mut self.resume);
        let has_fragments = self
            .movie
            .as_ref()
            .is_some_and(|movie| movie.fragments.is_some());
        self.playing = if has_fragments {
            Playing::Nothing
        } else {
            Playing::Done
        };
        // What goes to the end of the file has nothing behind it.
        if !has_fragments || resume == u64::MAX {
            self.playing = Playing::Done;
            return Ok(Step::Ended);
        }
        Ok(Step::Seek(resume))
    }

    /// Begins to play what waits, and remembers where the walk goes on; false if nothing waits.
    fn start_playing(&mut self, resume: u64) -> bool {
        self.playing = match std::mem::take(&mut self.playing) {
            Playing::TablesWait => Playing::Tables(None),
            Playing::RunsWait(runs) => Playing::Runs(runs, None),
            other => {
                self.playing = other;
                return false;
            }
        };
        self.resume = resume;
        true
    }

    fn handle_end(&mut self, view: View<'_>) -> Result<Step, ContainerError> {
        // Where the index is the last that there is.
        if self.start_playing(view.offset) {
            return Ok(Step::Skip(0));
        }
        match (&self.movie, self.samples) {
            (None, _) => Err(ContainerError::CutOff(
                "its frames, without the index (moov) that is written last",
            )),
            (Some(_), 0) => Err(ContainerError::NoSamples),
            (Some(_), _) => Ok(Step::Ended),
        }
    }

    fn handle_box(&mut self, header: Header, view: View<'_>) -> Result<Step, ContainerError> {
        let end = match header.length {
            Some(length) => view.offset.saturating_add(length),
            None => u64::MAX,
        };
        match &header.kind {
            b"mdat" => {
                if self.start_playing(end) {
                    return Ok(Step::Skip(0));
                }
                if self.is_pipe && self.movie.is_none() {
                    return Err(ContainerError::IndexAtEnd);
                }
            }
            b"moov" if self.movie.is_none() => {
                let what = "the index (moov)";
                return match body(header, view, what, MOOV_MOST_BYTES)? {
                    Some(moov) => self.handle_moov(moov, end),
                    None => view.need(count(header), what),
                };
            }
            // Some say at each fragment when it was; the first one does.
            b"prft" if self.movie.is_some() && self.reference.is_none() => {
                let what = "the time of a fragment (prft)";
                return match body(header, view, what, REFERENCE_MOST_BYTES)? {
                    Some(prft) => {
                        self.reference = self.movie.as_ref().and_then(|movie| {
                            reference::parse(prft, movie.track.number, movie.ticks_per_second)
                        });
                        Ok(Step::Skip(count(header) as u64))
                    }
                    None => view.need(count(header), what),
                };
            }
            b"moof" => {
                // Samples that another box than `mdat` holds.
                if self.start_playing(view.offset) {
                    return Ok(Step::Skip(0));
                }
                let what = "a fragment's index (moof)";
                return match body(header, view, what, MOOF_MOST_BYTES)? {
                    Some(moof) => self.handle_moof(moof, header, view.offset),
                    None => view.need(count(header), what),
                };
            }
            _ => {}
        }
        match header.length {
            Some(length) => Ok(Step::Skip(length)),
            None => self.handle_end(view),
        }
    }

    fn handle_moov(&mut self, moov: &[u8], end: u64) -> Result<Step, ContainerError> {
        let movie = Movie::parse(moov)?;
        self.playing = if movie.tables.count() > 0 {
            Playing::TablesWait
        } else if movie.fragments.is_some() {
            Playing::Nothing
        } else {
            return Err(ContainerError::NoSamples);
        };
        self.movie = Some(movie);
        if self.search.is_some() && matches!(self.playing, Playing::TablesWait) {
            return self.search_tables(end);
        }
        Ok(Step::Seek(end))
    }

    fn handle_moof(
        &mut self,
        moof: &[u8],
        header: Header,
        offset: u64,
    ) -> Result<Step, ContainerError> {
        let Some(movie) = &mut self.movie else {
            return Err(ContainerError::Malformed(
                "a fragment comes before the description of its tracks (moov): this is a segment without its beginning",
            ));
        };
        let time = self.fragment_time;
        let mut runs = fragment::runs(
            moof,
            offset,
            movie.track.number,
            *movie.fragments.get_or_insert_default(),
            &mut self.fragment_time,
        )?;
        if movie.track.rate.numerator == 0
            && let Some(run) = runs.front()
        {
            let (duration, ticks) = (run.first_duration(), movie.ticks_per_second);
            movie.track.rate = super::rate(1, duration.into(), ticks.into());
        }
        let end = offset.saturating_add(count(header) as u64);
        if self.search.is_some() {
            return self.search_runs(runs, offset, time, end);
        }
        for _ in 0..std::mem::take(&mut self.left_out) {
            while let Some(run) = runs.front_mut()
                && run.next().is_none()
            {
                runs.pop_front();
            }
        }
        if !runs.is_empty() {
            self.playing = Playing::RunsWait(runs);
        }
        Ok(Step::Seek(end))
    }
}

fn count(header: Header) -> usize {
    let length = header.length.unwrap_or(u64::MAX);
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// What is in a box that is read as a whole; `None` until all of it is there.
fn body<'a>(
    header: Header,
    view: View<'a>,
    what: &'static str,
    most: u64,
) -> Result<Option<&'a [u8]>, ContainerError> {
    let Some(bytes) = header.length else {
        return Err(ContainerError::Malformed(
            "its index does not say how long it is",
        ));
    };
    if bytes > most {
        return Err(ContainerError::TooLarge { what, bytes, most });
    }
    Ok(view.bytes.get(header.bytes..count(header)))
}
