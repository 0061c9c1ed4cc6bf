//! The decoder of one run of a camera, and the frames that are in it.

use std::collections::VecDeque;

use sdvr_decode::{Coded, DecodeError, Decoder, DecoderOptions, Picture, Pixels};
use sdvr_frame::{InstanceId, StreamFormat};

use crate::camera::Policy;
use crate::frame::Frame;

/// How many frames an encoder may send before the picture that is shown first: what H.264 and H.265 allow (`max_dec_frame_buffering`).
pub(super) const DELAYED_MOST: usize = 16;

/// What is to become of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) policy: Policy,
    pub(super) pixels: Pixels,
    /// Whether its picture is handed out, or only needed by others.
    pub(super) is_shown: bool,
}

#[derive(Debug)]
pub(super) struct Decoding {
    decoder: Decoder,
    options: DecoderOptions,
    format: StreamFormat,
    instance: InstanceId,
    /// Whether a picture of the frames since the last gap was handed out.
    has_begun: bool,
    /// Frames that were decoded and whose pictures have not come out.
    delayed: VecDeque<Frame>,
}

impl Decoding {
    pub(super) fn new(frame: &Frame, options: DecoderOptions) -> Result<Self, DecodeError> {
        Ok(Self {
            decoder: Decoder::with_options(frame.format(), &options)?,
            options,
            format: frame.format(),
            instance: frame.instance(),
            has_begun: false,
            delayed: VecDeque::new(),
        })
    }

    /// Whether the frame is of this run.
    pub(super) fn takes(&self, frame: &Frame) -> bool {
        self.instance == frame.instance() && self.format == frame.format()
    }

    pub(super) fn engine(&self) -> &str {
        self.decoder.engine()
    }

    /// How many pictures may still come out.
    pub(super) fn delayed(&self) -> u64 {
        self.delayed.len() as u64
    }

    /// Gives the frame whose picture came out, and which is wanted. Frames that are not needed any more go to `spare`.
    pub(super) fn decode(
        &mut self,
        frame: Frame,
        wish: Wish,
        picture: &mut Picture,
        spare: &mut Vec<Frame>,
    ) -> Result<Option<Frame>, DecodeError> {
        let is_inter_coded = self.format.fourcc.is_inter_coded();
        if is_inter_coded && (frame.missed() > 0 || wish.policy == Policy::KeyFrames) {
            self.decoder.reset();
            self.has_begun = false;
            spare.extend(self.delayed.drain(..));
        }
        let coded = Coded {
            bytes: frame.bytes(),
            number: frame.number().0,
            is_key: frame.is_key(),
        };
        let is_shown = wish.is_shown || !is_inter_coded || !self.has_begun;
        let came_out = if is_shown {
            let is_out = self.decoder.decode(coded, wish.pixels, picture);
            let is_out = if matches!(is_out, Ok(false)) && wish.policy == Policy::KeyFrames {
                self.decoder.drain(wish.pixels, picture)
            } else if matches!(is_out, Ok(false)) && !self.has_begun && coded.is_key {
                // It is in there, and held back for pictures that may be shown before it. Nobody waits for them when a camera is opened.
                match self.decoder.preview(wish.pixels, picture) {
                    Ok(false) => self.decode_alone(coded, wish.pixels, picture),
                    is_out => is_out,
                }
            } else {
                is_out
            };
            is_out.map(|is_out| is_out.then_some(picture.number()))
        } else {
            self.decoder.pass(coded)
        };
        let came_out = match came_out {
            Ok(number) => number,
            Err(error) => {
                // The decoder begins anew after it.
                spare.push(frame);
                spare.extend(self.delayed.drain(..));
                self.has_begun = false;
                return Err(error);
            }
        };
        self.delayed.push_back(frame);
        let of_picture = came_out.and_then(|number| self.take(number));
        while self.delayed.len() > DELAYED_MOST {
            spare.extend(self.delayed.pop_front());
        }
        if is_shown {
            self.has_begun |= of_picture.is_some();
            return Ok(of_picture);
        }
        spare.extend(of_picture);
        Ok(None)
    }

    /// At the end of a stream: the next picture that the decoder has held back for others that might have been shown before it.
    pub(super) fn take_held_back(
        &mut self,
        pixels: Pixels,
        picture: &mut Picture,
    ) -> Option<Frame> {
        self.has_begun = false;
        while matches!(self.decoder.drain(pixels, picture), Ok(true)) {
            if let Some(frame) = self.take(picture.number()) {
                return Some(frame);
            }
        }
        self.delayed.clear();
        None
    }

    fn decode_alone(
        &self,
        key: Coded<'_>,
        pixels: Pixels,
        picture: &mut Picture,
    ) -> Result<bool, DecodeError> {
        let mut decoder = Decoder::with_options(self.format, &self.options)?;
        Ok(decoder.decode(key, pixels, picture)? || decoder.drain(pixels, picture)?)
    }

    /// The frame of that number. `None` when its picture was handed out before its turn.
    fn take(&mut self, number: u64) -> Option<Frame> {
        let at = self
            .delayed
            .iter()
            .position(|frame| frame.number().0 == number)?;
        self.delayed.remove(at)
    }
}
