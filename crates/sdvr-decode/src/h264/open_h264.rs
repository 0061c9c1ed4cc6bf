//! The calls of OpenH264 that its binding has no safe ones for: those that say which picture it is that comes out.
#![expect(
    unsafe_code,
    reason = "calls a C++ library; what comes out of here is slices that borrow from the decoder"
)]

use std::ptr;

use openh264::OpenH264API;
use openh264::decoder::{Decoder, DecoderConfig, Flush};
use openh264_sys2::SBufferInfo;

use crate::convert::Strided;

/// A decoder: no threads, nothing on standard error, nothing made up where bits are missing.
pub(super) struct OpenH264 {
    decoder: Decoder,
}

/// A picture, in the decoder's memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoded<'a> {
    /// Y, Cb, Cr; colour is shared by 2 x 2 pixels.
    pub(super) planes: [Strided<'a>; 3],
    pub(super) width: u32,
    pub(super) height: u32,
    /// Of the frame it was in.
    pub(super) number: u64,
}

/// `dsInvalidArgument`.
const INVALID_ARGUMENT: i32 = 0x1000;

/// Why there is no picture: the bits of `DECODING_STATE` in `codec_app_def.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State(pub(super) i32);

impl OpenH264 {
    /// `None` when there is no memory for it.
    pub(super) fn new() -> Option<Self> {
        let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
        let decoder = Decoder::with_api_config(OpenH264API::from_source(), config).ok()?;
        Some(Self { decoder })
    }

    /// Decodes an access unit into its picture; `None` when there is none in it.
    pub(super) fn decode(
        &mut self,
        unit: &[u8],
        number: u64,
    ) -> Result<Option<Decoded<'_>>, State> {
        let length = i32::try_from(unit.len()).map_err(|_| State(INVALID_ARGUMENT))?;
        let mut planes = [ptr::null_mut::<u8>(); 3];
        let mut info = SBufferInfo {
            uiInBsTimeStamp: number,
            ..SBufferInfo::default()
        };
        // SAFETY: The options that the binding relies on are left as it has set them.
        let api = unsafe { self.decoder.raw_api() };
        // SAFETY: `unit` can be read for `length` bytes and is not kept; three pointers to planes and one description are written, and both
        // are there.
        let state = unsafe {
            api.decode_frame_no_delay(
                unit.as_ptr(),
                length,
                (&raw mut planes).cast(),
                &raw mut info,
            )
        };
        if state != 0 {
            return Err(State(state));
        }
        Ok(self.picture(planes, &info))
    }

    /// What the decoder wrote, as slices; they borrow from `self`, because the next call overwrites the picture.
    fn picture(&self, planes: [*mut u8; 3], info: &SBufferInfo) -> Option<Decoded<'_>> {
        if info.iBufferStatus != 1 || planes.iter().any(|plane| plane.is_null()) {
            return None;
        }
        // SAFETY: The union has this one member.
        let buffer = unsafe { info.UsrData.sSystemBuffer };
        let width = u32::try_from(buffer.iWidth).ok()?;
        let height = u32::try_from(buffer.iHeight).ok()?;
        let strides = [buffer.iStride[0], buffer.iStride[1], buffer.iStride[1]];
        let mut strided = [Strided::default(); 3];
        for (place, plane) in strided.iter_mut().enumerate() {
            let stride = usize::try_from(strides[place]).ok()?;
            let shared = if place == 0 { 1 } else { 2 };
            let row_bytes = usize::try_from(width.div_ceil(shared)).ok()?;
            let rows = usize::try_from(height.div_ceil(shared)).ok()?;
            let bytes = stride
                .checked_mul(rows.checked_sub(1)?)?
                .checked_add(row_bytes)?;
            if stride < row_bytes {
                return None;
            }
            // SAFETY: OpenH264's planes have whole macroblocks and an edge around them, so that all rows of the cropped picture, whose first
            // one begins at the pointer, are there; they stay as they are until the next call, which needs `self` mutably.
            let bytes = unsafe { std::slice::from_raw_parts(planes[place], bytes) };
            *plane = Strided { bytes, stride };
        }
        Some(Decoded {
            planes: strided,
            width,
            height,
            number: info.uiOutYuvTimeStamp,
        })
    }
}

impl std::fmt::Debug for OpenH264 {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("OpenH264").finish_non_exhaustive()
    }
}
