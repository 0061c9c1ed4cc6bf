//! A peer that owns its key and says anything.

use sdvr_frame::{FrameFlags, FrameNumber, StreamId};
use sdvr_session::for_tests::{Control, MediaHeader, keys_of};
use sdvr_session::{
    Close, CloseCode, Event, OpenStream, Report, Session, SessionError, SetupCode, SetupReply,
    StreamCode,
};

use super::{NOW, label, setup, stream, streaming};

/// What is said of a piece that is not within its frame.
pub(crate) const FITS: &str = "a piece does not fit into its frame";

/// A record of `from` with any content.
pub(crate) fn sealed(from: &mut Session, content: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    let (sealer, _) = keys_of(from).unwrap();
    sealer
        .seal(&mut record, content.len(), |out| {
            out.extend_from_slice(content);
        })
        .unwrap();
    record
}

/// What `to` makes of a record of `from` with any content: an error, or how many bytes of a frame.
pub(crate) fn say(
    from: &mut Session,
    to: &mut Session,
    content: &[u8],
) -> Result<Option<usize>, SessionError> {
    let mut record = sealed(from, content);
    let piece = to.handle_record(NOW, &mut record)?;
    Ok(piece.map(|piece| piece.bytes.len()))
}

/// What `to` makes of a copy of `record`.
pub(crate) fn hear(to: &mut Session, record: &[u8]) -> Result<(), SessionError> {
    to.handle_record(NOW, &mut record.to_vec()).map(|_| ())
}

pub(crate) fn bytes_of(message: &Control) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.write(&mut bytes);
    bytes
}

pub(crate) fn media(edit: impl FnOnce(&mut MediaHeader), piece: &[u8]) -> Vec<u8> {
    let facts = (FrameNumber(1), NOW, FrameFlags::KEY);
    let mut header = MediaHeader::whole(StreamId(0), facts, piece.len() as u32);
    edit(&mut header);
    let mut bytes = Vec::new();
    header.write(&mut bytes);
    bytes.extend_from_slice(piece);
    bytes
}

pub(crate) fn from_client() -> Vec<Control> {
    vec![
        Control::Ping(1),
        Control::Pong(2),
        Control::ClockReply {
            t1: 1,
            t2: 2,
            t3: 3,
        },
        Control::Setup(setup()),
        Control::OpenStream(OpenStream {
            label: Some(label()),
            ..stream()
        }),
        Control::CloseStream(StreamId(0)),
        Control::Seen(0),
        Control::Close(Close {
            code: CloseCode::EndOfSource,
            text: "the end".to_owned(),
        }),
    ]
}

pub(crate) fn from_server() -> Vec<Control> {
    vec![
        Control::Ping(1),
        Control::Pong(2),
        Control::ClockRequest { t1: 5 },
        Control::SetupReply(SetupReply {
            code: SetupCode::Accepted,
            retry_after_s: 0,
            in_the_way: [0; 32],
            label: label(),
        }),
        Control::StreamReply {
            stream: StreamId(0),
            code: StreamCode::Open,
        },
        Control::Report(Report::default()),
        Control::Seen(0),
        Control::Close(Close {
            code: CloseCode::Replaced,
            text: "a newer session".to_owned(),
        }),
    ]
}

/// Hands `content` to one end of a fresh or a used pair and takes out all that came of it.
pub(crate) struct Victim {
    pair: (Session, Session),
    is_server: bool,
    uses: u32,
}

impl Victim {
    pub(crate) fn new(is_server: bool) -> Self {
        Self {
            pair: streaming(true),
            is_server,
            uses: 0,
        }
    }

    pub(crate) fn hear(&mut self, content: &[u8]) -> Result<Option<usize>, SessionError> {
        let (client, server) = &mut self.pair;
        let (from, to) = if self.is_server {
            (client, server)
        } else {
            (server, client)
        };
        let heard = say(from, to, content);
        let mut has_closed = false;
        while let Some(event) = to.poll_event() {
            has_closed |= matches!(event, Event::Closed(_));
        }
        to.poll_transmit(NOW, &mut Vec::new()).unwrap();
        to.handle_timeout(NOW);
        self.uses += 1;
        if has_closed || self.uses == 500 {
            *self = Self::new(self.is_server);
        }
        heard
    }
}
