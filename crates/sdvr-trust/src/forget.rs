//! `sdvr keys forget`: finds out what a text names, and forgets it.

use sdvr_frame::{Label, PublicKey};

use crate::address::normalise_address;
use crate::candidates::{LEAST_OF_KNOWN, ambiguous, begins, cameras_named, described};
use crate::error::{TrustError, listed};
use crate::known_cameras::{self, KnownCamera, read_known_cameras, with_line};
use crate::known_servers::KnownServers;
use crate::pending::{self, PendingCamera, read_pending};
use crate::store::KeyDirectory;

/// What was forgotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// A server: the next contact with it is a first one.
    Server {
        /// Its address.
        address: String,
    },
    /// A camera: a running daemon ends its session, and whoever asks for its label next gets it.
    Camera {
        /// The label it had.
        label: Label,
        /// The key it had.
        key: PublicKey,
    },
    /// A camera that waited for approval: it is noted again if it comes again.
    Pending {
        /// The label it asked for.
        wants: Label,
        /// Its key.
        key: PublicKey,
    },
}

/// What a text may mean.
enum Named<'a> {
    Server(&'a str),
    Camera(&'a KnownCamera),
    Pending(&'a PendingCamera),
}

impl Named<'_> {
    /// As it can be typed.
    fn text(&self) -> String {
        match self {
            Self::Server(address) => (*address).to_owned(),
            Self::Camera(camera) => camera.key.fingerprint().to_string(),
            Self::Pending(camera) => camera.key.fingerprint().to_string(),
        }
    }
}

/// Forgets what `wanted` names: a server by its address as it may be typed (`nvr.lan`, `[nvr.lan]:1337`), a camera by its label,
/// its fingerprint or the beginning of it, a camera that waits by its fingerprint.
///
/// # Errors
///
/// [`TrustError::NotFound`] lists what is known, [`TrustError::Ambiguous`] what can be typed instead; nothing was changed then.
pub fn forget(directory: &KeyDirectory, wanted: &str) -> Result<Forgotten, TrustError> {
    let servers = KnownServers::new(directory);
    let known_servers = servers.list()?;
    let (known_cameras, _) = read_known_cameras(directory)?;
    let (waiting, _) = read_pending(directory)?;
    let address = normalise_address(wanted).ok();
    let mut named: Vec<Named<'_>> = known_servers
        .iter()
        .filter(|server| Some(&server.address) == address.as_ref())
        .map(|server| Named::Server(&server.address))
        .collect();
    let cameras = cameras_named(&known_cameras, wanted);
    named.extend(cameras.into_iter().map(Named::Camera));
    let is_known = |key: &PublicKey| {
        known_cameras
            .iter()
            .any(|it| it.keys().any(|known| known == *key))
    };
    let waiting_named = waiting.iter().filter(|camera| {
        begins(wanted, camera.key.fingerprint(), LEAST_OF_KNOWN) && !is_known(&camera.key)
    });
    named.extend(waiting_named.map(Named::Pending));
    let not_found = || {
        let addresses = known_servers.iter().map(|server| server.address.clone());
        let labels = known_cameras.iter().map(|camera| camera.label.to_string());
        let waiting = waiting.iter().map(|it| described(&it.key, &it.wants));
        let known: Vec<String> = addresses.chain(labels).chain(waiting).collect();
        TrustError::NotFound {
            wanted: wanted.to_owned(),
            known: listed(known.into_iter()),
        }
    };
    match named.as_slice() {
        [Named::Server(address)] if servers.forget(address)? => Ok(Forgotten::Server {
            address: (*address).to_owned(),
        }),
        [Named::Camera(camera)] => {
            // By its key: the label may have gone to another camera meanwhile.
            let camera = forget_camera(directory, &camera.key.fingerprint().to_string())?;
            Ok(Forgotten::Camera {
                label: camera.label,
                key: camera.key,
            })
        }
        [Named::Pending(camera)] => {
            forget_pending(directory, &camera.key)?;
            Ok(Forgotten::Pending {
                wants: camera.wants.clone(),
                key: camera.key,
            })
        }
        // Also when another process was faster.
        [] | [Named::Server(_)] => Err(not_found()),
        several => {
            let texts: Vec<String> = several.iter().map(Named::text).collect();
            Err(ambiguous(wanted, &texts))
        }
    }
}

/// Forgets the camera of this label or fingerprint.
pub(crate) fn forget_camera(
    directory: &KeyDirectory,
    wanted: &str,
) -> Result<KnownCamera, TrustError> {
    let lock = directory.lock()?;
    let (cameras, file) = read_known_cameras(directory)?;
    let forgotten = match cameras_named(&cameras, wanted).as_slice() {
        [camera] => (*camera).clone(),
        [] => {
            let labels = cameras.iter().map(|camera| camera.label.to_string());
            return Err(TrustError::NotFound {
                wanted: wanted.to_owned(),
                known: listed(labels),
            });
        }
        several => {
            let texts: Vec<String> = several
                .iter()
                .map(|camera| described(&camera.key, &camera.label))
                .collect();
            return Err(ambiguous(wanted, &texts));
        }
    };
    let kept = with_line(&file.content.unwrap_or_default(), &forgotten.label, None);
    directory.replace(&lock, known_cameras::FILE, &kept)?;
    Ok(forgotten)
}

fn forget_pending(directory: &KeyDirectory, key: &PublicKey) -> Result<(), TrustError> {
    let lock = directory.lock()?;
    let (_, file) = read_pending(directory)?;
    let kept = pending::without(&file.content.unwrap_or_default(), |other| other == key);
    directory.replace(&lock, pending::FILE, &kept)?;
    Ok(())
}
