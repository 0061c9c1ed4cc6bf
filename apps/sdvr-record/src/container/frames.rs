//! The frames in a file, as the camera sent them.

use std::fs::File;
use std::io;

use super::mp4::Restorer;
use super::scan::{Input, SampleAt, look};
use super::ticks::Ticks;
use super::{Kind, ScanError, Stretch, matroska, mp4};
use crate::sample::{About, UtcTime};

/// Goes through the frames of a file, from a place on.
#[derive(Debug)]
pub struct Frames<'a> {
    input: Input<'a>,
    kind: Kind,
    about: About,
    ticks: Ticks,
    restorer: Option<Restorer>,
    stretches: std::vec::IntoIter<Stretch>,
    /// Those of the stretch that is open.
    samples: std::vec::IntoIter<SampleAt>,
    sample: Vec<u8>,
}

/// A frame, whose bytes were not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameAt {
    /// When it was captured, to the microsecond.
    pub captured: UtcTime,
    /// Whether decoding can begin here.
    pub is_key: bool,
    at: SampleAt,
}

/// The frames of a file, be it ended or not, up to where it is whole.
///
/// # Errors
///
/// [`ScanError`], if there is nothing in it that could be used.
pub fn frames(file: &File) -> Result<Frames<'_>, ScanError> {
    let input = Input::new(file)?;
    let (kind, head, media) = look(&input)?;
    Ok(Frames {
        input,
        kind,
        ticks: Ticks::new(&head.about),
        about: head.about,
        restorer: head.restorer,
        stretches: media.stretches.into_iter(),
        samples: Vec::new().into_iter(),
        sample: Vec::new(),
    })
}

impl Frames<'_> {
    /// What the file says of itself.
    #[must_use]
    pub const fn about(&self) -> &About {
        &self.about
    }

    /// The next frame; `None` behind the last.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn try_next(&mut self) -> io::Result<Option<FrameAt>> {
        loop {
            if let Some(at) = self.samples.next() {
                return Ok(Some(FrameAt {
                    captured: at.captured,
                    is_key: at.is_key,
                    at,
                }));
            }
            let Some(stretch) = self.stretches.next() else {
                return Ok(None);
            };
            let samples = match self.kind {
                Kind::Mp4 => mp4::samples(&self.input, &stretch, &self.ticks)?,
                Kind::Matroska => matroska::samples(&self.input, &stretch, &self.ticks)?,
            };
            self.samples = samples.into_iter();
        }
    }

    /// Puts the bytes of a frame into `frame`, in place of what is there: as the camera sent them, but for what means nothing. (H.264 and H.265 have
    /// start codes of four bytes, AV1 a delimiter, and key frames of them all their parameter sets.)
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn read(&mut self, at: &FrameAt, frame: &mut Vec<u8>) -> io::Result<()> {
        let count = usize::try_from(at.at.bytes).unwrap_or(usize::MAX);
        match &self.restorer {
            Some(restorer) => {
                self.input
                    .read_into(at.at.offset, count, &mut self.sample)?;
                restorer.restore(&self.sample, at.is_key, frame);
                Ok(())
            }
            None => self.input.read_into(at.at.offset, count, frame),
        }
    }
}
