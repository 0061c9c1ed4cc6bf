//! What C gives, looked at once; null and nonsense are refused here.
#![expect(
    unsafe_code,
    reason = "reads what C's pointers point to; everything else about arguments is safe code"
)]

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::time::Duration;

use sdvr::{FourCc, FrameRate, Pixels, Policy, Start, StreamFormat, StreamKind};

use crate::facts::{sdvr_format, sdvr_pixels, sdvr_policy, sdvr_start};
use crate::status::{Failure, sdvr_status};

/// `timeout_ms` that never passes.
pub const SDVR_FOREVER: u32 = u32::MAX;
/// A wait without an end is made of these.
const LONG: Duration = Duration::from_secs(3600);

/// Where a call writes one value. C need not have set it before.
pub(crate) type Out<'a, T> = Option<&'a mut MaybeUninit<T>>;

/// A place that is not null.
pub(crate) fn place<'a, T>(out: Out<'a, T>, name: &str) -> Result<&'a mut MaybeUninit<T>, Failure> {
    out.ok_or_else(|| is_null(name))
}

pub(crate) fn is_null(name: &str) -> Failure {
    Failure::new(sdvr_status::SDVR_NULL_ARGUMENT, format!("{name} is null"))
}

fn means_nothing(text: String) -> Failure {
    Failure::new(sdvr_status::SDVR_INVALID_ARGUMENT, text)
}

/// A text that C gives, copied: it is C's again when the call returns.
pub(crate) fn text(text: *const c_char, name: &str) -> Result<String, Failure> {
    if text.is_null() {
        return Err(is_null(name));
    }
    // SAFETY: it is not null, and the caller promises of every text that it ends with a zero byte and is not changed during the call.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str()
        .map(str::to_owned)
        .map_err(|_| means_nothing(format!("{name} is not UTF-8")))
}

/// A text that C may leave out.
pub(crate) fn optional_text(text: *const c_char, name: &str) -> Result<Option<String>, Failure> {
    if text.is_null() {
        return Ok(None);
    }
    self::text(text, name).map(Some)
}

/// Bytes that C gives, C's own. None of them may be at null.
pub(crate) fn bytes<'a>(bytes: *const u8, length: usize, name: &str) -> Result<&'a [u8], Failure> {
    if length == 0 {
        return Ok(&[]);
    }
    if bytes.is_null() {
        return Err(is_null(name));
    }
    if isize::try_from(length).is_err() {
        return Err(means_nothing(format!("{name} cannot have {length} bytes")));
    }
    // SAFETY: it is not null, no longer than memory can be, and the caller promises that so many bytes can be read there and are not changed during the
    // call. Nobody keeps the slice for longer than a call.
    Ok(unsafe { std::slice::from_raw_parts(bytes, length) })
}

/// What a stream carries.
pub(crate) fn kind(number: u32) -> Result<StreamKind, Failure> {
    u8::try_from(number)
        .ok()
        .and_then(StreamKind::from_number)
        .ok_or_else(|| means_nothing(format!("there is no kind {number}")))
}

/// What frames look like. All zeros after the name are no fixed rate.
pub(crate) fn format(format: &sdvr_format) -> Result<StreamFormat, Failure> {
    let name: Vec<u8> = format
        .name
        .iter()
        .flat_map(|byte| byte.to_ne_bytes())
        .collect();
    let name = CStr::from_bytes_until_nul(&name)
        .ok()
        .and_then(|name| name.to_str().ok())
        .ok_or_else(|| means_nothing("the format's name has no end, or is not UTF-8".to_owned()))?;
    let fourcc: FourCc = name
        .parse()
        .map_err(|error| means_nothing(format!("{name:?}: {error}")))?;
    let rate = match (format.rate_numerator, format.rate_denominator) {
        (0, _) => FrameRate::UNPACED,
        (numerator, denominator) => FrameRate::new(numerator, denominator)
            .ok_or_else(|| means_nothing("the rate's denominator is 0".to_owned()))?,
    };
    Ok(StreamFormat {
        fourcc,
        width: format.width,
        height: format.height,
        rate,
    })
}

/// Which frames.
pub(crate) fn policy(number: u32) -> Result<Policy, Failure> {
    const LATEST: u32 = sdvr_policy::SDVR_LATEST as u32;
    const EVERY: u32 = sdvr_policy::SDVR_EVERY as u32;
    const KEY_FRAMES: u32 = sdvr_policy::SDVR_KEY_FRAMES as u32;
    match number {
        LATEST => Ok(Policy::Latest),
        EVERY => Ok(Policy::Every),
        KEY_FRAMES => Ok(Policy::KeyFrames),
        _ => Err(means_nothing(format!("there is no policy {number}"))),
    }
}

/// Where to begin.
pub(crate) fn start(number: u32) -> Result<Start, Failure> {
    const NOW: u32 = sdvr_start::SDVR_NOW as u32;
    const OLDEST: u32 = sdvr_start::SDVR_OLDEST as u32;
    match number {
        NOW => Ok(Start::Now),
        OLDEST => Ok(Start::Oldest),
        _ => Err(means_nothing(format!("there is no start {number}"))),
    }
}

/// Which pixels.
pub(crate) fn pixels(number: u32) -> Result<Pixels, Failure> {
    const RGB: u32 = sdvr_pixels::SDVR_RGB as u32;
    const BGR: u32 = sdvr_pixels::SDVR_BGR as u32;
    const RGBA: u32 = sdvr_pixels::SDVR_RGBA as u32;
    const GRAY: u32 = sdvr_pixels::SDVR_GRAY as u32;
    const PLANES: u32 = sdvr_pixels::SDVR_PLANES as u32;
    match number {
        RGB => Ok(Pixels::Rgb),
        BGR => Ok(Pixels::Bgr),
        RGBA => Ok(Pixels::Rgba),
        GRAY => Ok(Pixels::Gray),
        PLANES => Ok(Pixels::Planes),
        _ => Err(means_nothing(format!("there are no pixels {number}"))),
    }
}

/// Asks until there is something or the time has passed.
pub(crate) fn within<T>(
    timeout_ms: u32,
    mut ask: impl FnMut(Duration) -> Result<Option<T>, Failure>,
) -> Result<T, Failure> {
    loop {
        let is_endless = timeout_ms == SDVR_FOREVER;
        let timeout = if is_endless {
            LONG
        } else {
            Duration::from_millis(timeout_ms.into())
        };
        match ask(timeout)? {
            Some(thing) => return Ok(thing),
            None if is_endless => {}
            None => return Err(Failure::timeout()),
        }
    }
}

/// Memory of C's for things of a type, with where it is told how many there are, or would be.
pub(crate) struct Array<'a, T> {
    pub(crate) memory: *mut T,
    pub(crate) capacity: usize,
    pub(crate) out_len: Out<'a, usize>,
}

impl<'a, T> Array<'a, T> {
    /// Places for `count` things; tells how many they are, also if there is not room for all.
    pub(crate) fn room_for(
        self,
        count: usize,
        name: &str,
    ) -> Result<&'a mut [MaybeUninit<T>], Failure> {
        place(self.out_len, "out_len")?.write(count);
        if count > self.capacity {
            return Err(Failure::new(
                sdvr_status::SDVR_TOO_SMALL,
                format!(
                    "{name} has room for {}, and {count} are needed",
                    self.capacity
                ),
            ));
        }
        if count == 0 {
            return Ok(&mut []);
        }
        if self.memory.is_null() {
            return Err(is_null(name));
        }
        // SAFETY: it is not null, and the caller promises that so many things may be written there as `capacity` says, of which these are no more, and
        // that nobody else looks at them during the call. Nobody keeps the slice for longer. Nothing is read that was not written.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.memory.cast(), count) })
    }
}

impl Array<'_, u8> {
    /// Copies `bytes` there, or only tells how many there are if there is not room for all.
    pub(crate) fn fill(self, bytes: &[u8]) -> Result<(), Failure> {
        let places = self.room_for(bytes.len(), "buffer")?;
        for (place, byte) in places.iter_mut().zip(bytes) {
            place.write(*byte);
        }
        Ok(())
    }
}
