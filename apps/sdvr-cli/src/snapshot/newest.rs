//! The newest picture of a camera that is good enough.

use std::time::Duration;

use anyhow::bail;
use sdvr::{Camera, Error, Frame, Start, Timestamp};
use sdvr_image::{ImageKind, NoShot, Shots, stale_after};

use super::{Arguments, remedy};
use crate::output::{Interrupted, WrongUsage};

const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);
/// How often it is looked whether the user wants to go.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// A picture, as it is written.
#[derive(Debug)]
pub(super) struct Newest {
    pub(super) camera: Camera,
    pub(super) frame: Frame,
    pub(super) image: Vec<u8>,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// Waits for the newest picture that is whole and not stale.
pub(super) fn picture(
    arguments: &Arguments,
    kind: ImageKind,
    interrupted: &Interrupted,
) -> anyhow::Result<Newest> {
    let timeout = match arguments.timeout {
        Some(seconds) => Some(Duration::from_secs_f64(seconds)),
        None if arguments.wait => None,
        None => Some(TIMEOUT_DEFAULT),
    };
    let deadline = timeout.map_or(Timestamp::NEVER, |timeout| Timestamp::now() + timeout);
    // A frame that is there already is the newest until another comes.
    let camera = match Camera::open_at(&arguments.camera, Start::Oldest) {
        Err(Error::NotFound { .. }) if arguments.wait => Camera::wait_for(&arguments.camera),
        camera => camera?,
    };
    let mut shots = Shots::new(camera, kind);
    let mut refused = None;
    while !interrupted.is_set() {
        let rest = deadline.saturating_since(Timestamp::now());
        shots = shots.fitting(rest.min(LOOK_INTERVAL))?;
        match shots.next(rest.min(LOOK_INTERVAL)) {
            Ok(Some(shot)) => match refusal(arguments, shots.camera(), &shot.frame) {
                None => {
                    return Ok(Newest {
                        camera: shots.into_camera(),
                        frame: shot.frame,
                        image: shot.image,
                        width: shot.width,
                        height: shot.height,
                    });
                }
                why => refused = why,
            },
            Ok(None) if rest.is_zero() => return Err(no_frame(shots.camera(), timeout, refused)),
            Ok(None) | Err(NoShot::Ended) => {}
            Err(NoShot::Damaged(why)) => refused = Some(why),
            Err(NoShot::Never { format, cause }) => {
                let remedy = remedy::for_format(&arguments.camera, &format, &cause);
                bail!(WrongUsage(remedy));
            }
            Err(error) => return Err(error.into()),
        }
    }
    bail!("interrupted before there was a picture")
}

/// Why a frame is not taken, for people; `None` when it is.
fn refusal(arguments: &Arguments, camera: &Camera, frame: &Frame) -> Option<String> {
    let limit = stale_after(camera.state(), frame.format())?;
    let age = frame.age();
    (age > limit && !arguments.stale_ok).then(|| {
        format!(
            "its newest frame is {:.0} s old; --stale-ok takes it",
            age.as_secs_f64()
        )
    })
}

fn no_frame(camera: &Camera, timeout: Option<Duration>, refused: Option<String>) -> anyhow::Error {
    let (label, state) = (camera.label(), camera.state());
    let seconds = timeout.unwrap_or_default().as_secs_f64();
    match refused {
        None => anyhow::anyhow!("no frame of {label} came in {seconds} s; the camera is {state}"),
        Some(why) => anyhow::anyhow!(
            "no good frame of {label} came in {seconds} s; the camera is {state}, and {why}"
        ),
    }
}
