//! Where playing a recording begins, and which dates its frames have.

use sdvr_frame::FrameFlags;

use super::Recording;
use crate::container::Sample;
use crate::error::SourceError;
use crate::play_from::{CaptureTimes, PlayFromError, on_this_clock};

impl Recording {
    /// Has the demuxer look for where to begin, once how frames overtake each other was seen.
    pub(super) fn start_search(&mut self) -> Result<(), SourceError> {
        if self.survey.is_none()
            && let Some(from) = self.from.take()
        {
            self.demuxer.search(from, self.input.file_bytes()?);
        }
        Ok(())
    }

    /// Whether a frame out of a pipe is left out, as playing begins with a later one.
    pub(super) fn is_before_beginning(
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
    pub(super) fn note_date(&mut self, sample: Sample) -> Result<(), SourceError> {
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
}
