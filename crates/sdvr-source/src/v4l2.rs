//! Cameras of this host, by the kernel's interface for them (Video4Linux 2).
//!
//! ```text
//! devices  which cameras there are          names             what they are called
//! formats  what one has                     choice            what to ask of it
//! camera   one camera, gone and back        search            finding it again
//! capture  its frames, while it is there    planes            … of several planes
//! signal   what comes in at HDMI            controls          exposure, focus, …
//! device   calls and mapped memory          abi               the kernel's structures
//! ```

mod abi;
mod camera;
mod capture;
mod choice;
mod clock;
mod controls;
mod device;
mod devices;
mod error;
mod filled;
mod formats;
mod key_request;
mod keys;
mod names;
mod notice;
mod numbering;
mod planes;
mod search;
mod signal;

use std::path::Path;

pub(crate) use camera::Camera;
pub use choice::ChoiceError;
pub use controls::{ControlError, ControlInfo, ControlKind, ControlSetting};
pub(crate) use devices::stable_name;
pub use devices::{DeviceInfo, devices};
pub use error::DeviceError;
pub(crate) use error::open_problem;
pub use formats::{FormatInfo, SizeInfo};
pub use names::nodes;
pub use notice::Notice;

/// The formats of a camera.
///
/// # Errors
///
/// [`DeviceError`]: it cannot be opened, or is no camera.
pub fn formats(path: &Path) -> Result<Vec<FormatInfo>, DeviceError> {
    let (device, capability) = capture::open(path)?;
    Ok(formats::list(&device, capability.kind))
}

/// The controls of a camera.
///
/// # Errors
///
/// [`DeviceError`]: it cannot be opened, or is no camera.
pub fn controls(path: &Path) -> Result<Vec<ControlInfo>, DeviceError> {
    let (device, _) = capture::open(path)?;
    Ok(controls::list(&device))
}

/// The text in a field of the kernel's structures, which ends at the first zero.
fn text(field: &[u8]) -> String {
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).trim().to_owned()
}
