//! Times and sizes as arguments: `90s`, `7d`, `500G`.

use std::time::Duration;

/// Reads `60s`, `15m`, `12h`, `7d`.
pub(super) fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong =
        || "use a number with s, m, h or d behind it, such as 90s, 15m, 12h or 7d".to_owned();
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let unit_seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(unit_seconds) {
        Some(0) => Err("use more than 0".to_owned()),
        Some(seconds) => Ok(Duration::from_secs(seconds)),
        None => Err("that is longer than anything lasts".to_owned()),
    }
}

/// Reads `500M`, `20G`, `4T` and numbers of bytes; thousands, as disks are sold.
pub(super) fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || "use a number with M, G or T behind it, such as 500M, 20G or 4T".to_owned();
    let (number, unit_bytes) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (text.get(..text.len().saturating_sub(1)), 1_000),
        Some(b'M') => (text.get(..text.len().saturating_sub(1)), 1_000_000),
        Some(b'G') => (text.get(..text.len().saturating_sub(1)), 1_000_000_000),
        Some(b'T') => (text.get(..text.len().saturating_sub(1)), 1_000_000_000_000),
        _ => (Some(text), 1),
    };
    let number: u64 = number
        .and_then(|number| number.parse().ok())
        .ok_or_else(wrong)?;
    match number.checked_mul(unit_bytes) {
        Some(0) => Err("use more than 0".to_owned()),
        Some(bytes) => Ok(bytes),
        None => Err("that is more than any disk has".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(parse_time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_time("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in [
            "",
            "s",
            "60",
            "-1s",
            "1.5h",
            "0s",
            "1ü",
            "99999999999999999999s",
            "999999999999999999d",
        ] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_are_in_thousands() {
        assert_eq!(parse_bytes("500G"), Ok(500_000_000_000));
        assert_eq!(parse_bytes("1234"), Ok(1234));
        for wrong in [
            "",
            "G",
            "0",
            "-1G",
            "1.5G",
            "1ü",
            "99999999999999999999",
            "99999999999T",
        ] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
