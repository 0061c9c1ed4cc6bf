//! A camera's frames, decoded.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sdvr_decode::{Coded, DecodeError, Decoder, Picture, Pixels};
use sdvr_frame::{FrameNumber, InstanceId, StreamFormat};

use crate::camera::{Camera, Policy};
use crate::error::Error;
use crate::frame::Frame;

/// Under [`Policy::Latest`] pictures are passed over while newer frames wait, but no longer than this: a decoder that is slower than the camera would
/// else never give one.
const PASSING_MOST: Duration = Duration::from_millis(50);
/// How many frames an encoder may send before the picture that is shown first: what H.264 and H.265 allow (`max_dec_frame_buffering`).
const DELAYED_MOST: usize = 16;

/// A frame and its picture.
#[derive(Clone, Debug)]
pub struct Decoded {
    frame: Frame,
    picture: Picture,
    missed: u64,
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

    /// How many frames of the same run were captured between the picture handed out before and this one. 0 for the first one of a run.
    ///
    /// [`Frame::missed`] of [`Self::frame`] is another figure where frames are decoded whose pictures nobody wants.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
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
    /// Whether its picture was made. If not, any [`Decoder`] of its format can make it.
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
    decoding: Option<Decoding>,
    /// Frames that were decoded and whose pictures have not come out.
    delayed: VecDeque<Frame>,
    /// Memory for the next frames.
    spare: Vec<Frame>,
    handed_out: Option<(InstanceId, FrameNumber)>,
    /// Whether the camera has said that it ends, and pictures may be left in the decoder.
    is_ending: bool,
}

/// The decoder of the run that is read.
#[derive(Debug)]
struct Decoding {
    decoder: Decoder,
    format: StreamFormat,
    instance: InstanceId,
    /// Whether a picture of the frames since the last gap was handed out.
    has_begun: bool,
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
    pub const fn decoded(self, pixels: Pixels) -> Pictures {
        Pictures {
            camera: self,
            pixels,
            decoding: None,
            delayed: VecDeque::new(),
            spare: Vec::new(),
            handed_out: None,
            is_ending: false,
        }
    }
}

impl Pictures {
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
        Ok(frame.map(|frame| Decoded {
            missed: self.hand_out(&frame),
            frame,
            picture,
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
        decoded.missed = self.hand_out(&frame);
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
            missed: self.hand_out(&frame),
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

    /// What decodes, such as `zune-jpeg` or `OpenH264`; `None` before the first frame. See [`Decoder::engine`].
    #[must_use]
    pub fn engine(&self) -> Option<&str> {
        self.decoding.as_ref().map(|it| it.decoder.engine())
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

    fn hand_out(&mut self, frame: &Frame) -> u64 {
        let before = self.handed_out.replace((frame.instance(), frame.number()));
        match before {
            Some((instance, number)) if instance == frame.instance() => {
                frame.number().0.saturating_sub(number.0).saturating_sub(1)
            }
            _ => 0,
        }
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
                if let Some(frame) = self.take_held_back(picture) {
                    return Ok(Some(frame));
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
            if alone == Alone::IsDeferred && !frame.format().fourcc.is_inter_coded() {
                return Ok(Some(frame));
            }
            let number = frame.number();
            let is_wanted = policy != Policy::Latest
                || !self.camera.has_more()
                || start.elapsed() >= PASSING_MOST;
            match self.decode(policy, frame, is_wanted, picture) {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) | Err(DecodeError::AwaitsKeyFrame) => {}
                Err(cause) => {
                    return Err(Error::Undecodable {
                        camera: self.camera.label().to_owned(),
                        frame: number,
                        cause,
                    });
                }
            }
        }
    }

    /// At the end of a stream: the next picture that the decoder has held back for others that might have been shown before it.
    fn take_held_back(&mut self, picture: &mut Picture) -> Option<Frame> {
        let decoding = self.decoding.as_mut()?;
        decoding.has_begun = false;
        while matches!(decoding.decoder.drain(self.pixels, picture), Ok(true)) {
            let number = picture.number();
            let at = self
                .delayed
                .iter()
                .position(|frame| frame.number().0 == number);
            if let Some(frame) = at.and_then(|at| self.delayed.remove(at)) {
                return Some(frame);
            }
        }
        self.spare.extend(self.delayed.drain(..));
        self.spare.truncate(DELAYED_MOST);
        None
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
        policy: Policy,
        frame: Frame,
        is_wanted: bool,
        picture: &mut Picture,
    ) -> Result<Option<Frame>, DecodeError> {
        let mut decoding = match self.decoding.take() {
            Some(decoding)
                if decoding.instance == frame.instance() && decoding.format == frame.format() =>
            {
                decoding
            }
            _ => Decoding {
                decoder: Decoder::new(frame.format())?,
                format: frame.format(),
                instance: frame.instance(),
                has_begun: false,
            },
        };
        let result = self.decode_by(&mut decoding, policy, frame, is_wanted, picture);
        self.decoding = Some(decoding);
        result
    }

    fn decode_by(
        &mut self,
        decoding: &mut Decoding,
        policy: Policy,
        frame: Frame,
        is_wanted: bool,
        picture: &mut Picture,
    ) -> Result<Option<Frame>, DecodeError> {
        let is_inter_coded = frame.format().fourcc.is_inter_coded();
        if is_inter_coded && (frame.missed() > 0 || policy == Policy::KeyFrames) {
            decoding.decoder.reset();
            decoding.has_begun = false;
            self.spare.extend(self.delayed.drain(..));
        }
        let coded = Coded {
            bytes: frame.bytes(),
            number: frame.number().0,
            is_key: frame.is_key(),
        };
        let is_out = if is_wanted || !is_inter_coded || !decoding.has_begun {
            let is_out = decoding.decoder.decode(coded, self.pixels, picture);
            if matches!(is_out, Ok(false)) && policy == Policy::KeyFrames {
                decoding.decoder.drain(self.pixels, picture)
            } else if matches!(is_out, Ok(false)) && !decoding.has_begun && coded.is_key {
                // It is in there, and held back for pictures that may be shown before it. Nobody waits for them when a camera is opened.
                self.decode_alone(coded, frame.format(), picture)
            } else {
                is_out
            }
        } else {
            decoding.decoder.pass(coded).map(|()| false)
        };
        self.delayed.push_back(frame);
        let shown = match is_out {
            Ok(true) => self.take_delayed(picture.number()),
            Ok(false) => None,
            Err(error) => {
                self.spare.extend(self.delayed.pop_back());
                return Err(error);
            }
        };
        decoding.has_begun |= shown.is_some();
        while self.delayed.len() > DELAYED_MOST {
            self.spare.extend(self.delayed.pop_front());
        }
        self.spare.truncate(DELAYED_MOST);
        Ok(shown)
    }

    fn decode_alone(
        &self,
        key: Coded<'_>,
        format: StreamFormat,
        picture: &mut Picture,
    ) -> Result<bool, DecodeError> {
        let mut decoder = Decoder::new(format)?;
        Ok(decoder.decode(key, self.pixels, picture)? || decoder.drain(self.pixels, picture)?)
    }

    /// The frame of that number; those before it have been passed over.
    fn take_delayed(&mut self, number: u64) -> Option<Frame> {
        let at = self
            .delayed
            .iter()
            .position(|frame| frame.number().0 == number)?;
        self.delayed.remove(at)
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
        loop {
            match self.pictures.next(self.policy, Duration::from_secs(3600)) {
                Ok(Some(decoded)) => return Some(Ok(decoded)),
                Ok(None) => {}
                Err(Error::Ended) if self.ends => return None,
                Err(Error::Ended) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
