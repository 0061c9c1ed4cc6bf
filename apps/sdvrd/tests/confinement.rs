//! What a confined process can do and what not, tried in processes of their own: nobody gets out of one again.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]
#![expect(
    unsafe_code,
    reason = "system calls that no wrapper has, since nobody should want them"
)]

use std::collections::BTreeMap;
use std::ffi::c_long;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};
use sdvrd::for_tests::{ConfineError, Confinement, confine};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// Tells a process of this program's which promise it is for, and which folder it has.
const PROMISE: &str = "SDVRD_TEST_PROMISE";
const FOLDER: &str = "SDVRD_TEST_FOLDER";

type Promise = (&'static str, fn(&Path));
const PROMISES: [Promise; 9] = [
    (
        "nothing_that_is_forbidden_works_on_any_thread",
        nothing_that_is_forbidden_works_on_any_thread,
    ),
    (
        "what_is_forbidden_is_not_refused_where_nothing_is_confined",
        what_is_forbidden_is_not_refused_where_nothing_is_confined,
    ),
    ("what_the_daemon_needs_works", what_the_daemon_needs_works),
    (
        "a_process_with_other_threads_is_not_confined_by_half",
        a_process_with_other_threads_is_not_confined_by_half,
    ),
    (
        "a_kernel_without_landlock_is_no_reason_not_to_start",
        a_kernel_without_landlock_is_no_reason_not_to_start,
    ),
    (
        "nor_is_one_that_refuses_landlock",
        nor_is_one_that_refuses_landlock,
    ),
    ("nor_is_one_without_filters", nor_is_one_without_filters),
    (
        "nor_is_a_service_manager_that_refuses_filters",
        nor_is_a_service_manager_that_refuses_filters,
    ),
    (
        "nor_is_one_that_has_taken_all_rights_and_the_call_to_give_them_up",
        nor_is_one_that_has_taken_all_rights_and_the_call_to_give_them_up,
    ),
];

/// Without the usual harness, which has threads of its own: a process is confined while it has one.
fn main() -> ExitCode {
    if let Some(promise) = std::env::var_os(PROMISE) {
        let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
        let (_, keep) = PROMISES.iter().find(|(name, _)| promise == *name).unwrap();
        keep(&folder);
        return ExitCode::SUCCESS;
    }
    let filter = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let mut is_kept = true;
    for (name, _) in PROMISES {
        if filter
            .as_ref()
            .is_none_or(|filter| name.contains(filter.as_str()))
        {
            is_kept &= is_kept_in_a_process(name);
        }
    }
    if is_kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Whether the promise is kept in a process of its own, which says so.
fn is_kept_in_a_process(promise: &str) -> bool {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    for name in ["keys", "rings"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    File::create(folder.path().join("file")).unwrap();
    File::create(folder.path().join("keys/key")).unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .env(PROMISE, promise)
        .env(FOLDER, folder.path())
        .status()
        .unwrap();
    println!(
        "test {promise} ... {}",
        if status.success() { "ok" } else { "FAILED" }
    );
    status.success()
}

fn confine_in(folder: &Path) -> Result<Confinement, ConfineError> {
    let directories = ["keys", "rings"].map(|name| File::open(folder.join(name)).unwrap());
    let [keys, rings] = directories.each_ref().map(AsFd::as_fd);
    let sender = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let confined = confine(&[keys, rings], &[sender.as_fd()])?;
    // By this one, and by no other, it may send: there is only no message to be read at 0.
    let number = c_long::from(sender.as_raw_fd());
    assert_eq!(
        call(libc::SYS_sendmsg, [number, 0, 0, 0, 0, 0]),
        libc::EFAULT
    );
    if confined.of_system_calls {
        for other in [number - 1, number + 1] {
            assert_eq!(call(libc::SYS_sendmsg, [other, 0, 0, 0, 0, 0]), libc::EPERM);
        }
    }
    Ok(confined)
}

/// A system call and what it says; 0 when it works.
fn call(number: c_long, arguments: [c_long; 6]) -> i32 {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: every call below fails or changes nothing that this process uses; pointers that it would read or write are null.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result >= 0 {
        return 0;
    }
    io::Error::last_os_error().raw_os_error().unwrap()
}

/// System calls that the daemon must not have, so that they do no harm where they work.
#[rustfmt::skip]
fn forbidden_calls() -> Vec<(&'static str, c_long, [c_long; 6])> {
    const NONE: [c_long; 6] = [0; 6];
    let first = |argument: c_long| [argument, 0, 0, 0, 0, 0];
    let socket = |domain: i32, kind: i32| [c_long::from(domain), c_long::from(kind), 0, 0, 0, 0];
    let executable = c_long::from(libc::PROT_READ | libc::PROT_EXEC);
    let private = c_long::from(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let parent = c_long::from(std::os::unix::process::parent_id());
    vec![
        ("execve", libc::SYS_execve, NONE),
        ("execveat", libc::SYS_execveat, first(-1)),
        ("ptrace", libc::SYS_ptrace, [99, parent, 0, 0, 0, 0]),
        ("process_vm_readv", libc::SYS_process_vm_readv, [parent, 0, 1, 0, 1, 0]),
        ("process_vm_writev", libc::SYS_process_vm_writev, [parent, 0, 1, 0, 1, 0]),
        ("pidfd_open", libc::SYS_pidfd_open, first(parent)),
        ("kill", libc::SYS_kill, first(parent)),
        ("tgkill of others", libc::SYS_tgkill, [parent, parent, 0, 0, 0, 0]),
        ("mount", libc::SYS_mount, NONE),
        ("chroot", libc::SYS_chroot, NONE),
        ("pivot_root", libc::SYS_pivot_root, NONE),
        ("bpf", libc::SYS_bpf, first(-1)),
        ("perf_event_open", libc::SYS_perf_event_open, NONE),
        ("io_uring_setup", libc::SYS_io_uring_setup, NONE),
        ("userfaultfd", libc::SYS_userfaultfd, first(1)),
        ("keyctl", libc::SYS_keyctl, first(-1)),
        ("add_key", libc::SYS_add_key, NONE),
        ("open_by_handle_at", libc::SYS_open_by_handle_at, first(-1)),
        ("unshare", libc::SYS_unshare, NONE),
        ("setns", libc::SYS_setns, first(-1)),
        ("init_module", libc::SYS_init_module, NONE),
        ("setuid", libc::SYS_setuid, NONE),
        ("capset", libc::SYS_capset, NONE),
        ("chmod by name", libc::SYS_fchmodat, first(-1)),
        ("mkdir", libc::SYS_mkdirat, first(-1)),
        ("symlink", libc::SYS_symlinkat, [0, -1, 0, 0, 0, 0]),
        ("memfd_create", libc::SYS_memfd_create, NONE),
        ("prctl of anything but a name", libc::SYS_prctl, first(libc::PR_GET_DUMPABLE.into())),
        ("ioctl TIOCSTI", libc::SYS_ioctl, [-1, 0x5412, 0, 0, 0, 0]),
        ("limits of others", libc::SYS_prlimit64, first(parent)),
        ("memory to execute", libc::SYS_mmap, [0, 4096, executable, private, -1, 0]),
        ("making memory such", libc::SYS_mprotect, [0, 0, executable, 0, 0, 0]),
        ("a process", libc::SYS_clone, first(libc::CLONE_SIGHAND.into())),
        ("a user namespace", libc::SYS_clone, first((libc::CLONE_THREAD | libc::CLONE_NEWUSER).into())),
        ("a packet socket", libc::SYS_socket, socket(libc::AF_PACKET, libc::SOCK_RAW)),
        ("a raw socket", libc::SYS_socket, [libc::AF_INET.into(), libc::SOCK_RAW.into(), 1, 0, 0, 0]),
        ("a TCP socket", libc::SYS_socket, socket(libc::AF_INET, libc::SOCK_STREAM)),
        ("a local socket", libc::SYS_socket, socket(libc::AF_UNIX, libc::SOCK_STREAM)),
        ("a netlink socket", libc::SYS_socket, socket(libc::AF_NETLINK, libc::SOCK_RAW)),
        ("sendto an address", libc::SYS_sendto, [-1, 0, 0, 0, 1, 1]),
        ("sendmsg", libc::SYS_sendmsg, first(-1)),
        ("sendmmsg", libc::SYS_sendmmsg, first(-1)),
        ("fcntl F_SETOWN", libc::SYS_fcntl, [-1, libc::F_SETOWN.into(), parent, 0, 0, 0]),
        ("fcntl F_SETSIG", libc::SYS_fcntl, [-1, 10, 9, 0, 0, 0]),
        ("fcntl F_SETLEASE", libc::SYS_fcntl, [-1, libc::F_SETLEASE.into(), 0, 0, 0, 0]),
        ("connect", libc::SYS_connect, first(-1)),
        ("bind", libc::SYS_bind, first(-1)),
    ]
}

/// Tries all that is forbidden and gives what the system said of each; `None` when it worked.
fn try_forbidden(folder: &Path) -> BTreeMap<&'static str, Option<i32>> {
    let calls = forbidden_calls().into_iter();
    let mut said: BTreeMap<&str, Option<i32>> = calls
        .map(|(name, number, arguments)| (name, Some(call(number, arguments)).filter(|e| *e != 0)))
        .collect();
    let mut say = |name, result: io::Result<()>| {
        said.insert(name, result.err().and_then(|error| error.raw_os_error()));
    };
    let path = |name: &str| folder.join(name);
    say("file /etc/passwd", File::open("/etc/passwd").map(drop));
    say("file /", fs::read_dir("/").map(drop));
    say("file in /proc", File::open("/proc/self/maps").map(drop));
    say("file beside", File::create(path("beside")).map(drop));
    say(
        "file renamed out",
        fs::rename(path("keys/key"), path("key"))
            .and_then(|()| fs::rename(path("key"), path("keys/key"))),
    );
    say(
        "file linked in",
        fs::hard_link(path("file"), path("keys/file"))
            .and_then(|()| fs::remove_file(path("keys/file"))),
    );
    said
}

fn nothing_that_is_forbidden_works_on_any_thread(folder: &Path) {
    let confinement = confine_in(folder).unwrap();
    assert!(confinement.of_system_calls);
    let try_all = move |folder: &Path| {
        for (name, said) in try_forbidden(folder) {
            let is_refused = match said {
                Some(libc::EPERM) => true,
                // Landlock's answers, from kernels that have it.
                Some(libc::EACCES | libc::EXDEV) => name.starts_with("file "),
                _ => name.starts_with("file ") && !confinement.of_files,
            };
            assert!(is_refused, "{name}: {said:?}");
        }
        // Whose flags no filter can see. The C library takes `clone` when there is none.
        assert_eq!(call(libc::SYS_clone3, [0; 6]), libc::ENOSYS);
        // A program that starts would end this one without a word.
        let error = Command::new("/bin/true").exec();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{error}");
        let error = Command::new("/bin/true").status().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{error}");
    };
    try_all(folder);
    for _ in 0..3 {
        let folder = folder.to_owned();
        let thread = thread::spawn(move || {
            try_all(&folder);
            // So do those that threads start.
            thread::spawn(move || try_all(&folder)).join().unwrap();
        });
        thread.join().unwrap();
    }
}

/// Otherwise the test above could pass where these calls never work.
fn what_is_forbidden_is_not_refused_where_nothing_is_confined(folder: &Path) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: only root is refused none of this");
        return;
    }
    for (name, said) in try_forbidden(folder) {
        // Which a host may have switched off.
        let is_optional = ["io_uring_setup", "userfaultfd", "perf_event_open"].contains(&name);
        let is_refused = matches!(said, Some(libc::EPERM | libc::EACCES | libc::EXDEV));
        assert!(is_optional || !is_refused, "{name}: {said:?}");
    }
}

fn what_the_daemon_needs_works(folder: &Path) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let rings = File::open(folder.join("rings")).unwrap();
    fs::write(folder.join("rings/old"), "old").unwrap();
    let statm = File::open("/proc/self/statm").unwrap();
    confine_in(folder).unwrap();

    files_of_keys(&folder.join("keys"));
    rings_of(&rings);
    assert_eq!(fs::read(folder.join("rings/old")).unwrap(), b"old");
    // Connections.
    let (mut link, _) = listener.accept().unwrap();
    link.set_nonblocking(true).unwrap();
    link.set_nodelay(true).unwrap();
    client.write_all(b"hello").unwrap();
    link.set_nonblocking(false).unwrap();
    link.read_exact(&mut [0; 5]).unwrap();
    // What the door does about its descriptors.
    File::open("/dev/null").unwrap();
    assert!(fs::read_dir("/proc/self/fd").unwrap().count() > 3);
    // What it takes of the machine.
    assert!(rustix::io::pread(&statm, &mut [0; 100][..], 0).unwrap() > 0);
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    assert!(used.tv_sec > 0 || used.tv_nsec > 0);
    // Threads, their names, waiting, random numbers.
    let named = thread::Builder::new().name("named".to_owned());
    let named = named.spawn(|| fs::metadata("/proc/self").unwrap());
    named.unwrap().join().unwrap();
    let (sender, receiver) = channel::<()>();
    receiver.recv_timeout(Duration::from_millis(5)).unwrap_err();
    drop(sender);
    thread::sleep(Duration::from_millis(5));
    rustix::rand::getrandom(&mut [0; 32][..], rustix::rand::GetRandomFlags::empty()).unwrap();
    // A panic is caught.
    thread::spawn(|| panic!("on purpose")).join().unwrap_err();
    // Much memory and little, on many threads.
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let mut memory: Vec<Vec<u8>> = (0..100).map(|n| vec![1; n * 10_000]).collect();
                let grow = |part: &mut Vec<u8>| part.extend_from_slice(&[2; 5000]);
                memory.iter_mut().for_each(grow);
            });
        }
    });
}

/// As `sdvr-trust` writes them.
fn files_of_keys(keys: &Path) {
    let directory = File::open(keys).unwrap();
    let new = File::create_new(keys.join(".new")).unwrap();
    new.sync_all().unwrap();
    rustix::fs::renameat(&directory, ".new", &directory, "file").unwrap();
    rustix::fs::unlinkat(&directory, "file", AtFlags::empty()).unwrap();
    assert_eq!(fs::read_dir(keys).unwrap().count(), 1);
    directory.sync_all().unwrap();
}

/// As `sdvr-ring` makes them, and in the way that it has for kernels before 6.10.
fn rings_of(rings: &File) {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = rustix::fs::openat(rings, ".", flags, Mode::from_raw_mode(0o600)).unwrap();
    match rustix::fs::linkat(&file, "", rings, "ring", AtFlags::EMPTY_PATH) {
        Ok(()) => {}
        Err(error) => assert_eq!(error, Errno::NOENT, "what kernels before 6.10 say"),
    }
    let source = format!("/proc/self/fd/{}", file.as_raw_fd());
    let follow = AtFlags::SYMLINK_FOLLOW;
    rustix::fs::linkat(rustix::fs::CWD, source, rings, "second", follow).unwrap();
    rustix::fs::renameat(rings, "second", rings, "third").unwrap();
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o440)).unwrap();
    rustix::fs::fchown(&file, None, Some(rustix::process::getegid())).unwrap();
    // Whether somebody else has it open: a lease, with a signal that does no harm. 10 is F_SETSIG.
    for (command, value) in [
        (10, libc::SIGURG),
        (libc::F_SETLEASE, libc::F_WRLCK),
        (libc::F_SETLEASE, libc::F_UNLCK),
    ] {
        let arguments = [file.as_raw_fd(), command, value, 0, 0, 0].map(c_long::from);
        assert_eq!(call(libc::SYS_fcntl, arguments), 0, "{command} {value}");
    }
}

fn a_process_with_other_threads_is_not_confined_by_half(folder: &Path) {
    let (sender, receiver) = channel::<()>();
    let other = thread::spawn(move || receiver.recv());
    let error = confine_in(folder).unwrap_err();
    assert!(
        matches!(error, ConfineError::Threads { count: 2 }),
        "{error}"
    );
    File::open("/etc/passwd").unwrap();
    drop(sender);
    other.join().unwrap().unwrap_err();
    // The kernel may still be at its end.
    while fs::read_dir("/proc/self/task").unwrap().count() > 1 {
        thread::yield_now();
    }
    if confine_in(folder).unwrap().of_files {
        let error = File::open("/etc/passwd").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }
}

/// Has the kernel say of a call what an older one would.
fn without(number: c_long, errno: i32) {
    let filter = SeccompFilter::new(
        BTreeMap::from([(number, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(errno.cast_unsigned()),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let filter: BpfProgram = filter.unwrap().try_into().unwrap();
    apply_filter(&filter).unwrap();
}

/// Files are not closed to it, but all else is.
fn assert_only_files_are_open(folder: &Path) {
    let expected = Confinement {
        of_files: false,
        of_system_calls: true,
    };
    assert_eq!(confine_in(folder).unwrap(), expected);
    File::open("/etc/passwd").unwrap();
    assert_eq!(call(libc::SYS_execve, [0; 6]), libc::EPERM);
}

fn a_kernel_without_landlock_is_no_reason_not_to_start(folder: &Path) {
    without(libc::SYS_landlock_create_ruleset, libc::ENOSYS);
    assert_only_files_are_open(folder);
}

fn nor_is_one_that_refuses_landlock(folder: &Path) {
    without(libc::SYS_landlock_create_ruleset, libc::EPERM);
    assert_only_files_are_open(folder);
}

fn nor_is_one_without_filters(folder: &Path) {
    without(libc::SYS_seccomp, libc::ENOSYS);
    assert!(!confine_in(folder).unwrap().of_system_calls);
    assert_ne!(call(libc::SYS_execve, [0; 6]), libc::EPERM);
}

fn nor_is_a_service_manager_that_refuses_filters(folder: &Path) {
    without(libc::SYS_seccomp, libc::EPERM);
    assert!(!confine_in(folder).unwrap().of_system_calls);
}

/// As a unit of systemd does with an empty bounding set and `SystemCallFilter=~@privileged`.
fn nor_is_one_that_has_taken_all_rights_and_the_call_to_give_them_up(folder: &Path) {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).unwrap();
    without(libc::SYS_capset, libc::EPERM);
    assert!(confine_in(folder).unwrap().of_system_calls);
}
