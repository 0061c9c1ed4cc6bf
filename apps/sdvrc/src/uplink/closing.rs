//! Ending a session from this side: what was sent before still goes out, and the server confirms it.

use sdvr_frame::{FourCc, Timestamp};
use tracing::{info, warn};

use super::{Uplink, advance_streaming};
use crate::failure::Failure;
use crate::finish::Finish;
use crate::link::Link;
use crate::streaming::Ending;
use crate::waiting::Ready;

impl Uplink<'_> {
    /// Says the end to the server.
    pub(super) fn close(&mut self, now: Timestamp, finish: Finish) {
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
    pub(super) fn advance_finish(&mut self, now: Timestamp, ready: Ready) -> Result<bool, Failure> {
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
        let is_confirmed = match advance_streaming(streaming, announcement, now, ready) {
            Ok(()) if now < *until => {
                // What still goes out may take as long as it needs.
                if !matches!(finish, Finish::Interrupted) && !streaming.is_drained() {
                    *until = now + finish.time();
                }
                return Ok(false);
            }
            Ok(()) => false,
            Err(Ending::Said(close)) => close.code == finish.code(),
            Err(_) => false,
        };
        let unconfirmed = streaming.frames_unconfirmed();
        self.dropped.count(now, streaming.take_given_up());
        self.lost.count(now, streaming.take_lost());
        self.lost.take_back(streaming.take_found_again());
        // Over a connection the server has had all that came before the end; of datagrams it takes none after it.
        if is_confirmed && streaming.loses() {
            self.lost.count(now, unconfirmed);
        }
        let link = std::mem::replace(&mut self.link, Link::Waiting { until: now });
        let Link::Finishing { finish, .. } = link else {
            return Ok(false);
        };
        match finish {
            // Whoever interrupts does not want to wait, and knows it.
            Finish::Interrupted => Ok(true),
            Finish::SourceFailed(failure) => Err(failure),
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
            Finish::EndOfSource if !self.source.is_live() && self.lost.all() > 0 => {
                Err(Failure::Other(format!(
                    "{} frames of the source were lost on the way; over TCP (without -u) none are",
                    self.lost.all()
                )))
            }
            Finish::EndOfSource => Ok(true),
        }
    }

    /// A cut may have cost frames that this end had already sent.
    pub(super) fn may_have_lost(&mut self, frames: u64) {
        self.maybe_lost += frames;
        if frames > 0 {
            warn!(
                frames,
                "up to so many of the last frames may not have arrived"
            );
        }
    }

    /// The source cannot go on: what was sent before still goes out, and readers are told.
    pub(super) fn source_failed(
        &mut self,
        now: Timestamp,
        failure: Failure,
    ) -> Result<bool, Failure> {
        if !matches!(self.link, Link::Streaming(_)) {
            return Err(failure);
        }
        self.close(now, Finish::SourceFailed(failure));
        Ok(false)
    }

    /// The source has ended.
    pub(super) fn finish(&mut self, now: Timestamp) -> Result<bool, Failure> {
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
    pub(super) fn interrupt(&mut self, now: Timestamp) -> Result<bool, Failure> {
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

/// Says once what is wrong with a source's end.
fn warn_of_cut_off(bytes: usize, fourcc: Option<FourCc>) {
    if bytes > 0 {
        let format = fourcc.map_or_else(|| "frame".to_owned(), |fourcc| format!("{fourcc} frame"));
        warn!(
            bytes,
            "the source ends in the middle of a {format}, which was not sent"
        );
    }
}
