//! What an index knows of a segment, and how that stands in a row.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use rusqlite::Row;
use sdvr_frame::{Fingerprint, FourCc, FrameRate, StreamFormat};
use twox_hash::XxHash3_128;

use crate::UtcTime;

/// Says which segment, and in which order a camera's were recorded: later ones have greater numbers, whatever the clock said. None is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub i64);

/// What became of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SegmentState {
    /// It is being written, or the recorder was ended while it was.
    Open,
    /// It was finished.
    Complete,
    /// It was being written when the recorder was ended, and was finished afterwards.
    Recovered,
    /// It was found as no recording that can be read.
    Damaged,
}

impl SegmentState {
    const ALL: [Self; 4] = [Self::Open, Self::Complete, Self::Recovered, Self::Damaged];

    /// As it stands in the index and is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Complete => "complete",
            Self::Recovered => "recovered",
            Self::Damaged => "damaged",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// XXH3 (128 bits) of a file's bytes behind its head, and then of the head: that is written again when the file is finished.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Checksum(pub u128);

impl Checksum {
    /// Reads a whole file of at least `head_bytes`.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is shorter than its head.
    pub fn of_file(path: &Path, head_bytes: u64) -> io::Result<Self> {
        let mut file = std::fs::File::open(path)?;
        let mut hasher = XxHash3_128::new();
        let mut buffer = vec![0; 1 << 20];
        file.seek(SeekFrom::Start(head_bytes))?;
        hash(&mut file, &mut buffer, &mut hasher)?;
        file.rewind()?;
        let read = hash(&mut file.take(head_bytes), &mut buffer, &mut hasher)?;
        if read < head_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self(hasher.finish_128()))
    }
}

fn hash(from: &mut impl Read, buffer: &mut [u8], hasher: &mut XxHash3_128) -> io::Result<u64> {
    let mut total = 0_u64;
    loop {
        let count = match from.read(buffer) {
            Ok(0) => return Ok(total),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.write(buffer.get(..count).unwrap_or_default());
        total = total.saturating_add(u64::try_from(count).unwrap_or(0));
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// What an index knows of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Which.
    pub id: SegmentId,
    /// Its file, from the camera's folder: `2026-11-23/14-05-00.mp4`.
    pub path: String,
    /// What became of it.
    pub state: SegmentState,
    /// When its first frame was captured.
    pub begins: UtcTime,
    /// When its last frame was captured; `begins` while it is open.
    pub ends: UtcTime,
    /// Frames in it; 0 while it is open.
    pub frames: u64,
    /// Frames that arrived meanwhile and were not recorded: the disk was too slow or full.
    pub lost: u64,
    /// The file's; 0 while it is open.
    pub bytes: u64,
    /// How many of them are its head.
    pub head_bytes: u64,
    /// `None` while it is open, and when the index was made anew of files.
    pub checksum: Option<Checksum>,
    /// What its frames are.
    pub format: StreamFormat,
    /// The camera's key's; none of a derived stream.
    pub fingerprint: Option<Fingerprint>,
}

/// Why frames are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// They did not reach this host, or no one could keep up with them.
    Link,
    /// The disk was too slow for them.
    SlowDisk,
    /// The camera was gone, or sent none.
    Source,
    /// There was no room on the disk.
    DiskFull,
    /// They came before a key frame with which a file could begin.
    NoKey,
    /// The clock was set: nothing need be missing, but times do not go on from one another.
    Clock,
    /// A later version of this program knows why.
    Unknown,
}

impl GapReason {
    const ALL: [Self; 7] = [
        Self::Link,
        Self::SlowDisk,
        Self::Source,
        Self::DiskFull,
        Self::NoKey,
        Self::Clock,
        Self::Unknown,
    ];

    /// As it stands in the index and is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::SlowDisk => "slow disk",
            Self::Source => "source",
            Self::DiskFull => "disk full",
            Self::NoKey => "no key frame",
            Self::Clock => "clock",
            Self::Unknown => "unknown",
        }
    }

    fn parse(text: &str) -> Self {
        let known = Self::ALL.into_iter().find(|reason| reason.as_str() == text);
        known.unwrap_or(Self::Unknown)
    }
}

/// A stretch in which frames are not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The last moment before it.
    pub begins: UtcTime,
    /// The first moment after it. Before `begins` when the clock was set back.
    pub ends: UtcTime,
    /// How many frames; 0 when nobody knows.
    pub frames: u64,
    /// Why.
    pub reason: GapReason,
}

/// The columns that [`read_segment`] takes.
pub(super) const SEGMENT_COLUMNS: &str = "id, path, state, begins, ends, frames, lost, bytes, head_bytes, checksum, format, fingerprint, seal";

/// The columns that [`read_gap`] takes.
pub(super) const GAP_COLUMNS: &str = "segment, begins, ends, frames, reason, seal";

/// A row as it was written; anything else is damage.
pub(super) fn read_segment(row: &Row<'_>) -> rusqlite::Result<Segment> {
    let state: String = row.get(2)?;
    let checksum: Option<Vec<u8>> = row.get(9)?;
    let format: String = row.get(10)?;
    let fingerprint: Option<String> = row.get(11)?;
    let segment = Segment {
        id: SegmentId(row.get(0)?),
        path: row.get(1)?,
        state: SegmentState::parse(&state).ok_or_else(damage)?,
        begins: UtcTime(row.get(3)?),
        ends: UtcTime(row.get(4)?),
        frames: count(row.get(5)?)?,
        lost: count(row.get(6)?)?,
        bytes: count(row.get(7)?)?,
        head_bytes: count(row.get(8)?)?,
        checksum: match checksum {
            None => None,
            Some(bytes) => {
                let bytes = bytes.try_into().map_err(|_| damage())?;
                Some(Checksum(u128::from_be_bytes(bytes)))
            }
        },
        format: parse_format(&format).ok_or_else(damage)?,
        fingerprint: match fingerprint {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| damage())?),
        },
    };
    if row.get::<_, i64>(12)? != segment.seal() {
        return Err(damage());
    }
    Ok(segment)
}

/// A row as it was written; anything else is damage.
pub(super) fn read_gap(row: &Row<'_>) -> rusqlite::Result<(SegmentId, Gap)> {
    let segment = SegmentId(row.get(0)?);
    let reason: String = row.get(4)?;
    let gap = Gap {
        begins: UtcTime(row.get(1)?),
        ends: UtcTime(row.get(2)?),
        frames: count(row.get(3)?)?,
        reason: GapReason::parse(&reason),
    };
    // By the word that stands there: one that this version does not know is no damage.
    if row.get::<_, i64>(5)? != gap.seal_as(segment, &reason) {
        return Err(damage());
    }
    Ok((segment, gap))
}

impl Segment {
    /// What the row must have besides its values, so that a bit that fell over on the disk is seen: the database does not look for that.
    pub(super) fn seal(&self) -> i64 {
        let Self {
            id,
            path,
            state,
            begins,
            ends,
            frames,
            lost,
            bytes,
            head_bytes,
            checksum,
            format,
            fingerprint,
        } = self;
        let fingerprint = fingerprint.map(|fingerprint| fingerprint.to_string());
        seal(&format!(
            "{}\0{path}\0{}\0{}\0{}\0{frames}\0{lost}\0{bytes}\0{head_bytes}\0{checksum:?}\0{}\0{fingerprint:?}",
            id.0,
            state.as_str(),
            begins.0,
            ends.0,
            format_text(format)
        ))
    }
}

impl Gap {
    /// See [`Segment::seal`].
    pub(super) fn seal(&self, segment: SegmentId) -> i64 {
        self.seal_as(segment, self.reason.as_str())
    }

    fn seal_as(&self, segment: SegmentId, reason: &str) -> i64 {
        let Self {
            begins,
            ends,
            frames,
            reason: _,
        } = self;
        seal(&format!(
            "{}\0{}\0{}\0{frames}\0{reason}",
            segment.0, begins.0, ends.0
        ))
    }
}

pub(super) fn seal(text: &str) -> i64 {
    let hash = XxHash3_128::oneshot(text.as_bytes()).to_le_bytes();
    let (half, _) = hash.split_first_chunk().unwrap_or((&[0; 8], &[]));
    i64::from_le_bytes(*half)
}

/// Counts stand as the signed numbers that the database has.
fn count(value: i64) -> rusqlite::Result<u64> {
    u64::try_from(value).map_err(|_| damage())
}

/// See [`count`]. No file has more than 2⁶³ bytes or frames.
pub(super) fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What [`super::error::is_damage`] takes for damage.
pub(super) fn damage() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
        Some("a row is not as it was written".to_owned()),
    )
}

/// `H264 1920x1080 30/1`. Names that cannot be printed stand as their number, `0x48323634`.
pub(crate) fn format_text(format: &StreamFormat) -> String {
    let StreamFormat {
        fourcc,
        width,
        height,
        rate,
    } = format;
    let mut name = fourcc.to_string();
    if name.contains(' ') || name.parse() != Ok(*fourcc) {
        name = format!("0x{:08x}", u32::from_be_bytes(fourcc.0));
    }
    format!(
        "{name} {width}x{height} {}/{}",
        rate.numerator, rate.denominator
    )
}

/// Reads what [`format_text`] makes.
pub(super) fn parse_format(text: &str) -> Option<StreamFormat> {
    let mut words = text.split(' ');
    let (name, size, rate) = (words.next()?, words.next()?, words.next()?);
    let fourcc = match name.strip_prefix("0x") {
        Some(number) if number.len() == 8 => {
            FourCc(u32::from_str_radix(number, 16).ok()?.to_be_bytes())
        }
        _ => name.parse().ok()?,
    };
    let (width, height) = size.split_once('x')?;
    let (numerator, denominator) = rate.split_once('/')?;
    Some(StreamFormat {
        fourcc,
        width: width.parse().ok()?,
        height: height.parse().ok()?,
        rate: FrameRate::new(numerator.parse().ok()?, denominator.parse().ok()?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_any_name_are_read_back() {
        for fourcc in [
            *b"H264",
            *b"Y16 ",
            *b"Y16\xa0",
            *b"h264",
            [0; 4],
            [255; 4],
            *b" A\0?",
            *b"0XAB",
        ] {
            let format = StreamFormat {
                fourcc: FourCc(fourcc),
                width: 1920,
                height: u32::MAX,
                rate: FrameRate {
                    numerator: 30_000,
                    denominator: 1001,
                },
            };
            assert_eq!(
                parse_format(&format_text(&format)),
                Some(format),
                "{fourcc:?}"
            );
        }
    }

    #[test]
    fn the_head_comes_last_in_the_checksum() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.mp4");
        std::fs::write(&path, b"headtail").unwrap();
        let expected = Checksum(XxHash3_128::oneshot(b"tailhead"));
        assert_eq!(Checksum::of_file(&path, 4).unwrap(), expected);
        assert!(Checksum::of_file(&path, 9).is_err());
        // The index of another version must find it too.
        assert_eq!(
            Checksum(XxHash3_128::oneshot(b"")).to_string(),
            "99aa06d3014798d86001c324468d497f"
        );
    }
}
