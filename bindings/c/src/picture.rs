//! Pictures that C holds.
#![expect(unsafe_code, reason = "exports functions under the names that C calls")]

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::sync::RwLock;

use sdvr::{Decoded, Frame, Layout, Picture};

use crate::arguments::place;
use crate::facts::{sdvr_frame_info, sdvr_picture_info, sdvr_plane};
use crate::handles::{Handles, shared};
use crate::status::{Failure, catch, sdvr_status};

/// A frame's pixels. Any number of threads may look at it at once; one that changes it or gives it back must be alone.
#[derive(Debug)]
pub struct sdvr_picture(());

pub(crate) static PICTURES: Handles<RwLock<HeldPicture>, sdvr_picture> = Handles::new(2);

/// How a picture's bytes lie. Rows have no padding, planes follow each other.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum sdvr_layout {
    /// A layout that this header has no number for.
    SDVR_LAYOUT_OTHER = 0,
    /// Red, green, blue.
    SDVR_LAYOUT_RGB = 1,
    /// Blue, green, red.
    SDVR_LAYOUT_BGR = 2,
    /// Red, green, blue, 255.
    SDVR_LAYOUT_RGBA = 3,
    /// Brightness, one byte.
    SDVR_LAYOUT_GRAY = 4,
    /// Brightness, two bytes, the lower one first.
    SDVR_LAYOUT_GRAY16 = 5,
    /// Brightness, two bytes, the higher one first.
    SDVR_LAYOUT_GRAY16_BIG_ENDIAN = 6,
    /// Packed Y Cb Cr, three bytes a pixel: what JPEG images have.
    SDVR_LAYOUT_YCBCR = 7,
    /// Packed Y0 Cb Y1 Cr, four bytes for two pixels.
    SDVR_LAYOUT_YUYV = 8,
    /// Packed Cb Y0 Cr Y1, four bytes for two pixels.
    SDVR_LAYOUT_UYVY = 9,
    /// Packed Y0 Cr Y1 Cb, four bytes for two pixels.
    SDVR_LAYOUT_YVYU = 10,
    /// Packed Cr Y0 Cb Y1, four bytes for two pixels.
    SDVR_LAYOUT_VYUY = 11,
    /// Y, then Cb and Cr in turn, shared by 2 x 2 pixels.
    SDVR_LAYOUT_NV12 = 12,
    /// Y, then Cr and Cb in turn, shared by 2 x 2 pixels.
    SDVR_LAYOUT_NV21 = 13,
    /// Y, then Cb and Cr in turn, shared by two pixels of a row.
    SDVR_LAYOUT_NV16 = 14,
    /// Y, then Cr and Cb in turn, shared by two pixels of a row.
    SDVR_LAYOUT_NV61 = 15,
    /// Planes Y, Cb, Cr; colour is shared by 2 x 2 pixels.
    SDVR_LAYOUT_YUV420 = 16,
    /// Planes Y, Cr, Cb; colour is shared by 2 x 2 pixels.
    SDVR_LAYOUT_YVU420 = 17,
    /// Planes Y, Cb, Cr; colour is shared by two pixels of a row.
    SDVR_LAYOUT_YUV422 = 18,
    /// Planes Y, Cb, Cr; colour is shared by four pixels of a row.
    SDVR_LAYOUT_YUV411 = 19,
    /// Planes Y, Cb, Cr of one size.
    SDVR_LAYOUT_YUV444 = 20,
    /// Planes Y, Cb, Cr and transparency of one size.
    SDVR_LAYOUT_YUVA444 = 21,
    /// SDVR_LAYOUT_NV12 with two bytes a sample, the lower one first; the value is in the upper bits.
    SDVR_LAYOUT_P010 = 22,
    /// SDVR_LAYOUT_YUV420 with two bytes a sample, the lower one first; the value is in the lower sample_bits.
    SDVR_LAYOUT_YUV420_DEEP = 23,
    /// SDVR_LAYOUT_YUV422 with two bytes a sample, as SDVR_LAYOUT_YUV420_DEEP.
    SDVR_LAYOUT_YUV422_DEEP = 24,
    /// SDVR_LAYOUT_YUV444 with two bytes a sample, as SDVR_LAYOUT_YUV420_DEEP.
    SDVR_LAYOUT_YUV444_DEEP = 25,
    /// A sample a pixel: rows of blue and green, then of green and red.
    SDVR_LAYOUT_BAYER_BGGR = 26,
    /// A sample a pixel: rows of green and blue, then of red and green.
    SDVR_LAYOUT_BAYER_GBRG = 27,
    /// A sample a pixel: rows of green and red, then of blue and green.
    SDVR_LAYOUT_BAYER_GRBG = 28,
    /// A sample a pixel: rows of red and green, then of green and blue.
    SDVR_LAYOUT_BAYER_RGGB = 29,
}

impl From<Layout> for sdvr_layout {
    fn from(layout: Layout) -> Self {
        match layout {
            Layout::Rgb => Self::SDVR_LAYOUT_RGB,
            Layout::Bgr => Self::SDVR_LAYOUT_BGR,
            Layout::Rgba => Self::SDVR_LAYOUT_RGBA,
            Layout::Gray => Self::SDVR_LAYOUT_GRAY,
            Layout::Gray16 => Self::SDVR_LAYOUT_GRAY16,
            Layout::Gray16BigEndian => Self::SDVR_LAYOUT_GRAY16_BIG_ENDIAN,
            Layout::Ycbcr => Self::SDVR_LAYOUT_YCBCR,
            Layout::Yuyv => Self::SDVR_LAYOUT_YUYV,
            Layout::Uyvy => Self::SDVR_LAYOUT_UYVY,
            Layout::Yvyu => Self::SDVR_LAYOUT_YVYU,
            Layout::Vyuy => Self::SDVR_LAYOUT_VYUY,
            Layout::Nv12 => Self::SDVR_LAYOUT_NV12,
            Layout::Nv21 => Self::SDVR_LAYOUT_NV21,
            Layout::Nv16 => Self::SDVR_LAYOUT_NV16,
            Layout::Nv61 => Self::SDVR_LAYOUT_NV61,
            Layout::Yuv420 => Self::SDVR_LAYOUT_YUV420,
            Layout::Yvu420 => Self::SDVR_LAYOUT_YVU420,
            Layout::Yuv422 => Self::SDVR_LAYOUT_YUV422,
            Layout::Yuv411 => Self::SDVR_LAYOUT_YUV411,
            Layout::Yuv444 => Self::SDVR_LAYOUT_YUV444,
            Layout::Yuva444 => Self::SDVR_LAYOUT_YUVA444,
            Layout::P010 => Self::SDVR_LAYOUT_P010,
            Layout::Yuv420Deep => Self::SDVR_LAYOUT_YUV420_DEEP,
            Layout::Yuv422Deep => Self::SDVR_LAYOUT_YUV422_DEEP,
            Layout::Yuv444Deep => Self::SDVR_LAYOUT_YUV444_DEEP,
            Layout::BayerBggr => Self::SDVR_LAYOUT_BAYER_BGGR,
            Layout::BayerGbrg => Self::SDVR_LAYOUT_BAYER_GBRG,
            Layout::BayerGrbg => Self::SDVR_LAYOUT_BAYER_GRBG,
            Layout::BayerRggb => Self::SDVR_LAYOUT_BAYER_RGGB,
            _ => Self::SDVR_LAYOUT_OTHER,
        }
    }
}

/// A picture, and whose it is.
#[derive(Debug)]
pub(crate) struct HeldPicture {
    shown: Shown,
    label: [c_char; 64],
}

/// What of a picture is there.
#[derive(Debug)]
pub(crate) enum Shown {
    Nothing,
    /// Memory of a picture that is over.
    Memory(Decoded),
    /// Of a camera that is read as pictures.
    Decoded(Decoded),
    /// Of a frame that was decoded alone.
    Alone(Picture, sdvr_frame_info),
}

impl HeldPicture {
    pub(crate) const fn new(shown: Shown, label: [c_char; 64]) -> Self {
        Self { shown, label }
    }

    /// The picture or its memory, to be filled anew.
    pub(crate) fn take(&mut self) -> Option<Decoded> {
        match std::mem::replace(&mut self.shown, Shown::Nothing) {
            Shown::Decoded(decoded) | Shown::Memory(decoded) => Some(decoded),
            Shown::Nothing | Shown::Alone(..) => None,
        }
    }

    pub(crate) fn keep_memory(&mut self, decoded: Decoded) {
        self.shown = Shown::Memory(decoded);
    }

    fn picture(&self) -> Result<&Picture, Failure> {
        match &self.shown {
            Shown::Decoded(decoded) => Ok(decoded.picture()),
            Shown::Alone(picture, _) => Ok(picture),
            Shown::Memory(_) | Shown::Nothing => Err(empty()),
        }
    }

    /// The frame that it was decoded from.
    pub(crate) fn frame(&self) -> Result<&Frame, Failure> {
        match &self.shown {
            Shown::Decoded(decoded) => Ok(decoded.frame()),
            Shown::Alone(..) | Shown::Memory(_) | Shown::Nothing => Err(empty()),
        }
    }

    fn describe(&self) -> Result<sdvr_picture_info, Failure> {
        let picture = self.picture()?;
        let (missed, frame) = match &self.shown {
            Shown::Decoded(decoded) => (
                decoded.missed(),
                sdvr_frame_info::of(decoded.frame(), &self.label),
            ),
            Shown::Alone(_, info) => (0, *info),
            Shown::Memory(_) | Shown::Nothing => return Err(empty()),
        };
        Ok(sdvr_picture_info {
            width: picture.width(),
            height: picture.height(),
            layout: picture.layout().into(),
            sample_bits: picture.sample_bits(),
            planes: u32::try_from(picture.planes().count()).unwrap_or(u32::MAX),
            missed,
            frame,
        })
    }
}

fn empty() -> Failure {
    Failure::new(sdvr_status::SDVR_EMPTY, "no picture is in here")
}

/// Stores in *out_picture a picture that holds nothing, for sdvr_camera_next_picture_into; give it back with sdvr_picture_release.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_picture_new(
    out_picture: Option<&mut MaybeUninit<*mut sdvr_picture>>,
) -> sdvr_status {
    catch(|| {
        let out_picture = place(out_picture, "out_picture")?;
        let nothing = HeldPicture::new(Shown::Nothing, [0; 64]);
        out_picture.write(PICTURES.keep(RwLock::new(nothing))?);
        Ok(())
    })
}

/// Gives a picture back. Pointers to its bytes are not good any more. Null is given back, too, and nothing happens.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_picture_release(picture: *mut sdvr_picture) -> sdvr_status {
    catch(|| PICTURES.give_back(picture))
}

/// Stores in *out_info what is known of a picture, and of the frame that it is of.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_picture_describe(
    picture: *const sdvr_picture,
    out_info: Option<&mut MaybeUninit<sdvr_picture_info>>,
) -> sdvr_status {
    catch(|| {
        let out_info = place(out_info, "out_info")?;
        let held = PICTURES.find(picture)?;
        out_info.write(shared(&held)?.describe()?);
        Ok(())
    })
}

/// Stores in *out_bytes where a picture's bytes are, plane after plane, and in *out_len_bytes how many. They are good until the picture is given back or
/// used again.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_picture_bytes(
    picture: *const sdvr_picture,
    out_bytes: Option<&mut MaybeUninit<*const u8>>,
    out_len_bytes: Option<&mut MaybeUninit<usize>>,
) -> sdvr_status {
    catch(|| {
        let out_bytes = place(out_bytes, "out_bytes")?;
        let out_len_bytes = place(out_len_bytes, "out_len_bytes")?;
        let held = PICTURES.find(picture)?;
        let held = shared(&held)?;
        let bytes = held.picture()?.bytes();
        out_bytes.write(bytes.as_ptr());
        out_len_bytes.write(bytes.len());
        Ok(())
    })
}

/// Stores in *out_plane the plane number index, from 0, in the order that sdvr_layout says. SDVR_INVALID_ARGUMENT when there are not so many.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_picture_plane(
    picture: *const sdvr_picture,
    index: u32,
    out_plane: Option<&mut MaybeUninit<sdvr_plane>>,
) -> sdvr_status {
    catch(|| {
        let out_plane = place(out_plane, "out_plane")?;
        let held = PICTURES.find(picture)?;
        let held = shared(&held)?;
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let plane = held.picture()?.planes().nth(at).ok_or_else(|| {
            Failure::new(
                sdvr_status::SDVR_INVALID_ARGUMENT,
                format!("the picture has no plane {index}"),
            )
        })?;
        out_plane.write(sdvr_plane {
            bytes: plane.bytes.as_ptr(),
            len_bytes: plane.bytes.len(),
            row_bytes: plane.row_bytes,
            rows: plane.rows,
        });
        Ok(())
    })
}

/// Stores in *out_bytes where the bytes of the frame are that a picture was decoded from, and in *out_len_bytes how many. They are good until the picture is given back
/// or used again. SDVR_EMPTY for a picture of sdvr_frame_decode, whose frame has them.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_picture_coded(
    picture: *const sdvr_picture,
    out_bytes: Option<&mut MaybeUninit<*const u8>>,
    out_len_bytes: Option<&mut MaybeUninit<usize>>,
) -> sdvr_status {
    catch(|| {
        let out_bytes = place(out_bytes, "out_bytes")?;
        let out_len_bytes = place(out_len_bytes, "out_len_bytes")?;
        let held = PICTURES.find(picture)?;
        let held = shared(&held)?;
        let bytes = held.frame()?.bytes();
        out_bytes.write(bytes.as_ptr());
        out_len_bytes.write(bytes.len());
        Ok(())
    })
}
