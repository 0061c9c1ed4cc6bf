//! Looking for the rings of many cameras that are not there, without opening every ring for each.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use sdvr_frame::{InstanceId, StreamId, StreamLabel};
use sdvr_ring::{RingName, RingReader, list_rings, open_directory};

use super::{Found, Wanted, of_one_directory, paths};
use crate::error::Error;

/// What a camera that is not there is known by, and what of it is no news.
#[derive(Clone, Debug)]
pub(crate) struct Sought {
    pub(crate) wanted: Wanted,
    /// Its ring's name, if it had one.
    pub(crate) known: Option<(PathBuf, RingName)>,
    /// The run whose ring has ended, and may still be there for a moment.
    pub(crate) ended: Option<InstanceId>,
}

impl Sought {
    /// One that came and ended meanwhile is read, too; one that had ended before is not.
    pub(crate) fn is_new(&self, found: &Found) -> bool {
        found.reader.writer_lives()
            && (found.may_go_on() || Some(found.reader.info().instance) != self.ended)
    }

    /// The ring under the name that it had. Cheap.
    pub(crate) fn reopen(&self) -> Option<Found> {
        let (directory, name) = self.known.as_ref()?;
        Found::reopen(directory, name).filter(|found| self.is_new(found))
    }

    /// Where it is searched. The camera may have been replaced by one with another key, whose ring has another name. Only its own daemon's is taken: another
    /// user's camera may have the same label.
    pub(crate) fn searched(&self) -> Wanted {
        match &self.known {
            Some((directory, _)) => self.wanted.only_in(directory),
            None => self.wanted.clone(),
        }
    }

    /// The directories in which it may come.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        paths(self.searched().directory.as_deref())
    }

    /// The ring, of those that are listed.
    ///
    /// # Errors
    ///
    /// [`Error::Ambiguous`].
    pub(crate) fn find(&self, listed: &mut Listed) -> Result<Option<Found>, Error> {
        let fits = listed.find(&self.searched())?;
        Ok(fits.into_iter().find(|found| self.is_new(found)))
    }
}

/// What the rings of some directories say that they are, each opened once.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    directories: BTreeMap<PathBuf, Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    name: RingName,
    label: StreamLabel,
    /// A camera's; a derived stream has none.
    fingerprint: Option<String>,
    stream: StreamId,
}

impl Listed {
    /// Those that a user may mean, best first.
    ///
    /// # Errors
    ///
    /// [`Error::Ambiguous`].
    pub(crate) fn find(&mut self, wanted: &Wanted) -> Result<Vec<Found>, Error> {
        let paths = paths(wanted.directory.as_deref());
        let fits = paths.iter().flat_map(|path| self.fitting(path, wanted));
        let fits = fits.collect();
        of_one_directory(wanted, &paths, fits)
    }

    /// Those in one directory that a user may mean, opened. A ring may have got another name's meaning since it was listed, so it is asked again.
    fn fitting(&mut self, path: &Path, wanted: &Wanted) -> Vec<Found> {
        let entries = self
            .directories
            .entry(path.to_owned())
            .or_insert_with(|| list(path));
        entries
            .iter()
            .filter(|entry| {
                let fingerprint = entry.fingerprint.as_deref();
                wanted.fits_description(&entry.name, &entry.label, fingerprint, entry.stream)
            })
            .filter_map(|entry| Found::reopen(path, &entry.name))
            .filter(|found| wanted.fits(&found.name, &found.reader))
            .collect()
    }
}

fn list(path: &Path) -> Vec<Entry> {
    let Some(directory) = open_directory(path) else {
        return Vec::new();
    };
    let names = list_rings(directory.as_fd()).unwrap_or_default();
    let entry = |name: RingName| {
        let reader = RingReader::open(directory.as_fd(), &name).ok()?;
        let info = reader.info();
        Some(Entry {
            label: info.label.clone(),
            fingerprint: info.origin.fingerprint().map(|it| it.to_string()),
            stream: info.stream,
            name,
        })
    };
    names.into_iter().filter_map(entry).collect()
}
