//! The samples of a fragment: `moof` (ISO/IEC 14496-12, 8.8).

use std::collections::VecDeque;

use super::boxes::{boxes, find, version_and_flags};
use super::movie::Defaults;
use super::tables::Located;
use crate::container::ContainerError;
use crate::container::fields::Fields;

const CUT_OFF: ContainerError = ContainerError::Malformed("a fragment's index is cut off");

/// Samples that stand one behind the other.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Of what a sample may say: only what the flags tell is there.
    entries: Box<[u8]>,
    flags: u32,
    left: u32,
    at: usize,
    offset: u64,
    time: u64,
    defaults: Defaults,
    /// Of the first sample, where they are others than the rest's.
    first_flags: Option<u32>,
}

const DATA_OFFSET: u32 = 1;
const FIRST_FLAGS: u32 = 4;
const DURATION: u32 = 0x100;
const SIZE: u32 = 0x200;
const FLAGS: u32 = 0x400;
const SHOWN_LATER: u32 = 0x800;
/// Of a sample's flags: whether others are needed to decode it.
const IS_NO_KEY: u32 = 0x0001_0000;

impl Run {
    /// The next sample; `None` behind the last.
    pub(super) fn next(&mut self) -> Option<Located> {
        self.left = self.left.checked_sub(1)?;
        let mut fields = Fields::new(self.entries.get(self.at..)?);
        let mut value = |flag, default| match self.flags & flag {
            0 => Some(default),
            _ => fields.u32(),
        };
        let duration = value(DURATION, self.defaults.duration)?;
        let bytes = value(SIZE, self.defaults.bytes)?;
        let flags = value(FLAGS, self.defaults.flags)?;
        let flags = self.first_flags.take().unwrap_or(flags);
        let entry_bytes = entry_bytes(self.flags);
        self.at = self.at.saturating_add(entry_bytes);
        let located = Located {
            offset: self.offset,
            bytes,
            time: self.time,
            description: usize::try_from(self.defaults.description)
                .unwrap_or(usize::MAX)
                .saturating_sub(1),
            is_key: flags & IS_NO_KEY == 0,
        };
        self.offset = self.offset.saturating_add(bytes.into());
        self.time = self.time.saturating_add(duration.into());
        Some(located)
    }

    /// How long the first sample is shown, in ticks.
    pub(super) fn first_duration(&self) -> u32 {
        match self.flags & DURATION {
            0 => self.defaults.duration,
            _ => Fields::new(&self.entries).u32().unwrap_or(0),
        }
    }

    /// Where the bytes of the last sample end, and when it does.
    fn end(&self) -> (u64, u64) {
        if self.flags & (DURATION | SIZE) == 0 {
            let sum = |each: u32| u64::from(each).saturating_mul(self.left.into());
            return (
                self.offset.saturating_add(sum(self.defaults.bytes)),
                self.time.saturating_add(sum(self.defaults.duration)),
            );
        }
        // As many entries as there are, at most: `parse_run` has seen to that.
        let (mut offset, mut time) = (self.offset, self.time);
        for entry in self.entries.chunks_exact(entry_bytes(self.flags).max(1)) {
            let mut fields = Fields::new(entry);
            let mut value = |flag, default| match self.flags & flag {
                0 => default,
                _ => fields.u32().unwrap_or(0),
            };
            time = time.saturating_add(value(DURATION, self.defaults.duration).into());
            offset = offset.saturating_add(value(SIZE, self.defaults.bytes).into());
        }
        (offset, time)
    }
}

const fn entry_bytes(flags: u32) -> usize {
    4 * (flags & (DURATION | SIZE | FLAGS | SHOWN_LATER)).count_ones() as usize
}

/// The runs of a track in the body of a `moof` that begins at `moof_offset`. `time` is when its samples begin if it does not say, and becomes
/// when they end.
pub(super) fn runs(
    moof: &[u8],
    moof_offset: u64,
    track: u64,
    defaults: Defaults,
    time: &mut u64,
) -> Result<VecDeque<Run>, ContainerError> {
    let mut runs = VecDeque::new();
    // Where the bytes of the track before have ended.
    let mut end = moof_offset;
    for found in boxes(moof) {
        let (kind, traf) = found?;
        if kind != *b"traf" {
            continue;
        }
        let header = find(traf, b"tfhd")?.ok_or(CUT_OFF)?;
        let mut header = TrackHeader::parse(header, defaults).ok_or(CUT_OFF)?;
        let is_ours = u64::from(header.track) == track;
        if !is_ours {
            // Of others only how many bytes they have matters, in as far as they say.
            header.defaults.duration = 0;
        }
        let mut base = header.base.unwrap_or(match header.is_from_moof {
            true => moof_offset,
            false => end,
        });
        let mut starts = 0;
        if is_ours {
            starts = match find(traf, b"tfdt")? {
                Some(tfdt) => decoding_time(tfdt).ok_or(CUT_OFF)?,
                None => *time,
            };
        }
        let first_base = base;
        for found in boxes(traf) {
            let (kind, trun) = found?;
            if kind != *b"trun" {
                continue;
            }
            let run = parse_run(trun, first_base, base, starts, header.defaults).ok_or(CUT_OFF)?;
            (base, starts) = run.end();
            if is_ours {
                runs.push_back(run);
            }
        }
        end = base;
        if is_ours {
            *time = starts;
        }
    }
    Ok(runs)
}

/// `tfhd`.
struct TrackHeader {
    track: u32,
    base: Option<u64>,
    is_from_moof: bool,
    defaults: Defaults,
}

impl TrackHeader {
    fn parse(tfhd: &[u8], defaults: Defaults) -> Option<Self> {
        let mut fields = Fields::new(tfhd);
        let (_, flags) = version_and_flags(&mut fields)?;
        let track = fields.u32()?;
        let base = match flags & 1 {
            0 => None,
            _ => Some(fields.u64()?),
        };
        let mut value = |flag, default| match flags & flag {
            0 => Some(default),
            _ => fields.u32(),
        };
        let description = value(2, defaults.description)?;
        let duration = value(8, defaults.duration)?;
        let bytes = value(0x10, defaults.bytes)?;
        let sample_flags = value(0x20, defaults.flags)?;
        Some(Self {
            track,
            base,
            is_from_moof: flags & 0x0002_0000 != 0,
            defaults: Defaults {
                description,
                duration,
                bytes,
                flags: sample_flags,
            },
        })
    }
}

fn decoding_time(tfdt: &[u8]) -> Option<u64> {
    let mut fields = Fields::new(tfdt);
    match version_and_flags(&mut fields)?.0 {
        1 => fields.u64(),
        _ => fields.u32().map(u64::from),
    }
}

fn parse_run(trun: &[u8], base: u64, follows: u64, time: u64, defaults: Defaults) -> Option<Run> {
    let mut fields = Fields::new(trun);
    let (_, flags) = version_and_flags(&mut fields)?;
    let count = fields.u32()?;
    let offset = match flags & DATA_OFFSET {
        0 => follows,
        _ => base.checked_add_signed(fields.i32()?.into())?,
    };
    let first_flags = match flags & FIRST_FLAGS {
        0 => None,
        _ => Some(fields.u32()?),
    };
    let bytes = usize::try_from(count)
        .ok()?
        .checked_mul(entry_bytes(flags))?;
    Some(Run {
        entries: fields.rest().get(..bytes)?.into(),
        flags,
        left: count,
        at: 0,
        offset,
        time,
        defaults,
        first_flags,
    })
}
