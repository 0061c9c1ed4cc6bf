//! Giving up files by landlock: all but the daemon's two directories.

use std::os::fd::BorrowedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};

/// The newest that was tried. Of an older kernel, what it has is used.
const ABI_TRIED: ABI = ABI::V7;

/// Gives up all files but those in `directories`, connecting and listening by TCP, and signals and abstract sockets of processes outside.
/// False when the kernel has nothing of this.
pub(super) fn give_up(directories: &[BorrowedFd<'_>]) -> Result<bool, RulesetError> {
    // The C library's allocator asks `/proc/sys/vm/overcommit_memory` how to give memory back. Refused, it takes the usual way.
    // Files are made, read, written, renamed and removed; nothing else is put there, and nothing is started from there.
    let in_directories =
        make_bitflags!(AccessFs::{ReadFile | WriteFile | ReadDir | RemoveFile | MakeReg});
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI_TRIED))?
        .handle_access(AccessNet::from_all(ABI_TRIED))?
        .scope(Scope::from_all(ABI_TRIED))?
        .create()?;
    for directory in directories {
        rules = rules.add_rule(PathBeneath::new(directory, in_directories))?;
    }
    for (path, access) in [
        // The door opens it again and again, to have a descriptor to give up.
        ("/dev/null", AccessFs::ReadFile),
        // The door counts its descriptors where the kernel is older than 6.2.
        ("/proc/self/fd", AccessFs::ReadDir),
    ] {
        // Where it is not there, the door does without.
        if let Ok(file) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(file, access))?;
        }
    }
    Ok(rules.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
}
