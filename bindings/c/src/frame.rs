//! Frames that C holds.
#![expect(unsafe_code, reason = "exports functions under the names that C calls")]

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::sync::RwLock;

use sdvr::{Camera, Coded, Decoder, DecoderOptions, Frame, Picture};

use crate::arguments::{self, place};
use crate::facts::{fixed, sdvr_frame_info};
use crate::handles::{Handles, shared};
use crate::picture::{HeldPicture, PICTURES, Shown, sdvr_picture};
use crate::status::{Failure, catch, sdvr_status};

/// A frame: its bytes, and what is known of it. Any number of threads may look at it at once; one that changes it or gives it back must be alone.
#[derive(Debug)]
pub struct sdvr_frame(());

pub(crate) static FRAMES: Handles<RwLock<HeldFrame>, sdvr_frame> = Handles::new(1);

/// A frame, and whose it is.
#[derive(Debug)]
pub(crate) struct HeldFrame {
    held: Held,
    label: [c_char; 64],
    /// What a decoder needs beforehand. Most streams have nothing here.
    extradata: Vec<u8>,
}

/// What of a frame is there.
#[derive(Debug)]
enum Held {
    Nothing,
    /// Memory of a frame that is over.
    Memory(Frame),
    Frame(Frame),
}

impl HeldFrame {
    const fn empty() -> Self {
        Self {
            held: Held::Nothing,
            label: [0; 64],
            extradata: Vec::new(),
        }
    }

    /// A frame that a camera has just given.
    pub(crate) fn of(frame: Frame, camera: Option<&Camera>) -> Self {
        let info = camera.and_then(Camera::info);
        Self {
            held: Held::Frame(frame),
            label: fixed(camera.map_or("", Camera::label)),
            extradata: info.map(|info| info.extradata.clone()).unwrap_or_default(),
        }
    }

    /// The frame or its memory, to be filled anew.
    pub(crate) fn take(&mut self) -> Option<Frame> {
        match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Frame(frame) | Held::Memory(frame) => Some(frame),
            Held::Nothing => None,
        }
    }

    pub(crate) fn keep_memory(&mut self, frame: Frame) {
        self.held = Held::Memory(frame);
    }

    pub(crate) fn frame(&self) -> Result<&Frame, Failure> {
        match &self.held {
            Held::Frame(frame) => Ok(frame),
            Held::Memory(_) | Held::Nothing => {
                Err(Failure::new(sdvr_status::SDVR_EMPTY, "no frame is in here"))
            }
        }
    }
}

/// Stores in *out_frame a frame that holds nothing, for sdvr_camera_next_into; give it back with sdvr_frame_release.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_frame_new(
    out_frame: Option<&mut MaybeUninit<*mut sdvr_frame>>,
) -> sdvr_status {
    catch(|| {
        let out_frame = place(out_frame, "out_frame")?;
        out_frame.write(FRAMES.keep(RwLock::new(HeldFrame::empty()))?);
        Ok(())
    })
}

/// Gives a frame back. Pointers to its bytes are not good any more. Null is given back, too, and nothing happens.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_frame_release(frame: *mut sdvr_frame) -> sdvr_status {
    catch(|| FRAMES.give_back(frame))
}

/// Stores in *out_info what is known of a frame.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_frame_describe(
    frame: *const sdvr_frame,
    out_info: Option<&mut MaybeUninit<sdvr_frame_info>>,
) -> sdvr_status {
    catch(|| {
        let out_info = place(out_info, "out_info")?;
        let held = FRAMES.find(frame)?;
        let held = shared(&held)?;
        out_info.write(sdvr_frame_info::of(held.frame()?, &held.label));
        Ok(())
    })
}

/// Stores in *out_bytes where a frame's bytes are, and in *out_len_bytes how many. They are good until the frame is given back or used again.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_frame_bytes(
    frame: *const sdvr_frame,
    out_bytes: Option<&mut MaybeUninit<*const u8>>,
    out_len_bytes: Option<&mut MaybeUninit<usize>>,
) -> sdvr_status {
    catch(|| {
        let out_bytes = place(out_bytes, "out_bytes")?;
        let out_len_bytes = place(out_len_bytes, "out_len_bytes")?;
        let held = FRAMES.find(frame)?;
        let held = shared(&held)?;
        let bytes = held.frame()?.bytes();
        out_bytes.write(bytes.as_ptr());
        out_len_bytes.write(bytes.len());
        Ok(())
    })
}

/// Decodes one frame alone, into pixels (one of sdvr_pixels), and stores the picture in *out_picture; give it back with sdvr_picture_release. Of H.264 and its kin that
/// goes well for key frames only: use sdvr_camera_next_picture for what follows them.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_frame_decode(
    frame: *const sdvr_frame,
    pixels: u32,
    out_picture: Option<&mut MaybeUninit<*mut sdvr_picture>>,
) -> sdvr_status {
    catch(|| {
        let out_picture = place(out_picture, "out_picture")?;
        let pixels = arguments::pixels(pixels)?;
        let held = FRAMES.find(frame)?;
        let held = shared(&held)?;
        let frame = held.frame()?;
        let coded = Coded {
            bytes: frame.bytes(),
            number: frame.number().0,
            is_key: frame.is_key(),
        };
        let mut picture = Picture::default();
        let mut options = DecoderOptions::default();
        options.extradata.clone_from(&held.extradata);
        let mut decoder = Decoder::with_options(frame.format(), &options)?;
        let is_out =
            decoder.decode(coded, pixels, &mut picture)? || decoder.drain(pixels, &mut picture)?;
        if !is_out {
            return Err(Failure::new(
                sdvr_status::SDVR_UNDECODABLE,
                format!("frame {} has no picture of its own", frame.number()),
            ));
        }
        let alone = Shown::Alone(picture, sdvr_frame_info::of(frame, &held.label));
        let held = HeldPicture::new(alone, held.label);
        out_picture.write(PICTURES.keep(RwLock::new(held))?);
        Ok(())
    })
}
