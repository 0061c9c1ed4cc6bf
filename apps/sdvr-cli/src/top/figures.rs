//! What is looked at: cameras and daemons, from look to look.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sdvr::{CameraFigures, Daemon, Monitor, Timestamp};
use sdvr_record::RecorderStatus;

/// A daemon, and how busy it was between the last two looks.
#[derive(Clone, Debug)]
pub(super) struct DaemonFigures {
    pub(super) daemon: Daemon,
    /// Of one core; since its start at the first look.
    pub(super) cpu_percent: f64,
}

/// All that a look has seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Look {
    /// `None` before the first one.
    pub(super) at: Option<Timestamp>,
    pub(super) daemons: Vec<DaemonFigures>,
    /// Directories whose daemon cannot be told of, with the reason.
    pub(super) problems: Vec<String>,
    pub(super) cameras: Vec<CameraFigures>,
    /// Those of this user.
    pub(super) recorders: Vec<RecorderStatus>,
}

/// Looks again and again.
#[derive(Debug, Default)]
pub(super) struct Looker {
    monitor: Monitor,
    known: BTreeMap<PathBuf, KnownDaemon>,
}

#[derive(Clone, Copy, Debug)]
struct KnownDaemon {
    started_ns: u64,
    heartbeat_ns: u64,
    cpu_us: u64,
    cpu_percent: f64,
}

impl Looker {
    pub(super) fn look(&mut self) -> Look {
        let mut look = Look {
            at: Some(Timestamp::now()),
            cameras: self.monitor.look(),
            recorders: RecorderStatus::list(),
            ..Look::default()
        };
        let mut known = BTreeMap::new();
        for (directory, daemon) in Daemon::list_all() {
            match daemon {
                Ok(daemon) => {
                    let now = compare(self.known.get(&directory), &daemon);
                    known.insert(directory, now);
                    let cpu_percent = if daemon.is_alive {
                        now.cpu_percent
                    } else {
                        0.0
                    };
                    look.daemons.push(DaemonFigures {
                        daemon,
                        cpu_percent,
                    });
                }
                Err(problem) => look
                    .problems
                    .push(format!("{}: {problem}", directory.display())),
            }
        }
        self.known = known;
        look
    }
}

/// By the page's own times: it is written four times a second, whenever it is looked at.
fn compare(before: Option<&KnownDaemon>, daemon: &Daemon) -> KnownDaemon {
    let figures = &daemon.statistics;
    let same = before.filter(|before| before.started_ns == figures.started_ns);
    let (since_ns, cpu_us_before) = same.map_or((figures.started_ns, 0), |before| {
        (before.heartbeat_ns, before.cpu_us)
    });
    let nanoseconds = figures.heartbeat_ns.saturating_sub(since_ns);
    let used_us = figures.cpu_us.saturating_sub(cpu_us_before);
    let cpu_percent = match (nanoseconds, same) {
        // The page has not been written since: what it said is all that is known.
        (0, Some(before)) => before.cpu_percent,
        (0, None) => 0.0,
        _ => used_us as f64 * 1e5 / nanoseconds as f64,
    };
    KnownDaemon {
        started_ns: figures.started_ns,
        heartbeat_ns: figures.heartbeat_ns,
        cpu_us: figures.cpu_us,
        cpu_percent,
    }
}
