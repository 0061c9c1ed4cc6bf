//! Why there is no picture.

use sdvr_frame::FourCc;

/// Why a frame gave no picture. Decoding goes on: with the next frame, or of inter-coded streams with the next key frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// This build has no decoder for the format, or the format has no pixels.
    #[error("{format} cannot be decoded: {hint}")]
    Unsupported {
        /// Which format.
        format: FourCc,
        /// Why, and what to do.
        hint: &'static str,
    },
    /// A picture of this size is not decoded: it has no pixels, or more than [`crate::Picture::PIXELS_MOST`].
    #[error(
        "a picture of {width}x{height} pixels is not decoded: it must have 1 to {} of them",
        crate::Picture::PIXELS_MOST
    )]
    Size {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// What comes out of the decoder has pixels of a kind that is not converted.
    #[error("the {format} picture has {pixels} pixels, which are not converted")]
    UnknownPixels {
        /// Which format.
        format: FourCc,
        /// What the decoder calls them.
        pixels: String,
    },
    /// The frame has not as many bytes as its format and size need.
    #[error(
        "{actual_bytes} bytes are no {format} picture of {width}x{height} pixels, which has {expected_bytes}"
    )]
    Length {
        /// Which format.
        format: FourCc,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// What a picture takes.
        expected_bytes: u64,
        /// What there is.
        actual_bytes: u64,
    },
    /// The bytes are damaged: by the camera, or on the way to `sdvrc`.
    #[error("the {format} picture is damaged: {cause}")]
    Damaged {
        /// Which format.
        format: FourCc,
        /// What the decoder says.
        cause: String,
    },
    /// A frame before it is missing or was damaged, and no key frame has come since.
    #[error("frames before it are missing; decoding goes on at the next key frame")]
    AwaitsKeyFrame,
}

impl DecodeError {
    /// Refuses pictures without pixels, and with too many.
    pub(crate) fn check_size(width: u32, height: u32) -> Result<(), Self> {
        let pixels = u64::from(width) * u64::from(height);
        if (1..=crate::Picture::PIXELS_MOST).contains(&pixels) {
            Ok(())
        } else {
            Err(Self::Size { width, height })
        }
    }
}
