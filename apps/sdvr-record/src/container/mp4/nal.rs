//! NAL units: with start codes as cameras send them (H.264 and H.265, Annex B), with lengths as MP4 has them (ISO/IEC 14496-15).

use sdvr_frame::FourCc;

use super::super::fields::Fields;

pub(super) const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// What kind of parameter set a unit is, in the order in which files name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Set {
    Video,
    Sequence,
    Picture,
}

/// Types of units: H.264, table 7-1, and H.265, table 7-1.
pub(super) fn set(fourcc: FourCc, unit: &[u8]) -> Option<Set> {
    let first = *unit.first()?;
    let (h264, h265) = (first & 0x1f, first >> 1 & 0x3f);
    match (fourcc, h264, h265) {
        (FourCc::H264, 7, _) | (FourCc::HEVC, _, 33) => Some(Set::Sequence),
        (FourCc::H264, 8, _) | (FourCc::HEVC, _, 34) => Some(Set::Picture),
        (FourCc::HEVC, _, 32) => Some(Set::Video),
        _ => None,
    }
}

/// Whether a unit is the one that an access unit begins with.
pub(super) fn is_delimiter(fourcc: FourCc, unit: &[u8]) -> bool {
    let first = unit.first().copied().unwrap_or(0);
    match fourcc {
        FourCc::HEVC => first >> 1 & 0x3f == 35,
        _ => first & 0x1f == 9,
    }
}

/// The units of a sample, by their lengths; `None` is the last where those do not fit.
pub(super) fn units_by_length(sample: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut fields = Fields::new(sample);
    std::iter::from_fn(move || {
        if fields.rest().is_empty() {
            return None;
        }
        let unit = fields
            .u32()
            .and_then(|length| fields.take(usize::try_from(length).ok()?));
        if unit.is_none() {
            fields = Fields::new(&[]);
        }
        Some(unit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_do_not_fit_end_it() {
        let sample = [0, 0, 0, 1, 7, 0, 0, 0, 2, 8, 9];
        let found: Vec<_> = units_by_length(&sample).collect();
        assert_eq!(found, [Some([7].as_slice()), Some(&[8, 9])]);
        let found: Vec<_> = units_by_length(&sample[..10]).collect();
        assert_eq!(found, [Some([7].as_slice()), None]);
    }
}
