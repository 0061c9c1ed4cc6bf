//! What can go wrong for a program that publishes.

use std::io;
use std::path::PathBuf;

use sdvr_frame::{FrameNumber, InvalidLabel, StreamLabel};
use sdvr_ring::{CreateError, DerivedDirectory, DerivedError, DirectoryError};

/// Why a stream or a frame cannot be published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The label is none.
    #[error("a stream cannot be called so: {0}")]
    Label(#[from] InvalidLabel),
    /// Another program of this user publishes under the label, and lives.
    #[error(
        "another program publishes {label} already (process {pid}); choose another label, or end that one"
    )]
    Busy {
        /// What was asked for.
        label: StreamLabel,
        /// The process that publishes, by its own count.
        pid: u32,
    },
    /// A camera has the label, be it there or lost.
    #[error("{label} is a camera's label; choose one of its own, such as {label}/derived")]
    OfCamera {
        /// What was asked for.
        label: StreamLabel,
    },
    /// The directory is another user's.
    #[error(
        "{path} belongs to user {owner}, and programs publish in a directory of their own user's ({own}); set SDVR_SHM_DIR to another, or not at all"
    )]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Whose it should be.
        own: u32,
    },
    /// Others could replace what is in the directory.
    #[error("{path} can be written by others (mode {mode:o}): chmod go-w {path}")]
    TooOpen {
        /// Which.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Another program of this user has begun to publish and does not go on.
    #[error(
        "another program is beginning to publish in {path} and does not come to an end; is it stopped?"
    )]
    Stuck {
        /// Where.
        path: PathBuf,
    },
    /// The directory or a file in it cannot be used.
    #[error("cannot publish in {path}: {error}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Shared memory is full.
    #[error(
        "shared memory is full: the ring of {label} needs {bytes} bytes, and {free_bytes} are free. Keep fewer frames (PublishOptions::frames), lower --memory of sdvrd, or make /dev/shm larger (mount -o remount,size=…; docker run --shm-size=…)"
    )]
    NoSpace {
        /// Whose ring.
        label: StreamLabel,
        /// What it needs.
        bytes: u64,
        /// What is free.
        free_bytes: u64,
    },
    /// A frame, or all that should be kept, is more than a ring can hold.
    #[error(
        "{bytes} bytes are more than a frame may have, which are 256 MiB, or more of them should be kept than a ring can hold"
    )]
    TooLarge {
        /// How many there are.
        bytes: u64,
    },
    /// A frame has no bytes.
    #[error("a frame has one byte at least")]
    Empty,
    /// What a decoder needs beforehand is more than there is room for.
    #[error("{bytes} bytes of extradata do not fit into a ring, which has room for 1024")]
    Extradata {
        /// How many there are.
        bytes: usize,
    },
    /// The numbers of a run grow, and this frame's does not.
    #[error("frame {number} cannot come after frame {last}: the numbers of a run grow")]
    NotLater {
        /// The frame's.
        number: FrameNumber,
        /// That of the last one published.
        last: FrameNumber,
    },
    /// The system gives no random numbers, by which runs are told apart.
    #[error("the system gives no random numbers: {0}")]
    Random(io::Error),
}

impl PublishError {
    pub(super) fn new(
        directory: &DerivedDirectory,
        label: &StreamLabel,
        error: DerivedError,
    ) -> Self {
        let path = directory.path().to_owned();
        let error = match error {
            DerivedError::Busy { label, pid } => return Self::Busy { label, pid },
            DerivedError::OfCamera { label } => return Self::OfCamera { label },
            DerivedError::Stuck { path } => return Self::Stuck { path },
            DerivedError::Io { path, error } => return Self::Io { path, error },
            DerivedError::Create(error) => error,
        };
        match error {
            CreateError::NoSpace { bytes, free_bytes } => Self::NoSpace {
                label: label.clone(),
                bytes,
                free_bytes,
            },
            CreateError::Extradata { bytes } => Self::Extradata { bytes },
            CreateError::Size { data_bytes, .. } => Self::TooLarge { bytes: data_bytes },
            CreateError::Io { step, error } => Self::Io {
                path,
                error: io::Error::new(error.kind(), format!("{error} ({step})")),
            },
        }
    }
}

impl From<DirectoryError> for PublishError {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Io { path, error } => Self::Io { path, error },
            DirectoryError::Foreign { path, owner, own } => Self::Foreign { path, owner, own },
            DirectoryError::TooOpen { path, mode } => Self::TooOpen { path, mode },
            // Only who locks a directory hears that.
            DirectoryError::Busy { path } => Self::Stuck { path },
        }
    }
}
