//! `sdvr keys approve` for a key that was revoked: the way back.

use sdvr_frame::{Label, PublicKey};

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
    /// The camera that has them here, if one is known: it comes in again. Else they are new keys to whoever meets them.
    pub label: Option<Label>,
}

/// Takes back the revocation of the key with the fingerprint `wanted` (its first eight characters are enough), and of the other
/// keys of its camera. On disk when this returns; a running daemon lets the camera in again. `None` when no revoked key is
/// named.
///
/// # Errors
///
/// [`TrustError::Ambiguous`] when it names another key too; [`TrustError::AlreadyKnown`] when the camera has another label than
/// `label`. Nothing was changed then.
pub fn reinstate(
    directory: &KeyDirectory,
    wanted: &str,
    label: Option<&Label>,
) -> Result<Option<Reinstatement>, TrustError> {
    let lock = directory.lock()?;
    let (revoked, file) = read_revoked(directory)?;
    let (known, _) = read_known_cameras(directory)?;
    let (waiting, _) = read_pending(directory)?;
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
    let keys: Vec<PublicKey> = camera.map_or_else(
        || vec![*named],
        |camera| camera.keys().filter(|key| is_revoked(key)).collect(),
    );
    let of_known = known.iter().flat_map(KnownCamera::keys);
    let all = revoked.iter().map(|(key, _)| *key).chain(of_known);
    let mut others: Vec<PublicKey> = all
        .chain(waiting.iter().map(|camera| camera.key))
        .filter(|key| {
            is_named(key)
                && key != named
                && holder(key).map(|it| &it.label) != camera.map(|it| &it.label)
        })
        .collect();
    others.dedup();
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
    if let (Some(camera), Some(label)) = (camera, label)
        && camera.label != *label
    {
        return Err(TrustError::AlreadyKnown {
            key: named.fingerprint(),
            label: camera.label.to_string(),
        });
    }
    let rest = without(&file.content.unwrap_or_default(), |key| keys.contains(key));
    directory.replace(&lock, revoked::FILE, &rest)?;
    Ok(Some(Reinstatement {
        label: camera.map(|camera| camera.label.clone()),
        keys,
    }))
}
