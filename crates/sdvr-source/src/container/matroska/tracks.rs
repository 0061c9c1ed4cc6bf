//! The tracks of a Matroska file (RFC 9559, 5.1.4).

use sdvr_frame::FourCc;

use super::ebml::{elements, unsigned};
use crate::container::{Codec, ContainerError, Description, Track, rate, raw};

const NS_PER_S: u64 = 1_000_000_000;
const VIDEO: u64 = 1;
/// Where in a Windows bitmap header the codec's four characters are.
const BITMAP_CODEC: std::ops::Range<usize> = 16..20;

/// A track that can be played, and what blocks of it need.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) track: Track,
    /// 0 if the file does not say.
    pub(super) frame_ns: u64,
}

#[derive(Debug, Default)]
struct Entry<'a> {
    number: u64,
    kind: u64,
    codec: &'a [u8],
    private: &'a [u8],
    frame_ns: u64,
    size: (u32, u32),
    encodings: &'a [u8],
    /// What uncompressed pixels are.
    pixels: &'a [u8],
}

/// The first video track in the body of `Tracks`.
pub(super) fn choose(tracks: &[u8]) -> Result<Chosen, ContainerError> {
    let entry = elements(tracks)
        .filter(|(id, _)| *id == 0xae)
        .map(|(_, body)| entry(body))
        .find(|entry| entry.kind == VIDEO)
        .ok_or(ContainerError::NoVideo)?;
    let stripped = stripped(entry.encodings)?;
    let (codec, record) = match entry.codec {
        b"V_MPEG4/ISO/AVC" => (Codec::H264, entry.private),
        b"V_MPEGH/ISO/HEVC" => (Codec::H265, entry.private),
        b"V_VP8" => (Codec::Vp8, &[][..]),
        b"V_VP9" => (Codec::Vp9, &[][..]),
        b"V_AV1" => (Codec::Av1, entry.private),
        b"V_MJPEG" => (Codec::Jpeg, &[][..]),
        b"V_MS/VFW/FOURCC" => match entry.private.get(BITMAP_CODEC) {
            Some(b"MJPG" | b"mjpg") => (Codec::Jpeg, &[][..]),
            other => (pixels(other)?, &[][..]),
        },
        b"V_UNCOMPRESSED" => (pixels(Some(entry.pixels))?, &[][..]),
        other => return Err(ContainerError::Codec(shown(other))),
    };
    Ok(Chosen {
        track: Track {
            number: entry.number,
            width: entry.size.0,
            height: entry.size.1,
            rate: rate(1, entry.frame_ns, NS_PER_S),
            descriptions: vec![Description {
                codec,
                record: record.to_vec(),
                stripped,
            }],
        },
        frame_ns: entry.frame_ns,
    })
}

/// The format of uncompressed frames, which are called so.
fn pixels(name: Option<&[u8]>) -> Result<Codec, ContainerError> {
    let Some(Ok(name)) = name.map(<[u8; 4]>::try_from) else {
        return Err(ContainerError::Codec("of an unknown kind".to_owned()));
    };
    match raw::format_of(name) {
        Some(fourcc) => Ok(Codec::Raw(fourcc)),
        None => Err(ContainerError::Codec(FourCc(name).to_string())),
    }
}

fn entry(body: &[u8]) -> Entry<'_> {
    let mut entry = Entry::default();
    for (id, body) in elements(body) {
        let value = unsigned(body).unwrap_or(0);
        match id {
            0xd7 => entry.number = value,
            0x83 => entry.kind = value,
            0x86 => entry.codec = body.trim_ascii_end(),
            0x63a2 => entry.private = body,
            0x0023_e383 => entry.frame_ns = value,
            0x6d80 => entry.encodings = body,
            0xe0 => {
                for (id, body) in elements(body) {
                    let value = unsigned(body).and_then(|value| u32::try_from(value).ok());
                    match id {
                        0xb0 => entry.size.0 = value.unwrap_or(0),
                        0xba => entry.size.1 = value.unwrap_or(0),
                        0x002e_b524 => entry.pixels = body,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    entry
}

/// The bytes that were taken off every frame, if that is all that was done to them.
fn stripped(encodings: &[u8]) -> Result<Vec<u8>, ContainerError> {
    let mut stripped = Vec::new();
    for (_, encoding) in elements(encodings).filter(|(id, _)| *id == 0x6240) {
        let (mut is_encrypted, mut scope, mut algorithm, mut settings) = (false, 1, 0, &[][..]);
        for (id, body) in elements(encoding) {
            match id {
                0x5032 => scope = unsigned(body).unwrap_or(1),
                0x5033 => is_encrypted = unsigned(body) == Some(1),
                0x5034 => {
                    for (id, body) in elements(body) {
                        match id {
                            0x4254 => algorithm = unsigned(body).unwrap_or(0),
                            0x4255 => settings = body,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        if is_encrypted {
            return Err(ContainerError::Encrypted);
        }
        match algorithm {
            3 if scope == 1 => stripped.extend_from_slice(settings),
            3 => {
                return Err(ContainerError::Packed(
                    "header stripping of more than its frames",
                ));
            }
            0 => return Err(ContainerError::Packed("zlib")),
            1 => return Err(ContainerError::Packed("bzip2")),
            2 => return Err(ContainerError::Packed("LZO")),
            _ => return Err(ContainerError::Packed("an unknown compression")),
        }
    }
    Ok(stripped)
}

/// A codec's name, with nothing in it that would act on a terminal.
fn shown(name: &[u8]) -> String {
    const SHOWN_BYTES: usize = 32;
    name.iter()
        .take(SHOWN_BYTES)
        .map(|&byte| match byte {
            b' '..=b'~' => char::from(byte),
            _ => '?',
        })
        .collect()
}
