//! What `moov` says of the first video track (ISO/IEC 14496-12, 8.2 to 8.4).

use super::boxes::{boxes, find, version_and_flags};
use super::entry;
use super::tables::Tables;
use crate::container::fields::Fields;
use crate::container::{ContainerError, Track};
use crate::play_from::parse_date;

/// What samples of a fragment are unless it says otherwise (`trex`).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Defaults {
    /// Counts from 1.
    pub(super) description: u32,
    pub(super) duration: u32,
    pub(super) bytes: u32,
    pub(super) flags: u32,
}

/// The track, and where its samples are.
#[derive(Debug)]
pub(super) struct Movie {
    pub(super) track: Track,
    pub(super) ticks_per_second: u32,
    pub(super) tables: Tables,
    /// Whether there may be fragments, and what holds for those.
    pub(super) fragments: Option<Defaults>,
    /// When it was recorded: nanoseconds since 1970.
    pub(super) date: Option<i64>,
}

const INCOMPLETE: ContainerError = ContainerError::Malformed("its video track lacks a part");

impl Movie {
    pub(super) fn parse(moov: &[u8]) -> Result<Self, ContainerError> {
        for found in boxes(moov) {
            let (kind, trak) = found?;
            if kind == *b"trak"
                && let Some(mdia) = find(trak, b"mdia")?
                && is_video(mdia)?
            {
                return parse_track(moov, trak, mdia);
            }
        }
        Err(ContainerError::NoVideo)
    }
}

fn is_video(mdia: &[u8]) -> Result<bool, ContainerError> {
    let handler = find(mdia, b"hdlr")?;
    Ok(handler.and_then(|hdlr| hdlr.get(8..12)) == Some(b"vide"))
}

fn parse_track(moov: &[u8], trak: &[u8], mdia: &[u8]) -> Result<Movie, ContainerError> {
    let number = find(trak, b"tkhd")?.and_then(track_number);
    let ticks = find(mdia, b"mdhd")?.and_then(ticks_per_second);
    let stbl = match find(mdia, b"minf")? {
        Some(minf) => find(minf, b"stbl")?,
        None => None,
    };
    let (Some(number), Some(ticks_per_second), Some(stbl)) = (number, ticks, stbl) else {
        return Err(INCOMPLETE);
    };
    let entries = entry::parse(find(stbl, b"stsd")?.ok_or(INCOMPLETE)?)?;
    let tables = Tables::parse(stbl)?;
    let fragments = match find(moov, b"mvex")? {
        Some(mvex) => Some(defaults(mvex, number)?),
        None => None,
    };
    Ok(Movie {
        track: Track {
            number: number.into(),
            width: entries.size.0,
            height: entries.size.1,
            rate: tables.rate(ticks_per_second),
            descriptions: entries.descriptions,
        },
        ticks_per_second,
        tables,
        fragments,
        date: date(moov)?,
    })
}

fn track_number(tkhd: &[u8]) -> Option<u32> {
    let mut fields = Fields::new(tkhd);
    let (version, _) = version_and_flags(&mut fields)?;
    fields.take(if version == 1 { 16 } else { 8 })?;
    fields.u32()
}

fn ticks_per_second(mdhd: &[u8]) -> Option<u32> {
    let mut fields = Fields::new(mdhd);
    let (version, _) = version_and_flags(&mut fields)?;
    fields.take(if version == 1 { 16 } else { 8 })?;
    fields.u32().filter(|&ticks| ticks > 0)
}

/// Seconds from 1904, as these files count, to 1970.
const SECONDS_TO_1970: i64 = 2_082_844_800;
const NS_PER_S: i64 = 1_000_000_000;

/// By the file's head, which has it to the second, and more exactly by what people are shown, if that is the same second.
fn date(moov: &[u8]) -> Result<Option<i64>, ContainerError> {
    let Some(created) = find(moov, b"mvhd")?.and_then(created) else {
        return Ok(None);
    };
    // What is wrong in there harms nobody's video.
    let shown = shown_date(moov).ok().flatten();
    let is_same = |shown: &i64| (0..NS_PER_S).contains(&shown.saturating_sub(created));
    Ok(shown.filter(is_same).or(Some(created)))
}

/// As `ilst` has it, if it is a whole date with a time.
fn shown_date(moov: &[u8]) -> Result<Option<i64>, ContainerError> {
    let mut body = moov;
    for kind in [b"udta", b"meta", b"ilst", b"\xa9day", b"data"] {
        match find(body, kind)? {
            // Its version and flags, before the boxes in it.
            Some(found) if kind == b"meta" => body = found.get(4..).unwrap_or_default(),
            Some(found) => body = found,
            None => return Ok(None),
        }
    }
    // What kind of text it is, and of which country.
    let text = body
        .get(8..)
        .and_then(|text| std::str::from_utf8(text).ok());
    Ok(text.and_then(parse_date))
}

fn created(mvhd: &[u8]) -> Option<i64> {
    let mut fields = Fields::new(mvhd);
    let seconds = match version_and_flags(&mut fields)?.0 {
        1 => fields.u64()?,
        _ => fields.u32()?.into(),
    };
    // Most writers leave it out by a zero.
    let since_1970 = i64::try_from(seconds).ok()?.checked_sub(SECONDS_TO_1970)?;
    (since_1970 > 0).then(|| since_1970.saturating_mul(NS_PER_S))
}

fn defaults(mvex: &[u8], track: u32) -> Result<Defaults, ContainerError> {
    for found in boxes(mvex) {
        let (kind, trex) = found?;
        let mut fields = Fields::new(trex);
        let defaults = (|| {
            fields.u32()?;
            (fields.u32()? == track).then_some(())?;
            Some(Defaults {
                description: fields.u32()?,
                duration: fields.u32()?,
                bytes: fields.u32()?,
                flags: fields.u32().unwrap_or(0),
            })
        })();
        if let Some(defaults) = defaults.filter(|_| kind == *b"trex") {
            return Ok(defaults);
        }
    }
    Ok(Defaults {
        description: 1,
        ..Defaults::default()
    })
}
