//! Connecting, again and again: what is wrong with a server decides how soon.

use std::io::Write;
use std::time::Duration;

use sdvr_frame::{Fingerprint, PublicKey, Timestamp};
use sdvr_session::{CloseCode, SetupCode};
use sdvr_trust::{KeyDirectory, KnownServers, TrustError};
use tracing::{error, info, warn};

use super::Uplink;
use crate::config::Config;
use crate::dial::{Dial, Found};
use crate::failure::Failure;
use crate::greeting::{Greeter, Greeting, GreetingError};
use crate::link::Link;
use crate::streaming::{Ending, Streaming};
use crate::waiting::Ready;

/// How long a server is left alone that a person must look at first. Not one that offers another key: whoever is in between
/// can say so for the server, and when he has gone the camera must be back.
const ATTENTION_WAIT: Duration = Duration::from_secs(60);
/// How long a server is left alone that has hung up again and again when it had read this camera's key.
const UNHEARD_WAIT: Duration = Duration::from_secs(10);
/// How often a camera that waits for approval asks.
const APPROVAL_WAIT: Duration = Duration::from_secs(1);
/// How long files of keys that cannot be used are left alone.
const STORE_WAIT: Duration = Duration::from_secs(5);

impl Uplink<'_> {
    pub(super) fn dial(&mut self) -> Result<(), Failure> {
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

    /// Chooses a key and sends the first packet.
    pub(super) fn begin_greeting(
        &mut self,
        now: Timestamp,
        found: Found,
    ) -> Result<Greeting, GreetingError> {
        let address = self.config.server.to_string();
        self.own_key.choose(&self.keys, &address)?;
        let greeter = Greeter {
            config: self.config,
            keys: &self.keys,
            own: self.own_key.used(),
        };
        Greeting::start(found, now, greeter)
    }

    pub(super) fn greet(&mut self, now: Timestamp, ready: Ready) -> Result<(), Failure> {
        let Link::Greeting(greeting) = &mut self.link else {
            return Ok(());
        };
        let greeter = Greeter {
            config: self.config,
            keys: &self.keys,
            own: self.own_key.used(),
        };
        let session = if ready.readable {
            greeting.handle_readable(now, greeter)
        } else {
            Ok(None)
        };
        match session {
            Ok(Some(session)) => self.start_streaming(now, session),
            Ok(None) => match greeting.handle_time(now, greeter) {
                Ok(()) => Ok(()),
                Err(problem) => self.greeting_failed(now, &problem),
            },
            Err(problem) => self.greeting_failed(now, &problem),
        }
    }

    pub(super) fn start_streaming(
        &mut self,
        now: Timestamp,
        mut session: sdvr_session::Session,
    ) -> Result<(), Failure> {
        let Link::Greeting(greeting) =
            std::mem::replace(&mut self.link, Link::Waiting { until: now })
        else {
            return Ok(());
        };
        let Some(announcement) = &mut self.announcement else {
            return Ok(());
        };
        session.set_key_limits(self.config.key_limits);
        session.set_parity(self.config.parity_percent);
        match Streaming::start(
            now,
            greeting.greeted(session),
            &self.own_key.identity().label,
            self.config.latency,
            announcement,
        ) {
            Ok(streaming) => {
                self.is_back = self.has_streamed;
                self.link = Link::Streaming(Box::new(streaming));
                Ok(())
            }
            Err(ending) => self.session_ended(now, &ending),
        }
    }

    pub(super) fn greeting_failed(
        &mut self,
        now: Timestamp,
        problem: &GreetingError,
    ) -> Result<(), Failure> {
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
            GreetingError::Socket(error) if error.is_final() => {
                Err(Failure::Other(error.to_string()))
            }
            GreetingError::Unheard | GreetingError::Ignored => {
                self.own_key.was_unheard();
                let wait = self.retry.was_unheard().then_some(UNHEARD_WAIT);
                self.try_again(now, &problem.to_string(), wait)
            }
            GreetingError::Silent => {
                let hint = self.config.server.why_silent();
                self.try_again(now, &format!("{problem}{hint}"), None)
            }
            GreetingError::Closed
            | GreetingError::Connect(_)
            | GreetingError::Socket(_)
            | GreetingError::Handshake(_) => self.try_again(now, &problem.to_string(), None),
        }
    }

    pub(super) fn session_ended(&mut self, now: Timestamp, ending: &Ending) -> Result<(), Failure> {
        if let Link::Streaming(streaming) = &self.link {
            self.may_have_lost(streaming.frames_unconfirmed());
        }
        let own = self.own_key.fingerprint();
        match ending {
            Ending::Refused(reply) if reply.code == SetupCode::Pending => {
                self.wait_for_approval(now, own)
            }
            Ending::Refused(reply) => {
                let has_other_key = self.own_key.was_refused(reply);
                let wait = if has_other_key || reply.code == SetupCode::TooManyNew {
                    1
                } else {
                    reply.retry_after_s.clamp(1, 60)
                };
                let way_out = if reply.code == SetupCode::LabelTaken {
                    format!("\n  Or on the server:  sdvr keys approve {own} --as LABEL")
                } else {
                    String::new()
                };
                let text = format!("{ending}{way_out}\n  This camera's key: {own}");
                self.try_again(now, &text, Some(Duration::from_secs(wait.into())))
            }
            Ending::Said(close) if close.code == CloseCode::Replaced => {
                // Whoever has the same key is at it, too: not at once.
                self.try_again(now, &ending.to_string(), Some(Duration::from_secs(5)))
            }
            Ending::Said(close) if matches!(close.code, CloseCode::Revoked | CloseCode::Cloned) => {
                let text = format!("{ending}\n  This camera's key: {own}");
                self.try_again(now, &text, Some(ATTENTION_WAIT))
            }
            _ => self.try_again(now, &ending.to_string(), None),
        }
    }

    /// Asks again every second, so that the camera is there right after it was approved; says so once.
    fn wait_for_approval(&mut self, now: Timestamp, own: Fingerprint) -> Result<(), Failure> {
        let text = format!("waiting for approval: on the server run  sdvr keys approve {own}");
        if self.config.once {
            return Err(Failure::Other(text));
        }
        if self.retry.is_first(&text) {
            warn!(server = %self.config.server, "{text}");
        }
        self.link = Link::Waiting {
            until: now + self.retry.wait(Some(APPROVAL_WAIT)),
        };
        Ok(())
    }

    /// Waits, then connects again; or gives up, if the user wants that.
    pub(super) fn try_again(
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
}

/// Remembers the key that the server has announced, to ask for it the next time. If that fails it is announced again then.
pub(super) fn remember_next_key(
    config: &Config,
    keys: &KeyDirectory,
    key: &PublicKey,
    next: &PublicKey,
) {
    let address = config.server.to_string();
    match KnownServers::new(keys).announce(&address, key, next) {
        Ok(true) => {
            info!(server = %address, fingerprint = %next.fingerprint(), "the server has announced another key, which takes over when a connection has proved it");
        }
        Ok(false) => {}
        Err(error) => warn!("the key that the server has announced was not remembered: {error}"),
    }
}
