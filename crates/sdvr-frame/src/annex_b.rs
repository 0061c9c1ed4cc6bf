//! The byte stream format of H.264 and H.265: units behind start codes (ITU-T H.264 and H.265, Annex B).

/// The units of a frame, without start codes and the zeros behind them. Bytes before the first start code are passed over; without one there are none.
///
/// ```
/// use sdvr_frame::annex_b::units;
///
/// let frame = [0, 0, 0, 1, 9, 16, 0, 0, 1, 0x65, 5];
/// assert!(units(&frame).eq([&[9, 16][..], &[0x65, 5]]));
/// ```
pub fn units(frame: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(frame);
    std::iter::from_fn(move || {
        let unit = rest?;
        let end = start_code(unit);
        rest = end.and_then(|end| after_start_code(unit.get(end..)?));
        let unit = unit.get(..end.unwrap_or(unit.len()))?;
        // What is left are zeros before the next start code, and behind the last unit.
        let length = unit
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last.saturating_add(1));
        unit.get(..length)
    })
}

fn start_code(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, &[0, 0, 1])
}

fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(start_code(bytes)?.checked_add(3)?..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_have_no_start_codes_and_no_zeros_behind_them() {
        let frame = [
            0, 0, 0, 1, 9, 16, 0, 0, 1, 0x67, 1, 0, 2, 0, 0, 0, 1, 0x65, 5, 0, 0,
        ];
        let found: Vec<&[u8]> = units(&frame).collect();
        assert_eq!(found, [&[9, 16][..], &[0x67, 1, 0, 2], &[0x65, 5]]);
        assert_eq!(units(&[1, 2, 3]).count(), 0);
        assert_eq!(units(&[]).count(), 0);
    }
}
