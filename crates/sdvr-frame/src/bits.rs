//! What is inside a NAL unit of H.264 or H.265: its bytes without emulation prevention, and the codes in their bits (H.264, 7.2, 7.3.1, 9.1; H.265 has the
//! same). Who cuts a bitstream into frames reads it, and who decodes them.

/// The bytes of a NAL unit, without the 03 of every 00 00 03.
///
/// ```
/// use sdvr_frame::bits::raw_bytes;
///
/// assert!(raw_bytes(&[9, 0, 0, 3, 1, 3]).eq([9, 0, 0, 1, 3]));
/// ```
pub fn raw_bytes(nal: &[u8]) -> impl Iterator<Item = u8> {
    let mut zeros = 0_u8;
    nal.iter().copied().filter(move |&byte| {
        let is_prevention = zeros >= 2 && byte == 3;
        zeros = if byte == 0 { (zeros + 1).min(2) } else { 0 };
        !is_prevention
    })
}

/// [`raw_bytes`], for what is read by the bit.
#[must_use]
pub fn without_emulation_prevention(nal: &[u8]) -> Vec<u8> {
    raw_bytes(nal).collect()
}

/// Reads bits, the highest of a byte first. What goes past the end is `None`.
///
/// ```
/// use sdvr_frame::bits::Bits;
///
/// let mut bits = Bits::new(&[0b1_011_0010, 0b1_0000000]);
/// assert_eq!((bits.take(1), bits.unsigned(), bits.signed()), (Some(1), Some(2), Some(-2)));
/// assert_eq!(bits.take(9), None);
/// ```
#[derive(Clone, Debug)]
pub struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    /// From the first bit on.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bits were taken.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.at
    }

    /// The next `count` bits as a number, at most 32 of them; of more only the last 32 count.
    pub fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0_u32, |value, _| {
            let byte = self.bytes.get(self.at / 8)?;
            let bit = byte >> (7 - self.at % 8) & 1;
            self.at += 1;
            Some(value << 1 | u32::from(bit))
        })
    }

    /// Exp-Golomb, unsigned (H.264, 9.1).
    pub fn unsigned(&mut self) -> Option<u32> {
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
    pub fn signed(&mut self) -> Option<i64> {
        let code = i64::from(self.unsigned()?);
        Some(if code % 2 == 1 {
            (code + 1) / 2
        } else {
            -(code / 2)
        })
    }

    /// The cropping window of a sequence parameter set, which both codecs have in the same form: how many pixels it takes off each direction.
    pub(crate) fn cropped(&mut self, unit_x: u32, unit_y: u32) -> Option<(u32, u32)> {
        if self.take(1)? == 0 {
            return Some((0, 0));
        }
        let mut both = |unit: u32| {
            let (first, second) = (self.unsigned()?, self.unsigned()?);
            first.checked_add(second)?.checked_mul(unit)
        };
        Some((both(unit_x)?, both(unit_y)?))
    }
}
