//! Frames cut out of the bytes of a file or a pipe.

use std::os::fd::BorrowedFd;

use sdvr_frame::{FrameFlags, FrameNumber, FrameRate, Timestamp};

use crate::error::SourceError;
use crate::input::{Filled, Input};
use crate::pace::Pace;
use crate::source::{CapturedFrame, Next, SourceDescription};
use crate::spec::CaptureOptions;
use crate::splitter::{FrameEnd, Jpeg, SplitError, Splitter};

/// Frames out of a file or a pipe.
#[derive(Debug)]
pub(crate) struct ByteStream {
    input: Input,
    splitter: Option<Splitter>,
    options: CaptureOptions,
    pace: Option<Pace>,
    /// The frame that is known to be whole.
    pending: Option<Pending>,
    /// Whether what is in the buffer was searched in vain: until then nothing is to be waited for.
    is_searched: bool,
    next_number: FrameNumber,
    found: u64,
    found_this_round: u64,
    first_frame_bytes: usize,
    cut_off_bytes: usize,
}

#[derive(Debug)]
struct Pending {
    /// Up to here the frame's bytes are, and nothing of the next one.
    payload: std::ops::Range<usize>,
    trailer: Vec<u8>,
    flags: FrameFlags,
    /// When its last byte was read.
    came_at: Timestamp,
}

impl ByteStream {
    pub(crate) fn new(input: Input, options: &CaptureOptions) -> Self {
        Self {
            input,
            splitter: None,
            options: options.clone(),
            pace: options.rate.and_then(Pace::new),
            pending: None,
            is_searched: false,
            next_number: FrameNumber(0),
            found: 0,
            found_this_round: 0,
            first_frame_bytes: 0,
            cut_off_bytes: 0,
        }
    }

    /// Whether frames are due whether or not somebody takes them.
    pub(crate) const fn is_live(&self) -> bool {
        self.pace.is_some()
    }

    /// Bytes at the end that were no whole frame.
    pub(crate) const fn cut_off_bytes(&self) -> usize {
        self.cut_off_bytes
    }

    /// Whether a frame is there, or the end; looks for one.
    pub(crate) fn prepare(&mut self, now: Timestamp) -> Result<bool, SourceError> {
        Ok(self.pending.is_some() || self.find(now)? != Filled::NotYet)
    }

    pub(crate) fn description(&self) -> Option<SourceDescription> {
        let splitter = self.splitter.as_ref().filter(|_| self.found > 0)?;
        let mut format = splitter.format();
        // A rate in the stream's header is what it was recorded with; unpaced, it comes as fast as it goes.
        format.rate = self
            .options
            .announced(self.options.rate.unwrap_or(FrameRate::UNPACED));
        let frame_bytes = match format.fourcc {
            // Room for the parameters of a FRAME line.
            fourcc if fourcc.is_raw() => Some(self.first_frame_bytes + 256),
            _ => None,
        };
        let first_frame_bytes = self.first_frame_bytes;
        Some(SourceDescription {
            format,
            extradata: splitter.extradata().to_vec(),
            frame_bytes,
            first_frame_bytes,
        })
    }

    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        if self.pending.is_some() {
            None
        } else {
            self.input.descriptor()
        }
    }

    pub(crate) fn due(&self) -> Option<Timestamp> {
        match (&self.pace, &self.pending) {
            (Some(pace), Some(_)) => Some(pace.due()),
            // A file is read on the next call; of a pipe, frames may be here that came together with the last one.
            (_, None) if !self.is_searched || self.input.descriptor().is_none() => {
                Some(Timestamp::from_nanoseconds(i64::MIN))
            }
            (None, Some(_)) => Some(Timestamp::from_nanoseconds(i64::MIN)),
            (_, None) => None,
        }
    }

    pub(crate) fn try_next(&mut self, now: Timestamp) -> Result<Next<'_>, SourceError> {
        loop {
            if self.pending.is_none() {
                match self.find(now)? {
                    Filled::More => {}
                    Filled::NotYet => return Ok(Next::NotYet),
                    Filled::End => return Ok(Next::Ended),
                }
            }
            let due = match &mut self.pace {
                Some(pace) => match pace.take(now, false) {
                    Some((due, _)) => Some(due),
                    None => return Ok(Next::NotYet),
                },
                None => None,
            };
            let Some(pending) = self.pending.take() else {
                return Ok(Next::NotYet);
            };
            let captured = match (due, self.input.is_pipe()) {
                // What is in a file was captured long ago; it plays the camera now.
                (due, false) => due.unwrap_or(now),
                // A frame is not there before its bytes are.
                (due, true) => due.map_or(pending.came_at, |due| due.max(pending.came_at)),
            };
            let index = self.found.saturating_sub(1);
            if !index.is_multiple_of(self.options.every_nth.max(1).into()) {
                self.input.consume(pending.payload.end);
                // A file is read on at the next call, so that many frames to leave out do not keep us here.
                if !self.input.is_pipe() {
                    return Ok(Next::NotYet);
                }
                continue;
            }
            let number = self.next_number;
            self.next_number.0 = number.0.saturating_add(1);
            return Ok(Next::Frame(self.hand_out(number, captured, pending)));
        }
    }

    fn hand_out(
        &mut self,
        number: FrameNumber,
        captured: Timestamp,
        pending: Pending,
    ) -> CapturedFrame<'_> {
        let Pending {
            payload,
            trailer,
            flags,
            ..
        } = pending;
        let payload_bytes = payload.len() + trailer.len();
        self.input.consume(payload.end);
        if !trailer.is_empty() {
            self.input.insert_after_consumed(&trailer);
        }
        CapturedFrame {
            number,
            captured,
            flags,
            payload: self.input.consumed_last(payload_bytes),
        }
    }

    /// Looks for the next whole frame.
    fn find(&mut self, now: Timestamp) -> Result<Filled, SourceError> {
        loop {
            if self.find_in_buffer(now)? {
                return Ok(Filled::More);
            }
            match self.input.fill(now)? {
                // A writer that is faster than we are must not keep us here: its pipe stays readable.
                Filled::More if self.input.is_pipe() => {
                    return Ok(if self.find_in_buffer(now)? {
                        Filled::More
                    } else {
                        Filled::NotYet
                    });
                }
                Filled::More => {}
                Filled::NotYet => return Ok(Filled::NotYet),
                Filled::End => {
                    // The end may complete the last frame.
                    if self.find_in_buffer(now)? {
                        return Ok(Filled::More);
                    }
                    self.finish()?;
                    if !self.options.looped || self.found_this_round == 0 {
                        return Ok(Filled::End);
                    }
                    self.found_this_round = 0;
                    self.input.rewind()?;
                    if let Some(splitter) = &mut self.splitter {
                        splitter.restart();
                    }
                }
            }
        }
    }

    /// Whether the bytes that are there begin with a whole frame, which is then pending.
    fn find_in_buffer(&mut self, now: Timestamp) -> Result<bool, SourceError> {
        let end = self.split()?;
        self.is_searched = end.is_none();
        let Some(mut end) = end else {
            return Ok(false);
        };
        end.payload.end += self.padding_at_end(end.consumed, now)?;
        if self.found == 0 {
            self.first_frame_bytes = end.payload.len() + end.trailer.len();
        }
        self.found = self.found.saturating_add(1);
        self.found_this_round = self.found_this_round.saturating_add(1);
        self.check_options()?;
        let FrameEnd {
            payload,
            trailer,
            flags,
            ..
        } = end;
        self.pending = Some(Pending {
            payload,
            trailer,
            flags,
            came_at: self.input.came_at(end.consumed).unwrap_or(now),
        });
        Ok(true)
    }

    /// How many bytes stand between the last image of a file and its end. They go with that image, for no other follows. A
    /// pipe's image has been handed out before they come.
    fn padding_at_end(&mut self, consumed: usize, now: Timestamp) -> Result<usize, SourceError> {
        if self.input.is_pipe() || !matches!(self.splitter, Some(Splitter::Jpeg(_))) {
            return Ok(0);
        }
        loop {
            let rest = self.input.bytes().get(consumed..).unwrap_or_default();
            if !Jpeg::is_padding(rest) {
                return Ok(0);
            }
            if self.input.is_at_end() {
                return Ok(rest.len());
            }
            self.input.fill(now)?;
        }
    }

    fn split(&mut self) -> Result<Option<FrameEnd>, SourceError> {
        let (offset, is_end) = (self.input.offset(), self.input.is_at_end());
        let failed = |error, at: usize| SourceError::Content {
            name: self.input.name().to_owned(),
            offset: offset + at as u64,
            error,
        };
        if self.splitter.is_none() {
            self.splitter = Splitter::detect(self.input.bytes(), is_end, self.options.fourcc)
                .map_err(|error| failed(error, 0))?;
        }
        match &mut self.splitter {
            Some(splitter) => splitter
                .next_frame(self.input.bytes(), is_end)
                .map_err(|error| failed(error, splitter.error_position(error))),
            None => Ok(None),
        }
    }

    fn check_options(&self) -> Result<(), SourceError> {
        match self.splitter.as_ref().filter(|_| self.found == 1) {
            Some(splitter) => self.options.check_stream(splitter.format().fourcc),
            None => Ok(()),
        }
    }

    /// Looks at what is left at the end.
    fn finish(&mut self) -> Result<(), SourceError> {
        let rest = self.input.bytes();
        let Some(splitter) = &self.splitter else {
            return Ok(());
        };
        if self.found == 0 {
            let error = if self.input.offset() == 0 && rest.is_empty() {
                SplitError::Empty
            } else {
                SplitError::NoWholeFrame
            };
            return Err(SourceError::Content {
                name: self.input.name().to_owned(),
                offset: self.input.offset(),
                error,
            });
        }
        self.cut_off_bytes = if splitter.is_cut_off(rest) {
            rest.len()
        } else {
            0
        };
        Ok(())
    }
}
