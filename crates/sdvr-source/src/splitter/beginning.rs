//! What is said of a stream that is none of ours.

use std::fmt;

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

/// What people have their videos in, with its article.
pub(super) fn container(start: &[u8]) -> Option<&'static str> {
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
    } else {
        None
    }
}
