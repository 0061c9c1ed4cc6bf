//! Frames out of a container, at the times that are in it.

mod clock;
mod dropping;

use std::os::fd::BorrowedFd;

use sdvr_frame::{FrameFlags, FrameNumber, FrameRate, StreamFormat, Timestamp};

use self::clock::Clock;
use self::dropping::Dropping;
use crate::container::{
    ContainerError, Demuxer, Frames, Place, Sample, Step, Time, Timeline, View,
};
use crate::error::SourceError;
use crate::input::{Filled, Input};
use crate::pace::Pace;
use crate::play_from::{CaptureTimes, PlayFrom, PlayFromError, on_this_clock};
use crate::source::{CapturedFrame, Next, SourceDescription};
use crate::spec::CaptureOptions;

/// What is done in one call before the caller has its turn again.
const STEPS_MOST: u32 = 256;
/// Frames whose times tell how frames overtake each other.
const SURVEYED_FRAMES: usize = 48;
/// So many samples without bytes in a row are no video.
const EMPTY_MOST: u32 = 4096;

/// A file or pipe that is a container.
#[derive(Debug)]
pub(crate) struct Recording {
    input: Input,
    demuxer: Demuxer,
    options: CaptureOptions,
    want: Want,
    /// Times that were seen so far, while the beginning of a file is looked through for them.
    survey: Option<Vec<i64>>,
    /// Where to begin, as long as nothing was done about it.
    from: Option<PlayFrom>,
    /// A pipe's frames are dropped until there.
    dropping: Option<Dropping>,
    /// When the first frame that was handed out was recorded, on this host's clock: mostly before that began to count.
    recorded_at: Option<Timestamp>,
    frames: Option<Frames>,
    timeline: Timeline,
    clock: Clock,
    /// The frame that is next, and its bytes.
    pending: Option<Pending>,
    frame: Vec<u8>,
    /// Whether what is at hand was looked at in vain: only more of it helps.
    is_starved: bool,
    next_number: FrameNumber,
    found: u64,
    found_this_round: u64,
    empty_in_a_row: u32,
    first_frame_bytes: usize,
}

/// What has to be done before the demuxer is asked again.
#[derive(Clone, Copy, Debug)]
enum Want {
    Nothing,
    Bytes(usize),
    Skip(u64),
    Sample(Sample),
    /// It has ended.
    End,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    flags: FrameFlags,
    /// Since the first frame that is played.
    due_ns: i64,
    /// When its last byte was read.
    came_at: Timestamp,
}

impl Recording {
    pub(crate) fn new(input: Input, demuxer: Demuxer, options: &CaptureOptions) -> Self {
        let clock = match options.rate {
            Some(rate) => Pace::new(rate).map_or(Clock::Unpaced, Clock::Paced),
            None => Clock::Own(None),
        };
        // A pipe's beginning cannot be looked at twice.
        let is_reordered = demuxer.has_times_of_presentation();
        let survey =
            (!input.is_pipe() && is_reordered && matches!(clock, Clock::Own(_))).then(Vec::new);
        let dropping = options.from.filter(|_| input.is_pipe()).map(Dropping::new);
        Self {
            input,
            demuxer,
            options: options.clone(),
            want: Want::Nothing,
            survey,
            from: options.from.filter(|_| dropping.is_none()),
            dropping,
            recorded_at: None,
            frames: None,
            timeline: Timeline::default(),
            clock,
            pending: None,
            frame: Vec::new(),
            is_starved: false,
            next_number: FrameNumber(0),
            found: 0,
            found_this_round: 0,
            empty_in_a_row: 0,
            first_frame_bytes: 0,
        }
    }

    pub(crate) fn description(&self) -> Option<SourceDescription> {
        let frames = self.frames.as_ref().filter(|_| self.found > 0)?;
        let (width, height) = frames.size();
        let own = self.demuxer.track().map(|track| track.rate);
        let rate = self.options.rate.or(own).unwrap_or(FrameRate::UNPACED);
        Some(SourceDescription {
            format: StreamFormat {
                fourcc: frames.codec().fourcc(),
                width,
                height,
                rate: self.options.announced(rate),
            },
            extradata: Vec::new(),
            frame_bytes: frames
                .frame_bytes()
                .map(|bytes| bytes.max(self.first_frame_bytes)),
            first_frame_bytes: self.first_frame_bytes,
        })
    }

    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        if self.pending.is_some() || !self.is_starved {
            None
        } else {
            self.input.descriptor()
        }
    }

    pub(crate) fn due(&self) -> Option<Timestamp> {
        let at_once = Some(Timestamp::from_nanoseconds(i64::MIN));
        let Some(pending) = &self.pending else {
            return if self.descriptor().is_some() {
                None
            } else {
                at_once
            };
        };
        match &self.clock {
            Clock::Paced(pace) => Some(pace.due()),
            Clock::Own(Some(began)) => Some(began.offset_by(pending.due_ns)),
            Clock::Unpaced | Clock::Own(None) => at_once,
        }
    }

    /// Whether the user has set a rate: at the file's own, it waits for the network, so that nothing of it is lost.
    pub(crate) const fn is_live(&self) -> bool {
        matches!(self.clock, Clock::Paced(_))
    }

    /// Whether a frame is there, or the end; looks for one.
    pub(crate) fn prepare(&mut self, now: Timestamp) -> Result<bool, SourceError> {
        Ok(self.pending.is_some() || self.find(now)? != Filled::NotYet)
    }

    pub(crate) fn try_next(&mut self, now: Timestamp) -> Result<Next<'_>, SourceError> {
        if self.pending.is_none() {
            match self.find(now)? {
                Filled::More => {}
                Filled::NotYet => return Ok(Next::NotYet),
                Filled::End => return Ok(Next::Ended),
            }
        }
        let Some(pending) = self.pending else {
            return Ok(Next::NotYet);
        };
        let Some(due) = self.clock.take(now, pending.due_ns) else {
            return Ok(Next::NotYet);
        };
        self.pending = None;
        self.is_starved = false;
        let index = self.found.saturating_sub(1);
        if !index.is_multiple_of(self.options.every_nth.max(1).into()) {
            return Ok(Next::NotYet);
        }
        let number = self.next_number;
        self.next_number.0 = number.0.saturating_add(1);
        Ok(Next::Frame(CapturedFrame {
            number,
            captured: match self.recorded_at {
                Some(began) => began.offset_by(pending.due_ns),
                // A frame is not there before its bytes are.
                None if self.input.is_pipe() => due.max(pending.came_at),
                // What is in a file was captured long ago; it plays the camera now.
                None => due,
            },
            flags: pending.flags,
            payload: &self.frame,
        }))
    }

    /// Looks for the next frame.
    fn find(&mut self, now: Timestamp) -> Result<Filled, SourceError> {
        match self.find_once(now) {
            // What is wrong with the file is said behind the frames before it.
            Err(_) if self.survey.as_ref().is_some_and(|times| !times.is_empty()) => {
                self.end_survey()?;
                self.find_once(now)
            }
            found => found,
        }
    }

    fn find_once(&mut self, now: Timestamp) -> Result<Filled, SourceError> {
        let mut has_read = false;
        for _ in 0..STEPS_MOST {
            let available = self.input.bytes().len();
            let is_short = match self.want {
                Want::Nothing | Want::End => false,
                Want::Bytes(count) => available < count,
                Want::Sample(sample) => available < sample.bytes,
                Want::Skip(count) => {
                    let skipped = self.input.skip(count)?;
                    self.want = match count.saturating_sub(skipped) {
                        0 => Want::Nothing,
                        left => Want::Skip(left),
                    };
                    matches!(self.want, Want::Skip(_))
                }
            };
            if is_short && !self.input.is_at_end() {
                // A writer that is faster than we are must not keep us here: its pipe stays readable.
                if self.input.is_pipe() && has_read {
                    self.is_starved = true;
                    return Ok(Filled::NotYet);
                }
                has_read = true;
                let filled = if self.demuxer.is_searching() {
                    self.input.fill_a_little(now)?
                } else {
                    self.input.fill(now)?
                };
                if filled == Filled::NotYet {
                    self.is_starved = true;
                    return Ok(Filled::NotYet);
                }
                continue;
            }
            match self.want {
                Want::Sample(sample) => {
                    if self.take_sample(sample, is_short, now)? {
                        return Ok(Filled::More);
                    }
                }
                Want::Skip(_) => {
                    return Err(self.failed(ContainerError::CutOff("what it says to have")));
                }
                Want::End => {
                    if !self.begin_again()? {
                        return Ok(Filled::End);
                    }
                }
                Want::Nothing | Want::Bytes(_) => self.step()?,
            }
        }
        self.is_starved = false;
        Ok(Filled::NotYet)
    }

    /// Asks the demuxer.
    fn step(&mut self) -> Result<(), SourceError> {
        self.start_search()?;
        let view = View {
            bytes: self.input.bytes(),
            offset: self.input.offset(),
            is_end: self.input.is_at_end(),
        };
        let step = self
            .demuxer
            .next(view)
            .map_err(|error| self.failed(error))?;
        self.want = match step {
            Step::Need(count) => Want::Bytes(count),
            Step::Skip(count) => self.skip_to(self.input.offset().checked_add(count))?,
            Step::Seek(offset) => self.skip_to(Some(offset))?,
            Step::Sample(sample) => Want::Sample(sample),
            Step::Ended => Want::End,
        };
        Ok(())
    }

    /// Goes to `offset`, or says how far is still to be read in a pipe.
    fn skip_to(&mut self, offset: Option<u64>) -> Result<Want, SourceError> {
        let cut_off = ContainerError::CutOff("what it says to have");
        let Some(offset) = offset else {
            return Err(self.failed(cut_off));
        };
        // What is at hand need not be asked for.
        if !self.input.is_pipe()
            && offset > self.input.end_offset()
            && offset > self.input.file_bytes()?
        {
            return Err(self.failed(cut_off));
        }
        if let Some(further) = offset.checked_sub(self.input.offset()) {
            return Ok(Want::Skip(further));
        }
        self.input.seek(offset)?;
        Ok(Want::Nothing)
    }

    /// Has the demuxer look for where to begin, once how frames overtake each other was seen.
    fn start_search(&mut self) -> Result<(), SourceError> {
        if self.survey.is_none()
            && let Some(from) = self.from.take()
        {
            self.demuxer.search(from, self.input.file_bytes()?);
        }
        Ok(())
    }

    /// Whether a frame out of a pipe is left out, as playing begins with a later one.
    fn is_before_beginning(
        &mut self,
        sample: Sample,
        flags: FrameFlags,
    ) -> Result<bool, SourceError> {
        let Some(mut dropping) = self.dropping else {
            return Ok(false);
        };
        let time = sample.time.nanoseconds();
        let is_key = flags.contains(FrameFlags::KEY);
        let leaves_out = self.found == 0
            && dropping
                .leaves_out(time, is_key, || self.demuxer.date(time))
                .map_err(|error| self.failed(error.into()))?;
        self.dropping = Some(dropping);
        Ok(leaves_out)
    }

    /// Finds out when the first frame that is handed out was recorded, if frames are to have such times.
    fn note_date(&mut self, sample: Sample) -> Result<(), SourceError> {
        if self.options.times != CaptureTimes::Recorded {
            return Ok(());
        }
        let time = sample.time.nanoseconds();
        let of_pipe = self.dropping.and_then(|dropping| dropping.first());
        let first = of_pipe
            .or_else(|| self.demuxer.first_time())
            .unwrap_or(time);
        let Some(date) = self.demuxer.date(first) else {
            let error = PlayFromError::NoDate(
                "its frames can have the times of now only, without --times recorded",
            );
            return Err(self.failed(error.into()));
        };
        let date = date.saturating_add(time.saturating_sub(first));
        self.recorded_at = Some(on_this_clock(date));
        Ok(())
    }

    /// Makes the frame of a sample; false if there is none.
    fn take_sample(
        &mut self,
        sample: Sample,
        is_short: bool,
        now: Timestamp,
    ) -> Result<bool, SourceError> {
        if is_short {
            return Err(self.failed(ContainerError::CutOff("this sample")));
        }
        self.want = Want::Nothing;
        if let (Some(times), Time::Presentation(time)) = (&mut self.survey, sample.time) {
            times.push(time);
            if times.len() < SURVEYED_FRAMES {
                self.want = Want::Skip(sample.bytes as u64);
                return Ok(false);
            }
            self.end_survey()?;
            return Ok(false);
        }
        if sample.bytes == 0 {
            self.empty_in_a_row = self.empty_in_a_row.saturating_add(1);
            if self.empty_in_a_row > EMPTY_MOST {
                let error = ContainerError::Malformed("thousands of its samples are empty");
                return Err(self.failed(error));
            }
            return Ok(false);
        }
        (self.survey, self.empty_in_a_row) = (None, 0);
        let came_at = self.input.came_at(sample.bytes).unwrap_or(now);
        let flags = self.make_frame(sample).map_err(|error| {
            // The demuxer counts this sample already; it is the one that is named.
            self.want = Want::Sample(sample);
            self.failed(error)
        })?;
        self.input.consume(sample.bytes);
        if self.is_before_beginning(sample, flags)? {
            return Ok(false);
        }
        if self.found == 0 {
            self.note_date(sample)?;
            self.first_frame_bytes = self.frame.len();
        }
        self.found = self.found.saturating_add(1);
        self.found_this_round = self.found_this_round.saturating_add(1);
        self.pending = Some(Pending {
            flags,
            due_ns: self.timeline.next(sample.time),
            came_at,
        });
        self.check_options()?;
        Ok(true)
    }

    fn make_frame(&mut self, sample: Sample) -> Result<FrameFlags, ContainerError> {
        let frames = match (&mut self.frames, self.demuxer.track()) {
            (Some(frames), _) => frames,
            (none, Some(track)) => none.insert(Frames::new(track)?),
            (None, None) => return Err(ContainerError::NoVideo),
        };
        let bytes = self.input.bytes();
        let bytes = bytes.get(..sample.bytes).unwrap_or(bytes);
        frames.make(bytes, sample.description, &mut self.frame)
    }

    /// Goes back to the beginning, with what the first times have told.
    fn end_survey(&mut self) -> Result<(), SourceError> {
        if let Some(times) = self.survey.take() {
            self.timeline.learn(&times);
            self.rewind()?;
        }
        Ok(())
    }

    fn rewind(&mut self) -> Result<(), SourceError> {
        self.input.rewind()?;
        self.demuxer.restart();
        self.want = Want::Nothing;
        self.from = self.options.from.filter(|_| !self.input.is_pipe());
        Ok(())
    }

    /// At the end: whether there is more, as the file begins again.
    fn begin_again(&mut self) -> Result<bool, SourceError> {
        if self.survey.as_ref().is_some_and(|times| !times.is_empty()) {
            self.end_survey()?;
            return Ok(true);
        }
        if let Some(dropping) = self.dropping.filter(|_| self.found == 0) {
            return Err(self.failed(dropping.error()));
        }
        if !self.options.looped || self.found_this_round == 0 {
            return if self.found == 0 {
                Err(self.failed(ContainerError::NoSamples))
            } else {
                Ok(false)
            };
        }
        self.found_this_round = 0;
        self.timeline.restart();
        self.rewind()?;
        Ok(true)
    }

    fn check_options(&self) -> Result<(), SourceError> {
        let Some(frames) = self.frames.as_ref().filter(|_| self.found == 1) else {
            return Ok(());
        };
        self.options.check_stream(frames.codec().fourcc())
    }

    fn failed(&self, error: ContainerError) -> SourceError {
        let error = match error {
            ContainerError::PlayFrom(error) => {
                return SourceError::PlayFrom {
                    name: self.input.name().to_owned(),
                    error,
                };
            }
            error => error,
        };
        let track = self.demuxer.track().map(|track| track.number);
        let sample = match self.want {
            Want::Sample(sample) => sample.number,
            _ => self.demuxer.samples(),
        };
        SourceError::Container {
            name: self.input.name().to_owned(),
            place: Place {
                offset: self.input.offset(),
                sample: track.map(|track| (track, sample)),
            },
            error,
        }
    }
}
