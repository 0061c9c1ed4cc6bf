//! Copying between a ring's words and private memory. LAYOUT.md, "What may race".

use std::mem::MaybeUninit;

use crate::layout::WORD_BYTES;
use crate::sync::{AtomicU64, Ordering};

#[cfg(all(target_arch = "x86_64", not(loom)))]
pub(crate) use crate::shared_memory::{load_words, store_words};
#[cfg(not(all(target_arch = "x86_64", not(loom))))]
#[cfg_attr(loom, allow(unused_imports, reason = "the model reads word by word"))]
pub(crate) use {load_each as load_words, store_each as store_words};

/// A word of private memory that need not have been written before.
pub(crate) type PrivateWord = [MaybeUninit<u8>; WORD_BYTES];

/// Stores `from` into the first words of `to`, as far as both reach.
pub(crate) fn store_each(to: &[AtomicU64], from: &[[u8; WORD_BYTES]]) {
    for (word, bytes) in to.iter().zip(from) {
        // W2. Relaxed: F1 orders it after the announcement, W5 before the frame is seen.
        word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
    }
}

/// Loads the first words of `from` into `to`, as far as both reach.
pub(crate) fn load_each(from: &[AtomicU64], to: &mut [PrivateWord]) {
    for (bytes, word) in to.iter_mut().zip(from) {
        // R4. Relaxed: F3 follows.
        *bytes = word
            .load(Ordering::Relaxed)
            .to_ne_bytes()
            .map(MaybeUninit::new);
    }
}
