//! A camera's frames as they are to be recorded: as they came, or decoded.

use std::time::Duration;

use sdvr::{Camera, Error, Frame, Policy};
use sdvr_feed::{Feed, Format, NoPicture, Shape};

use super::taken::Taken;
use crate::options::Form;
use crate::plain::PlainForm;

/// A camera that is read.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one a camera, and it is never moved"
)]
pub(super) enum Input {
    AsTheyCame {
        camera: Camera,
        /// For the next frame.
        memory: Vec<u8>,
    },
    Decoded {
        feed: Feed,
        planes: Vec<u8>,
    },
}

/// What reading gave.
pub(super) enum Got {
    Frame(Taken),
    Nothing,
    /// A frame that gave no picture.
    Damaged(Error),
    /// None of this run's frames gives one; why, for people.
    NeverAPicture(String),
}

impl Input {
    pub(super) fn new(camera: Camera, form: Form) -> Self {
        let format = match form {
            Form::AsTheyCame => {
                return Self::AsTheyCame {
                    camera,
                    memory: Vec::new(),
                };
            }
            Form::Planes => Format::Planes,
            Form::Y4m => Format::Y4m,
        };
        Self::Decoded {
            feed: Feed::open(camera, Some(format)),
            planes: Vec::new(),
        }
    }

    pub(super) const fn camera(&self) -> &Camera {
        match self {
            Self::AsTheyCame { camera, .. } => camera,
            Self::Decoded { feed, .. } => feed.camera(),
        }
    }

    /// Memory of a frame that is not needed any more: the next frame needs none of the system then, which would fill it with zeros first.
    pub(super) fn give_memory(&mut self, unused: Vec<u8>) {
        if let Self::AsTheyCame { memory, .. } = self
            && memory.capacity() < unused.capacity()
        {
            *memory = unused;
        }
    }

    /// The next of all frames.
    pub(super) fn next(&mut self, timeout: Duration) -> Result<Got, Error> {
        match self {
            Self::AsTheyCame { camera, memory } => {
                let next = camera.next_taking(Policy::Every, timeout, memory)?;
                Ok(next.map_or(Got::Nothing, |frame| Got::Frame(Taken::new(frame))))
            }
            Self::Decoded { feed, planes } => Ok(match feed.next(Policy::Every, timeout)? {
                sdvr_feed::Taken::Frame(shape) => {
                    decoded(feed, &shape, planes).map_or(Got::Nothing, Got::Frame)
                }
                sdvr_feed::Taken::Nothing => Got::Nothing,
                sdvr_feed::Taken::NoPicture(NoPicture::Damaged(error)) => Got::Damaged(error),
                sdvr_feed::Taken::NoPicture(NoPicture::Never(why)) => Got::NeverAPicture(why),
            }),
        }
    }
}

/// The picture that was taken last, as bytes of a file.
fn decoded(feed: &Feed, shape: &Shape, planes: &mut Vec<u8>) -> Option<Taken> {
    let frame: &Frame = feed.frame()?;
    let (mut head, mut bytes) = (Vec::new(), Vec::new());
    // Memory takes everything.
    Feed::write_header(shape, &mut head).ok()?;
    feed.write(shape, planes, &mut bytes).ok()?;
    let form = PlainForm {
        extension: if head.is_empty() { "raw" } else { "y4m" },
        head,
        description: shape.to_string(),
    };
    Some(Taken::of_picture(frame, feed.missed(), form, bytes))
}
