//! Where source, session and transport are joined: the client's row of a frame's way, and the supervisor that never gives up.
//!
//! ```text
//! Source::try_next ──► Streaming::send_frame ──► Session::seal_frame ──► TcpLink::write
//! ```

use std::io::Write;
use std::time::Duration;

use sdvr_frame::{FrameNumber, InstanceId, Timestamp};
use sdvr_session::{CloseCode, SetupCode};
use sdvr_source::{Next, Source, SourceError};
use sdvr_transport::{Poller, Waker};
use sdvr_trust::{CameraIdentity, KeyDirectory, TrustError};
use tracing::{error, info, warn};

use crate::announcement::{Announcement, REFUSED_WAIT};
use crate::config::Config;
use crate::dial::Dial;
use crate::dropped::DroppedFrames;
use crate::greeting::{GREETING_TIME, Greeting, GreetingError};
use crate::link::{Finish, Link};
use crate::retry::Retry;
use crate::signals::SignalPipe;
use crate::streaming::{Ending, Sent, Streaming, warn_of_cut_off};
use crate::trigger::Trigger;
use crate::waiting::{Ready, wait};

/// How long a server is left alone that a person must look at first. Not one that offers another key: whoever is in between
/// can say so for the server, and when he has gone the camera must be back.
const ATTENTION_WAIT: Duration = Duration::from_secs(60);
/// How long files of keys that cannot be used are left alone.
const STORE_WAIT: Duration = Duration::from_secs(5);
/// Why the client gave up.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was asked for cannot be.
    #[error("{0}")]
    Usage(String),
    /// The server has a different key.
    #[error("the server's identity is not the expected one")]
    Identity,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Options(_) | SourceError::Terminal => Self::Usage(error.to_string()),
            SourceError::Camera(problem) if problem.is_usage() => Self::Usage(problem.to_string()),
            error => Self::Other(error.to_string()),
        }
    }
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        match error {
            TrustError::KeyInUse { .. } => Self::Usage(error.to_string()),
            error => Self::Other(error.to_string()),
        }
    }
}

/// The client while it runs.
#[derive(Debug)]
struct Uplink<'a> {
    config: &'a Config,
    keys: KeyDirectory,
    identity: CameraIdentity,
    source: Source,
    instance: InstanceId,
    link: Link,
    /// What the server is asked for, once the source has shown what it is.
    announcement: Option<Announcement>,
    has_streamed: bool,
    /// Frames sent in all sessions.
    sent: u64,
    retry: Retry,
    dropped: DroppedFrames,
    /// Frames that the source had to leave out.
    skipped: DroppedFrames,
    /// The number of the frame that the source gave last.
    last_number: Option<FrameNumber>,
    /// What the source failed of, while the server is told.
    source_failure: Option<Failure>,
    /// Frames of sessions that were cut, of which the server has not said that they have arrived.
    maybe_lost: u64,
    waker: Waker,
    poller: Poller,
    interrupted: SignalPipe,
    /// Frames are sent on request only.
    trigger: Option<Trigger>,
}

/// Streams until the source ends, the user interrupts, or `--once` says to give up.
pub(crate) fn run(config: &Config) -> Result<(), Failure> {
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
        identity,
        source,
        instance: InstanceId(instance),
        link: Link::Preparing,
        announcement: None,
        has_streamed: false,
        sent: 0,
        retry: Retry::new(),
        dropped: DroppedFrames::new(
            "frames were captured and not sent: the network or the server did not take them",
        ),
        skipped: DroppedFrames::new(
            "frames are missing at the source: the camera or this host was too slow",
        ),
        last_number: None,
        source_failure: None,
        maybe_lost: 0,
        waker,
        poller,
        interrupted: SignalPipe::interruption().map_err(|error| other(&error))?,
        trigger: config
            .on_trigger
            .then(Trigger::new)
            .transpose()
            .map_err(|error| other(&error))?,
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
    uplink.skipped.say_rest(now);
    info!(
        sent = uplink.sent,
        not_sent = uplink.dropped.all(),
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
        let source = Some(&self.source).filter(|_| self.wants_source());
        let trigger = self.trigger.as_ref().map(Trigger::signals);
        wait(&self.interrupted, trigger, &self.poller, &self.link, source)
    }

    /// Whether the source should be asked for frames now.
    fn wants_source(&self) -> bool {
        let is_live = self.source.is_live();
        let is_asked_for = self.trigger.as_ref().is_none_or(Trigger::wants_frame);
        self.link.wants_source(is_live, self.has_streamed)
            && (is_live || is_asked_for || matches!(self.link, Link::Preparing))
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
                    Some(Ok(link)) => match Greeting::start(link, now, self.config, &self.keys) {
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
        if streaming.takes_frames() && !could_take_frames {
            self.dropped.say_rest(now);
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
            // A frame that waits for its stream goes first.
            (Ok(()), None) if streaming.needs_new_keys() && !streaming.holds_frame() => {
                self.close(now, Finish::NewKeys);
                Ok(())
            }
            (Ok(()), None) => Ok(()),
            (Err(ending), _) => self.session_ended(now, &ending),
        }
    }

    /// Says the end to the server.
    fn close(&mut self, now: Timestamp, finish: Finish) {
        let link = std::mem::replace(&mut self.link, Link::Preparing);
        self.link = match link {
            Link::Streaming(mut streaming) => {
                let until = match streaming.close(now, finish.code(), finish.text()) {
                    Ok(()) => now + finish.time(),
                    // It is over at once, unconfirmed.
                    Err(_) => now,
                };
                Link::Finishing {
                    streaming,
                    until,
                    finish,
                }
            }
            link => link,
        };
    }

    /// Waits for the server to confirm that all has arrived; true at the end of the program.
    fn advance_finish(&mut self, now: Timestamp, ready: Ready) -> Result<bool, Failure> {
        let (
            Link::Finishing {
                streaming,
                until,
                finish,
            },
            Some(announcement),
        ) = (&mut self.link, &mut self.announcement)
        else {
            return Ok(false);
        };
        let finish = *finish;
        let is_confirmed = match advance_streaming(streaming, announcement, now, ready) {
            Ok(()) if now < *until => {
                // What still goes out may take as long as it needs.
                if finish != Finish::Interrupted && !streaming.is_drained() {
                    *until = now + finish.time();
                }
                return Ok(false);
            }
            Ok(()) => false,
            Err(Ending::Said(close)) => close.code == finish.code(),
            Err(_) => false,
        };
        let unconfirmed = if is_confirmed {
            0
        } else {
            streaming.frames_unconfirmed()
        };
        match finish {
            Finish::NewKeys => {
                self.may_have_lost(unconfirmed);
                self.dial()?;
                Ok(false)
            }
            // Whoever interrupts does not want to wait, and knows it.
            Finish::Interrupted => Ok(true),
            Finish::SourceFailed => self.source_failure.take().map_or(Ok(true), Err),
            Finish::EndOfSource if !is_confirmed => Err(Failure::Other(format!(
                "the server did not confirm the end: the last {unconfirmed} frames may not have arrived"
            ))),
            // A file is sent whole or not at all.
            Finish::EndOfSource if !self.source.is_live() && self.dropped.all() > 0 => {
                Err(Failure::Other(format!(
                    "{} frames of the source were not sent: the server had no room for them",
                    self.dropped.all()
                )))
            }
            Finish::EndOfSource if !self.source.is_live() && self.maybe_lost > 0 => {
                Err(Failure::Other(format!(
                    "up to {} frames of the source may not have arrived: the connection was cut after they were sent",
                    self.maybe_lost
                )))
            }
            Finish::EndOfSource => Ok(true),
        }
    }

    /// A cut may have cost frames that this end had already sent.
    fn may_have_lost(&mut self, frames: u64) {
        self.maybe_lost += frames;
        if frames > 0 {
            warn!(
                frames,
                "up to so many of the last frames may not have arrived"
            );
        }
    }

    fn dial(&mut self) -> Result<(), Failure> {
        match Dial::start(&self.config.server, &self.waker) {
            Ok(dial) => {
                self.link = Link::Dialling(dial);
                Ok(())
            }
            // Other programs have taken all threads there are; they may end.
            Err(error) => {
                let problem = format!("cannot begin to connect: {error}");
                self.try_again(Timestamp::now(), &problem, None)
            }
        }
    }

    fn greet(&mut self, now: Timestamp, ready: Ready) -> Result<(), Failure> {
        let Link::Greeting(greeting) = &mut self.link else {
            return Ok(());
        };
        if now.saturating_since(greeting.since) >= GREETING_TIME {
            return self.greeting_failed(now, &GreetingError::Silent);
        }
        if !ready.readable {
            return Ok(());
        }
        match greeting.handle_readable(now, self.config, &self.keys, &self.identity) {
            Ok(None) => Ok(()),
            Ok(Some(session)) => self.start_streaming(now, session),
            Err(problem) => self.greeting_failed(now, &problem),
        }
    }

    fn start_streaming(
        &mut self,
        now: Timestamp,
        session: sdvr_session::Session,
    ) -> Result<(), Failure> {
        let Link::Greeting(greeting) =
            std::mem::replace(&mut self.link, Link::Waiting { until: now })
        else {
            return Ok(());
        };
        let Some(announcement) = &mut self.announcement else {
            return Ok(());
        };
        match Streaming::start(
            now,
            greeting.link,
            session,
            &self.identity.label,
            announcement,
        ) {
            Ok(streaming) => {
                self.link = Link::Streaming(Box::new(streaming));
                Ok(())
            }
            Err(ending) => self.session_ended(now, &ending),
        }
    }

    fn greeting_failed(&mut self, now: Timestamp, problem: &GreetingError) -> Result<(), Failure> {
        match problem {
            GreetingError::Mismatch(mismatch) => {
                // Always printed whole: it must be seen. But whoever is in between must not be able to fill the disk with it.
                if self.retry.is_news(now, "another key") {
                    // Nobody may be listening.
                    let _ = writeln!(std::io::stderr(), "{mismatch}");
                    if self.config.server_key == Some(mismatch.offered()) {
                        warn!(
                            "the offered key is the one given with --server-key, but another one is remembered: if the server was reinstalled, sdvr keys forget {}",
                            self.config.server
                        );
                    }
                }
                if self.config.once {
                    return Err(Failure::Identity);
                }
                self.link = Link::Waiting {
                    until: now + self.retry.wait(None),
                };
                Ok(())
            }
            GreetingError::OlderVersion { .. } if self.config.once => {
                error!("{problem}");
                Err(Failure::Identity)
            }
            GreetingError::Trust(TrustError::OtherKey { .. } | TrustError::Revoked { .. })
                if self.config.once =>
            {
                error!("{problem}");
                Err(Failure::Identity)
            }
            GreetingError::Trust(TrustError::OtherKey { .. } | TrustError::Revoked { .. }) => {
                self.try_again(now, &problem.to_string(), Some(ATTENTION_WAIT))
            }
            // A full disk or a damaged file may be mended while this waits; nobody is trusted until then.
            GreetingError::Trust(_) => self.try_again(now, &problem.to_string(), Some(STORE_WAIT)),
            GreetingError::OlderVersion { .. } => {
                self.try_again(now, &problem.to_string(), Some(ATTENTION_WAIT))
            }
            GreetingError::Closed | GreetingError::Silent | GreetingError::Handshake(_) => {
                self.try_again(now, &problem.to_string(), None)
            }
        }
    }

    fn session_ended(&mut self, now: Timestamp, ending: &Ending) -> Result<(), Failure> {
        if let Link::Streaming(streaming) = &self.link {
            self.may_have_lost(streaming.frames_unconfirmed());
        }
        match ending {
            Ending::Refused(reply) => {
                let own = self.identity.key.public_key().fingerprint();
                let wait = if reply.code == SetupCode::TooManyNew {
                    1
                } else {
                    reply.retry_after_s.clamp(1, 60)
                };
                let text = format!("{ending}\n  This camera's key: {own}");
                self.try_again(now, &text, Some(Duration::from_secs(wait.into())))
            }
            Ending::Said(close) if close.code == CloseCode::Replaced => {
                // Whoever has the same key is at it, too: not at once.
                self.try_again(now, &ending.to_string(), Some(Duration::from_secs(5)))
            }
            _ => self.try_again(now, &ending.to_string(), None),
        }
    }

    /// Waits, then connects again; or gives up, if the user wants that.
    fn try_again(
        &mut self,
        now: Timestamp,
        problem: &str,
        wait: Option<Duration>,
    ) -> Result<(), Failure> {
        if self.config.once {
            return Err(Failure::Other(problem.to_owned()));
        }
        if self.retry.is_news(now, problem) {
            warn!(server = %self.config.server, "{problem}; trying again until it works");
        }
        self.link = Link::Waiting {
            until: now + self.retry.wait(wait),
        };
        Ok(())
    }

    /// Takes frames from the source while somebody has a use for them; true at the end.
    fn pump_source(&mut self, now: Timestamp) -> Result<bool, Failure> {
        if matches!(self.link, Link::Preparing) {
            return self.prepare(now);
        }
        // A burst is bounded, so that the link is looked at in between.
        for _ in 0..16 {
            if !self.wants_source() {
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
            if let Some(trigger) = &mut self.trigger {
                match trigger.take(frame.number, can_be_sent) {
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
            {
                self.source.force_key_frame(now);
            }
            match result {
                Ok(Sent::Yes) => {
                    self.has_streamed = true;
                    self.sent += 1;
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
                    "-t needs frames that stand alone, such as MJPG: every frame of H.264 or H.265 is needed to decode the next".to_owned(),
                ));
            }
            self.announcement = Some(Announcement::new(self.instance, &description));
            self.link = Link::Waiting { until: now };
        }
        Ok(false)
    }

    /// The source cannot go on: what was sent before still goes out, and readers are told.
    fn source_failed(&mut self, now: Timestamp, failure: Failure) -> Result<bool, Failure> {
        if !matches!(self.link, Link::Streaming(_)) {
            return Err(failure);
        }
        self.source_failure = Some(failure);
        self.close(now, Finish::SourceFailed);
        Ok(false)
    }

    /// The source has ended.
    fn finish(&mut self, now: Timestamp) -> Result<bool, Failure> {
        let fourcc = self
            .source
            .description()
            .map(|description| description.format.fourcc);
        warn_of_cut_off(self.source.cut_off_bytes(), fourcc);
        if !matches!(self.link, Link::Streaming(_)) {
            return Err(Failure::Other(
                "the source came to its end while the server was not there".to_owned(),
            ));
        }
        info!("the source has come to its end");
        self.close(now, Finish::EndOfSource);
        Ok(false)
    }

    /// The user wants to go; true when there is nothing to wait for.
    fn interrupt(&mut self, now: Timestamp) -> Result<bool, Failure> {
        // Taken back, so that only the next signal is another one.
        let _ = self.interrupted.take();
        match &self.link {
            Link::Streaming(_) => {
                self.close(now, Finish::Interrupted);
                Ok(false)
            }
            Link::Finishing {
                streaming,
                finish: Finish::EndOfSource,
                ..
            } => Err(Failure::Other(format!(
                "interrupted before the server had confirmed the end: the last {} frames may not have arrived",
                streaming.frames_unconfirmed()
            ))),
            // The second time nothing is waited for.
            _ => Ok(true),
        }
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
