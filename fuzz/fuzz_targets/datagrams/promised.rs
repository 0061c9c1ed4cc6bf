//! What a consumer has been promised: whole frames, in order, each once, and nothing in them that was not sent.

use std::collections::{BTreeMap, HashMap, HashSet};

use sdvr_frame::StreamId;
use sdvr_session::MediaFragment;
use sdvr_session::for_tests::{Control, MediaHeader};

const MEDIA_TYPE: u8 = 20;

/// What has come of a frame of a hostile client.
#[derive(Default)]
struct Heard {
    /// By its place, the bytes with which each fragment is filled, and how many.
    fragments: BTreeMap<usize, HashSet<Vec<u8>>>,
    /// Parity, by which any fragment may have come back.
    parity: HashSet<u32>,
}

#[derive(Default)]
pub(crate) struct Promised {
    last: HashMap<StreamId, u64>,
    heard: HashMap<(StreamId, u64), Heard>,
    sent: HashMap<u64, Vec<u8>>,
}

impl Promised {
    /// An honest client has sent it.
    pub(crate) fn was_sent(&mut self, number: u64, frame: Vec<u8>) {
        self.sent.insert(number, frame);
    }

    /// A hostile client has said this.
    pub(crate) fn hear(&mut self, content: &[u8]) {
        let mut messages = content;
        while messages.first().is_some_and(|kind| *kind != MEDIA_TYPE) {
            let Ok((_, rest)) = Control::parse(messages) else {
                return;
            };
            messages = rest;
        }
        let Ok((header, bytes)) = MediaHeader::parse(messages) else {
            return;
        };
        let heard = self
            .heard
            .entry((header.stream, header.number.0))
            .or_default();
        if header.is_parity {
            heard.parity.insert(header.offset);
        } else {
            let fragments = heard.fragments.entry(header.offset as usize).or_default();
            fragments.insert(bytes.to_vec());
        }
    }

    /// The stream begins anew.
    pub(crate) fn forget(&mut self, stream: StreamId) {
        self.last.remove(&stream);
        self.heard.retain(|(of, _), _| *of != stream);
    }

    /// A frame is published.
    pub(crate) fn take(&mut self, frame: &MediaFragment<'_>) {
        let (header, bytes) = (frame.header, frame.bytes);
        let number = header.number.0;
        assert!(header.is_first && header.is_last && header.offset == 0);
        assert_eq!(bytes.len(), header.frame_bytes as usize);
        let last = self.last.insert(header.stream, number);
        assert!(
            last.is_none_or(|last| last < number),
            "out of order, or twice"
        );
        let skipped = last.map_or(0, |last| number - last - 1);
        assert!(frame.lost <= frame.missed && frame.missed == skipped);
        if let Some(sent) = self.sent.get(&number) {
            assert!(bytes == sent.as_slice(), "frame {number} was altered");
            return;
        }
        let heard = self.heard.remove(&(header.stream, number));
        let heard = heard.expect("nothing of this frame was sent");
        let mut came = 0;
        for (offset, fragments) in &heard.fragments {
            let is_there = |fragment: &&Vec<u8>| {
                bytes.get(*offset..offset + fragment.len()) == Some(fragment.as_slice())
            };
            came += fragments.iter().find(is_there).map_or(0, Vec::len);
        }
        assert!(
            came == bytes.len() || !heard.parity.is_empty(),
            "{came} of {} bytes were sent",
            bytes.len()
        );
    }
}
