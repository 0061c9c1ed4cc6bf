//! Whether pieces fit: the order of a stream's frames and of a frame's pieces, over a link that keeps order.

use sdvr_frame::{FrameNumber, StreamId};

use crate::error::SessionError;
use crate::media::MediaHeader;
use crate::message::OpenStream;

/// One open stream at the server.
#[derive(Debug)]
pub(crate) struct StreamOrder {
    pub(crate) stream: StreamId,
    frame_most_bytes: u64,
    last_number: Option<FrameNumber>,
    state: FrameState,
}

#[derive(Debug)]
enum FrameState {
    /// The next piece begins a frame.
    Between,
    /// The next piece goes on with this frame, at this offset.
    Inside {
        first: MediaHeader,
        next_offset: u64,
    },
}

impl StreamOrder {
    pub(crate) fn new(open: &OpenStream) -> Self {
        Self {
            stream: open.stream,
            frame_most_bytes: u64::from(open.frame_kib).saturating_mul(1024),
            last_number: None,
            state: FrameState::Between,
        }
    }

    /// Takes a piece of `bytes` bytes; gives how many frames are missing before its frame (0 for all but the first piece).
    pub(crate) fn accept(
        &mut self,
        header: &MediaHeader,
        bytes: usize,
    ) -> Result<u64, SessionError> {
        let bytes = bytes as u64;
        let end = u64::from(header.offset).saturating_add(bytes);
        if header.is_parity || (header.fragment_bytes, header.since) != (0, 0) {
            return Err(SessionError::Frame("a record has a fragment of a datagram"));
        }
        if bytes == 0
            || end > header.frame_bytes.into()
            || header.is_last != (end == u64::from(header.frame_bytes))
        {
            return Err(SessionError::Frame("a piece does not fit into its frame"));
        }
        let missed = match &self.state {
            FrameState::Between => self.begin(header)?,
            FrameState::Inside { first, next_offset } => {
                if !continues(first, header) || u64::from(header.offset) != *next_offset {
                    return Err(SessionError::Frame("a piece contradicts the first one"));
                }
                0
            }
        };
        self.state = if header.is_last {
            FrameState::Between
        } else {
            FrameState::Inside {
                first: *header,
                next_offset: end,
            }
        };
        Ok(missed)
    }

    fn begin(&mut self, header: &MediaHeader) -> Result<u64, SessionError> {
        if !header.is_first || header.offset != 0 {
            return Err(SessionError::Frame("a frame does not begin at its start"));
        }
        if u64::from(header.frame_bytes) > self.frame_most_bytes {
            return Err(SessionError::Frame(
                "it is larger than the stream announced",
            ));
        }
        let missed = match self.last_number {
            Some(last) => {
                let step = header.number.0.saturating_sub(last.0);
                step.checked_sub(1)
                    .ok_or(SessionError::Frame("its number does not grow"))?
            }
            None => 0,
        };
        self.last_number = Some(header.number);
        Ok(missed)
    }
}

fn continues(first: &MediaHeader, next: &MediaHeader) -> bool {
    !next.is_first
        && next.number == first.number
        && next.frame_bytes == first.frame_bytes
        && next.captured == first.captured
        && next.flags == first.flags
}
