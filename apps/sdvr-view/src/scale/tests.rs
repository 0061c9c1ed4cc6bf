#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places lie between 0 and the last one"
)]

use super::*;

fn noise(width: u32, height: u32) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..width * height * 4).map(|_| next()).collect()
}

fn scaled(bytes: &[u8], from: (u32, u32), to: (u32, u32)) -> Vec<u32> {
    let mut pixels = vec![0xdead; (to.0 * to.1) as usize];
    let mut canvas = Canvas::new(&mut pixels, to.0);
    Scaler::default().draw_bytes(bytes, from, &mut canvas, Area::of_size(to.0, to.1));
    pixels
}

fn colours(pixel: u32) -> [f64; 3] {
    [16, 8, 0].map(|shift| f64::from((pixel >> shift) & 255))
}

/// The same by its definition, in floating point.
fn reference(bytes: &[u8], from: (u32, u32), to: (u32, u32), (x, y): (u32, u32)) -> [f64; 3] {
    let places = |place: u32, from: u32, to: u32| {
        let step = f64::from(from) / f64::from(to);
        let centre = (f64::from(place) + 0.5) * step - 0.5;
        let last = f64::from(from - 1);
        if step > 2.0 {
            let at = |place: f64| place.round().clamp(0.0, last) as u32;
            return [
                (at(centre - step / 4.0), 0.5),
                (at(centre + step / 4.0), 0.5),
            ];
        }
        let centre = centre.clamp(0.0, last);
        let part = centre.fract();
        let first = centre as u32;
        [(first, 1.0 - part), ((first + 1).min(from - 1), part)]
    };
    let mut sum = [0.0; 3];
    for (row, of_row) in places(y, from.1, to.1) {
        for (column, of_column) in places(x, from.0, to.0) {
            for (colour, sum) in sum.iter_mut().enumerate() {
                let at = ((row * from.0 + column) * 4) as usize + colour;
                *sum += f64::from(bytes[at]) * of_row * of_column;
            }
        }
    }
    sum
}

#[test]
fn each_pixel_is_what_its_neighbours_make_of_it() {
    let sizes = [(1, 1), (2, 3), (17, 5), (64, 48), (99, 101)];
    for from in sizes {
        let bytes = noise(from.0, from.1);
        for to in sizes {
            let pixels = scaled(&bytes, from, to);
            for y in 0..to.1 {
                for x in 0..to.0 {
                    let drawn = colours(pixels[(y * to.0 + x) as usize]);
                    let wanted = reference(&bytes, from, to, (x, y));
                    for (drawn, wanted) in drawn.iter().zip(wanted) {
                        // Weights are of 256, and both steps round down.
                        assert!(
                            (drawn - wanted).abs() < 4.0,
                            "{from:?} to {to:?} at {x},{y}: {drawn} for {wanted}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_picture_of_the_area_s_size_is_copied_to_the_bit() {
    let bytes = noise(31, 7);
    let copied = scaled(&bytes, (31, 7), (31, 7));
    let expected: Vec<u32> = bytes
        .chunks_exact(4)
        .map(|pixel| u32::from_be_bytes([0, pixel[0], pixel[1], pixel[2]]))
        .collect();
    assert_eq!(copied, expected);
}

#[test]
fn one_colour_stays_that_colour_at_every_size() {
    let bytes = [1, 128, 255, 255].repeat(60 * 40);
    for to in [(60, 40), (1, 1), (7, 300), (31, 19), (120, 80)] {
        let pixels = scaled(&bytes, (60, 40), to);
        assert!(pixels.iter().all(|&pixel| pixel == 0x0001_80ff), "{to:?}");
    }
}

#[test]
fn too_few_bytes_or_none_are_drawn_as_far_as_they_go() {
    for bytes in [&[][..], &[0; 100]] {
        for to in [(8, 8), (16, 16), (3, 3)] {
            let _ = scaled(bytes, (8, 8), to);
        }
    }
    assert_eq!(scaled(&[], (0, 0), (2, 2)), [0xdead; 4]);
}

#[test]
fn one_scaler_takes_pictures_of_changing_sizes() {
    let mut scaler = Scaler::default();
    for (from, to) in [
        ((8, 8), (16, 16)),
        ((4, 4), (16, 16)),
        ((300, 2), (16, 16)),
        ((8, 8), (16, 16)),
    ] {
        let bytes = noise(from.0, from.1);
        let mut pixels = vec![0; (to.0 * to.1) as usize];
        let mut canvas = Canvas::new(&mut pixels, to.0);
        scaler.draw_bytes(&bytes, from, &mut canvas, Area::of_size(to.0, to.1));
        assert_eq!(pixels, scaled(&bytes, from, to));
    }
}
