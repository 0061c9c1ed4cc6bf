//! Where a track's samples are, and when: the tables of `stbl` (ISO/IEC 14496-12, 8.6 to 8.8).
//!
//! They stay as the file has them, which is a few bytes a sample, and are read along as the samples are played.

use super::boxes::boxes;
use crate::container::fields::Fields;
use crate::container::{ContainerError, rate};

/// A sample in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) offset: u64,
    pub(super) bytes: u32,
    /// In ticks of the track.
    pub(super) time: u64,
    pub(super) description: usize,
    /// Whether decoding can begin with it.
    pub(super) is_key: bool,
}

/// Entries of the same length.
#[derive(Debug, Default)]
struct Table {
    bytes: Box<[u8]>,
    entry_bytes: usize,
}

impl Table {
    /// What follows the count of a box that holds such entries. One that is cut off has the entries that are there.
    fn new(fields: Fields<'_>, count: u32, entry_bytes: usize) -> Self {
        let wanted = usize::try_from(count)
            .unwrap_or(usize::MAX)
            .saturating_mul(entry_bytes);
        let rest = fields.rest();
        Self {
            bytes: rest.get(..wanted).unwrap_or(rest).into(),
            entry_bytes,
        }
    }

    fn get(&self, index: usize) -> Option<Fields<'_>> {
        // A table that the file does not have.
        if self.entry_bytes == 0 {
            return None;
        }
        let start = index.checked_mul(self.entry_bytes)?;
        let end = start.checked_add(self.entry_bytes)?;
        self.bytes.get(start..end).map(Fields::new)
    }
}

#[derive(Debug)]
enum Sizes {
    Same {
        bytes: u32,
        count: u32,
    },
    Each(Table),
    /// Of 4 bits, two a byte.
    Halves {
        table: Table,
        count: u32,
    },
}

impl Sizes {
    fn count(&self) -> u64 {
        match self {
            Self::Same { count, .. } => (*count).into(),
            Self::Each(table) => {
                (table.bytes.len().checked_div(table.entry_bytes)).unwrap_or(0) as u64
            }
            Self::Halves { table, count } => (table.bytes.len() as u64)
                .saturating_mul(2)
                .min((*count).into()),
        }
    }

    fn get(&self, index: usize) -> Option<u32> {
        match self {
            Self::Same { bytes, count } => {
                (u64::try_from(index).ok()? < u64::from(*count)).then_some(*bytes)
            }
            Self::Each(table) => {
                let mut fields = table.get(index)?;
                match table.entry_bytes {
                    1 => fields.u8().map(u32::from),
                    2 => fields.u16().map(u32::from),
                    _ => fields.u32(),
                }
            }
            Self::Halves { table, count } => {
                if index as u64 >= u64::from(*count) {
                    return None;
                }
                let byte = table.get(index / 2)?.u8()?;
                let half = if index.is_multiple_of(2) {
                    byte >> 4
                } else {
                    byte & 0xf
                };
                Some(half.into())
            }
        }
    }
}

/// The tables, and how far they were played.
#[derive(Debug)]
pub(super) struct Tables {
    sizes: Sizes,
    /// Count, duration.
    durations: Table,
    /// First chunk, samples a chunk, description.
    runs: Table,
    /// Offsets of 4 or 8 bytes.
    chunks: Table,
    /// The numbers of key frames, from 1; where there is no such table, all are.
    keys: Option<Table>,
    at: At,
}

/// How far the tables were read along.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct At {
    sample: usize,
    time: u64,
    /// Which entry of the durations, and how many samples of it are left behind this one.
    duration_entry: usize,
    duration: u64,
    duration_left: u32,
    /// The chunk after this one, from 0.
    next_chunk: usize,
    run: usize,
    left_in_chunk: u32,
    offset: u64,
    description: usize,
    /// The entry of the next key frame.
    key: usize,
}

impl Tables {
    /// Reads the tables of `stbl`.
    pub(super) fn parse(stbl: &[u8]) -> Result<Self, ContainerError> {
        let mut tables = Self {
            sizes: Sizes::Same { bytes: 0, count: 0 },
            durations: Table::default(),
            runs: Table::default(),
            chunks: Table::default(),
            keys: None,
            at: At::default(),
        };
        for found in boxes(stbl) {
            let (kind, body) = found?;
            tables
                .read(kind, body)
                .ok_or(ContainerError::Malformed("one of its tables is cut off"))?;
        }
        Ok(tables)
    }

    fn read(&mut self, kind: [u8; 4], body: &[u8]) -> Option<()> {
        let mut fields = Fields::new(body);
        match &kind {
            b"stsz" => {
                fields.u32()?;
                let (bytes, count) = (fields.u32()?, fields.u32()?);
                self.sizes = match bytes {
                    0 => Sizes::Each(Table::new(fields, count, 4)),
                    bytes => Sizes::Same { bytes, count },
                };
            }
            b"stz2" => {
                fields.u32()?;
                let [_, _, _, bits] = fields.four()?;
                let count = fields.u32()?;
                self.sizes = match bits {
                    4 => Sizes::Halves {
                        table: Table::new(fields, count.div_ceil(2), 1),
                        count,
                    },
                    8 => Sizes::Each(Table::new(fields, count, 1)),
                    _ => Sizes::Each(Table::new(fields, count, 2)),
                };
            }
            b"stts" | b"stsc" | b"stco" | b"co64" | b"stss" => {
                fields.u32()?;
                let count = fields.u32()?;
                match &kind {
                    b"stts" => self.durations = Table::new(fields, count, 8),
                    b"stsc" => self.runs = Table::new(fields, count, 12),
                    b"stss" => self.keys = Some(Table::new(fields, count, 4)),
                    b"stco" => self.chunks = Table::new(fields, count, 4),
                    _ => self.chunks = Table::new(fields, count, 8),
                }
            }
            _ => {}
        }
        Some(())
    }

    pub(super) fn count(&self) -> u64 {
        self.sizes.count()
    }

    /// The mean rate, at so many ticks a second.
    pub(super) fn rate(&self, ticks_per_second: u32) -> sdvr_frame::FrameRate {
        let (mut samples, mut ticks) = (0_u64, 0_u64);
        for index in 0.. {
            let Some(mut entry) = self.durations.get(index) else {
                break;
            };
            let (count, duration) = (entry.u32().unwrap_or(0), entry.u32().unwrap_or(0));
            // The last one's duration says when it ends, which is often anything.
            let is_last = self.durations.get(index.saturating_add(1)).is_none();
            if is_last && count == 1 && samples > 0 {
                break;
            }
            samples = samples.saturating_add(count.into());
            ticks = ticks.saturating_add(u64::from(count).saturating_mul(duration.into()));
        }
        rate(samples, ticks, ticks_per_second.into())
    }

    /// The next sample; `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<Located>, ContainerError> {
        let Some(bytes) = self.sizes.get(self.at.sample) else {
            return Ok(None);
        };
        self.enter_chunk().ok_or(ContainerError::Malformed(
            "its index ends before its samples",
        ))?;
        self.enter_duration();
        let is_key = self.is_at_key();
        let at = &mut self.at;
        let located = Located {
            offset: at.offset,
            bytes,
            time: at.time,
            description: at.description,
            is_key,
        };
        at.sample = at.sample.saturating_add(1);
        at.left_in_chunk = at.left_in_chunk.saturating_sub(1);
        at.offset = at.offset.saturating_add(bytes.into());
        at.duration_left = at.duration_left.saturating_sub(1);
        at.time = at.time.saturating_add(at.duration);
        Ok(Some(located))
    }

    /// How far the samples were played.
    pub(super) const fn at(&self) -> At {
        self.at
    }

    /// Goes to where the samples were played to.
    pub(super) const fn go_to(&mut self, at: At) {
        self.at = at;
    }

    /// When the samples that were played end, in ticks.
    pub(super) const fn time(&self) -> u64 {
        self.at.time
    }

    /// Whether the next sample is a key frame.
    fn is_at_key(&mut self) -> bool {
        let Some(keys) = &self.keys else {
            return true;
        };
        let number = (self.at.sample as u64).saturating_add(1);
        while let Some(key) = keys.get(self.at.key).and_then(|mut entry| entry.u32()) {
            if u64::from(key) >= number {
                return u64::from(key) == number;
            }
            self.at.key = self.at.key.saturating_add(1);
        }
        false
    }

    /// Goes to the chunk that the next sample is in.
    fn enter_chunk(&mut self) -> Option<()> {
        while self.at.left_in_chunk == 0 {
            let chunk = self.at.next_chunk;
            let mut entry = self.chunks.get(chunk)?;
            self.at.offset = match self.chunks.entry_bytes {
                4 => entry.u32()?.into(),
                _ => entry.u64()?,
            };
            // Chunks count from 1. A run holds until the first chunk of the next.
            while let Some(mut next) = self.runs.get(self.at.run.saturating_add(1)) {
                if usize::try_from(next.u32()?).ok()? > chunk.saturating_add(1) {
                    break;
                }
                self.at.run = self.at.run.saturating_add(1);
            }
            let mut run = self.runs.get(self.at.run)?;
            run.u32()?;
            self.at.left_in_chunk = run.u32()?;
            self.at.description = usize::try_from(run.u32()?).ok()?.saturating_sub(1);
            self.at.next_chunk = chunk.saturating_add(1);
        }
        Some(())
    }

    /// Goes to the entry of the next sample's duration. Behind the last one, all are as long as that.
    fn enter_duration(&mut self) {
        while self.at.duration_left == 0 {
            let Some(mut entry) = self.durations.get(self.at.duration_entry) else {
                return;
            };
            self.at.duration_entry = self.at.duration_entry.saturating_add(1);
            self.at.duration_left = entry.u32().unwrap_or(0);
            self.at.duration = entry.u32().unwrap_or(0).into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], words: &[u32]) -> Vec<u8> {
        let body: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let length = u32::try_from(body.len() + 8).unwrap();
        [&length.to_be_bytes(), kind, body.as_slice()].concat()
    }

    /// Offset, bytes, time and description of a sample.
    type Found = (u64, u32, u64, usize);

    fn play(stbl: &[Vec<u8>]) -> (Vec<Found>, Option<ContainerError>) {
        let mut tables = Tables::parse(&stbl.concat()).unwrap();
        let mut found = Vec::new();
        loop {
            match tables.next() {
                Ok(Some(at)) => found.push((at.offset, at.bytes, at.time, at.description)),
                Ok(None) => return (found, None),
                Err(error) => return (found, Some(error)),
            }
        }
    }

    #[test]
    fn samples_are_found_through_runs_of_chunks() {
        let stbl = [
            boxed(b"stsz", &[0, 0, 5, 10, 20, 30, 40, 50]),
            boxed(b"stts", &[0, 2, 2, 100, 1, 7]),
            // Two samples in chunk 1, one in each later one; of chunk 3 on, the second description.
            boxed(b"stsc", &[0, 3, 1, 2, 1, 2, 1, 1, 3, 1, 2]),
            boxed(b"stco", &[0, 4, 1000, 2000, 3000, 500]),
        ];
        let expected = [
            (1000, 10, 0, 0),
            (1010, 20, 100, 0),
            (2000, 30, 200, 0),
            (3000, 40, 207, 1),
            (500, 50, 214, 1),
        ];
        assert_eq!(play(&stbl), (expected.to_vec(), None));
    }

    #[test]
    fn an_index_that_ends_early_gives_what_it_has() {
        let damaged = Some(ContainerError::Malformed(
            "its index ends before its samples",
        ));
        let stbl = [
            boxed(b"stsz", &[0, 9, u32::MAX]),
            boxed(b"stsc", &[0, 1, 1, 2, 1]),
            boxed(b"stco", &[0, 1, 100]),
        ];
        assert_eq!(
            play(&stbl),
            (vec![(100, 9, 0, 0), (109, 9, 0, 0)], damaged.clone())
        );
        // Chunks without samples lead nowhere.
        let empty = [
            boxed(b"stsz", &[0, 9, 1]),
            boxed(b"stsc", &[0, 1, 1, 0, 1]),
            boxed(b"co64", &[0, 2, 0, 1, 0, 2]),
        ];
        assert_eq!(play(&empty), (Vec::new(), damaged));
        assert!(Tables::parse(&boxed(b"stsz", &[0, 0])).is_err());
    }

    #[test]
    fn small_samples_have_small_sizes() {
        let sizes = |stz2: Vec<u8>| {
            let rest = [boxed(b"stsc", &[0, 1, 1, 9, 1]), boxed(b"stco", &[0, 1, 0])];
            let played = play(&[vec![stz2], rest.to_vec()].concat()).0;
            played.iter().map(|sample| sample.1).collect::<Vec<_>>()
        };
        assert_eq!(sizes(boxed(b"stz2", &[0, 4, 3, 0x1230_0000])), [1, 2, 3]);
        assert_eq!(sizes(boxed(b"stz2", &[0, 8, 3, 0x0102_0300])), [1, 2, 3]);
        assert_eq!(sizes(boxed(b"stz2", &[0, 16, 2, 0x0001_0002])), [1, 2]);
    }
}
