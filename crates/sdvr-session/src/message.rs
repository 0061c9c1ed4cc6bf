//! Control messages: everything in a record that is not picture.
//!
//! ```text
//! byte 0      1       2          4
//!      +------+-------+----------+--------
//!      | type | flags | length   | body
//!      +------+-------+----------+--------
//! ```

use sdvr_frame::{
    FourCc, FrameRate, InstanceId, Label, PublicKey, StreamFormat, StreamId, StreamKind,
};

use crate::codec::{Put, Reader};
use crate::datagram::FragmentRequest;
use crate::error::Malformed;

/// The most bytes of a stream's extradata.
pub(crate) const EXTRADATA_MOST_BYTES: usize = 1024;
/// Noise message 1 without a payload: the ephemeral key, the sealed static key, a tag.
pub(crate) const REKEY1_BYTES: usize = 32 + (32 + 16) + 16;
/// Noise message 2 without a payload: the ephemeral key, a tag.
pub(crate) const REKEY2_BYTES: usize = 32 + 16;
const CLOSE_TEXT_MOST_BYTES: usize = 128;
const HEADER_BYTES: usize = 4;

/// One control message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Asks for a [`Control::Pong`].
    Ping(u64),
    /// Answers a [`Control::Ping`].
    Pong(u64),
    /// The session ends.
    Close(Close),
    /// The server asks for the client's clock.
    ClockRequest {
        /// When it was sent, on the server's clock.
        t1: i64,
    },
    /// The client's answer.
    ClockReply {
        /// As asked.
        t1: i64,
        /// When the request arrived, on the client's clock.
        t2: i64,
        /// When this was sent, on the client's clock.
        t3: i64,
    },
    /// The client introduces itself.
    Setup(Setup),
    /// The server's decision.
    SetupReply(SetupReply),
    /// The client opens or replaces a stream.
    OpenStream(OpenStream),
    /// The client ends a stream.
    CloseStream(StreamId),
    /// The server's answer to [`Control::OpenStream`].
    StreamReply {
        /// Which.
        stream: StreamId,
        /// The answer.
        code: StreamCode,
    },
    /// What the server has received.
    Report(Report),
    /// The client begins a handshake for fresh keys: Noise message 1.
    Rekey1([u8; REKEY1_BYTES]),
    /// The server's part of it: Noise message 2.
    Rekey2([u8; REKEY2_BYTES]),
    /// How many records were opened, said when an epoch has begun.
    Seen(u64),
    /// The server announces the key that it has from now on.
    NextKey(PublicKey),
    /// The client announces the key that it will come with.
    NewId(PublicKey),
    /// The server's answer to [`Control::NewId`].
    NewIdReply {
        /// The key that was announced.
        key: PublicKey,
        /// The answer.
        code: NewIdCode,
    },
    /// Datagrams: asks whoever is at an address to say the same.
    PathChallenge([u8; 8]),
    /// Datagrams: the answer, from that address.
    PathResponse([u8; 8]),
    /// Datagrams: a numbered message, which is sent until it is acknowledged.
    Lane {
        /// Its number.
        number: u32,
        /// Any other message but a numbered one.
        message: Vec<u8>,
    },
    /// Datagrams: every numbered message before this number has arrived.
    LaneAck(u32),
    /// Datagrams: fragments that have not arrived are asked for.
    Nack {
        /// Of which stream.
        stream: StreamId,
        /// Which.
        requests: Vec<FragmentRequest>,
    },
    /// Datagrams: how many were opened in the session.
    Received(u64),
    /// Datagrams: a length is tried; the rest of the datagram is filled up.
    Probe(u16),
    /// Datagrams: one of this length has arrived.
    ProbeAck(u16),
    /// Datagrams: fills one up.
    Padding(u16),
    /// A frame is missing without which those that follow cannot be decoded: a key frame is wanted.
    RequestKeyframe(StreamId),
    /// Of a type that this version does not know; to be skipped.
    Unknown(u8),
}

/// Why a session ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// For programs.
    pub code: CloseCode,
    /// For people.
    pub text: String,
}

macro_rules! codes {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $number:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)*
            /// A code of a later version.
            Other(u16),
        }

        impl $name {
            fn number(self) -> u16 {
                match self {
                    $(Self::$variant => $number,)*
                    Self::Other(number) => number,
                }
            }

            fn from_number(number: u16) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    other => Self::Other(other),
                }
            }
        }
    };
}

codes! {
    /// The code of a [`Close`].
    CloseCode {
        /// The source has come to its end.
        EndOfSource = 0,
        /// A newer session of the same key took over.
        Replaced = 1,
        /// The other end broke the protocol.
        Protocol = 2,
        /// The program is shutting down.
        ShuttingDown = 3,
        /// Nothing was heard for too long.
        Idle = 4,
        /// The camera may not connect.
        Refused = 5,
        /// The keys have sealed as much as they should, and fresh ones did not come.
        KeysUsedUp = 6,
        /// The camera's key was revoked.
        Revoked = 7,
        /// Another host streams with the same key.
        Cloned = 8,
    }
}

codes! {
    /// The code of a [`SetupReply`].
    SetupCode {
        /// Frames may come.
        Accepted = 0,
        /// Another key holds the label.
        LabelTaken = 1,
        /// The key was revoked.
        Revoked = 2,
        /// The server could not record the new camera.
        StoreFailed = 3,
        /// Too many new cameras at once.
        TooManyNew = 4,
        /// The camera is new, and waits until somebody approves it.
        Pending = 5,
        /// The server takes no new cameras.
        Closed = 6,
        /// The camera has had another key for so long that this one is not good any more.
        KeyReplaced = 7,
    }
}

codes! {
    /// The code of the answer to [`OpenStream`].
    StreamCode {
        /// Frames may come.
        Open = 0,
        /// The server has no shared memory left.
        NoMemory = 1,
        /// The session has too many streams.
        TooManyStreams = 2,
        /// The frames would be larger than the server takes.
        FramesTooLarge = 3,
        /// Something failed at the server; its log says what.
        Internal = 4,
        /// The camera opens streams too often.
        TooOften = 5,
    }
}

codes! {
    /// The code of the answer to [`Control::NewId`].
    NewIdCode {
        /// The key is on the server's disk: the camera may come with it.
        Recorded = 0,
        /// The key is not this camera's to have, or this camera has come with a key that is not its current one.
        Refused = 1,
        /// Too many keys are announced; to be asked again later.
        TooOften = 2,
        /// The server could not record the key.
        StoreFailed = 3,
    }
}

/// How a client introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The label it would like to have.
    pub label: Label,
    /// Program and version, for people.
    pub program: String,
}

/// The server's decision on a camera.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupReply {
    /// The decision.
    pub code: SetupCode,
    /// When to try again, if it was no.
    pub retry_after_s: u32,
    /// The hash of the key of the camera that is in the way, or zero.
    pub in_the_way: [u8; 32],
    /// The camera's label as the server has it.
    pub label: Label,
}

/// What a client says of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenStream {
    /// Which.
    pub stream: StreamId,
    /// What it carries.
    pub kind: StreamKind,
    /// Which run of the source.
    pub instance: InstanceId,
    /// What its frames look like.
    pub format: StreamFormat,
    /// The most a frame has, in KiB.
    pub frame_kib: u32,
    /// The stream this one belongs to; itself if none.
    pub parent: StreamId,
    /// How long a frame may be waited for. Unused over TCP.
    pub latency_ms: u16,
    /// A name of its own, if it has one.
    pub label: Option<Label>,
    /// What a decoder needs beforehand: for YUV4MPEG2 the header line.
    pub extradata: Vec<u8>,
}

/// What the server has received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Records opened.
    pub highest_counter: u64,
    /// Frames published.
    pub frames_received: u64,
    /// Frames that were captured and did not arrive.
    pub frames_lost: u64,
    /// Variation of the way's duration.
    pub jitter_us: u32,
    /// What arrived lately.
    pub received_kbps: u32,
    /// The round trip, as the clock exchange measures it.
    pub round_trip_us: u32,
    /// Congestion marks. Unused over TCP.
    pub congestion_marks: u32,
}

impl Control {
    /// Whether it is only true for a moment. Over datagrams it is said once, and everything else until it is acknowledged.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Ping(_)
                | Self::Pong(_)
                | Self::PathChallenge(_)
                | Self::PathResponse(_)
                | Self::ClockRequest { .. }
                | Self::ClockReply { .. }
                | Self::LaneAck(_)
                | Self::Report(_)
                | Self::Nack { .. }
                | Self::Received(_)
                | Self::Probe(_)
                | Self::ProbeAck(_)
                | Self::Padding(_)
        )
    }

    /// Whether it means something only where packets are lost.
    pub(crate) const fn is_of_datagrams(&self) -> bool {
        matches!(
            self,
            Self::PathChallenge(_)
                | Self::PathResponse(_)
                | Self::Lane { .. }
                | Self::LaneAck(_)
                | Self::Nack { .. }
                | Self::Received(_)
                | Self::Padding(_)
                | Self::Probe(_)
                | Self::ProbeAck(_)
                | Self::RequestKeyframe(_)
        )
    }

    const fn number(&self) -> u8 {
        match self {
            Self::Ping(_) => 1,
            Self::Pong(_) => 2,
            Self::Close(_) => 3,
            Self::PathChallenge(_) => 4,
            Self::PathResponse(_) => 5,
            Self::Lane { .. } => 8,
            Self::LaneAck(_) => 9,
            Self::Nack { .. } => 31,
            Self::Received(_) => 33,
            Self::Probe(_) => 61,
            Self::ProbeAck(_) => 62,
            Self::Padding(_) => 60,
            Self::RequestKeyframe(_) => 40,
            Self::ClockRequest { .. } => 6,
            Self::ClockReply { .. } => 7,
            Self::Setup(_) => 10,
            Self::SetupReply(_) => 11,
            Self::OpenStream(_) => 13,
            Self::CloseStream(_) => 15,
            Self::StreamReply { .. } => 16,
            Self::Report(_) => 30,
            Self::Rekey1(_) => 52,
            Self::Rekey2(_) => 53,
            Self::Seen(_) => 54,
            Self::NextKey(_) => 50,
            Self::NewId(_) => 51,
            Self::NewIdReply { .. } => 55,
            Self::Unknown(number) => *number,
        }
    }

    /// Appends the message to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.put(&[self.number(), 0, 0, 0]);
        let body_start = out.len();
        self.write_body(out);
        let length = u16::try_from(out.len().saturating_sub(body_start)).unwrap_or(u16::MAX);
        let length_at = body_start.saturating_sub(2);
        if let Some(bytes) = out.get_mut(length_at..body_start) {
            bytes.copy_from_slice(&length.to_le_bytes());
        }
    }

    fn write_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ping(number)
            | Self::Pong(number)
            | Self::Seen(number)
            | Self::Received(number) => out.put_u64(*number),
            Self::PathChallenge(bytes) | Self::PathResponse(bytes) => out.put(bytes),
            Self::Lane { number, message } => {
                out.put_u32(*number);
                out.put(message);
            }
            Self::LaneAck(number) => out.put_u32(*number),
            Self::Nack { stream, requests } => {
                out.put_u16(stream.0);
                FragmentRequest::write_all(requests, out);
            }
            Self::Padding(bytes) => out.resize(out.len().saturating_add((*bytes).into()), 0),
            Self::RequestKeyframe(stream) => out.put_u16(stream.0),
            Self::Probe(bytes) | Self::ProbeAck(bytes) => out.put_u16(*bytes),
            Self::Close(close) => {
                out.put_u16(close.code.number());
                out.put(cut_text(&close.text, CLOSE_TEXT_MOST_BYTES).as_bytes());
            }
            Self::ClockRequest { t1 } => out.put_i64(*t1),
            Self::ClockReply { t1, t2, t3 } => {
                [t1, t2, t3].into_iter().for_each(|time| out.put_i64(*time))
            }
            Self::Setup(setup) => {
                out.put_short_text(setup.label.as_str());
                out.put_short_text(cut_text(&setup.program, 64));
            }
            Self::SetupReply(reply) => {
                out.put_u16(reply.code.number());
                out.put_u32(reply.retry_after_s);
                out.put(&reply.in_the_way);
                out.put_short_text(reply.label.as_str());
            }
            Self::OpenStream(open) => open.write(out),
            Self::CloseStream(stream) => out.put_u16(stream.0),
            Self::StreamReply { stream, code } => {
                out.put_u16(stream.0);
                out.put_u16(code.number());
            }
            Self::Report(report) => report.write(out),
            Self::Rekey1(noise) => out.put(noise),
            Self::Rekey2(noise) => out.put(noise),
            Self::NextKey(key) | Self::NewId(key) => out.put(&key.0),
            Self::NewIdReply { key, code } => {
                out.put(&key.0);
                out.put_u16(code.number());
            }
            Self::Unknown(_) => {}
        }
    }

    /// Parses the message that `messages` begins with, and gives what follows it.
    ///
    /// # Errors
    ///
    /// [`Malformed`] says what is wrong; the session ends.
    pub fn parse(messages: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let mut reader = Reader::new(messages);
        let [number, flags, low, high] = reader.array::<HEADER_BYTES>()?;
        let body = reader.take(u16::from_le_bytes([low, high]).into())?;
        let message = Self::parse_body(number, body)?;
        // Flags of a type that is not known are its own business.
        if flags != 0 && !matches!(message, Self::Unknown(_)) {
            return Err(Malformed::ReservedNotZero);
        }
        Ok((message, reader.rest()))
    }

    fn parse_body(number: u8, body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let message = match number {
            1 => Self::Ping(reader.u64()?),
            2 => Self::Pong(reader.u64()?),
            3 => {
                let code = CloseCode::from_number(reader.u16()?);
                let text = std::str::from_utf8(reader.rest()).map_err(|_| Malformed::Text)?;
                if text.len() > CLOSE_TEXT_MOST_BYTES {
                    return Err(Malformed::Length(text.len() as u64));
                }
                return Ok(Self::Close(Close {
                    code,
                    text: printable(text),
                }));
            }
            4 => Self::PathChallenge(reader.array()?),
            5 => Self::PathResponse(reader.array()?),
            8 => {
                let number = reader.u32()?;
                let message = reader.rest().to_vec();
                return Ok(Self::Lane { number, message });
            }
            9 => Self::LaneAck(reader.u32()?),
            31 => Self::Nack {
                stream: StreamId(reader.u16()?),
                requests: FragmentRequest::parse_all(&mut reader)?,
            },
            33 => Self::Received(reader.u64()?),
            40 => Self::RequestKeyframe(StreamId(reader.u16()?)),
            60 => {
                reader.zeros(body.len())?;
                Self::Padding(u16::try_from(body.len()).unwrap_or(u16::MAX))
            }
            61 => Self::Probe(reader.u16()?),
            62 => Self::ProbeAck(reader.u16()?),
            6 => Self::ClockRequest { t1: reader.i64()? },
            7 => Self::ClockReply {
                t1: reader.i64()?,
                t2: reader.i64()?,
                t3: reader.i64()?,
            },
            10 => Self::Setup(Setup {
                label: parse_label(reader.short_text()?)?,
                program: printable(reader.short_text()?),
            }),
            11 => Self::SetupReply(SetupReply {
                code: SetupCode::from_number(reader.u16()?),
                retry_after_s: reader.u32()?,
                in_the_way: reader.array()?,
                label: parse_label(reader.short_text()?)?,
            }),
            13 => Self::OpenStream(OpenStream::parse(&mut reader)?),
            15 => Self::CloseStream(StreamId(reader.u16()?)),
            16 => Self::StreamReply {
                stream: StreamId(reader.u16()?),
                code: StreamCode::from_number(reader.u16()?),
            },
            30 => Self::Report(Report::parse(&mut reader)?),
            52 => Self::Rekey1(reader.array()?),
            53 => Self::Rekey2(reader.array()?),
            54 => Self::Seen(reader.u64()?),
            50 => Self::NextKey(PublicKey(reader.array()?)),
            51 => Self::NewId(PublicKey(reader.array()?)),
            55 => Self::NewIdReply {
                key: PublicKey(reader.array()?),
                code: NewIdCode::from_number(reader.u16()?),
            },
            // Whatever a later version says in it; a known type with bytes after its body is malformed.
            unknown => return Ok(Self::Unknown(unknown)),
        };
        reader.end()?;
        Ok(message)
    }
}

impl OpenStream {
    fn write(&self, out: &mut Vec<u8>) {
        out.put_u16(self.stream.0);
        out.put_u8(self.kind.number());
        out.put_u8(0);
        out.put(&self.instance.0);
        out.put(&self.format.fourcc.0);
        out.put_u32(self.format.width);
        out.put_u32(self.format.height);
        out.put_u32(self.format.rate.numerator);
        out.put_u32(self.format.rate.denominator);
        out.put_u32(self.frame_kib);
        out.put_u16(self.parent.0);
        out.put_u16(self.latency_ms);
        out.put_short_text(self.label.as_ref().map_or("", Label::as_str));
        let extradata = self
            .extradata
            .get(..EXTRADATA_MOST_BYTES)
            .unwrap_or(&self.extradata);
        out.put_u16(u16::try_from(extradata.len()).unwrap_or(0));
        out.put(extradata);
    }

    fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let stream = StreamId(reader.u16()?);
        let kind = reader.u8()?;
        let kind = StreamKind::from_number(kind).ok_or_else(|| Malformed::Number(kind.into()))?;
        reader.zeros(1)?;
        let instance = InstanceId(reader.array()?);
        let fourcc = FourCc(reader.array()?);
        let (width, height) = (reader.u32()?, reader.u32()?);
        let rate = FrameRate::new(reader.u32()?, reader.u32()?).ok_or(Malformed::Number(0))?;
        let frame_kib = reader.u32()?;
        let parent = StreamId(reader.u16()?);
        let latency_ms = reader.u16()?;
        let label = match reader.short_text()? {
            "" => None,
            text => Some(parse_label(text)?),
        };
        let extradata_bytes = usize::from(reader.u16()?);
        if extradata_bytes > EXTRADATA_MOST_BYTES {
            return Err(Malformed::Length(extradata_bytes as u64));
        }
        let extradata = reader.take(extradata_bytes)?.to_vec();
        let format = StreamFormat {
            fourcc,
            width,
            height,
            rate,
        };
        Ok(Self {
            stream,
            kind,
            instance,
            format,
            frame_kib,
            parent,
            latency_ms,
            label,
            extradata,
        })
    }
}

impl Report {
    fn write(&self, out: &mut Vec<u8>) {
        [self.highest_counter, self.frames_received, self.frames_lost]
            .into_iter()
            .for_each(|number| out.put_u64(number));
        [
            self.jitter_us,
            self.received_kbps,
            self.round_trip_us,
            self.congestion_marks,
        ]
        .into_iter()
        .for_each(|number| out.put_u32(number));
    }

    fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            highest_counter: reader.u64()?,
            frames_received: reader.u64()?,
            frames_lost: reader.u64()?,
            jitter_us: reader.u32()?,
            received_kbps: reader.u32()?,
            round_trip_us: reader.u32()?,
            congestion_marks: reader.u32()?,
        })
    }
}

fn parse_label(text: &str) -> Result<Label, Malformed> {
    text.parse().map_err(|_| Malformed::Text)
}

/// A peer's text as it may go to a terminal: no control characters.
fn printable(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                '?'
            } else {
                character
            }
        })
        .collect()
}

fn cut_text(text: &str, most_bytes: usize) -> &str {
    let end = (0..=most_bytes.min(text.len()))
        .rev()
        .find(|&end| text.is_char_boundary(end))
        .unwrap_or(0);
    text.get(..end).unwrap_or("")
}
