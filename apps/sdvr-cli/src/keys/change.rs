//! The commands that change who may come in.

use sdvr_frame::Label;
use sdvr_trust::{Forgotten, KeyDirectory, Reinstatement, Revokee};

use crate::output::print_line;

pub(super) fn approve(
    directory: &KeyDirectory,
    wanted: &str,
    label: Option<Label>,
) -> anyhow::Result<()> {
    let reinstated = sdvr_trust::reinstate(directory, wanted, label.as_ref())?;
    if let Some(reinstated) = reinstated {
        return tell_reinstated(&reinstated);
    }
    let camera = sdvr_trust::approve(directory, wanted, label)?;
    print_line(format_args!(
        "approved {} as {}; it comes in when it asks again",
        camera.key.fingerprint(),
        camera.label
    ))
}

fn tell_reinstated(reinstated: &Reinstatement) -> anyhow::Result<()> {
    for key in &reinstated.keys {
        let key = key.fingerprint();
        match &reinstated.label {
            Some(label) => print_line(format_args!(
                "{key} is not revoked any more: the camera {label} comes in when it asks again, within a minute"
            ))?,
            None => print_line(format_args!(
                "{key} is not revoked any more; no camera is known by it, so its next contact is a first one (with --as LABEL, it would have been approved)"
            ))?,
        }
    }
    Ok(())
}

pub(super) fn revoke(
    directory: &KeyDirectory,
    wanted: &str,
    reason: Option<&str>,
) -> anyhow::Result<()> {
    let revocation = sdvr_trust::revoke(directory, wanted, reason)?;
    let was_already = revocation.was_already;
    let whose = match &revocation.whose {
        Revokee::Camera(label) if was_already => {
            format!("the camera {label}; its label stays its own until sdvr keys forget {label}")
        }
        Revokee::Camera(label) => format!(
            "the camera {label}; its session ends, and its label stays its own until sdvr keys forget {label}"
        ),
        Revokee::Pending(wants) => format!("a camera that waited and asked for the label {wants}"),
        Revokee::Server(address) => format!("the server {address}; nothing is sent to it"),
    };
    for key in &revocation.keys {
        let key = key.fingerprint();
        if was_already {
            print_line(format_args!("{key} was revoked already, {whose}"))?;
        } else {
            print_line(format_args!("revoked {key}, {whose}"))?;
        }
    }
    if let Some(key) = revocation.keys.first() {
        let key = key.fingerprint();
        print_line(format_args!("to take it back: sdvr keys approve {key}"))?;
    }
    Ok(())
}

pub(super) fn forget(directory: &KeyDirectory, wanted: &str) -> anyhow::Result<()> {
    match sdvr_trust::forget(directory, wanted)? {
        Forgotten::Server { address } => print_line(format_args!(
            "forgot the server {address}; the next contact with it is a first one"
        )),
        Forgotten::Camera { label, .. } => print_line(format_args!(
            "forgot the camera {label}; its session ends, and the next camera that asks for the label gets it"
        )),
        Forgotten::Pending { wants, key } => print_line(format_args!(
            "forgot {}, which waited as {wants}; it waits again if it asks again",
            key.fingerprint()
        )),
    }
}

pub(super) fn rotate(directory: &KeyDirectory) -> anyhow::Result<()> {
    let rotation = sdvr_trust::rotate_server_key(directory)?;
    print_line(format_args!(
        "this server's key is {} from now on; cameras take it by themselves. The one before, {}, is good until {}",
        rotation.current.fingerprint(),
        rotation.old.fingerprint(),
        rotation.old_until
    ))
}

pub(super) fn rotate_camera(directory: &KeyDirectory, label: &str) -> anyhow::Result<()> {
    let rotation = sdvr_trust::rotate_camera_key(directory, label)?;
    print_line(format_args!(
        "the camera {} gets the key {}; its sdvrc announces it when it runs, and comes with it once its server knows it. Until then it comes with {}",
        rotation.label,
        rotation.next.fingerprint(),
        rotation.current.fingerprint()
    ))
}
