//! One camera at the daemon: its rings, which outlive its sessions.

use std::time::Duration;

use sdvr_frame::{Label, Link, PublicKey, StreamId, StreamState, Timestamp};
use sdvr_ring::{CreateError, FrameMeta, RingDirectory, RingOptions, RingWriter};
use sdvr_session::{MediaFragment, OpenStream, PeerClock, StreamCode};
use tracing::{error, info, warn};

use crate::budget::{Budget, Share};
use crate::sizing::ring_size;

/// Silence after which a stream is stale, and lost.
const STALE_AFTER: Duration = Duration::from_secs(3);
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(60);
/// How long a lost stream's ring waits for the same instance.
const KEPT_AFTER: Duration = Duration::from_secs(660);
/// How long a ring that has ended keeps its memory for those who still read.
const CLOSED_KEPT: Duration = Duration::from_secs(2);
/// How often the measured rate is worked out.
const RATE_INTERVAL: Duration = Duration::from_secs(1);

/// What rings are made of, the same for all cameras of a shard.
#[derive(Debug)]
pub(crate) struct RingPlace {
    pub(crate) directory: std::sync::Arc<RingDirectory>,
    pub(crate) budget: Budget,
    pub(crate) ring_time: Duration,
}

/// A camera that was let in, connected or not.
#[derive(Debug)]
pub(crate) struct Camera {
    pub(crate) key: PublicKey,
    pub(crate) label: Label,
    streams: Vec<Stream>,
    /// Rings that have ended, until their memory is given back.
    ended: Vec<Ended>,
}

/// One stream with its ring.
#[derive(Debug)]
struct Stream {
    open: OpenStream,
    ring: RingWriter,
    share: Share,
    last_number: Option<u64>,
    rate: MeasuredRate,
}

#[derive(Debug)]
struct MeasuredRate {
    since: Timestamp,
    published: u64,
}

/// A ring that takes no more frames.
#[derive(Debug)]
struct Ended {
    ring: RingWriter,
    /// Counts in the budget until the memory is given back.
    _share: Share,
    release_at: Timestamp,
}

impl Camera {
    pub(crate) const fn new(key: PublicKey, label: Label) -> Self {
        Self {
            key,
            label,
            streams: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// Whether nothing is left of it.
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.ended.is_empty()
    }

    /// Opens a stream, or goes on with the ring of the same instance.
    pub(crate) fn open_stream(
        &mut self,
        now: Timestamp,
        open: &OpenStream,
        place: &RingPlace,
        limits: &sdvr_session::Limits,
    ) -> StreamCode {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.open == *open) {
            stream.ring.set_state(StreamState::Live);
            info!(camera = %self.label, stream = open.stream.0, "stream goes on");
            return StreamCode::Open;
        }
        if open.frame_kib == 0 || open.frame_kib > limits.frame_kib {
            warn!(camera = %self.label, frame_kib = open.frame_kib, most_kib = limits.frame_kib, "stream refused: its frames are too large");
            return StreamCode::FramesTooLarge;
        }
        let is_new = !self
            .streams
            .iter()
            .any(|stream| stream.open.stream == open.stream);
        if is_new && self.streams.len() >= limits.streams.into() {
            return StreamCode::TooManyStreams;
        }
        match self.create_ring(now, open, place) {
            Ok(stream) => {
                info!(camera = %self.label, stream = open.stream.0, format = %open.format.fourcc, width = open.format.width,
                    height = open.format.height, rate = %open.format.rate, "stream opened");
                self.replace_stream(now, stream);
                StreamCode::Open
            }
            Err(code) => code,
        }
    }

    fn create_ring(
        &self,
        now: Timestamp,
        open: &OpenStream,
        place: &RingPlace,
    ) -> Result<Stream, StreamCode> {
        let budget = &place.budget;
        let frame_bytes = u64::from(open.frame_kib) * 1024;
        let size = ring_size(
            &open.format,
            frame_bytes,
            place.ring_time,
            budget.total_bytes(),
            budget.free_bytes(),
        );
        let share = size.and_then(|size| Some((size, budget.take(size.total_bytes())?)));
        let Some((size, share)) = share else {
            error!(camera = %self.label, frame_kib = open.frame_kib, free_mib = budget.free_bytes() >> 20, total_mib = budget.total_bytes() >> 20,
                "stream refused: not enough shared memory for it. Raise --memory, or make /dev/shm larger (mount -o remount,size=…)");
            return Err(StreamCode::NoMemory);
        };
        let options = RingOptions {
            camera: self.key,
            label: self.label.clone(),
            stream: open.stream,
            kind: open.kind,
            instance: open.instance,
            format: open.format,
            extradata: open.extradata.clone(),
            link: Link::Tcp,
            slots: size.slots,
            data_bytes: size.data_bytes,
        };
        match RingWriter::create(&place.directory, options) {
            Ok(ring) => {
                let rate = MeasuredRate {
                    since: now,
                    published: 0,
                };
                Ok(Stream {
                    open: open.clone(),
                    ring,
                    share,
                    last_number: None,
                    rate,
                })
            }
            Err(problem) => {
                error!(camera = %self.label, "stream refused: {problem}");
                Err(if matches!(problem, CreateError::NoSpace { .. }) {
                    StreamCode::NoMemory
                } else {
                    StreamCode::Internal
                })
            }
        }
    }

    /// Puts a new ring in the place of the one that had its name.
    fn replace_stream(&mut self, now: Timestamp, mut stream: Stream) {
        if let Some(index) = self
            .streams
            .iter()
            .position(|old| old.open.stream == stream.open.stream)
        {
            let mut old = self.streams.swap_remove(index);
            if old.open.instance == stream.open.instance {
                stream.last_number = old.last_number;
            }
            old.ring.was_replaced();
            self.keep_for_readers(now, old);
        }
        self.streams.push(stream);
    }

    /// Takes a piece of a frame into its ring; publishes the frame with its last piece.
    pub(crate) fn take(
        &mut self,
        received: Timestamp,
        fragment: &MediaFragment<'_>,
        clock: &PeerClock,
    ) {
        let header = &fragment.header;
        let Some(stream) = self
            .streams
            .iter_mut()
            .find(|stream| stream.open.stream == header.stream)
        else {
            return;
        };
        if header.is_first && !stream.ring.begin(header.frame_bytes.into()) {
            // The session has checked the length against the stream, and the ring was made for the stream.
            debug_assert!(false, "a frame that was announced does not fit");
        }
        if !stream.ring.write(fragment.bytes) || !header.is_last {
            return;
        }
        let captured = clock.to_local(header.captured, received);
        // Counted over sessions: what went missing while the link was down is missing here, too.
        let missed = stream.last_number.map_or(0, |last| {
            header.number.0.saturating_sub(last).saturating_sub(1)
        });
        stream.last_number = Some(header.number.0);
        stream.ring.publish(&FrameMeta {
            number: header.number,
            flags: header.flags,
            missed,
            captured_at_source: header.captured,
            captured: captured.at,
            clock_error_ns: captured.error_ns,
            received,
            published: Timestamp::now(),
        });
    }

    /// A stream ended because the camera says so.
    pub(crate) fn close_stream(&mut self, now: Timestamp, id: StreamId) {
        if let Some(index) = self
            .streams
            .iter()
            .position(|stream| stream.open.stream == id)
        {
            let stream = self.streams.swap_remove(index);
            self.end(now, stream, StreamState::Closed);
        }
    }

    /// All streams ended because the camera says so.
    pub(crate) fn close_all(&mut self, now: Timestamp) {
        for stream in std::mem::take(&mut self.streams) {
            self.end(now, stream, StreamState::Closed);
        }
    }

    fn end(&mut self, now: Timestamp, mut stream: Stream, state: StreamState) {
        stream.ring.set_state(state);
        self.keep_for_readers(now, stream);
    }

    /// Keeps the ring of a stream that takes no more frames for those who still read.
    fn keep_for_readers(&mut self, now: Timestamp, stream: Stream) {
        self.ended.push(Ended {
            ring: stream.ring,
            _share: stream.share,
            release_at: now + CLOSED_KEPT,
        });
    }

    /// The link was cut.
    pub(crate) fn link_was_cut(&mut self) {
        self.streams
            .iter_mut()
            .for_each(|stream| stream.ring.set_state(StreamState::Stale));
    }

    /// The daemon ends: readers look for the next one.
    pub(crate) fn shut_down(&mut self) {
        for stream in &mut self.streams {
            stream.ring.set_state(StreamState::Stale);
            stream.ring.unlink();
        }
        self.ended.iter_mut().for_each(|ended| ended.ring.unlink());
    }

    /// Acts on time that has passed since the camera was heard last.
    pub(crate) fn handle_time(
        &mut self,
        now: Timestamp,
        last_heard: Timestamp,
        is_connected: bool,
    ) {
        let silent = now.saturating_since(last_heard);
        let state = match is_connected {
            _ if silent >= LOST_AFTER => StreamState::Lost,
            true if silent < STALE_AFTER => StreamState::Live,
            _ => StreamState::Stale,
        };
        for stream in &mut self.streams {
            if stream.ring.state() != state {
                info!(camera = %self.label, stream = stream.open.stream.0, %state, "stream state");
                stream.ring.set_state(state);
            }
            stream.measure(now);
        }
        if silent >= KEPT_AFTER {
            self.close_all(now);
        }
        self.ended.retain_mut(|ended| {
            if now < ended.release_at {
                return true;
            }
            ended.ring.unlink();
            ended.ring.release_memory();
            false
        });
    }

    /// Remakes rings whose file somebody removed.
    pub(crate) fn restore_rings(&mut self, now: Timestamp, place: &RingPlace) {
        let removed: Vec<OpenStream> = self
            .streams
            .iter()
            .filter(|stream| stream.ring.is_replaced())
            .map(|stream| stream.open.clone())
            .collect();
        for open in removed {
            warn!(camera = %self.label, stream = open.stream.0, "somebody removed the ring's file; making it anew");
            if let Ok(stream) = self.create_ring(now, &open, place) {
                self.replace_stream(now, stream);
            }
        }
    }
}

impl Stream {
    fn measure(&mut self, now: Timestamp) {
        let elapsed = now.saturating_since(self.rate.since);
        if elapsed < RATE_INTERVAL {
            return;
        }
        let published = self.ring.published();
        let frames = published.saturating_sub(self.rate.published);
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.ring
            .set_measured_rate(frames.saturating_mul(1_000_000) / milliseconds.max(1));
        self.rate = MeasuredRate {
            since: now,
            published,
        };
    }
}
