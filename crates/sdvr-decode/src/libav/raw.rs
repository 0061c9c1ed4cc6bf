//! The face of `shim.c`, made safe.
#![expect(
    unsafe_code,
    reason = "calls libavcodec; what comes out of here is slices that borrow from the decoder"
)]

use std::ffi::{CStr, c_char, c_int};
use std::ptr::{self, NonNull};

use crate::convert::Strided;
use crate::layout::Layout;

const TEXT_BYTES: usize = 160;
const NO_PICTURE: c_int = 0;
const PICTURE: c_int = 1;
const CORRUPT: c_int = 2;
const NO_LAYOUT: c_int = 3;

/// By their numbers in `shim.c`.
const LAYOUTS: [Layout; 11] = [
    Layout::Yuv420,
    Layout::Yuv422,
    Layout::Yuv444,
    Layout::Nv12,
    Layout::Gray,
    Layout::Yuv420Deep,
    Layout::Yuv422Deep,
    Layout::Yuv444Deep,
    Layout::P010,
    Layout::Gray16,
    Layout::Nv16,
];

/// `struct sdvr_libav` of `shim.c`.
#[repr(C)]
struct Opaque {
    _private: [u8; 0],
}

/// `struct sdvr_libav_picture` of `shim.c`.
#[repr(C)]
struct Description {
    planes: [*const u8; 4],
    strides: [i32; 4],
    width: i32,
    height: i32,
    layout: i32,
    bits: i32,
    matrix: i32,
    is_full_range: i32,
    uses_hardware: i32,
    number: u64,
    name: [c_char; TEXT_BYTES],
}

unsafe extern "C" {
    fn sdvr_libav_open(
        codec: c_int,
        choice: c_int,
        extradata: *const u8,
        extradata_bytes: usize,
        out: *mut *mut Opaque,
        name: *mut c_char,
        hardware: *mut c_char,
    ) -> c_int;
    fn sdvr_libav_close(decoder: *mut Opaque);
    fn sdvr_libav_send(
        decoder: *mut Opaque,
        bytes: *const u8,
        length: usize,
        number: u64,
        is_key: c_int,
    ) -> c_int;
    fn sdvr_libav_finish(decoder: *mut Opaque) -> c_int;
    fn sdvr_libav_reset(decoder: *mut Opaque);
    fn sdvr_libav_receive(decoder: *mut Opaque, picture: *mut Description) -> c_int;
    fn sdvr_libav_words(result: c_int, text: *mut c_char);
}

/// The formats, by their numbers in `shim.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    H264 = 0,
    Hevc = 1,
    Vp8 = 2,
    Vp9 = 3,
    Av1 = 4,
}

/// What may decode, by its number in `shim.c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    Software = 0,
    Auto = 1,
    Hardware = 2,
}

/// Why there is no decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotOpened {
    NoMemory,
    /// This libavcodec was built without one.
    NoDecoder,
    NoHardware,
    Refused,
}

/// A decoder of libavcodec.
pub(super) struct Libav {
    decoder: NonNull<Opaque>,
    /// Of libavcodec's decoder.
    pub(super) name: String,
    pub(super) finds_hardware: bool,
    /// Of the hardware that is there, or of all that was looked for.
    pub(super) hardware: String,
}

// SAFETY: A decoder of libavcodec belongs to no thread; it is used by one at a time, because every call takes `&mut self`.
unsafe impl Send for Libav {}
// SAFETY: Nothing is called by `&self`.
unsafe impl Sync for Libav {}

/// A picture, in the decoder's memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoded<'a> {
    pub(super) layout: Layout,
    pub(super) planes: [Strided<'a>; 4],
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) bits: u8,
    /// `matrix_coefficients`.
    pub(super) matrix: u32,
    pub(super) is_full_range: bool,
    pub(super) uses_hardware: bool,
    pub(super) number: u64,
}

/// What the decoder has.
#[derive(Debug)]
pub(super) enum Received<'a> {
    Picture(Decoded<'a>),
    /// A picture with parts that were made up.
    Corrupt,
    /// A picture whose pixels this crate does not know: what libavutil calls them.
    UnknownPixels(String),
    Nothing,
}

/// Whether a frame was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Yes,
    /// Pictures must be taken first.
    NotYet,
}

impl Libav {
    pub(super) fn open(codec: Codec, choice: Choice, extradata: &[u8]) -> Result<Self, NotOpened> {
        let mut decoder = ptr::null_mut();
        let mut name: [c_char; TEXT_BYTES] = [0; TEXT_BYTES];
        let mut hardware: [c_char; TEXT_BYTES] = [0; TEXT_BYTES];
        // SAFETY: `extradata` can be read for its length and is copied; a pointer and two texts of `TEXT_BYTES` are written.
        let result = unsafe {
            sdvr_libav_open(
                codec as c_int,
                choice as c_int,
                extradata.as_ptr(),
                extradata.len(),
                &raw mut decoder,
                name.as_mut_ptr(),
                hardware.as_mut_ptr(),
            )
        };
        match (result, NonNull::new(decoder)) {
            (0 | 1, Some(decoder)) => Ok(Self {
                decoder,
                finds_hardware: result == 1,
                name: text(&name),
                hardware: text(&hardware),
            }),
            (-2, _) => Err(NotOpened::NoDecoder),
            (-3, _) => Err(NotOpened::NoHardware),
            (-4, _) => Err(NotOpened::Refused),
            _ => Err(NotOpened::NoMemory),
        }
    }

    /// Gives it a frame.
    pub(super) fn send(&mut self, bytes: &[u8], number: u64, is_key: bool) -> Result<Sent, String> {
        let decoder = self.decoder.as_ptr();
        // SAFETY: The decoder is open until `self` is dropped; `bytes` can be read for its length and is copied.
        let result =
            unsafe { sdvr_libav_send(decoder, bytes.as_ptr(), bytes.len(), number, is_key.into()) };
        match result {
            0 => Ok(Sent::Yes),
            1 => Ok(Sent::NotYet),
            error => Err(words(error)),
        }
    }

    /// Says that nothing comes any more, so that pictures that wait come out. [`Self::reset`] before the next frame.
    pub(super) fn finish(&mut self) {
        // SAFETY: The decoder is open until `self` is dropped. To say it twice is an error without consequences.
        let _ = unsafe { sdvr_libav_finish(self.decoder.as_ptr()) };
    }

    /// Forgets all pictures.
    pub(super) fn reset(&mut self) {
        // SAFETY: The decoder is open until `self` is dropped.
        unsafe { sdvr_libav_reset(self.decoder.as_ptr()) };
    }

    /// Takes the next picture.
    pub(super) fn receive(&mut self) -> Result<Received<'_>, String> {
        let mut picture = Description {
            planes: [ptr::null(); 4],
            strides: [0; 4],
            width: 0,
            height: 0,
            layout: 0,
            bits: 0,
            matrix: 0,
            is_full_range: 0,
            uses_hardware: 0,
            number: 0,
            name: [0; TEXT_BYTES],
        };
        // SAFETY: The decoder is open until `self` is dropped; one description is written.
        let result = unsafe { sdvr_libav_receive(self.decoder.as_ptr(), &raw mut picture) };
        match result {
            NO_PICTURE => Ok(Received::Nothing),
            PICTURE => self
                .decoded(&picture)
                .map(Received::Picture)
                .ok_or_else(|| "its planes are not as its format says".to_owned()),
            CORRUPT => Ok(Received::Corrupt),
            NO_LAYOUT => Ok(Received::UnknownPixels(text(&picture.name))),
            error => Err(words(error)),
        }
    }

    /// What the decoder described, as slices; they borrow from `self`, because the next call overwrites the picture.
    fn decoded(&self, picture: &Description) -> Option<Decoded<'_>> {
        let number = usize::try_from(picture.layout).ok()?.checked_sub(1)?;
        let layout = *LAYOUTS.get(number)?;
        let width = u32::try_from(picture.width).ok()?;
        let height = u32::try_from(picture.height).ok()?;
        let mut planes = [Strided::default(); 4];
        for (place, shape) in layout.planes().iter().enumerate() {
            let stride = usize::try_from(picture.strides[place]).ok()?;
            let (row_bytes, rows) = shape.size(width, height)?;
            let bytes = stride
                .checked_mul(rows.checked_sub(1)?)?
                .checked_add(row_bytes)?;
            if stride < row_bytes || picture.planes[place].is_null() {
                return None;
            }
            // SAFETY: A plane of a frame of libavcodec has `rows` rows, `linesize` apart, which begin at its pointer, each with the bytes
            // that its pixel format gives a row; they stay as they are until the next call, which needs `self` mutably.
            let bytes = unsafe { std::slice::from_raw_parts(picture.planes[place], bytes) };
            planes[place] = Strided { bytes, stride };
        }
        Some(Decoded {
            layout,
            planes,
            width,
            height,
            bits: u8::try_from(picture.bits).ok()?,
            matrix: u32::try_from(picture.matrix).ok()?,
            is_full_range: picture.is_full_range != 0,
            uses_hardware: picture.uses_hardware != 0,
            number: picture.number,
        })
    }
}

impl Drop for Libav {
    fn drop(&mut self) {
        // SAFETY: It is open, and nobody uses it any more.
        unsafe { sdvr_libav_close(self.decoder.as_ptr()) };
    }
}

impl std::fmt::Debug for Libav {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Libav")
            .field("name", &self.name)
            .field("hardware", &self.hardware)
            .finish_non_exhaustive()
    }
}

fn words(result: c_int) -> String {
    let mut words: [c_char; TEXT_BYTES] = [0; TEXT_BYTES];
    // SAFETY: A text of `TEXT_BYTES` is written.
    unsafe { sdvr_libav_words(result, words.as_mut_ptr()) };
    text(&words)
}

/// A text that ends with a zero, as `snprintf` writes it.
fn text(bytes: &[c_char; TEXT_BYTES]) -> String {
    // SAFETY: `shim.c` ends every text within its length, and before it is written it is all zeros.
    let text = unsafe { CStr::from_ptr(bytes.as_ptr()) };
    text.to_string_lossy().into_owned()
}
