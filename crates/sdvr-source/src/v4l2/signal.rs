//! What comes in at an input that something is plugged into, such as HDMI: it decides size and rate, and may be missing.
//!
//! Sensors have no such input; nothing is asked of them.

use rustix::io::Errno;
use sdvr_frame::FrameRate;

use super::abi::{self, DvTimings};
use super::device::Device;

/// A signal that the device is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal {
    /// Pictures a second; `None` when the device does not say enough.
    pub(crate) rate: Option<FrameRate>,
}

/// Sets the device to the signal at its input. `None`: its input is none of those that signals come in at.
///
/// # Errors
///
/// What the driver says; [`Errno::NOLINK`] when nothing is plugged in, `ENOLCK` and [`Errno::RANGE`] when what is cannot be captured.
pub(crate) fn set_up(device: &Device) -> Result<Option<Signal>, Errno> {
    if !has_signal_input(device) {
        return Ok(None);
    }
    let mut timings = DvTimings::default();
    device.query_timings(&mut timings)?;
    device.set_timings(&mut timings)?;
    Ok(Some(Signal {
        rate: rate(&timings),
    }))
}

/// Whether an error of [`set_up`] is about the signal, rather than the device.
pub(crate) fn is_missing(error: Errno) -> bool {
    matches!(error, Errno::NOLINK | Errno::NOLCK | Errno::RANGE)
}

/// The number of the input in use; the first, where the driver has no inputs.
pub(crate) fn input(device: &Device) -> u32 {
    let mut number = abi::InputNumber(0);
    match device.read_input(&mut number) {
        Ok(()) => number.0.cast_unsigned(),
        Err(_) => 0,
    }
}

fn has_signal_input(device: &Device) -> bool {
    let mut entry = abi::Input {
        index: input(device),
        ..Default::default()
    };
    device.enumerate_input(&mut entry).is_ok() && entry.capabilities & abi::INPUT_HAS_TIMINGS != 0
}

/// Pictures a second: pixels a second by the pixels of a whole picture, blanking included (CTA-861). Of interlaced signals, both fields are
/// one picture.
fn rate(timings: &DvTimings) -> Option<FrameRate> {
    let [
        width,
        height,
        interlaced,
        _polarities,
        clock_low,
        clock_high,
        blanking @ ..,
    ] = timings.words;
    let [
        h_front,
        h_sync,
        h_back,
        v_front,
        v_sync,
        v_back,
        i_front,
        i_sync,
        i_back,
        ..,
    ] = blanking;
    let sum = |parts: &[u32]| parts.iter().map(|part| u64::from(*part)).sum::<u64>();
    let across = sum(&[width, h_front, h_sync, h_back]);
    let mut down = sum(&[height, v_front, v_sync, v_back]);
    if interlaced != 0 {
        down += sum(&[i_front, i_sync, i_back]);
    }
    let pixels = across.checked_mul(down).filter(|pixels| *pixels > 0)?;
    let clock = u64::from(clock_high) << 32 | u64::from(clock_low);
    // Thousandths are exact enough, and fit.
    let thousandths = clock.checked_mul(1000)?.checked_add(pixels / 2)? / pixels;
    let rate = FrameRate::new(u32::try_from(thousandths).ok()?, 1000)?;
    (rate.numerator > 0).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timings(first: &[u32]) -> DvTimings {
        let mut timings = DvTimings::default();
        for (word, value) in timings.words.iter_mut().zip(first) {
            *word = *value;
        }
        timings
    }

    #[test]
    fn rates_are_those_of_the_standard() {
        let rate = |first: &[u32]| rate(&timings(first)).map(FrameRate::as_f64);
        // CTA-861, VIC 16: 1920x1080 at 60.
        let full_hd = [1920, 1080, 0, 3, 148_500_000, 0, 88, 44, 148, 4, 5, 36];
        assert_eq!(rate(&full_hd), Some(60.0));
        // VIC 5, interlaced: 60 fields, 30 pictures.
        let interlaced = [
            1920, 1080, 1, 3, 74_250_000, 0, 88, 44, 148, 2, 5, 15, 2, 5, 16,
        ];
        assert_eq!(rate(&interlaced), Some(30.0));
        // VIC 1: 640x480 at 59.94.
        let vga = [640, 480, 0, 0, 25_175_000, 0, 16, 96, 48, 10, 2, 33];
        assert_eq!(rate(&vga), Some(59.94));
    }

    #[test]
    fn timings_that_cannot_be_have_no_rate() {
        assert_eq!(rate(&timings(&[])), None);
        assert_eq!(rate(&timings(&[u32::MAX; 32])), None);
        assert_eq!(rate(&timings(&[1, 1, 0, 0, u32::MAX, u32::MAX])), None);
    }
}
