//! The date of a time in the file: `prft` (ISO/IEC 14496-12, 8.16.5).

use super::boxes::version_and_flags;
use crate::container::fields::Fields;
use crate::container::nanoseconds;

/// Seconds from 1900, as NTP counts, to 1970; and of one of its eras, which ends in 2036.
const SECONDS_TO_1970: u64 = 2_208_988_800;
const ERA_SECONDS: u64 = 1 << 32;

/// A time in the file, and what date it was in nanoseconds since 1970, out of the body of a `prft`; `None` if it is of another track.
pub(super) fn parse(prft: &[u8], track: u64, ticks_per_second: u32) -> Option<(i64, i64)> {
    let mut fields = Fields::new(prft);
    let (version, _) = version_and_flags(&mut fields)?;
    if u64::from(fields.u32()?) != track {
        return None;
    }
    let (seconds, fraction) = (u64::from(fields.u32()?), u64::from(fields.u32()?));
    let ticks = match version {
        0 => u64::from(fields.u32()?),
        _ => fields.u64()?,
    };
    let since_1970 = match seconds.checked_sub(SECONDS_TO_1970) {
        Some(since) => since,
        None => seconds
            .checked_add(ERA_SECONDS)?
            .checked_sub(SECONDS_TO_1970)?,
    };
    // Rounded: nanoseconds that were made such fractions are themselves again.
    let rest = fraction
        .saturating_mul(1_000_000_000)
        .saturating_add(1 << 31)
        >> 32;
    let date = since_1970.checked_mul(1_000_000_000)?.checked_add(rest)?;
    Some((
        nanoseconds(ticks.into(), 1, ticks_per_second.into()),
        i64::try_from(date).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_the_date_that_the_clock_said() {
        let prft = |version: u8, track: u8, seconds: u32, fraction: u32, time: &[u8]| {
            [
                &[version, 0, 0, 0, 0, 0, 0, track],
                seconds.to_be_bytes().as_slice(),
                &fraction.to_be_bytes(),
                time,
            ]
            .concat()
        };
        let half = prft(1, 1, 2_208_988_801, 1 << 31, &[0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(parse(&half, 1, 256), Some((1_000_000_000, 1_500_000_000)));
        assert_eq!(parse(&half, 2, 256), None);
        let short = prft(0, 1, 2_208_988_801, 0, &[0, 0, 2, 0]);
        assert_eq!(parse(&short, 1, 256), Some((2_000_000_000, 1_000_000_000)));
        assert_eq!(parse(&short[..short.len() - 1], 1, 256), None);
        // The era that begins on 7 February 2036.
        let later = prft(0, 1, 5, 0, &[0; 4]);
        assert_eq!(parse(&later, 1, 256), Some((0, 2_085_978_501_000_000_000)));
    }
}
