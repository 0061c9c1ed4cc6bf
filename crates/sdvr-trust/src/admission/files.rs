//! What is in memory follows the files, which other processes change too.

use std::io;
use std::time::Duration;

use sdvr_frame::{Label, PublicKey, Timestamp};

use super::KnownCameras;
use crate::error::TrustError;
use crate::known::Known;
use crate::known_cameras::{self, read_known_cameras};
use crate::pending::{self, read_pending};
use crate::store::{DirectoryLock, Version};
use crate::{forget, revoked};

/// In the order of what [`KnownCameras`] has seen.
const FILES: [&str; 3] = [known_cameras::FILE, pending::FILE, revoked::FILE];

/// How long the lock is not asked for after another process has held it.
const BUSY_TIME: Duration = Duration::from_secs(1);

/// What somebody else changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Cameras whose sessions must end.
    pub removed: Vec<Removed>,
}

/// A camera that is not welcome any more, or under another label now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Its key.
    pub key: PublicKey,
    /// The label it had.
    pub label: Label,
    /// What happened.
    pub why: Removal,
}

/// Why a camera's session must end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is not known any more, or under another label.
    Forgotten,
    /// Its key was revoked.
    Revoked {
        /// Why.
        reason: String,
    },
    /// It has another key, and the time of this one is over.
    KeyReplaced,
}

/// What [`KnownCameras::refresh`] has said, so as not to say it twice a second.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    /// The state of the files of which it is said.
    versions: [Option<Version>; 3],
    text: String,
    /// Whether it may be over although no file has changed.
    may_pass: bool,
}

impl Complaint {
    fn of(error: &TrustError, versions: [Option<Version>; 3]) -> Self {
        let may_pass = match error {
            TrustError::Parse { .. }
            | TrustError::Mode { .. }
            | TrustError::Owner { .. }
            | TrustError::NotPlain { .. } => false,
            TrustError::Io { error, .. } => error.kind() != io::ErrorKind::FileTooLarge,
            _ => true,
        };
        Self {
            versions,
            text: error.to_string(),
            may_pass,
        }
    }
}

/// What the two files say that a server writes.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) cameras: Vec<u8>,
    pub(super) pending: Vec<u8>,
}

impl KnownCameras {
    /// Reads the files again if somebody changed them; costs three system calls if not. To be called at least once a second,
    /// so that `sdvr keys` takes effect.
    ///
    /// # Errors
    ///
    /// [`TrustError`]: what was known stays known, and nobody new is let in. Each is said once, until the files or what is wrong with
    /// them change.
    pub fn refresh(&mut self) -> Result<Changes, TrustError> {
        if !self.is_current() {
            let versions = self.versions();
            let is_worth_reading = self
                .complaint
                .as_ref()
                .is_none_or(|complaint| complaint.versions != versions || complaint.may_pass);
            if is_worth_reading && let Err(error) = self.reload() {
                let complaint = Complaint::of(&error, versions);
                let is_new = self.complaint.as_ref() != Some(&complaint);
                self.complaint = Some(complaint);
                if is_new {
                    return Err(error);
                }
            }
        }
        self.removed.extend(self.known.take_over());
        Ok(Changes {
            removed: std::mem::take(&mut self.removed),
        })
    }

    /// Forgets the camera that `wanted` (a label or a fingerprint) names; gives its label. The file is read first.
    ///
    /// # Errors
    ///
    /// [`TrustError::NotFound`], and what the files say.
    pub fn forget(&mut self, wanted: &str) -> Result<Vec<Label>, TrustError> {
        let forgotten = forget::forget_camera(&self.directory, wanted)?;
        self.reload()?;
        Ok(vec![forgotten.label])
    }

    /// Takes the lock for a change. Whoever serves all cameras must not wait for one who writes: the lock is waited for briefly,
    /// and when that was in vain it is not asked for again within a second.
    pub(crate) fn lock(&mut self, now: Timestamp) -> Result<DirectoryLock, TrustError> {
        if self.busy_until.is_some_and(|until| now < until) {
            return Err(self.directory.busy());
        }
        let lock = self.directory.lock_briefly();
        let is_busy = matches!(lock, Err(TrustError::Busy { .. }));
        self.busy_until = is_busy.then(|| now + BUSY_TIME);
        lock
    }

    /// What is in the files now, which is in memory too afterwards.
    pub(crate) fn read_for_change(&mut self) -> Result<Contents, TrustError> {
        if self.is_current() {
            let cameras = self.directory.read(known_cameras::FILE)?;
            let pending = self.directory.read(pending::FILE)?;
            let [of_cameras, of_pending, _] = &self.seen;
            if cameras.seen.version == of_cameras.version
                && pending.seen.version == of_pending.version
            {
                return Ok(Contents {
                    cameras: cameras.content.unwrap_or_default(),
                    pending: pending.content.unwrap_or_default(),
                });
            }
        }
        self.reload()
    }

    /// Writes the file of known cameras, which is on disk when this returns.
    pub(crate) fn replace_cameras(
        &mut self,
        lock: &DirectoryLock,
        content: &[u8],
    ) -> Result<(), TrustError> {
        let [of_cameras, ..] = &mut self.seen;
        *of_cameras = self.directory.replace(lock, known_cameras::FILE, content)?;
        Ok(())
    }

    /// Reads the files; gives the content of those that are written here.
    pub(super) fn reload(&mut self) -> Result<Contents, TrustError> {
        let (cameras, of_cameras) = read_known_cameras(&self.directory)?;
        let (pending, of_pending) = read_pending(&self.directory)?;
        let (revoked, of_revoked) = revoked::read_revoked(&self.directory)?;
        let mut known = Known::default();
        known.pending = pending.into_iter().map(|pending| pending.key).collect();
        known.revoked = revoked.into_iter().collect();
        cameras.into_iter().for_each(|camera| known.add(camera));

        self.seen = [of_cameras.seen, of_pending.seen, of_revoked.seen];
        self.complaint = None;
        // What ran out until now would not be noticed in what was read.
        self.removed.extend(self.known.take_over());
        let before = std::mem::replace(&mut self.known, known);
        for camera in &before.cameras {
            let label = &camera.label;
            for key in camera.keys() {
                if before.removal(&key, label).is_none()
                    && let Some(why) = self.known.removal(&key, label)
                {
                    let label = label.clone();
                    self.removed.push(Removed { key, label, why });
                }
            }
        }
        Ok(Contents {
            cameras: of_cameras.content.unwrap_or_default(),
            pending: of_pending.content.unwrap_or_default(),
        })
    }

    fn is_current(&self) -> bool {
        FILES
            .iter()
            .zip(&self.seen)
            .all(|(name, seen)| self.directory.is_still(name, seen))
    }

    fn versions(&self) -> [Option<Version>; 3] {
        FILES.map(|name| self.directory.version(name))
    }
}
