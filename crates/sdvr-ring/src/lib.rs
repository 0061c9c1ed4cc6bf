#![doc = include_str!("../LAYOUT.md")]
//!
//! # This crate
//!
//! The daemon makes a [`RingDirectory`] and in it a [`RingWriter`] a stream; a program that publishes what it makes opens a [`DerivedDirectory`]; programs find rings with [`search_directories`], [`list_rings`] and
//! [`RingWatch`] and read them with a [`RingReader`]. `unsafe` is in `shared_memory.rs` (the mapping) and `file_lock.rs` (OFD locks); all above is safe code over
//! atomic words.
#![deny(unsafe_code)]
#![cfg_attr(
    loom,
    allow(
        dead_code,
        reason = "the model checker runs the algorithms without files and system calls"
    )
)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!(
    "rings need 64-bit atomic loads from read-only memory, which 32-bit hosts do not have"
);

mod copy;
mod layout;
mod publisher;
mod slot;
mod sync;
mod wakeup;

#[cfg(not(loom))]
mod derived;
#[cfg(not(loom))]
mod directory;
#[cfg(not(loom))]
mod file_lock;
#[cfg(not(loom))]
mod folder;
#[cfg(not(loom))]
mod futex;
#[cfg(not(loom))]
mod name;
#[cfg(not(loom))]
mod new_ring;
#[cfg(not(loom))]
mod predecessor;
#[cfg(not(loom))]
mod reader;
#[cfg(not(loom))]
mod shared_memory;
#[cfg(not(loom))]
mod stale;
#[cfg(not(loom))]
mod statistics;
#[cfg(not(loom))]
mod wait_many;
#[cfg(not(loom))]
mod watch;
#[cfg(not(loom))]
mod writer;

pub use layout::{FRAME_MOST_BYTES, FrameMeta, Origin, RingInfo};
pub use slot::{FrameWords, ReadError};
pub use wakeup::Wait;
#[cfg(not(loom))]
pub use {
    derived::{DerivedDirectory, DerivedError, DerivedOptions},
    directory::{DirectoryError, RingDirectory, list_rings, open_directory, search_directories},
    name::RingName,
    new_ring::{CreateError, RingOptions},
    predecessor::{Predecessor, TakenOver},
    reader::{FutexWord, OpenError, RawFrame, RingReader},
    stale::{StaleRing, StaleRings},
    statistics::{Statistics, StatisticsError, StatisticsPage, read_statistics},
    wait_many::{Awaited, Doorbell, WAIT_MANY_MOST, wait_many},
    watch::RingWatch,
    writer::RingWriter,
};

#[cfg(all(loom, test))]
mod loom_model;
