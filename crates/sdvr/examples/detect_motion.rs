//! Finds what moves before a camera: compares each picture with the one before, in cells of 16 x 16 pixels, and prints boxes around moving cells that touch.
//!
//! `cargo run -p sdvr --example detect_motion -- front-door`

mod arguments;

use sdvr::{Camera, Pixels, Policy};

/// Pixels of a cell's side; those at the right and at the bottom may be smaller.
const CELL: usize = 16;
/// A cell moves when its pixels differ by more than this on average.
const DIFFERENCE: u64 = 12;
/// Fewer moving cells are noise.
const CELLS_LEAST: usize = 2;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (name, _, count) = arguments::read("usage: detect_motion CAMERA [--count N]")?;
    let mut pictures = Camera::wait_for(&name).decoded(Pixels::Gray);
    let mut before = Vec::new();
    for decoded in pictures.frames(Policy::Every).until_end().take(count) {
        let decoded = decoded?;
        let number = decoded.frame().number();
        let picture = decoded.into_picture();
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let now = picture.into_bytes();
        let boxes = moving_boxes(&before, &now, width, height);
        if !boxes.is_empty() {
            println!("frame {number}: {}", boxes.join(" "));
        }
        before = now;
    }
    Ok(())
}

/// `X,Y WxH` for each group of moving cells, from the top and then from the left. None if the pictures are not of one size.
fn moving_boxes(before: &[u8], now: &[u8], width: usize, height: usize) -> Vec<String> {
    if before.len() != now.len() {
        return Vec::new();
    }
    let (across, down) = (width.div_ceil(CELL), height.div_ceil(CELL));
    let moves = |cell: usize| {
        let (left, top) = (cell % across * CELL, cell / across * CELL);
        let (right, bottom) = ((left + CELL).min(width), (top + CELL).min(height));
        let mut sum = 0;
        for y in top..bottom {
            let row = y * width + left..y * width + right;
            let pairs = before[row.clone()].iter().zip(&now[row]);
            sum += pairs
                .map(|(one, other)| u64::from(one.abs_diff(*other)))
                .sum::<u64>();
        }
        sum > DIFFERENCE * ((right - left) * (bottom - top)) as u64
    };
    let mut is_moving: Vec<bool> = (0..across * down).map(moves).collect();
    let mut boxes = Vec::new();
    for first in 0..is_moving.len() {
        // All moving cells that are reached from this one by its neighbours.
        let mut group = Vec::new();
        let mut waiting = vec![first];
        while let Some(cell) = waiting.pop() {
            if !std::mem::take(&mut is_moving[cell]) {
                continue;
            }
            let (x, y) = (cell % across, cell / across);
            group.push((x, y));
            waiting.extend((x > 0).then(|| cell - 1));
            waiting.extend((x + 1 < across).then(|| cell + 1));
            waiting.extend((y > 0).then(|| cell - across));
            waiting.extend((y + 1 < down).then(|| cell + across));
        }
        if group.len() < CELLS_LEAST {
            continue;
        }
        let least = |of: fn(&(usize, usize)) -> usize| group.iter().map(of).min().unwrap_or(0);
        let most = |of: fn(&(usize, usize)) -> usize| group.iter().map(of).max().unwrap_or(0);
        let (left, top) = (least(|cell| cell.0) * CELL, least(|cell| cell.1) * CELL);
        let right = ((most(|cell| cell.0) + 1) * CELL).min(width);
        let bottom = ((most(|cell| cell.1) + 1) * CELL).min(height);
        boxes.push((top, left, bottom - top, right - left));
    }
    boxes.sort_by_key(|&(y, x, ..)| (y, x));
    let line = |(y, x, height, width)| format!("{x},{y} {width}x{height}");
    boxes.into_iter().map(line).collect()
}
