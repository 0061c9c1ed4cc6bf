//! How fast streams are cut: `cargo run --release -p sdvr-source --example split_bench [FILE…]`.
//!
//! Without files, made-up streams that look to a splitter like those of a camera: 1 byte in 256 of an image is FF, 1 in 256 of a
//! slice is zero.

use std::hint::black_box;
use std::time::Instant;

use sdvr_source::splitter::Splitter;

/// As files are read.
const PIECE_BYTES: usize = 256 * 1024;
const ROUNDS: u32 = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut streams: Vec<(String, Vec<u8>)> = Vec::new();
    for path in std::env::args().skip(1) {
        streams.push((path.clone(), std::fs::read(path)?));
    }
    if streams.is_empty() {
        streams = vec![
            ("MJPEG, 100 kB frames".to_owned(), mjpeg(100_000, 2000)),
            ("MJPEG, 5 kB frames".to_owned(), mjpeg(5000, 20_000)),
            ("H.264, 20 kB frames".to_owned(), h264(20_000, 5000)),
            ("H.264, 500 byte frames".to_owned(), h264(500, 50_000)),
            ("Y4M, 1280x720".to_owned(), y4m(60)),
        ];
    }
    for (name, stream) in &streams {
        let started = Instant::now();
        let mut frames = 0;
        for _ in 0..ROUNDS {
            frames = black_box(count_frames(black_box(stream))?);
        }
        let seconds = started.elapsed().as_secs_f64() / f64::from(ROUNDS);
        let bytes = stream.len() as f64;
        println!(
            "{name}: {frames} frames, {:.2} GB/s, {:.0} ns a frame",
            bytes / seconds / 1e9,
            seconds * 1e9 / f64::from(frames.max(1))
        );
    }
    Ok(())
}

fn count_frames(stream: &[u8]) -> Result<u32, Box<dyn std::error::Error>> {
    let mut splitter = Splitter::detect(stream, true, None)?.ok_or("it is too short")?;
    let (mut start, mut end, mut frames) = (0, 0, 0);
    loop {
        let is_end = end == stream.len();
        let rest = stream.get(start..end).unwrap_or_default();
        match splitter.next_frame(rest, is_end)? {
            Some(found) => {
                start += found.consumed;
                frames += 1;
            }
            None if is_end => return Ok(frames),
            None => end = (end + PIECE_BYTES).min(stream.len()),
        }
    }
}

/// Bytes without order, always the same.
fn noise(count: usize, seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(count)
}

fn mjpeg(frame_bytes: usize, frames: u64) -> Vec<u8> {
    let mut stream = Vec::new();
    for number in 0..frames {
        stream.extend([0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0, 16, 0, 16, 1, 1, 17, 0]);
        stream.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]);
        for byte in noise(frame_bytes, number) {
            stream.push(byte);
            if byte == 0xff {
                stream.push(0);
            }
        }
        stream.extend([0xff, 0xd9]);
    }
    stream
}

fn h264(frame_bytes: usize, frames: u64) -> Vec<u8> {
    let mut stream = Vec::new();
    for number in 0..frames {
        let header = if number % 50 == 0 { 0x65 } else { 0x41 };
        stream.extend([0, 0, 0, 1, 0x09, 0xf0, 0, 0, 1, header, 0x88]);
        let mut zeros = 0;
        for byte in noise(frame_bytes, number) {
            if zeros >= 2 && byte <= 3 {
                stream.push(3);
                zeros = 0;
            }
            zeros = if byte == 0 { zeros + 1 } else { 0 };
            stream.push(byte);
        }
        stream.push(0x80);
    }
    stream
}

fn y4m(frames: u64) -> Vec<u8> {
    let mut stream = b"YUV4MPEG2 W1280 H720 F30:1 C420jpeg\n".to_vec();
    for number in 0..frames {
        stream.extend(b"FRAME\n");
        stream.extend(noise(1280 * 720 * 3 / 2, number));
    }
    stream
}
