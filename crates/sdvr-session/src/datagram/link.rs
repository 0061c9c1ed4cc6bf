//! What a session over datagrams keeps besides its conversation: keys with explicit counters, the lane of control messages, frames on their
//! way out and in.

use std::collections::VecDeque;
use std::time::Duration;

use sdvr_frame::{StreamId, Timestamp};

use super::arrivals::{ArrivalLimits, Arrivals};
use super::breaker::{Advice, Breaker, SendTimes};
use super::gaps::RoundTrip;
use super::held::ReassemblyBudget;
use super::lane::{LaneReceiver, LaneSender};
use super::mtu::DatagramLength;
use super::pace::Pace;
use super::parity::Parity;
use super::partial::FrameFacts;
use super::sealed::{DATAGRAM_OVERHEAD_BYTES, DatagramOpener, DatagramSealer};
use super::sent::{Fragment, Part, SentFrames};
use crate::error::SessionError;
use crate::key_limits::KeyLimits;
use crate::media::{MEDIA_HEADER_BYTES, MediaHeader};
use crate::message::{Control, Report};
use crate::session::DatagramFigures;

/// Before a round trip was measured.
const ROUND_TRIP_AT_FIRST: Duration = Duration::from_millis(100);
/// How long a frame may take beyond the quickest ones, if the stream does not say.
pub(crate) const LATENCY: Duration = Duration::from_millis(120);
/// What a lane message has around it: its own header, and that of the lane.
const LANE_OVERHEAD_BYTES: usize = 8;

/// Everything of a session that depends on datagrams being lost.
#[derive(Debug)]
pub(crate) struct DatagramLink {
    pub(crate) sealer: DatagramSealer,
    pub(crate) opener: DatagramOpener,
    pub(crate) lane: LaneSender,
    pub(crate) heard: LaneReceiver,
    /// Messages that are only true for a moment.
    passing: VecDeque<Vec<u8>>,
    length: DatagramLength,
    pub(crate) round_trip: RoundTrip,
    /// Datagrams opened.
    pub(crate) opened: u64,
    /// And not opened.
    pub(crate) rejected: u64,
    /// Client: the highest counter that the server has reported.
    reported: u64,
    /// Client: the one before that, and how many datagrams the server had opened then.
    told: (u64, u64),
    /// Client: when its datagrams were sent.
    send_times: SendTimes,
    breaker: Breaker,
    /// Server: in which the frames of streams that are opened count.
    pub(crate) budget: ReassemblyBudget,
    /// Client: how much parity frames have from now on.
    pub(crate) parity_percent: u8,
    /// Client: its streams.
    outgoing: Vec<Outgoing>,
    /// Server: the streams that are open.
    arrivals: Vec<Incoming>,
}

/// A stream at its receiver.
#[derive(Debug)]
struct Incoming {
    stream: StreamId,
    arrivals: Arrivals,
    /// When a key frame was asked for last, of a stream whose frames need each other.
    key_frame_asked: Option<Timestamp>,
    is_inter_coded: bool,
}

/// A stream at its sender.
#[derive(Debug)]
struct Outgoing {
    stream: StreamId,
    frames: SentFrames,
    pace: Pace,
}

impl DatagramLink {
    pub(crate) fn new(
        sealer: DatagramSealer,
        opener: DatagramOpener,
        most_datagram_bytes: u16,
    ) -> Self {
        Self {
            sealer,
            opener,
            lane: LaneSender::default(),
            heard: LaneReceiver::default(),
            passing: VecDeque::new(),
            length: DatagramLength::new(most_datagram_bytes),
            round_trip: RoundTrip {
                time: ROUND_TRIP_AT_FIRST,
                spread: Duration::ZERO,
            },
            opened: 0,
            rejected: 0,
            reported: 0,
            told: (0, 0),
            send_times: SendTimes::default(),
            breaker: Breaker::new(),
            budget: ReassemblyBudget::default(),
            parity_percent: 0,
            outgoing: Vec::new(),
            arrivals: Vec::new(),
        }
    }

    /// Takes a message to be said.
    pub(crate) fn queue(&mut self, message: &Control) {
        let mut bytes = Vec::new();
        message.write(&mut bytes);
        if message.is_passing() {
            self.passing.push_back(bytes);
        } else {
            self.lane.push(bytes);
        }
    }

    /// What waits to be said.
    pub(crate) fn waiting_bytes(&self) -> usize {
        let passing: usize = self.passing.iter().map(Vec::len).sum();
        passing.saturating_add(self.lane.held_bytes())
    }

    /// The room for messages in a datagram.
    fn room(&self) -> usize {
        usize::from(self.length.bytes()).saturating_sub(DATAGRAM_OVERHEAD_BYTES)
    }

    /// The length of a frame's fragments: rounded down, so that no two of them share a word.
    pub(crate) fn fragment_bytes(&self) -> u16 {
        let room = self.room().saturating_sub(MEDIA_HEADER_BYTES);
        u16::try_from(room & !7).unwrap_or(0)
    }

    /// Appends one datagram to `out`, if there is something to say now. Longer ones than are sure to arrive are tried if `may_probe`.
    pub(crate) fn poll_datagram(
        &mut self,
        now: Timestamp,
        limits: &KeyLimits,
        may_probe: bool,
        out: &mut Vec<u8>,
    ) -> Result<bool, SessionError> {
        let mut messages = self.poll_messages(now);
        if messages.is_empty() && may_probe {
            messages = self.poll_probe(now);
        }
        if !messages.is_empty() {
            self.sealer.keys.renew_if_due(now, limits)?;
            self.sealer
                .seal(out, |out| out.extend_from_slice(&messages))?;
            return Ok(true);
        }
        let mut outgoing = self.outgoing.iter_mut();
        let Some(fragment) = outgoing.find_map(|outgoing| outgoing.poll(now)) else {
            return Ok(false);
        };
        self.sealer.keys.renew_if_due(now, limits)?;
        let counter = self.sealer.seal(out, |out| {
            media_header(&fragment).write(out);
            out.extend_from_slice(fragment.bytes);
        })?;
        self.send_times.handle_sent(now, counter);
        Ok(true)
    }

    /// A probe that fills its datagram.
    fn poll_probe(&mut self, now: Timestamp) -> Vec<u8> {
        let mut messages = Vec::new();
        if let Some(bytes) = self.length.poll(now, self.round_trip.time) {
            Control::Probe(bytes).write(&mut messages);
            let header_bytes = messages.len().saturating_sub(2);
            let used = messages
                .len()
                .saturating_add(header_bytes)
                .saturating_add(DATAGRAM_OVERHEAD_BYTES);
            let padding = usize::from(bytes).saturating_sub(used);
            Control::Padding(u16::try_from(padding).unwrap_or(0)).write(&mut messages);
        }
        messages
    }

    /// Client: a datagram of this length has arrived.
    pub(crate) fn handle_probe_answer(&mut self, now: Timestamp, bytes: u16) {
        self.length.handle_answer(now, bytes);
    }

    /// As many messages as there are and fit.
    fn poll_messages(&mut self, now: Timestamp) -> Vec<u8> {
        let mut messages = Vec::new();
        if let Some(next) = self.heard.poll_acknowledgement() {
            Control::LaneAck(next).write(&mut messages);
        }
        let room = self.room();
        let fits = |messages: &Vec<u8>, more: usize| {
            messages.is_empty() || messages.len().saturating_add(more) <= room
        };
        while let Some(message) = self.passing.front()
            && fits(&messages, message.len())
        {
            messages.extend_from_slice(message);
            self.passing.pop_front();
        }
        while let Some(bytes) = self.lane.due_bytes(now)
            && fits(&messages, bytes.saturating_add(LANE_OVERHEAD_BYTES))
            && let Some((number, message)) = self.lane.poll(now, self.round_trip.time)
        {
            let message = message.to_vec();
            Control::Lane { number, message }.write(&mut messages);
        }
        messages
    }

    /// Client: whether the last frame of the stream has left.
    pub(crate) fn is_sending(&self, stream: StreamId) -> bool {
        self.outgoing
            .iter()
            .any(|outgoing| outgoing.stream == stream && outgoing.frames.is_sending())
    }

    /// Client: sends a frame, unless the one before has not left.
    pub(crate) fn send_frame(&mut self, now: Timestamp, facts: FrameFacts, bytes: Vec<u8>) {
        let stream = facts.stream;
        let place = self
            .outgoing
            .iter()
            .position(|outgoing| outgoing.stream == stream);
        let place = place.unwrap_or_else(|| self.begin_sending(stream, LATENCY));
        if let Some(Outgoing { frames, pace, .. }) = self.outgoing.get_mut(place)
            && !frames.is_sending()
        {
            let parity = Parity::of(&facts, &bytes, self.parity_percent);
            let parities = parity.as_ref().map_or(0, Parity::count);
            let fragments = facts.fragments().saturating_add(parities);
            pace.begin(now, fragments, facts.fragment_bytes);
            frames.push(now, facts, bytes, parity);
        }
    }

    /// Client: the stream is opened: what was sent of it before is not asked for any more, and frames are asked for until they are as old
    /// as the latency. Gives its place.
    pub(crate) fn begin_sending(&mut self, stream: StreamId, latency: Duration) -> usize {
        self.forget_sent(stream);
        self.outgoing.push(Outgoing {
            stream,
            frames: SentFrames::new(latency, KEPT_MOST_BYTES),
            pace: Pace::new(),
        });
        self.outgoing.len().saturating_sub(1)
    }

    /// Client: the server says what it has received.
    pub(crate) fn handle_report(&mut self, report: &Report) {
        self.reported = report.highest_counter.max(self.reported);
        // It says 0 until it has measured one.
        if report.round_trip_us > 0 {
            self.round_trip.time = Duration::from_micros(report.round_trip_us.into());
        }
    }

    /// Client: that were so many datagrams, of those up to the counter of the report that came with it. Gives what is
    /// to be done about it.
    pub(crate) fn handle_received(&mut self, now: Timestamp, opened: u64) -> Option<Advice> {
        let (counter, opened_before) = self.told;
        let sent = self.reported.saturating_sub(counter);
        let lost = sent.saturating_sub(opened.saturating_sub(opened_before));
        self.told = (self.reported, opened.max(opened_before));
        if self.length.handle_losses(now, lost, sent) {
            self.breaker.begin_anew();
            return Some(Advice::SendShorter);
        }
        if sent == 0 {
            return None;
        }
        let next = self.sealer.keys.counter();
        for outgoing in &mut self.outgoing {
            let numbers = counter..self.reported;
            outgoing.pace.handle_losses(lost, numbers, next);
        }
        let delay = self.send_times.delay(now, self.reported);
        self.breaker
            .handle_report(now, (lost, sent), delay)
            .map(Advice::KeepOneIn)
    }

    /// Client: the stream ends: what was sent of it is not asked for any more.
    pub(crate) fn forget_sent(&mut self, stream: StreamId) {
        self.outgoing.retain(|outgoing| outgoing.stream != stream);
    }

    /// Client: the server asks for fragments.
    pub(crate) fn handle_requests(
        &mut self,
        now: Timestamp,
        stream: StreamId,
        requests: &[super::FragmentRequest],
    ) {
        let round_trip = self.round_trip.time;
        for outgoing in &mut self.outgoing {
            if outgoing.stream == stream {
                for request in requests {
                    outgoing.frames.handle_request(now, request, round_trip);
                }
            }
        }
    }

    /// Server: frames of the stream are taken from now on.
    pub(crate) fn open_stream(
        &mut self,
        stream: StreamId,
        limits: ArrivalLimits,
        is_inter_coded: bool,
    ) {
        self.close_stream(stream);
        self.arrivals.push(Incoming {
            stream,
            arrivals: Arrivals::new(limits, &self.budget),
            key_frame_asked: None,
            is_inter_coded,
        });
    }

    /// Server: and not any more.
    pub(crate) fn close_stream(&mut self, stream: StreamId) {
        self.arrivals.retain(|incoming| incoming.stream != stream);
    }

    /// Server: and none of any stream: the session ends, and nobody takes them.
    pub(crate) fn close_streams(&mut self) {
        self.arrivals.clear();
    }

    /// Server: the stream's frames on their way.
    pub(crate) fn arrivals(&mut self, stream: StreamId) -> Option<&mut Arrivals> {
        let mut arrivals = self.arrivals.iter_mut();
        arrivals
            .find(|incoming| incoming.stream == stream)
            .map(|incoming| &mut incoming.arrivals)
    }

    /// Server: of all streams.
    pub(crate) fn all_arrivals(&mut self) -> impl Iterator<Item = &mut Arrivals> {
        self.arrivals
            .iter_mut()
            .map(|incoming| &mut incoming.arrivals)
    }

    pub(crate) fn figures(&self) -> DatagramFigures {
        let sum = |of: fn(&Arrivals) -> u64| {
            let arrivals = self.arrivals.iter();
            arrivals.map(|incoming| of(&incoming.arrivals)).sum()
        };
        DatagramFigures {
            opened: self.opened,
            rejected: self.rejected,
            late: sum(Arrivals::late),
            given_up: sum(Arrivals::given_up),
            restored: sum(Arrivals::restored),
        }
    }

    /// Server: asks for what is missing.
    pub(crate) fn ask(&mut self, now: Timestamp) {
        let newest = self.opener.end_counter();
        for incoming in &mut self.arrivals {
            let stream = incoming.stream;
            if incoming.wants_key_frame(now) {
                let mut message = Vec::new();
                Control::RequestKeyframe(stream).write(&mut message);
                self.lane.push(message);
            }
            let arrivals = &mut incoming.arrivals;
            let requests = arrivals.poll_requests(now, newest, self.round_trip);
            for requests in requests.chunks(super::request::REQUESTS_MOST) {
                let mut bytes = Vec::new();
                let requests = requests.to_vec();
                Control::Nack { stream, requests }.write(&mut bytes);
                self.passing.push_back(bytes);
            }
        }
    }

    /// When there is something to do if nothing arrives before.
    pub(crate) fn poll_timeout(&self) -> Timestamp {
        let newest = self.opener.end_counter();
        let arrivals = self
            .arrivals
            .iter()
            .map(|incoming| incoming.arrivals.poll_timeout(newest, self.round_trip));
        let paces = self.outgoing.iter().map(|outgoing| outgoing.pace.due());
        arrivals
            .chain(paces)
            .chain([self.lane.poll_timeout(), self.opener.poll_timeout()])
            .min()
            .unwrap_or(Timestamp::NEVER)
    }
}

impl Outgoing {
    /// The next fragment that may leave now.
    fn poll(&mut self, now: Timestamp) -> Option<Fragment<'_>> {
        if self.frames.has_again(now) {
            return self.frames.poll_again(now);
        }
        if self.pace.due() > now {
            return None;
        }
        let first = self.frames.poll_first()?;
        self.pace.left();
        Some(first)
    }
}

impl Incoming {
    /// Whether a key frame is to be asked for now; it counts as asked for.
    fn wants_key_frame(&mut self, now: Timestamp) -> bool {
        let wants = self.is_inter_coded
            && self.arrivals.needed_is_missing()
            && self
                .key_frame_asked
                .is_none_or(|asked| now >= asked + KEY_FRAME_ASKED_AGAIN);
        if wants {
            self.key_frame_asked = Some(now);
        }
        wants
    }
}

/// How often a key frame is asked for.
const KEY_FRAME_ASKED_AGAIN: Duration = Duration::from_millis(500);

/// What a stream's sent frames may take.
const KEPT_MOST_BYTES: usize = 64 << 20;

pub(super) fn media_header(fragment: &Fragment) -> MediaHeader {
    let facts = &fragment.facts;
    let (is_first, is_last, is_parity) = match fragment.part {
        Part::Own(number) => (
            number == 0,
            number.saturating_add(1) == facts.fragments(),
            false,
        ),
        Part::Parity(_) => (false, false, true),
    };
    MediaHeader {
        stream: facts.stream,
        frame_bytes: facts.frame_bytes,
        number: facts.number,
        captured: facts.captured,
        flags: facts.flags,
        is_first,
        is_last,
        is_parity,
        offset: fragment.offset(),
        fragment_bytes: facts.fragment_bytes,
        since: fragment.since,
    }
}

/// The messages in which a frame is sent, for tests.
pub(crate) fn fragments_of(header: &MediaHeader, frame: &[u8], parity_percent: u8) -> Vec<Vec<u8>> {
    let facts = FrameFacts::of(header);
    let mut frames = SentFrames::new(LATENCY, KEPT_MOST_BYTES);
    let parity = Parity::of(&facts, frame, parity_percent);
    frames.push(
        Timestamp::from_nanoseconds(0),
        facts,
        frame.to_vec(),
        parity,
    );
    std::iter::from_fn(|| {
        let fragment = frames.poll_first()?;
        let mut message = Vec::new();
        media_header(&fragment).write(&mut message);
        message.extend_from_slice(fragment.bytes);
        Some(message)
    })
    .collect()
}
