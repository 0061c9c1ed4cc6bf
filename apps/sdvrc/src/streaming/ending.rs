//! Why a session ended, and what the user is told to do about it.

use std::io;
use std::time::Duration;

use sdvr_session::{Close, CloseCode, SessionError, SetupCode, SetupReply};

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ending {
    #[error("the connection was cut")]
    Cut,
    #[error("the server was silent for {:.1} s", .0.as_secs_f64())]
    Silent(Duration),
    #[error("{}", close_text(.0))]
    Said(Close),
    #[error("{0}")]
    Broken(#[from] SessionError),
    #[error("{}", camera_refusal_text(.0))]
    Refused(Box<SetupReply>),
}

impl From<io::Error> for Ending {
    fn from(_: io::Error) -> Self {
        Self::Cut
    }
}

fn camera_refusal_text(reply: &SetupReply) -> String {
    let label = &reply.label;
    match reply.code {
        SetupCode::LabelTaken => {
            let holder = fingerprint_text(&reply.in_the_way);
            format!(
                "the server refused this camera: the label {label} belongs to another one there ({holder}).\n  \
                 If this camera replaces it, on the server:  sdvr keys forget {label}\n  \
                 Else give this one another label:           -n LABEL"
            )
        }
        SetupCode::Revoked => {
            "the server refused this camera: its key was revoked there. If that was a mistake, on the server: sdvr keys approve with its fingerprint".to_owned()
        }
        SetupCode::StoreFailed => {
            "the server could not record this camera (its disk may be full); its log says why"
                .to_owned()
        }
        SetupCode::TooManyNew => "the server meets too many new cameras at once".to_owned(),
        SetupCode::Pending => "waiting for approval".to_owned(),
        SetupCode::Closed => {
            "the server refused this camera: it takes no new ones (--accept closed)".to_owned()
        }
        SetupCode::KeyReplaced => format!(
            "the server refused this camera: {label} has had another key there for longer than this one was good. \
             Is this a copy of the camera's old storage? If the camera has lost its new key, on the server:  sdvr keys forget {label}"
        ),
        SetupCode::Accepted | SetupCode::Other(_) => {
            "the server refused this camera; its log says why".to_owned()
        }
    }
}

/// Why the server ended a session that it had begun.
fn close_text(close: &Close) -> String {
    let text = &close.text;
    match close.code {
        CloseCode::Revoked => format!(
            "the server has revoked this camera's key ({text}). If that was a mistake, on the server: sdvr keys approve with its fingerprint"
        ),
        CloseCode::Cloned => format!(
            "the server refused this camera: {text}. Was the storage of one copied to the other? Remove the key file of one of them (~/.sdvr/cameras), and it comes as a camera of its own"
        ),
        _ => format!("the server said: {text}"),
    }
}

fn fingerprint_text(hash: &[u8; 32]) -> String {
    sdvr_frame::Fingerprint::from_bytes(*hash).to_string()
}
