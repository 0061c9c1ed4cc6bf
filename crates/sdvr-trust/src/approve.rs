//! `sdvr keys approve`: a camera that waits is known from now on.

use sdvr_frame::{Label, PublicKey};

use crate::candidates::{LEAST_OF_NEW, ambiguous, begins, described};
use crate::error::{TrustError, listed};
use crate::known_cameras::{self, KnownCamera, format_known_cameras, read_known_cameras};
use crate::pending::{self, PendingCamera, read_pending};
use crate::revoked::{self, read_revoked};
use crate::store::{DirectoryLock, KeyDirectory, Snapshot};

/// The cameras that wait for somebody to approve them, in the order in which they came.
///
/// # Errors
///
/// [`TrustError`].
pub fn pending_cameras(directory: &KeyDirectory) -> Result<Vec<PendingCamera>, TrustError> {
    let (pending, _) = read_pending(directory)?;
    let (known, _) = read_known_cameras(directory)?;
    let (revoked, _) = read_revoked(directory)?;
    let is_revoked = |key: &PublicKey| revoked.iter().any(|(revoked, _)| revoked == key);
    let is_known = |key: &PublicKey| known.iter().any(|it| it.keys().any(|known| known == *key));
    Ok(pending
        .into_iter()
        .filter(|camera| !is_known(&camera.key) && !is_revoked(&camera.key))
        .collect())
}

/// Approves the camera that waits with the fingerprint `wanted` (its first eight characters are enough), under the label it
/// asks for or `label`. On disk when this returns; gives what is known from now on.
///
/// # Errors
///
/// [`TrustError::NotFound`] and [`TrustError::Ambiguous`] list those that wait, [`TrustError::LabelTaken`] names both cameras,
/// [`TrustError::AlreadyKnown`], [`TrustError::CameraRevoked`] (see [`reinstate()`](crate::reinstate())), [`TrustError::LabelRevoked`]
/// when `wanted` is the label of a camera that was; nothing was changed then.
pub fn approve(
    directory: &KeyDirectory,
    wanted: &str,
    label: Option<Label>,
) -> Result<KnownCamera, TrustError> {
    let lock = directory.lock()?;
    let (known, of_known) = read_known_cameras(directory)?;
    let (waiting, of_waiting) = read_pending(directory)?;
    let (revoked, _) = read_revoked(directory)?;
    let path = directory.file_path(revoked::FILE);
    let reason_for = |wanted: &PublicKey| {
        let named = revoked.iter().find(|(key, _)| key == wanted);
        named.map(|(_, reason)| reason.clone())
    };
    if let Some(camera) = known.iter().find(|camera| camera.label.as_str() == wanted)
        && let Some(reason) = reason_for(&camera.key)
    {
        return Err(TrustError::LabelRevoked {
            label: camera.label.to_string(),
            key: camera.key.fingerprint(),
            path,
            reason,
        });
    }
    let camera = find(&known, &waiting, wanted)?;
    if let Some(reason) = reason_for(&camera.key) {
        return Err(TrustError::CameraRevoked {
            key: camera.key.fingerprint(),
            path,
            reason,
        });
    }
    let label = label.unwrap_or_else(|| camera.wants.clone());
    let approved = KnownCamera::new(label, camera.key, "ask");
    add_approved(
        directory,
        &lock,
        (&known, of_known),
        of_waiting,
        approved.clone(),
    )?;
    Ok(approved)
}

/// Writes a camera that nobody knew to the known ones, whose label must be free, and takes it from those that wait.
pub(crate) fn add_approved(
    directory: &KeyDirectory,
    lock: &DirectoryLock,
    (known, of_known): (&[KnownCamera], Snapshot),
    of_waiting: Snapshot,
    approved: KnownCamera,
) -> Result<(), TrustError> {
    if let Some(holder) = known.iter().find(|camera| camera.label == approved.label) {
        return Err(TrustError::LabelTaken {
            label: approved.label.to_string(),
            holder: holder.key.fingerprint(),
            asker: approved.key.fingerprint(),
        });
    }
    let mut content = of_known.content.unwrap_or_default();
    content.extend_from_slice(format_known_cameras(std::slice::from_ref(&approved)).as_bytes());
    // Known first: if this process is killed in between, the camera stands in both files and is known.
    directory.replace(lock, known_cameras::FILE, &content)?;
    let Some(waiting) = of_waiting.content else {
        return Ok(());
    };
    let rest = pending::without(&waiting, |key| {
        *key == approved.key || known.iter().any(|camera| camera.key == *key)
    });
    // If that cannot be written, the same: it is approved.
    let _ = directory.replace(lock, pending::FILE, &rest);
    Ok(())
}

fn find<'a>(
    known: &[KnownCamera],
    waiting: &'a [PendingCamera],
    wanted: &str,
) -> Result<&'a PendingCamera, TrustError> {
    let keys = known
        .iter()
        .flat_map(|camera| camera.keys().map(|key| (key.fingerprint(), &camera.label)));
    let mut already = keys.filter(|(key, _)| begins(wanted, *key, LEAST_OF_NEW));
    if let Some((key, label)) = already.next() {
        let label = label.to_string();
        return Err(TrustError::AlreadyKnown { key, label });
    }
    let named: Vec<&PendingCamera> = waiting
        .iter()
        .filter(|camera| begins(wanted, camera.key.fingerprint(), LEAST_OF_NEW))
        .collect();
    let texts = |cameras: &[&PendingCamera]| -> Vec<String> {
        cameras
            .iter()
            .map(|camera| described(&camera.key, &camera.wants))
            .collect()
    };
    match named.as_slice() {
        [camera] => Ok(camera),
        [] => {
            let all: Vec<&PendingCamera> = waiting.iter().collect();
            Err(TrustError::NotPending {
                wanted: wanted.to_owned(),
                pending: listed(texts(&all).into_iter()),
            })
        }
        several => Err(ambiguous(wanted, &texts(several))),
    }
}
