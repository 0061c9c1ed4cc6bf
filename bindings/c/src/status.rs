//! How calls end, and the one place where panics do.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a call ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum sdvr_status {
    /// Everything went well.
    SDVR_OK = 0,
    /// Nothing came in the time that was given. Not an error.
    SDVR_TIMEOUT = 1,
    /// The camera said that it ends. Asking again waits for it to come back.
    SDVR_ENDED = 2,
    /// No camera of that name is there, or not now.
    SDVR_NOT_FOUND = 3,
    /// Several other users publish a camera of that name: SDVR_SHM_DIR says whose is meant.
    SDVR_AMBIGUOUS = 4,
    /// This user may not read the frames.
    SDVR_FORBIDDEN = 5,
    /// A frame gave no picture. Asking again goes on behind it.
    SDVR_UNDECODABLE = 6,
    /// The daemon's files are damaged or of another version, or the system has refused something.
    SDVR_UNUSABLE = 7,
    /// A pointer is null that must not be.
    SDVR_NULL_ARGUMENT = 8,
    /// A number or a text means nothing here.
    SDVR_INVALID_ARGUMENT = 9,
    /// The handle was given back before, is of another kind, or never was one.
    SDVR_INVALID_HANDLE = 10,
    /// Another thread is using the handle. Nothing has happened.
    SDVR_BUSY = 11,
    /// The frame or picture holds nothing (yet).
    SDVR_EMPTY = 12,
    /// The memory is too small for what was asked for. Nothing was written to it.
    SDVR_TOO_SMALL = 13,
    /// There are a million handles of this kind already: they are not given back.
    SDVR_TOO_MANY = 14,
    /// The label is a camera's, or another program publishes under it.
    SDVR_TAKEN = 15,
    /// An error in SDVR itself; give the handle back. What happened was written to standard error.
    SDVR_PANICKED = 16,
}

impl sdvr_status {
    /// The name, as C has it.
    pub(crate) const fn name(self) -> &'static CStr {
        match self {
            Self::SDVR_OK => c"SDVR_OK",
            Self::SDVR_TIMEOUT => c"SDVR_TIMEOUT",
            Self::SDVR_ENDED => c"SDVR_ENDED",
            Self::SDVR_NOT_FOUND => c"SDVR_NOT_FOUND",
            Self::SDVR_AMBIGUOUS => c"SDVR_AMBIGUOUS",
            Self::SDVR_FORBIDDEN => c"SDVR_FORBIDDEN",
            Self::SDVR_UNDECODABLE => c"SDVR_UNDECODABLE",
            Self::SDVR_UNUSABLE => c"SDVR_UNUSABLE",
            Self::SDVR_NULL_ARGUMENT => c"SDVR_NULL_ARGUMENT",
            Self::SDVR_INVALID_ARGUMENT => c"SDVR_INVALID_ARGUMENT",
            Self::SDVR_INVALID_HANDLE => c"SDVR_INVALID_HANDLE",
            Self::SDVR_BUSY => c"SDVR_BUSY",
            Self::SDVR_EMPTY => c"SDVR_EMPTY",
            Self::SDVR_TOO_SMALL => c"SDVR_TOO_SMALL",
            Self::SDVR_TOO_MANY => c"SDVR_TOO_MANY",
            Self::SDVR_TAKEN => c"SDVR_TAKEN",
            Self::SDVR_PANICKED => c"SDVR_PANICKED",
        }
    }

    /// The status of a number; `None` when there is none.
    pub(crate) fn from_number(number: i32) -> Option<Self> {
        const ALL: [sdvr_status; 17] = [
            sdvr_status::SDVR_OK,
            sdvr_status::SDVR_TIMEOUT,
            sdvr_status::SDVR_ENDED,
            sdvr_status::SDVR_NOT_FOUND,
            sdvr_status::SDVR_AMBIGUOUS,
            sdvr_status::SDVR_FORBIDDEN,
            sdvr_status::SDVR_UNDECODABLE,
            sdvr_status::SDVR_UNUSABLE,
            sdvr_status::SDVR_NULL_ARGUMENT,
            sdvr_status::SDVR_INVALID_ARGUMENT,
            sdvr_status::SDVR_INVALID_HANDLE,
            sdvr_status::SDVR_BUSY,
            sdvr_status::SDVR_EMPTY,
            sdvr_status::SDVR_TOO_SMALL,
            sdvr_status::SDVR_TOO_MANY,
            sdvr_status::SDVR_TAKEN,
            sdvr_status::SDVR_PANICKED,
        ];
        ALL.into_iter().find(|status| *status as i32 == number)
    }
}

/// Why a call did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: sdvr_status,
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(status: sdvr_status, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
        }
    }

    /// Nothing came in time.
    pub(crate) fn timeout() -> Self {
        Self::new(sdvr_status::SDVR_TIMEOUT, "nothing came in time")
    }
}

impl From<sdvr::Error> for Failure {
    fn from(error: sdvr::Error) -> Self {
        let status = match error {
            sdvr::Error::NotFound { .. } => sdvr_status::SDVR_NOT_FOUND,
            sdvr::Error::Ambiguous { .. } => sdvr_status::SDVR_AMBIGUOUS,
            sdvr::Error::Forbidden => sdvr_status::SDVR_FORBIDDEN,
            sdvr::Error::Ended => sdvr_status::SDVR_ENDED,
            sdvr::Error::Undecodable { .. } => sdvr_status::SDVR_UNDECODABLE,
            _ => sdvr_status::SDVR_UNUSABLE,
        };
        Self::new(status, error.to_string())
    }
}

impl From<sdvr::DecodeError> for Failure {
    fn from(error: sdvr::DecodeError) -> Self {
        Self::new(sdvr_status::SDVR_UNDECODABLE, error.to_string())
    }
}

impl From<sdvr::PublishError> for Failure {
    fn from(error: sdvr::PublishError) -> Self {
        use sdvr::PublishError;
        let status = match error {
            PublishError::Busy { .. } | PublishError::OfCamera { .. } => sdvr_status::SDVR_TAKEN,
            PublishError::Foreign { .. } | PublishError::TooOpen { .. } => {
                sdvr_status::SDVR_FORBIDDEN
            }
            PublishError::Label(_)
            | PublishError::TooLarge { .. }
            | PublishError::Empty
            | PublishError::Extradata { .. }
            | PublishError::NotLater { .. } => sdvr_status::SDVR_INVALID_ARGUMENT,
            _ => sdvr_status::SDVR_UNUSABLE,
        };
        Self::new(status, error.to_string())
    }
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// What this thread's last call that did not end well has said. The pointer is good until another one does not.
pub(crate) fn last_error() -> *const c_char {
    LAST_ERROR.with_borrow(|text| text.as_ptr())
}

/// Runs what a call does. Nothing of Rust goes beyond it, neither an error nor a panic.
pub(crate) fn catch(call: impl FnOnce() -> Result<(), Failure>) -> sdvr_status {
    let failure = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => return sdvr_status::SDVR_OK,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::new(
            sdvr_status::SDVR_PANICKED,
            "SDVR has an error, which standard error tells of; give the handle back and open it again",
        ),
    };
    // Texts may have labels in them, of which nobody knows what they are.
    let text = failure.text.replace('\0', "");
    LAST_ERROR.set(CString::new(text).unwrap_or_default());
    failure.status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_status() {
        assert_eq!(catch(|| panic!("on purpose")), sdvr_status::SDVR_PANICKED);
        assert_eq!(catch(|| Ok(())), sdvr_status::SDVR_OK);
    }

    #[test]
    fn every_status_has_its_number_and_name() {
        for number in 0..17 {
            let status = sdvr_status::from_number(number).expect("it is one of them");
            assert_eq!(status.name().to_str(), Ok(&*format!("{status:?}")));
        }
        assert_eq!(sdvr_status::from_number(17), None);
        assert_eq!(sdvr_status::from_number(-1), None);
    }
}
