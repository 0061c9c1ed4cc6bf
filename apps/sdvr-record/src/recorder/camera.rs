//! One camera: from its frames to its files.

use std::time::{Duration, Instant};

use sdvr_frame::InstanceId;

use super::clock::Dates;
use super::history::History;
use super::seat::Seat;
use super::shared::Shared;
use super::taken::{Missing, Taken};
use crate::container::Added;
use crate::index::{Gap, GapReason, SegmentId};
use crate::sample::{About, Sample, UtcTime};
use crate::segment::{AnyMuxer, CreateError, SegmentWriter, is_disk_full};
use crate::status::RecordingState;

/// A stream in which no frame came with which one can begin for so long is spoken of.
const KEY_AWAITED_MOST: Duration = Duration::from_secs(10);
/// How often it is tried whether the disk takes something again.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// How often losses are spoken of.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// Records the frames of one camera.
pub(super) struct CameraRecorder<'a> {
    shared: &'a Shared,
    seat: Seat,
    state: State,
    history: Option<History>,
    /// What is missing before the next frame that is recorded.
    gap: Option<OpenGap>,
    losses: Losses,
    /// Frames that gave no picture.
    damaged: u64,
    /// The run of which it was said that it cannot be recorded.
    unrecordable: Option<InstanceId>,
}

/// What becomes of frames.
enum State {
    /// Nothing can begin yet.
    AwaitsKey {
        since: Instant,
        is_said: bool,
    },
    Recording(Box<Recording>),
    /// Nothing can be written.
    Paused {
        try_again: Instant,
        lost: u64,
    },
}

/// A file that is being written.
struct Recording {
    writer: SegmentWriter,
    id: SegmentId,
    dates: Dates,
    instance: InstanceId,
}

/// Frames that are in no file.
#[derive(Clone, Copy)]
struct OpenGap {
    begins: UtcTime,
    frames: u64,
    reason: GapReason,
}

/// Frames that came too fast for the disk, as far as nobody was told.
#[derive(Default)]
struct Losses {
    unsaid: u64,
    said: Option<Instant>,
}

impl<'a> CameraRecorder<'a> {
    pub(super) fn new(shared: &'a Shared, seat: Seat) -> Self {
        Self {
            shared,
            seat,
            state: State::awaits_key(),
            history: shared.new_history(),
            gap: None,
            losses: Losses::default(),
            damaged: 0,
            unrecordable: None,
        }
    }

    /// Takes a frame: writes it down later, keeps it, or lets it go.
    pub(super) fn take(&mut self, frame: Taken) {
        self.count_missing(&frame);
        let Some(history) = &mut self.history else {
            return self.record(frame);
        };
        if self.shared.events.is_on(&self.seat.names()) {
            // The frames before it first. While it is on there are none.
            for earlier in history.take() {
                self.record(earlier);
            }
            return self.record(frame);
        }
        history.push(frame);
        if history.take_shortened() {
            self.seat.say(format_args!(
                "there is no room in memory for all of --pre-roll; --pre-roll-memory gives more"
            ));
        }
        self.end_segment();
    }

    /// Writes what waits, if it has waited long enough.
    fn write_if_due(&mut self) {
        if self.due_in() == Some(Duration::ZERO) {
            self.write();
        }
    }

    /// Does what is due, when there are no frames for a moment.
    pub(super) fn turn(&mut self) {
        self.write_if_due();
        if let State::AwaitsKey { since, is_said } = &mut self.state
            && !*is_said
            && self.history.is_none()
            && self.unrecordable.is_none()
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
        if self.damaged == 0 {
            self.seat.say(format_args!(
                "{error}; frames that give no picture are left out"
            ));
        }
        self.damaged = self.damaged.saturating_add(1);
    }

    /// Nothing of this camera can be recorded.
    pub(super) fn say_unrecordable(&self, why: &str) {
        self.seat.say(format_args!("cannot be recorded: {why}"));
    }

    /// The run of the source is over, or the camera has gone: what is recorded of it is completed.
    pub(super) fn end(&mut self) {
        self.end_segment();
        self.losses.say(&self.seat);
        if let Some(history) = &mut self.history {
            history.take();
        }
    }

    /// As [`Self::end`], for ever.
    pub(super) fn leave(mut self) {
        self.end();
        if let State::Paused { lost, .. } = self.state
            && lost > 0
        {
            self.seat
                .say(format_args!("{lost} frames were not recorded"));
        }
        self.seat.tell(RecordingState::Gone);
    }

    fn status(&self) -> RecordingState {
        match (&self.state, &self.history) {
            (State::Recording(_), _) => RecordingState::Recording,
            (State::Paused { .. }, _) => RecordingState::Paused,
            (State::AwaitsKey { .. }, Some(_)) => RecordingState::AwaitsEvent,
            (State::AwaitsKey { .. }, None) => RecordingState::AwaitsKey,
        }
    }

    fn count_missing(&mut self, frame: &Taken) {
        let Missing { on_the_way, unread } = frame.missing;
        if unread > 0 {
            self.losses.unsaid = self.losses.unsaid.saturating_add(unread);
            self.seat.count_lost(unread);
            self.miss(frame, unread, GapReason::SlowDisk);
        }
        if on_the_way > 0 {
            self.miss(frame, on_the_way, GapReason::Link);
        }
    }

    /// Frames are missing before this one; or this one is.
    fn miss(&mut self, frame: &Taken, frames: u64, reason: GapReason) {
        let begins = match &self.state {
            State::Recording(recording) => recording.writer.ends(),
            _ => frame.dates.date(frame.captured),
        };
        match &mut self.gap {
            Some(gap) if gap.reason == reason => gap.frames = gap.frames.saturating_add(frames),
            gap => {
                let open = OpenGap {
                    begins,
                    frames,
                    reason,
                };
                if let Some(before) = gap.replace(open) {
                    self.note_gap(before, frame.dates.date(frame.captured));
                }
            }
        }
    }

    fn note_gap(&mut self, gap: OpenGap, ends: UtcTime) {
        let gap = Gap {
            begins: gap.begins,
            ends,
            frames: gap.frames,
            reason: gap.reason,
        };
        let id = match &self.state {
            State::Recording(recording) => Some(recording.id),
            _ => None,
        };
        self.seat.note_gap(id, &gap);
    }

    fn record(&mut self, frame: Taken) {
        if let State::Recording(recording) = &self.state
            && let Some(clock_step_ns) = recording.ends_before(&frame, self.shared.options.segment)
        {
            let ends = recording.writer.ends();
            self.end_segment();
            if clock_step_ns != 0 {
                self.gap = Some(OpenGap {
                    begins: ends,
                    frames: 0,
                    reason: GapReason::Clock,
                });
            }
        }
        if !matches!(self.state, State::Recording(_)) && !self.begin(&frame) {
            return;
        }
        if let Some(gap) = self.gap.take() {
            self.note_gap(gap, frame.dates.date(frame.captured));
        }
        let State::Recording(recording) = &mut self.state else {
            return;
        };
        let captured = recording.dates.date(frame.captured);
        let number = frame.number;
        match recording.writer.add(captured, frame.is_key, frame.bytes) {
            Added::Taken => {}
            Added::Empty => self
                .seat
                .say(format_args!("frame {number} is empty, and was left out")),
            Added::TooLarge => self.seat.say(format_args!(
                "frame {number} is larger than a file can hold, and was left out"
            )),
        }
        // Many bytes are not held back, but a second's frames are written together.
        if recording.writer.is_full() {
            self.write();
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
        if self.unrecordable == Some(frame.instance) {
            return false;
        }
        if let State::Paused { try_again, lost } = &mut self.state
            && Instant::now() < *try_again
        {
            *lost = lost.saturating_add(1);
            self.seat.count_lost(1);
            return false;
        }
        if !frame.is_key {
            if let State::Paused { lost, .. } = &mut self.state {
                *lost = lost.saturating_add(1);
                self.seat.count_lost(1);
            }
            return false;
        }
        let about = About {
            label: self.seat.label.clone(),
            fingerprint: self.seat.fingerprint,
            format: frame.format,
            begins: frame.dates.date(frame.captured),
        };
        if matches!(self.state, State::Paused { .. }) {
            self.seat.recover_unfinished();
        }
        match self.open(&about, frame) {
            Ok(recording) => {
                if let State::Paused { lost, .. } = self.state {
                    self.seat
                        .say(format_args!("recording again; {lost} frames are missing"));
                    self.gap = Some(OpenGap {
                        begins: about.begins,
                        frames: lost,
                        reason: GapReason::DiskFull,
                    });
                }
                self.state = State::Recording(Box::new(recording));
                true
            }
            Err(CreateError::NotRecordable(why)) => {
                self.unrecordable = Some(frame.instance);
                self.seat.say(format_args!("cannot be recorded: {why}"));
                false
            }
            Err(error) => {
                self.pause(&error.to_string(), 1);
                false
            }
        }
    }

    fn open(&mut self, about: &About, frame: &Taken) -> Result<Recording, CreateError> {
        let first = Sample {
            captured: about.begins,
            is_key: frame.is_key,
            bytes: &frame.bytes,
        };
        let sync = self.shared.options.sync;
        let make = |seat: &mut Seat| {
            let muxer = AnyMuxer::begin(about, &first, frame.plain.as_ref())?;
            let place = seat.begin_segment(about, muxer.extension())?;
            SegmentWriter::create(&place.path, about.begins, muxer, sync)
                .map(|writer| (place.id, writer))
                .inspect_err(|_| seat.forget_segment(place.id))
        };
        let mut made = make(&mut self.seat);
        while let Err(error) = &made
            && error.is_disk_full()
            && self.shared.make_room()
        {
            made = make(&mut self.seat);
        }
        let (id, writer) = made?;
        Ok(Recording {
            writer,
            id,
            dates: frame.dates,
            instance: frame.instance,
        })
    }

    /// Writes what waits; if there is no room for it, nothing more is recorded until there is.
    fn write(&mut self) {
        let State::Recording(recording) = &mut self.state else {
            return;
        };
        let waiting = recording.writer.waiting();
        let mut written = recording.writer.write();
        while let Err(error) = &written
            && is_disk_full(error)
            && self.shared.make_room()
        {
            written = recording.writer.write();
        }
        match written {
            Ok(()) => {
                self.seat.count_written(waiting);
                self.seat.set_open_bytes(recording.writer.written_bytes());
            }
            Err(error) => {
                let why = format!(
                    "cannot write to {}: {error}",
                    recording.writer.path().display()
                );
                let lost = waiting.frames;
                self.finish();
                self.pause(&why, lost);
            }
        }
    }

    /// Writes what waits, and completes the file.
    fn end_segment(&mut self) {
        if matches!(self.state, State::Recording(_)) {
            self.write();
            self.finish();
        }
    }

    /// Completes the file. If that is not possible now, it is done when the recorder begins the next time.
    fn finish(&mut self) {
        let awaits_key = State::awaits_key();
        let State::Recording(recording) = std::mem::replace(&mut self.state, awaits_key) else {
            return;
        };
        let path = recording.writer.path().to_owned();
        let finished = recording.writer.finish();
        match finished {
            Ok(finished) => self.seat.complete_segment(recording.id, &finished),
            Err(error) => self.seat.say(format_args!(
                "{} is as it was written, and could not be completed: {error}",
                path.display()
            )),
        }
    }

    /// Says once that nothing can be recorded, and why.
    fn pause(&mut self, why: &str, lost: u64) {
        self.seat.count_lost(lost);
        let try_again = Instant::now() + TRY_AGAIN;
        if let State::Paused {
            try_again: next,
            lost: before,
        } = &mut self.state
        {
            *next = try_again;
            *before = before.saturating_add(lost);
            return;
        }
        self.seat.say(format_args!(
            "PAUSED, nothing is recorded until it is mended: {why}{}",
            self.shared.room_hint()
        ));
        self.state = State::Paused { try_again, lost };
    }
}

impl State {
    fn awaits_key() -> Self {
        Self::AwaitsKey {
            since: Instant::now(),
            is_said: false,
        }
    }
}

impl Recording {
    /// Whether the file ends before this frame: then by how many nanoseconds the host's clock was set meanwhile, or 0.
    fn ends_before(&self, frame: &Taken, length: Duration) -> Option<i64> {
        let captured = self.dates.date(frame.captured);
        let sample = Sample {
            captured,
            is_key: frame.is_key,
            bytes: &frame.bytes,
        };
        if self.instance != frame.instance
            || !self
                .writer
                .fits(&frame.format, &sample, frame.plain.as_ref())
        {
            return Some(0);
        }
        if !frame.is_key {
            return None;
        }
        let lasted_ns = captured.0.saturating_sub(self.writer.begins().0);
        let is_full = u128::try_from(lasted_ns).is_ok_and(|lasted| lasted >= length.as_nanos());
        match self.dates.step_to(frame.dates) {
            Some(step_ns) => Some(step_ns),
            None => is_full.then_some(0),
        }
    }
}

impl Losses {
    fn say_if_due(&mut self, seat: &Seat) {
        if self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            self.say(seat);
        }
    }

    fn say(&mut self, seat: &Seat) {
        if self.unsaid > 0 {
            seat.say(format_args!(
                "{} frames were not recorded: the disk, or this machine, was too slow for them",
                self.unsaid
            ));
            *self = Self {
                unsaid: 0,
                said: Some(Instant::now()),
            };
        }
    }
}
