//! Cameras for scripts.

use sdvr::Cameras;

/// All cameras, as JSON.
pub(crate) fn cameras() -> String {
    let labels: Vec<String> = Cameras::list()
        .iter()
        .map(|camera| camera.label.to_string())
        .collect();
    serde_json::to_string(&labels).unwrap_or_default()
}
