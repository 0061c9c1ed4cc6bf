//! How figures are written where there is little room.

use std::time::Duration;

/// A text whose characters are all printable ASCII: whatever else a name has would be a command to the terminal, or as wide as nobody knows.
pub(super) fn printable(text: &str) -> String {
    let shown = |character: char| match character {
        ' '..='~' => character,
        _ => '?',
    };
    text.chars().map(shown).collect()
}

/// Cuts a text of printable ASCII to a width, and says so by its last character.
pub(super) fn cut(text: &str, width: usize) -> String {
    match text.get(..width.saturating_sub(1)) {
        Some(start) if text.len() > width && width > 0 => format!("{start}~"),
        _ if text.len() > width => String::new(),
        _ => text.to_owned(),
    }
}

/// A count in six characters or less.
pub(super) fn count(value: u64) -> String {
    const UNITS: [(u64, char); 5] = [
        (1_000_000_000_000_000_000, 'E'),
        (1_000_000_000_000_000, 'P'),
        (1_000_000_000_000, 'T'),
        (1_000_000_000, 'G'),
        (1_000_000, 'M'),
    ];
    match UNITS.iter().find(|(unit, _)| value >= *unit) {
        // Rounded down: it has not come to the next figure yet.
        Some((unit, letter)) => {
            let hundredths = value / (unit / 100);
            format!("{}.{:02}", hundredths / 100, hundredths % 100)
                .get(..4)
                .map(|digits| format!("{}{letter}", digits.trim_end_matches('.')))
                .unwrap_or_default()
        }
        None => value.to_string(),
    }
}

/// A rate or a time in six characters or less, with as many decimals as are of use.
pub(super) fn decimal(value: f64) -> String {
    match value {
        _ if !value.is_finite() || value < 0.0 => "?".to_owned(),
        _ if value < 9.995 => format!("{value:.2}"),
        _ if value < 9999.95 => format!("{value:.1}"),
        // Saturates.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is positive, and its fraction is of no use"
        )]
        _ => count(value as u64),
    }
}

pub(super) fn milliseconds(time: Duration) -> String {
    decimal(time.as_secs_f64() * 1000.0)
}

/// A time in one unit, five characters or less for 27 years.
pub(super) fn age(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", time.as_secs_f64()),
        10..100 => format!("{seconds}s"),
        100..6000 => format!("{}m", seconds / 60),
        6000..360_000 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_printable_ascii_is_shown() {
        assert_eq!(printable("front-door"), "front-door");
        assert_eq!(
            printable("a\x1b[2J\n\u{9b}\u{202e}\u{4e2d}\x7f"),
            "a?[2J?????"
        );
    }

    #[test]
    fn what_does_not_fit_is_cut_and_marked() {
        assert_eq!(cut("camera", 6), "camera");
        assert_eq!(cut("camera", 5), "came~");
        assert_eq!(cut("camera", 1), "~");
        assert_eq!(cut("camera", 0), "");
    }

    #[test]
    fn counts_have_six_characters_at_most() {
        for (value, text) in [
            (0, "0"),
            (999_999, "999999"),
            (1_000_000, "1.00M"),
            (12_345_678, "12.3M"),
            (123_456_789, "123M"),
            (999_999_999, "999M"),
            (5_000_000_000, "5.00G"),
            (u64::MAX, "18.4E"),
        ] {
            assert_eq!(count(value), text);
        }
    }

    #[test]
    fn decimals_are_fewer_the_larger_a_value_is() {
        for (value, text) in [
            (0.0, "0.00"),
            (9.994, "9.99"),
            (9.996, "10.0"),
            (9999.9, "9999.9"),
            (10_000.0, "10000"),
            (1e30, "18.4E"),
            (f64::NAN, "?"),
            (-1.0, "?"),
        ] {
            assert_eq!(decimal(value), text);
        }
    }

    #[test]
    fn ages_are_in_one_unit() {
        for (seconds, text) in [
            (0, "0.0s"),
            (10, "10s"),
            (99, "99s"),
            (100, "1m"),
            (6000, "1h"),
            (360_000, "4d"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
        // No daemon is that old, but a page may say so.
        assert!(age(Duration::MAX).ends_with('d'));
    }
}
