//! One camera, or all of this host (`--all`): a thread each, with its own key and session, so that one that fails disturbs no
//! other.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sdvr_source::SourceSpec;
use sdvr_source::v4l2::{self, DeviceInfo};
use tracing::{error, info, info_span, warn};

use crate::config::Config;
use crate::failure::Failure;
use crate::roster::Roster;
use crate::signals::{SignalPipe, Signals};
use crate::twins::Twins;
use crate::uplink;

/// How often it is looked whether there are other device nodes than before.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// How often cameras are looked for whatever the nodes are: rights may have changed.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// How long a camera that failed is left alone, at first and at most.
const RESTART_FIRST: Duration = Duration::from_secs(1);
const RESTART_MOST: Duration = Duration::from_secs(60);

/// Streams until the source ends, the user interrupts, or `--once` says to give up; with `--all` until the user interrupts.
///
/// # Errors
///
/// [`Failure`] says why.
pub fn run(config: &Config) -> Result<(), Failure> {
    if let Err(error) = sdvr_trust::protect_memory() {
        warn!(%error, "core files cannot be switched off; one would contain keys");
    }
    let signals = Signals::catch(config)?;
    if config.all {
        run_all(config, &signals)
    } else {
        uplink::run(config, signals)
    }
}

/// One camera of the host.
#[derive(Debug)]
struct Member {
    name: String,
    /// Where it is; `None` when it is not there.
    path: Option<PathBuf>,
    /// Whether it could not be opened when it was looked at last.
    has_problem: bool,
    work: Work,
    back_off: Duration,
}

/// What a camera's thread is doing.
#[derive(Debug)]
enum Work {
    Runs {
        thread: JoinHandle<Result<(), Failure>>,
        since: Instant,
    },
    /// It failed, and is started again.
    Rests { until: Instant },
}

fn run_all(config: &Config, signals: &Signals) -> Result<(), Failure> {
    let twins = Twins::in_directory(&config.key_directory);
    let mut remembered = twins.read();
    let mut roster = Roster::new(remembered.clone());
    let mut members: Vec<Member> = Vec::new();
    let mut said_none = false;
    let mut looked: Option<(Vec<PathBuf>, Instant)> = None;
    info!(server = %config.server, "streaming every camera of this host");
    loop {
        // Looking at a camera opens it for a moment, which wakes some up.
        let nodes = v4l2::nodes();
        let has_news = looked.as_ref().is_none_or(|(seen, _)| *seen != nodes);
        let is_due = looked
            .as_ref()
            .is_none_or(|(_, at)| at.elapsed() > LOOK_AGAIN);
        if has_news || is_due {
            let devices = v4l2::devices();
            // Whatever is not found again is not where it was.
            for member in &mut members {
                member.path = None;
            }
            for (index, device) in roster.recognise(&devices).into_iter().zip(devices) {
                let Some(member) = members.get_mut(index) else {
                    let name = roster.name(index);
                    info!(camera = %name, device = %device.path.display(), "found");
                    members.push(Member::new(name, device));
                    continue;
                };
                if has_news || member.has_problem && device.problem.is_none() {
                    member.wake();
                }
                member.has_problem = device.problem.is_some();
                member.path = Some(device.path);
            }
            if *roster.twins() != remembered {
                remembered.clone_from(roster.twins());
                if let Err(error) = twins.write(&remembered) {
                    warn!(%error, "cannot remember which cameras have twins");
                }
            }
            looked = Some((nodes, Instant::now()));
        }
        if members.is_empty() && !said_none {
            said_none = true;
            warn!("there is no camera; waiting for one (sdvrc --list shows what there is)");
        }
        for member in &mut members {
            member.look_after(config);
        }
        if wait(signals.interrupted()) {
            break;
        }
    }
    // Each has had the signal, too.
    for member in members {
        if let Work::Runs { thread, .. } = member.work {
            say_end(&member.name, thread);
        }
    }
    Ok(())
}

/// True when the user wants to go.
fn wait(interrupted: &SignalPipe) -> bool {
    let mut descriptors = [PollFd::new(interrupted, PollFlags::IN)];
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: LOOK_INTERVAL.subsec_nanos().into(),
    };
    let _ = poll(&mut descriptors, Some(&timeout));
    interrupted.take() > 0
}

impl Member {
    fn new(name: &str, device: DeviceInfo) -> Self {
        Self {
            name: name.to_owned(),
            has_problem: device.problem.is_some(),
            path: Some(device.path),
            work: Work::Rests {
                until: Instant::now(),
            },
            back_off: RESTART_FIRST,
        }
    }

    /// Something has come or gone: what failed before may work now.
    fn wake(&mut self) {
        if let Work::Rests { until } = &mut self.work {
            *until = Instant::now();
            self.back_off = RESTART_FIRST;
        }
    }

    /// Starts it if it is there and it is time; notices if it has ended.
    fn look_after(&mut self, config: &Config) {
        let now = Instant::now();
        match (&self.work, &self.path) {
            (Work::Rests { until }, Some(path)) if now >= *until => {
                match self.start(path, config) {
                    Ok(thread) => self.work = Work::Runs { thread, since: now },
                    Err(problem) => {
                        error!(camera = %self.name, %problem, "cannot be started");
                        self.rest(now);
                    }
                }
            }
            (Work::Runs { thread, since }, _) if thread.is_finished() => {
                // What ran for long was right: its next failure is a new one.
                if now.duration_since(*since) > RESTART_MOST {
                    self.back_off = RESTART_FIRST;
                }
                let ended = std::mem::replace(&mut self.work, Work::Rests { until: now });
                if let Work::Runs { thread, .. } = ended {
                    say_end(&self.name, thread);
                }
                self.rest(now);
            }
            (Work::Rests { .. } | Work::Runs { .. }, _) => {}
        }
    }

    fn rest(&mut self, now: Instant) {
        self.work = Work::Rests {
            until: now + self.back_off,
        };
        self.back_off = (self.back_off * 2).min(RESTART_MOST);
    }

    fn start(
        &self,
        path: &Path,
        config: &Config,
    ) -> anyhow::Result<JoinHandle<Result<(), Failure>>> {
        let own = config.for_camera(SourceSpec::Device(path.to_owned()), &self.name);
        let name = self.name.clone();
        // Fifteen bytes are all that a thread's name has.
        let thread_name: String = name.chars().take(15).collect();
        // Caught here: a signal that came before the thread is at it would be nobody's.
        let signals = Signals::catch(&own)?;
        let thread = std::thread::Builder::new().name(thread_name);
        Ok(thread
            .spawn(move || info_span!("camera", %name).in_scope(|| uplink::run(&own, signals)))?)
    }
}

fn say_end(name: &str, thread: JoinHandle<Result<(), Failure>>) {
    match thread.join() {
        Ok(Ok(())) => info!(camera = %name, "ended"),
        Ok(Err(failure)) => error!(camera = %name, "{failure}; trying again"),
        Err(_) => error!(camera = %name, "a fault in the program; trying again"),
    }
}
