//! Taking a camera's frames: copied, copied into memory that is there, and where they lie.

use std::time::Duration;

use sdvr_ring::{FrameMeta, FrameWords};

use super::{Camera, Policy};
use crate::error::Error;
use crate::frame::{Frame, realtime_offset_ns};

impl Camera {
    /// The next frame that `policy` wants; waits for it at most `timeout`. `None` when none came. Copies the frame once.
    ///
    /// What happens to the camera meanwhile:
    ///
    /// | event | what the calls give |
    /// |---|---|
    /// | The camera says that it ends. | The frames that are left, then [`Error::Ended`] once; after that as when it is gone. [`Self::missed_at_end`] tells what was not read in time. |
    /// | Its link is cut, and it comes back. | `None` meanwhile, [`Self::state`] tells why. Then its frames; [`Frame::missed`] counts those that were lost. |
    /// | The source was started anew. | The frames that are left of the old run, then those of the new one, from its first on. [`Frame::instance`] is another, and [`Frame::missed_between_runs`] tells what was not handed out of the old one. No error. |
    /// | The daemon is killed, ends or is started anew. | The frames that are left, then `None`, and [`Self::state`] is [`StreamState::Lost`](crate::StreamState::Lost) until the camera is at the new daemon. The same run goes on where it was, and [`Frame::missed`] counts what is between. No error. |
    /// | The camera is replaced by one with another key under the same label. | As a new run, if it was opened by its label: one opened by its fingerprint or file is that one only. |
    /// | It is gone for so long, or others need its memory so much, that the daemon gives up its ring. | The frames that are left, then `None`, and [`Self::state`] is [`StreamState::Lost`](crate::StreamState::Lost). If it comes back, as when its link was cut. |
    /// | It is gone for ever. | `None` at every call. |
    ///
    /// A new run is looked for where the old one was: at daemons that use the same directory.
    ///
    /// # Errors
    ///
    /// [`Error::Ended`] once when the camera says that it ends; the next call waits for it to come back. [`Error::Unusable`] when the ring is
    /// damaged. [`Error::Ambiguous`] when the camera was waited for, and came at several other users' daemons.
    pub fn next(&mut self, policy: Policy, timeout: Duration) -> Result<Option<Frame>, Error> {
        let mut bytes = Vec::new();
        let about = self.next_with(policy, timeout, |_, words| words.copy_into(&mut bytes))?;
        Ok(about.map(|(about, ())| Frame {
            bytes,
            about,
            realtime_offset_ns: realtime_offset_ns(),
        }))
    }

    /// As [`Self::next`], into the memory of a frame that is not needed any more. False when none came; `frame` then holds
    /// nothing of use.
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    pub fn next_into(
        &mut self,
        policy: Policy,
        timeout: Duration,
        frame: &mut Frame,
    ) -> Result<bool, Error> {
        let bytes = &mut frame.bytes;
        match self.next_with(policy, timeout, |_, words| words.copy_into(bytes))? {
            Some((about, ())) => {
                frame.about = about;
                frame.realtime_offset_ns = realtime_offset_ns();
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// As [`Self::next`], in the memory of the frame before, which is kept in `memory` from call to call: for programs that look at a frame and are done with it.
    /// When none came, what is in `memory` is of no use but for the next call.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use sdvr::{Camera, Policy};
    ///
    /// let mut camera = Camera::open("front-door")?;
    /// let mut memory = None;
    /// while let Some(frame) = camera.next_in_memory(Policy::Every, Duration::from_secs(1), &mut memory)? {
    ///     println!("{}: {} bytes", frame.number(), frame.bytes().len());
    /// }
    /// # Ok::<(), sdvr::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    pub fn next_in_memory<'frame>(
        &mut self,
        policy: Policy,
        timeout: Duration,
        memory: &'frame mut Option<Frame>,
    ) -> Result<Option<&'frame Frame>, Error> {
        let has_come = match memory {
            Some(frame) => self.next_into(policy, timeout, frame)?,
            None => {
                *memory = self.next(policy, timeout)?;
                memory.is_some()
            }
        };
        Ok(memory.as_ref().filter(|_| has_come))
    }

    /// The next frame where it lies, without a copy: `look` sees it, and what `look` returns is given back only if the frame
    /// was not overwritten meanwhile. `look` may be called again for another frame, and must bear to see a mixture of two.
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    pub fn next_in_place<T>(
        &mut self,
        policy: Policy,
        timeout: Duration,
        look: impl FnMut(&FrameMeta, FrameWords<'_>) -> T,
    ) -> Result<Option<(FrameMeta, T)>, Error> {
        Ok(self
            .next_with(policy, timeout, look)?
            .map(|(about, seen)| (about.meta, seen)))
    }
}
