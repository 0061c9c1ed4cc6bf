//! When keys are renewed.

use std::str::FromStr;
use std::time::Duration;

/// The least time between two handshakes inside a session: a client that begins them more often is refused.
pub(crate) const HANDSHAKES_APART: Duration = Duration::from_secs(1);

/// What a client keeps to, as it does not know when the server counts from.
pub(crate) const HANDSHAKES_APART_AT_CLIENT: Duration = Duration::from_millis(1500);

/// When keys are renewed. WIRE.md, section 2, says what each end may rely on: no limit may be above its default.
///
/// ```
/// use std::time::Duration;
///
/// let limits = sdvr_session::KeyLimits {
///     epoch_time: Duration::from_secs(1),
///     ..Default::default()
/// };
/// assert_eq!(limits.rekey_time, Duration::from_secs(30 * 60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyLimits {
    /// A sender goes on to its next epoch after so many bytes …
    pub epoch_bytes: u64,
    /// … or so many records (at least 2, as each new epoch is answered with one) …
    pub epoch_records: u64,
    /// … or so long (at least 100 ms), whichever is first.
    pub epoch_time: Duration,
    /// A client begins a new handshake after it has sent so many bytes …
    pub rekey_bytes: u64,
    /// … or after so long, give or take a tenth. At least a second and a half apart.
    pub rekey_time: Duration,
    /// A session is ended so long after its last handshake.
    pub session_time: Duration,
}

impl Default for KeyLimits {
    fn default() -> Self {
        Self {
            epoch_bytes: 1 << 30,
            epoch_records: 1 << 20,
            epoch_time: Duration::from_secs(120),
            rekey_bytes: 1 << 42,
            rekey_time: Duration::from_secs(30 * 60),
            session_time: Duration::from_secs(60 * 60),
        }
    }
}

impl KeyLimits {
    /// How long after a handshake the next one begins. `seed` spreads those of many cameras over a fifth of the time.
    pub(crate) fn rekey_after(&self, seed: u16) -> Duration {
        let tenth = self.rekey_time.checked_div(10).unwrap_or_default();
        let share = tenth
            .saturating_mul(u32::from(seed).saturating_mul(2))
            .checked_div(u16::MAX.into())
            .unwrap_or_default();
        self.rekey_time
            .saturating_sub(tenth)
            .saturating_add(share)
            .max(HANDSHAKES_APART_AT_CLIENT)
    }
}

/// Limits that are reached sooner, for measurements: how many seconds an epoch and a handshake last, such as `1,10`.
impl FromStr for KeyLimits {
    type Err = ParseKeyLimitsError;

    fn from_str(text: &str) -> Result<Self, ParseKeyLimitsError> {
        let seconds = |text: &str| {
            text.parse()
                .map(Duration::from_secs)
                .map_err(|_| ParseKeyLimitsError)
        };
        let (epoch, rekey) = text.split_once(',').ok_or(ParseKeyLimitsError)?;
        Ok(Self {
            epoch_time: seconds(epoch)?,
            rekey_time: seconds(rekey)?,
            ..Self::default()
        })
    }
}

/// A text is no [`KeyLimits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use whole seconds of an epoch and between handshakes, such as SDVR_KEY_SECONDS=1,10")]
pub struct ParseKeyLimitsError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_and_nothing_else() {
        let limits = "1,10".parse::<KeyLimits>().unwrap();
        assert_eq!(limits.epoch_time, Duration::from_secs(1));
        assert_eq!(limits.rekey_time, Duration::from_secs(10));
        for text in ["", "1", "1,", ",10", "1,10,2", "-1,10", "1,x"] {
            assert_eq!(
                text.parse::<KeyLimits>(),
                Err(ParseKeyLimitsError),
                "{text}"
            );
        }
    }

    #[test]
    fn handshakes_are_spread_over_30_minutes_give_or_take_a_tenth() {
        let limits = KeyLimits::default();
        let after = |seed| limits.rekey_after(seed).as_secs();
        assert_eq!(
            [after(0), after(0x8000), after(u16::MAX)],
            [27 * 60, 30 * 60, 33 * 60]
        );
        let fastest = KeyLimits {
            rekey_time: Duration::ZERO,
            ..limits
        };
        assert_eq!(fastest.rekey_after(0), Duration::from_millis(1500));
    }
}
