//! Bytes of a file or a pipe, in a buffer that is bounded by one frame.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use sdvr_frame::Timestamp;

use crate::error::SourceError;

const READ_BYTES: usize = 256 * 1024;
const READ_LITTLE_BYTES: usize = 4096;
/// Reads whose times are kept: a frame's end is found one read after it came, rarely more.
const READS_KEPT: usize = 4;

/// A file or a pipe.
#[derive(Debug)]
pub(crate) struct Input {
    file: File,
    name: String,
    is_pipe: bool,
    /// Longer than what is in it, so that it is not cleared for every read.
    buffer: Vec<u8>,
    /// What was read and not consumed is from here
    start: usize,
    /// to here.
    end: usize,
    /// How many bytes came before the buffer's start.
    offset: u64,
    is_at_end: bool,
    /// Where in the file reading began: standard input may be a file that somebody else has read from.
    origin: u64,
    /// The last reads, the newest last: how many bytes had come with each, and when.
    reads: [(u64, Timestamp); READS_KEPT],
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    More,
    NotYet,
    End,
}

impl Input {
    pub(crate) fn new(mut file: File, name: String) -> Result<Self, SourceError> {
        let failed = |action, error| SourceError::Io {
            action,
            name: name.clone(),
            error,
        };
        let stat = rustix::fs::fstat(&file).map_err(|error| failed("look at", error.into()))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            return Err(failed("read", ErrorKind::IsADirectory.into()));
        }
        if rustix::termios::isatty(&file) {
            return Err(SourceError::Terminal);
        }
        let is_pipe = kind != FileType::RegularFile;
        let origin = if is_pipe {
            0
        } else {
            file.stream_position()
                .map_err(|error| failed("read", error))?
        };
        Ok(Self {
            file,
            name,
            is_pipe,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            offset: 0,
            is_at_end: false,
            origin,
            reads: [(0, Timestamp::default()); READS_KEPT],
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn is_pipe(&self) -> bool {
        self.is_pipe
    }

    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) const fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        (self.is_pipe && !self.is_at_end).then(|| self.file.as_fd())
    }

    /// The bytes that were read and not consumed.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// When the first `count` bytes had all come, as far back as reads are remembered.
    pub(crate) fn came_at(&self, count: usize) -> Option<Timestamp> {
        let wanted = self.offset + count as u64;
        let read = self.reads.iter().find(|(bytes, _)| *bytes >= wanted);
        read.map(|(_, time)| *time)
    }

    /// Takes bytes off the front; gives them.
    pub(crate) fn consume(&mut self, count: usize) -> &[u8] {
        let start = self.start;
        self.start = (start + count).min(self.end);
        self.offset += (self.start - start) as u64;
        self.buffer.get(start..self.start).unwrap_or_default()
    }

    /// The last `count` bytes that were consumed. They stay until the next read.
    pub(crate) fn consumed_last(&self, count: usize) -> &[u8] {
        self.buffer
            .get(self.start.saturating_sub(count)..self.start)
            .unwrap_or_default()
    }

    /// Puts bytes after those consumed last, where they lie, and gives both: rare, so it may move what follows.
    pub(crate) fn insert_after_consumed(&mut self, bytes: &[u8]) {
        let (start, count) = (self.start, bytes.len());
        self.make_room(count);
        self.buffer.copy_within(start..self.end, start + count);
        if let Some(place) = self.buffer.get_mut(start..start + count) {
            place.copy_from_slice(bytes);
        }
        self.start += count;
        self.end += count;
    }

    /// Makes the buffer long enough for `count` more bytes.
    fn make_room(&mut self, count: usize) {
        let wanted = self.end + count;
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
    }

    /// Reads once, and not more than is worth it for bytes of which the next ones are far from here.
    pub(crate) fn fill_a_little(&mut self, now: Timestamp) -> Result<Filled, SourceError> {
        self.read(now, READ_LITTLE_BYTES)
    }

    /// Reads once. A pipe that has nothing is not waited for.
    pub(crate) fn fill(&mut self, now: Timestamp) -> Result<Filled, SourceError> {
        self.read(now, READ_BYTES)
    }

    fn read(&mut self, now: Timestamp, read_bytes: usize) -> Result<Filled, SourceError> {
        if self.is_at_end {
            return Ok(Filled::End);
        }
        if self.is_pipe && !is_readable(self.file.as_fd()) {
            return Ok(Filled::NotYet);
        }
        // What was consumed makes room, once it is the larger part: so every byte is moved at most once.
        if self.start * 2 >= self.end {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        self.make_room(read_bytes);
        let room = self.end..self.end + read_bytes;
        match self
            .file
            .read(self.buffer.get_mut(room).unwrap_or_default())
        {
            Ok(0) => {
                self.is_at_end = true;
                Ok(Filled::End)
            }
            Ok(bytes) => {
                self.end += bytes;
                self.reads.rotate_left(1);
                if let Some(last) = self.reads.last_mut() {
                    *last = (self.offset + (self.end - self.start) as u64, now);
                }
                Ok(Filled::More)
            }
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) =>
            {
                Ok(Filled::NotYet)
            }
            Err(error) => Err(SourceError::Io {
                action: "read",
                name: self.name.clone(),
                error,
            }),
        }
    }

    /// How many bytes a file has now, from where reading began.
    pub(crate) fn file_bytes(&self) -> Result<u64, SourceError> {
        let stat = rustix::fs::fstat(&self.file).map_err(|error| SourceError::Io {
            action: "look at",
            name: self.name.clone(),
            error: error.into(),
        })?;
        let bytes = u64::try_from(stat.st_size).unwrap_or(0);
        Ok(bytes.saturating_sub(self.origin))
    }

    /// How many bytes have come, consumed or not.
    pub(crate) const fn end_offset(&self) -> u64 {
        self.offset.saturating_add((self.end - self.start) as u64)
    }

    /// Steps over bytes without reading them; gives how many of them it could: of a pipe, those that have come.
    pub(crate) fn skip(&mut self, count: u64) -> Result<u64, SourceError> {
        let here = u64::try_from(self.end - self.start).unwrap_or(u64::MAX);
        if count <= here || self.is_pipe {
            let taken = count.min(here);
            self.consume(usize::try_from(taken).unwrap_or(usize::MAX));
            return Ok(taken);
        }
        self.seek(self.offset.saturating_add(count))?;
        Ok(count)
    }

    /// Goes to where so many bytes of a file are before.
    pub(crate) fn seek(&mut self, offset: u64) -> Result<(), SourceError> {
        self.file
            .seek(SeekFrom::Start(self.origin.saturating_add(offset)))
            .map_err(|error| SourceError::Io {
                action: "read on in",
                name: self.name.clone(),
                error,
            })?;
        (self.start, self.end, self.offset, self.is_at_end) = (0, 0, offset, false);
        self.reads = [(0, Timestamp::default()); READS_KEPT];
        Ok(())
    }

    /// Begins again where reading a file began.
    pub(crate) fn rewind(&mut self) -> Result<(), SourceError> {
        self.seek(0)
    }
}

fn is_readable(descriptor: BorrowedFd<'_>) -> bool {
    let mut descriptors = [PollFd::new(&descriptor, PollFlags::IN)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut descriptors, Some(&now)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn a_file_begins_again_where_it_was_handed_over() {
        let mut file = file(b"not ours, ours");
        file.read_exact(&mut [0; 10]).unwrap();
        let mut input = Input::new(file, "x".to_owned()).unwrap();
        for _ in 0..2 {
            assert_eq!(input.fill(Timestamp::default()).unwrap(), Filled::More);
            assert_eq!(input.bytes(), b"ours");
            input.consume(4);
            assert_eq!(input.fill(Timestamp::default()).unwrap(), Filled::End);
            input.rewind().unwrap();
        }
    }

    #[test]
    fn bytes_have_the_time_of_the_read_that_brought_them() {
        let mut input = Input::new(file(&vec![7; READ_BYTES * 6]), "x".to_owned()).unwrap();
        let at = Timestamp::from_nanoseconds;
        for time in 0..6 {
            input.fill(at(time)).unwrap();
        }
        input.consume(100);
        let read = READ_BYTES;
        // What is older than the reads that are remembered has the time of the oldest one.
        for (count, time) in [
            (1, 2),
            (read, 2),
            (read * 3, 3),
            (read * 4 - 100, 3),
            (read * 4, 4),
        ] {
            assert_eq!(input.came_at(count), Some(at(time)), "{count}");
        }
        assert_eq!(input.came_at(read * 6), None);
    }
}
