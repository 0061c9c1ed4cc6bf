//! Whole images: those of cameras that send such, and images made of what others send. Made when somebody has room for one.

use std::sync::Arc;
use std::time::Duration;

use sdvr::{DecodeError, Error, FourCc, Frame, Picture, Pixels, Policy, Start};

use super::{LOOK_INTERVAL, Running, Status, status_after};
use crate::packed::{Epoch, Packed};

/// Images under way to a page at most: one that is painted, and one that comes meanwhile.
const WINDOW: usize = 2;
/// What a camera that sends nothing of use is given to send something else.
const PAUSE: Duration = Duration::from_millis(200);

pub(super) fn run(running: &Running) -> Status {
    let camera = running.open_camera(Start::Oldest);
    let mut epoch = None;
    let is_image = |fourcc| [FourCc::MJPG, FourCc(*b"JPEG")].contains(&fourcc);
    let format_at_first = running.reader.camera.info.format.fourcc;
    if is_image(format_at_first) {
        let mut camera = camera;
        while running.await_demand() {
            match camera.next(Policy::Latest, LOOK_INTERVAL) {
                Ok(Some(frame)) if is_image(frame.format().fourcc) => {
                    match sdvr::jpeg::with_huffman_tables(frame.bytes()) {
                        Ok(image) => publish(running, &mut epoch, &frame, size(&frame), &image),
                        Err(_) => running.still_wants(),
                    }
                }
                Ok(Some(_)) => return Status::Changed,
                Ok(None) => running.still_wants(),
                Err(error) => match status_after(&error) {
                    Some(status) => return status,
                    None => running.still_wants(),
                },
            }
        }
        return Status::Changed;
    }
    let mut pictures = camera.decoded(Pixels::Rgb);
    while running.await_demand() {
        match pictures.next(Policy::Latest, LOOK_INTERVAL) {
            Ok(Some(decoded)) => {
                let frame = decoded.frame();
                if is_image(frame.format().fourcc) {
                    return Status::Changed;
                }
                match encode(decoded.picture()) {
                    Ok(image) => {
                        let picture = decoded.picture();
                        let size = (picture.width(), picture.height());
                        publish(running, &mut epoch, frame, size, &image);
                    }
                    Err(why) => return Status::Trouble(why.into()),
                }
            }
            Ok(None) => running.still_wants(),
            Err(Error::Undecodable { cause, .. }) => {
                if matches!(
                    cause,
                    DecodeError::Unsupported { .. } | DecodeError::Size { .. }
                ) {
                    return Status::Trouble(cause.to_string().into());
                }
                running.still_wants();
            }
            Err(Error::Ended) => {
                running.still_wants();
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Status::Trouble(error.to_string().into()),
        }
    }
    Status::Changed
}

fn size(frame: &Frame) -> (u32, u32) {
    (frame.format().width, frame.format().height)
}

fn encode(picture: &Picture) -> Result<Vec<u8>, String> {
    sdvr_image::encode(
        sdvr_image::ImageKind::Jpeg,
        picture,
        std::time::SystemTime::UNIX_EPOCH,
    )
    .map_err(|error| error.to_string())
}

fn publish(
    running: &Running,
    epoch: &mut Option<Arc<Epoch>>,
    frame: &Frame,
    size: (u32, u32),
    image: &[u8],
) {
    let known = epoch
        .take()
        .filter(|epoch| (epoch.width, epoch.height) == size);
    let epoch = epoch
        .insert(known.unwrap_or_else(|| running.new_epoch("image/jpeg".to_owned(), size, WINDOW)));
    running.publish(Packed::new(
        running.reader.camera.number,
        epoch,
        true,
        frame.meta(),
        &[image],
    ));
}
