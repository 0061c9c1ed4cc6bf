//! What the page and the server say to each other in text: see PROTOCOL.md.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::catalog::CameraNumber;
use crate::packed::Epoch;

/// What frames can be sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    H264,
    H265,
    Vp8,
    Vp9,
    Av1,
    /// H.264 in fragments of MP4.
    Mp4,
    /// Whole images.
    Jpeg,
}

impl Kind {
    /// Whether a frame may need the one before it.
    pub(crate) const fn is_inter_coded(self) -> bool {
        !matches!(self, Self::Jpeg)
    }
}

/// What a page says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum FromPage {
    Watch {
        camera: CameraNumber,
        kinds: Vec<String>,
    },
    Unwatch {
        camera: CameraNumber,
    },
    Shown {
        frames: Vec<(CameraNumber, u32, u64)>,
    },
    Ping {
        sent: f64,
    },
}

impl FromPage {
    /// The kinds that are known here; others may be known to later servers.
    pub(crate) fn kinds(names: &[String]) -> Vec<Kind> {
        let known = |name: &String| {
            let name = serde_json::Value::String(name.clone());
            serde_json::from_value(name).ok()
        };
        names.iter().filter_map(known).collect()
    }
}

/// What the server says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum ToPage<'a> {
    Hello {
        version: u32,
        now_us: i64,
    },
    Cameras {
        changed: Vec<&'a CameraDescription>,
        gone: Vec<CameraNumber>,
    },
    Figures {
        figures: Vec<FiguresOf<'a>>,
    },
    Stream {
        camera: CameraNumber,
        epoch: u32,
        kind: Kind,
        codec: &'a str,
        width: u32,
        height: u32,
        /// How many frames of it are under way at most.
        window: usize,
    },
    Trouble {
        camera: CameraNumber,
        message: &'a str,
    },
    Pong {
        sent: f64,
        now_us: i64,
    },
}

impl<'a> ToPage<'a> {
    /// What is said before the first frame of an epoch.
    pub(crate) fn stream(camera: CameraNumber, epoch: &'a Epoch) -> Self {
        Self::Stream {
            camera,
            epoch: epoch.number,
            kind: epoch.kind,
            codec: &epoch.codec,
            width: epoch.width,
            height: epoch.height,
            window: epoch.window,
        }
    }
}

impl fmt::Display for ToPage<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        formatter.write_str(&text)
    }
}

/// A camera, but for its figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct CameraDescription {
    pub(crate) camera: CameraNumber,
    pub(crate) label: String,
    pub(crate) state: String,
    pub(crate) format: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) link: Option<String>,
    pub(crate) fingerprint: Option<String>,
    pub(crate) derived: bool,
    pub(crate) source: Option<String>,
    pub(crate) directory: String,
    pub(crate) stream: u16,
}

/// How one of the cameras is doing.
#[derive(Debug, Serialize)]
pub(crate) struct FiguresOf<'a> {
    pub(crate) camera: CameraNumber,
    #[serde(flatten)]
    pub(crate) figures: &'a CameraFigures,
}

/// How a camera is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct CameraFigures {
    pub(crate) frames_per_second: f64,
    pub(crate) bits_per_second: f64,
    pub(crate) frames: u64,
    pub(crate) lost: u64,
    pub(crate) latency_p50_us: Option<u64>,
    pub(crate) latency_p99_us: Option<u64>,
}
