//! A camera that a page watches, and its frames on their way there.

use std::sync::Arc;
use std::time::Instant;

use sdvr::FourCc;

use super::page::Page;
use super::under_way::UnderWay;
use crate::catalog::Known;
use crate::counters::Counters;
use crate::messages::Kind;
use crate::packed::Packed;
use crate::readers::{Next, Position, Status, Watch, Watcher, kind_of};
use crate::site::Site;

pub(super) struct Watched {
    kinds: Vec<Kind>,
    state: State,
    under_way: UnderWay,
    epoch: Option<u32>,
}

enum State {
    Reading {
        watch: Watch,
        position: Position,
    },
    /// To be watched anew.
    Over,
    /// The page has still to be told.
    Trouble(Arc<str>),
    /// Until something of the camera changes.
    Hopeless,
}

/// What is to be sent next.
pub(super) enum Step {
    Nothing,
    Frame {
        frame: Arc<Packed>,
        is_new_epoch: bool,
    },
    Trouble(Arc<str>),
}

impl Watched {
    pub(super) const fn new(kinds: Vec<Kind>) -> Self {
        Self {
            kinds,
            state: State::Over,
            under_way: UnderWay::new(),
            epoch: None,
        }
    }

    /// Begins to read the camera, as the first kind in which it can be had.
    pub(super) fn begin(&mut self, site: &Site, camera: Option<&Arc<Known>>, page: &Arc<Page>) {
        let Some(camera) = camera else {
            self.state = State::Trouble("the camera has gone".into());
            return;
        };
        let fourcc = camera.info.format.fourcc;
        let Some(kind) = self
            .kinds
            .iter()
            .copied()
            .find(|&kind| can_be(fourcc, kind))
        else {
            self.state = State::Trouble(
                format!("the camera sends {fourcc}, which this browser cannot show").into(),
            );
            return;
        };
        self.state = match site
            .readers
            .watch(camera, kind, Watcher::Page(Arc::downgrade(page)))
        {
            Ok(watch) => State::Reading {
                watch,
                position: Position::default(),
            },
            Err(error) => State::Trouble(format!("cannot start a thread: {error}").into()),
        };
    }

    /// The camera has changed: what could not be shown may be now.
    pub(super) fn try_again(&mut self, site: &Site, camera: Option<&Arc<Known>>, page: &Arc<Page>) {
        if matches!(self.state, State::Over | State::Hopeless) {
            self.begin(site, camera, page);
        }
    }

    pub(super) const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// A frame was shown, and with it all that were sent before.
    pub(super) fn shown(&mut self, epoch: u32, number: u64) {
        self.under_way.handle_shown(epoch, number, Instant::now());
    }

    pub(super) fn next(&mut self, counters: &Counters) -> Step {
        match &mut self.state {
            State::Over | State::Hopeless => Step::Nothing,
            State::Trouble(message) => {
                let message = Arc::clone(message);
                self.state = State::Hopeless;
                Step::Trouble(message)
            }
            State::Reading { watch, position } => {
                let next = watch.next(position, |window| self.under_way.has_room(window));
                counters
                    .frames_skipped
                    .add(std::mem::take(&mut position.skipped));
                match next {
                    Next::NoRoom | Next::NoneYet => Step::Nothing,
                    Next::Over(Status::Trouble(message)) => {
                        self.state = State::Hopeless;
                        Step::Trouble(message)
                    }
                    Next::Over(_) => {
                        self.state = State::Over;
                        Step::Nothing
                    }
                    Next::Frame(frame) => {
                        let epoch = frame.epoch.number;
                        let is_new_epoch = self.epoch != Some(epoch);
                        if is_new_epoch {
                            // What was there of another one is of no use to the page any more.
                            self.under_way.clear();
                            self.epoch = Some(epoch);
                        }
                        self.under_way.send(epoch, frame.number, Instant::now());
                        Step::Frame {
                            frame,
                            is_new_epoch,
                        }
                    }
                }
            }
        }
    }
}

/// Whether a camera's frames can be had as this kind; of images it may turn out later that they cannot be decoded.
fn can_be(fourcc: FourCc, kind: Kind) -> bool {
    match kind {
        Kind::Jpeg => true,
        Kind::Mp4 => fourcc == FourCc::H264,
        kind => kind_of(fourcc) == Some(kind),
    }
}
