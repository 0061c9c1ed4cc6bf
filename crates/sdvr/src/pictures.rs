//! A camera's frames, decoded.

mod decoding;
mod tally;

use std::time::{Duration, Instant};

use sdvr_decode::{DecodeError, DecoderOptions, EngineChoice, Picture, Pixels};

use self::decoding::{DELAYED_MOST, Decoding, Wish};
use self::tally::Tally;
use crate::camera::{Camera, LONG, Policy, next_of_all};
use crate::error::Error;
use crate::frame::Frame;

/// Under [`Policy::Latest`] pictures are passed over while newer frames wait, but no longer than this: a decoder that is slower than the camera would
/// else never give one.
const PASSING_MOST: Duration = Duration::from_millis(50);

/// A frame and its picture.
#[derive(Clone, Debug)]
pub struct Decoded {
    frame: Frame,
    picture: Picture,
    missed: u64,
    of_runs_before: u64,
}

impl Decoded {
    /// The pixels.
    #[must_use]
    pub const fn picture(&self) -> &Picture {
        &self.picture
    }

    /// The frame that the picture is of, as it was published: its times, its number, its coded bytes.
    #[must_use]
    pub const fn frame(&self) -> &Frame {
        &self.frame
    }

    /// How many frames of the same run had no picture since the one that was handed out before: lost, overwritten, behind a lost or damaged one, or not wanted by the
    /// policy. Damaged ones are not among them, since an [`Error::Undecodable`] has told of each. 0 for the first one of a run.
    ///
    /// [`Frame::missed`] of [`Self::frame`] is another figure where frames are decoded whose pictures nobody wants.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }

    /// For the first picture of a run of the source: as [`Frame::missed_between_runs`], and those that were read at the end of the run before and could not be
    /// decoded. 0 for every other one.
    #[must_use]
    pub const fn missed_between_runs(&self) -> u64 {
        self.frame
            .missed_between_runs()
            .saturating_add(self.of_runs_before)
    }

    /// The picture, taken out.
    #[must_use]
    pub fn into_picture(self) -> Picture {
        self.picture
    }
}

/// A frame that may have been decoded: of [`Pictures::next_deferred`].
#[derive(Clone, Debug)]
pub struct Deferred {
    /// The frame.
    pub frame: Frame,
    /// As [`Decoded::missed`].
    pub missed: u64,
    /// Whether its picture was made. If not, any [`crate::Decoder`] of its format can make it.
    pub is_decoded: bool,
}

/// A camera's frames as pixels: [`Camera::decoded`].
///
/// ```no_run
/// use sdvr::{Camera, Pixels, Policy};
///
/// for decoded in Camera::open("front-door")?.decoded(Pixels::Gray).frames(Policy::Latest) {
///     let decoded = decoded?;
///     let picture = decoded.picture();
///     let sum: u64 = picture.bytes().iter().map(|&gray| u64::from(gray)).sum();
///     println!("{}: mean brightness {}", decoded.frame().number(), sum / picture.bytes().len().max(1) as u64);
/// }
/// # Ok::<(), sdvr::Error>(())
/// ```
#[derive(Debug)]
pub struct Pictures {
    camera: Camera,
    pixels: Pixels,
    engine_choice: EngineChoice,
    /// Of the run that is read.
    decoding: Option<Decoding>,
    /// Memory for the next frames.
    spare: Vec<Frame>,
    tally: Tally,
    /// Whether the camera has said that it ends, and pictures may be left in the decoder.
    is_ending: bool,
}

/// What is done with a frame that needs no other to be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alone {
    IsDecoded,
    IsDeferred,
}

impl Camera {
    /// This camera's frames as pixels.
    #[must_use]
    pub fn decoded(self, pixels: Pixels) -> Pictures {
        Pictures {
            camera: self,
            pixels,
            engine_choice: EngineChoice::default(),
            decoding: None,
            spare: Vec::new(),
            tally: Tally::default(),
            is_ending: false,
        }
    }
}

impl Pictures {
    /// The same, decoded by what `choice` allows. With [`EngineChoice::Hardware`] every frame is [`Error::Undecodable`] where there is none, instead of being
    /// decoded by the processor.
    #[must_use]
    pub fn with_engine(mut self, choice: EngineChoice) -> Self {
        self.engine_choice = choice;
        self.decoding = None;
        self
    }

    /// The next picture that `policy` wants; waits for it at most `timeout`. `None` when none came.
    ///
    /// Of inter-coded streams (H.264 and its kin) the first picture is that of the newest key frame in the ring, at once. After that all frames are decoded,
    /// since each may need the one before it, and `policy` says which pictures are given out: under [`Policy::Latest`] the newest, without those for which there was no
    /// time; if a newer key frame is there, decoding goes on at it. Behind a frame that was lost or damaged nothing can be decoded before the next key
    /// frame: what comes in between is counted in [`Decoded::missed`].
    ///
    /// # Errors
    ///
    /// [`Error::Undecodable`] for a frame that gave no picture; the next call goes on behind it. The others as [`Camera::next`].
    pub fn next(&mut self, policy: Policy, timeout: Duration) -> Result<Option<Decoded>, Error> {
        let mut picture = Picture::default();
        let frame = self.advance(policy, timeout, &mut picture)?;
        Ok(frame.map(|frame| {
            let (missed, of_runs_before) = self.hand_out();
            Decoded {
                frame,
                picture,
                missed,
                of_runs_before,
            }
        }))
    }

    /// As [`Self::next`], into the memory of one that is not needed any more. False when none came; `decoded` then holds nothing of use.
    ///
    /// # Errors
    ///
    /// As [`Self::next`].
    pub fn next_into(
        &mut self,
        policy: Policy,
        timeout: Duration,
        decoded: &mut Decoded,
    ) -> Result<bool, Error> {
        let Some(frame) = self.advance(policy, timeout, &mut decoded.picture)? else {
            return Ok(false);
        };
        (decoded.missed, decoded.of_runs_before) = self.hand_out();
        self.spare
            .push(std::mem::replace(&mut decoded.frame, frame));
        Ok(true)
    }

    /// As [`Self::next`], but frames that can be decoded without others are handed out as they are: for programs that do not need the pixels of each. Of
    /// the others the picture is written to `picture`.
    ///
    /// # Errors
    ///
    /// As [`Self::next`]; frames that are not decoded are not found to be undecodable either.
    pub fn next_deferred(
        &mut self,
        policy: Policy,
        timeout: Duration,
        picture: &mut Picture,
    ) -> Result<Option<Deferred>, Error> {
        let shown = self.advance_to(policy, timeout, picture, Alone::IsDeferred)?;
        Ok(shown.map(|frame| Deferred {
            missed: self.hand_out().0,
            is_decoded: frame.format().fourcc.is_inter_coded(),
            frame,
        }))
    }

    /// Takes back a frame that is not needed any more: its memory is used for the next.
    pub fn give_back(&mut self, frame: Frame) {
        if self.spare.len() < DELAYED_MOST {
            self.spare.push(frame);
        }
    }

    /// All pictures that `policy` wants, for ever, as [`Camera::frames`]. An [`Error::Undecodable`] does not end it.
    pub const fn frames(&mut self, policy: Policy) -> DecodedFrames<'_> {
        DecodedFrames {
            pictures: self,
            policy,
            ends: false,
        }
    }

    /// What decodes, such as `zune-jpeg` or `OpenH264`; `None` before the first frame. See [`crate::Decoder::engine`].
    #[must_use]
    pub fn engine(&self) -> Option<&str> {
        self.decoding.as_ref().map(Decoding::engine)
    }

    /// The camera whose pictures they are.
    #[must_use]
    pub const fn camera(&self) -> &Camera {
        &self.camera
    }

    /// The same, for [`Camera::ready`]. A frame that is taken from it is missing here.
    pub const fn camera_mut(&mut self) -> &mut Camera {
        &mut self.camera
    }

    /// The camera, to read its frames as they are.
    #[must_use]
    pub fn into_camera(self) -> Camera {
        self.camera
    }

    /// How many frames came or were captured, and nobody was told what became of their pictures: for a program that stops here. Those whose pictures the decoder
    /// still holds back are not among them.
    #[must_use]
    pub fn missed_at_end(&self) -> u64 {
        let untold = self.tally.untold(self.delayed());
        untold.saturating_add(self.camera.missed_at_end())
    }

    fn delayed(&self) -> u64 {
        self.decoding.as_ref().map_or(0, Decoding::delayed)
    }

    /// Gives how many were missed before the picture that is handed out now: of its run, and of runs before.
    fn hand_out(&mut self) -> (u64, u64) {
        self.tally.hand_out(self.delayed())
    }

    /// Reads and decodes until there is a picture to hand out; gives the frame it is of.
    fn advance(
        &mut self,
        policy: Policy,
        timeout: Duration,
        picture: &mut Picture,
    ) -> Result<Option<Frame>, Error> {
        self.advance_to(policy, timeout, picture, Alone::IsDecoded)
    }

    fn advance_to(
        &mut self,
        policy: Policy,
        timeout: Duration,
        picture: &mut Picture,
        alone: Alone,
    ) -> Result<Option<Frame>, Error> {
        let start = Instant::now();
        loop {
            if policy == Policy::Latest && self.is_inter_coded() {
                self.camera.skip_to_newest_key();
            }
            if self.is_ending {
                let decoding = self.decoding.as_mut();
                let held_back = decoding.and_then(|it| it.take_held_back(self.pixels, picture));
                if held_back.is_some() {
                    return Ok(held_back);
                }
                self.is_ending = false;
                return Err(Error::Ended);
            }
            let rest = timeout.saturating_sub(start.elapsed());
            let frame = match self.read(policy, rest) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(None),
                Err(Error::Ended) => {
                    self.is_ending = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.tally.read(&frame);
            if alone == Alone::IsDeferred && !frame.format().fourcc.is_inter_coded() {
                return Ok(Some(frame));
            }
            let number = frame.number();
            let wish = Wish {
                policy,
                pixels: self.pixels,
                is_shown: policy != Policy::Latest
                    || !self.camera.has_more()
                    || start.elapsed() >= PASSING_MOST,
            };
            match self.decode(frame, wish, picture) {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) | Err(DecodeError::AwaitsKeyFrame) => {}
                Err(cause) => {
                    self.tally.tell_damaged();
                    return Err(Error::Undecodable {
                        camera: self.camera.label().to_owned(),
                        frame: number,
                        cause,
                    });
                }
            }
        }
    }

    fn is_inter_coded(&self) -> bool {
        self.camera
            .info()
            .is_some_and(|info| info.format.fourcc.is_inter_coded())
    }

    /// The next frame to decode. Of an inter-coded stream that is each one, unless only key frames are wanted.
    fn read(&mut self, policy: Policy, timeout: Duration) -> Result<Option<Frame>, Error> {
        let policy = match policy {
            Policy::Latest if self.is_inter_coded() => Policy::Every,
            policy => policy,
        };
        let Some(mut frame) = self.spare.pop() else {
            return self.camera.next(policy, timeout);
        };
        let has_come = self.camera.next_into(policy, timeout, &mut frame);
        if matches!(has_come, Ok(true)) {
            return Ok(Some(frame));
        }
        self.spare.push(frame);
        has_come.map(|_| None)
    }

    /// Gives the frame whose picture came out, and which is wanted.
    fn decode(
        &mut self,
        frame: Frame,
        wish: Wish,
        picture: &mut Picture,
    ) -> Result<Option<Frame>, DecodeError> {
        let decoding = match &mut self.decoding {
            Some(decoding) if decoding.takes(&frame) => decoding,
            decoding => {
                // What is in there of the run before nobody has waited for.
                *decoding = None;
                let info = self.camera.info();
                let mut options = DecoderOptions::default();
                options.engine = self.engine_choice;
                options.extradata = info.map(|info| info.extradata.clone()).unwrap_or_default();
                decoding.insert(Decoding::new(&frame, options)?)
            }
        };
        let shown = decoding.decode(frame, wish, picture, &mut self.spare);
        self.spare.truncate(DELAYED_MOST);
        shown
    }
}

/// An endless series of pictures. See [`Pictures::frames`].
#[derive(Debug)]
pub struct DecodedFrames<'a> {
    pictures: &'a mut Pictures,
    policy: Policy,
    ends: bool,
}

impl DecodedFrames<'_> {
    /// Ends when the camera says that it ends, instead of waiting for it to come back.
    #[must_use]
    pub const fn until_end(mut self) -> Self {
        self.ends = true;
        self
    }
}

impl Iterator for DecodedFrames<'_> {
    type Item = Result<Decoded, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let policy = self.policy;
        let next = |pictures: &mut Pictures| pictures.next(policy, LONG);
        let has_gone = |pictures: &Pictures| pictures.camera.has_gone();
        next_of_all(self.pictures, has_gone, next, self.ends)
    }
}
