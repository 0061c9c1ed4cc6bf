//! A camera's frames as they are to be recorded: as they came, or decoded.

use std::time::Duration;

use sdvr::{Camera, Error, Frame, Policy, Unread};
use sdvr_feed::{Feed, Format, NoPicture, Shape};

use super::taken::{Missing, Taken};
use crate::options::Form;
use crate::plain::PlainForm;

/// Of a frame that is passed on part by part: two of them fit into the caches that each core has for itself.
const PART_BYTES: usize = 256 << 10;

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
        /// Frames that were told of and overwritten before they were read, with what was missing before them.
        overwritten: Missing,
    },
    Decoded {
        feed: Feed,
        planes: Vec<u8>,
    },
}

/// What reading gave.
pub(super) enum Got {
    Frame(Taken),
    /// A frame that is in the ring still: for [`Input::pass`] or [`Input::copy`].
    InRing(Unread),
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
                    overwritten: Missing::default(),
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
            Self::AsTheyCame { camera, .. } => {
                let next = camera.next_unread(Policy::Every, timeout)?;
                Ok(next.map_or(Got::Nothing, Got::InRing))
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

    /// What is known of a frame, without its bytes.
    pub(super) fn taken(&self, unread: &Unread) -> Taken {
        let mut taken = Taken::unread(unread);
        if let Self::AsTheyCame { overwritten, .. } = self {
            taken.missing.add(*overwritten);
        }
        taken
    }

    /// Gives the bytes of a frame part by part, without a copy of it all. False if it was overwritten meanwhile, or before: what was given is then to be forgotten.
    pub(super) fn pass(&mut self, unread: &Unread, to: &mut dyn FnMut(&[u8])) -> bool {
        let Self::AsTheyCame { camera, memory, .. } = self else {
            return false;
        };
        let passed = camera.look_at(unread, |words| {
            for chunk in words.chunks(PART_BYTES) {
                chunk.copy_into(memory);
                to(memory);
            }
        });
        passed.is_some()
    }

    /// Copies the bytes of a frame. `None` if it was overwritten.
    pub(super) fn copy(&mut self, unread: &Unread) -> Option<Vec<u8>> {
        let Self::AsTheyCame { camera, memory, .. } = self else {
            return None;
        };
        let is_whole = camera.read_into(unread, memory);
        is_whole.then(|| std::mem::take(memory))
    }

    /// A frame was overwritten: the next one tells of it.
    pub(super) fn count_overwritten(&mut self, frame: &Taken) {
        if let Self::AsTheyCame { overwritten, .. } = self {
            *overwritten = frame.missing;
            overwritten.unread = overwritten.unread.saturating_add(1);
        }
    }

    /// The next one has told of it.
    pub(super) fn forget_overwritten(&mut self) {
        if let Self::AsTheyCame { overwritten, .. } = self {
            *overwritten = Missing::default();
        }
    }

    /// What no frame has told of, when none comes any more.
    pub(super) fn missing_at_end(&self) -> Missing {
        let mut missing = match self {
            Self::AsTheyCame { overwritten, .. } => *overwritten,
            Self::Decoded { .. } => Missing::default(),
        };
        let untold = self.camera().missed_at_end();
        missing.unread = missing.unread.saturating_add(untold);
        missing
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
        planes: feed.planes().map(|it| it.to_string()).unwrap_or_default(),
    };
    Some(Taken::of_picture(frame, feed.missed(), form, bytes))
}
