//! What an MP4 file begins with: `ftyp` and `moov`.

use mp4_atom::{
    Dinf, Dref, DrefEntry, Edts, Elst, ElstEntry, Encode, FixedPoint, FourCC, Ftyp, Hdlr, Mdhd,
    Mdia, Mehd, Minf, Moov, Mvex, Mvhd, Stbl, Stsd, Tkhd, Trak, Trex, Url, Visual, Vmhd,
};
use sdvr_frame::FourCc;

use super::super::ticks::TICKS_PER_SECOND;
use super::super::{NotRecordable, about_line};
use super::TRACK;
use super::boxes::{HEADER_BYTES, boxed, find, find_within};
use super::codec::{Codec, Restorer};
use crate::sample::{About, UtcTime};

/// Dates in MP4 are seconds since 1904.
const FROM_1904_TO_1970_S: i64 = 2_082_844_800;
const NS_PER_S: i64 = 1_000_000_000;
/// More than any head of ours has.
pub(super) const MOST_BYTES: u64 = 16 << 20;

/// Where lengths in ticks are, which a file that is being made does not know: boxes, and bytes of their bodies before it.
const DURATIONS: [(&[&[u8; 4]], usize); 4] = [
    (&[b"moov", b"mvhd"], 24),
    (&[b"moov", b"trak", b"tkhd"], 28),
    (&[b"moov", b"trak", b"mdia", b"mdhd"], 24),
    (&[b"moov", b"mvex", b"mehd"], 4),
];
const SAMPLE_DESCRIPTION: [&[u8; 4]; 6] = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"];
/// Of a visual sample entry, up to its boxes, behind the header of its own.
const VISUAL_BYTES: usize = 78;

/// The places in a head that lengths are written to when the file ends.
pub(super) fn duration_places(head: &[u8]) -> impl Iterator<Item = u64> {
    DURATIONS.iter().filter_map(|(path, before)| {
        let (at, body) = find_within(head, path)?;
        body.get(*before..before.checked_add(size_of::<u64>())?)?;
        u64::try_from(at.checked_add(*before)?).ok()
    })
}

/// `lead` is how much later than it should each sample is said to be shown, in ticks: an edit takes it away again (ISO/IEC 14496-12, 8.6.6).
pub(super) fn write(about: &About, codec: &Codec, lead: u32) -> Result<Vec<u8>, NotRecordable> {
    let size = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX);
    let (width, height) = (size(about.format.width), size(about.format.height));
    let entry = codec.sample_entry(Visual {
        data_reference_index: 1,
        width,
        height,
        ..Visual::default()
    })?;
    let created = about.begins.0.div_euclid(NS_PER_S);
    let created = u64::try_from(created.saturating_add(FROM_1904_TO_1970_S)).unwrap_or(0);
    let moov = Moov {
        mvhd: Mvhd {
            creation_time: created,
            modification_time: created,
            timescale: TICKS_PER_SECOND,
            next_track_id: TRACK.saturating_add(1),
            ..Mvhd::default()
        },
        mvex: Some(Mvex {
            mehd: Some(Mehd {
                fragment_duration: 0,
            }),
            trex: vec![Trex {
                track_id: TRACK,
                default_sample_description_index: 1,
                ..Trex::default()
            }],
        }),
        trak: vec![Trak {
            tkhd: Tkhd {
                creation_time: created,
                modification_time: created,
                track_id: TRACK,
                enabled: true,
                in_movie: true,
                width: FixedPoint::from(width),
                height: FixedPoint::from(height),
                ..Tkhd::default()
            },
            edts: (lead > 0).then(|| begins_at(lead)),
            mdia: media(about, entry, created),
            ..Trak::default()
        }],
        ..Moov::default()
    };
    let too_long = |_| NotRecordable::WrongParameters(about.format.fourcc, "parameter set");
    let mut bytes = Vec::new();
    file_type().encode(&mut bytes).map_err(too_long)?;
    let mut movie = Vec::new();
    moov.encode(&mut movie).map_err(too_long)?;
    let mut body = movie.split_off(HEADER_BYTES);
    body.extend(user_data(about));
    bytes.extend(boxed(b"moov", &body));
    Ok(bytes)
}

fn begins_at(lead: u32) -> Edts {
    Edts {
        elst: Some(Elst {
            entries: vec![ElstEntry {
                // All that is there, of a film in fragments.
                segment_duration: 0,
                media_time: Some(lead.into()),
                media_rate: FixedPoint::from(1_i16),
            }],
        }),
    }
}

fn media(about: &About, entry: mp4_atom::Codec, created: u64) -> Mdia {
    Mdia {
        mdhd: Mdhd {
            creation_time: created,
            modification_time: created,
            timescale: TICKS_PER_SECOND,
            language: "und".to_owned(),
            ..Mdhd::default()
        },
        hdlr: Hdlr {
            handler: FourCC::new(b"vide"),
            name: about.label.as_str().to_owned(),
        },
        minf: Minf {
            vmhd: Some(Vmhd::default()),
            dinf: Dinf {
                dref: Dref {
                    entries: vec![DrefEntry::Url(Url::default())],
                },
            },
            stbl: Stbl {
                stsd: Stsd {
                    codecs: vec![entry],
                },
                ..Stbl::default()
            },
            ..Minf::default()
        },
    }
}

fn file_type() -> Ftyp {
    let brand = |name| FourCC::new(name);
    Ftyp {
        major_brand: brand(b"iso6"),
        minor_version: 1,
        compatible_brands: vec![brand(b"iso6"), brand(b"isom"), brand(b"mp41")],
    }
}

/// What players show of a file: its title, its date, a comment; the last is read back.
fn user_data(about: &About) -> Vec<u8> {
    let text = |kind: &[u8; 4], text: &str| {
        // UTF-8, of no country.
        let data = [&[0, 0, 0, 1, 0, 0, 0, 0], text.as_bytes()].concat();
        boxed(kind, &boxed(b"data", &data))
    };
    let list = [
        text(b"\xa9nam", about.label.as_str()),
        text(b"\xa9day", &UtcTime(about.begins.0.max(0)).to_string()),
        text(b"\xa9too", concat!("sdvr ", env!("CARGO_PKG_VERSION"))),
        text(b"\xa9cmt", &about_line::write(about)),
    ];
    let handler = [&[0; 8], b"mdirappl".as_slice(), &[0; 9]].concat();
    let meta = [
        vec![0; 4],
        boxed(b"hdlr", &handler),
        boxed(b"ilst", &list.concat()),
    ];
    boxed(b"udta", &boxed(b"meta", &meta.concat()))
}

/// What a head says of its file; `None` if it is none of ours.
pub(super) fn parse(head: &[u8]) -> Option<(About, Restorer)> {
    let (_, meta) = find_within(head, &[b"moov", b"udta", b"meta"])?;
    let (_, comment) = find_within(meta.get(4..)?, &[b"ilst", b"\xa9cmt", b"data"])?;
    let comment = comment.get(8..)?;
    if comment.len() > about_line::MOST_BYTES {
        return None;
    }
    let about = about_line::parse(std::str::from_utf8(comment).ok()?)?;
    let (_, descriptions) = find_within(head, &SAMPLE_DESCRIPTION)?;
    let kind: &[u8; 4] = match about.format.fourcc {
        FourCc::H264 => b"avc1",
        FourCc::HEVC => b"hvc1",
        FourCc::AV01 => b"av01",
        _ => return None,
    };
    let (_, entry) = find(descriptions.get(8..)?, kind)?;
    let restorer = Restorer::of_entry(about.format.fourcc, entry.get(VISUAL_BYTES..)?)?;
    Some((about, restorer))
}
