//! Keeping keys out of core files.

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Switches core files and tracing by the same user off for this process, since both would show its keys.
///
/// # Errors
///
/// When the system does not allow it; going on is possible, and worth a warning.
pub fn protect_memory() -> std::io::Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let protect = || -> Result<(), Errno> {
        setrlimit(Resource::Core, none)?;
        set_dumpable_behavior(DumpableBehavior::NotDumpable)
    };
    Ok(protect()?)
}
