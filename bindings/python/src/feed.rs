//! Where a camera's frames come from: the crate's camera, as its frames are wanted.

use std::sync::Arc;
use std::time::Duration;

use sdvr::{Camera, Error, Frame, InstanceId, Picture, Pictures, Policy, Unread};

use crate::picture::Kind;
use crate::stock::{CodedBytes, Stock, StreamDescription};

/// A camera that is followed.
pub(crate) struct Feed {
    source: Source,
    described: Option<Described>,
}

enum Source {
    /// Frames are copied, and not decoded here.
    Copied(Camera),
    /// Frames are left where they are.
    InPlace(Camera),
    /// Frames are copied, and those that need others to be decoded are.
    Decoded(Box<Pictures>, Kind),
}

/// What the frames of a run have in common.
struct Described {
    instance: InstanceId,
    stream: Arc<StreamDescription>,
    label: Arc<str>,
}

/// A frame.
pub(crate) struct Given {
    pub(crate) bytes: Bytes,
    pub(crate) missed: u64,
    pub(crate) picture: Option<(Picture, Kind)>,
    pub(crate) stream: Arc<StreamDescription>,
    pub(crate) label: Arc<str>,
}

pub(crate) enum Bytes {
    Copied(CodedBytes),
    InPlace(Box<Unread>),
}

impl Feed {
    /// Frames as they are published, without pixels of those that need others to be decoded.
    pub(crate) const fn coded(camera: Camera, copies: Copies) -> Self {
        let source = match copies {
            Copies::AtOnce => Source::Copied(camera),
            Copies::WhenWanted => Source::InPlace(camera),
        };
        Self {
            source,
            described: None,
        }
    }

    pub(crate) fn decoded(camera: Camera, kind: Kind) -> Self {
        Self {
            source: Source::Decoded(Box::new(camera.decoded(kind.pixels())), kind),
            described: None,
        }
    }

    pub(crate) const fn camera(&self) -> &Camera {
        match &self.source {
            Source::Copied(camera) | Source::InPlace(camera) => camera,
            Source::Decoded(pictures, _) => pictures.camera(),
        }
    }

    pub(crate) const fn camera_mut(&mut self) -> &mut Camera {
        match &mut self.source {
            Source::Copied(camera) | Source::InPlace(camera) => camera,
            Source::Decoded(pictures, _) => pictures.camera_mut(),
        }
    }

    pub(crate) fn next(
        &mut self,
        policy: Policy,
        timeout: Duration,
        stock: &Arc<Stock>,
    ) -> Result<Option<Given>, Error> {
        let copied = |frame| Bytes::Copied(CodedBytes::of_frame(frame, Arc::clone(stock)));
        let (about, missed, bytes, picture);
        match &mut self.source {
            Source::Copied(camera) => {
                let Some(frame) = next_copied(camera, policy, timeout, stock)? else {
                    return Ok(None);
                };
                about = (frame.instance(), frame.format());
                (missed, picture) = (frame.missed(), None);
                bytes = copied(frame);
            }
            Source::InPlace(camera) => {
                let Some(unread) = camera.next_unread(policy, timeout)? else {
                    return Ok(None);
                };
                about = (unread.about().instance(), unread.about().format());
                (missed, picture) = (unread.about().missed(), None);
                bytes = Bytes::InPlace(Box::new(unread));
            }
            Source::Decoded(pictures, kind) => {
                while let Some(frame) = stock.take_frame() {
                    pictures.give_back(frame);
                }
                let mut made = Picture::reuse(stock.take_bytes());
                let next = pictures.next_deferred(policy, timeout, &mut made);
                let is_decoded = matches!(&next, Ok(Some(deferred)) if deferred.is_decoded);
                if is_decoded {
                    picture = Some((made, *kind));
                } else {
                    stock.give_back_bytes(made.into_bytes());
                    picture = None;
                }
                let Some(deferred) = next? else {
                    return Ok(None);
                };
                about = (deferred.frame.instance(), deferred.frame.format());
                missed = deferred.missed;
                bytes = copied(deferred.frame);
            }
        }
        let (instance, format) = about;
        let known = self.described.take();
        let known = known.filter(|it| it.instance == instance && it.stream.format == format);
        let described = known.unwrap_or_else(|| {
            let camera = self.camera();
            let info = camera.info().filter(|info| info.instance == instance);
            let extradata = info.map(|info| info.extradata.clone());
            Described {
                instance,
                stream: Arc::new(StreamDescription {
                    format,
                    extradata: extradata.unwrap_or_default(),
                }),
                label: camera.label().into(),
            }
        });
        let (stream, label) = (Arc::clone(&described.stream), Arc::clone(&described.label));
        self.described = Some(described);
        Ok(Some(Given {
            bytes,
            missed,
            picture,
            stream,
            label,
        }))
    }
}

/// When a frame is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    AtOnce,
    WhenWanted,
}

/// The next frame, in memory of one before if there is some.
fn next_copied(
    camera: &mut Camera,
    policy: Policy,
    timeout: Duration,
    stock: &Stock,
) -> Result<Option<Frame>, Error> {
    let Some(mut frame) = stock.take_frame() else {
        return camera.next(policy, timeout);
    };
    let has_come = camera.next_into(policy, timeout, &mut frame);
    if matches!(has_come, Ok(true)) {
        return Ok(Some(frame));
    }
    stock.give_back_frame(frame);
    has_come.map(|_| None)
}
