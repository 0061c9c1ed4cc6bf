//! What a stream is called by browsers: the codec strings of WebCodecs and of media types.

use sdvr::FourCc;
use sdvr_frame::annex_b::units;
use sdvr_frame::bits::{Bits, without_emulation_prevention};

/// Types of units: H.264, table 7-1, and H.265, table 7-1.
const H264_SEQUENCE_PARAMETERS: u8 = 7;
const H265_SEQUENCE_PARAMETERS: u8 = 33;
/// The type of a sequence header (AV1, 6.2.2).
const AV1_SEQUENCE_HEADER: u32 = 1;

/// The codec string of a stream with this key frame; `None` when it does not tell.
pub(crate) fn codec_string(fourcc: FourCc, key_frame: &[u8]) -> Option<String> {
    match fourcc {
        FourCc::H264 => h264(key_frame),
        FourCc::HEVC => h265(key_frame),
        FourCc::VP80 => Some("vp8".to_owned()),
        FourCc::VP90 => vp9(key_frame),
        FourCc::AV01 => av1(key_frame),
        _ => None,
    }
}

/// RFC 6381, 3.3: profile, constraints, level, as the parameter set has them.
fn h264(key_frame: &[u8]) -> Option<String> {
    let is_wanted = |unit: &&[u8]| {
        unit.first()
            .is_some_and(|byte| byte & 0x1f == H264_SEQUENCE_PARAMETERS)
    };
    let parameters = units(key_frame).find(is_wanted)?;
    let [profile, constraints, level] = parameters.get(1..4)?.first_chunk()?;
    Some(format!("avc1.{profile:02x}{constraints:02x}{level:02x}"))
}

/// ISO/IEC 14496-15, E.3: what H.265, 7.3.3, has.
fn h265(key_frame: &[u8]) -> Option<String> {
    let is_wanted = |unit: &&[u8]| {
        unit.first()
            .is_some_and(|byte| byte >> 1 & 0x3f == H265_SEQUENCE_PARAMETERS)
    };
    let parameters = without_emulation_prevention(units(key_frame).find(is_wanted)?);
    // Two bytes of header, one of numbers; then profile, compatibility, constraints, level.
    let [profile, compatible @ .., level] = parameters.get(3..15)?.first_chunk::<12>()?;
    let (compatible, constraints) = compatible.split_first_chunk::<4>()?;
    let space = ["", "A", "B", "C"].get(usize::from(profile >> 6))?;
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let constrained = constraints.iter().rposition(|&byte| byte != 0);
    let constraints: String = constraints
        .iter()
        .take(constrained.map_or(0, |last| last + 1))
        .map(|byte| format!(".{byte:X}"))
        .collect();
    let compatible = u32::from_be_bytes(*compatible).reverse_bits();
    Some(format!(
        "hev1.{space}{}.{compatible:X}.{tier}{level}{constraints}",
        profile & 0x1f
    ))
}

/// Profile and depth of samples. No frame tells its level: 5.1 is what all decoders say they can.
fn vp9(key_frame: &[u8]) -> Option<String> {
    let mut bits = Bits::new(key_frame);
    // VP9, 6.2: the marker, and the profile's bits, the low one first.
    if bits.take(2)? != 2 {
        return None;
    }
    let profile = bits.take(1)? | bits.take(1)? << 1;
    if profile == 3 {
        bits.take(1)?;
    }
    // Shown anew, kind of frame, shown, resilient; the sync code.
    bits.take(4)?;
    bits.take(24)?;
    let depth = match profile {
        0 | 1 => 8,
        _ if bits.take(1)? == 0 => 10,
        _ => 12,
    };
    Some(format!("vp09.{profile:02}.51.{depth:02}"))
}

/// Profile, level and tier. Of streams with timing information, which cameras do not send, a level that all decoders can.
fn av1(key_frame: &[u8]) -> Option<String> {
    let header = av1_sequence_header(key_frame)?;
    let mut bits = Bits::new(header);
    // AV1, 5.5.1.
    let profile = bits.take(3)?;
    let _is_still = bits.take(1)?;
    let is_reduced = bits.take(1)? == 1;
    let (level, tier) = if is_reduced {
        (bits.take(5)?, 0)
    } else if bits.take(1)? == 1 {
        (13, 0)
    } else {
        let (_has_delay, _points, _idc) = (bits.take(1)?, bits.take(5)?, bits.take(12)?);
        let level = bits.take(5)?;
        (level, if level > 7 { bits.take(1)? } else { 0 })
    };
    let tier = if tier == 0 { 'M' } else { 'H' };
    Some(format!("av01.{profile}.{level:02}{tier}.08"))
}

/// The first sequence header of a temporal unit (AV1, 5.3).
fn av1_sequence_header(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let mut bits = Bits::new(rest);
        let (_forbidden, kind) = (bits.take(1)?, bits.take(4)?);
        let (has_extension, has_size) = (bits.take(1)? == 1, bits.take(1)? == 1);
        let mut payload = rest.get(if has_extension { 2 } else { 1 }..)?;
        let mut size = payload.len();
        if has_size {
            // At most eight bytes of seven bits, the lowest first.
            let mut value = 0_u64;
            for index in 0..8_u32 {
                let (byte, behind) = payload.split_first()?;
                payload = behind;
                value |= u64::from(byte & 0x7f) << (index * 7);
                if byte & 0x80 == 0 {
                    break;
                }
            }
            size = usize::try_from(value).ok()?;
        }
        let (this, behind) = payload.split_at_checked(size)?;
        if kind == AV1_SEQUENCE_HEADER {
            return Some(this);
        }
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codec_strings_are_those_of_the_standards() {
        let check = |fourcc, key_frame: &[u8], expected: Option<&str>| {
            assert_eq!(
                codec_string(fourcc, key_frame).as_deref(),
                expected,
                "{fourcc}"
            );
        };
        let h264 = [0, 0, 1, 0x67, 0x64, 0x00, 0x28, 0xac];
        check(FourCc::H264, &h264, Some("avc1.640028"));
        check(FourCc::H264, &h264[..6], None);
        // As x265 writes it: Main, level 3.1.
        let h265 = [
            0, 0, 0, 1, 0x42, 1, 1, 1, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x5d, 0xa0,
        ];
        check(FourCc::HEVC, &h265, Some("hev1.1.6.L93.90"));
        check(FourCc::HEVC, &h265[..16], None);
        check(FourCc::VP80, &[], Some("vp8"));
        check(
            FourCc::VP90,
            &[0x82, 0x49, 0x83, 0x42, 0],
            Some("vp09.00.51.08"),
        );
        check(FourCc::VP90, &[0], None);
        // A delimiter, and a header of profile 0, level 4.0 (8), main tier.
        let av1 = [0x12, 0, 0x0a, 4, 0, 0, 0, 0b0100_0000];
        check(FourCc::AV01, &av1, Some("av01.0.08M.08"));
        check(FourCc::AV01, &av1[..5], None);
        check(FourCc::MJPG, &[], None);
    }
}
