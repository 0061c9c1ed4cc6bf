//! What a Matroska file begins with: what it is, who made it when, its track.
//!
//! What is only known at the end has its place: of each there is an element `Void` of the length that it will have.

use sdvr_frame::FourCc;

use super::super::about_line;
use super::super::ticks::NS_PER_TICK;
use super::TRACK;
use super::ebml::{LENGTH_UNKNOWN, element, elements, header, id, text, unsigned, void};
use crate::sample::About;

/// Dates in Matroska are nanoseconds since 2001.
const FROM_1970_TO_2001_NS: i64 = 978_307_200_000_000_000;
const PROGRAM: &str = concat!("sdvr ", env!("CARGO_PKG_VERSION"));
/// More than any head of ours has.
pub(super) const MOST_BYTES: u64 = 1 << 16;
/// Of one entry of the index of elements.
pub(super) const SEEK_BYTES: usize = 21;
/// Of the length of the whole.
pub(super) const DURATION_BYTES: usize = 11;

pub(super) const SEGMENT: u32 = 0x1853_8067;
pub(super) const SEEK_HEAD: u32 = 0x114d_9b74;
pub(super) const INFO: u32 = 0x1549_a966;
pub(super) const TRACKS: u32 = 0x1654_ae6b;
pub(super) const TAGS: u32 = 0x1254_c367;
pub(super) const CUES: u32 = 0x1c53_bb6b;
const TAG: u32 = 0x7373;
const SIMPLE_TAG: u32 = 0x67c8;
const TAG_STRING: u32 = 0x4487;
const COMMENT: &str = "COMMENT";

pub(super) fn write(about: &About) -> Vec<u8> {
    let info = info(about);
    let tracks = tracks(about);
    let tags = tags(about);
    // Places are counted from the beginning of the segment's body, where this index is.
    let entry_bytes = SEEK_BYTES.saturating_mul(4);
    let mut at = element(SEEK_HEAD, &vec![0; entry_bytes]).len();
    let mut entries = Vec::with_capacity(entry_bytes);
    for (name, content) in [(INFO, &info), (TRACKS, &tracks), (TAGS, &tags)] {
        entries.extend(seek(name, at as u64));
        at = at.saturating_add(content.len());
    }
    entries.extend(void(SEEK_BYTES));
    let ebml = [
        unsigned(0x4286, 1),
        unsigned(0x42f7, 1),
        unsigned(0x42f2, 4),
        unsigned(0x42f3, 8),
        text(0x4282, "matroska"),
        unsigned(0x4287, 4),
        unsigned(0x4285, 2),
    ];
    let mut bytes = element(0x1a45_dfa3, &ebml.concat());
    bytes.extend(id(SEGMENT));
    bytes.extend(LENGTH_UNKNOWN);
    bytes.extend(element(SEEK_HEAD, &entries));
    bytes.extend(info);
    bytes.extend(tracks);
    bytes.extend(tags);
    bytes
}

/// Says where an element is.
pub(super) fn seek(name: u32, place: u64) -> Vec<u8> {
    let name: Vec<u8> = id(name).collect();
    let entry = [
        element(0x53ab, &name),
        element(0x53ac, &place.to_be_bytes()),
    ];
    element(0x4dbb, &entry.concat())
}

fn info(about: &About) -> Vec<u8> {
    let date = about.begins.0.saturating_sub(FROM_1970_TO_2001_NS);
    let parts = [
        unsigned(0x002a_d7b1, NS_PER_TICK.unsigned_abs()),
        void(DURATION_BYTES),
        element(0x4461, &date.to_be_bytes()),
        text(0x7ba9, about.label.as_str()),
        text(0x4d80, PROGRAM),
        text(0x5741, PROGRAM),
    ];
    element(INFO, &parts.concat())
}

fn tracks(about: &About) -> Vec<u8> {
    let format = about.format;
    let (codec, pixels) = codec(format.fourcc);
    let mut video = [
        unsigned(0xb0, format.width.into()),
        unsigned(0xba, format.height.into()),
    ]
    .concat();
    if let Some(pixels) = pixels {
        video.extend(element(0x002e_b524, &pixels));
    }
    let mut entry = [
        unsigned(0xd7, TRACK.into()),
        unsigned(0x73c5, TRACK.into()),
        // Video; no frames are laced.
        unsigned(0x83, 1),
        unsigned(0x9c, 0),
        text(0x0022_b59c, "und"),
        text(0x86, codec),
    ]
    .concat();
    if let Some(interval_ns) = format.rate.interval_ns().filter(|&ns| ns > 0) {
        entry.extend(unsigned(0x0023_e383, interval_ns));
    }
    entry.extend(element(0xe0, &video));
    element(TRACKS, &element(0xae, &entry))
}

/// The codec's name, and of uncompressed pixels what players call them. Those that no player knows keep the name that V4L2 gives them.
fn codec(fourcc: FourCc) -> (&'static str, Option<[u8; 4]>) {
    match &fourcc.0 {
        b"MJPG" | b"JPEG" => return ("V_MJPEG", None),
        b"VP80" => return ("V_VP8", None),
        b"VP90" => return ("V_VP9", None),
        _ => {}
    }
    let name = match &fourcc.0 {
        b"YUYV" => b"YUY2",
        b"NM12" => b"NV12",
        b"YU12" | b"YM12" => b"I420",
        b"GREY" => b"Y800",
        b"422P" => b"Y42B",
        b"444P" => b"444P",
        b"RGB3" => b"RGB\x18",
        b"BGR3" => b"BGR\x18",
        // What ffmpeg calls those that no other player has a name for.
        b"Y16 " => b"Y1\0\x10",
        b"BA81" => b"\xbaBG\x08",
        b"GBRG" => b"\xbaGB\x08",
        b"GRBG" => b"\xbaGR\x08",
        b"RGGB" => b"\xbaRG\x08",
        name => name,
    };
    ("V_UNCOMPRESSED", Some(*name))
}

fn tags(about: &About) -> Vec<u8> {
    let simple = |name: &str, value: &str| {
        let parts = [
            text(0x45a3, name),
            text(0x447a, "und"),
            text(TAG_STRING, value),
        ];
        element(SIMPLE_TAG, &parts.concat())
    };
    let tag = [
        element(0x63c0, &[]),
        simple("TITLE", about.label.as_str()),
        simple(COMMENT, &about_line::write(about)),
    ];
    element(TAGS, &element(TAG, &tag.concat()))
}

/// The places in a head that are written when the file ends, counted from its beginning; `None` if it is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// Of the segment's length, which has eight bytes. The segment begins behind it.
    pub(super) segment_length: u64,
    /// Of the entry of the index of elements that is for the cues.
    pub(super) cues: u64,
    pub(super) duration: u64,
}

impl Places {
    /// Where places in the file are counted from.
    pub(super) const fn segment(self) -> u64 {
        self.segment_length.saturating_add(8)
    }

    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let ebml = elements(head).next()?;
        let segment = ebml.body_at.checked_add(ebml.body.len())?;
        let (name, _, header_bytes) = header(head.get(segment..)?)?;
        let body_at = segment.checked_add(header_bytes)?;
        if name != SEGMENT || header_bytes != 12 {
            return None;
        }
        let mut parts = elements(head.get(body_at..)?);
        let (seeks, info) = (parts.next()?, parts.next()?);
        let cues = elements(seeks.body).nth(3)?;
        let duration = elements(info.body).nth(1)?;
        let place = |part: usize, within: usize| {
            let place = body_at.checked_add(part)?.checked_add(within)?;
            u64::try_from(place).ok()
        };
        let is_right = seeks.id == SEEK_HEAD
            && info.id == INFO
            && cues.bytes() == SEEK_BYTES
            && duration.bytes() == DURATION_BYTES;
        is_right.then_some(Self {
            segment_length: u64::try_from(body_at.checked_sub(8)?).ok()?,
            cues: place(seeks.body_at, cues.at)?,
            duration: place(info.body_at, duration.at)?,
        })
    }
}

/// What a head says of its file; `None` if it is none of ours.
pub(super) fn parse(tags: &[u8]) -> Option<About> {
    elements(tags)
        .filter(|tag| tag.id == TAG)
        .flat_map(|tag| elements(tag.body))
        .filter(|tag| tag.id == SIMPLE_TAG)
        .flat_map(|tag| elements(tag.body))
        .filter(|value| value.id == TAG_STRING && value.body.len() <= about_line::MOST_BYTES)
        .find_map(|value| about_line::parse(std::str::from_utf8(value.body).ok()?))
}
