//! Rings of programs that publish what they make, beside the cameras' and their daemon.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat};
use rustix::io::Errno;
use sdvr_frame::{InstanceId, StreamFormat, StreamId, StreamKind, StreamLabel};

use crate::directory::{DirectoryError, list_rings, search_directories};
use crate::file_lock;
use crate::folder::{Folder, OpenedFolder, Readers};
use crate::layout::Origin;
use crate::name::{RingName, UNFINISHED_DERIVED_PREFIX};
use crate::new_ring::{CreateError, NewRing};
use crate::predecessor::TakenOver;
use crate::reader::{OpenError, RingReader};
use crate::stale::{self, StaleRings};
use crate::writer::RingWriter;

const LOCK_NAME: &str = ".publishers";
/// Making a ring and removing others takes milliseconds; who takes longer was stopped.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// What a derived ring is for.
#[derive(Clone, Debug)]
pub struct DerivedOptions {
    /// What it is called.
    pub label: StreamLabel,
    /// The stream that it is made of, if it is made of one.
    pub source: Option<StreamLabel>,
    /// What it carries.
    pub kind: StreamKind,
    /// Which run.
    pub instance: InstanceId,
    /// What its frames look like.
    pub format: StreamFormat,
    /// What a decoder needs beforehand, at most 1,024 bytes.
    pub extradata: Vec<u8>,
    /// Frames to hold at most; rounded up to a power of two.
    pub slots: u32,
    /// Bytes for frames; rounded up to a power of two.
    pub data_bytes: u64,
}

impl From<DerivedOptions> for NewRing {
    fn from(options: DerivedOptions) -> Self {
        Self {
            origin: Origin::Derived {
                source: options.source,
            },
            label: options.label,
            stream: StreamId(0),
            kind: options.kind,
            instance: options.instance,
            format: options.format,
            extradata: options.extradata,
            link: None,
            slots: options.slots,
            data_bytes: options.data_bytes,
        }
    }
}

/// Why a derived ring could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DerivedError {
    /// Another program publishes under the label, and lives.
    #[error("{label} is published by another program already (process {pid})")]
    Busy {
        /// What was asked for.
        label: StreamLabel,
        /// The process that made its ring, as far as that is in the same container.
        pid: u32,
    },
    /// A camera has the label.
    #[error("{label} is a camera's label; give it one of its own, such as {label}/derived")]
    OfCamera {
        /// What was asked for.
        label: StreamLabel,
    },
    /// Another publisher has begun to make a ring and does not go on.
    #[error(
        "another program is making a ring in {path} and has not come to an end; is it stopped? It holds {path}/{LOCK_NAME}"
    )]
    Stuck {
        /// Where.
        path: PathBuf,
    },
    /// The directory cannot be read or changed.
    #[error("cannot publish in {path}: {error}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// There is no room, or no such ring.
    #[error(transparent)]
    Create(#[from] CreateError),
}

/// The directory in which this user's programs publish, be a daemon there or not. Not locked.
///
/// ```
/// use std::os::fd::AsFd;
///
/// use sdvr_frame::{FourCc, FrameRate, InstanceId, StreamFormat, StreamKind};
/// use sdvr_ring::{DerivedDirectory, DerivedOptions, RingReader};
///
/// # let folder = tempfile::tempdir_in("/dev/shm")?;
/// # let path = folder.path().join("rings");
/// let directory = DerivedDirectory::join(&path)?;
/// let (writer, _) = directory.create(DerivedOptions {
///     label: "front-door/people".parse()?,
///     source: Some("front-door".parse()?),
///     kind: StreamKind::Metadata,
///     instance: InstanceId([1; 16]),
///     format: StreamFormat { fourcc: FourCc(*b"JSON"), width: 0, height: 0, rate: FrameRate::from_whole(30) },
///     extradata: Vec::new(),
///     slots: 64,
///     data_bytes: 1 << 18,
/// })?;
/// let reader = RingReader::open(directory.as_fd(), writer.name())?;
/// assert!(reader.info().origin.is_derived() && reader.writer_lives());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DerivedDirectory {
    folder: Folder,
}

impl DerivedDirectory {
    /// Makes or opens the directory, and checks that it is this user's alone to write.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`], but never that it is busy.
    pub fn join(path: &Path) -> Result<Self, DirectoryError> {
        let OpenedFolder { mut folder, is_new } = Folder::open(path)?;
        let io_error = |error: Errno| DirectoryError::Io {
            path: path.to_owned(),
            error: error.into(),
        };
        if is_new {
            // The umask may have taken away more than was meant.
            rustix::fs::fchmod(&folder, Mode::from_raw_mode(0o750)).map_err(io_error)?;
        }
        let group = rustix::fs::fstat(&folder).map_err(io_error)?.st_gid;
        if group != rustix::process::getegid().as_raw() {
            folder.set_readers(Readers::GroupOfDirectory(Gid::from_raw(group)));
        }
        Ok(Self { folder })
    }

    /// Where this user's programs publish: what `SDVR_SHM_DIR` says, else this user's directory under `/dev/shm`.
    #[must_use]
    pub fn usual_path() -> PathBuf {
        search_directories().into_iter().next().unwrap_or_default()
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes the ring of a stream that nobody publishes, and ends all derived rings whose programs are gone, which are given as
    /// [`crate::RingDirectory::remove_stale_rings`] gives them.
    ///
    /// # Errors
    ///
    /// [`DerivedError`]; nothing is left behind.
    pub fn create(
        &self,
        options: DerivedOptions,
    ) -> Result<(RingWriter, StaleRings), DerivedError> {
        let (_lock, stale) = self.claim(&options.label)?;
        let ring = RingWriter::create_in(&self.folder, options.into(), None)?;
        Ok((ring, stale))
    }

    /// Makes a ring in the place of `present`, which is of the same label: a newer generation of its run that takes over what is said, or,
    /// without that, a new run. The caller then tells the present one that it [was replaced](RingWriter::was_replaced).
    ///
    /// # Errors
    ///
    /// [`DerivedError`]; the present one is still there. That it is busy can only be if somebody has removed the present one's file.
    pub fn replace(
        &self,
        present: &RingWriter,
        options: DerivedOptions,
        taken_over: Option<TakenOver>,
    ) -> Result<RingWriter, DerivedError> {
        // While the present one has its name, nobody else takes it.
        let has_name =
            !present.is_replaced() && *present.name() == RingName::derived(&options.label);
        let _lock = if has_name {
            None
        } else {
            Some(self.claim(&options.label)?)
        };
        let before = taken_over.map(|taken_over| present.predecessor(taken_over));
        let ring = RingWriter::create_in(&self.folder, options.into(), before.as_ref())?;
        Ok(ring)
    }

    /// Locks the directory against other publishers, once nobody has the label.
    fn claim(&self, label: &StreamLabel) -> Result<(PublishersLock, StaleRings), DerivedError> {
        let io_error = |error| DerivedError::Io {
            path: self.path().to_owned(),
            error,
        };
        let lock = PublishersLock::wait(&self.folder, PATIENCE)
            .map_err(io_error)?
            .ok_or_else(|| DerivedError::Stuck {
                path: self.path().to_owned(),
            })?;
        let mut stale = StaleRings::default();
        lock.end_dead_rings(&self.folder, &mut stale)
            .map_err(io_error)?;
        match RingReader::open(self.as_fd(), &RingName::derived(label)) {
            Ok(ring) => {
                return Err(DerivedError::Busy {
                    label: label.clone(),
                    pid: ring.info().writer_pid,
                });
            }
            Err(OpenError::NotFound) => {}
            // A program of another version may live there.
            Err(error) => return Err(io_error(io::Error::other(error))),
        }
        if label.may_be_a_camera_s() && self.has_camera(label).map_err(io_error)? {
            return Err(DerivedError::OfCamera {
                label: label.clone(),
            });
        }
        Ok((lock, stale))
    }

    /// Also one whose daemon is gone: it will be back.
    fn has_camera(&self, label: &StreamLabel) -> io::Result<bool> {
        let names = list_rings(self.as_fd())?;
        Ok(names.iter().filter(|name| !name.is_derived()).any(|name| {
            RingReader::open(self.as_fd(), name)
                .is_ok_and(|ring| ring.info().label == *label && !ring.state().is_final())
        }))
    }
}

impl AsFd for DerivedDirectory {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

/// Held while derived rings get their names for the first time, or lose them because their programs are gone.
#[derive(Debug)]
pub(crate) struct PublishersLock {
    _file: OwnedFd,
}

impl PublishersLock {
    /// Whether a file is one that the lock is for.
    pub(crate) fn guards(name: &str) -> bool {
        name.starts_with(UNFINISHED_DERIVED_PREFIX)
            || RingName::parse(name).is_some_and(|name| name.is_derived())
    }

    /// Takes the lock; `None` when others hold it for longer than `patience`.
    pub(crate) fn wait(folder: &Folder, patience: Duration) -> io::Result<Option<Self>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(folder, LOCK_NAME, flags, Mode::from_raw_mode(0o600))?;
        let start = Instant::now();
        while !file_lock::try_lock(file.as_fd())? {
            if start.elapsed() >= patience {
                return Ok(None);
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Ok(Some(Self { _file: file }))
    }

    /// Ends the derived rings whose programs are gone.
    pub(crate) fn end_dead_rings(&self, folder: &Folder, stale: &mut StaleRings) -> io::Result<()> {
        for name in folder.file_names()? {
            if !Self::guards(&name) || writer_lives(folder, &name) {
                continue;
            }
            if name.starts_with(UNFINISHED_DERIVED_PREFIX) {
                folder.remove(&name)?;
            } else {
                stale.still_read.extend(stale::end_ring(folder, &name)?);
            }
            stale.files += 1;
        }
        Ok(())
    }
}

/// Whether the writer of a file lives that this user has made. A file that is gone, or of which nothing can be found out, is left alone.
fn writer_lives(folder: &Folder, name: &str) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(file) => file,
        // A symbolic link is nobody's ring.
        Err(error) => return error != Errno::LOOP,
    };
    let Ok(stat) = rustix::fs::fstat(&file) else {
        return true;
    };
    if !FileType::from_raw_mode(stat.st_mode).is_file() {
        return false;
    }
    if file_lock::is_locked(file.as_fd()).unwrap_or(true) {
        return true;
    }
    // A publisher lets go of a ring once it has put another one in its place, which it may have done since the file was opened.
    !has_name(folder, name, &stat)
}

/// Whether the file still is the one of that name.
fn has_name(folder: &Folder, name: &str, file: &Stat) -> bool {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|named| (named.st_dev, named.st_ino) == (file.st_dev, file.st_ino))
}
