//! The picture's size out of a sequence parameter set: H.264, 7.3.2.1.1; H.265, 7.3.2.2.1.
//!
//! And what of an H.264 one is needed to tell the fields of a picture. Whatever does not parse has no size, and its pictures count as whole frames.

use super::field::FieldSyntax;
use sdvr_frame::bits::{Bits, without_emulation_prevention};

/// The size in the H.264 parameter set `nal`, its one-byte header included, and how its slices speak of fields, if they may.
pub(super) fn h264(nal: &[u8]) -> (Option<(u32, u32)>, Option<FieldSyntax>) {
    let payload = nal.get(1..).map(without_emulation_prevention);
    let mut bits = Bits::new(payload.as_deref().unwrap_or_default());
    let mut fields = None;
    (parse_h264(&mut bits, &mut fields), fields)
}

fn parse_h264(bits: &mut Bits<'_>, fields: &mut Option<FieldSyntax>) -> Option<(u32, u32)> {
    let profile = bits.take(8)?;
    bits.take(16)?;
    bits.unsigned()?;
    let mut chroma_format = 1;
    let mut separate_planes = 0;
    if matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    ) {
        chroma_format = bits.unsigned()?;
        if chroma_format == 3 {
            separate_planes = bits.take(1)?;
        }
        bits.unsigned()?;
        bits.unsigned()?;
        bits.take(1)?;
        if bits.take(1)? == 1 {
            skip_h264_scaling(bits, if chroma_format == 3 { 12 } else { 8 })?;
        }
    }
    // log2_max_frame_num_minus4, at most 12.
    let frame_number_bits = bits.unsigned()?.min(12) + 4;
    match bits.unsigned()? {
        0 => {
            bits.unsigned()?;
        }
        1 => {
            bits.take(1)?;
            bits.unsigned()?;
            bits.unsigned()?;
            let cycle = bits.unsigned()?;
            for _ in 0..cycle.min(256) {
                bits.unsigned()?;
            }
        }
        _ => {}
    }
    bits.unsigned()?;
    bits.take(1)?;
    let width_in_blocks = bits.unsigned()?.checked_add(1)?;
    let height_in_map_units = bits.unsigned()?.checked_add(1)?;
    let frame_only = bits.take(1)?;
    if frame_only == 0 {
        bits.take(1)?;
        *fields = Some(FieldSyntax {
            has_colour_plane: separate_planes == 1,
            frame_number_bits,
        });
    }
    bits.take(1)?;
    let fields = 2 - frame_only;
    let (unit_x, unit_y) = match (chroma_format, separate_planes) {
        (1, 0) => (2, 2 * fields),
        (2, 0) => (2, fields),
        _ => (1, fields),
    };
    let crop = crop(bits, unit_x, unit_y)?;
    let width = width_in_blocks.checked_mul(16)?.checked_sub(crop.0)?;
    let height = height_in_map_units
        .checked_mul(16)?
        .checked_mul(fields)?
        .checked_sub(crop.1)?;
    plausible(width, height)
}

fn skip_h264_scaling(bits: &mut Bits<'_>, lists: u32) -> Option<()> {
    for list in 0..lists {
        if bits.take(1)? == 0 {
            continue;
        }
        let (mut last, mut next) = (8_i64, 8_i64);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = (last + bits.signed()? + 256) % 256;
            }
            last = if next == 0 { last } else { next };
        }
    }
    Some(())
}

/// The size in the H.265 parameter set `nal`, its two-byte header included.
pub(super) fn h265_size(nal: &[u8]) -> Option<(u32, u32)> {
    let payload = without_emulation_prevention(nal.get(2..)?);
    let mut bits = Bits::new(&payload);
    bits.take(4)?;
    let sub_layers = bits.take(3)?;
    bits.take(1)?;
    skip_h265_profile(&mut bits, sub_layers)?;
    bits.unsigned()?;
    let chroma_format = bits.unsigned()?;
    if chroma_format == 3 {
        bits.take(1)?;
    }
    let (width, height) = (bits.unsigned()?, bits.unsigned()?);
    let (unit_x, unit_y) = match chroma_format {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    };
    let crop = crop(&mut bits, unit_x, unit_y)?;
    plausible(width.checked_sub(crop.0)?, height.checked_sub(crop.1)?)
}

/// `profile_tier_level` (7.3.3): 88 bits of profile, 8 of level, then what the sub-layers have.
fn skip_h265_profile(bits: &mut Bits<'_>, sub_layers: u32) -> Option<()> {
    (0..12).try_for_each(|_| bits.take(8).map(|_| ()))?;
    let mut present = Vec::new();
    for _ in 0..sub_layers {
        present.push((bits.take(1)?, bits.take(1)?));
    }
    if sub_layers > 0 {
        for _ in sub_layers..8 {
            bits.take(2)?;
        }
    }
    for (profile, level) in present {
        (0..profile * 11 + level).try_for_each(|_| bits.take(8).map(|_| ()))?;
    }
    Some(())
}

/// The cropping window: how many pixels it takes off each direction.
fn crop(bits: &mut Bits<'_>, unit_x: u32, unit_y: u32) -> Option<(u32, u32)> {
    if bits.take(1)? == 0 {
        return Some((0, 0));
    }
    let across = bits
        .unsigned()?
        .checked_add(bits.unsigned()?)?
        .checked_mul(unit_x)?;
    let down = bits
        .unsigned()?
        .checked_add(bits.unsigned()?)?
        .checked_mul(unit_y)?;
    Some((across, down))
}

fn plausible(width: u32, height: u32) -> Option<(u32, u32)> {
    ((1..=32_768).contains(&width) && (1..=32_768).contains(&height)).then_some((width, height))
}
