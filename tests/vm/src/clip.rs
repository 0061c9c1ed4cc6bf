//! What a webcam shows: moving pictures, no two alike, encoded by ffmpeg.

use std::io::Write;
use std::process::{Command, Stdio};

use sdvr::Frame;

/// How large the pictures of every clip are.
pub const SIZE: (u32, u32) = (640, 360);
/// How many they are, and so many a second.
pub const FRAMES: usize = 60;
/// Frames a second.
pub const FPS: u32 = 30;

/// The frames of a clip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip {
    /// Each as it travels over the USB, and is expected at the host.
    pub frames: Vec<Vec<u8>>,
}

impl Clip {
    /// Motion JPEG.
    #[must_use]
    pub fn mjpg() -> Self {
        let options = [
            ["-c:v", "mjpeg"],
            ["-q:v", "5"],
            // The tables that every program has; webcams leave them out.
            ["-huffman", "default"],
            ["-f", "mjpeg"],
        ];
        Self::encoded(options.as_flattened(), FRAMES, b"\xff\xd8\xff")
    }

    /// H.264: a key frame a second; every frame begins with an access unit delimiter.
    #[must_use]
    pub fn h264() -> Self {
        Self::h264_of(FRAMES, FPS as usize)
    }

    /// H.264 of so many frames, of which every `key_interval`th is a key frame.
    #[must_use]
    pub fn h264_of(frames: usize, key_interval: usize) -> Self {
        let key_interval = key_interval.to_string();
        let options = [
            ["-c:v", "libx264"],
            ["-preset", "veryfast"],
            ["-tune", "zerolatency"],
            ["-g", &key_interval],
            ["-x264-params", "aud=1:repeat-headers=1:scenecut=0"],
            ["-f", "h264"],
        ];
        Self::encoded(options.as_flattened(), frames, b"\0\0\0\x01\x09")
    }

    fn encoded(options: &[&str], frames: usize, beginning: &[u8]) -> Self {
        let (width, height) = SIZE;
        let input = format!("testsrc2=size={width}x{height}:rate={FPS}");
        let frame_count = frames.to_string();
        let output = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", &input])
            .args(["-frames:v", &frame_count])
            .args(options)
            .arg("-")
            .output()
            .expect("`cargo xtask vm-test` installs ffmpeg");
        assert!(output.status.success(), "{output:?}");
        let stream = output.stdout;
        let mut begins: Vec<usize> = (0..stream.len())
            .filter(|&at| stream[at..].starts_with(beginning))
            .collect();
        assert_eq!(begins.len(), frames);
        begins.push(stream.len());
        let frames = begins
            .windows(2)
            .map(|ends| stream[ends[0]..ends[1]].to_vec());
        Self {
            frames: frames.collect(),
        }
    }

    /// The same pictures as most webcams send them: without the Huffman tables, which are always the same.
    #[must_use]
    pub fn without_huffman_tables(&self) -> Self {
        let frames = self
            .frames
            .iter()
            .map(|frame| without_segments(frame, 0xc4));
        Self {
            frames: frames.collect(),
        }
    }

    /// As the webcam reads it: each frame after its length.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let frame = |frame: &Vec<u8>| {
            let length = u32::try_from(frame.len()).unwrap();
            [&length.to_le_bytes(), &**frame].concat()
        };
        self.frames.iter().flat_map(frame).collect()
    }

    /// Which frame of the clip it is.
    #[must_use]
    pub fn index_of(&self, frame: &[u8]) -> Option<usize> {
        self.frames.iter().position(|own| own == frame)
    }
}

impl Clip {
    /// Frame by frame, it goes on as the numbers do: what is missing has its number.
    #[track_caller]
    pub fn assert_goes_on(&self, frames: &[Frame]) {
        let index_of = |frame: &Frame| self.index_of(frame.bytes());
        let count = self.frames.len() as u64;
        let before = index_of(&frames[0]).unwrap() as u64 + count - frames[0].number().0 % count;
        for frame in frames {
            let expected = (frame.number().0 + before) % count;
            assert_eq!(
                index_of(frame),
                usize::try_from(expected).ok(),
                "{}",
                frame.number()
            );
        }
    }
}

/// The pixels of a JPEG image, as ffmpeg decodes them.
#[must_use]
pub fn decoded(jpeg: &[u8]) -> Vec<u8> {
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "mjpeg", "-i", "-"])
        .args(["-f", "rawvideo", "-pix_fmt", "yuv420p", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`cargo xtask vm-test` installs ffmpeg");
    ffmpeg.stdin.take().unwrap().write_all(jpeg).unwrap();
    let output = ffmpeg.wait_with_output().unwrap();
    assert!(output.status.success() && !output.stdout.is_empty());
    output.stdout
}

/// A JPEG without the segments of one kind before its first scan (ITU-T T.81, annex B): each begins with 0xff, its kind and its length.
fn without_segments(jpeg: &[u8], kind: u8) -> Vec<u8> {
    const START_OF_SCAN: u8 = 0xda;
    let (mut kept, mut rest) = (jpeg[..2].to_vec(), &jpeg[2..]);
    while rest[1] != START_OF_SCAN {
        let length = 2 + usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        if rest[1] != kind {
            kept.extend_from_slice(&rest[..length]);
        }
        rest = &rest[length..];
    }
    kept.extend_from_slice(rest);
    kept
}
