//! What carries a session's messages: records of a byte stream, or datagrams.

use std::time::Duration;

use sdvr_frame::{StreamId, Timestamp};

use crate::datagram::{Advice, ArrivalLimits, DatagramLink, LATENCY};
use crate::epochs::{Chain, SendingKeys};
use crate::keys::TrafficSecret;
use crate::message::{Control, OpenStream, Report, StreamCode};
use crate::record::{RecordOpener, RecordSealer};

#[derive(Debug)]
pub(super) enum Carrier {
    Records(Box<Records>),
    Datagrams(Box<DatagramLink>),
}

/// Records: what is said arrives, once and in order.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) sealer: RecordSealer,
    pub(super) opener: RecordOpener,
    /// Control messages, not yet sealed.
    pub(super) outbox: Vec<u8>,
}

impl Carrier {
    /// Whether packets arrive as they were sent.
    pub(super) const fn keeps_order(&self) -> bool {
        matches!(self, Self::Records(_))
    }

    pub(super) const fn sending(&self) -> &SendingKeys {
        match self {
            Self::Records(records) => &records.sealer.keys,
            Self::Datagrams(link) => &link.sealer.keys,
        }
    }

    pub(super) const fn sending_mut(&mut self) -> &mut SendingKeys {
        match self {
            Self::Records(records) => &mut records.sealer.keys,
            Self::Datagrams(link) => &mut link.sealer.keys,
        }
    }

    pub(super) const fn receiving(&self) -> &Chain {
        match self {
            Self::Records(records) => &records.opener.chain,
            Self::Datagrams(link) => &link.opener.chain,
        }
    }

    /// What is received goes on in no other epoch until there is a fresh secret.
    pub(super) fn receive_no_other_epoch(&mut self) {
        match self {
            Self::Records(records) => records.opener.chain.await_fresh(),
            Self::Datagrams(link) => link.opener.await_fresh(),
        }
    }

    /// The next epoch of what is received begins with this secret.
    pub(super) fn receive_fresh(&mut self, secret: TrafficSecret) {
        match self {
            Self::Records(records) => records.opener.chain.set_fresh(secret),
            Self::Datagrams(link) => link.opener.set_fresh(secret),
        }
    }

    /// How many packets the other end has sealed, as far as they have arrived.
    pub(super) fn received_counter(&self) -> u64 {
        match self {
            Self::Records(records) => records.opener.counter(),
            Self::Datagrams(link) => link.opener.end_counter(),
        }
    }

    pub(super) fn queue(&mut self, message: &Control) {
        match self {
            Self::Records(records) => message.write(&mut records.outbox),
            Self::Datagrams(link) => link.queue(message),
        }
    }

    /// What waits to be said.
    pub(super) fn waiting_bytes(&self) -> usize {
        match self {
            Self::Records(records) => records.outbox.len(),
            Self::Datagrams(link) => link.waiting_bytes(),
        }
    }

    /// Server: a stream was answered.
    pub(super) fn stream_was_answered(&mut self, open: &OpenStream, code: StreamCode) {
        if let Self::Datagrams(link) = self {
            match code {
                StreamCode::Open => {
                    let is_inter_coded = open.format.fourcc.is_inter_coded();
                    link.open_stream(open.stream, arrival_limits(open), is_inter_coded);
                }
                _ => link.close_stream(open.stream),
            }
        }
    }

    /// Client: a stream is asked for, maybe in the place of one.
    pub(super) fn stream_is_asked_for(&mut self, open: &OpenStream) {
        if let Self::Datagrams(link) = self {
            link.begin_sending(open.stream, latency(open));
        }
    }

    /// A stream has ended, or is asked for anew.
    pub(super) fn stream_has_ended(&mut self, stream: StreamId) {
        if let Self::Datagrams(link) = self {
            link.close_stream(stream);
            link.forget_sent(stream);
        }
    }

    /// The session ends: frames that are on their way are not waited for.
    pub(super) fn session_ends(&mut self) {
        if let Self::Datagrams(link) = self {
            link.close_streams();
        }
    }

    /// Client: the server says what it has received.
    pub(super) fn handle_report(&mut self, report: &Report) {
        if let Self::Datagrams(link) = self {
            link.handle_report(report);
        }
    }

    /// Client: and how many datagrams that were. Gives of how many frames one should be sent from now on, if that has changed.
    pub(super) fn handle_received(&mut self, now: Timestamp, opened: u64) -> Option<Advice> {
        match self {
            Self::Records(_) => None,
            Self::Datagrams(link) => link.handle_received(now, opened),
        }
    }

    /// Client: a datagram of this length has arrived.
    pub(super) fn handle_probe_answer(&mut self, now: Timestamp, bytes: u16) {
        if let Self::Datagrams(link) = self {
            link.handle_probe_answer(now, bytes);
        }
    }

    /// Server: how many datagrams were opened.
    pub(super) const fn opened_datagrams(&self) -> Option<u64> {
        match self {
            Self::Records(_) => None,
            Self::Datagrams(link) => Some(link.opened),
        }
    }

    /// When it has something to do.
    pub(super) fn poll_timeout(&self) -> Timestamp {
        match self {
            Self::Records(_) => Timestamp::NEVER,
            Self::Datagrams(link) => link.poll_timeout(),
        }
    }
}

/// Frames that may be put together at once hold four times the largest one.
fn arrival_limits(open: &OpenStream) -> ArrivalLimits {
    let frame_most_bytes = u64::from(open.frame_kib).saturating_mul(1024);
    ArrivalLimits {
        frame_most_bytes,
        held_most_bytes: usize::try_from(frame_most_bytes.saturating_mul(4)).unwrap_or(usize::MAX),
        latency: latency(open),
    }
}

/// How long a frame of the stream may take beyond the quickest ones.
fn latency(open: &OpenStream) -> Duration {
    match open.latency_ms {
        0 => LATENCY,
        latency_ms => Duration::from_millis(latency_ms.into()),
    }
}
