//! What is said of a stream that is none of ours.

use std::fmt;

use super::SplitError;

const SHOWN_BYTES: usize = 8;

/// The first bytes of a stream, to be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beginning {
    bytes: [u8; SHOWN_BYTES],
    count: usize,
}

impl Beginning {
    pub(super) fn of(stream: &[u8]) -> Self {
        let mut beginning = Self::default();
        for (to, from) in beginning.bytes.iter_mut().zip(stream) {
            *to = *from;
            beginning.count += 1;
        }
        beginning
    }
}

impl fmt::Display for Beginning {
    /// Hexadecimal: `50 4B 03 04`. What a stranger's bytes would do to a terminal is not known.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.bytes.iter().take(self.count).enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(formatter, "{space}{byte:02X}")?;
        }
        Ok(())
    }
}

/// What people have their videos and pictures in that is none of the formats, as far as it is known.
pub(super) fn stranger(start: &[u8]) -> Option<SplitError> {
    other_codec(start)
        .map(SplitError::Codec)
        .or_else(|| container(start).map(SplitError::Container))
        .or_else(|| is_multipart(start).then_some(SplitError::Multipart))
}

/// The boundary and the headers of the first part, with or without the line end that belongs to the boundary (RFC 2046, 5.1.1).
fn is_multipart(start: &[u8]) -> bool {
    let start = start.strip_prefix(b"\r\n").unwrap_or(start);
    let boundary = start.split(|&byte| byte == b'\n').next();
    let boundary = boundary.and_then(|line| line.strip_prefix(b"--"));
    boundary.is_some_and(|boundary| {
        let boundary = boundary.trim_ascii_end();
        !boundary.is_empty() && boundary.iter().all(u8::is_ascii_graphic)
    })
}

/// With its article.
fn other_codec(start: &[u8]) -> Option<&'static str> {
    const CODECS: [(&[u8], &str); 8] = [
        (b"\x89PNG", "a PNG picture"),
        (b"GIF8", "a GIF picture"),
        (b"BM", "a BMP picture"),
        (b"DKIF", "an IVF file (VP8, VP9 or AV1)"),
        (&[0, 0, 1, 0xb0], "an MPEG-4 part 2 stream"),
        (&[0, 0, 1, 0xb5], "an MPEG-4 part 2 stream"),
        (&[0, 0, 1, 0xb3], "an MPEG-1 or MPEG-2 stream"),
        (&[0xff, 0x4f, 0xff, 0x51], "a JPEG 2000 stream"),
    ];
    if start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP") {
        return Some("a WebP picture");
    }
    let known = CODECS.iter().find(|(magic, _)| start.starts_with(magic));
    known.map(|(_, name)| *name)
}

/// With its article.
fn container(start: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, magic: &[u8]| {
        start
            .get(offset..)
            .is_some_and(|rest| rest.starts_with(magic))
    };
    if at(4, b"ftyp") {
        Some("an MP4 or QuickTime")
    } else if at(0, &[0x1a, 0x45, 0xdf, 0xa3]) {
        Some("a Matroska or WebM")
    } else if at(0, b"RIFF") && at(8, b"AVI ") {
        Some("an AVI")
    } else if at(0, b"FLV") {
        Some("an FLV")
    } else if at(0, b"OggS") {
        Some("an Ogg")
    } else if at(0, &[0, 0, 1, 0xba]) {
        Some("an MPEG-PS")
    } else if is_transport_stream(start) {
        Some("an MPEG-TS")
    } else {
        None
    }
}

/// The sync byte, the start of a unit, a payload that is not scrambled (ISO/IEC 13818-1, 2.4.3.2). The next packet is too far away to be looked at.
fn is_transport_stream(start: &[u8]) -> bool {
    matches!(start.first_chunk(), Some([0x47, second, _, fourth]) if second & 0xe0 == 0x40 && fourth & 0xd0 == 0x10)
}
