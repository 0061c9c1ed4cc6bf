//! Where source, session and transport are joined: the client's row of a frame's way, and the supervisor that never gives up.
//!
//! ```text
//! Source::try_next ──► Streaming::send_frame ──► Session::seal_frame ──► TcpLink::write
//! ```

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use sdvr_frame::{InstanceId, Timestamp};
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
use crate::link::{FINISH_TIME, Finish, Link};
use crate::retry::Retry;
use crate::streaming::{Ending, Sent, Streaming, warn_of_cut_off};
use crate::waiting::{Ready, interruption, wait};

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
    retry: Retry,
    dropped: DroppedFrames,
    waker: Waker,
    poller: Poller,
    interrupted: UnixStream,
}

/// Streams until the source ends, the user interrupts, or `--once` says to give up.
///
/// # Errors
///
/// [`Failure`] says why.
pub fn run(config: &Config) -> Result<(), Failure> {
    let other = |error: &dyn std::fmt::Display| Failure::Other(error.to_string());
    if let Err(error) = sdvr_trust::protect_memory() {
        warn!(%error, "core files cannot be switched off; one would contain keys");
    }
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
        retry: Retry::new(),
        dropped: DroppedFrames::default(),
        waker,
        poller,
        interrupted: interruption().map_err(|error| other(&error))?,
    };
    let result = loop {
        match uplink.turn() {
            Ok(false) => {}
            Ok(true) => break Ok(()),
            Err(failure) => break Err(failure),
        }
    };
    uplink.dropped.say_rest(Timestamp::now());
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
        let source = Some(&self.source)
            .filter(|source| self.link.wants_source(source.is_live(), self.has_streamed));
        wait(&self.interrupted, &self.poller, &self.link, source)
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
        if streaming.is_proved() {
            self.retry.it_works();
        }
        for _ in 0..streaming.take_given_up() {
            self.dropped.count(now);
        }
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
            (Ok(()), None) if streaming.needs_new_keys() => {
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
                    *until = now + FINISH_TIME;
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
                warn_of_unconfirmed(unconfirmed);
                self.dial()?;
                Ok(false)
            }
            // Whoever interrupts does not want to wait, and knows it.
            Finish::Interrupted => Ok(true),
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
            Finish::EndOfSource => Ok(true),
        }
    }

    fn dial(&mut self) -> Result<(), Failure> {
        let dial = Dial::start(&self.config.server, &self.waker)
            .map_err(|error| Failure::Other(error.to_string()))?;
        self.link = Link::Dialling(dial);
        Ok(())
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
                    eprintln!("{mismatch}");
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
            warn_of_unconfirmed(streaming.frames_unconfirmed());
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
            let is_live = self.source.is_live();
            if !self.link.wants_source(is_live, self.has_streamed) {
                return Ok(false);
            }
            // The clock is read for each: a frame is captured when it is taken.
            let now = Timestamp::now();
            let frame = match self.source.try_next(now)? {
                Next::Frame(frame) => frame,
                // Here the stream is to be opened anew.
                Next::NotYet | Next::Changed => return Ok(false),
                Next::Ended => return self.finish(now),
            };
            let Some(announcement) = &mut self.announcement else {
                return Ok(false);
            };
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
                Ok(Sent::Yes) => self.has_streamed = true,
                Ok(Sent::Dropped) => self.dropped.count(now),
                Err(ending) => {
                    self.dropped.count(now);
                    self.session_ended(now, &ending)?;
                }
            }
        }
        Ok(false)
    }

    fn prepare(&mut self, now: Timestamp) -> Result<bool, Failure> {
        if self.source.prepare(now)? {
            let Some(description) = self.source.description() else {
                return Err(Failure::Other(
                    "the source ended before its first frame".to_owned(),
                ));
            };
            self.announcement = Some(Announcement::new(self.instance, &description));
            self.link = Link::Waiting { until: now };
        }
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
        let _ = (&self.interrupted).read(&mut [0; 16]);
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

/// Says that a cut may have cost frames that this end had already sent.
fn warn_of_unconfirmed(frames: u64) {
    if frames > 0 {
        warn!(
            frames,
            "up to so many of the last frames may not have arrived"
        );
    }
}
