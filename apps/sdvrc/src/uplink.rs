//! Where source, session and transport are joined: the client's row of a frame's way, and the supervisor that never gives up.
//!
//! ```text
//! Source::try_next ──► Streaming::send_frame ──► Session::seal_frame ──► TcpLink::write
//! ```

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sdvr_frame::{InstanceId, Timestamp};
use sdvr_session::{CloseCode, SetupCode};
use sdvr_source::{Next, Source};
use sdvr_transport::{Poller, Waker};
use sdvr_trust::{CameraIdentity, KeyDirectory, TrustError};
use tracing::{error, info, warn};

use crate::config::Config;
use crate::dial::Dial;
use crate::greeting::{GREETING_TIME, Greeting, GreetingError};
use crate::streaming::{Ending, Sent, Streaming, warn_of_cut_off};

const BACK_OFF_FIRST: Duration = Duration::from_millis(100);
const BACK_OFF_MOST: Duration = Duration::from_secs(2);
/// How long a server whose key has changed is left alone.
const MISMATCH_WAIT: Duration = Duration::from_secs(60);
/// How long files of keys that cannot be used are left alone.
const STORE_WAIT: Duration = Duration::from_secs(5);
/// How long the last bytes may take at the end.
const FINISH_TIME: Duration = Duration::from_secs(10);
/// … when the user wants to go.
const FINISH_TIME_INTERRUPTED: Duration = Duration::from_secs(1);
/// How often it is said that the server is still not there, and how many frames were dropped.
const SAY_AGAIN: Duration = Duration::from_secs(60);

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

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        match error {
            TrustError::KeyInUse { .. } => Self::Usage(error.to_string()),
            error => Self::Other(error.to_string()),
        }
    }
}

/// How far the link is.
#[derive(Debug)]
enum Link {
    /// The source has not shown what it is.
    Preparing,
    /// Trying again later.
    Waiting { until: Timestamp },
    /// Connecting.
    Dialling(Dial),
    /// Shaking hands.
    Greeting(Box<Greeting>),
    /// Frames flow.
    Streaming(Box<Streaming>),
    /// The end was said; the last bytes are on their way.
    Finishing {
        streaming: Box<Streaming>,
        until: Timestamp,
    },
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
    has_streamed: bool,
    back_off: Duration,
    /// What was said last of a link that does not come about, and when.
    said: Option<(String, Timestamp)>,
    dropped: Dropped,
    waker: Waker,
    poller: Poller,
    interrupted: UnixStream,
}

#[derive(Debug, Default)]
struct Dropped {
    frames: u64,
    said_at: Option<Timestamp>,
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
    let source = Source::open(&config.source, &config.capture).map_err(|error| match error {
        sdvr_source::SourceError::Options(_) | sdvr_source::SourceError::Terminal => {
            Failure::Usage(error.to_string())
        }
        error => Failure::Other(error.to_string()),
    })?;
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
        has_streamed: false,
        back_off: BACK_OFF_FIRST,
        said: None,
        dropped: Dropped::default(),
        waker,
        poller,
        interrupted: interruption().map_err(|error| other(&error))?,
    };
    loop {
        if uplink.turn()? {
            return Ok(());
        }
    }
}

impl Uplink<'_> {
    /// Waits for something to do and does it; true at the end.
    fn turn(&mut self) -> Result<bool, Failure> {
        let ready = self.wait();
        let now = Timestamp::now();
        if ready.interrupted && self.interrupt(now) {
            return Ok(true);
        }
        self.advance_link(now, ready)?;
        if let Link::Finishing { streaming, until } = &self.link
            && (streaming.is_drained() || now >= *until)
        {
            streaming.link.finish_writing();
            if !ready.ended && now < *until {
                return Ok(false);
            }
            return Ok(true);
        }
        self.pump_source(now)
    }

    /// Blocks until the socket, the source, the clock or the user wants something.
    fn wait(&self) -> Ready {
        let source_wanted = self.wants_source();
        let mut until = self.link_timeout();
        let mut descriptors = vec![
            PollFd::new(&self.interrupted, PollFlags::IN),
            PollFd::new(&self.poller, PollFlags::IN),
        ];
        let link = match &self.link {
            Link::Greeting(greeting) => Some((&greeting.link, PollFlags::IN)),
            Link::Streaming(streaming) | Link::Finishing { streaming, .. } => Some((
                &streaming.link,
                if streaming.is_drained() {
                    PollFlags::IN
                } else {
                    PollFlags::IN | PollFlags::OUT
                },
            )),
            Link::Preparing | Link::Waiting { .. } | Link::Dialling(_) => None,
        };
        if let Some((link, flags)) = &link {
            descriptors.push(PollFd::new(*link, *flags));
        }
        let source = self.source.descriptor().filter(|_| source_wanted);
        if source_wanted {
            until = until.min(self.source.poll_timeout().unwrap_or(Timestamp::NEVER));
        }
        if let Some(source) = &source {
            descriptors.push(PollFd::new(source, PollFlags::IN));
        }
        let wait = until
            .saturating_since(Timestamp::now())
            .min(Duration::from_secs(3600));
        let timeout = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(0),
            tv_nsec: wait.subsec_nanos().into(),
        };
        // A signal ends the wait early, which is as good as any other reason.
        let _ = poll(&mut descriptors, Some(&timeout));
        let happened = |index: usize| {
            descriptors
                .get(index)
                .map_or(PollFlags::empty(), PollFd::revents)
        };
        let link_events = if link.is_some() {
            happened(2)
        } else {
            PollFlags::empty()
        };
        let is_broken = link_events.intersects(PollFlags::ERR | PollFlags::HUP);
        Ready {
            interrupted: !happened(0).is_empty(),
            dialled: !happened(1).is_empty(),
            readable: is_broken || link_events.contains(PollFlags::IN),
            writable: is_broken || link_events.contains(PollFlags::OUT),
            ended: link_events.contains(PollFlags::HUP),
        }
    }

    /// Whether the source should be asked for frames now.
    fn wants_source(&self) -> bool {
        match &self.link {
            Link::Preparing => true,
            Link::Streaming(streaming) if streaming.takes_frames() => {
                self.source.is_live() || streaming.is_drained()
            }
            // Nothing is captured for a server that was never there.
            _ if !self.has_streamed => false,
            // A live source goes on; what nobody takes is dropped.
            Link::Waiting { .. } | Link::Dialling(_) | Link::Greeting(_) | Link::Streaming(_) => {
                self.source.is_live()
            }
            Link::Finishing { .. } => false,
        }
    }

    fn link_timeout(&self) -> Timestamp {
        match &self.link {
            Link::Preparing | Link::Dialling(_) => Timestamp::NEVER,
            Link::Waiting { until } => *until,
            Link::Greeting(greeting) => greeting.since + GREETING_TIME,
            Link::Streaming(streaming) => streaming.poll_timeout(),
            Link::Finishing { until, .. } => *until,
        }
    }

    /// Does what the link's state asks for.
    fn advance_link(&mut self, now: Timestamp, ready: Ready) -> Result<(), Failure> {
        match &mut self.link {
            Link::Preparing => Ok(()),
            Link::Waiting { until } if now >= *until => self.dial(),
            Link::Waiting { .. } => Ok(()),
            Link::Dialling(dial) => {
                if ready.dialled {
                    self.waker.clear();
                }
                match dial.poll() {
                    Some(Ok(link)) => match Greeting::start(link, now, self.config, &self.keys) {
                        Ok(greeting) => {
                            self.link = Link::Greeting(Box::new(greeting));
                            Ok(())
                        }
                        Err(problem) => self.greeting_failed(now, &problem),
                    },
                    Some(Err(problem)) => self.try_again(now, &problem.to_string(), None),
                    None => Ok(()),
                }
            }
            Link::Greeting(_) => self.greet(now, ready),
            Link::Streaming(streaming) => {
                let result = advance_streaming(streaming, now, ready);
                match result {
                    Ok(()) if streaming.needs_new_keys() => self.renew(now),
                    Ok(()) => Ok(()),
                    Err(ending) => self.session_ended(now, &ending),
                }
            }
            Link::Finishing { streaming, until } => {
                if advance_streaming(streaming, now, ready).is_err() {
                    *until = now;
                }
                Ok(())
            }
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
        let Some(description) = self.source.description() else {
            return Ok(());
        };
        match Streaming::start(
            now,
            greeting.link,
            session,
            &self.identity.label,
            self.instance,
            &description,
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
                // Always printed whole: it needs no attention to work, but it must be seen.
                eprintln!("{mismatch}");
                if self.config.once {
                    return Err(Failure::Identity);
                }
                self.link = Link::Waiting {
                    until: now + MISMATCH_WAIT,
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
                self.try_again(now, &problem.to_string(), Some(MISMATCH_WAIT))
            }
            // A full disk or a damaged file may be mended while this waits; nobody is trusted until then.
            GreetingError::Trust(_) => self.try_again(now, &problem.to_string(), Some(STORE_WAIT)),
            GreetingError::OlderVersion { .. } => {
                self.try_again(now, &problem.to_string(), Some(MISMATCH_WAIT))
            }
            GreetingError::Closed | GreetingError::Silent | GreetingError::Handshake(_) => {
                self.try_again(now, &problem.to_string(), None)
            }
        }
    }

    fn session_ended(&mut self, now: Timestamp, ending: &Ending) -> Result<(), Failure> {
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
            _ => {
                self.back_off = BACK_OFF_FIRST;
                self.said = None;
                self.try_again(now, &ending.to_string(), None)
            }
        }
    }

    /// New keys by a new session; the frames' numbers and the ring go on.
    fn renew(&mut self, now: Timestamp) -> Result<(), Failure> {
        if let Link::Streaming(streaming) = &mut self.link {
            // It ends either way.
            let _ = streaming.close(now, CloseCode::KeysUsedUp, "new keys are due");
        }
        self.dial()
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
        let is_news = self
            .said
            .as_ref()
            .is_none_or(|(said, at)| said != problem || now.saturating_since(*at) >= SAY_AGAIN);
        if is_news {
            warn!(server = %self.config.server, "{problem}; trying again until it works");
            self.said = Some((problem.to_owned(), now));
        }
        let wait = wait.unwrap_or(self.back_off);
        self.back_off = (self.back_off * 2).min(BACK_OFF_MOST);
        self.link = Link::Waiting {
            until: now + with_jitter(wait),
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
            let next = self
                .source
                .try_next(now)
                .map_err(|error| Failure::Other(error.to_string()))?;
            let frame = match next {
                Next::Frame(frame) => frame,
                Next::NotYet => return Ok(false),
                Next::Ended => return self.finish(now),
            };
            let result = match &mut self.link {
                Link::Streaming(streaming) if streaming.takes_frames() => {
                    streaming.send_frame(now, &frame, is_live)
                }
                Link::Streaming(streaming) => {
                    streaming.frame_was_dropped(now);
                    Ok(Sent::Dropped)
                }
                _ => Ok(Sent::Dropped),
            };
            match result {
                Ok(Sent::Yes) => {
                    self.has_streamed = true;
                    self.back_off = BACK_OFF_FIRST;
                    self.said = None;
                }
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
        if self
            .source
            .prepare(now)
            .map_err(|error| Failure::Other(error.to_string()))?
        {
            if self.source.description().is_none() {
                return Err(Failure::Other(
                    "the source ended before its first frame".to_owned(),
                ));
            }
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
        match std::mem::replace(&mut self.link, Link::Preparing) {
            Link::Streaming(mut streaming) => {
                if let Err(ending) = streaming.close(
                    now,
                    CloseCode::EndOfSource,
                    "the source has come to its end",
                ) {
                    return Err(Failure::Other(ending.to_string()));
                }
                info!("the source has come to its end");
                self.link = Link::Finishing {
                    streaming,
                    until: now + FINISH_TIME,
                };
                Ok(false)
            }
            _ => Err(Failure::Other(
                "the source came to its end while the server was not there".to_owned(),
            )),
        }
    }

    /// The user wants to go; true when there is nothing to wait for.
    fn interrupt(&mut self, now: Timestamp) -> bool {
        // Taken back, so that only the next signal is another one.
        let _ = (&self.interrupted).read(&mut [0; 16]);
        // The second time nothing is waited for.
        let Link::Streaming(mut streaming) = std::mem::replace(&mut self.link, Link::Preparing)
        else {
            return true;
        };
        if streaming
            .close(now, CloseCode::ShuttingDown, "the camera program was ended")
            .is_err()
        {
            return true;
        }
        self.link = Link::Finishing {
            streaming,
            until: now + FINISH_TIME_INTERRUPTED,
        };
        false
    }
}

/// What the wait was ended by.
#[derive(Clone, Copy, Debug)]
struct Ready {
    interrupted: bool,
    dialled: bool,
    readable: bool,
    writable: bool,
    ended: bool,
}

fn advance_streaming(
    streaming: &mut Streaming,
    now: Timestamp,
    ready: Ready,
) -> Result<(), Ending> {
    if ready.readable {
        streaming.handle_readable(now)?;
    }
    if ready.writable {
        streaming.handle_writable(now)?;
    }
    if now >= streaming.poll_timeout() {
        streaming.handle_time(now)?;
    }
    Ok(())
}

impl Dropped {
    /// Counts a frame that was captured and not sent; says so now and then.
    fn count(&mut self, now: Timestamp) {
        self.frames += 1;
        if self
            .said_at
            .is_none_or(|at| now.saturating_since(at) >= SAY_AGAIN)
        {
            warn!(
                frames = self.frames,
                "frames were captured and not sent: the network or the server did not take them"
            );
            *self = Self {
                frames: 0,
                said_at: Some(now),
            };
        }
    }
}

/// A random part of the time, at least half: cameras that lost one server must not come back all at once.
fn with_jitter(wait: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness all of the time is waited.
    let share = if getrandom::fill(&mut random).is_ok() {
        u32::from(u16::from_ne_bytes(random))
    } else {
        0
    };
    wait.saturating_sub(wait / 2 * share / 65_536)
}

/// A descriptor that is readable after SIGINT or SIGTERM.
fn interruption() -> std::io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGINT, theirs.try_clone()?)?;
    signal_hook::low_level::pipe::register(signal_hook::consts::SIGTERM, theirs)?;
    ours.set_nonblocking(true)?;
    Ok(ours)
}
