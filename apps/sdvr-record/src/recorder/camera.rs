//! One camera: from its frames to its files.

mod recording;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use sdvr_frame::InstanceId;

use self::recording::{Cut, Recording};
use super::history::History;
use super::missing::{Gaps, Losses};
use super::pause::Pause;
use super::seat::Seat;
use super::shared::Shared;
use super::taken::{Missing, Taken};
use crate::container::Added;
use crate::index::{GapReason, SegmentId};
use crate::sample::{About, Sample, UtcTime};
use crate::segment::{AnyMuxer, CreateError, Passed, SegmentWriter, Which, Written, is_disk_full};
use crate::status::RecordingState;

/// A stream in which no frame came with which one can begin for so long is spoken of.
const KEY_AWAITED_MOST: Duration = Duration::from_secs(10);

/// Records the frames of one camera.
pub(super) struct CameraRecorder<'a> {
    shared: &'a Shared,
    seat: Seat,
    state: State,
    history: Option<History>,
    /// Up to which event frames were recorded.
    events: u64,
    gaps: Gaps,
    losses: Losses,
    /// Whether the next frame is the first of a run, or the first since the camera came.
    is_first: bool,
    /// Frames that were not recorded before it went on, which is said when something is written.
    resumed: Option<Pause>,
    /// A file could not be completed.
    has_unfinished: bool,
    said: Said,
}

/// What is said once.
#[derive(Default)]
struct Said {
    /// Of each run.
    unrecordable: Option<InstanceId>,
    left_out: Option<InstanceId>,
    is_damage: bool,
    is_shortened: bool,
    never: Option<String>,
}

/// What becomes of frames.
enum State {
    /// Nothing can begin yet; since when frames come with which nothing can.
    AwaitsKey {
        since: Option<Instant>,
        is_said: bool,
        /// Whether frames that come meanwhile are missing in what is recorded, if anything is yet.
        is_gap: bool,
    },
    Recording(Box<Recording>),
    /// Nothing can be written.
    Paused(Pause),
}

impl State {
    const fn awaits_key(is_gap: bool) -> Self {
        Self::AwaitsKey {
            since: None,
            is_said: false,
            is_gap,
        }
    }
}

impl<'a> CameraRecorder<'a> {
    pub(super) fn new(shared: &'a Shared, seat: Seat) -> Self {
        let history = shared.new_history();
        Self {
            shared,
            // It may have gone, and be back.
            state: State::awaits_key(history.is_none()),
            history,
            events: shared.events.count(),
            gaps: Gaps::default(),
            losses: Losses::default(),
            is_first: true,
            resumed: None,
            has_unfinished: false,
            said: Said::default(),
            seat,
        }
    }

    /// Takes a frame: writes it down later, keeps it, or lets it go.
    pub(super) fn take(&mut self, frame: Taken) {
        self.record_events();
        let Some(history) = &mut self.history else {
            return self.record(frame);
        };
        if self.shared.events.is_on(&self.seat.names(), frame.captured) {
            return self.record(frame);
        }
        history.push(frame);
        if history.take_shortened() && !std::mem::replace(&mut self.said.is_shortened, true) {
            self.seat.say(format_args!(
                "there is no room in memory for all of --pre-roll; --pre-roll-memory gives more"
            ));
        }
        self.end_segment();
        self.await_event();
    }

    /// Nobody wants anything written.
    fn await_event(&mut self) {
        match &mut self.state {
            State::AwaitsKey { is_gap, .. } => *is_gap = false,
            State::Paused(_) => self.state = State::awaits_key(false),
            State::Recording(_) => {}
        }
        self.note_last_gaps();
    }

    /// Writes a frame that lies elsewhere as `read` gives its parts to its argument, if it is large and the file that is being written can take it so. `frame` is all but its
    /// bytes; `read` tells whether what it gave was the frame.
    pub(super) fn pass(
        &mut self,
        frame: &Taken,
        bytes: usize,
        read: impl FnOnce(&mut dyn FnMut(&[u8])) -> bool,
    ) -> Passed {
        let State::Recording(recording) = &mut self.state else {
            return Passed::No;
        };
        if self.history.is_some()
            || recording
                .ends_before(frame, self.shared.options.segment)
                .is_some()
        {
            return Passed::No;
        }
        let (captured, bytes) = (recording.dates.date(frame.captured), bytes as u64);
        let passed = recording.writer.pass(captured, frame.is_key, bytes, read);
        // What stands against it is told, and dealt with, where frames are written that are in memory.
        let passed = passed.unwrap_or(Passed::No);
        if passed == Passed::Written {
            let id = recording.id;
            self.count_missing(frame);
            self.gaps.note(&mut self.seat, id, captured);
            self.has_written(Written { frames: 1, bytes });
        }
        passed
    }

    /// Records what was there before an event, if one has happened.
    fn record_events(&mut self) {
        let Some(history) = &mut self.history else {
            return;
        };
        let events = self.shared.events.count_of(&self.seat.names(), self.events);
        if events == self.events {
            return;
        }
        self.events = events;
        for earlier in history.take() {
            self.record(earlier);
        }
    }

    /// Does what is due, when there are no frames for a moment.
    pub(super) fn turn(&mut self) {
        self.record_events();
        if self.due_in() == Some(Duration::ZERO) {
            self.write(Which::Ready);
        }
        if let State::AwaitsKey {
            since: Some(since),
            is_said,
            ..
        } = &mut self.state
            && !*is_said
            && since.elapsed() > KEY_AWAITED_MOST
        {
            *is_said = true;
            self.seat.say(format_args!(
                "no key frame in {} s: nothing can be recorded before one comes",
                KEY_AWAITED_MOST.as_secs()
            ));
        }
        self.losses.say_if_due(&self.seat);
        self.seat.tell(self.status());
    }

    /// How long until [`Self::turn`] has something to do.
    pub(super) fn due_in(&self) -> Option<Duration> {
        match &self.state {
            State::Recording(recording) => recording.writer.write_due_in(),
            _ => None,
        }
    }

    /// A frame gave no picture: it is not in the file.
    pub(super) fn count_damaged(&mut self, error: &sdvr::Error) {
        self.seat.count_lost(1);
        if !std::mem::replace(&mut self.said.is_damage, true) {
            self.seat.say(format_args!(
                "{error}; frames that give no picture are left out"
            ));
        }
    }

    /// Frames of this camera give no pictures at all.
    pub(super) fn count_unrecordable(&mut self, why: &str) {
        self.seat.count_lost(1);
        self.say_unrecordable(why);
    }

    /// Nothing of this camera can be recorded. The same is not said twice in a row.
    pub(super) fn say_unrecordable(&mut self, why: &str) {
        if self.said.never.as_deref() != Some(why) {
            self.seat.say(format_args!("cannot be recorded: {why}"));
            self.said.never = Some(why.to_owned());
        }
    }

    /// The run of the source is over, or the camera has gone: what is recorded of it is completed.
    pub(super) fn end(&mut self) {
        self.end_segment();
        self.losses.say(&self.seat);
        self.is_first = true;
        if let Some(history) = &mut self.history {
            history.take();
            self.await_event();
        }
    }

    /// As [`Self::end`], for ever. So much is missing behind the last frame.
    pub(super) fn leave(mut self, missing: Missing) {
        if let Some(last) = self.last_taken()
            && self.history.is_none()
        {
            self.count_missing_since(last, missing);
        }
        self.end();
        if let State::Paused(pause) = &self.state {
            let lost = pause.lost;
            self.seat
                .say(format_args!("{lost} frames were not recorded"));
        }
        self.note_last_gaps();
        self.seat.tell(RecordingState::Gone);
    }

    /// Behind the last file nothing follows for now.
    fn note_last_gaps(&mut self) {
        if let (Some(last), Some(id)) = (self.seat.last_recorded(), self.seat.last_file()) {
            self.gaps.note(&mut self.seat, id, last);
        }
    }

    fn status(&self) -> RecordingState {
        match (&self.state, &self.history) {
            (State::Recording(_), _) => RecordingState::Recording,
            (State::Paused(_), _) => RecordingState::Paused,
            (State::AwaitsKey { .. }, Some(_)) => RecordingState::AwaitsEvent,
            (State::AwaitsKey { .. }, None) => RecordingState::AwaitsKey,
        }
    }

    fn count_missing(&mut self, frame: &Taken) {
        let missing = frame.missing;
        let date = frame.dates.date(frame.captured);
        self.count_missing_since(self.last_taken().unwrap_or(date), missing);
        // Between events nothing is recorded, which is no gap.
        let is_first = std::mem::take(&mut self.is_first) || missing.between_runs > 0;
        if is_first && self.history.is_none() && self.seat.last_recorded().is_some() {
            self.miss(frame, missing.between_runs, GapReason::Source);
        }
    }

    /// When the last frame was captured that was recorded, or is to be.
    fn last_taken(&self) -> Option<UtcTime> {
        let waiting = match &self.state {
            State::Recording(recording) => recording.writer.last_waiting(),
            _ => None,
        };
        waiting.or_else(|| self.seat.last_recorded())
    }

    /// Frames are missing in a run.
    fn count_missing_since(&mut self, since: UtcTime, missing: Missing) {
        if missing.unread > 0 {
            self.losses.add(missing.unread);
            self.seat.count_lost(missing.unread);
            self.gaps.add(since, missing.unread, GapReason::SlowDisk);
        }
        if missing.on_the_way > 0 {
            self.gaps.add(since, missing.on_the_way, GapReason::Link);
        }
    }

    /// Frames are missing before this one; or this one is.
    fn miss(&mut self, frame: &Taken, frames: u64, reason: GapReason) {
        let date = frame.dates.date(frame.captured);
        let begins = self.last_taken().unwrap_or(date);
        self.gaps.add(begins, frames, reason);
    }

    fn record(&mut self, frame: Taken) {
        self.count_missing(&frame);
        if frame.bytes.is_empty() {
            return self.leave_out(&frame, "it is empty");
        }
        if let State::Recording(recording) = &self.state
            && let Some(cut) = recording.ends_before(&frame, self.shared.options.segment)
            // The file goes on rather than that nothing is recorded.
            && (cut == Cut::Fit || self.muxer_for(&frame).is_ok())
        {
            self.end_segment();
            if cut == Cut::Clock {
                self.miss(&frame, 0, GapReason::Clock);
            }
        }
        if !matches!(self.state, State::Recording(_)) && !self.begin(&frame) {
            return;
        }
        let State::Recording(recording) = &mut self.state else {
            return;
        };
        let captured = recording.dates.date(frame.captured);
        self.gaps.note(&mut self.seat, recording.id, captured);
        let (number, instance) = (frame.number, frame.instance);
        match recording.writer.add(captured, frame.is_key, frame.bytes) {
            Added::Taken => {}
            Added::Empty => self.say_left_out(instance, number.0, "there is no picture in it"),
            Added::TooLarge => {
                self.say_left_out(instance, number.0, "it is larger than a file can hold");
            }
        }
        // Many bytes are not held back, but a second's frames are written together.
        if matches!(&self.state, State::Recording(recording) if recording.writer.is_full()) {
            self.write(Which::Ready);
        }
    }

    fn leave_out(&mut self, frame: &Taken, why: &str) {
        self.say_left_out(frame.instance, frame.number.0, why);
    }

    fn say_left_out(&mut self, instance: InstanceId, number: u64, why: &str) {
        if self.said.left_out.replace(instance) != Some(instance) {
            self.seat.say(format_args!(
                "frame {number} was left out, {why}; others like it are left out silently"
            ));
        }
    }

    /// Memory of a frame that was written.
    pub(super) fn take_unused(&mut self) -> Option<Vec<u8>> {
        match &mut self.state {
            State::Recording(recording) => recording.writer.take_unused(),
            _ => None,
        }
    }

    /// Begins a file with this frame, if one can begin with it. False if not.
    fn begin(&mut self, frame: &Taken) -> bool {
        if let State::Paused(pause) = &mut self.state
            && (!frame.is_key || !pause.may_try(self.seat.folder()))
        {
            return self.lose(frame);
        }
        if let State::AwaitsKey { since, .. } = &mut self.state
            && !frame.is_key
        {
            since.get_or_insert_with(Instant::now);
            return self.pass_over(frame);
        }
        if std::mem::take(&mut self.has_unfinished) {
            self.has_unfinished = !self.seat.recover_unfinished();
        }
        let begins = frame.dates.date(frame.captured);
        match self.open(frame) {
            Ok(recording) => {
                let before =
                    std::mem::replace(&mut self.state, State::Recording(Box::new(recording)));
                if let State::Paused(pause) = before {
                    self.resumed = Some(pause);
                }
                true
            }
            Err(CreateError::NotRecordable(why)) => {
                if self.said.unrecordable.replace(frame.instance) != Some(frame.instance) {
                    self.seat.say(format_args!("cannot be recorded: {why}"));
                }
                if matches!(self.state, State::Paused(_)) {
                    return self.lose(frame);
                }
                self.pass_over(frame)
            }
            Err(error) => {
                let not_taken = error.is_disk_full().then_some(frame.bytes.len() as u64);
                self.pause(&error.to_string(), not_taken, begins, 1);
                false
            }
        }
    }

    /// No file can begin with this frame.
    fn pass_over(&mut self, frame: &Taken) -> bool {
        if matches!(self.state, State::AwaitsKey { is_gap: true, .. })
            && self.seat.last_recorded().is_some()
        {
            self.seat.count_lost(1);
            self.miss(frame, 1, GapReason::NoKey);
        }
        false
    }

    /// This frame is not recorded.
    fn lose(&mut self, frame: &Taken) -> bool {
        if let State::Paused(pause) = &mut self.state {
            pause.lost = pause.lost.saturating_add(1);
        }
        self.seat.count_lost(1);
        self.miss(frame, 1, GapReason::DiskFull);
        false
    }

    fn about(&self, frame: &Taken) -> About {
        About {
            label: self.seat.label.clone(),
            fingerprint: self.seat.fingerprint,
            format: frame.format,
            begins: frame.dates.date(frame.captured),
        }
    }

    /// What a file would be made with that begins with this frame.
    fn muxer_for(&self, frame: &Taken) -> Result<AnyMuxer, CreateError> {
        let about = self.about(frame);
        let first = Sample {
            captured: about.begins,
            is_key: frame.is_key,
            bytes: &frame.bytes,
        };
        Ok(AnyMuxer::begin(&about, &first, frame.plain.as_ref())?)
    }

    fn open(&mut self, frame: &Taken) -> Result<Recording, CreateError> {
        loop {
            let muxer = self.muxer_for(frame)?;
            let about = self.about(frame);
            let error = match self.make(&about, muxer) {
                Ok((id, writer)) => {
                    return Ok(Recording {
                        writer,
                        id,
                        dates: frame.dates,
                        instance: frame.instance,
                    });
                }
                Err(error) => error,
            };
            if !error.is_disk_full() || !self.shared.make_room(self.seat.folder()) {
                return Err(error);
            }
        }
    }

    fn make(
        &mut self,
        about: &About,
        muxer: AnyMuxer,
    ) -> Result<(SegmentId, SegmentWriter), CreateError> {
        let begun = self.seat.begin_segment(about, muxer.extension())?;
        let sync = self.shared.options.sync;
        match SegmentWriter::create(&begun.path, about.begins, muxer, sync) {
            Ok(writer) => Ok((begun.id, writer)),
            Err(error) => {
                self.seat.forget_segment(begun.id);
                Err(error)
            }
        }
    }

    /// Writes what waits; if there is no room for it, nothing more is recorded until there is.
    fn write(&mut self, which: Which) {
        while let State::Recording(recording) = &mut self.state {
            let mut written = recording.writer.write(which);
            while let Err(error) = &written
                && is_disk_full(error)
                && self.shared.make_room(self.seat.folder())
            {
                written = recording.writer.write(which);
            }
            let waiting = recording.writer.waiting();
            match written {
                Ok(written) => self.has_written(written),
                Err(error) => {
                    let path = recording.writer.path().display();
                    let why = format!("cannot write to {path}: {error}");
                    let not_taken = is_disk_full(&error).then_some(waiting.bytes);
                    let since = recording.writer.written_ends();
                    self.finish();
                    return self.pause(&why, not_taken, since, waiting.frames);
                }
            }
            if which == Which::Ready || waiting.frames == 0 {
                return;
            }
        }
    }

    /// So much is in the file now.
    fn has_written(&mut self, written: Written) {
        let State::Recording(recording) = &self.state else {
            return;
        };
        if written == Written::default() {
            return;
        }
        self.seat
            .count_written(written, recording.writer.written_ends());
        self.seat.set_open_bytes(recording.writer.written_bytes());
        if let Some(pause) = self.resumed.take() {
            let lost = pause.lost;
            self.seat
                .say(format_args!("recording again; {lost} frames are missing"));
        }
    }

    /// Writes what waits, and completes the file.
    fn end_segment(&mut self) {
        self.write(Which::All);
        self.finish();
    }

    /// Completes the file. If that is not possible now, it is done before the next one begins.
    fn finish(&mut self) {
        let State::Recording(recording) = &mut self.state else {
            return;
        };
        let (id, is_empty) = (recording.id, recording.writer.written().frames == 0);
        let awaits_key = State::awaits_key(true);
        let State::Recording(recording) = std::mem::replace(&mut self.state, awaits_key) else {
            return;
        };
        if is_empty {
            recording.writer.discard();
            return self.seat.forget_segment(id);
        }
        match recording.writer.finish() {
            Ok(finished) => self.has_unfinished |= !self.seat.complete_segment(id, &finished),
            // It is as it was written.
            Err(_) => self.has_unfinished = true,
        }
    }

    /// Says once that nothing can be recorded, and why. Frames are missing from then on.
    fn pause(&mut self, why: &str, not_taken: Option<u64>, since: UtcTime, lost: u64) {
        self.seat.count_lost(lost);
        self.gaps.add(since, lost, GapReason::DiskFull);
        let awaits_key = State::awaits_key(true);
        let before = match std::mem::replace(&mut self.state, awaits_key) {
            State::Paused(pause) => Some(pause),
            _ => self.resumed.take(),
        };
        let mut pause = match before {
            Some(mut pause) => {
                pause.prolong(not_taken);
                pause
            }
            None => {
                let hint = not_taken.map_or("", |_| self.shared.room_hint());
                self.seat.say(format_args!(
                    "PAUSED, nothing is recorded until it is mended: {why}{hint}"
                ));
                Pause::new(not_taken)
            }
        };
        pause.lost = pause.lost.saturating_add(lost);
        self.state = State::Paused(pause);
    }
}
