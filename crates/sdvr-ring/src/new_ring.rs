//! Making a ring's file: reserved, described and locked before it has a name.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use sdvr_frame::{
    InstanceId, Label, Link, PublicKey, StreamFormat, StreamId, StreamKind, StreamLabel,
};

use crate::file_lock;
use crate::folder::Folder;
use crate::layout::{
    EXTRADATA_MOST_BYTES, Geometry, LINK_WORD, NO_LINK, Origin, RingInfo, WORD_BYTES, usize_of,
};
use crate::name::{RingName, UNFINISHED_DERIVED_PREFIX, UNFINISHED_PREFIX};
use crate::shared_memory::{Access, Mapping};
use crate::slot::store;

/// What a new ring is for.
#[derive(Clone, Debug)]
pub struct RingOptions {
    /// The camera.
    pub camera: PublicKey,
    /// The camera's label.
    pub label: Label,
    /// Which of its streams.
    pub stream: StreamId,
    /// What it carries.
    pub kind: StreamKind,
    /// Which run of the source.
    pub instance: InstanceId,
    /// What its frames look like.
    pub format: StreamFormat,
    /// What a decoder needs beforehand, at most 1,024 bytes.
    pub extradata: Vec<u8>,
    /// What it arrives over.
    pub link: Link,
    /// Frames to hold at most; rounded up to a power of two.
    pub slots: u32,
    /// Bytes for frames; rounded up to a power of two.
    pub data_bytes: u64,
}

/// Why a ring could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The sizes are impossible.
    #[error("a ring of {slots} slots and {data_bytes} bytes is impossible")]
    Size {
        /// As asked for.
        slots: u32,
        /// As asked for.
        data_bytes: u64,
    },
    /// What a decoder needs is more than a ring has room for.
    #[error("{bytes} bytes of extradata do not fit into a ring, which has room for 1024")]
    Extradata {
        /// How many there are.
        bytes: usize,
    },
    /// The file system is full.
    #[error(
        "shared memory is full: a ring of {bytes} bytes does not fit into {free_bytes}. Lower --memory, or make /dev/shm larger (mount -o remount,size=…)"
    )]
    NoSpace {
        /// What the ring needs.
        bytes: u64,
        /// What is free.
        free_bytes: u64,
    },
    /// Something else failed.
    #[error("cannot make a ring ({step}): {error}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// What the system says.
        error: io::Error,
    },
}

/// What a new ring is for, whoever makes its frames.
#[derive(Debug)]
pub(crate) struct NewRing {
    pub(crate) origin: Origin,
    pub(crate) label: StreamLabel,
    pub(crate) stream: StreamId,
    pub(crate) kind: StreamKind,
    pub(crate) instance: InstanceId,
    pub(crate) format: StreamFormat,
    pub(crate) extradata: Vec<u8>,
    pub(crate) link: Option<Link>,
    pub(crate) slots: u32,
    pub(crate) data_bytes: u64,
}

impl NewRing {
    pub(crate) fn name(&self) -> RingName {
        RingName::of(&self.origin, &self.label, self.stream)
    }

    fn geometry(&self) -> Option<Geometry> {
        let slots = self.slots.checked_next_power_of_two()?;
        let data_bytes = self.data_bytes.max(4096).checked_next_power_of_two()?;
        Geometry::new(slots.max(2).into(), data_bytes)
    }
}

impl From<RingOptions> for NewRing {
    fn from(options: RingOptions) -> Self {
        Self {
            origin: Origin::Camera(options.camera),
            label: options.label.into(),
            stream: options.stream,
            kind: options.kind,
            instance: options.instance,
            format: options.format,
            extradata: options.extradata,
            link: Some(options.link),
            slots: options.slots,
            data_bytes: options.data_bytes,
        }
    }
}

/// The file of a ring, without a name.
#[derive(Debug)]
pub(crate) struct NewFile {
    pub(crate) file: OwnedFd,
    pub(crate) mapping: Mapping,
    pub(crate) geometry: Geometry,
}

/// Makes names of unfinished rings differ.
static UNFINISHED: AtomicU64 = AtomicU64::new(0);

/// The error of a step.
pub(crate) fn failed(step: &'static str) -> impl Fn(Errno) -> CreateError {
    move |error| CreateError::Io {
        step,
        error: error.into(),
    }
}

impl NewFile {
    pub(crate) fn make(folder: &Folder, new: NewRing) -> Result<Self, CreateError> {
        let geometry = new.geometry().ok_or(CreateError::Size {
            slots: new.slots,
            data_bytes: new.data_bytes,
        })?;
        if new.extradata.len() > EXTRADATA_MOST_BYTES {
            return Err(CreateError::Extradata {
                bytes: new.extradata.len(),
            });
        }
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file = rustix::fs::openat(folder, ".", flags, Mode::from_raw_mode(0o600))
            .map_err(failed("open"))?;
        reserve(&file, geometry.file_bytes(), folder)?;
        let mapping = Mapping::new(file.as_fd(), geometry, Access::Write)
            .map_err(|error| CreateError::Io { step: "map", error })?;
        mapping.populate(0, usize_of(geometry.data_offset()));
        describe(&mapping, geometry, new);
        // Before the name exists: nobody can hold a lock that would be in the way.
        let is_locked = file_lock::try_lock(file.as_fd()).map_err(|error| CreateError::Io {
            step: "lock",
            error,
        })?;
        if !is_locked {
            return Err(failed("lock")(Errno::BUSY));
        }
        folder.let_in(&file).map_err(failed("change the group"))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(0o440)).map_err(failed("change the mode"))?;
        Ok(Self {
            file,
            mapping,
            geometry,
        })
    }
}

/// Reserves all of the file's memory now, so that no later write can fail.
fn reserve(file: &OwnedFd, bytes: u64, folder: &Folder) -> Result<(), CreateError> {
    loop {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::NOSPC | Errno::FBIG | Errno::DQUOT) => {
                // A failed reservation leaves nothing behind, so this is what there was.
                let free_bytes = folder.free_bytes().unwrap_or(0);
                return Err(CreateError::NoSpace { bytes, free_bytes });
            }
            Err(error) => {
                return Err(CreateError::Io {
                    step: "reserve",
                    error: error.into(),
                });
            }
        }
    }
}

fn describe(mapping: &Mapping, geometry: Geometry, new: NewRing) {
    let link = new.link.map_or(NO_LINK, |link| link.number().into());
    let info = RingInfo {
        origin: new.origin,
        label: new.label,
        stream: new.stream,
        kind: new.kind,
        instance: new.instance,
        format: new.format,
        extradata: new.extradata,
        slots: geometry.slots,
        data_bytes: geometry.data_bytes,
        writer_pid: std::process::id(),
        realtime_offset_ns: realtime_offset_ns(),
        first: 0,
    };
    let bytes = info.to_bytes(geometry);
    let (words, _) = bytes.as_chunks::<WORD_BYTES>();
    // Relaxed: the file has no name yet; linking it orders them.
    for (index, word) in words.iter().enumerate() {
        store(
            mapping.description(),
            index,
            u64::from_ne_bytes(*word),
            Ordering::Relaxed,
        );
    }
    store(mapping.words().control, LINK_WORD, link, Ordering::Relaxed);
}

fn realtime_offset_ns() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let realtime = time
        .tv_sec
        .saturating_mul(1_000_000_000)
        .saturating_add(time.tv_nsec);
    realtime.saturating_sub(sdvr_frame::Timestamp::now().as_nanoseconds())
}

/// Gives a nameless file its name, in place of another that may have it.
pub(crate) fn link(folder: &Folder, file: &OwnedFd, name: &RingName) -> rustix::io::Result<()> {
    use std::os::fd::AsRawFd;
    let prefix = if name.is_derived() {
        UNFINISHED_DERIVED_PREFIX
    } else {
        UNFINISHED_PREFIX
    };
    // Relaxed: the number only has to differ.
    let unfinished = format!(
        "{prefix}{}-{}",
        std::process::id(),
        UNFINISHED.fetch_add(1, Ordering::Relaxed)
    );
    // Kernels before 6.10 want a capability for this; /proc serves there.
    if rustix::fs::linkat(file, "", folder, &unfinished, AtFlags::EMPTY_PATH).is_err() {
        let source = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = AtFlags::SYMLINK_FOLLOW;
        rustix::fs::linkat(rustix::fs::CWD, source, folder, &unfinished, flags)?;
    }
    rustix::fs::renameat(folder, &unfinished, folder, name.as_str()).inspect_err(|_| {
        let _ = rustix::fs::unlinkat(folder, &unfinished, AtFlags::empty());
    })
}
