//! Cameras in windows: the library behind `sdvr view`.
#![forbid(unsafe_code)]

use std::path::PathBuf;

/// What is to be seen, and how.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ViewOptions {
    /// Labels, fingerprints or names of rings' files; empty: every camera there is, as they come and go.
    pub cameras: Vec<String>,
    /// All cameras in one window, however few they are.
    pub is_mosaic: bool,
    /// Where photographs are put; empty: the working directory.
    pub folder: PathBuf,
}

/// Why there is nothing to see.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {}

/// Shows cameras until the last window is closed, or `is_to_end` says so.
///
/// # Errors
///
/// [`ViewError`].
pub fn run(
    _options: ViewOptions,
    _is_to_end: impl Fn() -> bool + Send + 'static,
) -> Result<(), ViewError> {
    Ok(())
}
