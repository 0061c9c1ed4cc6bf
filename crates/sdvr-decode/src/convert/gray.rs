//! Brightness alone: of pictures that have it as samples those, made to go from 0 to 255; of others the mean of the colours by BT.601.

use super::Source;
use crate::colours::Range;
use crate::layout::Layout;

pub(super) fn of_source(source: &Source<'_>, out: &mut [u8]) {
    let width = source.width as usize;
    let lines = out.chunks_exact_mut(width.max(1)).zip(source.rows(0));
    match source.layout {
        Layout::Rgb | Layout::Ycbcr => {
            lines.for_each(|(to, from)| of_packed(from, [0, 1, 2], to));
        }
        Layout::Rgba => lines.for_each(|(to, from)| of_rgba(from, to)),
        Layout::Bgr => lines.for_each(|(to, from)| of_packed(from, [2, 1, 0], to)),
        Layout::Yuyv | Layout::Yvyu => lines.for_each(|(to, from)| every_second(from, 0, to)),
        Layout::Uyvy | Layout::Vyuy => lines.for_each(|(to, from)| every_second(from, 1, to)),
        Layout::Gray16 => lines.for_each(|(to, from)| upper_bits(from, source.sample_bits, to)),
        Layout::Gray16BigEndian => lines.for_each(|(to, from)| every_second(from, 0, to)),
        Layout::P010 => lines.for_each(|(to, from)| every_second(from, 1, to)),
        Layout::Yuv420Deep | Layout::Yuv422Deep | Layout::Yuv444Deep => {
            lines.for_each(|(to, from)| upper_bits(from, source.sample_bits, to));
        }
        _ => lines.for_each(|(to, from)| to.copy_from_slice(from)),
    }
    if source.colours.range == Range::Limited {
        out.iter_mut()
            .for_each(|sample| *sample = stretched(*sample));
    }
}

/// From 16..235 to 0..255: 255/219 as 149/128, which is exact at both ends.
pub(super) const fn stretched(sample: u8) -> u8 {
    let above = sample.saturating_sub(16);
    let above = if above > 219 { 219 } else { above };
    #[expect(clippy::cast_possible_truncation, reason = "219 x 149 / 128 is 255")]
    let stretched = ((above as u16 * 149 + 64) >> 7) as u8;
    stretched
}

/// Of pixels of three bytes, with red, green and blue at these places.
pub(super) fn of_packed(pixels: &[u8], [red, green, blue]: [usize; 3], out: &mut [u8]) {
    for (to, pixel) in out.iter_mut().zip(pixels.as_chunks::<3>().0) {
        *to = brightness(pixel[red], pixel[green], pixel[blue]);
    }
}

fn of_rgba(pixels: &[u8], out: &mut [u8]) {
    for (to, [red, green, blue, _]) in out.iter_mut().zip(pixels.as_chunks::<4>().0) {
        *to = brightness(*red, *green, *blue);
    }
}

/// ITU-R BT.601's weights in 1/256; together they are 256.
const fn brightness(red: u8, green: u8, blue: u8) -> u8 {
    let sum = red as u32 * 77 + green as u32 * 150 + blue as u32 * 29 + 128;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the mean of bytes is a byte"
    )]
    let brightness = (sum >> 8) as u8;
    brightness
}

fn every_second(bytes: &[u8], which: usize, out: &mut [u8]) {
    for (to, pair) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *to = pair[which];
    }
}

/// The upper 8 of so many bits in use of samples of two bytes.
pub(super) fn upper_bits(samples: &[u8], sample_bits: u8, out: &mut [u8]) {
    let shift = u32::from(sample_bits.clamp(8, 16) - 8);
    for (to, &sample) in out.iter_mut().zip(samples.as_chunks::<2>().0) {
        *to = u8::try_from(u16::from_le_bytes(sample) >> shift).unwrap_or(u8::MAX);
    }
}
