//! Prints a line for every frame of a camera: its number, when it was captured, how long it is, and how many were missed before it.
//!
//! `cargo run -p sdvr --example print_frames -- front-door --count 10`

mod arguments;

use sdvr::{Camera, Policy};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (name, _, count) = arguments::read("usage: print_frames CAMERA [--count N]")?;
    // Waits for the camera if it is not there yet; `Camera::open` says which there are instead.
    let mut camera = Camera::wait_for(&name);
    // All frames, in order. A program that wants the newest one each time says `Policy::Latest`.
    for frame in camera.frames(Policy::Every).until_end().take(count) {
        let frame = frame?;
        println!(
            "frame {}: captured at {:.6} s, {} bytes, {} missed",
            frame.number(),
            frame.captured().as_nanoseconds() as f64 / 1e9,
            frame.bytes().len(),
            frame.missed()
        );
    }
    Ok(())
}
