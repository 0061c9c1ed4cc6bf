//! Giving up capabilities, the parts of root's power.

use rustix::io::{Errno, Result};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
};

/// What the daemon keeps: nothing. Whatever a transport may need one day for a socket that is made later has its only place here.
const KEPT: CapabilitySet = CapabilitySet::empty();

/// Gives up all capabilities of this thread but those that are kept.
pub(super) fn give_up() -> Result<()> {
    empty_bounding_set()?;
    // Kernels before 4.3 have no ambient ones. They would go with the permitted ones anyway.
    let _ = clear_ambient_capability_set();
    let held = capabilities(None)?;
    let kept = CapabilitySets {
        effective: KEPT,
        permitted: KEPT,
        inheritable: CapabilitySet::empty(),
    };
    // A service manager may have taken them all, and the system call along with them.
    if held == kept {
        return Ok(());
    }
    set_capabilities(None, kept)
}

/// Gives up every capability that a program started later could come by. Only who has `CAP_SETPCAP` can; others never come by one once they
/// have given up new privileges, so that it means nothing to them.
pub(crate) fn empty_bounding_set() -> Result<()> {
    if !capabilities(None)?
        .effective
        .contains(CapabilitySet::SETPCAP)
    {
        return Ok(());
    }
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(capability) {
            Ok(true) => remove_capability_from_bounding_set(capability)?,
            Ok(false) => {}
            // The kernel knows no more of them.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
