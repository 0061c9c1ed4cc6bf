//! What a sequence parameter set says of its pictures: H.264, 7.3.2.1.1 and E.1.1.

use crate::colours::{Colours, Matrix, Range};
use sdvr_frame::bits::{Bits, without_emulation_prevention};

/// What decoding depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ParameterSet {
    pub(super) width: u32,
    pub(super) height: u32,
    /// 4:2:0 in 8 bits.
    pub(super) is_eight_bit_420: bool,
    /// Whether a picture may be two fields.
    pub(super) may_be_interlaced: bool,
    /// Bits of a slice's `frame_num`.
    pub(super) frame_number_bits: u32,
    pub(super) order: OrderCount,
    /// How many pictures wait at most until others that come later were shown, where that is said.
    pub(super) reordered: Option<u32>,
    pub(super) colours: Colours,
}

/// How the order is told in which pictures are shown: `pic_order_cnt_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OrderCount {
    /// Each slice has the low bits of its count.
    Low { bits: u32 },
    /// By a cycle of differences, which no encoder of cameras uses: taken as sent.
    Cycle,
    /// As they are sent.
    AsSent,
}

impl ParameterSet {
    /// Of a NAL unit, its header of one byte included; `None` when it does not parse.
    pub(super) fn parse(nal: &[u8]) -> Option<Self> {
        let payload = without_emulation_prevention(nal.get(1..)?);
        let bits = &mut Bits::new(&payload);
        let profile = bits.take(8)?;
        bits.take(16)?;
        bits.unsigned()?;
        let (mut chroma_format, mut separate_planes, mut depth) = (1, 0, 0);
        if matches!(
            profile,
            100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
        ) {
            chroma_format = bits.unsigned()?;
            if chroma_format == 3 {
                separate_planes = bits.take(1)?;
            }
            depth = bits.unsigned()?.max(bits.unsigned()?);
            bits.take(1)?;
            if bits.take(1)? == 1 {
                skip_scaling(bits, if chroma_format == 3 { 12 } else { 8 })?;
            }
        }
        let frame_number_bits = bits.unsigned()?.min(12) + 4;
        let order = order_count(bits)?;
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
        let (left_right, top_bottom) = crop(bits, unit_x, unit_y)?;
        let width = width_in_blocks.checked_mul(16)?.checked_sub(left_right)?;
        let height = height_in_map_units
            .checked_mul(16)?
            .checked_mul(fields)?
            .checked_sub(top_bottom)?;
        let (colours, reordered) = usability(bits, height).unwrap_or_default();
        Some(Self {
            width,
            height,
            is_eight_bit_420: chroma_format == 1 && depth == 0,
            may_be_interlaced: frame_only == 0,
            frame_number_bits,
            order,
            reordered,
            colours: colours.unwrap_or_else(|| Colours::of_unmarked_video(height)),
        })
    }
}

fn skip_scaling(bits: &mut Bits<'_>, lists: u32) -> Option<()> {
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

fn order_count(bits: &mut Bits<'_>) -> Option<OrderCount> {
    Some(match bits.unsigned()? {
        0 => OrderCount::Low {
            bits: bits.unsigned()?.min(12) + 4,
        },
        1 => {
            bits.take(1)?;
            bits.unsigned()?;
            bits.unsigned()?;
            let cycle = bits.unsigned()?;
            for _ in 0..cycle.min(256) {
                bits.unsigned()?;
            }
            OrderCount::Cycle
        }
        _ => OrderCount::AsSent,
    })
}

/// How many pixels the cropping window takes off each direction.
fn crop(bits: &mut Bits<'_>, unit_x: u32, unit_y: u32) -> Option<(u32, u32)> {
    if bits.take(1)? == 0 {
        return Some((0, 0));
    }
    let mut both = |unit: u32| {
        let (first, second) = (bits.unsigned()?, bits.unsigned()?);
        first.checked_add(second)?.checked_mul(unit)
    };
    Some((both(unit_x)?, both(unit_y)?))
}

/// The video usability information: colours, where they are said, and how many pictures are reordered at most, where that is said.
fn usability(bits: &mut Bits<'_>, height: u32) -> Option<(Option<Colours>, Option<u32>)> {
    if bits.take(1)? == 0 {
        return None;
    }
    // Sample aspect ratio; 255 is followed by the ratio.
    if bits.take(1)? == 1 && bits.take(8)? == 255 {
        bits.take(32)?;
    }
    // Overscan.
    if bits.take(1)? == 1 {
        bits.take(1)?;
    }
    let mut colours = None;
    if bits.take(1)? == 1 {
        bits.take(3)?;
        let mut said = Colours::of_unmarked_video(height);
        if bits.take(1)? == 1 {
            said.range = Range::Full;
        }
        if bits.take(1)? == 1 {
            bits.take(16)?;
            said.matrix = Matrix::of_code(bits.take(8)?).unwrap_or(said.matrix);
        }
        colours = Some(said);
    }
    Some((colours, reordered(bits)))
}

/// `max_num_reorder_frames`, which is far behind.
fn reordered(bits: &mut Bits<'_>) -> Option<u32> {
    // Places of samples of colour.
    if bits.take(1)? == 1 {
        bits.unsigned()?;
        bits.unsigned()?;
    }
    // Timing.
    if bits.take(1)? == 1 {
        bits.take(32)?;
        bits.take(32)?;
        bits.take(1)?;
    }
    let mut has_reference_decoder = false;
    for _ in 0..2 {
        if bits.take(1)? == 1 {
            has_reference_decoder = true;
            skip_reference_decoder(bits)?;
        }
    }
    if has_reference_decoder {
        bits.take(1)?;
    }
    bits.take(1)?;
    if bits.take(1)? == 0 {
        return None;
    }
    bits.take(1)?;
    for _ in 0..4 {
        bits.unsigned()?;
    }
    bits.unsigned()
}

/// `hrd_parameters`: E.1.2.
fn skip_reference_decoder(bits: &mut Bits<'_>) -> Option<()> {
    let count = bits.unsigned()?.min(31);
    bits.take(8)?;
    for _ in 0..=count {
        bits.unsigned()?;
        bits.unsigned()?;
        bits.take(1)?;
    }
    bits.take(20).map(|_| ())
}
