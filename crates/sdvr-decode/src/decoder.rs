//! One stream's decoder.

use sdvr_frame::{FourCc, StreamFormat};

use crate::error::DecodeError;
#[cfg(all(feature = "h264", not(feature = "libav")))]
use crate::h264::H264;
#[cfg(feature = "libav")]
use crate::libav::LibavDecoder;
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
    #[cfg(all(feature = "h264", not(feature = "libav")))]
    H264(Box<H264>),
    #[cfg(feature = "libav")]
    Libav(Box<LibavDecoder>),
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
        #[cfg(feature = "libav")]
        if let Some(libav) = LibavDecoder::new(format.fourcc, options.engine, &options.extradata)? {
            return Ok(Self {
                engine: Engine::Libav(Box::new(libav)),
            });
        }
        let engine = match &format.fourcc.0 {
            b"MJPG" | b"JPEG" => Engine::Mjpeg(Mjpeg::default()),
            #[cfg(all(feature = "h264", not(feature = "libav")))]
            b"H264" if options.engine != EngineChoice::Hardware => {
                Engine::H264(Box::new(H264::new(&options.extradata)))
            }
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
            #[cfg(all(feature = "h264", not(feature = "libav")))]
            Engine::H264(_) => "OpenH264",
            #[cfg(feature = "libav")]
            Engine::Libav(libav) => libav.engine(),
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
            #[cfg(all(feature = "h264", not(feature = "libav")))]
            Engine::H264(h264) => {
                let number = h264.decode(frame, Some((pixels, picture)))?;
                Ok(number.is_some())
            }
            #[cfg(feature = "libav")]
            Engine::Libav(libav) => {
                let number = libav.decode(frame, Some((pixels, picture)))?;
                Ok(number.is_some())
            }
        }
    }

    /// Takes a frame in when nobody wants the picture that comes out: what comes after it may need it. Gives the number of the frame whose picture that was, which
    /// is not this one where pictures are held back. Of formats whose frames stand alone it does nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::decode`].
    pub fn pass(&mut self, frame: Coded<'_>) -> Result<Option<u64>, DecodeError> {
        match &mut self.engine {
            Engine::Raw(_) | Engine::Mjpeg(_) => Ok(Some(frame.number)),
            #[cfg(all(feature = "h264", not(feature = "libav")))]
            Engine::H264(h264) => h264.decode(frame, None),
            #[cfg(feature = "libav")]
            Engine::Libav(libav) => libav.decode(frame, None),
        }
    }

    /// The next picture that [`Self::decode`] has held back for its turn, as if the stream ended here; false when there is none left. Decoding goes on at the next key
    /// frame.
    ///
    /// # Errors
    ///
    /// As [`Self::decode`].
    pub fn drain(&mut self, pixels: Pixels, picture: &mut Picture) -> Result<bool, DecodeError> {
        match &mut self.engine {
            Engine::Raw(_) | Engine::Mjpeg(_) => {
                let _ = (pixels, picture);
                Ok(false)
            }
            #[cfg(all(feature = "h264", not(feature = "libav")))]
            Engine::H264(h264) => h264.drain(pixels, picture),
            #[cfg(feature = "libav")]
            Engine::Libav(libav) => libav.drain(pixels, picture),
        }
    }

    /// The picture that [`Self::decode`] holds back, if it is the only one and can be looked at: for who has nothing to show yet. It comes out in its turn all the
    /// same. False where there is none, and always of libavcodec, which keeps it to itself.
    ///
    /// # Errors
    ///
    /// As [`Self::decode`].
    pub fn preview(&mut self, pixels: Pixels, picture: &mut Picture) -> Result<bool, DecodeError> {
        match &mut self.engine {
            #[cfg(all(feature = "h264", not(feature = "libav")))]
            Engine::H264(h264) => h264.preview(pixels, picture),
            _ => {
                let _ = (pixels, picture);
                Ok(false)
            }
        }
    }

    /// Says that frames are missing from here on: nothing is decoded before the next key frame. Pictures that have not come out yet are dropped.
    pub fn reset(&mut self) {
        match &mut self.engine {
            Engine::Raw(_) | Engine::Mjpeg(_) => {}
            #[cfg(all(feature = "h264", not(feature = "libav")))]
            Engine::H264(h264) => h264.reset(),
            #[cfg(feature = "libav")]
            Engine::Libav(libav) => libav.reset(),
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
