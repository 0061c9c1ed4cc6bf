//! What is not of any camera: the library's version, and texts for people.
#![expect(unsafe_code, reason = "exports functions under the names that C calls")]

use std::ffi::{CStr, c_char};

use crate::status::{last_error, sdvr_status};

/// This version. It is compared with what the header says, by those who load the library without being linked to it.
const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => panic!("versions have no zero bytes"),
    };

/// The library's version, such as "0.1.0". Never null.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_version() -> *const c_char {
    VERSION.as_ptr()
}

/// What the last call in this thread that did not return SDVR_OK has to say to people; "" if there was none. Never null. The text is good until
/// another call in this thread does not return SDVR_OK.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_last_error() -> *const c_char {
    last_error()
}

/// The name of a status, such as "SDVR_ENDED"; "unknown" for numbers that are none. Never null.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_status_name(status: i32) -> *const c_char {
    sdvr_status::from_number(status)
        .map_or(c"unknown", sdvr_status::name)
        .as_ptr()
}
