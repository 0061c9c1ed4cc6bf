//! The two fields of an interlaced H.264 picture, when each is coded for itself.
//!
//! They are two access units (3.1) but one picture: neither is of use to a program without the other, and a camera of 25 pictures a
//! second has 50 of them. So both are one frame here.
//!
//! Whether a field has another shows in the slice header of the next picture: only after a field the splitter waits for that.

use sdvr_frame::bits::{Bits, without_emulation_prevention};
use sdvr_frame::h264::SequenceParameters;

/// This much of a slice has all that is read of its header, even with emulation prevention: first_mb_in_slice (1 bit, of the first
/// slice), slice_type (7), pic_parameter_set_id (17), colour_plane_id (2), frame_num (16) and two flags.
pub(super) const SLICE_HEAD_BYTES: usize = 12;

/// How the slices of a parameter set speak of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldSyntax {
    has_colour_planes: bool,
    frame_number_bits: u32,
}

/// One field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    frame_number: u32,
    is_bottom: bool,
    is_idr: bool,
}

/// What the pictures of a unit are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Fields {
    /// A frame, or nothing yet, or nothing more to come.
    #[default]
    Whole,
    /// One field; the next picture may be the other.
    One(Field),
    /// The next picture is known to be the other, and has not begun.
    AwaitsOther,
}

impl FieldSyntax {
    /// `None` if its pictures are whole frames.
    pub(super) fn of(sequence: &SequenceParameters) -> Option<Self> {
        sequence.may_be_interlaced.then_some(Self {
            has_colour_planes: sequence.has_colour_planes,
            frame_number_bits: sequence.frame_number_bits,
        })
    }

    /// The field whose first slice this is (7.3.3); `None` for one of a frame.
    pub(super) fn parse_slice(self, nal: &[u8]) -> Option<Field> {
        let head = nal.get(..SLICE_HEAD_BYTES).unwrap_or(nal);
        let is_idr = head.first()? & 0x1f == 5;
        let head = without_emulation_prevention(head.get(1..)?);
        let mut bits = Bits::new(&head);
        // first_mb_in_slice, slice_type, pic_parameter_set_id.
        for _ in 0..3 {
            bits.unsigned()?;
        }
        if self.has_colour_planes {
            bits.take(2)?;
        }
        let frame_number = bits.take(self.frame_number_bits)?;
        let is_field = bits.take(1)? == 1;
        let is_bottom = is_field && bits.take(1)? == 1;
        is_field.then_some(Field {
            frame_number,
            is_bottom,
            is_idr,
        })
    }
}

impl Field {
    /// Whether `next`, which follows in the stream, is the other field of the same frame: of the other parity and of the same
    /// number (3.30, 7.4.1.2.4). An IDR picture is never a second field.
    pub(super) const fn is_completed_by(self, next: Self) -> bool {
        self.frame_number == next.frame_number && self.is_bottom != next.is_bottom && !next.is_idr
    }
}
