//! One stream's decoder.

use sdvr_frame::{FourCc, StreamFormat};

use crate::error::DecodeError;
use crate::picture::{Layout, Picture, Pixels};

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

/// Makes pictures of one stream's frames.
#[derive(Debug)]
pub struct Decoder {
    format: StreamFormat,
}

impl Decoder {
    /// A decoder for a stream of this format.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Unsupported`] when there is none, [`DecodeError::Size`] when its pictures are too large.
    pub fn new(format: StreamFormat) -> Result<Self, DecodeError> {
        Ok(Self { format })
    }

    /// What decodes, for people: `raw`, `zune-jpeg`, `OpenH264`, `libavcodec h264`, `libavcodec hevc (VAAPI)`.
    #[must_use]
    pub fn engine(&self) -> &str {
        "raw"
    }

    /// Decodes a frame into `picture`. False when none came out: some encoders send pictures in another order than they are shown in, and then one
    /// comes out frames later; [`Picture::number`] says which it is.
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
        let (width, height) = (self.format.width, self.format.height);
        if self.format.fourcc != FourCc::GREY || pixels != Pixels::Gray {
            return Err(DecodeError::Unsupported {
                format: self.format.fourcc,
                hint: "it is not a format that this version knows",
            });
        }
        picture.bytes.clear();
        picture.bytes.extend_from_slice(frame.bytes);
        picture.layout = Layout::Gray;
        (picture.width, picture.height, picture.number) = (width, height, frame.number);
        Ok(true)
    }

    /// Takes a frame in whose picture nobody wants: what comes after it may need it. Of formats whose frames stand alone it does nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::decode`].
    pub fn pass(&mut self, frame: Coded<'_>) -> Result<(), DecodeError> {
        let _ = frame;
        Ok(())
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
    pub fn reset(&mut self) {}
}
