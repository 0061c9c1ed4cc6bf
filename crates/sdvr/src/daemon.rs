//! The daemons that publish on this host, and their figures.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sdvr_frame::Timestamp;
use sdvr_ring::{Statistics, StatisticsError, open_directory, read_statistics, search_directories};

/// A daemon, as far as its statistics page tells.
///
/// ```
/// for daemon in sdvr::Daemon::list() {
///     println!("{}: {} cameras", daemon.directory.display(), daemon.statistics.cameras_connected);
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Daemon {
    /// Where it publishes.
    pub directory: PathBuf,
    /// What it counts. A daemon that was killed leaves its last figures.
    pub statistics: Statistics,
    /// Whether it said so within the last second: if not, it hangs, or is gone.
    pub is_alive: bool,
    /// For how long it has been running, or had when it was heard last.
    pub uptime: Duration,
}

impl Daemon {
    /// Those whose frames this user may read, in the places where cameras are searched, as far as their pages can be read. Does not block; copies
    /// a few hundred bytes for each.
    #[must_use]
    pub fn list() -> Vec<Self> {
        let daemons = Self::list_all().into_iter();
        daemons.filter_map(|(_, daemon)| daemon.ok()).collect()
    }

    /// As [`Self::list`], with the directories whose page cannot be read.
    #[must_use]
    pub fn list_all() -> Vec<(PathBuf, Result<Self, StatisticsError>)> {
        search_directories()
            .into_iter()
            .map(|path| (Self::of(&path), path))
            .filter(|(daemon, _)| !matches!(daemon, Err(StatisticsError::Absent)))
            .map(|(daemon, path)| (path, daemon))
            .collect()
    }

    /// The one that publishes, or did so last, in a directory.
    ///
    /// # Errors
    ///
    /// [`StatisticsError`] when it has left no page that this program understands.
    pub fn of(directory: &Path) -> Result<Self, StatisticsError> {
        let opened = open_directory(directory).ok_or(StatisticsError::Absent)?;
        let statistics = read_statistics(opened.as_fd())?;
        let at = |nanoseconds: u64| Timestamp::from_nanoseconds(nanoseconds.cast_signed());
        Ok(Self {
            directory: directory.to_owned(),
            is_alive: statistics.is_alive(Timestamp::now()),
            uptime: at(statistics.heartbeat_ns).saturating_since(at(statistics.started_ns)),
            statistics,
        })
    }
}
