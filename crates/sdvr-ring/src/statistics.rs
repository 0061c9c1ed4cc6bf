//! The daemon's figures, in a file beside the rings: its only way out for them (LAYOUT.md).
//!
//! The daemon writes the whole file four times a second and never reads it. A program that reads while it writes sees by the checksum that what
//! it has is of two moments, and reads again.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use sdvr_frame::Timestamp;

use crate::directory::{RingDirectory, UNFINISHED_PREFIX};

/// The file's name. It is never a ring's.
pub(crate) const FILE_NAME: &str = "statistics";
const MAGIC: u64 = u64::from_ne_bytes(*b"SDVRSTAT");
const LAYOUT: u64 = 1;
const WORD_BYTES: usize = 8;
/// Magic, layout, number of figures; the figures; the checksum.
const HEAD_WORDS: usize = 3;
/// No layout has more figures; what follows them is not read.
const FIGURES_MOST: usize = 256;
/// A daemon whose heart has not beaten for so long hangs, or is gone.
const HEARTBEAT_MOST: Duration = Duration::from_secs(1);
/// How often a page that was just being written is read again.
const TRIES: usize = 100;

/// A figure a line: its place in the file is its place here. New ones are added at the end.
macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Figures of a daemon. Those that count do so from its start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Statistics { $($(#[$doc])* pub $name: u64,)* }

        impl Statistics {
            /// The figures and their names, in the order of the file.
            #[must_use]
            pub const fn named(&self) -> [(&'static str, u64); Self::COUNT] {
                [$((stringify!($name), self.$name),)*]
            }

            const COUNT: usize = [$(stringify!($name)),*].len();

            fn from_words(mut words: impl Iterator<Item = u64>) -> Self {
                // What an older daemon does not have is 0.
                Self { $($name: words.next().unwrap_or(0),)* }
            }
        }
    };
}
figures! {
    /// When the daemon last said that it lives, in nanoseconds of `CLOCK_BOOTTIME`.
    heartbeat_ns,
    /// When it started, likewise.
    started_ns,
    /// Its process number, for people: in containers it may be another one outside.
    process,
    /// Cameras that are connected now.
    cameras_connected,
    /// Streams that have a ring now.
    streams,
    /// Sessions that began.
    sessions,
    /// Handshakes that strangers completed.
    handshakes,
    /// Strangers that went, or were turned away, before they had proved a key.
    strangers,
    /// Cameras that were refused.
    refused,
    /// Cameras that wanted another label than the one they are known by.
    other_labels,
    /// Cameras that were new.
    new_cameras,
    /// Connections for which there was no descriptor.
    without_descriptor,
    /// Frames that were published.
    frames,
    /// Their bytes.
    frame_bytes,
    /// Frames that were captured and did not arrive, by the cameras' numbers.
    frames_missing,
    /// Streams that were refused for want of memory.
    without_memory,
    /// Shared memory that rings have, in bytes.
    memory_used_bytes,
    /// … and may have (`--memory`).
    memory_total_bytes,
}

impl Statistics {
    /// Whether the daemon was alive a moment before `now`.
    #[must_use]
    pub fn is_alive(&self, now: Timestamp) -> bool {
        let heartbeat = Timestamp::from_nanoseconds(self.heartbeat_ns.cast_signed());
        now.saturating_since(heartbeat) < HEARTBEAT_MOST
    }

    fn to_bytes(self) -> Vec<u8> {
        let figures = self.named().map(|(_, value)| value);
        let mut words = vec![MAGIC, LAYOUT, figures.len() as u64];
        words.extend(figures);
        words.push(checksum(&words));
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    /// What a page says; `None` when it is none, of another layout, or was just being written.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (words, _) = bytes.as_chunks::<WORD_BYTES>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_ne_bytes(*word)).collect();
        let [MAGIC, LAYOUT, count, ..] = words.as_slice() else {
            return None;
        };
        let count = usize::try_from(*count)
            .ok()
            .filter(|count| *count <= FIGURES_MOST)?;
        let (summed, rest) = words.split_at_checked(HEAD_WORDS + count)?;
        (rest.first() == Some(&checksum(summed)))
            .then(|| Self::from_words(summed.iter().skip(HEAD_WORDS).copied()))
    }
}

/// FNV-1a over words: tells a page of two moments from one, not a forged one from a true one.
fn checksum(words: &[u64]) -> u64 {
    words.iter().fold(0xcbf2_9ce4_8422_2325, |sum, word| {
        (sum ^ word).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The daemon's end of the page.
#[derive(Debug)]
pub struct StatisticsPage {
    directory: OwnedFd,
    file: OwnedFd,
}

impl StatisticsPage {
    /// Makes the page in the daemon's directory, in the place of one that an earlier daemon left.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn create(directory: &RingDirectory) -> io::Result<Self> {
        let unfinished = format!("{UNFINISHED_PREFIX}{FILE_NAME}");
        match rustix::fs::unlinkat(directory, &unfinished, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        let file = rustix::fs::openat(directory, &unfinished, flags, mode)?;
        let page = Self {
            directory: directory.as_fd().try_clone_to_owned()?,
            file,
        };
        page.write(&Statistics::default())?;
        if directory.group().is_some() {
            rustix::fs::fchown(&page.file, None, directory.group())?;
        }
        rustix::fs::fchmod(&page.file, Mode::from_raw_mode(0o440))?;
        rustix::fs::renameat(directory, &unfinished, directory, FILE_NAME)?;
        Ok(page)
    }

    /// Writes the figures. Takes a microsecond or two, and no memory that it does not give back.
    ///
    /// # Errors
    ///
    /// What the system says, such as that shared memory is full.
    pub fn write(&self, statistics: &Statistics) -> io::Result<()> {
        let bytes = statistics.to_bytes();
        let written = rustix::io::pwrite(&self.file, &bytes, 0)?;
        if written < bytes.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(())
    }
}

impl Drop for StatisticsPage {
    fn drop(&mut self) {
        // One that stays says by its heartbeat that nobody is there.
        let _ = rustix::fs::unlinkat(&self.directory, FILE_NAME, AtFlags::empty());
    }
}

/// The figures of the daemon that publishes, or did so last, in a directory; `None` when there are none that this program understands.
/// Blocks for a moment at most; copies a few hundred bytes.
///
/// # Errors
///
/// When the page is there and cannot be read.
pub fn read_statistics(directory: BorrowedFd<'_>) -> io::Result<Option<Statistics>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(directory, FILE_NAME, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = [0; (HEAD_WORDS + FIGURES_MOST + 1) * WORD_BYTES];
    for _ in 0..TRIES {
        let length = rustix::io::pread(&file, &mut bytes, 0)?;
        let statistics = Statistics::parse(bytes.get(..length).unwrap_or_default());
        if statistics.is_some() {
            return Ok(statistics);
        }
        std::thread::yield_now();
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::directory::open_directory;

    fn some() -> Statistics {
        Statistics {
            heartbeat_ns: 5_000_000_000,
            cameras_connected: 3,
            memory_total_bytes: u64::MAX,
            ..Statistics::default()
        }
    }

    #[test]
    fn figures_come_out_as_they_were_written() {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = folder.path().join("rings");
        let directory = RingDirectory::create(&path, None).unwrap();
        let opened = open_directory(&path).unwrap();
        assert_eq!(read_statistics(opened.as_fd()).unwrap(), None);
        let page = StatisticsPage::create(&directory).unwrap();
        page.write(&some()).unwrap();
        assert_eq!(read_statistics(opened.as_fd()).unwrap(), Some(some()));
        let mode = std::fs::metadata(path.join(FILE_NAME)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o440);
        // The next daemon's takes its place, and goes with it.
        std::mem::forget(page);
        let page = StatisticsPage::create(&directory).unwrap();
        assert_eq!(
            read_statistics(opened.as_fd()).unwrap(),
            Some(Statistics::default())
        );
        drop(page);
        assert_eq!(read_statistics(opened.as_fd()).unwrap(), None);
    }

    #[test]
    fn a_page_that_is_cut_changed_or_of_two_moments_is_none() {
        let bytes = some().to_bytes();
        assert_eq!(Statistics::parse(&bytes), Some(some()));
        for length in 0..bytes.len() {
            assert_eq!(Statistics::parse(&bytes[..length]), None, "{length}");
        }
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert_eq!(Statistics::parse(&changed), None, "{index}");
        }
        let later = Statistics {
            frames: 9,
            heartbeat_ns: 9,
            ..some()
        };
        let half = bytes.len() / 2;
        let mixed = [&bytes[..half], &later.to_bytes()[half..]].concat();
        assert_eq!(Statistics::parse(&mixed), None);
        let mut many = vec![MAGIC, LAYOUT, u64::MAX];
        many.push(checksum(&many));
        let many: Vec<u8> = many.iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert_eq!(Statistics::parse(&many), None);
    }

    #[test]
    fn figures_of_later_and_earlier_daemons_are_read_as_far_as_they_are_known() {
        let page = |figures: &[u64]| {
            let mut words = vec![MAGIC, LAYOUT, figures.len() as u64];
            words.extend(figures);
            words.push(checksum(&words));
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            Statistics::parse(&bytes).unwrap()
        };
        assert_eq!(page(&[7; 200]).memory_total_bytes, 7);
        let early = page(&[7, 8]);
        assert_eq!((early.heartbeat_ns, early.started_ns), (7, 8));
        assert_eq!(early.memory_total_bytes, 0);
    }

    #[test]
    fn a_heart_that_has_stopped_is_noticed_after_a_second() {
        let at = |milliseconds: i64| Timestamp::from_nanoseconds(milliseconds * 1_000_000);
        assert!(some().is_alive(at(5999)) && some().is_alive(at(5000)));
        assert!(!some().is_alive(at(6000)));
    }
}
