//! One stream's decoder.

use sdvr_frame::{FourCc, StreamFormat};

use crate::error::DecodeError;
use crate::mjpeg::Mjpeg;
use crate::picture::{Picture, Pixels};
use crate::raw::Raw;

/// A frame as it was published.
#[derive(Clone, Copy, Debug)]
pub struct Coded<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Which one it is, to tell whose picture comes out.
    pub number: u64,
    /// Whether decoding can begin with it.
    pub is_key: bool,
}

/// What may decode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EngineChoice {
    /// Hardware where it is found, else software; [`Decoder::engine`] tells which it became, and why.
    #[default]
    Auto,
    /// Software.
    Software,
    /// Hardware, or [`DecodeError::Unsupported`].
    Hardware,
}

/// How a stream is decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecoderOptions {
    /// What may decode.
    pub engine: EngineChoice,
    /// What the stream was published with: parameter sets of some H.264 and H.265 streams, the header of a YUV4MPEG2 stream.
    pub extradata: Vec<u8>,
}

/// Makes pictures of one stream's frames.
#[derive(Debug)]
pub struct Decoder {
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Raw(Raw),
    Mjpeg(Mjpeg),
}

impl Decoder {
    /// A decoder for a stream of this format.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Unsupported`] when there is none, [`DecodeError::Size`] when its pictures are too large.
    pub fn new(format: StreamFormat) -> Result<Self, DecodeError> {
        Self::with_options(format, &DecoderOptions::default())
    }

    /// A decoder for a stream of this format, by what may decode it.
    ///
    /// # Errors
    ///
    /// As [`Self::new`]; [`DecodeError::Unsupported`] also when hardware is wanted and not there.
    pub fn with_options(
        format: StreamFormat,
        options: &DecoderOptions,
    ) -> Result<Self, DecodeError> {
        if options.engine == EngineChoice::Hardware && !format.fourcc.is_inter_coded() {
            return Err(DecodeError::Unsupported {
                format: format.fourcc,
                hint: "no hardware is used for it; leave the choice to the decoder",
            });
        }
        if let Some(raw) = Raw::new(&format, &options.extradata)? {
            return Ok(Self {
                engine: Engine::Raw(raw),
            });
        }
        let engine = match &format.fourcc.0 {
            b"MJPG" | b"JPEG" => Engine::Mjpeg(Mjpeg::default()),
            _ => return Err(unsupported(format.fourcc)),
        };
        Ok(Self { engine })
    }

    /// What decodes, for people: `raw`, `zune-jpeg`, `OpenH264`, `libavcodec h264`, `libavcodec hevc (VAAPI)`.
    #[must_use]
    pub fn engine(&self) -> &str {
        match &self.engine {
            Engine::Raw(_) => "raw",
            Engine::Mjpeg(_) => "zune-jpeg",
        }
    }

    /// Decodes a frame into `picture`. False when none came out: some encoders send pictures in another order than they are shown in, and then one
    /// comes out frames later; [`Picture::number`] says which it is.
    ///
    /// After an error what is in `picture` is of no use; its memory is.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]; the frame gave no picture, and the next call goes on.
    pub fn decode(
        &mut self,
        frame: Coded<'_>,
        pixels: Pixels,
        picture: &mut Picture,
    ) -> Result<bool, DecodeError> {
        match &mut self.engine {
            Engine::Raw(raw) => raw.decode(frame, pixels, picture).map(|()| true),
            Engine::Mjpeg(mjpeg) => mjpeg.decode(frame, pixels, picture).map(|()| true),
        }
    }

    /// Takes a frame in whose picture nobody wants: what comes after it may need it. Of formats whose frames stand alone it does nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::decode`].
    pub fn pass(&mut self, frame: Coded<'_>) -> Result<(), DecodeError> {
        match &mut self.engine {
            Engine::Raw(_) | Engine::Mjpeg(_) => {
                let _ = frame;
                Ok(())
            }
        }
    }

    /// Gives a picture that has not come out yet, as if the stream ended here: of one call after the other those that [`Self::decode`] held back, in the
    /// order in which they are shown. False when there is none left. Decoding then goes on at a key frame only.
    ///
    /// # Errors
    ///
    /// As [`Self::decode`].
    pub fn drain(&mut self, pixels: Pixels, picture: &mut Picture) -> Result<bool, DecodeError> {
        let _ = (pixels, picture);
        Ok(false)
    }

    /// Says that frames are missing from here on: nothing is decoded before the next key frame. Pictures that have not come out yet are dropped.
    pub fn reset(&mut self) {
        match &mut self.engine {
            Engine::Raw(_) | Engine::Mjpeg(_) => {}
        }
    }
}

fn unsupported(format: FourCc) -> DecodeError {
    let hint = match format {
        FourCc::BNCH => "its frames measure, and have no pixels",
        _ if format.is_inter_coded() => {
            "this build has no decoder for it; build with `--features libav`"
        }
        _ => "it is not a format that this version knows",
    };
    DecodeError::Unsupported { format, hint }
}
