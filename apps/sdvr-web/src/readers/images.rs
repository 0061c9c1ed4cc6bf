//! Whole images: those of cameras that send such, and images made of what others send. Made when somebody has room for one.

use std::sync::Arc;

use sdvr::{InstanceId, Start};
use sdvr_image::{ImageKind, NoShot, Shot, Shots};

use super::{LOOK_INTERVAL, Running, Status};
use crate::packed::{Epoch, Packed};

/// What the pictures are of that are sent now.
struct Begun {
    epoch: Arc<Epoch>,
    instance: InstanceId,
}

pub(super) fn run(running: &Running) -> Status {
    // The newest one that is there already is shown at once.
    let camera = running.open_camera(Start::Oldest);
    let mut shots = Shots::new(camera, ImageKind::LiveJpeg);
    let mut begun = None;
    while running.await_demand() {
        shots = match shots.fitting(LOOK_INTERVAL) {
            Ok(shots) => shots,
            Err(error) => return Status::Trouble(error.to_string().into()),
        };
        match shots.next(running.patience()) {
            Ok(Some(shot)) => {
                let epoch = epoch_of(running, &shot, &mut begun);
                running.publish(Packed::new(
                    running.reader.camera.number,
                    &epoch,
                    true,
                    shot.frame.meta(),
                    &[&shot.image],
                ));
            }
            Ok(None) | Err(NoShot::Ended | NoShot::Damaged(_)) => running.still_wants(),
            Err(why) => return Status::Trouble(why.to_string().into()),
        }
    }
    Status::Changed
}

/// The epoch of a picture: the one before, unless the size or the run of the source is another.
fn epoch_of(running: &Running, shot: &Shot, begun: &mut Option<Begun>) -> Arc<Epoch> {
    let size = (shot.width, shot.height);
    let instance = shot.frame.instance();
    match begun {
        Some(begun)
            if (begun.epoch.width, begun.epoch.height) == size && begun.instance == instance =>
        {
            Arc::clone(&begun.epoch)
        }
        _ => {
            let rate = shot.frame.format().rate;
            let epoch = running.new_epoch("image/jpeg".to_owned(), size, rate);
            *begun = Some(Begun {
                epoch: Arc::clone(&epoch),
                instance,
            });
            epoch
        }
    }
}
