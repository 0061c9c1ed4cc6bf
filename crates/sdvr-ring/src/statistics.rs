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

use crate::directory::RingDirectory;
use crate::name::UNFINISHED_PREFIX;

/// The file's name. It is never a ring's.
pub(crate) const FILE_NAME: &str = "statistics";
const MAGIC: u64 = u64::from_ne_bytes(*b"SDVRSTAT");
const LAYOUT: u64 = 1;
const WORD_BYTES: usize = 8;
/// Magic, layout, number of figures; the figures; the checksum.
const HEAD_WORDS: usize = 3;
/// No layout has more figures; what follows them is not read.
const FIGURES_MOST: usize = 256;
const PAGE_BYTES_MOST: usize = (HEAD_WORDS + FIGURES_MOST + 1) * WORD_BYTES;
/// A daemon whose heart has not beaten for so long hangs, or is gone.
const HEARTBEAT_MOST: Duration = Duration::from_secs(1);
/// How often a page that was just being written is read again.
const TRIES: usize = 100;

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatisticsError {
    /// No daemon publishes there, or one that has no such page.
    #[error("there is no statistics page")]
    Absent,
    /// The file is something else, or what is left of a page.
    #[error("the statistics page is damaged, or none")]
    Damaged,
    /// A daemon of another version, whose pages are written in another way.
    #[error(
        "the statistics page has layout {layout}, and this program knows {LAYOUT}: sdvrd and this program are of different versions"
    )]
    Layout {
        /// The page's.
        layout: u64,
    },
    /// The page is there and cannot be read.
    #[error("the statistics page cannot be read: {0}")]
    System(#[from] io::Error),
}

impl From<Errno> for StatisticsError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT => Self::Absent,
            error => Self::System(error.into()),
        }
    }
}

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
    /// For how many milliseconds the busiest of its threads has been at the same turn of work: with seconds, that one hangs.
    busy_ms,
    /// Cameras that are connected now.
    cameras_connected,
    /// Streams that have a ring now.
    streams,
    /// Sessions that began.
    sessions,
    /// Sessions that cameras ended.
    sessions_finished,
    /// Sessions whose connection was cut.
    sessions_cut,
    /// Sessions in which nothing was heard for a minute.
    sessions_silent,
    /// Sessions of cameras that broke the protocol.
    sessions_broken,
    /// Sessions of cameras that did not read what they were sent.
    sessions_deaf,
    /// Sessions for which the same camera began another one.
    sessions_replaced,
    /// Sessions of cameras that were forgotten or revoked meanwhile.
    sessions_dismissed,
    /// Handshakes that strangers completed.
    handshakes,
    /// Cameras that were new.
    new_cameras,
    /// Cameras that wanted another label than the one they are known by.
    other_labels,
    /// Strangers that went, or were turned away, before they were known as cameras: the sum of the causes that follow.
    strangers,
    /// … that hung up, as port scans do.
    strangers_gone,
    /// … that took too long.
    strangers_slow,
    /// … that had to make room for others.
    strangers_crowded,
    /// … that spoke something else.
    strangers_not_sdvr,
    /// … with whom no version or cipher is in common.
    strangers_version,
    /// … that could not prove who or where they are.
    strangers_not_authentic,
    /// Strangers that went for want of a descriptor.
    without_descriptor,
    /// Cameras that were refused: the sum of the causes that follow. One that tries again counts again.
    refused,
    /// … whose key was revoked.
    refused_revoked,
    /// … that wait for approval.
    refused_waiting,
    /// … whose key is not known, where no new ones are taken.
    refused_unknown,
    /// … that wanted another camera's label.
    refused_label,
    /// … that have the key of a camera that streams from another host.
    refused_cloned,
    /// … whose key was the camera's before, and is not good any more.
    refused_old_key,
    /// … that came when too many were new.
    refused_too_many,
    /// … that could not be remembered.
    refused_not_stored,
    /// Bytes received from cameras, as they were sent.
    received_bytes,
    /// Frames that were published.
    frames,
    /// Their bytes.
    frame_bytes,
    /// Frames that were captured and did not arrive, by the cameras' numbers: the sum of the causes that follow.
    frames_missing,
    /// … that a connected camera did not send: its driver lost them, or the network was too slow.
    missing_at_source,
    /// … that were captured while the camera was away, or its stream was refused.
    missing_while_away,
    /// Streams that were refused: the sum of the causes that follow. One that is asked for again counts again.
    streams_refused,
    /// … for want of memory.
    without_memory,
    /// … for frames that are too large.
    streams_too_large,
    /// … of cameras that have too many.
    streams_too_many,
    /// … of cameras that open streams too often.
    streams_too_often,
    /// … whose ring could not be made, for a reason that the log has.
    streams_failed,
    /// Shared memory that rings have, in bytes.
    memory_used_bytes,
    /// … and may have (`--memory`).
    memory_total_bytes,
    /// Of the frames missing, those that a link without connections lost, beyond what could be sent again in time.
    missing_on_link,
    /// Packets for which this host had no room: it took them too slowly.
    packets_dropped,
    /// Packets that links without connections lost, and that arrived when they were asked for again.
    packets_retransmitted,
    /// Memory that the daemon's process has, in bytes: its own, and what it has touched of rings lately. 0 where the system does not tell.
    resident_bytes,
    /// Processor time that the daemon has used, in microseconds.
    cpu_us,
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

    /// What a page says.
    fn parse(bytes: &[u8]) -> Result<Self, StatisticsError> {
        let (words, _) = bytes.as_chunks::<WORD_BYTES>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_ne_bytes(*word)).collect();
        let count = match *words.as_slice() {
            [MAGIC, LAYOUT, count, ..] => count,
            [MAGIC, layout, ..] if layout != LAYOUT => {
                return Err(StatisticsError::Layout { layout });
            }
            _ => return Err(StatisticsError::Damaged),
        };
        usize::try_from(count)
            .ok()
            .filter(|count| *count <= FIGURES_MOST)
            .and_then(|count| words.split_at_checked(HEAD_WORDS + count))
            .filter(|(summed, rest)| rest.first() == Some(&checksum(summed)))
            .map(|(summed, _)| Self::from_words(summed.iter().skip(HEAD_WORDS).copied()))
            .ok_or(StatisticsError::Damaged)
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

/// The figures of the daemon that publishes, or did so last, in a directory.
/// Blocks for a moment at most; copies a few hundred bytes, and maps nothing: a file that is cut meanwhile does no harm.
///
/// # Errors
///
/// [`StatisticsError`] when there are none that this program understands.
pub fn read_statistics(directory: BorrowedFd<'_>) -> Result<Statistics, StatisticsError> {
    // Whatever has that name: a pipe must not make anybody wait.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat(directory, FILE_NAME, flags, Mode::empty())?;
    let mut bytes = [0; PAGE_BYTES_MOST];
    for _ in 0..TRIES {
        let length = rustix::io::pread(&file, &mut bytes, 0)?;
        match Statistics::parse(bytes.get(..length).unwrap_or_default()) {
            Err(StatisticsError::Damaged) => std::thread::yield_now(),
            result => return result,
        }
    }
    Err(StatisticsError::Damaged)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
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

    fn is_absent(directory: BorrowedFd<'_>) -> bool {
        matches!(read_statistics(directory), Err(StatisticsError::Absent))
    }

    /// Damaged, or by its second word of another layout.
    #[track_caller]
    fn assert_refused(bytes: &[u8], what: &str) {
        let error = Statistics::parse(bytes).expect_err(what);
        let is_of_other_layout =
            matches!(error, StatisticsError::Layout { layout } if layout != LAYOUT);
        assert!(
            is_of_other_layout || matches!(error, StatisticsError::Damaged),
            "{what}"
        );
    }

    #[test]
    fn figures_come_out_as_they_were_written() {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = folder.path().join("rings");
        let directory = RingDirectory::create(&path, None).unwrap();
        let opened = open_directory(&path).unwrap();
        assert!(is_absent(opened.as_fd()));
        let page = StatisticsPage::create(&directory).unwrap();
        page.write(&some()).unwrap();
        assert_eq!(read_statistics(opened.as_fd()).unwrap(), some());
        let mode = std::fs::metadata(path.join(FILE_NAME)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o440);
        // The next daemon's takes its place, and goes with it.
        std::mem::forget(page);
        let page = StatisticsPage::create(&directory).unwrap();
        assert_eq!(
            read_statistics(opened.as_fd()).unwrap(),
            Statistics::default()
        );
        drop(page);
        assert!(is_absent(opened.as_fd()));
    }

    #[test]
    fn a_page_that_is_cut_changed_or_of_two_moments_is_none() {
        let bytes = some().to_bytes();
        assert_eq!(Statistics::parse(&bytes).unwrap(), some());
        for length in 0..bytes.len() {
            assert_refused(&bytes[..length], &format!("cut at {length}"));
        }
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert_refused(&changed, &format!("changed at {index}"));
        }
        let later = Statistics {
            frames: 9,
            heartbeat_ns: 9,
            ..some()
        };
        let half = bytes.len() / 2;
        let mixed = [&bytes[..half], &later.to_bytes()[half..]].concat();
        assert_refused(&mixed, "of two moments");
        assert_refused(&page(LAYOUT, &[], Some(u64::MAX)), "of very many figures");
    }

    /// A page as another daemon may write it.
    fn page(layout: u64, figures: &[u64], count: Option<u64>) -> Vec<u8> {
        let mut words = vec![MAGIC, layout, count.unwrap_or(figures.len() as u64)];
        words.extend(figures);
        words.push(checksum(&words));
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    /// It may be shorter than one of ours, and its checksum another one.
    #[test]
    fn a_page_of_another_layout_is_told_by_its_number() {
        for layout in [0, 2, u64::MAX] {
            let bytes = page(layout, &[7; 4], None);
            for bytes in [bytes.as_slice(), &bytes[..16]] {
                let error = Statistics::parse(bytes).unwrap_err();
                assert!(
                    error.to_string().contains(&format!("layout {layout}")),
                    "{error}"
                );
            }
        }
    }

    /// Whatever has the page's name: an error that says so, at once.
    #[test]
    fn what_is_no_page_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = folder.path().join(FILE_NAME);
        let opened = File::open(folder.path()).unwrap();
        let read = || read_statistics(opened.as_fd()).unwrap_err();
        std::fs::write(&path, "").unwrap();
        assert!(matches!(read(), StatisticsError::Damaged));
        // Longer than any page.
        std::fs::write(&path, vec![0xff; 1 << 20]).unwrap();
        assert!(matches!(read(), StatisticsError::Damaged));
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(read(), StatisticsError::System(_)));
        std::fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(matches!(read(), StatisticsError::System(_)));
        std::fs::remove_file(&path).unwrap();
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(&opened, FILE_NAME, pipe, Mode::RUSR, 0).unwrap();
        assert!(matches!(read(), StatisticsError::System(_)));
    }

    /// A program that is quick sees what the daemon writes half of.
    #[test]
    fn a_page_that_is_being_written_is_never_seen_torn() {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = folder.path().join("rings");
        let directory = RingDirectory::create(&path, None).unwrap();
        let page = StatisticsPage::create(&directory).unwrap();
        let opened = open_directory(&path).unwrap();
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                for frames in 0..20_000 {
                    let memory_total_bytes = frames;
                    let figures = Statistics {
                        frames,
                        memory_total_bytes,
                        ..some()
                    };
                    page.write(&figures).unwrap();
                }
            });
            while !writing.is_finished() {
                let figures = read_statistics(opened.as_fd()).unwrap();
                assert!(
                    figures.frames == figures.memory_total_bytes
                        || figures == some()
                        || figures == Statistics::default(),
                    "{figures:?}"
                );
            }
        });
    }

    #[test]
    fn figures_of_later_and_earlier_daemons_are_read_as_far_as_they_are_known() {
        let page = |figures: &[u64]| Statistics::parse(&page(LAYOUT, figures, None)).unwrap();
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
