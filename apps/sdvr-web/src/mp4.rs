//! H.264 as fragments of an MP4 file, for browsers that play nothing else: one frame a fragment.
//!
//! The parameter sets go into the initialisation segment, and the units of a frame behind their lengths, as ISO/IEC 14496-15 has them.

use mp4_atom::{
    Avc1, Avcc, Codec, Dinf, Dref, DrefEntry, Encode, FixedPoint, FourCC, Ftyp, Hdlr, Mdhd, Mdia,
    Mfhd, Minf, Moof, Moov, Mvex, Mvhd, Stbl, Stsd, Tfdt, Tfhd, Tkhd, Traf, Trak, Trex, Trun,
    TrunEntry, TrunSamples, Url, Visual, Vmhd,
};
use sdvr::Timestamp;

use sdvr_frame::annex_b::units;

/// Times in a file are in these parts of a second: as capture times are told to pages.
const TIMESCALE: u32 = 1_000_000;
const TRACK: u32 = 1;
/// Of a frame whose camera does not say how many a second it sends.
const DURATION_DEFAULT_US: u32 = 33_333;

/// Flags of a sample (ISO/IEC 14496-12, 8.8.3.1): it depends on no other.
const DEPENDS_ON_NONE: u32 = 0x0200_0000;
/// … it depends on others, and is no place to begin.
const DEPENDS_ON_OTHERS: u32 = 0x0101_0000;

/// Types of units (H.264, table 7-1).
const SEQUENCE_PARAMETERS: u8 = 7;
const PICTURE_PARAMETERS: u8 = 8;
const DELIMITER: u8 = 9;

/// Makes fragments of the frames of an epoch.
#[derive(Debug)]
pub(crate) struct Fragments {
    /// What a player needs before the first fragment.
    begin: Vec<u8>,
    duration_us: u32,
    /// When the first frame was captured.
    first: Timestamp,
    /// The time of the fragment before.
    last_us: Option<u64>,
    count: u32,
}

impl Fragments {
    /// Of a stream whose key frame this is; `None` when it has no parameter sets that can be used.
    pub(crate) fn new(
        key_frame: &[u8],
        size: (u32, u32),
        interval_ns: Option<u64>,
        first: Timestamp,
    ) -> Option<Self> {
        let interval_us = interval_ns.and_then(|ns| u32::try_from(ns / 1000).ok());
        Some(Self {
            begin: initialisation(key_frame, size)?,
            duration_us: interval_us.unwrap_or(DURATION_DEFAULT_US).max(1),
            first,
            last_us: None,
            count: 0,
        })
    }

    /// The initialisation segment.
    pub(crate) fn begin(&self) -> &[u8] {
        &self.begin
    }

    /// What stands before the frame's `sample` in its fragment; `None` of one that is too long for any.
    pub(crate) fn head(
        &mut self,
        sample: &[u8],
        captured: Timestamp,
        is_key: bool,
    ) -> Option<Vec<u8>> {
        let since = captured.saturating_since(self.first);
        let since_us = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        // Players demand that times go up; clocks of cameras are corrected now and then.
        let time_us = match self.last_us {
            Some(last_us) => since_us.max(last_us.saturating_add(1)),
            None => since_us,
        };
        self.last_us = Some(time_us);
        self.count = self.count.wrapping_add(1);
        let mut moof = Moof {
            mfhd: Mfhd {
                sequence_number: self.count,
            },
            traf: vec![Traf {
                tfhd: Tfhd {
                    track_id: TRACK,
                    default_base_is_moof: true,
                    ..Tfhd::default()
                },
                tfdt: Some(Tfdt {
                    base_media_decode_time: time_us,
                }),
                trun: vec![Trun {
                    data_offset: Some(0),
                    samples: TrunSamples::Explicit(vec![TrunEntry {
                        duration: Some(self.duration_us),
                        size: Some(u32::try_from(sample.len()).ok()?),
                        flags: Some(if is_key {
                            DEPENDS_ON_NONE
                        } else {
                            DEPENDS_ON_OTHERS
                        }),
                        cts: None,
                    }]),
                }],
                ..Traf::default()
            }],
        };
        let mut head = Vec::with_capacity(128);
        moof.encode(&mut head).ok()?;
        // The sample lies behind this and the header of its box: its place is known only now.
        let place = i32::try_from(head.len().checked_add(BOX_HEADER_BYTES)?).ok()?;
        for run in moof.traf.iter_mut().flat_map(|it| it.trun.iter_mut()) {
            run.data_offset = Some(place);
        }
        head.clear();
        moof.encode(&mut head).ok()?;
        let box_bytes = u32::try_from(sample.len().checked_add(BOX_HEADER_BYTES)?).ok()?;
        head.extend(box_bytes.to_be_bytes());
        head.extend(b"mdat");
        Some(head)
    }
}

/// The length of a box's header.
const BOX_HEADER_BYTES: usize = 8;

/// A frame's units behind their lengths, without those that the initialisation segment has.
pub(crate) fn sample(frame: &[u8]) -> Vec<u8> {
    let mut sample = Vec::with_capacity(frame.len().saturating_add(16));
    let kept = [SEQUENCE_PARAMETERS, PICTURE_PARAMETERS, DELIMITER];
    for unit in units(frame).filter(|unit| !kept.contains(&kind(unit))) {
        if let Ok(length) = u32::try_from(unit.len()) {
            sample.extend(length.to_be_bytes());
            sample.extend_from_slice(unit);
        }
    }
    sample
}

fn kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |byte| byte & 0x1f)
}

fn initialisation(key_frame: &[u8], size: (u32, u32)) -> Option<Vec<u8>> {
    let (width, height) = (u16::try_from(size.0).ok()?, u16::try_from(size.1).ok()?);
    let of_kind = |wanted| {
        let found = units(key_frame).filter(move |unit| kind(unit) == wanted);
        found.map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let (sequence, picture) = (of_kind(SEQUENCE_PARAMETERS), of_kind(PICTURE_PARAMETERS));
    let mut avcc = Avcc::new(sequence.first()?, picture.first()?).ok()?;
    avcc.sequence_parameter_sets = sequence;
    avcc.picture_parameter_sets = picture;
    let sample_entry = Avc1 {
        visual: Visual {
            data_reference_index: 1,
            width,
            height,
            ..Visual::default()
        },
        avcc,
        ..Avc1::default()
    };
    let moov = Moov {
        mvhd: Mvhd {
            timescale: TIMESCALE,
            next_track_id: TRACK + 1,
            ..Mvhd::default()
        },
        mvex: Some(Mvex {
            mehd: None,
            trex: vec![Trex {
                track_id: TRACK,
                default_sample_description_index: 1,
                ..Trex::default()
            }],
        }),
        trak: vec![Trak {
            tkhd: Tkhd {
                track_id: TRACK,
                enabled: true,
                in_movie: true,
                width: FixedPoint::from(width),
                height: FixedPoint::from(height),
                ..Tkhd::default()
            },
            mdia: Mdia {
                mdhd: Mdhd {
                    timescale: TIMESCALE,
                    language: "und".to_owned(),
                    ..Mdhd::default()
                },
                hdlr: Hdlr {
                    handler: FourCC::new(b"vide"),
                    name: "camera".to_owned(),
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
                            codecs: vec![Codec::Avc1(sample_entry)],
                        },
                        ..Stbl::default()
                    },
                    ..Minf::default()
                },
            },
            ..Trak::default()
        }],
        ..Moov::default()
    };
    let brand = |name| FourCC::new(name);
    let file = Ftyp {
        major_brand: brand(b"isom"),
        minor_version: 0x200,
        compatible_brands: vec![
            brand(b"isom"),
            brand(b"iso6"),
            brand(b"avc1"),
            brand(b"mp41"),
        ],
    };
    let mut bytes = Vec::new();
    file.encode(&mut bytes).ok()?;
    moov.encode(&mut bytes).ok()?;
    Some(bytes)
}
