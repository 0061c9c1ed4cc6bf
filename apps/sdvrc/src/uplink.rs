//! Where source, session and transport are joined: the client's row of a frame's way, and the supervisor that never gives up.
//!
//! ```text
//! Source::try_next ──► Streaming::send_frame ──► Carrier::send_frame ──► Session::seal_frame ──► TcpLink::write
//!                                                               └─► Session::send_frame ──► DatagramLink::send
//! ```

mod closing;
mod connecting;

use sdvr_frame::{FrameNumber, InstanceId, Timestamp};
use sdvr_source::{Next, Source};
use sdvr_transport::{Poller, Waker};
use sdvr_trust::KeyDirectory;
use tracing::{error, info, warn};

use crate::announcement::{Announcement, REFUSED_WAIT};
use crate::config::Config;
use crate::dropped::DroppedFrames;
use crate::failure::Failure;
use crate::link::Link;
use crate::own_key::OwnKey;
use crate::retry::Retry;
use crate::signals::{SignalPipe, Signals};
use crate::streaming::{Ending, Sent, Streaming};
use crate::trigger::Trigger;
use crate::waiting::{Ready, wait};

/// The client while it runs.
#[derive(Debug)]
struct Uplink<'a> {
    config: &'a Config,
    keys: KeyDirectory,
    own_key: OwnKey,
    source: Source,
    instance: InstanceId,
    link: Link,
    /// What the server is asked for, once the source has shown what it is.
    announcement: Option<Announcement>,
    has_streamed: bool,
    /// A server has come back, and has no frame yet.
    is_back: bool,
    /// Frames sent in all sessions.
    sent: u64,
    retry: Retry,
    dropped: DroppedFrames,
    /// Frames that did not arrive, though they were sent again as often as there was time for.
    lost: DroppedFrames,
    /// Frames that the source had to leave out.
    skipped: DroppedFrames,
    /// The number of the frame that the source gave last.
    last_number: Option<FrameNumber>,
    /// Frames of sessions that were cut, of which the server has not said that they have arrived.
    maybe_lost: u64,
    waker: Waker,
    poller: Poller,
    interrupted: SignalPipe,
    /// Frames are sent on request only.
    trigger: Option<Trigger>,
}

/// Streams until the source ends, the user interrupts, or `--once` says to give up.
pub(crate) fn run(config: &Config, signals: Signals) -> Result<(), Failure> {
    let other = |error: &dyn std::fmt::Display| Failure::Other(error.to_string());
    let source = Source::open(&config.source, &config.capture)?;
    let keys = KeyDirectory::open(&config.key_directory)?;
    let identity = keys.camera_identity(&config.label, config.label_is_chosen)?;
    let mut instance = [0; 16];
    getrandom::fill(&mut instance).map_err(|error| other(&error))?;
    let poller = Poller::new().map_err(|error| other(&error))?;
    let waker = poller.add_waker(0).map_err(|error| other(&error))?;
    info!(label = %identity.label, fingerprint = %identity.key.public_key().fingerprint(), server = %config.server, "starting");
    let mut uplink = Uplink {
        config,
        keys,
        own_key: OwnKey::new(identity, Timestamp::now()),
        source,
        instance: InstanceId(instance),
        link: Link::Preparing,
        announcement: None,
        has_streamed: false,
        is_back: false,
        sent: 0,
        retry: Retry::new(),
        dropped: DroppedFrames::new(
            "frames were captured and not sent: the network or the server did not take them",
        ),
        lost: DroppedFrames::new(
            "frames were sent and lost on the way: the network loses more than can be sent again in time (--latency gives it more)",
        ),
        skipped: DroppedFrames::new(
            "frames are missing at the source: the camera or this host was too slow",
        ),
        last_number: None,
        maybe_lost: 0,
        waker,
        poller,
        interrupted: signals.interrupted,
        trigger: signals.trigger.map(Trigger::new),
    };
    let result = loop {
        match uplink.turn() {
            Ok(false) => {}
            Ok(true) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    let now = Timestamp::now();
    uplink.dropped.say_rest(now);
    uplink.lost.say_rest(now);
    uplink.skipped.say_rest(now);
    info!(
        sent = uplink.sent,
        not_sent = uplink.dropped.all(),
        lost_on_the_way = config.server.is_by_datagrams().then(|| uplink.lost.all()),
        missing_at_source = uplink.skipped.all(),
        "frames in all"
    );
    result
}

impl Uplink<'_> {
    /// Waits for something to do and does it; true at the end.
    fn turn(&mut self) -> Result<bool, Failure> {
        let ready = self.wait();
        let now = Timestamp::now();
        if ready.interrupted && self.interrupt(now)? {
            return Ok(true);
        }
        if let Some(trigger) = self.trigger.as_mut().filter(|_| ready.triggered) {
            trigger.look();
        }
        self.look_after_keys(now)?;
        if self.advance_link(now, ready)? {
            return Ok(true);
        }
        let is_end = self.pump_source(now);
        while let Some(notice) = self.source.take_notice() {
            if notice.is_warning() {
                warn!("{notice}");
            } else {
                info!("{notice}");
            }
        }
        is_end
    }

    /// Blocks until the socket, the source, the clock or the user wants something.
    fn wait(&self) -> Ready {
        let source = Some(&self.source).filter(|_| self.wants_source(Timestamp::now()));
        let trigger = self.trigger.as_ref().map(Trigger::signals);
        wait(
            &self.interrupted,
            trigger,
            &self.poller,
            &self.link,
            source,
            self.own_key.poll_timeout(),
        )
    }

    /// Takes another key of this camera, if there is one, and tells the server.
    fn look_after_keys(&mut self, now: Timestamp) -> Result<(), Failure> {
        let Link::Streaming(streaming) = &mut self.link else {
            self.own_key.look(now, false);
            return Ok(());
        };
        let address = self.config.server.to_string();
        if streaming.take_accepted() {
            self.own_key.was_accepted(now, &self.keys, &address);
        }
        self.own_key.look(now, streaming.is_accepted());
        if let Some(answer) = streaming.take_new_id() {
            self.own_key
                .handle_answer(now, answer, &self.keys, &address);
        }
        let announced = self.own_key.take_announcement(now);
        match announced.map(|key| streaming.announce(now, key)) {
            Some(Err(ending)) => self.session_ended(now, &ending),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Does what the link's state asks for; true at the end.
    fn advance_link(&mut self, now: Timestamp, ready: Ready) -> Result<bool, Failure> {
        match &mut self.link {
            Link::Waiting { until } if now >= *until => self.dial()?,
            Link::Preparing | Link::Waiting { .. } => {}
            Link::Dialling(dial) => {
                if ready.dialled {
                    self.waker.clear();
                }
                match dial.poll() {
                    Some(Ok(found)) => match self.begin_greeting(now, found) {
                        Ok(greeting) => self.link = Link::Greeting(Box::new(greeting)),
                        Err(problem) => self.greeting_failed(now, &problem)?,
                    },
                    Some(Err(problem)) => self.try_again(now, &problem.to_string(), None)?,
                    None => {}
                }
            }
            Link::Greeting(_) => self.greet(now, ready)?,
            Link::Streaming(_) => self.stream(now, ready)?,
            Link::Finishing { .. } => return self.advance_finish(now, ready),
        }
        Ok(false)
    }

    /// Frames flow: hears what the server says.
    fn stream(&mut self, now: Timestamp, ready: Ready) -> Result<(), Failure> {
        let (Link::Streaming(streaming), Some(announcement)) =
            (&mut self.link, &mut self.announcement)
        else {
            return Ok(());
        };
        let could_take_frames = streaming.takes_frames();
        let result = advance_streaming(streaming, announcement, now, ready);
        // Not while the stream is refused: that would be news each time.
        if streaming.is_proved() && streaming.takes_frames() {
            self.retry.it_works();
        }
        self.dropped.count(now, streaming.take_given_up());
        self.lost.count(now, streaming.take_lost());
        self.lost.take_back(streaming.take_found_again());
        if streaming.take_key_request() {
            self.source.force_key_frame(now);
        }
        if streaming.takes_frames() && !could_take_frames {
            self.dropped.say_rest(now);
            if std::mem::take(&mut self.is_back) {
                self.source.begin_with_key_frame(now);
            }
        }
        if let Some((key, next)) = streaming.take_next_key() {
            connecting::remember_next_key(self.config, &self.keys, &key, &next);
        }
        let refusal = streaming.refusal();
        match (result, refusal) {
            (Ok(()), Some(refusal)) if self.config.once => Err(Failure::Other(refusal.to_owned())),
            (Ok(()), Some(refusal)) => {
                if self.retry.is_news(now, refusal) {
                    error!("{refusal}; asking again every {} s", REFUSED_WAIT.as_secs());
                }
                Ok(())
            }
            (Ok(()), None) => Ok(()),
            (Err(ending), _) => self.session_ended(now, &ending),
        }
    }

    /// Whether the source should be asked for frames now.
    fn wants_source(&self, now: Timestamp) -> bool {
        let is_live = self.source.is_live();
        let is_asked_for = self.trigger.as_ref().is_none_or(Trigger::wants_frame);
        self.link.wants_source(now, is_live, self.has_streamed)
            && (is_live || is_asked_for || matches!(self.link, Link::Preparing))
    }

    /// Takes frames from the source while somebody has a use for them; true at the end.
    fn pump_source(&mut self, now: Timestamp) -> Result<bool, Failure> {
        if matches!(self.link, Link::Preparing) {
            return self.prepare(now);
        }
        // A burst is bounded, so that the link is looked at in between.
        for _ in 0..16 {
            if !self.wants_source(Timestamp::now()) {
                return Ok(false);
            }
            let is_live = self.source.is_live();
            // The clock is read for each: a frame is captured when it is taken.
            let now = Timestamp::now();
            let mut frame = match self.source.try_next(now) {
                Ok(Next::Frame(frame)) => frame,
                Ok(Next::NotYet) => return Ok(false),
                Ok(Next::Changed) => {
                    self.reopen_stream(now)?;
                    continue;
                }
                Ok(Next::Ended) => return self.finish(now),
                Err(error) => return self.source_failed(now, error.into()),
            };
            let expected = self
                .last_number
                .replace(frame.number)
                .map(|last| last.0 + 1);
            let skipped = frame
                .number
                .0
                .saturating_sub(expected.unwrap_or(frame.number.0));
            self.skipped.count(now, skipped);
            let Some(announcement) = &mut self.announcement else {
                return Ok(false);
            };
            let can_be_sent =
                matches!(&self.link, Link::Streaming(streaming) if streaming.takes_frames());
            if let Some(trigger) = &self.trigger {
                match trigger.number().filter(|_| can_be_sent) {
                    Some(number) => frame.number = number,
                    None => continue,
                }
            }
            let result = match &mut self.link {
                Link::Streaming(streaming) if streaming.takes_frames() => {
                    streaming.send_frame(now, &frame, is_live, announcement)
                }
                Link::Streaming(streaming) => {
                    streaming.frame_was_dropped(now, announcement);
                    Ok(Sent::Dropped)
                }
                _ => Ok(Sent::Dropped),
            };
            if let Link::Streaming(streaming) = &self.link
                && streaming.needs_key(now)
                && streaming.could_send_key(now)
            {
                self.source.force_key_frame(now);
            }
            match result {
                Ok(Sent::Yes) => {
                    self.has_streamed = true;
                    self.sent += 1;
                    if let Some(trigger) = &mut self.trigger {
                        trigger.was_sent();
                    }
                }
                Ok(Sent::Dropped) => self.dropped.count(now, 1),
                Err(ending) => {
                    self.dropped.count(now, 1);
                    self.session_ended(now, &ending)?;
                }
            }
        }
        Ok(false)
    }

    /// The frames have become others, of another size: the stream is opened anew.
    fn reopen_stream(&mut self, now: Timestamp) -> Result<(), Failure> {
        let Some(description) = self.source.description() else {
            return Ok(());
        };
        let format = description.format;
        info!(format = %format.fourcc, width = format.width, height = format.height, rate = %format.rate, "the source has changed its format");
        let announcement = self
            .announcement
            .insert(Announcement::new(self.instance, &description));
        if let Link::Streaming(streaming) = &mut self.link
            && let Err(ending) = streaming.reopen(now, announcement)
        {
            self.session_ended(now, &ending)?;
        }
        Ok(())
    }

    fn prepare(&mut self, now: Timestamp) -> Result<bool, Failure> {
        if self.source.prepare(now)? {
            let Some(description) = self.source.description() else {
                return Err(Failure::Other(
                    "the source ended before its first frame".to_owned(),
                ));
            };
            if self.trigger.is_some() && description.format.fourcc.is_inter_coded() {
                return Err(Failure::Usage(
                    "-t needs frames that stand alone, such as MJPG: every frame of H.264, H.265, VP8, VP9 or AV1 is needed to decode the next".to_owned(),
                ));
            }
            self.announcement = Some(Announcement::new(self.instance, &description));
            self.link = Link::Waiting { until: now };
        }
        Ok(false)
    }
}

fn advance_streaming(
    streaming: &mut Streaming,
    announcement: &mut Announcement,
    now: Timestamp,
    ready: Ready,
) -> Result<(), Ending> {
    if ready.readable {
        streaming.handle_readable(now, announcement)?;
    }
    if ready.writable {
        streaming.handle_writable(now)?;
    }
    if now >= streaming.poll_timeout() {
        streaming.handle_time(now, announcement)?;
    }
    Ok(())
}
