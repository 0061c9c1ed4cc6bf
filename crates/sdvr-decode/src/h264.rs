//! H.264 by OpenH264: the constrained baseline, main and high profiles in 4:2:0, 8 bits, whole frames.

mod at_once;
mod open_h264;
mod order;

use open_h264::{Decoded, OpenH264, State};
use order::Order;
use sdvr_frame::FourCc;
use sdvr_frame::h264::SequenceParameters;
use sdvr_frame::picture_order::Place;

use crate::colours::{Colours, Matrix, Range};
use crate::convert::{Converter, Source, Strided};
use crate::decoder::Coded;
use crate::error::DecodeError;
use crate::layout::Layout;
use crate::picture::{Picture, Pixels};

/// Parameter sets larger than this together are not kept; real ones have a hundred bytes.
const PARAMETER_SETS_MOST_BYTES: usize = 64 * 1024;

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
    /// The frame as the decoder gets it, when it has parameter sets.
    unit: Vec<u8>,
    /// The last ones, for a decoder that begins at a key frame without any.
    parameter_sets: Vec<u8>,
    sequence: Option<SequenceParameters>,
    order: Order,
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
struct Contents<'a> {
    /// From its first slice on.
    slice: Option<&'a [u8]>,
    is_key: bool,
    sequence: Option<SequenceParameters>,
}

impl H264 {
    pub(crate) fn new(extradata: &[u8]) -> Self {
        let mut new = Self {
            progress: Progress::Waiting,
            unit: Vec::new(),
            parameter_sets: Vec::new(),
            sequence: None,
            order: Order::default(),
            converter: Converter::default(),
        };
        let contents = new.look_into(extradata);
        new.sequence = contents.sequence;
        new
    }

    /// Nothing is decoded before the next key frame.
    pub(crate) fn reset(&mut self) {
        self.progress = Progress::Waiting;
        self.order.clear();
    }

    /// Decodes a frame; when a picture comes out and `wanted` says where, it is made what is wanted. Gives the number of the frame that the picture is of.
    pub(crate) fn decode(
        &mut self,
        frame: Coded<'_>,
        wanted: Option<(Pixels, &mut Picture)>,
    ) -> Result<Option<u64>, DecodeError> {
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
        let Some(next) = self.order.take_first() else {
            return Ok(false);
        };
        self.hand_out_waiting(next, Some((pixels, picture)))?;
        Ok(true)
    }

    /// Makes the only picture that waits for its turn what is wanted; it goes on waiting. False when there is none.
    pub(crate) fn preview(
        &mut self,
        pixels: Pixels,
        picture: &mut Picture,
    ) -> Result<bool, DecodeError> {
        let Some(only) = self.order.only() else {
            return Ok(false);
        };
        convert_waiting(&mut self.converter, only, pixels, picture).map(|()| true)
    }

    fn decode_unit(
        &mut self,
        frame: Coded<'_>,
        wanted: Option<(Pixels, &mut Picture)>,
    ) -> Result<Option<u64>, DecodeError> {
        let contents = self.look_into(frame.bytes);
        self.sequence = contents.sequence.or(self.sequence);
        if let Progress::Waiting = self.progress {
            self.begin(frame, &contents)?;
        }
        if let Some(sequence) = &self.sequence {
            check(sequence)?;
        }
        let Progress::Decoding(decoder) = &mut self.progress else {
            return Err(DecodeError::AwaitsKeyFrame);
        };
        let unit = if contents.sequence.is_some() {
            &self.unit
        } else {
            frame.bytes
        };
        let decoded = decoder.decode(unit, frame.number);
        let decoded = decoded.map_err(|state| damaged(cause(state)))?;
        let (Some(decoded), Some(slice)) = (decoded, contents.slice) else {
            return match contents.slice {
                Some(_) => Err(damaged("parts of its picture are missing")),
                None => Ok(None),
            };
        };
        let sequence = self.sequence.as_ref();
        let place = sequence.and_then(|sequence| self.order.place(slice, sequence));
        let colours = sequence.map_or_else(Colours::default, colours_of);
        let reordered = sequence.and_then(|sequence| sequence.reordered);
        let is_next = place.is_none() || reordered == Some(0);
        if is_next && self.order.is_empty() {
            if let Some((pixels, picture)) = wanted {
                hand_out(&mut self.converter, &decoded, colours, pixels, picture)?;
            }
            return Ok(Some(decoded.number));
        }
        let mut own = self.order.spare();
        hand_out(
            &mut self.converter,
            &decoded,
            colours,
            Pixels::Planes,
            &mut own,
        )?;
        match self
            .order
            .exchange(place.unwrap_or(Place::LAST), own, reordered)
        {
            Some(next) => self.hand_out_waiting(next, wanted).map(Some),
            None => Ok(None),
        }
    }

    /// Makes a decoder, if one can begin with this frame.
    fn begin(&mut self, frame: Coded<'_>, contents: &Contents<'_>) -> Result<(), DecodeError> {
        if !contents.is_key {
            return Err(if frame.is_key && contents.slice.is_some() {
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
            let known = decoder.decode(&self.parameter_sets, frame.number);
            known.map(drop).map_err(|state| damaged(cause(state)))?;
        }
        self.progress = Progress::Decoding(decoder);
        Ok(())
    }

    /// Looks at the NAL units before the first slice, and keeps parameter sets.
    fn look_into<'a>(&mut self, unit: &'a [u8]) -> Contents<'a> {
        let mut contents = Contents::default();
        self.unit.clear();
        let mut rest = after_start_code(unit);
        while let Some(from) = rest {
            let kind = from.first().map_or(0, |header| header & 31);
            // Slices are most of a unit, and their ends are not looked for.
            if (SLICE..=KEY_SLICE).contains(&kind) {
                if contents.sequence.is_some() {
                    self.unit.extend_from_slice(&[0, 0, 0, 1]);
                    self.unit.extend_from_slice(from);
                }
                (contents.slice, contents.is_key) = (Some(from), kind == KEY_SLICE);
                break;
            }
            rest = after_start_code(from);
            let behind = rest.map_or(0, |rest| rest.len().saturating_add(START_CODE.len()));
            let nal = from.get(..from.len().saturating_sub(behind));
            let nal = nal.unwrap_or_default();
            let begin = self.unit.len();
            if kind == SEQUENCE {
                if contents.sequence.is_none() {
                    self.parameter_sets.clear();
                }
                contents.sequence = SequenceParameters::parse(nal).or(contents.sequence);
                at_once::write(nal, &mut self.unit);
            } else {
                self.unit.extend_from_slice(&[0, 0, 0, 1]);
                self.unit.extend_from_slice(nal);
            }
            if kind == SEQUENCE || kind == PICTURE {
                self.keep_parameters(begin);
            }
        }
        contents
    }

    /// Keeps what was written last.
    fn keep_parameters(&mut self, begin: usize) {
        let written = self.unit.get(begin..).unwrap_or_default();
        let bytes = self.parameter_sets.len().saturating_add(written.len());
        if bytes < PARAMETER_SETS_MOST_BYTES {
            self.parameter_sets.extend_from_slice(written);
        }
    }

    /// Makes a picture that has waited what is wanted, and gives its number.
    fn hand_out_waiting(
        &mut self,
        mut waited: Picture,
        wanted: Option<(Pixels, &mut Picture)>,
    ) -> Result<u64, DecodeError> {
        let number = waited.number;
        match wanted {
            Some((Pixels::Planes, picture)) => std::mem::swap(picture, &mut waited),
            Some((pixels, picture)) => {
                convert_waiting(&mut self.converter, &waited, pixels, picture)?;
            }
            None => {}
        }
        self.order.give_back(waited);
        Ok(number)
    }
}

/// Makes a picture that has waited what is wanted.
fn convert_waiting(
    converter: &mut Converter,
    waited: &Picture,
    pixels: Pixels,
    picture: &mut Picture,
) -> Result<(), DecodeError> {
    let (width, height) = (waited.width, waited.height);
    let source = Source::of_rows_without_padding(waited.layout, width, height, &waited.bytes);
    let mut source = source.ok_or(DecodeError::Size { width, height })?;
    source.colours = waited.colours;
    converter.convert(&source, pixels, picture)?;
    picture.number = waited.number;
    Ok(())
}

/// Makes a picture of the decoder what is wanted.
fn hand_out(
    converter: &mut Converter,
    decoded: &Decoded<'_>,
    colours: Colours,
    pixels: Pixels,
    picture: &mut Picture,
) -> Result<(), DecodeError> {
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
    Ok(())
}

/// As the parameter set says, or as of video that does not.
fn colours_of(sequence: &SequenceParameters) -> Colours {
    let mut colours = Colours::of_unmarked_video(sequence.height);
    if let Some(said) = sequence.colours {
        if said.is_full_range {
            colours.range = Range::Full;
        }
        let matrix = said.matrix.and_then(Matrix::of_code);
        colours.matrix = matrix.unwrap_or(colours.matrix);
    }
    colours
}

/// Refuses what the decoder cannot do, which it does not tell apart from damage.
fn check(sequence: &SequenceParameters) -> Result<(), DecodeError> {
    DecodeError::check_size(sequence.width, sequence.height)?;
    let is_eight_bit_420 = sequence.chroma_format == 1 && sequence.extra_depth == 0;
    let hint = if !is_eight_bit_420 {
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
