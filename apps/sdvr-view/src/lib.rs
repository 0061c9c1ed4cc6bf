//! Cameras in windows: the library behind `sdvr view`.
//!
//! A thread a camera reads and decodes (`feed.rs`), and hands its newest picture to the thread of the windows (`app.rs`), which draws it right into the memory
//! that the screen is shown from (`pane.rs`, `scale.rs`). Another thread tells which cameras come and go (`watch.rs`).
#![forbid(unsafe_code)]

mod app;
mod canvas;
mod error;
mod feed;
mod figures;
mod keys;
mod mosaic;
mod pane;
mod photograph;
mod report;
mod scale;
mod seats;
mod text;
mod tile;
mod watch;

use std::ops::ControlFlow;
use std::path::PathBuf;

pub use error::ViewError;
pub use report::{Report, ReportOfCamera};

/// What is to be seen, and how.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ViewOptions {
    /// Labels, fingerprints or names of rings' files; empty: every camera there is, as they come and go.
    pub cameras: Vec<String>,
    /// All cameras in one window, however few they are.
    pub is_mosaic: bool,
    /// Windows take the whole screen from the beginning.
    pub is_full_screen: bool,
    /// Where photographs are put; empty: the working directory.
    pub folder: PathBuf,
}

/// Shows cameras until the last window is closed, or `is_to_end` says so, which is asked several times a second. `told` gets a report a second, and may end it, too.
///
/// Must be called in the program's first thread, once.
///
/// # Errors
///
/// [`ViewError`] when there is no screen, or it is lost.
pub fn run(
    options: ViewOptions,
    is_to_end: impl Fn() -> bool + Send + 'static,
    told: impl FnMut(&Report) -> ControlFlow<()>,
) -> Result<(), ViewError> {
    app::run(options, is_to_end, told)
}
