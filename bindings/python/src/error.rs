//! Errors as exceptions. Their classes are written in Python, in `python/sdvr/_errors.py`.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// The classes of exceptions.
pub(crate) mod exceptions {
    use pyo3::import_exception;

    import_exception!(sdvr._errors, Error);
    import_exception!(sdvr._errors, NotFound);
    import_exception!(sdvr._errors, Ambiguous);
    import_exception!(sdvr._errors, Forbidden);
    import_exception!(sdvr._errors, Ended);
    import_exception!(sdvr._errors, TimedOut);
    import_exception!(sdvr._errors, Undecodable);
    import_exception!(sdvr._errors, Overwritten);
    import_exception!(sdvr._errors, Closed);
    import_exception!(sdvr._errors, PublishError);
}

pub(crate) fn exception(error: sdvr::Error) -> PyErr {
    let message = error.to_string();
    match error {
        sdvr::Error::NotFound { .. } => exceptions::NotFound::new_err(message),
        sdvr::Error::Ambiguous { .. } => exceptions::Ambiguous::new_err(message),
        sdvr::Error::Forbidden => exceptions::Forbidden::new_err(message),
        sdvr::Error::Ended => exceptions::Ended::new_err(message),
        sdvr::Error::Undecodable { camera, frame, .. } => {
            exceptions::Undecodable::new_err((message, camera, frame.0))
        }
        _ => exceptions::Error::new_err(message),
    }
}

/// An argument that has a few values only, and has another one.
pub(crate) fn no_such(argument: &str, given: &str, values: &str) -> PyErr {
    PyValueError::new_err(format!("{argument} is {given:?}; it must be {values}"))
}
