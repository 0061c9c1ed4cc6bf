//! Frames of inter-coded streams, as the camera sent them.

use std::sync::Arc;

use sdvr::{Camera, FourCc, Frame, Policy, Start};

use super::{LOOK_INTERVAL, Running, Status, status_after};
use crate::codec;
use crate::messages::Kind;
use crate::packed::{Epoch, Packed};

/// Frames under way to a page at most: a second of a camera that says nothing of its rate.
const WINDOW_DEFAULT: usize = 30;
/// No less and no more, whatever a camera says.
const WINDOW_LEAST: usize = 8;
const WINDOW_MOST: usize = 120;

/// What can be sent of the stream that is read now.
enum Begun {
    /// Nothing before the next key frame.
    AwaitsKey,
    At(Arc<Epoch>),
}

pub(super) fn run(running: &Running) -> Status {
    let mut camera = running.open_camera(Start::Now);
    let mut frame: Option<Frame> = None;
    let mut begun = Begun::AwaitsKey;
    let mut instance = None;
    while running.is_watched() {
        match next(&mut camera, &mut frame) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => match status_after(&error) {
                Some(status) => return status,
                None => continue,
            },
        }
        let Some(frame) = &frame else { continue };
        if kind_of(frame.format().fourcc) != Some(source_kind(running.reader.kind)) {
            return Status::Changed;
        }
        let is_gap = frame.missed() > 0 || instance != Some(frame.instance());
        if is_gap && !frame.is_key() {
            begun = Begun::AwaitsKey;
            instance = Some(frame.instance());
            continue;
        }
        if frame.is_key() {
            begun = begin(
                running,
                &camera,
                frame,
                begun,
                instance != Some(frame.instance()),
            );
        }
        instance = Some(frame.instance());
        let Begun::At(epoch) = &begun else { continue };
        running.publish(Packed::new(
            running.reader.camera.number,
            epoch,
            frame.is_key(),
            frame.meta(),
            &[frame.bytes()],
        ));
    }
    Status::Changed
}

fn next(camera: &mut Camera, frame: &mut Option<Frame>) -> Result<bool, sdvr::Error> {
    match frame {
        Some(frame) => camera.next_into(Policy::Every, LOOK_INTERVAL, frame),
        None => {
            *frame = camera.next(Policy::Every, LOOK_INTERVAL)?;
            Ok(frame.is_some())
        }
    }
}

/// The epoch of a key frame: the one before, unless something is other.
fn begin(
    running: &Running,
    _camera: &Camera,
    frame: &Frame,
    before: Begun,
    is_new_run: bool,
) -> Begun {
    let format = frame.format();
    let Some(codec) = codec::codec_string(format.fourcc, frame.bytes()) else {
        return Begun::AwaitsKey;
    };
    if let Begun::At(epoch) = &before
        && !is_new_run
        && epoch.codec == codec
        && (epoch.width, epoch.height) == (format.width, format.height)
    {
        return before;
    }
    let window = format
        .rate
        .interval_ns()
        .and_then(|interval| usize::try_from(1_000_000_000_u64.checked_div(interval)?).ok())
        .unwrap_or(WINDOW_DEFAULT)
        .clamp(WINDOW_LEAST, WINDOW_MOST);
    Begun::At(running.new_epoch(codec, (format.width, format.height), window))
}

/// As what frames of a format are sent unchanged.
pub(crate) fn kind_of(fourcc: FourCc) -> Option<Kind> {
    Some(match fourcc {
        FourCc::H264 => Kind::H264,
        FourCc::HEVC => Kind::H265,
        FourCc::VP80 => Kind::Vp8,
        FourCc::VP90 => Kind::Vp9,
        FourCc::AV01 => Kind::Av1,
        _ => return None,
    })
}

/// What the camera has to send for a kind.
const fn source_kind(kind: Kind) -> Kind {
    match kind {
        Kind::Mp4 => Kind::H264,
        kind => kind,
    }
}
