//! The picture's size out of a sequence parameter set: H.264, 7.3.2.1.1; H.265, 7.3.2.2.1.
//!
//! Whatever does not parse has no size; nothing else depends on it.

/// The size in the H.264 parameter set `nal`, its one-byte header included.
pub(super) fn h264_size(nal: &[u8]) -> Option<(u32, u32)> {
    let payload = without_emulation_prevention(nal.get(1..)?);
    let mut bits = Bits::new(&payload);
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
            skip_h264_scaling(&mut bits, if chroma_format == 3 { 12 } else { 8 })?;
        }
    }
    bits.unsigned()?;
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
    }
    bits.take(1)?;
    let fields = 2 - frame_only;
    let (unit_x, unit_y) = match (chroma_format, separate_planes) {
        (1, 0) => (2, 2 * fields),
        (2, 0) => (2, fields),
        _ => (1, fields),
    };
    let crop = crop(&mut bits, unit_x, unit_y)?;
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

/// Takes out the 03 of every 00 00 03.
fn without_emulation_prevention(nal: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(nal.len());
    let mut zeros = 0;
    for &byte in nal {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

/// Reads bits, the highest of a byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0_u32, |value, _| {
            let byte = self.bytes.get(self.at / 8)?;
            let bit = byte >> (7 - self.at % 8) & 1;
            self.at += 1;
            Some(value << 1 | u32::from(bit))
        })
    }

    /// Exp-Golomb, unsigned (H.264, 9.1).
    fn unsigned(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while self.take(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let rest = self.take(zeros)?;
        (1_u32 << zeros).checked_sub(1)?.checked_add(rest)
    }

    /// Exp-Golomb, signed.
    fn signed(&mut self) -> Option<i64> {
        let code = i64::from(self.unsigned()?);
        Some(if code % 2 == 1 {
            (code + 1) / 2
        } else {
            -(code / 2)
        })
    }
}
