//! Finding rings by what a user calls them.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use sdvr_frame::{StreamId, StreamLabel, StreamState};
use sdvr_ring::{OpenError, RingName, RingReader, list_rings, open_directory, search_directories};

use crate::error::Error;

mod sought;

pub(crate) use sought::{Listed, Sought};

/// What a user calls a camera or a derived stream: its label, its fingerprint (`SHA256:…`, at least 8 characters of it), or the name of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    text: String,
    /// The one directory to search; `None`: those where rings usually are.
    directory: Option<PathBuf>,
}

impl Wanted {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            directory: None,
        }
    }

    pub(crate) fn new_in(directory: &Path, text: &str) -> Self {
        Self {
            text: text.to_owned(),
            directory: Some(directory.to_owned()),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Where its ring will most likely be.
    pub(crate) fn likely_directory(&self) -> PathBuf {
        let first = || search_directories().into_iter().next().unwrap_or_default();
        self.directory.clone().unwrap_or_else(first)
    }

    /// The same, in `directory` only.
    pub(crate) fn only_in(&self, directory: &Path) -> Self {
        Self::new_in(directory, &self.text)
    }

    fn fits(&self, name: &RingName, reader: &RingReader) -> bool {
        let info = reader.info();
        let fingerprint = info.origin.fingerprint().map(|it| it.to_string());
        self.fits_description(name, &info.label, fingerprint.as_deref(), info.stream)
    }

    pub(crate) fn fits_description(
        &self,
        name: &RingName,
        label: &StreamLabel,
        fingerprint: Option<&str>,
        stream: StreamId,
    ) -> bool {
        let is_fingerprint = self.text.len() >= "SHA256:".len() + 8
            && fingerprint.is_some_and(|fingerprint| fingerprint.starts_with(&self.text));
        name.as_str() == self.text
            || stream == StreamId(0) && (label.as_str() == self.text || is_fingerprint)
    }
}

/// An open ring and where it was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) directory: PathBuf,
    pub(crate) name: RingName,
    pub(crate) reader: RingReader,
}

impl Found {
    /// The ring that has a known name now.
    pub(crate) fn reopen(directory: &Path, name: &RingName) -> Option<Self> {
        Some(Self {
            directory: directory.to_owned(),
            name: name.clone(),
            reader: reopen(directory, name)?,
        })
    }

    /// Whether frames may still come into the ring: it has not ended, and its daemon lives.
    pub(crate) fn may_go_on(&self) -> bool {
        !self.reader.state().is_final() && self.reader.writer_lives()
    }
}

/// A directory of rings that may be read.
struct Directory {
    path: PathBuf,
    handle: OwnedFd,
}

/// The directories to search: one, or those where rings usually are, this user's own first.
pub(crate) fn paths(only: Option<&Path>) -> Vec<PathBuf> {
    only.map_or_else(search_directories, |only| vec![only.to_owned()])
}

fn directories(paths: &[PathBuf]) -> impl Iterator<Item = Directory> {
    paths.iter().filter_map(|path| {
        let path = path.clone();
        open_directory(&path).map(|handle| Directory { path, handle })
    })
}

/// All rings that can be opened, in one directory after the other. Rings that end meanwhile are left out.
pub(crate) fn each_in(paths: &[PathBuf]) -> impl Iterator<Item = Found> {
    directories(paths).flat_map(|directory| {
        let names = list_rings(directory.handle.as_fd()).unwrap_or_default();
        names.into_iter().filter_map(move |name| {
            let reader = RingReader::open(directory.handle.as_fd(), &name).ok()?;
            Some(Found {
                directory: directory.path.clone(),
                name,
                reader,
            })
        })
    })
}

/// The ring that a user wants and that `is_acceptable`. One into which frames may still come is preferred.
///
/// # Errors
///
/// [`Error::Ambiguous`].
pub(crate) fn find_acceptable(
    wanted: &Wanted,
    is_acceptable: impl Fn(&Found) -> bool,
) -> Result<Option<Found>, Error> {
    let paths = paths(wanted.directory.as_deref());
    let (fits, _) = fitting(wanted, &paths);
    let fits = of_one_directory(wanted, &paths, fits)?;
    Ok(fits.into_iter().find(is_acceptable))
}

/// The ring that a user wants. One into which frames may still come is preferred.
pub(crate) fn find(wanted: &Wanted) -> Result<Found, Error> {
    find_in(wanted, &paths(wanted.directory.as_deref()))
}

fn find_in(wanted: &Wanted, paths: &[PathBuf]) -> Result<Found, Error> {
    let (fits, mut others) = fitting(wanted, paths);
    if let Some(found) = of_one_directory(wanted, paths, fits)?.into_iter().next() {
        return Ok(found);
    }
    if others.is_empty() && is_forbidden(paths) {
        return Err(Error::Forbidden);
    }
    others.sort();
    let labels: Vec<&str> = others.iter().map(StreamLabel::as_str).collect();
    let known = if labels.is_empty() {
        "there are none".to_owned()
    } else {
        format!("there are: {}", labels.join(", "))
    };
    Err(Error::NotFound {
        wanted: wanted.text().to_owned(),
        known,
    })
}

/// Those that a user may mean, and the labels of the others.
fn fitting(wanted: &Wanted, paths: &[PathBuf]) -> (Vec<Found>, Vec<StreamLabel>) {
    let (mut fits, mut others) = (Vec::new(), Vec::new());
    for found in each_in(paths) {
        if wanted.fits(&found.name, &found.reader) {
            fits.push(found);
        } else {
            others.push(found.reader.info().label.clone());
        }
    }
    (fits, others)
}

/// Of those that fit the ones of one daemon, best first.
///
/// Labels and keys are what a ring says of itself, and every user of the host can make a directory of rings. So this user's own comes first, whatever
/// the state of its rings: while a daemon is started anew, nobody else's frames are taken for its. Of others there must be only one.
fn of_one_directory(
    wanted: &Wanted,
    paths: &[PathBuf],
    mut fits: Vec<Found>,
) -> Result<Vec<Found>, Error> {
    let own = paths.first();
    if fits.iter().any(|found| Some(&found.directory) == own) {
        fits.retain(|found| Some(&found.directory) == own);
    }
    let mut directories: Vec<PathBuf> = fits.iter().map(|found| found.directory.clone()).collect();
    directories.dedup();
    if directories.len() > 1 {
        return Err(Error::Ambiguous {
            wanted: wanted.text().to_owned(),
            directories,
        });
    }
    fits.sort_by_cached_key(|found| {
        let info = found.reader.info();
        (
            // A camera that comes later than a stream of its label is found all the same.
            info.origin.is_derived(),
            !found.may_go_on(),
            info.label.clone(),
            info.stream,
            found.name.clone(),
        )
    });
    Ok(fits)
}

/// Whether there are rings that this user may not open.
fn is_forbidden(paths: &[PathBuf]) -> bool {
    let is_closed = |path: &PathBuf| {
        std::fs::read_dir(path)
            .is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
    };
    paths.iter().any(is_closed)
        || directories(paths).any(|directory| {
            let names = list_rings(directory.handle.as_fd()).unwrap_or_default();
            names.iter().any(|name| {
                matches!(
                    RingReader::open(directory.handle.as_fd(), name),
                    Err(OpenError::Forbidden)
                )
            })
        })
}

/// How the camera is doing: lost if its daemon, or the program that publishes it, is gone and did not say that it has ended.
pub(crate) fn state_of(reader: &RingReader) -> StreamState {
    let state = reader.state();
    if state == StreamState::Closed || reader.writer_lives() {
        state
    } else {
        StreamState::Lost
    }
}

/// The ring that has a known name now.
pub(crate) fn reopen(directory: &Path, name: &RingName) -> Option<RingReader> {
    let handle = open_directory(directory)?;
    RingReader::open(handle.as_fd(), name).ok()
}

#[cfg(test)]
mod tests;
