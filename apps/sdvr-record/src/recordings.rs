//! What can be done with recordings: they are counted, checked, and put together into one file.
//!
//! All of it can be done while they are recorded.

mod export;
#[cfg(test)]
mod tests;
mod verify;

use std::path::Path;

use sdvr_frame::StreamLabel;

pub use export::{ExportError, ExportOptions, Exported, export};
pub use verify::{Problem, Verified, verify};

use crate::index::{Index, IndexError, camera_folders};

/// A camera, and its index or why that cannot be read.
pub type Opened = (StreamLabel, Result<Index, IndexError>);

/// Opens the indexes of the cameras that are named, or of all that have recordings in `directory`.
///
/// A camera whose index cannot be read stands as the reason in its place: others can be. `say` is told what people should know.
///
/// # Errors
///
/// When `directory` is not there or cannot be read.
pub fn open(
    directory: &Path,
    cameras: &[StreamLabel],
    say: &mut dyn FnMut(&str),
) -> Result<Vec<Opened>, IndexError> {
    if !directory.is_dir() {
        return Err(IndexError::NoDirectory(directory.to_owned()));
    }
    let cameras = if cameras.is_empty() {
        camera_folders(directory).map_err(|error| IndexError::io("read", directory, error))?
    } else {
        cameras.to_vec()
    };
    let open = |label: StreamLabel| {
        let index = Index::open_to_read(directory, &label, say);
        (label, index)
    };
    Ok(cameras.into_iter().map(open).collect())
}
