//! What a ring takes over from the one before it.
//!
//! The one before is read as by any reader, while its writer goes on: what the writer overwrites meanwhile is seen to be.

use std::sync::Arc;

use sdvr_frame::FrameFlags;

use crate::layout::{BYTES_WORD, FrameMeta, Geometry, LOST_WORD, RETRANSMITTED_WORD};
use crate::publisher::RunFigures;
use crate::shared_memory::Mapping;
use crate::slot::{self, load};

/// Key frames that a newer ring begins with: decoding can begin at once, with a whole interval before the one that runs.
const KEY_FRAMES: usize = 2;

/// Which frames a newer ring takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenOver {
    /// All that there are: the older ring had lost its name, and who let go of it finds there what came since.
    Everything,
    /// Those since the last key frame but one, or all that there are.
    LastIntervals,
    /// None, since they would not be what the newer ring says its frames are. Only the count goes on.
    Nothing,
}

/// A ring whose place a newer one takes.
#[derive(Clone, Debug)]
pub struct Predecessor {
    mapping: Arc<Mapping>,
    geometry: Geometry,
    taken_over: TakenOver,
}

impl Predecessor {
    pub(crate) const fn new(
        mapping: Arc<Mapping>,
        geometry: Geometry,
        taken_over: TakenOver,
    ) -> Self {
        Self {
            mapping,
            geometry,
            taken_over,
        }
    }

    pub(crate) fn head(&self) -> u64 {
        slot::head(self.mapping.words())
    }

    pub(crate) fn figures(&self) -> RunFigures {
        let control = self.mapping.words().control;
        RunFigures {
            lost: load(control, LOST_WORD),
            bytes: load(control, BYTES_WORD),
            retransmitted: load(control, RETRANSMITTED_WORD),
        }
    }

    /// The frame with which a newer ring begins that is made now. A search through what there is, at worst all slots.
    pub(crate) fn begin(&self) -> u64 {
        let mut begin = self.head();
        let mut keys = match self.taken_over {
            TakenOver::Everything => usize::MAX,
            TakenOver::LastIntervals => KEY_FRAMES,
            TakenOver::Nothing => 0,
        };
        while keys > 0
            && let Some(n) = begin.checked_sub(1)
            && let Ok(found) = slot::find(self.mapping.words(), self.geometry, n)
        {
            begin = n;
            keys -= usize::from(found.meta.flags.contains(FrameFlags::KEY));
        }
        begin
    }

    /// Copies frame `n`; `None` when it is not there any more, or is not to be taken over.
    pub(crate) fn read(&self, n: u64, bytes: &mut Vec<u8>) -> Option<FrameMeta> {
        if self.taken_over == TakenOver::Nothing {
            return None;
        }
        let words = self.mapping.words();
        let found = slot::find(words, self.geometry, n).ok()?;
        slot::frame_words(words, self.geometry, &found)
            .ok()?
            .copy_into(bytes);
        slot::check(words, &found).ok()?;
        Some(found.meta)
    }
}
