//! H.264, H.265, VP8, VP9 and AV1 by the libavcodec of the system, with its hardware decoders where they are found.

mod raw;

use std::collections::VecDeque;

use raw::{Choice, Codec, Decoded, Libav, NotOpened, Received, Sent};
use sdvr_frame::FourCc;

use crate::colours::{Colours, Matrix, Range};
use crate::convert::{Converter, Source};
use crate::decoder::{Coded, EngineChoice};
use crate::error::DecodeError;
use crate::layout::Layout;
use crate::picture::{Picture, Pixels};

/// Makes pictures of a stream's frames.
#[derive(Debug)]
pub(crate) struct LibavDecoder {
    fourcc: FourCc,
    decoder: Libav,
    choice: EngineChoice,
    engine: String,
    uses_hardware: bool,
    progress: Progress,
    /// Pictures that came out together with another one.
    ready: VecDeque<Picture>,
    converter: Converter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Until the next key frame.
    Waiting,
    Decoding,
    /// What waited is taken out; then it begins anew.
    Finishing,
}

impl LibavDecoder {
    /// `None` when it is none of the formats.
    pub(crate) fn new(
        fourcc: FourCc,
        choice: EngineChoice,
        extradata: &[u8],
    ) -> Result<Option<Self>, DecodeError> {
        let codec = match fourcc {
            FourCc::H264 => Codec::H264,
            FourCc::HEVC => Codec::Hevc,
            FourCc::VP80 => Codec::Vp8,
            FourCc::VP90 => Codec::Vp9,
            FourCc::AV01 => Codec::Av1,
            _ => return Ok(None),
        };
        let wanted = match choice {
            EngineChoice::Auto => Choice::Auto,
            EngineChoice::Software => Choice::Software,
            EngineChoice::Hardware => Choice::Hardware,
        };
        let decoder = Libav::open(codec, wanted, extradata).map_err(|why| {
            DecodeError::Unsupported {
                format: fourcc,
                hint: match why {
                    NotOpened::NoMemory => "there is no memory for a decoder",
                    NotOpened::NoDecoder => "this system's libavcodec has no decoder for it",
                    NotOpened::NoHardware => {
                        "no hardware decoder was found; leave the choice to the decoder, or give this program its device (/dev/dri, for example)"
                    }
                    NotOpened::Refused => "libavcodec refuses to open its decoder",
                },
            }
        })?;
        let uses_hardware = decoder.finds_hardware;
        let mut new = Self {
            fourcc,
            decoder,
            choice,
            engine: String::new(),
            uses_hardware,
            progress: Progress::Waiting,
            ready: VecDeque::new(),
            converter: Converter::default(),
        };
        new.describe();
        Ok(Some(new))
    }

    pub(crate) fn engine(&self) -> &str {
        &self.engine
    }

    /// Nothing is decoded before the next key frame.
    pub(crate) fn reset(&mut self) {
        self.decoder.reset();
        self.ready.clear();
        self.progress = Progress::Waiting;
    }

    /// Decodes a frame; when a picture comes out and `wanted` says where, it is made what is wanted. Gives the number of the frame that the picture is of.
    pub(crate) fn decode(
        &mut self,
        frame: Coded<'_>,
        wanted: Option<(Pixels, &mut Picture)>,
    ) -> Result<Option<u64>, DecodeError> {
        if self.progress == Progress::Finishing {
            self.reset();
        }
        if self.progress == Progress::Waiting && !frame.is_key {
            return Err(DecodeError::AwaitsKeyFrame);
        }
        self.progress = Progress::Decoding;
        let result = self.send(frame).and_then(|()| self.next(wanted));
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
        match self.progress {
            Progress::Waiting => return Ok(false),
            Progress::Decoding => {
                self.decoder.finish();
                self.progress = Progress::Finishing;
            }
            Progress::Finishing => {}
        }
        let result = self.next(Some((pixels, picture)));
        if !matches!(result, Ok(Some(_))) {
            self.reset();
        }
        result.map(|number| number.is_some())
    }

    fn send(&mut self, frame: Coded<'_>) -> Result<(), DecodeError> {
        loop {
            let sent = self.decoder.send(frame.bytes, frame.number, frame.is_key);
            match sent.map_err(|cause| self.damaged(cause))? {
                Sent::Yes => return Ok(()),
                Sent::NotYet => {
                    let mut own = Picture::default();
                    if self.receive(Some((Pixels::Planes, &mut own)))?.is_none() {
                        return Err(self.damaged("the decoder takes no more frames".to_owned()));
                    }
                    self.ready.push_back(own);
                }
            }
        }
    }

    /// Hands out the next picture, whether it is there already or not.
    fn next(&mut self, wanted: Option<(Pixels, &mut Picture)>) -> Result<Option<u64>, DecodeError> {
        let Some(ready) = self.ready.pop_front() else {
            return self.receive(wanted);
        };
        if let Some((pixels, picture)) = wanted {
            let (width, height) = (ready.width, ready.height);
            let source = Source::of_rows_without_padding(ready.layout, width, height, &ready.bytes);
            let mut source = source.ok_or(DecodeError::Size { width, height })?;
            (source.colours, source.sample_bits) = (ready.colours, ready.sample_bits);
            self.converter.convert(&source, pixels, picture)?;
            picture.number = ready.number;
        }
        Ok(Some(ready.number))
    }

    fn receive(
        &mut self,
        wanted: Option<(Pixels, &mut Picture)>,
    ) -> Result<Option<u64>, DecodeError> {
        let format = self.fourcc;
        let damaged = |cause: String| DecodeError::Damaged { format, cause };
        let decoded = match self.decoder.receive().map_err(damaged)? {
            Received::Picture(decoded) => decoded,
            Received::Nothing => return Ok(None),
            Received::Corrupt => {
                return Err(damaged("parts of its picture are missing".to_owned()));
            }
            Received::UnknownPixels(pixels) => {
                return Err(DecodeError::UnknownPixels { format, pixels });
            }
        };
        let (number, uses_hardware) = (decoded.number, decoded.uses_hardware);
        if let Some((pixels, picture)) = wanted {
            let (width, height) = (decoded.width, decoded.height);
            let source = Source::new(decoded.layout, width, height, decoded.planes);
            let mut source = source.ok_or(DecodeError::Size { width, height })?;
            (source.colours, source.sample_bits) = (colours(&decoded), decoded.bits);
            self.converter.convert(&source, pixels, picture)?;
            picture.number = number;
        }
        if uses_hardware != self.uses_hardware {
            self.uses_hardware = uses_hardware;
            self.describe();
        }
        Ok(Some(number))
    }

    /// Says what decodes, and where that is not hardware, why.
    fn describe(&mut self) {
        let (name, hardware) = (&self.decoder.name, &self.decoder.hardware);
        let name = format!("libavcodec {name}");
        self.engine = match self.choice {
            _ if self.uses_hardware => format!("{name} ({hardware})"),
            EngineChoice::Auto if self.decoder.finds_hardware => {
                format!("{name}, software: {hardware} does not decode this kind of stream")
            }
            EngineChoice::Auto if hardware.is_empty() => {
                format!("{name}, software: it has no hardware decoder")
            }
            EngineChoice::Auto => {
                format!("{name}, software: no hardware decoder was found ({hardware})")
            }
            EngineChoice::Software | EngineChoice::Hardware => format!("{name}, software"),
        };
    }

    fn damaged(&self, cause: String) -> DecodeError {
        DecodeError::Damaged {
            format: self.fourcc,
            cause,
        }
    }
}

fn colours(decoded: &Decoded<'_>) -> Colours {
    if decoded.layout == Layout::Gray && decoded.is_full_range {
        return Colours::FULL_601;
    }
    let unmarked = Colours::of_unmarked_video(decoded.height);
    Colours {
        matrix: Matrix::of_code(decoded.matrix).unwrap_or(unmarked.matrix),
        range: if decoded.is_full_range {
            Range::Full
        } else {
            Range::Limited
        },
    }
}
