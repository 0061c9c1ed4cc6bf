//! Pictures that C holds.
#![expect(unsafe_code, reason = "exports functions under the names that C calls")]

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::sync::RwLock;

use sdvr::{Decoded, Layout, Picture, Plane};

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
}

impl From<Layout> for sdvr_layout {
    fn from(layout: Layout) -> Self {
        match layout {
            Layout::Rgb => Self::SDVR_LAYOUT_RGB,
            Layout::Bgr => Self::SDVR_LAYOUT_BGR,
            Layout::Rgba => Self::SDVR_LAYOUT_RGBA,
            Layout::Gray => Self::SDVR_LAYOUT_GRAY,
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
            planes: u32::try_from(planes(picture).count()).unwrap_or(u32::MAX),
            missed,
            frame,
        })
    }
}

/// The planes of a picture; packed pixels are one.
fn planes(picture: &Picture) -> impl Iterator<Item = Plane<'_>> {
    let rows = usize::try_from(picture.height()).unwrap_or(0);
    picture
        .bytes()
        .len()
        .checked_div(rows)
        .map(|row_bytes| Plane {
            bytes: picture.bytes(),
            row_bytes,
            rows,
        })
        .into_iter()
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
        let plane = planes(held.picture()?).nth(at).ok_or_else(|| {
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
        let Shown::Decoded(decoded) = &held.shown else {
            return Err(empty());
        };
        let bytes = decoded.frame().bytes();
        out_bytes.write(bytes.as_ptr());
        out_len_bytes.write(bytes.len());
        Ok(())
    })
}
