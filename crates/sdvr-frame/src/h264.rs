//! What H.264 says of its pictures outside of them: sequence parameter sets, and the order in which pictures are shown.
//!
//! Who cuts a bitstream into frames reads it, who decodes them, and who records them.

use crate::bits::{Bits, without_emulation_prevention};
use crate::picture_order::{Counter, LowBits, Place};

/// Type of the slices of an IDR picture, from which nothing reaches back (table 7-1).
const IDR_SLICE: u8 = 5;
/// More than the fields of a slice's header up to the count take.
const SLICE_HEADER_BYTES: usize = 32;

/// What a sequence parameter set says (7.3.2.1.1 and E.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SequenceParameters {
    /// Of the picture without what is cropped, in pixels.
    pub width: u32,
    /// As [`Self::width`].
    pub height: u32,
    /// `chroma_format_idc`: 0 for brightness alone, 1 for 4:2:0, 2 for 4:2:2, 3 for 4:4:4.
    pub chroma_format: u32,
    /// Whether the colours of 4:4:4 are coded as three pictures.
    pub has_colour_planes: bool,
    /// Bits of a sample, more than 8: of brightness or of colour, of which there are more.
    pub extra_depth: u32,
    /// Whether a picture may be two fields.
    pub may_be_interlaced: bool,
    /// Bits of a slice's `frame_num`.
    pub frame_number_bits: u32,
    /// How the order is told.
    pub order: OrderCount,
    /// How many pictures wait at most until others that come later were shown, where that is said.
    pub reordered: Option<u32>,
    /// How colours are coded, where that is said.
    pub colours: Option<CodedColours>,
}

/// How the order is told in which pictures are shown: `pic_order_cnt_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderCount {
    /// Each slice has the low bits of its count.
    Low {
        /// How many, from 4 to 16.
        bits: u32,
    },
    /// By a cycle of differences, which no encoder of cameras uses: taken as sent.
    Cycle,
    /// As they are sent.
    AsSent,
}

/// How colours are coded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodedColours {
    /// Whether samples use all their values.
    pub is_full_range: bool,
    /// `matrix_coefficients` (ITU-T H.273), where said.
    pub matrix: Option<u32>,
}

impl SequenceParameters {
    /// Of a NAL unit, its header of one byte included; `None` when it does not parse.
    ///
    /// ```
    /// use sdvr_frame::h264::SequenceParameters;
    ///
    /// // Baseline, 640 x 480.
    /// let nal = [0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xf4];
    /// let parameters = SequenceParameters::parse(&nal).unwrap();
    /// assert_eq!((parameters.width, parameters.height), (640, 480));
    /// assert_eq!(SequenceParameters::parse(&nal[..5]), None);
    /// ```
    #[must_use]
    pub fn parse(nal: &[u8]) -> Option<Self> {
        let payload = without_emulation_prevention(nal.get(1..)?);
        let bits = &mut Bits::new(&payload);
        let profile = bits.take(8)?;
        bits.take(16)?;
        bits.unsigned()?;
        let (mut chroma_format, mut has_colour_planes, mut extra_depth) = (1, false, 0);
        if matches!(
            profile,
            100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
        ) {
            chroma_format = bits.unsigned()?;
            if chroma_format == 3 {
                has_colour_planes = bits.take(1)? == 1;
            }
            extra_depth = bits.unsigned()?.max(bits.unsigned()?);
            bits.take(1)?;
            if bits.take(1)? == 1 {
                skip_scaling(bits, if chroma_format == 3 { 12 } else { 8 })?;
            }
        }
        // At most 16 (7.4.2.1.1).
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
        let (unit_x, unit_y) = match (chroma_format, has_colour_planes) {
            (1, false) => (2, 2 * fields),
            (2, false) => (2, fields),
            _ => (1, fields),
        };
        let (left_right, top_bottom) = bits.cropped(unit_x, unit_y)?;
        let width = width_in_blocks.checked_mul(16)?.checked_sub(left_right)?;
        let height = height_in_map_units
            .checked_mul(16)?
            .checked_mul(fields)?
            .checked_sub(top_bottom)?;
        let (colours, reordered) = usability(bits).unwrap_or_default();
        Some(Self {
            width,
            height,
            chroma_format,
            has_colour_planes,
            extra_depth,
            may_be_interlaced: frame_only == 0,
            frame_number_bits,
            order,
            reordered,
            colours,
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

/// The video usability information: colours, where they are said, and how many pictures are reordered at most, where that is said.
fn usability(bits: &mut Bits<'_>) -> Option<(Option<CodedColours>, Option<u32>)> {
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
        let is_full_range = bits.take(1)? == 1;
        let mut matrix = None;
        if bits.take(1)? == 1 {
            bits.take(16)?;
            matrix = Some(bits.take(8)?);
        }
        colours = Some(CodedColours {
            is_full_range,
            matrix,
        });
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

/// Tells the places of a stream's pictures, one after the other as they are decoded.
#[derive(Clone, Debug, Default)]
pub struct PictureOrder(Counter);

impl PictureOrder {
    /// The place of the picture whose first slice this is, its header of one byte included; `None` when the slice does not tell.
    pub fn place(&mut self, slice: &[u8], sequence: &SequenceParameters) -> Option<Place> {
        let (&header, rest) = slice.split_first()?;
        let is_idr = header & 31 == IDR_SLICE;
        if is_idr {
            self.0.begin_sequence();
        }
        let OrderCount::Low { bits: count_bits } = sequence.order else {
            return None;
        };
        let start = rest.get(..SLICE_HEADER_BYTES).unwrap_or(rest);
        let start = without_emulation_prevention(start);
        let bits = &mut Bits::new(&start);
        // first_mb_in_slice, slice_type, pic_parameter_set_id.
        for _ in 0..3 {
            bits.unsigned()?;
        }
        if sequence.has_colour_planes {
            bits.take(2)?;
        }
        bits.take(sequence.frame_number_bits)?;
        if sequence.may_be_interlaced && bits.take(1)? == 1 {
            bits.take(1)?;
        }
        if is_idr {
            bits.unsigned()?;
        }
        Some(self.0.place(LowBits {
            value: bits.take(count_bits)?,
            bits: count_bits,
            is_reference: header & 0x60 != 0,
        }))
    }
}
