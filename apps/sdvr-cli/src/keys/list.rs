//! The commands that show keys.

use sdvr_frame::{PublicKey, Timestamp};
use sdvr_trust::{KeyDirectory, KnownCameras, KnownServers, pending_cameras};
use serde::Serialize;

use crate::output::{print_line, say};

/// One of this host's own keys, as scripts see it. The names are a promise, here and below.
#[derive(Serialize)]
struct OwnKey {
    kind: &'static str,
    label: Option<String>,
    fingerprint: String,
    /// A key that takes its place when the camera's sdvrc runs.
    next: Option<String>,
    /// The one before, for servers that have not heard of it.
    old: Option<String>,
}

/// A server that is remembered.
#[derive(Serialize)]
struct Server {
    kind: &'static str,
    address: String,
    fingerprint: String,
    first: String,
    last: String,
}

/// A camera that is remembered.
#[derive(Serialize)]
struct Camera {
    kind: &'static str,
    label: String,
    fingerprint: String,
    added: String,
    via: String,
    revoked: Option<String>,
    /// A key that it has announced, which takes over when it comes with it.
    next: Option<String>,
    /// The one before, and until when that is good.
    old: Option<String>,
    old_until: Option<String>,
}

/// Any of them.
#[derive(Serialize)]
#[serde(untagged)]
enum Known {
    Server(Server),
    Camera(Camera),
}

/// A camera that waits.
#[derive(Serialize)]
struct Pending {
    fingerprint: String,
    wants: String,
    from: String,
    first: String,
}

pub(super) fn fingerprint(directory: &KeyDirectory, json: bool) -> anyhow::Result<()> {
    let server = directory.existing_server_key()?.map(|key| OwnKey {
        kind: "server",
        label: None,
        fingerprint: key.public_key().fingerprint().to_string(),
        next: None,
        old: None,
    });
    let cameras = directory.camera_keys()?;
    let cameras = cameras.into_iter().map(|camera| OwnKey {
        kind: "camera",
        label: Some(camera.label),
        fingerprint: camera.current.fingerprint().to_string(),
        next: camera.next.as_ref().map(text),
        old: camera.old.as_ref().map(text),
    });
    let keys: Vec<OwnKey> = server.into_iter().chain(cameras).collect();
    if json {
        return print_line(serde_json::to_string_pretty(&keys)?);
    }
    if keys.is_empty() {
        say("no keys yet; sdvrd and sdvrc make them when they first run");
    }
    for OwnKey {
        kind,
        label,
        fingerprint,
        next,
        old,
    } in keys
    {
        let label = label.map(|label| format!(" {label}")).unwrap_or_default();
        print_line(format_args!("{fingerprint}  {kind}{label}"))?;
        for (key, what) in [(next, "its next key"), (old, "its key before")] {
            if let Some(key) = key {
                print_line(format_args!("{key}  {kind}{label}, {what}"))?;
            }
        }
    }
    Ok(())
}

fn text(key: &PublicKey) -> String {
    key.fingerprint().to_string()
}

pub(super) fn known(directory: &KeyDirectory, json: bool) -> anyhow::Result<()> {
    let servers = KnownServers::new(directory).list()?;
    let servers = servers.into_iter().map(|server| {
        Known::Server(Server {
            kind: "server",
            fingerprint: server.key.fingerprint().to_string(),
            first: server.first_seen(),
            last: server.last_seen(),
            address: server.address,
        })
    });
    let own = KeyDirectory::open(directory.path())?;
    let cameras = KnownCameras::load(own, Timestamp::now())?;
    let cameras = cameras.list().iter().map(|camera| {
        Known::Camera(Camera {
            kind: "camera",
            label: camera.label.to_string(),
            fingerprint: camera.key.fingerprint().to_string(),
            added: camera.added(),
            via: camera.via().to_owned(),
            revoked: cameras.revocation(&camera.key).map(str::to_owned),
            next: camera.next().as_ref().map(text),
            old: camera.old().map(|(key, _)| text(&key)),
            old_until: camera.old().map(|(_, until)| until),
        })
    });
    let known: Vec<Known> = servers.chain(cameras).collect();
    if json {
        return print_line(serde_json::to_string_pretty(&known)?);
    }
    if known.is_empty() {
        say("no server and no camera is known yet; the first contact with each is remembered");
    }
    known.iter().try_for_each(|known| print_line(line(known)))
}

fn line(known: &Known) -> String {
    match known {
        Known::Server(server) => {
            let Server {
                address,
                fingerprint,
                first,
                last,
                kind: _,
            } = server;
            format!("server  {address}  {fingerprint}  first {first}  last {last}")
        }
        Known::Camera(camera) => {
            let Camera {
                label,
                fingerprint,
                added,
                via,
                revoked,
                next,
                old,
                old_until,
                kind: _,
            } = camera;
            let mut others = String::new();
            if let Some(next) = next {
                others.push_str(&format!("  next {next}"));
            }
            if let (Some(old), Some(until)) = (old, old_until) {
                others.push_str(&format!("  before {old} until {until}"));
            }
            let revoked = revoked
                .as_ref()
                .map(|reason| format!("  REVOKED: {reason}"))
                .unwrap_or_default();
            format!("camera  {label}  {fingerprint}  added {added}  by {via}{others}{revoked}")
        }
    }
}

pub(super) fn pending(directory: &KeyDirectory, json: bool) -> anyhow::Result<()> {
    let pending: Vec<Pending> = pending_cameras(directory)?
        .into_iter()
        .map(|camera| Pending {
            fingerprint: camera.key.fingerprint().to_string(),
            wants: camera.wants.to_string(),
            from: camera.from.to_string(),
            first: camera.first(),
        })
        .collect();
    if json {
        return print_line(serde_json::to_string_pretty(&pending)?);
    }
    if pending.is_empty() {
        say("no camera waits for approval");
    }
    for Pending {
        fingerprint,
        wants,
        from,
        first,
    } in pending
    {
        print_line(format_args!(
            "{fingerprint}  wants {wants}  from {from}  since {first}"
        ))?;
    }
    Ok(())
}
