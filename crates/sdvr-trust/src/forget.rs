//! `sdvr keys forget`: finds out what a text names, and forgets it.

use sdvr_frame::{Label, PublicKey};

use crate::address::normalise_address;
use crate::error::{TrustError, listed};
use crate::known_cameras::{forget_camera, read_known_cameras};
use crate::known_servers::KnownServers;
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
}

/// Forgets what `wanted` names: a server by its address as it may be typed (`nvr.lan`, `[nvr.lan]:1337`), a camera by its label
/// or its fingerprint.
///
/// # Errors
///
/// [`TrustError::NotFound`] lists what is known, [`TrustError::Ambiguous`] what can be typed instead; nothing was changed then.
pub fn forget(directory: &KeyDirectory, wanted: &str) -> Result<Forgotten, TrustError> {
    let servers = KnownServers::new(directory);
    let known_servers = servers.list()?;
    let (known_cameras, _) = read_known_cameras(directory)?;
    let address = normalise_address(wanted).ok();
    let server = known_servers
        .iter()
        .find(|server| Some(&server.address) == address.as_ref());
    let camera = known_cameras.iter().find(|camera| {
        camera.label.as_str() == wanted || camera.key.fingerprint().to_string() == wanted
    });
    match (server, camera) {
        (Some(server), Some(camera)) => Err(TrustError::Ambiguous {
            wanted: wanted.to_owned(),
            candidates: format!("{} or {}", server.address, camera.key.fingerprint()),
        }),
        (Some(server), None) if servers.forget(&server.address)? => Ok(Forgotten::Server {
            address: server.address.clone(),
        }),
        (None, Some(camera)) => {
            // By its key: the label may have gone to another camera meanwhile.
            let camera = forget_camera(directory, &camera.key.fingerprint().to_string())?;
            Ok(Forgotten::Camera {
                label: camera.label,
                key: camera.key,
            })
        }
        // Also when another process was faster.
        (_, None) => {
            let addresses = known_servers.into_iter().map(|server| server.address);
            let labels = known_cameras
                .into_iter()
                .map(|camera| camera.label.to_string());
            let known: Vec<String> = addresses.chain(labels).collect();
            Err(TrustError::NotFound {
                wanted: wanted.to_owned(),
                known: listed(known.into_iter()),
            })
        }
    }
}
