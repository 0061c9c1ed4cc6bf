//! Giving up system calls by seccomp: all but those on a list.
//!
//! A call that is not on it fails with `EPERM`, as one does that is not permitted: libraries know that, and go on or say so. The list was made
//! by tracing the daemon under the system tests, and by what the C libraries use for the same on other versions, kernels and machines.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, BorrowedFd};

use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

/// Calls by their numbers, and what their arguments must be; nothing means that they may be anything.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Allowed with any arguments.
const ALLOWED: &[i64] = &[
    // Memory. Never such that it can be executed: ALLOWED_WITH has those that give it.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Threads: their start, their end, waiting for one another.
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    // How many arenas the allocator makes.
    libc::SYS_sched_getaffinity,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Answered with ENOSYS, by another filter.
    libc::SYS_clone3,
    // Signals: handling them, and ending by one of its own.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_getpid,
    libc::SYS_gettid,
    // Who it is: the owners of files are compared with it.
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    // Time, where the kernel's page does not tell it: the processor's, which the daemon has used, never does.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    // Random numbers.
    libc::SYS_getrandom,
    // Waiting for cameras.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    // Cameras' connections. Sockets come from the one that listens, and there is no way to make one.
    libc::SYS_accept4,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_shutdown,
    // What is open: connections, rings, files of keys, the log.
    libc::SYS_close,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_dup,
    libc::SYS_flock,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fchown,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_statx,
    libc::SYS_newfstatat,
    // Files by name: landlock keeps these to the two directories.
    libc::SYS_openat,
    libc::SYS_getdents64,
    libc::SYS_linkat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
];

/// Older calls that only older architectures have.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[i64] = &[
    libc::SYS_epoll_wait,
    libc::SYS_poll,
    libc::SYS_time,
    libc::SYS_stat,
    libc::SYS_renameat,
];
#[cfg(target_arch = "aarch64")]
const ALLOWED_HERE: &[i64] = &[libc::SYS_renameat];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ALLOWED_HERE: &[i64] = &[];

/// Gives up all other system calls. False when there are no such filters: not in the kernel, not for
/// this architecture, or not allowed.
pub(super) fn give_up(senders: &[BorrowedFd<'_>]) -> Result<bool, Error> {
    let Ok(architecture) = TargetArch::try_from(std::env::consts::ARCH) else {
        return Ok(false);
    };
    // The stricter of two filters holds, so that one may allow what the other one refuses.
    for filter in [only_old_clone(), only_allowed(senders)?] {
        let filter = compile(filter, architecture)?;
        match apply_filter_all_threads(&filter) {
            Ok(()) => {}
            Err(Error::Prctl(error) | Error::Seccomp(error)) if is_missing(&error) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Built without filters, or without telling them to all threads; or what started the daemon keeps it from making its own.
fn is_missing(error: &std::io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOSYS | libc::EINVAL | libc::EPERM)
    )
}

/// A filter that has one answer for its rules and another one for all other calls.
struct Filter {
    rules: Rules,
    matching: SeccompAction,
    other: SeccompAction,
}

fn compile(filter: Filter, architecture: TargetArch) -> Result<BpfProgram, BackendError> {
    SeccompFilter::new(filter.rules, filter.other, filter.matching, architecture)?.try_into()
}

/// The arguments of `clone3` lie in memory, where a filter cannot look. A C library that is told that there is none takes `clone`.
fn only_old_clone() -> Filter {
    Filter {
        rules: BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
        matching: SeccompAction::Errno(libc::ENOSYS.cast_unsigned()),
        other: SeccompAction::Allow,
    }
}

fn only_allowed(senders: &[BorrowedFd<'_>]) -> Result<Filter, BackendError> {
    let any = ALLOWED
        .iter()
        .chain(ALLOWED_HERE)
        .map(|call| (*call, Vec::new()));
    let mut rules: Rules = any.collect();
    rules.extend(with_arguments()?);
    rules.extend(sending(senders)?);
    Ok(Filter {
        rules,
        matching: SeccompAction::Allow,
        other: SeccompAction::Errno(libc::EPERM.cast_unsigned()),
    })
}

/// Calls that also do what the daemon must not.
fn with_arguments() -> Result<Rules, BackendError> {
    let execute = bits(libc::PROT_EXEC);
    let thread = bits(libc::CLONE_THREAD);
    let own_process = u64::from(std::process::id());
    Ok(BTreeMap::from([
        // Memory that can be executed was made before.
        (libc::SYS_mmap, vec![rule(&[lacks(2, execute)])?]),
        (libc::SYS_mprotect, vec![rule(&[lacks(2, execute)])?]),
        // Threads, no processes. The kernel has no thread in new namespaces but those of its own table of mounts, so these are named.
        (
            libc::SYS_clone,
            vec![rule(&[Argument {
                index: 0,
                is: SeccompCmpOp::MaskedEq(thread | NAMESPACES),
                value: thread,
            }])?],
        ),
        // A thread's name.
        (
            libc::SYS_prctl,
            vec![rule(&[equals(0, bits(libc::PR_SET_NAME))])?],
        ),
        // Switching a connection to not blocking.
        (libc::SYS_ioctl, vec![rule(&[equals(1, libc::FIONBIO)])?]),
        // Asking for limits, of its own, not setting them.
        (
            libc::SYS_prlimit64,
            vec![rule(&[equals(0, 0), equals(2, 0)])?],
        ),
        // Sending to who is connected, and to nobody else: the service manager's socket reaches all local ones.
        (libc::SYS_sendto, vec![rule(&[equals(4, 0)])?]),
        // Descriptors and their locks, not whom signals go to.
        (
            libc::SYS_fcntl,
            FILE_COMMANDS
                .iter()
                .map(|command| rule(&[equals(1, bits(*command))]))
                .chain(LEASE_COMMANDS.iter().map(|(command, value)| {
                    rule(&[equals(1, bits(*command)), equals(2, bits(*value))])
                }))
                .collect::<Result<_, _>>()?,
        ),
        // Ending itself in an emergency.
        (libc::SYS_tgkill, vec![rule(&[equals(0, own_process)])?]),
    ]))
}

/// Sending datagrams to whomever it likes, by the sockets that are for it and by no other: they stay open, so that their numbers stay theirs.
/// One rule for all of them, which were made one after the other: a filter has a bound, and there may be hundreds.
fn sending(senders: &[BorrowedFd<'_>]) -> Result<Rules, BackendError> {
    let numbers = || senders.iter().map(|socket| i64::from(socket.as_raw_fd()));
    let (Some(first), Some(last)) = (numbers().min(), numbers().max()) else {
        return Ok(Rules::new());
    };
    let bound = |is, number: i64| Argument {
        index: 0,
        is,
        value: number.cast_unsigned(),
    };
    let own = [
        bound(SeccompCmpOp::Ge, first),
        bound(SeccompCmpOp::Le, last),
    ];
    Ok(BTreeMap::from([
        (libc::SYS_sendmsg, vec![rule(&own)?]),
        (libc::SYS_sendmmsg, vec![rule(&own)?]),
    ]))
}

/// Of `fcntl`: copies, flags, locks.
const FILE_COMMANDS: [libc::c_int; 7] = [
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_OFD_SETLK,
    libc::F_OFD_GETLK,
];

/// Of `fcntl`, with the value: what tells whether a ring is still read. The signal, whose command (`F_SETSIG`) the `libc` crate does not have, is one that
/// is ignored.
const LEASE_COMMANDS: [(libc::c_int, libc::c_int); 3] = [
    (10, libc::SIGURG),
    (libc::F_SETLEASE, libc::F_WRLCK),
    (libc::F_SETLEASE, libc::F_UNLCK),
];

/// `CLONE_NEW…`: mounts, control groups, names of the host, messages, users, processes, networks.
const NAMESPACES: u64 = bits(
    libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET,
);

const fn bits(flags: libc::c_int) -> u64 {
    flags.cast_unsigned() as u64
}

/// What an argument must be.
struct Argument {
    index: u8,
    is: SeccompCmpOp,
    value: u64,
}

const fn equals(index: u8, value: u64) -> Argument {
    Argument {
        index,
        is: SeccompCmpOp::Eq,
        value,
    }
}

const fn lacks(index: u8, bits: u64) -> Argument {
    Argument {
        index,
        is: SeccompCmpOp::MaskedEq(bits),
        value: 0,
    }
}

/// All of these must hold. Whole registers are compared: the kernel may look at all of one.
fn rule(arguments: &[Argument]) -> Result<SeccompRule, BackendError> {
    let conditions = arguments.iter().map(|argument| {
        SeccompCondition::new(
            argument.index,
            SeccompCmpArgLen::Qword,
            argument.is.clone(),
            argument.value,
        )
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}
