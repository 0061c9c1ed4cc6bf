//! Which camera is recorded in which folder.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use sdvr_frame::{Fingerprint, StreamId, StreamLabel};

use super::shared::Shared;
use crate::index::{Index, IndexError, Recovery, camera_folders};

/// Where a camera is recorded, until this is dropped.
pub(super) struct Place<'a> {
    shared: &'a Shared,
    /// As what.
    pub(super) label: StreamLabel,
    pub(super) index: Arc<Mutex<Index>>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let free = Folder::Free(Arc::clone(&self.index));
        self.shared.places().0.insert(self.label.clone(), free);
    }
}

/// Why a camera cannot be recorded now.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoPlace {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(
        "this recorder already records a camera of that label; give one of the two another, or record it into another directory"
    )]
    Taken,
}

impl NoPlace {
    /// Whether another camera or recorder has the place, and may leave it at any moment.
    pub(super) const fn is_anothers(&self) -> bool {
        matches!(self, Self::Taken | Self::Index(IndexError::InUse(_)))
    }
}

/// Folders of cameras, by the labels as which they are recorded.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<StreamLabel, Folder>);

#[derive(Clone, Debug)]
enum Folder {
    /// Somebody opens it to record there, which takes long if its index has to be made anew.
    Opening,
    /// Nobody records there now.
    Free(Arc<Mutex<Index>>),
    Taken(Arc<Mutex<Index>>),
}

impl Places {
    /// Of all folders that are open.
    pub(super) fn indexes(&self) -> Vec<Arc<Mutex<Index>>> {
        let index = |folder: &Folder| match folder {
            Folder::Opening => None,
            Folder::Free(index) | Folder::Taken(index) => Some(Arc::clone(index)),
        };
        self.0.values().filter_map(index).collect()
    }

    fn is_free(&self, label: &StreamLabel) -> bool {
        matches!(self.0.get(label), Some(Folder::Free(_)))
    }

    /// Takes a folder if it is free, or nobody has opened it yet. What it was.
    fn take(&mut self, label: &StreamLabel) -> Option<Folder> {
        let before = self.0.get(label).cloned();
        match &before {
            Some(Folder::Free(index)) => {
                let taken = Folder::Taken(Arc::clone(index));
                self.0.insert(label.clone(), taken);
            }
            None => {
                self.0.insert(label.clone(), Folder::Opening);
            }
            Some(Folder::Opening | Folder::Taken(_)) => {}
        }
        before
    }
}

/// Opens what was recorded there before: it counts for what is kept, and what was not completed is.
pub(super) fn open_all(shared: &Shared) -> anyhow::Result<()> {
    let directory = &shared.options.directory;
    let labels = camera_folders(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?;
    for label in labels {
        match shared.open(&label) {
            Ok(index) => {
                let folder = Folder::Free(Arc::new(Mutex::new(index)));
                shared.places().0.insert(label, folder);
            }
            // Another recorder's camera.
            Err(IndexError::InUse(_)) => {}
            Err(error) => shared.say(format_args!("{label}: {error}")),
        }
    }
    Ok(())
}

impl Shared {
    /// Opens a camera's folder, and completes what a recorder has left there that was killed.
    fn open(&self, label: &StreamLabel) -> Result<Index, IndexError> {
        let directory = &self.options.directory;
        let mut say = |line: &str| self.say(format_args!("{line}"));
        let mut index = Index::open_to_record(directory, label, &mut say)?;
        let recovered = index.recover_unfinished();
        self.say_recovered(label, recovered);
        Ok(index)
    }

    pub(super) fn say_recovered(
        &self,
        label: &StreamLabel,
        recovered: Result<Recovery, IndexError>,
    ) {
        match recovered {
            Ok(Recovery {
                recovered, damaged, ..
            }) => {
                if recovered > 0 {
                    self.say(format_args!(
                        "{label}: {recovered} unfinished file(s) of an earlier recorder completed"
                    ));
                }
                if damaged > 0 {
                    self.say(format_args!(
                        "{label}: {damaged} unfinished file(s) are damaged, and left as they are"
                    ));
                }
            }
            // Tried again at the next start; new files are not concerned.
            Err(error) => self.say(format_args!(
                "{label}: an unfinished file stays so: {error}"
            )),
        }
    }

    /// Where a camera is recorded. Of several with one label all but the first get a folder whose name says more; who has such a folder from before gets it again.
    pub(super) fn place_for(
        &self,
        label: &StreamLabel,
        fingerprint: Option<Fingerprint>,
        stream: StreamId,
    ) -> Result<Place<'_>, NoPlace> {
        let mut labels = labels_for(label, fingerprint, stream);
        let has_own = |exact| self.places().is_free(exact);
        if labels.last().is_some_and(has_own) {
            labels.rotate_right(1);
        }
        for label in labels {
            // Not while it is opened: others come meanwhile.
            let before = self.places().take(&label);
            let index = match before {
                Some(Folder::Opening | Folder::Taken(_)) => continue,
                Some(Folder::Free(index)) => index,
                None => {
                    let opened = self.open(&label);
                    let mut places = self.places();
                    match opened {
                        Ok(index) => {
                            let index = Arc::new(Mutex::new(index));
                            let taken = Folder::Taken(Arc::clone(&index));
                            places.0.insert(label.clone(), taken);
                            index
                        }
                        Err(error) => {
                            places.0.remove(&label);
                            return Err(error.into());
                        }
                    }
                }
            };
            return Ok(Place {
                shared: self,
                label,
                index,
            });
        }
        Err(NoPlace::Taken)
    }
}

/// As what a camera may be recorded, what is best first.
fn labels_for(
    label: &StreamLabel,
    fingerprint: Option<Fingerprint>,
    stream: StreamId,
) -> Vec<StreamLabel> {
    let mut labels = match stream {
        StreamId(0) => vec![label.clone()],
        StreamId(number) => more_exact(label, &format!("stream-{number}"))
            .into_iter()
            .collect(),
    };
    if let Some(fingerprint) = fingerprint {
        let text = fingerprint.to_string();
        let letters: String = text
            .trim_start_matches("SHA256:")
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(12)
            .collect();
        let exact = labels.first().and_then(|label| more_exact(label, &letters));
        labels.extend(exact);
    }
    labels
}

/// A label that says more.
fn more_exact(label: &StreamLabel, what: &str) -> Option<StreamLabel> {
    format!("{label}/{what}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::RecordOptions;

    fn shared(directory: &std::path::Path) -> Shared {
        let shared = Shared::new(RecordOptions::new(directory.to_owned()), |_| ());
        open_all(&shared).unwrap();
        shared
    }

    fn place_of(shared: &Shared, camera: u8) -> Place<'_> {
        let label: StreamLabel = "door".parse().unwrap();
        let fingerprint = Fingerprint::from_bytes([camera; 32]);
        shared
            .place_for(&label, Some(fingerprint), StreamId(0))
            .unwrap()
    }

    #[test]
    fn two_cameras_of_one_label_keep_their_folders_in_whatever_order_they_come() {
        let directory = tempfile::tempdir().unwrap();
        let labels = {
            let shared = shared(directory.path());
            let (first, second) = (place_of(&shared, 1), place_of(&shared, 2));
            assert_eq!(first.label.as_str(), "door");
            assert_ne!(first.label, second.label);
            // As long as both are there, there is no third place for either.
            let taken = shared.place_for(
                &first.label,
                Some(Fingerprint::from_bytes([2; 32])),
                StreamId(0),
            );
            assert!(matches!(taken, Err(NoPlace::Taken)));
            [first.label.clone(), second.label.clone()]
        };
        let shared = shared(directory.path());
        let second = place_of(&shared, 2);
        let first = place_of(&shared, 1);
        assert_eq!([&first.label, &second.label], [&labels[0], &labels[1]]);
        assert_eq!(shared.places().indexes().len(), 2);
        // Who has gone can come back.
        drop(first);
        assert_eq!(place_of(&shared, 1).label, labels[0]);
    }

    #[test]
    fn a_folder_that_cannot_be_opened_is_nobodys() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("door"), "no folder").unwrap();
        let shared = shared(directory.path());
        let label: StreamLabel = "door".parse().unwrap();
        for _ in 0..2 {
            let failed = shared.place_for(&label, None, StreamId(0));
            assert!(matches!(failed, Err(NoPlace::Index(_))));
        }
        std::fs::remove_file(directory.path().join("door")).unwrap();
        assert!(shared.place_for(&label, None, StreamId(0)).is_ok());
    }
}
