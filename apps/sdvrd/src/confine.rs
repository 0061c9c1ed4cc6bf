//! What the daemon gives up before it says that it is ready: capabilities, all files but its own, and most system calls.
//!
//! Whoever finds a hole in it then has a process that can receive cameras and publish frames, and nothing else: it cannot start a program,
//! make a socket, look at another process, or open a file outside of its two directories.

mod capabilities;
mod files;
mod system_calls;

use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use tracing::warn;

pub(crate) use self::capabilities::empty_bounding_set;

/// Why a process cannot be confined.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// Some of it holds for the thread that asks and those that it starts, so there must be no others.
    #[error("{count} threads run already, and only one that is alone can confine them all")]
    Threads {
        /// How many there are.
        count: usize,
    },
    /// The capabilities are still there.
    #[error(
        "cannot give up the rights of root ({0}); start it as an ordinary user, or let it become one with --user"
    )]
    Capabilities(Errno),
    /// It may still gain rights by starting a program.
    #[error("cannot give up gaining rights: {0}")]
    NewPrivileges(Errno),
    /// A bug here, or a kernel that refuses what it says it has.
    #[error("cannot give up files: {0}")]
    Files(#[from] landlock::RulesetError),
    /// As above.
    #[error("cannot give up system calls: {0}")]
    SystemCalls(#[from] seccompiler::Error),
}

/// How far a process is confined: less on kernels that lack something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// Files outside of the directories cannot be opened.
    pub of_files: bool,
    /// System calls that are not on the list fail.
    pub of_system_calls: bool,
}

/// Confines this process for ever, with all threads that it will start. In `directories` it can still make, change and remove files; by
/// `senders`, made one after the other, it can still send datagrams to whomever it likes; what is open stays open. Where the kernel lacks something, it is said in a line of the log, and the rest is done.
///
/// # Errors
///
/// [`ConfineError`]; the process is then confined in part.
pub fn confine(
    directories: &[BorrowedFd<'_>],
    senders: &[BorrowedFd<'_>],
) -> Result<Confinement, ConfineError> {
    match count_threads() {
        Some(1) | None => {}
        Some(count) => return Err(ConfineError::Threads { count }),
    }
    capabilities::give_up().map_err(ConfineError::Capabilities)?;
    rustix::thread::set_no_new_privs(true).map_err(ConfineError::NewPrivileges)?;
    let of_files = files::give_up(directories)?;
    if !of_files {
        warn!(
            "there is no landlock here: the daemon is not kept from files that its user may open"
        );
    }
    let of_system_calls = system_calls::give_up(senders)?;
    if !of_system_calls {
        warn!("there are no seccomp filters here: the daemon is not kept from system calls");
    }
    Ok(Confinement {
        of_files,
        of_system_calls,
    })
}

/// `None` without /proc.
fn count_threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}
