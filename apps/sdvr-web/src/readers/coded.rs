//! Frames of inter-coded streams, as the camera sent them.

use std::sync::Arc;

use sdvr::{Error, FourCc, Frame, InstanceId, Policy, Start};

use super::{LOOK_INTERVAL, Running, Status};
use crate::codec;
use crate::messages::Kind;
use crate::mp4::{self, Fragments};
use crate::packed::{Epoch, Packed};

/// What can be sent of the stream that is read now.
enum Begun {
    /// Nothing before the next key frame.
    AwaitsKey,
    At {
        epoch: Arc<Epoch>,
        instance: InstanceId,
        wrapping: Wrapping,
    },
}

/// What is done to frames.
enum Wrapping {
    /// They are sent as they are.
    AsTheyCame,
    Fragments(Fragments),
}

pub(super) fn run(running: &Running) -> Status {
    let mut camera = running.open_camera(Start::Now);
    let mut memory = None;
    let mut begun = Begun::AwaitsKey;
    while running.is_watched() {
        let frame = match camera.next_in_memory(Policy::Every, LOOK_INTERVAL, &mut memory) {
            Ok(Some(frame)) => frame,
            Ok(None) | Err(Error::Ended) => continue,
            Err(error) => return Status::Trouble(error.to_string().into()),
        };
        if kind_of(frame.format().fourcc) != Some(source_kind(running.reader.kind)) {
            return Status::Changed;
        }
        begun = follow(running, begun, frame);
        if let Begun::At {
            epoch, wrapping, ..
        } = &mut begun
        {
            send(running, frame, epoch, wrapping);
        }
    }
    Status::Changed
}

fn send(running: &Running, frame: &Frame, epoch: &Arc<Epoch>, wrapping: &mut Wrapping) {
    let pack = |payload: &[&[u8]]| {
        let camera = running.reader.camera.number;
        running.publish(Packed::new(
            camera,
            epoch,
            frame.is_key(),
            frame.meta(),
            payload,
        ));
    };
    let fragments = match wrapping {
        Wrapping::AsTheyCame => return pack(&[frame.bytes()]),
        Wrapping::Fragments(fragments) => fragments,
    };
    let sample = mp4::sample(frame.bytes());
    let Some(head) = fragments.head(&sample, frame.captured(), frame.is_key()) else {
        return;
    };
    let begin = if frame.is_key() {
        fragments.begin()
    } else {
        &[]
    };
    pack(&[begin, &head, &sample]);
}

/// Whether this frame can be sent, and as what. Behind one that is missing nothing can be decoded before the next key frame.
fn follow(running: &Running, before: Begun, frame: &Frame) -> Begun {
    match before {
        Begun::At { instance, .. }
            if !frame.is_key() && instance == frame.instance() && frame.missed() == 0 =>
        {
            before
        }
        _ if frame.is_key() => begin(running, before, frame).unwrap_or(Begun::AwaitsKey),
        _ => Begun::AwaitsKey,
    }
}

/// The epoch of a key frame: the one before, unless something is other. `None` when the frame does not tell what it is.
fn begin(running: &Running, before: Begun, frame: &Frame) -> Option<Begun> {
    let format = frame.format();
    let codec = codec::codec_string(format.fourcc, frame.bytes())?;
    let size = (format.width, format.height);
    if let Begun::At {
        epoch, instance, ..
    } = &before
        && *instance == frame.instance()
        && epoch.codec == codec
        && (epoch.width, epoch.height) == size
    {
        return Some(before);
    }
    let interval_ns = format.rate.interval_ns();
    let wrapping = match running.reader.kind {
        Kind::Mp4 => {
            let (bytes, captured) = (frame.bytes(), frame.captured());
            Wrapping::Fragments(Fragments::new(bytes, size, interval_ns, captured)?)
        }
        _ => Wrapping::AsTheyCame,
    };
    Some(Begun::At {
        epoch: running.new_epoch(codec, size, format.rate),
        instance: frame.instance(),
        wrapping,
    })
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
