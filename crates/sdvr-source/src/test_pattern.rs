//! A picture that shows at a glance that it is live, and can be computed again from its number.
//!
//! Pixel (x, y) of frame n of a picture w wide and h high, in this order:
//!
//! * in the bottom h/16 rows: field i = 16x/w is white if bit 15-i of n is set, else black;
//! * inside the square of side h/8 whose left edge is at 8n mod (w - side) and whose top is at h/4: white;
//! * else bar number 8((x + 2n) mod w)/w of white, yellow, cyan, green, magenta, red, blue, black.
//!
//! Compressed pictures repeat after [`CYCLE`] frames, larger ones than 1920x1080 after fewer (see [`cycle`]). BNCH is the measuring frame of `sdvr_frame::bench_frame`.

use jpeg_encoder::{ColorType, Encoder};
use sdvr_frame::bench_frame::{self, BenchHeader};
use sdvr_frame::{FourCc, FrameNumber, FrameRate, StreamFormat, Timestamp};

use crate::error::SourceError;
use crate::pace::Pace;
use crate::spec::{CaptureOptions, TestSpec};

/// Compressed pictures that are made before the first frame: encoding each anew would cost a third of a core.
const CYCLE: u64 = 32;
/// How many pixels are compressed at most before the first frame, which takes about a second: the cycle of 1920x1080.
const CYCLE_MOST_PIXELS: u64 = CYCLE * 1920 * 1080;
const JPEG_QUALITY: u8 = 85;
const SIZE_DEFAULT: (u32, u32) = (1280, 720);
const RATE_DEFAULT: FrameRate = FrameRate::from_whole(30);
const BENCH_BYTES_DEFAULT: usize = 100_000;

/// BT.601 limited range, 75 %: Y, Cb, Cr.
const BARS: [[u8; 3]; 8] = [
    [180, 128, 128],
    [162, 44, 142],
    [131, 156, 44],
    [112, 72, 58],
    [84, 184, 198],
    [65, 100, 212],
    [35, 212, 114],
    [16, 128, 128],
];
const WHITE: [u8; 3] = [235, 128, 128];
const BLACK: [u8; 3] = [16, 128, 128];

/// The test pattern.
#[derive(Debug)]
pub(crate) struct TestPattern {
    format: StreamFormat,
    pace: Option<Pace>,
    count: Option<u64>,
    every_nth: u64,
    next_tick: u64,
    handed_out: u64,
    picture: Picture,
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Picture {
    Bench,
    Raw,
    Jpeg(Vec<Vec<u8>>),
}

/// A moment of the pattern.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tick {
    pub(crate) number: FrameNumber,
    pub(crate) captured: Timestamp,
}

impl TestPattern {
    pub(crate) fn open(spec: &TestSpec, options: &CaptureOptions) -> Result<Self, SourceError> {
        options.check_no_recording()?;
        let fourcc = options.fourcc.or(spec.fourcc).unwrap_or(FourCc::MJPG);
        if !crate::spec::FORMATS.contains(&fourcc) {
            return Err(SourceError::Options(
                "the test pattern comes as MJPG, YUYV, NV12, GREY or BNCH",
            ));
        }
        let (width, height) = options.size.or(spec.size).unwrap_or(SIZE_DEFAULT);
        if !crate::spec::is_size(width, height) {
            return Err(SourceError::Options(
                "the test pattern is from 16 to 8192 pixels wide and high, both even",
            ));
        }
        let rate = options.rate.or(spec.rate).unwrap_or(RATE_DEFAULT);
        let (width, height) = if fourcc == FourCc::BNCH {
            (0, 0)
        } else {
            (width, height)
        };
        let format = StreamFormat {
            fourcc,
            width,
            height,
            rate: options.announced(rate),
        };
        let buffer = match fourcc {
            FourCc::BNCH => vec![0; spec.bytes.unwrap_or(BENCH_BYTES_DEFAULT)],
            _ => vec![
                0;
                usize::try_from(fourcc.raw_frame_bytes(width, height).unwrap_or(0))
                    .unwrap_or(0)
            ],
        };
        let picture = match fourcc {
            FourCc::BNCH => Picture::Bench,
            FourCc::MJPG => Picture::Jpeg(
                (0..cycle(width, height))
                    .map(|number| jpeg(width, height, number))
                    .collect::<Result<_, _>>()?,
            ),
            _ => Picture::Raw,
        };
        Ok(Self {
            format,
            pace: Pace::new(rate),
            count: spec.count,
            every_nth: options.every_nth.max(1).into(),
            next_tick: 0,
            handed_out: 0,
            picture,
            buffer,
        })
    }

    pub(crate) const fn format(&self) -> &StreamFormat {
        &self.format
    }

    pub(crate) const fn is_live(&self) -> bool {
        self.pace.is_some()
    }

    pub(crate) fn frame_bytes(&self) -> usize {
        match &self.picture {
            Picture::Jpeg(frames) => frames.iter().map(Vec::len).max().unwrap_or(0),
            Picture::Bench | Picture::Raw => self.buffer.len(),
        }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.count.is_some_and(|count| self.handed_out >= count)
    }

    pub(crate) fn due(&self) -> Option<Timestamp> {
        self.pace.as_ref().map(Pace::due)
    }

    /// The next moment, if it has come. Moments that passed unused have numbers, too: they were missed.
    pub(crate) fn take(&mut self, now: Timestamp) -> Option<Tick> {
        let number = match &mut self.pace {
            Some(pace) => loop {
                let (_, missed) = pace.take(now, true)?;
                let tick = self.next_tick.saturating_add(missed);
                self.next_tick = tick.saturating_add(1);
                if tick.is_multiple_of(self.every_nth) {
                    break tick / self.every_nth;
                }
            },
            // Nothing is left out of what is made on demand.
            None => self.handed_out,
        };
        // A stall that goes past the end is missing before the last frame, so that none is missing unseen.
        let last = self.count.map_or(u64::MAX, |count| count.saturating_sub(1));
        let number = number.min(last);
        self.handed_out = number.saturating_add(1);
        Some(Tick {
            number: FrameNumber(number),
            // The picture is made now, not when it was due: that is its capture.
            captured: now,
        })
    }

    /// The frame of a moment.
    pub(crate) fn frame(&mut self, tick: Tick) -> &[u8] {
        let (width, height) = (self.format.width as usize, self.format.height as usize);
        match &self.picture {
            Picture::Bench => {
                bench_frame::fill(
                    &mut self.buffer,
                    BenchHeader {
                        sequence: tick.number,
                        captured: tick.captured,
                    },
                );
                &self.buffer
            }
            Picture::Raw => {
                draw(
                    &mut self.buffer,
                    self.format.fourcc,
                    width,
                    height,
                    tick.number.0,
                );
                &self.buffer
            }
            Picture::Jpeg(frames) => {
                let cycle = frames.len().max(1) as u64;
                let index = usize::try_from(tick.number.0 % cycle).unwrap_or(0);
                frames.get(index).map_or(&[], Vec::as_slice)
            }
        }
    }
}

/// After how many frames compressed pictures of a size repeat; at least two, so that they move.
fn cycle(width: u32, height: u32) -> u64 {
    let pixels = u64::from(width) * u64::from(height);
    (CYCLE_MOST_PIXELS / pixels.max(1)).clamp(2, CYCLE)
}

fn jpeg(width: u32, height: u32, number: u64) -> Result<Vec<u8>, SourceError> {
    let (w, h) = (width as usize, height as usize);
    let lines = Lines::new(w, h, number);
    let mut pixels = Vec::with_capacity(w * h * 3);
    for y in 0..h {
        pixels.extend_from_slice(lines.line(y).as_flattened());
    }
    let mut out = Vec::new();
    let failed = |error: &dyn std::fmt::Display| SourceError::Encode(error.to_string());
    let side = |side: u32| u16::try_from(side).map_err(|error| failed(&error));
    Encoder::new(&mut out, JPEG_QUALITY)
        .encode(&pixels, side(width)?, side(height)?, ColorType::Ycbcr)
        .map_err(|error| failed(&error))?;
    Ok(out)
}

/// The three different lines of a picture: bars, bars and square, counter.
struct Lines {
    kinds: [Vec<[u8; 3]>; 3],
    height: usize,
}

impl Lines {
    fn new(width: usize, height: usize, number: u64) -> Self {
        let shift = |step: u64, modulo: usize| {
            usize::try_from(number.wrapping_mul(step) % modulo.max(1) as u64).unwrap_or(0)
        };
        let scroll = shift(2, width);
        let bar = |x: usize| {
            BARS.get(8 * ((x + scroll) % width) / width)
                .copied()
                .unwrap_or(BLACK)
        };
        let bars: Vec<[u8; 3]> = (0..width).map(bar).collect();
        let side = height / 8;
        let left = shift(8, width.saturating_sub(side));
        let mut bars_and_square = bars.clone();
        bars_and_square
            .iter_mut()
            .skip(left)
            .take(side)
            .for_each(|pixel| *pixel = WHITE);
        let bit = |x: usize| number >> (15 - 16 * x / width) & 1 == 1;
        let counter = (0..width)
            .map(|x| if bit(x) { WHITE } else { BLACK })
            .collect();
        Self {
            kinds: [bars, bars_and_square, counter],
            height,
        }
    }

    /// Takes line `y` of what was made of the three kinds.
    fn pick<'a, T>(&self, kinds: &'a [Vec<T>; 3], y: usize) -> &'a [T] {
        let [bars, bars_and_square, counter] = kinds;
        let (height, side) = (self.height, self.height / 8);
        if y >= height - height / 16 {
            counter
        } else if (height / 4..height / 4 + side).contains(&y) {
            bars_and_square
        } else {
            bars
        }
    }

    fn line(&self, y: usize) -> &[[u8; 3]] {
        self.pick(&self.kinds, y)
    }
}

/// Draws frame `number` without padding.
fn draw(frame: &mut [u8], fourcc: FourCc, width: usize, height: usize, number: u64) {
    let lines = Lines::new(width, height, number);
    let packed = |line: &[[u8; 3]]| -> Vec<u8> {
        match fourcc {
            FourCc::YUYV => line
                .as_chunks::<2>()
                .0
                .iter()
                .flat_map(|[[y0, cb, cr], [y1, ..]]| [*y0, *cb, *y1, *cr])
                .collect(),
            _ => line.iter().map(|[y, ..]| *y).collect(),
        }
    };
    let kinds = lines.kinds.each_ref().map(|line| packed(line));
    let line_bytes = if fourcc == FourCc::YUYV {
        width * 2
    } else {
        width
    };
    let (luma, chroma) = frame.split_at_mut((line_bytes * height).min(frame.len()));
    for (y, row) in luma.chunks_exact_mut(line_bytes).enumerate() {
        row.copy_from_slice(lines.pick(&kinds, y));
    }
    for (y, row) in chroma.chunks_exact_mut(width).enumerate() {
        for (pair, [[_, cb, cr], _]) in row
            .as_chunks_mut::<2>()
            .0
            .iter_mut()
            .zip(lines.line(2 * y).as_chunks::<2>().0)
        {
            *pair = [*cb, *cr];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(spec: &str) -> TestPattern {
        let Ok(crate::SourceSpec::Test(spec)) = spec.parse() else {
            panic!("{spec}")
        };
        TestPattern::open(&spec, &CaptureOptions::default()).unwrap()
    }

    #[test]
    fn a_grey_picture_follows_its_formula() {
        let mut pattern = pattern("test:?format=GREY&size=64x64&fps=0");
        let frame = pattern
            .frame(Tick {
                number: FrameNumber(5),
                captured: Timestamp::default(),
            })
            .to_vec();
        let luma = |x: usize, y: usize| frame[y * 64 + x];
        assert_eq!(luma(0, 0), BARS[8 * 10 / 64][0]);
        assert_eq!(luma(40, 16), WHITE[0]);
        assert_eq!(luma(39, 16), BARS[8 * 49 / 64][0]);
        // 5 is 101: fields 13 and 15 of 16 are white.
        assert_eq!(
            [luma(13 * 4, 63), luma(14 * 4, 63), luma(15 * 4, 63)],
            [WHITE[0], BLACK[0], WHITE[0]]
        );
    }

    #[test]
    fn large_compressed_pictures_are_few() {
        for (size, frames) in [
            ((16, 16), 32),
            ((1920, 1080), 32),
            ((3840, 2160), 8),
            ((8192, 8192), 2),
        ] {
            assert_eq!(cycle(size.0, size.1), frames, "{size:?}");
        }
    }

    #[test]
    fn compressed_pictures_repeat_after_their_cycle() {
        let mut pattern = pattern("test:?format=MJPG&size=64x64&fps=0");
        let mut frame = |number| {
            let tick = Tick {
                number: FrameNumber(number),
                captured: Timestamp::default(),
            };
            pattern.frame(tick).to_vec()
        };
        let first = frame(0);
        assert!((1..CYCLE).all(|number| frame(number) != first));
        assert_eq!(frame(CYCLE), first);
        assert_eq!(frame(CYCLE * 1000), first);
    }

    #[test]
    fn frames_have_the_length_of_their_format() {
        for (format, bytes) in [
            ("YUYV", 64 * 48 * 2),
            ("NV12", 64 * 48 * 3 / 2),
            ("GREY", 64 * 48),
        ] {
            let mut pattern = pattern(&format!("test:?format={format}&size=64x48"));
            let frame = pattern.frame(Tick {
                number: FrameNumber(1),
                captured: Timestamp::default(),
            });
            assert_eq!(frame.len(), bytes);
            assert!(
                frame
                    .chunks(48)
                    .all(|part| part.iter().any(|&byte| byte != 0)),
                "{format} has a hole"
            );
        }
    }

    #[test]
    fn it_ends_after_its_count() {
        let mut pattern = pattern("test:?format=BNCH&fps=0&count=3&bytes=64");
        let now = Timestamp::from_nanoseconds(1);
        let numbers: Vec<u64> = std::iter::from_fn(|| {
            (!pattern.is_at_end()).then(|| pattern.take(now).unwrap().number.0)
        })
        .collect();
        assert_eq!(numbers, [0, 1, 2]);
    }
}
