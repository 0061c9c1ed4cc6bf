//! Decoded pictures one behind the other: planes, or YUV4MPEG2.
//!
//! Such files do not say when frames were taken, and those of planes not even what they are: a list beside them does, of a line a frame after some that begin with `#`.
//!
//! ```text
//! # 640x480 pixels, YU12, yuv420p for ffmpeg, 460800 bytes a frame
//! # Y at 0: 480 rows of 640 bytes
//! # Cb at 307200: 240 rows of 320 bytes
//! # Cr at 384000: 240 rows of 320 bytes
//! # ffplay -f rawvideo -pixel_format yuv420p -video_size 640x480 FILE
//! frame,captured
//! 0,2026-11-23T14:05:00.123456789Z
//! ```

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::container::Fragment;
use crate::sample::UtcTime;

/// What such a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlainForm {
    /// What its name ends with.
    pub(crate) extension: &'static str,
    /// What is before the first frame.
    pub(crate) head: Vec<u8>,
    /// What all of its frames are, in words.
    pub(crate) description: String,
    /// How their planes lie, in lines, where no head says so.
    pub(crate) planes: String,
}

/// Puts frames one behind the other.
#[derive(Debug)]
pub(crate) struct PlainMuxer {
    form: PlainForm,
    pending: Vec<Vec<u8>>,
    /// The lines of those that wait, and of all that were there before.
    lines: String,
    frames: u64,
}

impl PlainMuxer {
    pub(crate) fn new(form: PlainForm) -> Self {
        let mut lines = String::new();
        for line in form.planes.lines() {
            lines.extend(["# ", line, "\n"]);
        }
        lines.push_str("frame,captured\n");
        Self {
            form,
            pending: Vec::new(),
            lines,
            frames: 0,
        }
    }

    pub(crate) const fn form(&self) -> &PlainForm {
        &self.form
    }

    pub(crate) fn add(&mut self, captured: UtcTime, bytes: Vec<u8>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.lines, "{},{captured}", self.frames);
        self.frames = self.frames.saturating_add(1);
        self.pending.push(bytes);
    }

    /// All that was added since the last time.
    pub(crate) fn take_fragment(&mut self) -> Fragment {
        let pending = std::mem::take(&mut self.pending);
        Fragment::new(pending.len() as u64, pending)
    }

    /// The lines of it, and in the beginning the one that says what they are.
    pub(crate) fn lines(&self) -> &str {
        &self.lines
    }

    /// The same, which are not needed any more.
    pub(crate) fn take_lines(&mut self) -> String {
        std::mem::take(&mut self.lines)
    }
}

/// Where the times of a file's frames are: beside it.
pub(crate) fn times_path(path: &Path) -> PathBuf {
    path.with_extension("times.csv")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_has_a_line() {
        let mut muxer = PlainMuxer::new(PlainForm {
            extension: "raw",
            head: Vec::new(),
            description: String::new(),
            planes: "2x1 pixels\nY at 0".to_owned(),
        });
        muxer.add(UtcTime(0), vec![1, 2]);
        muxer.add(UtcTime(1_500_000_000), vec![3]);
        assert_eq!(muxer.take_fragment().to_vec(), [1, 2, 3]);
        assert_eq!(
            muxer.take_lines(),
            "# 2x1 pixels\n# Y at 0\nframe,captured\n0,1970-01-01T00:00:00.000000000Z\n1,1970-01-01T00:00:01.500000000Z\n"
        );
        muxer.add(UtcTime(2_000_000_000), vec![4]);
        assert_eq!(muxer.take_lines(), "2,1970-01-01T00:00:02.000000000Z\n");
        assert_eq!(
            times_path(Path::new("a/14-05-00.y4m")),
            Path::new("a/14-05-00.times.csv")
        );
    }
}
