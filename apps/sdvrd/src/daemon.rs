//! Start and end of the daemon.

use std::io::Write;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use anyhow::Context;
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use rustix::fs::Mode;
use sdvr_frame::Timestamp;
use sdvr_ring::{RingDirectory, StaleRing, StaleRings};
use sdvr_session::server::Door as Handshake;
use sdvr_session::{Limits, ReassemblyBudget, Suites};
use sdvr_trust::{KeyDirectory, KnownCameras, SecretKey, ServerKeyWatch};
use tracing::{error, info, warn};

use crate::account::become_user;
use crate::budget::Budget;
use crate::config::Config;
use crate::confine::confine;
use crate::door::{Descriptors, Door, DoorHandle};
use crate::figures::{Figures, OwnProcess};
use crate::media::Media;
use crate::notify::ServiceManager;
use crate::ring_keeper::RingKeeper;
use crate::shard::{Shard, ToShard};

/// Runs the daemon until SIGTERM or SIGINT.
///
/// # Errors
///
/// When it cannot start; the text says what to do.
pub fn run(config: Config) -> anyhow::Result<()> {
    let now = Timestamp::now();
    // Keys, directories and sockets first: what is missing is said before anything is promised. The port before all, which may be root's.
    let listener = sdvr_transport::listen(config.address, config.port)
        .map_err(|error| cannot_listen(&config, error))?;
    let address = listener.address();
    let media = Media::bind(&config, address.port())?;
    let directories = [
        (&*config.key_directory, Mode::from_raw_mode(0o700)),
        (&*config.shm_dir, Mode::from_raw_mode(0o750)),
    ];
    become_user(config.user.as_ref(), config.group, directories)?;
    // Only now: becoming a user can undo it.
    if let Err(error) = sdvr_trust::protect_memory() {
        warn!(%error, "core files cannot be switched off; one would contain keys");
    }
    let descriptors = Descriptors::raised();
    check_randomness()?;
    let keys = KeyDirectory::open(&config.key_directory)?;
    let key_files = keys.as_fd().try_clone_to_owned()?;
    let (server_key_watch, server_keys) =
        ServerKeyWatch::begin(KeyDirectory::open(&config.key_directory)?)?;
    let known = KnownCameras::load(keys, now)?.accepting(config.acceptance);
    let directory = Arc::new(RingDirectory::create(&config.shm_dir, config.group)?);
    let stale = directory
        .remove_stale_rings()
        .with_context(|| format!("cannot clean up {}", config.shm_dir.display()))?;
    if stale.files > 0 {
        info!(
            rings = stale.files,
            still_read = stale.still_read.len(),
            "removed what an earlier daemon left behind"
        );
    }
    let budget = memory_budget(&config, &directory, &stale)?;

    let fingerprint = server_keys.current.public_key().fingerprint();
    let mut random = UnwrapErr(SysRng);
    let mut handshake = Handshake::new(
        now,
        server_keys.current.expose(),
        Suites::of_this_machine(),
        Limits::default(),
        &mut random,
    );
    handshake.set_keys(
        server_keys.current.expose(),
        server_keys.old.as_ref().map(SecretKey::expose),
    );
    drop(server_keys);

    // Before the threads, so that all of them leave these signals to this one.
    let mut signals = signal_hook::iterator::Signals::new([
        signal_hook::consts::SIGTERM,
        signal_hook::consts::SIGINT,
    ])?;

    let manager = ServiceManager::from_environment();
    // Before it is confined: then it opens no file there.
    let process = OwnProcess::open();
    // Before the threads, so that it holds for all of them.
    confine(
        &[key_files.as_fd(), directory.as_fd()],
        &media.descriptors(),
    )
    .context("cannot give up what it does not need")?;
    drop(key_files);

    let (keeper, keeper_thread) = RingKeeper::start(
        Arc::clone(&directory),
        stale.still_read,
        &budget,
        EndsDaemon(signals.handle()),
    )
    .context("cannot start the ring keeper")?;
    let mut figures = Figures {
        started: now,
        door: Arc::default(),
        shards: Vec::new(),
        budget: budget.clone(),
        sockets: media.all().cloned().collect(),
        process,
    };
    let mut shards = Vec::new();
    let mut handles = Vec::new();
    let (poller, waker) = Door::<UnwrapErr<SysRng>>::poller(&listener, media.of_door())
        .context("cannot wait for connections")?;
    let (door_handle, messages) = DoorHandle::new(waker.clone());
    let reassembly = reassembly_budget(&budget);
    for shard in 0..config.threads {
        let counters = Arc::default();
        figures.shards.push(Arc::clone(&counters));
        let (shard, handle) = Shard::new(
            keeper.clone(),
            budget.clone(),
            config.ring_time,
            counters,
            door_handle.clone(),
            media.of_shard(shard),
            reassembly.clone(),
        )
        .context("cannot make a shard")?;
        shards.push(shard);
        handles.push(handle);
    }
    // It ends with the last shard.
    drop(keeper);
    let stop = Arc::new(AtomicBool::new(false));
    let door = Door {
        listener,
        sockets: media.of_door().to_vec(),
        handshake,
        known,
        server_key_watch,
        key_limits: config.key_limits,
        shards: handles.clone(),
        messages,
        waker: waker.clone(),
        random,
        descriptors,
        counters: Arc::clone(&figures.door),
        stop: Arc::clone(&stop),
    };
    let door = thread::Builder::new().name("door".to_owned()).spawn({
        let guard = EndsDaemon(signals.handle());
        move || {
            let _guard = guard;
            door.run(poller)
        }
    })?;
    let shards: Vec<_> = (0..)
        .zip(shards)
        .map(|(number, shard): (u16, Shard)| {
            thread::Builder::new()
                .name(format!("shard-{number}"))
                .spawn({
                    let guard = EndsDaemon(signals.handle());
                    move || {
                        let _guard = guard;
                        shard.run()
                    }
                })
        })
        .collect::<Result<_, _>>()?;

    let (end_figures, end) = channel();
    let figures = figures
        .publish(&directory, end, EndsDaemon(signals.handle()))
        .context("cannot make the statistics page")?;

    say_ready(&format!(
        "sdvrd ready: {address} (tcp, udp){media}, key {fingerprint}, frames in {}",
        config.shm_dir.display()
    ));
    manager.say_ready();
    match signals.forever().next() {
        Some(signal) => info!(signal, "ending"),
        None => error!(
            "a part of the daemon has failed; ending, so that whoever watches it starts it anew"
        ),
    }
    manager.say_stopping();
    // Relaxed: the wakers' system calls order it.
    stop.store(true, Ordering::Relaxed);
    waker.wake();
    handles.iter().for_each(|handle| handle.send(ToShard::Stop));
    for thread in std::iter::once(door).chain(shards) {
        thread
            .join()
            .map_err(|_| anyhow::anyhow!("a thread has panicked"))??;
    }
    drop(end_figures);
    let join = |_| anyhow::anyhow!("a thread has panicked");
    figures.join().map_err(join)?;
    keeper_thread
        .join()
        .map_err(join)?
        .with_context(|| format!("cannot clean up {}", config.shm_dir.display()))
}

fn cannot_listen(config: &Config, error: std::io::Error) -> anyhow::Error {
    use std::io::ErrorKind;
    let port = config.port;
    let problem = match (error.kind(), config.address) {
        (ErrorKind::AddrNotAvailable, Some(address)) => {
            format!(
                "cannot listen on {address}: this host does not have that address (`ip address` lists those it has)"
            )
        }
        (ErrorKind::PermissionDenied, _) => {
            format!(
                "cannot listen on port {port}: ports below 1024 are for root (choose another one with -p)"
            )
        }
        _ => format!(
            "cannot listen on port {port}; another sdvrd may be running (choose another port with -p)"
        ),
    };
    anyhow::Error::new(error).context(problem)
}

/// Ends the daemon when the thread that has it ends: a daemon without one of its parts is worse than none.
struct EndsDaemon(signal_hook::iterator::Handle);

impl Drop for EndsDaemon {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The line that scripts wait for.
fn say_ready(line: &str) {
    let mut out = std::io::stdout();
    // Nobody may be listening; that is no reason not to run.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// With less, even a camera of small frames finds no room.
const LEAST_MEMORY_BYTES: u64 = 1 << 20;

fn memory_budget(
    config: &Config,
    directory: &RingDirectory,
    stale: &StaleRings,
) -> anyhow::Result<Budget> {
    let mut free = directory.free_bytes().with_context(|| {
        format!(
            "cannot find out how much is free in {}",
            config.shm_dir.display()
        )
    })?;
    // What an earlier daemon had is free in two seconds, and taken until then.
    free += stale.still_read.iter().map(StaleRing::bytes).sum::<u64>();
    // Rings are powers of two, and so is the size of most file systems of this kind: two that fill its half to the last byte need a
    // little more for what stands beside the frames.
    let total = config.memory.unwrap_or(free / 2 + free / 64);
    anyhow::ensure!(
        total >= LEAST_MEMORY_BYTES,
        "{} KiB of shared memory hold no camera (--memory, by default half of the {} KiB that are free in {}): give at least {} MiB, and make /dev/shm larger if it has not as much (mount -o remount,size=…; docker run --shm-size=…)",
        total >> 10,
        free >> 10,
        config.shm_dir.display(),
        LEAST_MEMORY_BYTES >> 20
    );
    if total > free {
        warn!(
            memory_mib = total >> 20,
            free_mib = free >> 20,
            "--memory is more than is free; rings will be refused when it runs out"
        );
    }
    if total < 256 << 20 {
        warn!(
            memory_mib = total >> 20,
            "little shared memory: rings will be small. In a container, raise it with --shm-size"
        );
    }
    Ok(Budget::new(total))
}

/// An eighth as much as rings may have, and not so little that one large frame finds no room.
fn reassembly_budget(budget: &Budget) -> ReassemblyBudget {
    const LEAST_BYTES: u64 = 64 << 20;
    let bytes = (budget.total_room().total_bytes / 8).max(LEAST_BYTES);
    ReassemblyBudget::new(usize::try_from(bytes).unwrap_or(usize::MAX))
}

/// Asks once, so that later failures are impossible: the system's generator, once it answers, always does.
fn check_randomness() -> anyhow::Result<()> {
    getrandom::fill(&mut [0; 32]).context("the system gives no random numbers")
}
