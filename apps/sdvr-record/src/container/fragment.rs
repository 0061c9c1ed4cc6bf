//! What is written at once.

use std::io::IoSlice;

/// What became of a frame that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Added {
    /// It is in the next fragment, or one soon after.
    Taken,
    /// It is in no file, as it has no bytes, or none but parameter sets that the file has.
    Empty,
    /// It is in no file, as no fragment can have a frame of more than a GiB.
    TooLarge,
}

/// Bytes that belong together: whoever has them all in the file has all their frames.
#[derive(Debug, Default)]
pub struct Fragment {
    frames: u64,
    pieces: Vec<Vec<u8>>,
    spare: Vec<Vec<u8>>,
}

impl Fragment {
    pub(crate) fn new(frames: u64, pieces: Vec<Vec<u8>>) -> Self {
        Self {
            frames,
            pieces,
            spare: Vec::new(),
        }
    }

    pub(super) fn with_spare(mut self, spare: Vec<Vec<u8>>) -> Self {
        self.spare.extend(spare);
        self
    }

    /// Whether there is nothing to be written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// How many frames are in it: the next ones of those that were added, in order.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// How long it is.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    /// Its bytes, in order.
    #[must_use]
    pub fn io_slices(&self) -> Vec<IoSlice<'_>> {
        self.pieces
            .iter()
            .map(|piece| IoSlice::new(piece))
            .collect()
    }

    /// Its bytes as one; copies them.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    /// Memory of frames that were added, to be used again, and perhaps of other things.
    #[must_use]
    pub fn into_buffers(self) -> Vec<Vec<u8>> {
        self.pieces.into_iter().chain(self.spare).collect()
    }
}
