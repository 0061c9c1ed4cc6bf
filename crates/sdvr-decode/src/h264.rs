//! H.264 by OpenH264: the constrained baseline, main and high profiles in 4:2:0, 8 bits, whole frames.

mod bits;
mod open_h264;
mod sps;

use std::collections::VecDeque;

use open_h264::{Decoded, OpenH264, Output, State};
use sdvr_frame::FourCc;
use sps::ParameterSet;

use crate::colours::Colours;
use crate::convert::{Converter, Source, Strided};
use crate::decoder::Coded;
use crate::error::DecodeError;
use crate::layout::Layout;
use crate::picture::{Picture, Pixels};

/// Parameter sets larger than this together are not kept; real ones have a hundred bytes.
const PARAMETER_SETS_MOST_BYTES: usize = 64 * 1024;
/// No stream may keep back more pictures than that (H.264, A.3.1, h).
const REORDERED_MOST: usize = 16;

const START_CODE: [u8; 3] = [0, 0, 1];
/// NAL unit types: table 7-1.
const SLICE: u8 = 1;
const KEY_SLICE: u8 = 5;
const SEQUENCE: u8 = 7;
const PICTURE: u8 = 8;

/// Makes pictures of a stream's access units.
#[derive(Debug)]
pub(crate) struct H264 {
    progress: Progress,
    /// The last ones, for a decoder that begins at a key frame without any.
    parameter_sets: Vec<u8>,
    sequence: Option<ParameterSet>,
    /// Pictures from before the last key frame whose turn it was not yet.
    earlier: VecDeque<Picture>,
    converter: Converter,
}

#[derive(Debug)]
enum Progress {
    /// Until the next key frame.
    Waiting,
    /// Frames follow one another.
    Decoding(OpenH264),
}

/// What is in an access unit, as far as its first slice.
#[derive(Debug, Default)]
struct Contents {
    has_slice: bool,
    is_key: bool,
    sequence: Option<ParameterSet>,
}

impl H264 {
    pub(crate) fn new(extradata: &[u8]) -> Self {
        let mut new = Self {
            progress: Progress::Waiting,
            parameter_sets: Vec::new(),
            sequence: None,
            earlier: VecDeque::new(),
            converter: Converter::default(),
        };
        let contents = new.look_into(extradata);
        new.sequence = contents.sequence;
        new
    }

    /// Nothing is decoded before the next key frame.
    pub(crate) fn reset(&mut self) {
        self.progress = Progress::Waiting;
        self.earlier.clear();
    }

    /// Decodes a frame; when a picture comes out and `wanted` says where, it is made what is wanted.
    pub(crate) fn decode(
        &mut self,
        frame: Coded<'_>,
        wanted: Option<(Pixels, &mut Picture)>,
    ) -> Result<bool, DecodeError> {
        let result = self.decode_unit(frame, wanted);
        if result.is_err() {
            self.reset();
        }
        result
    }

    /// The next picture of those whose turn it was not yet, at the end of the stream.
    pub(crate) fn drain(
        &mut self,
        pixels: Pixels,
        picture: &mut Picture,
    ) -> Result<bool, DecodeError> {
        let colours = self.colours();
        if let Some(earlier) = self.earlier.pop_front() {
            return self.hand_out_earlier(&earlier, pixels, picture);
        }
        let Progress::Decoding(decoder) = &mut self.progress else {
            return Ok(false);
        };
        match decoder.flush() {
            Some(decoded) => hand_out(&mut self.converter, &decoded, colours, pixels, picture),
            None => Ok(false),
        }
    }

    fn decode_unit(
        &mut self,
        frame: Coded<'_>,
        wanted: Option<(Pixels, &mut Picture)>,
    ) -> Result<bool, DecodeError> {
        let contents = self.look_into(frame.bytes);
        if contents.is_key {
            self.keep_earlier();
        }
        if let Some(sequence) = contents.sequence {
            self.sequence = Some(sequence);
        }
        if let Progress::Waiting = self.progress {
            self.begin(frame, &contents)?;
        }
        if let Some(sequence) = &self.sequence {
            check(sequence)?;
        }
        let colours = self.colours();
        let at_once = self.sequence.is_some_and(|sequence| !sequence.may_reorder);
        let Progress::Decoding(decoder) = &mut self.progress else {
            return Err(DecodeError::AwaitsKeyFrame);
        };
        let output = decoder.decode(frame.bytes, frame.number, at_once);
        let decoded = match output.map_err(|state| damaged(cause(state)))? {
            Output::Picture(decoded) => Some(decoded),
            Output::Later => None,
            Output::Nothing if contents.has_slice => {
                return Err(damaged("parts of its picture are missing"));
            }
            Output::Nothing => None,
        };
        if self.earlier.is_empty() {
            return match (decoded, wanted) {
                (Some(decoded), Some((pixels, picture))) => {
                    hand_out(&mut self.converter, &decoded, colours, pixels, picture)
                }
                (decoded, _) => Ok(decoded.is_some()),
            };
        }
        if let Some(decoded) = decoded {
            let mut own = Picture::default();
            hand_out(
                &mut self.converter,
                &decoded,
                colours,
                Pixels::Planes,
                &mut own,
            )?;
            self.earlier.push_back(own);
        }
        let earlier = self.earlier.pop_front().filter(|_| contents.has_slice);
        match (earlier, wanted) {
            (Some(earlier), Some((pixels, picture))) => {
                self.hand_out_earlier(&earlier, pixels, picture)
            }
            (earlier, _) => Ok(earlier.is_some()),
        }
    }

    /// Takes the pictures that wait for their turn out of the decoder: a key frame begins a new order, and may have another size.
    fn keep_earlier(&mut self) {
        let colours = self.colours();
        let Progress::Decoding(decoder) = &mut self.progress else {
            return;
        };
        while self.earlier.len() < REORDERED_MOST
            && let Some(decoded) = decoder.flush()
        {
            let mut own = Picture::default();
            let kept = hand_out(
                &mut self.converter,
                &decoded,
                colours,
                Pixels::Planes,
                &mut own,
            );
            if kept.is_ok() {
                self.earlier.push_back(own);
            }
        }
    }

    /// Makes a decoder, if one can begin with this frame.
    fn begin(&mut self, frame: Coded<'_>, contents: &Contents) -> Result<(), DecodeError> {
        if !contents.is_key {
            return Err(if frame.is_key && contents.has_slice {
                DecodeError::Unsupported {
                    format: FourCc::H264,
                    hint: "OpenH264 cannot begin where a picture is refreshed in parts or an open group begins; build with `--features libav`, or have the camera send IDR frames",
                }
            } else {
                DecodeError::AwaitsKeyFrame
            });
        }
        let memory = || damaged("there is no memory for a decoder");
        let mut decoder = OpenH264::new().ok_or_else(memory)?;
        if contents.sequence.is_none() && !self.parameter_sets.is_empty() {
            let known = decoder.decode(&self.parameter_sets, frame.number, false);
            known.map_err(|state| damaged(cause(state)))?;
        }
        self.progress = Progress::Decoding(decoder);
        Ok(())
    }

    /// Looks at the NAL units before the first slice, and keeps parameter sets.
    fn look_into(&mut self, unit: &[u8]) -> Contents {
        let mut contents = Contents::default();
        let mut rest = after_start_code(unit);
        while let Some(from) = rest {
            let kind = from.first().map_or(0, |header| header & 31);
            // Slices are most of a unit, and their ends are not looked for.
            if (SLICE..=KEY_SLICE).contains(&kind) {
                (contents.has_slice, contents.is_key) = (true, kind == KEY_SLICE);
                break;
            }
            rest = after_start_code(from);
            let behind = rest.map_or(0, |rest| rest.len().saturating_add(START_CODE.len()));
            let nal = from.get(..from.len().saturating_sub(behind));
            let nal = nal.unwrap_or_default();
            if kind == SEQUENCE {
                if contents.sequence.is_none() {
                    self.parameter_sets.clear();
                }
                contents.sequence = ParameterSet::parse(nal).or(contents.sequence);
            }
            if kind == SEQUENCE || kind == PICTURE {
                self.keep_parameters(nal);
            }
        }
        contents
    }

    fn keep_parameters(&mut self, nal: &[u8]) {
        if self.parameter_sets.len().saturating_add(nal.len()) < PARAMETER_SETS_MOST_BYTES {
            self.parameter_sets.extend_from_slice(&[0, 0, 0, 1]);
            self.parameter_sets.extend_from_slice(nal);
        }
    }

    fn colours(&self) -> Colours {
        self.sequence
            .map_or_else(Colours::default, |sequence| sequence.colours)
    }

    fn hand_out_earlier(
        &mut self,
        earlier: &Picture,
        pixels: Pixels,
        picture: &mut Picture,
    ) -> Result<bool, DecodeError> {
        let (width, height) = (earlier.width, earlier.height);
        let source = Source::of_rows_without_padding(earlier.layout, width, height, &earlier.bytes);
        let mut source = source.ok_or(DecodeError::Size { width, height })?;
        source.colours = earlier.colours;
        self.converter.convert(&source, pixels, picture)?;
        picture.number = earlier.number;
        Ok(true)
    }
}

/// Makes a picture of the decoder what is wanted.
fn hand_out(
    converter: &mut Converter,
    decoded: &Decoded<'_>,
    colours: Colours,
    pixels: Pixels,
    picture: &mut Picture,
) -> Result<bool, DecodeError> {
    let (width, height) = (decoded.width, decoded.height);
    let [y, cb, cr] = decoded.planes;
    let source = Source::new(
        Layout::Yuv420,
        width,
        height,
        [y, cb, cr, Strided::default()],
    );
    let mut source = source.ok_or(DecodeError::Size { width, height })?;
    source.colours = colours;
    converter.convert(&source, pixels, picture)?;
    picture.number = decoded.number;
    Ok(true)
}

/// Refuses what the decoder cannot do, which it does not tell apart from damage.
fn check(sequence: &ParameterSet) -> Result<(), DecodeError> {
    DecodeError::check_size(sequence.width, sequence.height)?;
    let hint = if !sequence.is_eight_bit_420 {
        "OpenH264 decodes 4:2:0 in 8 bits; build with `--features libav` for others"
    } else if sequence.may_be_interlaced {
        "OpenH264 decodes whole frames; build with `--features libav` for interlaced ones"
    } else {
        return Ok(());
    };
    Err(DecodeError::Unsupported {
        format: FourCc::H264,
        hint,
    })
}

/// What is behind the next start code (annex B).
fn after_start_code(bytes: &[u8]) -> Option<&[u8]> {
    let at = bytes
        .windows(START_CODE.len())
        .position(|three| three == START_CODE)?;
    bytes.get(at.checked_add(START_CODE.len())?..)
}

fn damaged(cause: impl Into<String>) -> DecodeError {
    DecodeError::Damaged {
        format: FourCc::H264,
        cause: cause.into(),
    }
}

/// `DECODING_STATE` in words: `codec_app_def.h` of OpenH264.
fn cause(State(state): State) -> String {
    let words = [
        (0x02, "a picture that it needs is missing"),
        (0x40, "a picture that it needs is missing"),
        (0x10, "its parameter sets are missing"),
        (0x4000, "there is no memory for it"),
        (0x04, "its bits make no sense"),
    ];
    let word = words.iter().find(|(bit, _)| state & bit != 0);
    let word = word.map_or("it cannot be decoded", |(_, word)| word);
    format!("{word} (OpenH264 says {state:#x})")
}
