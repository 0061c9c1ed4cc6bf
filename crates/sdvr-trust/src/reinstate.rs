//! `sdvr keys approve` for a key that was revoked: the way back.

use std::collections::HashSet;

use sdvr_frame::{Label, PublicKey};

use crate::approve::add_approved;
use crate::candidates::{LEAST_OF_NEW, ambiguous, begins, described};
use crate::error::TrustError;
use crate::known_cameras::{KnownCamera, read_known_cameras};
use crate::pending::read_pending;
use crate::revoked::{self, read_revoked, without};
use crate::store::KeyDirectory;

/// What is not revoked any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reinstatement {
    /// The keys: of a camera that is known, all that it has.
    pub keys: Vec<PublicKey>,
    /// The camera that has them here, if one is known from now on: it comes in again. Else they are new keys to whoever meets
    /// them.
    pub label: Option<Label>,
}

/// Takes back the revocation of the key with the fingerprint `wanted` (its first eight characters are enough), and of the other
/// keys of its camera. A key that no camera here has is approved under `label`, or the one under which it waits. On disk when
/// this returns; a running daemon lets the camera in again. `None` when no revoked key is named.
///
/// # Errors
///
/// [`TrustError::Ambiguous`] when it names another key too; [`TrustError::AlreadyKnown`] when the camera has another label than
/// `label`, [`TrustError::LabelTaken`] when another camera has it. Nothing was changed then.
pub fn reinstate(
    directory: &KeyDirectory,
    wanted: &str,
    label: Option<&Label>,
) -> Result<Option<Reinstatement>, TrustError> {
    let lock = directory.lock()?;
    let (revoked, file) = read_revoked(directory)?;
    let (known, of_known) = read_known_cameras(directory)?;
    let (waiting, of_waiting) = read_pending(directory)?;
    let is_named = |key: &PublicKey| begins(wanted, key.fingerprint(), LEAST_OF_NEW);
    let holder = |key: &PublicKey| -> Option<&KnownCamera> {
        known
            .iter()
            .find(|camera| camera.keys().any(|it| it == *key))
    };
    let is_revoked = |key: &PublicKey| revoked.iter().any(|(revoked, _)| revoked == key);
    let Some((named, _)) = revoked.iter().find(|(key, _)| is_named(key)) else {
        return Ok(None);
    };
    let camera = holder(named);
    let of_known_cameras = known.iter().flat_map(KnownCamera::keys);
    let all = revoked
        .iter()
        .map(|(key, _)| *key)
        .chain(of_known_cameras)
        .chain(waiting.iter().map(|camera| camera.key));
    let others = each_once(all.filter(|key| {
        is_named(key)
            && key != named
            && holder(key).map(|it| &it.label) != camera.map(|it| &it.label)
    }));
    if !others.is_empty() {
        let texts: Vec<String> = std::iter::once(*named)
            .chain(others)
            .map(|key| {
                let label = holder(&key).map(|camera| camera.label.to_string());
                described(&key, label.as_deref().unwrap_or("not known"))
            })
            .collect();
        return Err(ambiguous(wanted, &texts));
    }
    let waits_as = || {
        let waits = waiting.iter().find(|camera| camera.key == *named);
        waits.map(|camera| &camera.wants)
    };
    let reinstatement = match (camera, label) {
        (Some(camera), Some(label)) if camera.label != *label => {
            return Err(TrustError::AlreadyKnown {
                key: named.fingerprint(),
                label: camera.label.to_string(),
            });
        }
        (Some(camera), _) => Reinstatement {
            keys: camera.keys().filter(|key| is_revoked(key)).collect(),
            label: Some(camera.label.clone()),
        },
        (None, label) => Reinstatement {
            keys: vec![*named],
            label: label.or_else(waits_as).cloned(),
        },
    };
    if let (None, Some(label)) = (camera, &reinstatement.label) {
        // Known first: if this process is killed in between, the camera is known and revoked, and can be approved again.
        add_approved(
            directory,
            &lock,
            (&known, of_known),
            of_waiting,
            KnownCamera::new(label.clone(), *named, "ask"),
        )?;
    }
    let keys = &reinstatement.keys;
    let rest = without(&file.content.unwrap_or_default(), |key| keys.contains(key));
    directory.replace(&lock, revoked::FILE, &rest)?;
    Ok(Some(reinstatement))
}

/// In the order in which they come first.
fn each_once(keys: impl Iterator<Item = PublicKey>) -> Vec<PublicKey> {
    let mut seen = HashSet::new();
    keys.filter(|key| seen.insert(*key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_stands_in_several_files_is_named_once() {
        let keys = [3, 1, 3, 2, 1].map(|number| PublicKey([number; 32]));
        let once = [3, 1, 2].map(|number| PublicKey([number; 32]));
        assert_eq!(each_once(keys.into_iter()), once);
    }
}
