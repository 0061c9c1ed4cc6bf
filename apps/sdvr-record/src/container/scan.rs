//! What is in a file, be it ended, being written or cut off; and ending one that was cut off.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::mp4::Restorer;
use super::{Ending, Kind, Media, Stretch, ending, matroska, mp4};
use crate::sample::{About, UtcTime};

/// What a file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Which container.
    pub kind: Kind,
    /// What it says of itself.
    pub about: About,
    /// How long its head is.
    pub head_bytes: u64,
    /// Where its last whole fragment ends.
    pub whole_bytes: u64,
    /// How many frames it has up to there.
    pub frames: u64,
    /// When the last of them was captured; `None` if there is none. The first was at [`About::begins`].
    pub last: Option<UtcTime>,
    /// Its parts.
    pub stretches: Vec<Stretch>,
    /// What is behind those.
    pub end: End,
}

impl Scan {
    /// Whether the file was ended, and nothing was changed since then but frames.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        matches!(self.end, End::Ended)
    }
}

/// What is behind the last whole fragment of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// What belongs there.
    Ended,
    /// Nothing, or the beginning of what was to be there: the file is being written, or was cut off. A power cut leaves zeros where it was cut.
    CutOff,
    /// Something else. There may be whole fragments behind it.
    Damaged,
}

/// Why a file cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// It cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It was cut off before anything was recorded.
    #[error(
        "the file ends within its head: it was cut off before there was a frame in it, and can be deleted"
    )]
    NoHead,
    /// It is of another program, or nothing of a recording at all.
    #[error("the file is no recording of `sdvr record`")]
    NotOurs,
}

/// What became of a file that was to be ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// What is in it now.
    pub scan: Scan,
    /// How many bytes behind the last whole fragment were given up.
    pub lost_bytes: u64,
    /// Whether there was anything to be done.
    pub was_changed: bool,
}

/// The beginning of a file.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) about: About,
    pub(super) bytes: Vec<u8>,
    /// Of files whose samples are not frames as cameras send them.
    pub(super) restorer: Option<Restorer>,
}

/// A frame in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SampleAt {
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) captured: UtcTime,
    pub(super) is_key: bool,
}

/// A file that is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'a> {
    file: &'a File,
    bytes: u64,
}

impl<'a> Input<'a> {
    pub(super) fn new(file: &'a File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes })
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Up to `count` bytes from `offset` on: fewer where the file ends. No memory is taken for what is not there.
    pub(super) fn read(&self, offset: u64, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_into(offset, count, &mut bytes)?;
        Ok(bytes)
    }

    /// The same, in place of what is in `bytes`.
    pub(super) fn read_into(
        &self,
        offset: u64,
        count: usize,
        bytes: &mut Vec<u8>,
    ) -> io::Result<()> {
        let left = usize::try_from(self.bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        bytes.resize(count.min(left), 0);
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset.saturating_add(done as u64)) {
                Ok(0) => break,
                Ok(count) => done = done.saturating_add(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(done);
        Ok(())
    }

    /// Whether there are only zeros from `offset` on, or nothing.
    fn is_zero_from(&self, offset: u64) -> io::Result<bool> {
        Ok(self.without_zeros()?.bytes <= offset)
    }

    /// The file up to its last byte that is not zero.
    fn without_zeros(&self) -> io::Result<Self> {
        const PIECE_BYTES: u64 = 1 << 16;
        let mut bytes = self.bytes;
        while bytes > 0 {
            let begin = bytes.saturating_sub(1) / PIECE_BYTES * PIECE_BYTES;
            let count = usize::try_from(bytes.saturating_sub(begin)).unwrap_or(usize::MAX);
            let piece = self.read(begin, count)?;
            if let Some(last) = piece.iter().rposition(|&byte| byte != 0) {
                bytes = begin.saturating_add(last as u64).saturating_add(1);
                break;
            }
            bytes = begin;
        }
        Ok(Self { bytes, ..*self })
    }
}

/// Looks through a file: reads its head, and what says where its frames are, but not those. Needs memory for the head and for what is known of each second.
///
/// # Errors
///
/// [`ScanError`], if there is nothing in it that could be used.
pub fn scan(file: &File) -> Result<Scan, ScanError> {
    scan_with_ending(&Input::new(file)?).map(|(scan, _)| scan)
}

/// What is found, and the head and the media of it.
pub(super) fn look(input: &Input<'_>) -> Result<(Kind, Head, Media), ScanError> {
    let start = input.read(0, 8)?;
    if input.is_zero_from(0)? {
        return Err(ScanError::NoHead);
    }
    if start.len() < 8 {
        let is_beginning = mp4::can_be_one(&start) || matroska::can_be_one(&start);
        return Err(if is_beginning {
            ScanError::NoHead
        } else {
            ScanError::NotOurs
        });
    }
    if mp4::is_one(&start) {
        let (head, media) = mp4::scan(input)?;
        Ok((Kind::Mp4, head, media))
    } else if matroska::is_one(&start) {
        let (head, media) = matroska::scan(input)?;
        Ok((Kind::Matroska, head, media))
    } else {
        Err(ScanError::NotOurs)
    }
}

fn scan_with_ending(input: &Input<'_>) -> Result<(Scan, Ending), ScanError> {
    let (kind, head, media) = look(input)?;
    let ending = ending(kind, &head.bytes, &media);
    let scan = Scan {
        kind,
        about: head.about,
        head_bytes: head.bytes.len() as u64,
        whole_bytes: media.end,
        frames: media.frames,
        last: media.last,
        stretches: media.stretches,
        end: end(input, kind, media.end, &ending)?,
    };
    Ok((scan, ending))
}

fn end(input: &Input<'_>, kind: Kind, whole_bytes: u64, ending: &Ending) -> io::Result<End> {
    if is_ended(input, whole_bytes, ending)? {
        return Ok(End::Ended);
    }
    // What follows the zeros of a power cut is nothing.
    let left = input.without_zeros()?;
    if left.bytes() <= whole_bytes {
        return Ok(End::CutOff);
    }
    let rest_bytes = left.bytes().saturating_sub(whole_bytes);
    let is_of_tail = input.bytes().saturating_sub(whole_bytes) <= ending.tail.len() as u64
        && match usize::try_from(rest_bytes) {
            Ok(count) => ending.tail.starts_with(&left.read(whole_bytes, count)?),
            Err(_) => false,
        };
    let is_cut_off = is_of_tail
        || match kind {
            Kind::Mp4 => mp4::is_cut_off(&left, whole_bytes)?,
            Kind::Matroska => matroska::is_cut_off(&left, whole_bytes)?,
        };
    Ok(if is_cut_off {
        End::CutOff
    } else {
        End::Damaged
    })
}

fn is_ended(input: &Input<'_>, whole_bytes: u64, ending: &Ending) -> io::Result<bool> {
    let tail = (whole_bytes, &ending.tail);
    if whole_bytes.saturating_add(ending.tail.len() as u64) != input.bytes() {
        return Ok(false);
    }
    let patches = ending
        .patches
        .iter()
        .map(|(offset, bytes)| (*offset, bytes));
    for (offset, bytes) in patches.chain([tail]) {
        if input.read(offset, bytes.len())? != *bytes {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Ends a file that was cut off, in place: gives up what is behind the last whole fragment and writes what belongs there. The file must be open for
/// reading and writing, and nobody else may be writing it. A file that was ended stays as it is, and so does one that is damaged ([`End::Damaged`]): behind
/// the damage there may be more. When this itself is cut off, it can be done again.
///
/// # Errors
///
/// [`ScanError`]. If the disk is full, the file has no index, and plays none the less.
pub fn recover(file: &File) -> Result<Recovered, ScanError> {
    let input = Input::new(file)?;
    let (mut scan, ending) = scan_with_ending(&input)?;
    if scan.end != End::CutOff {
        return Ok(Recovered {
            scan,
            lost_bytes: 0,
            was_changed: false,
        });
    }
    file.set_len(scan.whole_bytes)?;
    file.write_all_at(&ending.tail, scan.whole_bytes)?;
    // What the head says of the tail must not be there before it.
    file.sync_data()?;
    for (offset, bytes) in &ending.patches {
        file.write_all_at(bytes, *offset)?;
    }
    file.sync_data()?;
    scan.end = End::Ended;
    let lost_bytes = input.bytes().saturating_sub(scan.whole_bytes);
    Ok(Recovered {
        scan,
        lost_bytes,
        was_changed: true,
    })
}
