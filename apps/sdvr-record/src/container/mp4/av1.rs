//! Open bitstream units (OBUs), and what a sequence header says that `av1C` repeats (AV1, 5.3 and 5.5).

use mp4_atom::Av1c;
use sdvr_frame::bits::Bits;

pub(super) const SEQUENCE_HEADER: u8 = 1;
pub(super) const TEMPORAL_DELIMITER: u8 = 2;

const HAS_EXTENSION: u8 = 4;
const HAS_SIZE: u8 = 2;

/// What a temporal unit begins with.
pub(super) const DELIMITER: [u8; 2] = [TEMPORAL_DELIMITER << 3 | HAS_SIZE, 0];

/// A unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Obu<'a> {
    pub(super) kind: u8,
    /// With its header.
    pub(super) whole: &'a [u8],
    pub(super) payload: &'a [u8],
}

/// The units of a temporal unit, one after the other; an error is the rest of it, where no unit begins.
#[derive(Clone, Debug)]
pub(super) struct Obus<'a> {
    rest: &'a [u8],
}

impl<'a> Obus<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self) -> Option<Obu<'a>> {
        let (&first, mut payload) = self.rest.split_first()?;
        if first & HAS_EXTENSION != 0 {
            payload = payload.get(1..)?;
        }
        let mut length = payload.len();
        if first & HAS_SIZE != 0 {
            (length, payload) = leb128(payload)?;
        }
        let (payload, behind) = payload.split_at_checked(length)?;
        let whole = self
            .rest
            .get(..self.rest.len().checked_sub(behind.len())?)?;
        self.rest = behind;
        Some(Obu {
            kind: first >> 3 & 0xf,
            whole,
            payload,
        })
    }
}

impl<'a> Iterator for Obus<'a> {
    type Item = Result<Obu<'a>, &'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        Some(match self.take() {
            Some(obu) => Ok(obu),
            None => Err(std::mem::take(&mut self.rest)),
        })
    }
}

/// A number of at most eight bytes of seven bits, the lowest first, and what is behind it.
fn leb128(mut bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for index in 0..8_u32 {
        let (&byte, behind) = bytes.split_first()?;
        bytes = behind;
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, bytes));
        }
    }
    None
}

/// All of the configuration but the units; `None` if the header ends early.
pub(super) fn configuration(sequence: &[u8]) -> Option<Av1c> {
    let mut bits = Bits::new(sequence);
    let profile = bits.take(3)?;
    let _is_still = bits.take(1)?;
    let is_reduced = bits.take(1)? == 1;
    let (level, tier) = if is_reduced {
        (bits.take(5)?, 0)
    } else {
        operating_points(&mut bits)?
    };
    skip_to_colours(&mut bits, is_reduced)?;
    let colours = Colours::parse(&mut bits, profile)?;
    Some(Av1c {
        seq_profile: u8::try_from(profile).ok()?,
        seq_level_idx_0: u8::try_from(level).ok()?,
        seq_tier_0: tier == 1,
        ..colours.0
    })
}

/// Level and tier of the first operating point; goes behind the last.
fn operating_points(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    let mut delay_bits = None;
    if bits.take(1)? == 1 {
        bits.take(32)?;
        bits.take(32)?;
        // num_ticks_per_picture_minus_1, of variable length.
        if bits.take(1)? == 1 {
            bits.unsigned()?;
        }
        if bits.take(1)? == 1 {
            delay_bits = Some(bits.take(5)?.checked_add(1)?);
            bits.take(32)?;
            bits.take(10)?;
        }
    }
    let has_display_delay = bits.take(1)? == 1;
    let mut first = None;
    for _ in 0..=bits.take(5)? {
        bits.take(12)?;
        let level = bits.take(5)?;
        let tier = if level > 7 { bits.take(1)? } else { 0 };
        first.get_or_insert((level, tier));
        if let Some(delay_bits) = delay_bits
            && bits.take(1)? == 1
        {
            bits.take(delay_bits)?;
            bits.take(delay_bits)?;
            bits.take(1)?;
        }
        if has_display_delay && bits.take(1)? == 1 {
            bits.take(4)?;
        }
    }
    first
}

/// Over the size and the coding tools.
fn skip_to_colours(bits: &mut Bits<'_>, is_reduced: bool) -> Option<()> {
    let (width_bits, height_bits) = (bits.take(4)?, bits.take(4)?);
    bits.take(width_bits.checked_add(1)?)?;
    bits.take(height_bits.checked_add(1)?)?;
    if !is_reduced && bits.take(1)? == 1 {
        bits.take(7)?;
    }
    bits.take(3)?;
    if !is_reduced {
        bits.take(4)?;
        let has_order_hint = bits.take(1)? == 1;
        if has_order_hint {
            bits.take(2)?;
        }
        let chooses_screen_tools = bits.take(1)? == 1;
        let has_screen_tools = chooses_screen_tools || bits.take(1)? == 1;
        // seq_choose_integer_mv, and seq_force_integer_mv if it is not chosen.
        if has_screen_tools && bits.take(1)? == 0 {
            bits.take(1)?;
        }
        if has_order_hint {
            bits.take(3)?;
        }
    }
    bits.take(3)?;
    Some(())
}

/// `color_config` (5.5.2), in the fields that repeat it.
struct Colours(Av1c);

impl Colours {
    fn parse(bits: &mut Bits<'_>, profile: u32) -> Option<Self> {
        let high_bitdepth = bits.take(1)? == 1;
        let twelve_bit = profile == 2 && high_bitdepth && bits.take(1)? == 1;
        let monochrome = profile != 1 && bits.take(1)? == 1;
        let described = if bits.take(1)? == 1 {
            (bits.take(8)?, bits.take(8)?, bits.take(8)?)
        } else {
            (2, 2, 2)
        };
        /// BT.709 primaries, the sRGB transfer, the identity matrix.
        const SRGB: (u32, u32, u32) = (1, 13, 0);
        let (mut across, mut down, mut position) = (true, true, 0);
        if monochrome {
            bits.take(1)?;
        } else if described == SRGB {
            (across, down) = (false, false);
        } else {
            bits.take(1)?;
            (across, down) = match profile {
                0 => (true, true),
                1 => (false, false),
                _ if twelve_bit => {
                    let across = bits.take(1)? == 1;
                    (across, across && bits.take(1)? == 1)
                }
                _ => (true, false),
            };
            if across && down {
                position = bits.take(2)?;
            }
        }
        Some(Self(Av1c {
            high_bitdepth,
            twelve_bit,
            monochrome,
            chroma_subsampling_x: across,
            chroma_subsampling_y: down,
            chroma_sample_position: u8::try_from(position).ok()?,
            ..Av1c::default()
        }))
    }
}
