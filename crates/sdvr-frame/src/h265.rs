//! What H.265 says of its pictures outside of them: parameter sets, and the order in which pictures are shown.

use crate::bits::{Bits, without_emulation_prevention};
use crate::picture_order::{Counter, LowBits, Place};

/// More than the fields of a slice's header up to the count take.
const SLICE_HEADER_BYTES: usize = 32;
/// Types of units (table 7-1): the first and the last of slices that reach back to nothing…
const KEY_FIRST: u8 = 16;
const KEY_LAST: u8 = 23;
/// … the last of those behind which nothing is decoded that reaches back beyond them …
const BROKEN_LAST: u8 = 18;
/// … those that say no count, as it is 0 …
const IDR: std::ops::RangeInclusive<u8> = 19..=20;
/// … and the first and the last of pictures that are shown before the key frame that is decoded before them.
const LEADING: std::ops::RangeInclusive<u8> = 6..=9;

/// The type of a unit; `None` if it is of another layer than the picture itself.
#[must_use]
pub fn unit_type(nal: &[u8]) -> Option<u8> {
    let [first, second] = *nal.first_chunk()?;
    let is_base = first & 1 == 0 && second >> 3 == 0;
    is_base.then_some(first >> 1 & 0x3f)
}

/// What a sequence parameter set says (7.3.2.2.1), as far as its order counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SequenceParameters {
    /// Layers of time, more than one: 6 at most.
    pub extra_sub_layers: u32,
    /// `sps_temporal_id_nesting_flag`.
    pub is_nested: bool,
    /// `chroma_format_idc`: 0 for brightness alone, 1 for 4:2:0, 2 for 4:2:2, 3 for 4:4:4.
    pub chroma_format: u32,
    /// Whether the colours of 4:4:4 are coded as three pictures.
    pub has_colour_planes: bool,
    /// Of the picture without what is cropped, in pixels.
    pub width: u32,
    /// As [`Self::width`].
    pub height: u32,
    /// Bits of a sample of brightness and of colour, more than 8, where the set goes so far.
    pub extra_depths: Option<(u32, u32)>,
    /// How the order is told, where the set goes so far.
    pub order: Option<Order>,
}

/// What a sequence says of the order of its pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Bits of the count in a slice, from 4 to 16.
    pub count_bits: u32,
    /// How many pictures wait at most until others that come later were shown.
    pub reordered: u32,
}

impl SequenceParameters {
    /// Of a NAL unit, its header of two bytes included; `None` when it does not parse up to the size.
    #[must_use]
    pub fn parse(nal: &[u8]) -> Option<Self> {
        let payload = without_emulation_prevention(nal.get(2..)?);
        let bits = &mut Bits::new(&payload);
        bits.take(4)?;
        let extra_sub_layers = bits.take(3)?;
        let is_nested = bits.take(1)? == 1;
        skip_profile(bits, extra_sub_layers)?;
        bits.unsigned()?;
        let chroma_format = bits.unsigned()?;
        let has_colour_planes = chroma_format == 3 && bits.take(1)? == 1;
        let (width, height) = (bits.unsigned()?, bits.unsigned()?);
        let (unit_x, unit_y) = match chroma_format {
            1 => (2, 2),
            2 => (2, 1),
            _ => (1, 1),
        };
        let (left_right, top_bottom) = bits.cropped(unit_x, unit_y)?;
        let extra_depths = bits.unsigned().zip(bits.unsigned());
        Some(Self {
            extra_sub_layers,
            is_nested,
            chroma_format,
            has_colour_planes,
            width: width.checked_sub(left_right)?,
            height: height.checked_sub(top_bottom)?,
            extra_depths,
            order: order(bits, extra_sub_layers),
        })
    }
}

/// `profile_tier_level` (7.3.3): 88 bits of profile, 8 of level, then what the sub-layers have.
fn skip_profile(bits: &mut Bits<'_>, extra_sub_layers: u32) -> Option<()> {
    let mut skip = |bytes: u32| (0..bytes).try_for_each(|_| bits.take(8).map(|_| ()));
    skip(12)?;
    let mut present = Vec::new();
    for _ in 0..extra_sub_layers {
        present.push((bits.take(1)?, bits.take(1)?));
    }
    if extra_sub_layers > 0 {
        for _ in extra_sub_layers..8 {
            bits.take(2)?;
        }
    }
    for (profile, level) in present {
        (0..profile * 11 + level).try_for_each(|_| bits.take(8).map(|_| ()))?;
    }
    Some(())
}

fn order(bits: &mut Bits<'_>, extra_sub_layers: u32) -> Option<Order> {
    let count_bits = bits.unsigned()?.min(12) + 4;
    let is_said_of_each = bits.take(1)? == 1;
    let said = if is_said_of_each { extra_sub_layers } else { 0 };
    let mut reordered = 0;
    // The last is of all layers together.
    for _ in 0..=said {
        bits.unsigned()?;
        reordered = bits.unsigned()?;
        bits.unsigned()?;
    }
    Some(Order {
        count_bits,
        reordered,
    })
}

/// What a picture parameter set says (7.3.2.3.1) of where a slice has its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PictureParameters {
    /// By which slices name it.
    pub id: u32,
    has_output_flag: bool,
    extra_bits: u32,
}

impl PictureParameters {
    /// Of a NAL unit, its header of two bytes included; `None` when it does not parse so far.
    #[must_use]
    pub fn parse(nal: &[u8]) -> Option<Self> {
        let start = nal.get(2..nal.len().min(SLICE_HEADER_BYTES))?;
        let payload = without_emulation_prevention(start);
        let bits = &mut Bits::new(&payload);
        let id = bits.unsigned()?;
        bits.unsigned()?;
        bits.take(1)?;
        Some(Self {
            id,
            has_output_flag: bits.take(1)? == 1,
            extra_bits: bits.take(3)?,
        })
    }
}

/// Tells the places of a stream's pictures, one after the other as they are decoded.
#[derive(Clone, Debug, Default)]
pub struct PictureOrder {
    counter: Counter,
    has_begun: bool,
}

impl PictureOrder {
    /// The place of the picture whose first slice this is, its header of two bytes included; `None` when the slice does not tell.
    pub fn place(
        &mut self,
        slice: &[u8],
        sequence: &SequenceParameters,
        pictures: &[PictureParameters],
    ) -> Option<Place> {
        let kind = unit_type(slice)?;
        let is_key = (KEY_FIRST..=KEY_LAST).contains(&kind);
        let reaches_back_to_nothing = kind <= BROKEN_LAST || IDR.contains(&kind);
        // A clean random access picture begins one where the stream begins. (Behind the end of a sequence, too, which cameras do not send.)
        if is_key && (reaches_back_to_nothing || !self.has_begun) {
            self.counter.begin_sequence();
        }
        self.has_begun |= is_key;
        let order = sequence.order?;
        let start = slice.get(2..)?;
        let start = start.get(..SLICE_HEADER_BYTES).unwrap_or(start);
        let start = without_emulation_prevention(start);
        let bits = &mut Bits::new(&start);
        if bits.take(1)? == 0 {
            return None;
        }
        if is_key {
            bits.take(1)?;
        }
        let id = bits.unsigned()?;
        // The last of an id is the one that counts.
        let picture = pictures.iter().rev().find(|picture| picture.id == id)?;
        bits.take(picture.extra_bits)?;
        bits.unsigned()?;
        if picture.has_output_flag {
            bits.take(1)?;
        }
        if sequence.has_colour_planes {
            bits.take(2)?;
        }
        let value = if IDR.contains(&kind) {
            0
        } else {
            bits.take(order.count_bits)?
        };
        // Of the lowest layer of time, and a picture that others may build on (8.3.1).
        let is_lowest = slice.get(1).is_some_and(|byte| byte & 7 == 1);
        let is_sub_layer_reference = kind >= KEY_FIRST || kind % 2 == 1;
        Some(self.counter.place(LowBits {
            value,
            bits: order.count_bits,
            is_reference: is_lowest && is_sub_layer_reference && !LEADING.contains(&kind),
        }))
    }
}
