//! One camera, from opening to closing.
#![expect(unsafe_code, reason = "exports functions under the names that C calls")]

use std::ffi::{c_char, c_int};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Mutex, RwLock};

use sdvr::{Camera, Frame, Pictures, Pixels, Ready};

use crate::arguments::{self, Array, place};
use crate::facts::{fixed, sdvr_state, sdvr_stream_info};
use crate::frame::{FRAMES, HeldFrame, sdvr_frame};
use crate::handles::{Handles, alone, changed};
use crate::picture::{HeldPicture, PICTURES, Shown, sdvr_picture};
use crate::status::{Failure, catch, sdvr_status};

/// A camera that is read. For one thread at a time; calls of a second one return SDVR_BUSY.
#[derive(Debug)]
pub struct sdvr_camera(());

pub(crate) static CAMERAS: Handles<Mutex<Open>, sdvr_camera> = Handles::new(0);

/// A camera that C holds.
#[derive(Debug)]
pub(crate) struct Open {
    reading: Reading,
    /// Once C has asked for a descriptor.
    ready: Option<Ready>,
}

impl Open {
    /// The camera, as it was before C had it.
    pub(crate) fn into_camera(self) -> Result<Camera, Failure> {
        match self.reading {
            Reading::Frames(camera) => Ok(camera),
            Reading::Pictures(pictures, _) => Ok(pictures.into_camera()),
            Reading::Between => Err(broken()),
        }
    }
}

/// How a camera is read.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one a camera, and it is moved when it is read in another way"
)]
enum Reading {
    /// As frames.
    Frames(Camera),
    /// As pictures, by a decoder that knows the frames before.
    Pictures(Box<Pictures>, Pixels),
    /// While one becomes the other.
    Between,
}

impl Reading {
    fn camera(&self) -> Result<&Camera, Failure> {
        match self {
            Self::Frames(camera) => Ok(camera),
            Self::Pictures(pictures, _) => Ok(pictures.camera()),
            Self::Between => Err(broken()),
        }
    }

    fn frames(&mut self) -> Result<&mut Camera, Failure> {
        if let Self::Pictures(..) = self
            && let Self::Pictures(pictures, _) = std::mem::replace(self, Self::Between)
        {
            *self = Self::Frames(pictures.into_camera());
        }
        match self {
            Self::Frames(camera) => Ok(camera),
            Self::Pictures(..) | Self::Between => Err(broken()),
        }
    }

    fn pictures(&mut self, pixels: Pixels) -> Result<&mut Pictures, Failure> {
        let is_so = matches!(self, Self::Pictures(_, own) if *own == pixels);
        if !is_so {
            self.frames()?;
            if let Self::Frames(camera) = std::mem::replace(self, Self::Between) {
                *self = Self::Pictures(Box::new(camera.decoded(pixels)), pixels);
            }
        }
        match self {
            Self::Pictures(pictures, _) => Ok(pictures),
            Self::Frames(_) | Self::Between => Err(broken()),
        }
    }
}

/// What was begun in a call before did not come to its end, which only a panic can do.
fn broken() -> Failure {
    Failure::new(
        sdvr_status::SDVR_PANICKED,
        "SDVR had an error in a call with this camera before; close it",
    )
}

/// Gives a camera to C.
pub(crate) fn keep(camera: Camera) -> Result<*mut sdvr_camera, Failure> {
    CAMERAS.keep(Mutex::new(Open {
        reading: Reading::Frames(camera),
        ready: None,
    }))
}

/// Opens a camera by its label, its fingerprint or the name of its file, and stores it in *out_camera; give it back with sdvr_camera_close. start is one of
/// sdvr_start. SDVR_NOT_FOUND when it is not there: sdvr_camera_wait_for waits instead.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_open(
    camera: *const c_char,
    start: u32,
    out_camera: Option<&mut MaybeUninit<*mut sdvr_camera>>,
) -> sdvr_status {
    catch(|| {
        let out_camera = place(out_camera, "out_camera")?;
        let (name, start) = (arguments::text(camera, "camera")?, arguments::start(start)?);
        out_camera.write(keep(Camera::open_at(&name, start)?)?);
        Ok(())
    })
}

/// As sdvr_camera_open, in a directory that is not one of the usual ones.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_open_in(
    directory: *const c_char,
    camera: *const c_char,
    start: u32,
    out_camera: Option<&mut MaybeUninit<*mut sdvr_camera>>,
) -> sdvr_status {
    catch(|| {
        let out_camera = place(out_camera, "out_camera")?;
        let (name, start) = (arguments::text(camera, "camera")?, arguments::start(start)?);
        let directory = arguments::text(directory, "directory")?;
        out_camera.write(keep(Camera::open_in(Path::new(&directory), &name, start)?)?);
        Ok(())
    })
}

/// A camera that may not be there yet: the first call for a frame waits for it, and begins with its first frame. Give it back with sdvr_camera_close.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_wait_for(
    camera: *const c_char,
    out_camera: Option<&mut MaybeUninit<*mut sdvr_camera>>,
) -> sdvr_status {
    catch(|| {
        let out_camera = place(out_camera, "out_camera")?;
        let name = arguments::text(camera, "camera")?;
        out_camera.write(keep(Camera::wait_for(&name))?);
        Ok(())
    })
}

/// As sdvr_camera_wait_for, in a directory that is not one of the usual ones.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_wait_for_in(
    directory: *const c_char,
    camera: *const c_char,
    out_camera: Option<&mut MaybeUninit<*mut sdvr_camera>>,
) -> sdvr_status {
    catch(|| {
        let out_camera = place(out_camera, "out_camera")?;
        let name = arguments::text(camera, "camera")?;
        let directory = arguments::text(directory, "directory")?;
        out_camera.write(keep(Camera::wait_for_in(Path::new(&directory), &name))?);
        Ok(())
    })
}

/// Gives a camera back. Its frames and pictures stay. Null is given back, too, and nothing happens. SDVR_BUSY while another thread is in a call with it:
/// then it is still open.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_close(camera: *mut sdvr_camera) -> sdvr_status {
    catch(|| CAMERAS.give_back(camera))
}

/// Waits for the next frame that policy (one of sdvr_policy) wants, at most timeout_ms (or SDVR_FOREVER), and stores it in *out_frame; give it back with
/// sdvr_frame_release. Copies the frame once.
///
/// SDVR_TIMEOUT when none came; sdvr_camera_state tells how the camera is doing. SDVR_ENDED once when the camera says that it ends: the next call waits for it to
/// come back. A camera whose link is cut, whose source is started anew, or whose daemon is restarted, is waited for inside.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_next(
    camera: *mut sdvr_camera,
    policy: u32,
    timeout_ms: u32,
    out_frame: Option<&mut MaybeUninit<*mut sdvr_frame>>,
) -> sdvr_status {
    catch(|| {
        let out_frame = place(out_frame, "out_frame")?;
        let policy = arguments::policy(policy)?;
        let camera = CAMERAS.find(camera)?;
        let mut camera = alone(&camera)?;
        let camera = camera.reading.frames()?;
        let frame: Frame = arguments::within(timeout_ms, |timeout| {
            let frame = camera.next(policy, timeout)?;
            come(frame, camera)
        })?;
        let held = HeldFrame::of(frame, Some(camera));
        out_frame.write(FRAMES.keep(RwLock::new(held))?);
        Ok(())
    })
}

/// As sdvr_camera_next, into the memory of a frame that is not needed any more, of whichever camera, or that sdvr_frame_new made. Pointers to its
/// bytes are not good any more. It holds nothing unless SDVR_OK is returned.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_next_into(
    camera: *mut sdvr_camera,
    policy: u32,
    timeout_ms: u32,
    frame: *mut sdvr_frame,
) -> sdvr_status {
    catch(|| {
        let policy = arguments::policy(policy)?;
        let (camera, frame) = (CAMERAS.find(camera)?, FRAMES.find(frame)?);
        let (mut camera, mut frame) = (alone(&camera)?, changed(&frame)?);
        let camera = camera.reading.frames()?;
        let spare = frame.take();
        let held = match spare {
            Some(mut spare) => {
                let has_come = arguments::within(timeout_ms, |timeout| {
                    let has_come = camera.next_into(policy, timeout, &mut spare)?;
                    come(has_come.then_some(()), camera)
                });
                if let Err(failure) = has_come {
                    frame.keep_memory(spare);
                    return Err(failure);
                }
                spare
            }
            None => arguments::within(timeout_ms, |timeout| {
                let frame = camera.next(policy, timeout)?;
                come(frame, camera)
            })?,
        };
        *frame = HeldFrame::of(held, Some(camera));
        Ok(())
    })
}

/// As sdvr_camera_next, decoded: waits for the next picture, of pixels (one of sdvr_pixels), and stores it in *out_picture; give it back with
/// sdvr_picture_release.
///
/// SDVR_UNDECODABLE for a frame that gave no picture; the next call goes on behind it. A camera that is asked for pixels of another kind, or for frames in between, is decoded
/// anew: of H.264 and its kin from the next key frame on.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_next_picture(
    camera: *mut sdvr_camera,
    policy: u32,
    pixels: u32,
    timeout_ms: u32,
    out_picture: Option<&mut MaybeUninit<*mut sdvr_picture>>,
) -> sdvr_status {
    catch(|| {
        let out_picture = place(out_picture, "out_picture")?;
        let (policy, pixels) = (arguments::policy(policy)?, arguments::pixels(pixels)?);
        let camera = CAMERAS.find(camera)?;
        let mut camera = alone(&camera)?;
        let pictures = camera.reading.pictures(pixels)?;
        let decoded = arguments::within(timeout_ms, |timeout| {
            let decoded = pictures.next(policy, timeout)?;
            come(decoded, pictures.camera())
        })?;
        let label = fixed(pictures.camera().label());
        let held = HeldPicture::new(Shown::Decoded(decoded), label);
        out_picture.write(PICTURES.keep(RwLock::new(held))?);
        Ok(())
    })
}

/// As sdvr_camera_next_picture, into the memory of a picture that is not needed any more, of whichever camera, or that sdvr_picture_new made. Pointers
/// to its bytes are not good any more. It holds nothing unless SDVR_OK is returned.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_next_picture_into(
    camera: *mut sdvr_camera,
    policy: u32,
    pixels: u32,
    timeout_ms: u32,
    picture: *mut sdvr_picture,
) -> sdvr_status {
    catch(|| {
        let (policy, pixels) = (arguments::policy(policy)?, arguments::pixels(pixels)?);
        let (camera, picture) = (CAMERAS.find(camera)?, PICTURES.find(picture)?);
        let (mut camera, mut picture) = (alone(&camera)?, changed(&picture)?);
        let pictures = camera.reading.pictures(pixels)?;
        let decoded = match picture.take() {
            Some(mut spare) => {
                let has_come = arguments::within(timeout_ms, |timeout| {
                    let has_come = pictures.next_into(policy, timeout, &mut spare)?;
                    come(has_come.then_some(()), pictures.camera())
                });
                if let Err(failure) = has_come {
                    picture.keep_memory(spare);
                    return Err(failure);
                }
                spare
            }
            None => arguments::within(timeout_ms, |timeout| {
                let decoded = pictures.next(policy, timeout)?;
                come(decoded, pictures.camera())
            })?,
        };
        let label = fixed(pictures.camera().label());
        *picture = HeldPicture::new(Shown::Decoded(decoded), label);
        Ok(())
    })
}

/// Stores in *out_state how the camera is doing; SDVR_LOST also while its daemon is not there.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_state(
    camera: *mut sdvr_camera,
    out_state: Option<&mut MaybeUninit<sdvr_state>>,
) -> sdvr_status {
    catch(|| {
        let out_state = place(out_state, "out_state")?;
        let camera = CAMERAS.find(camera)?;
        out_state.write(alone(&camera)?.reading.camera()?.state().into());
        Ok(())
    })
}

/// Stores in *out_has_gone whether a camera that sdvr_for_each_camera gave has gone, or the work is to stop: 1 if so, else 0, and 0 for every other camera. Take
/// the frames that are left, and return.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_has_gone(
    camera: *mut sdvr_camera,
    out_has_gone: Option<&mut MaybeUninit<c_int>>,
) -> sdvr_status {
    catch(|| {
        let out_has_gone = place(out_has_gone, "out_has_gone")?;
        let camera = CAMERAS.find(camera)?;
        out_has_gone.write(alone(&camera)?.reading.camera()?.has_gone().into());
        Ok(())
    })
}

/// Stores in *out_descriptor a descriptor that is readable when the camera has something to say, for programs that wait by poll or epoll. It stays readable until a call for
/// a frame, such as with a timeout of 0, has returned SDVR_TIMEOUT. It is the camera's: nothing is read from it, and it is closed with the camera.
///
/// Ask for it before the first picture; later, decoding begins anew.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_descriptor(
    camera: *mut sdvr_camera,
    out_descriptor: Option<&mut MaybeUninit<c_int>>,
) -> sdvr_status {
    catch(|| {
        let out_descriptor = place(out_descriptor, "out_descriptor")?;
        let camera = CAMERAS.find(camera)?;
        let mut camera = alone(&camera)?;
        let Open { reading, ready } = &mut *camera;
        let ready = match ready {
            Some(ready) => ready,
            None => ready.insert(reading.frames()?.ready().map_err(|error| {
                Failure::new(
                    sdvr_status::SDVR_UNUSABLE,
                    format!("the system gives no descriptor or no thread: {error}"),
                )
            })?),
        };
        out_descriptor.write(ready.as_raw_fd());
        Ok(())
    })
}

/// Stores in *out_info what the camera's stream is. SDVR_NOT_FOUND while it is not there.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_describe(
    camera: *mut sdvr_camera,
    out_info: Option<&mut MaybeUninit<sdvr_stream_info>>,
) -> sdvr_status {
    catch(|| {
        let out_info = place(out_info, "out_info")?;
        let camera = CAMERAS.find(camera)?;
        let open = alone(&camera)?;
        let info = sdvr_stream_info::of(open.reading.camera()?).ok_or_else(not_there)?;
        out_info.write(info);
        Ok(())
    })
}

/// Copies what a decoder of the camera's stream needs beforehand into buffer, which has room for buffer_bytes, and stores in *out_len_bytes how long it is, which
/// is often 0. SDVR_TOO_SMALL when it has no room: then only the length is stored. SDVR_NOT_FOUND while the camera is not there.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_extradata(
    camera: *mut sdvr_camera,
    buffer: *mut u8,
    buffer_bytes: usize,
    out_len_bytes: Option<&mut MaybeUninit<usize>>,
) -> sdvr_status {
    let buffer = Array {
        memory: buffer,
        capacity: buffer_bytes,
        out_len: out_len_bytes,
    };
    catch(|| {
        let camera = CAMERAS.find(camera)?;
        let open = alone(&camera)?;
        let info = open.reading.camera()?.info().ok_or_else(not_there)?;
        buffer.fill(&info.extradata)
    })
}

/// Copies what decodes the camera's pictures, such as "zune-jpeg" or "OpenH264", with a zero byte at its end, into buffer, which has room for buffer_bytes, and
/// stores in *out_len_bytes how long it is with that. SDVR_TOO_SMALL when it has no room: then only the length is stored. SDVR_EMPTY before the first picture.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_engine(
    camera: *mut sdvr_camera,
    buffer: *mut c_char,
    buffer_bytes: usize,
    out_len_bytes: Option<&mut MaybeUninit<usize>>,
) -> sdvr_status {
    let buffer = Array {
        memory: buffer.cast(),
        capacity: buffer_bytes,
        out_len: out_len_bytes,
    };
    catch(|| {
        let camera = CAMERAS.find(camera)?;
        let open = alone(&camera)?;
        let engine = match &open.reading {
            Reading::Pictures(pictures, _) => pictures.engine(),
            Reading::Frames(_) | Reading::Between => None,
        };
        let engine = engine.ok_or_else(|| {
            Failure::new(
                sdvr_status::SDVR_EMPTY,
                "nothing was decoded of this camera yet",
            )
        })?;
        buffer.fill(&[engine.as_bytes(), &[0]].concat())
    })
}

/// Stores in *out_missed how many frames of runs and rings that have ended were published and not handed out, and no frame has told of yet: for a program
/// that stops here, such as after SDVR_ENDED.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_missed_at_end(
    camera: *mut sdvr_camera,
    out_missed: Option<&mut MaybeUninit<u64>>,
) -> sdvr_status {
    catch(|| {
        let out_missed = place(out_missed, "out_missed")?;
        let camera = CAMERAS.find(camera)?;
        out_missed.write(alone(&camera)?.reading.camera()?.missed_at_end());
        Ok(())
    })
}

/// What has come; of a camera that has gone nothing more does, however long the wait is.
fn come<T>(thing: Option<T>, camera: &Camera) -> Result<Option<T>, Failure> {
    match thing {
        None if camera.has_gone() => Err(Failure::timeout()),
        thing => Ok(thing),
    }
}

fn not_there() -> Failure {
    Failure::new(
        sdvr_status::SDVR_NOT_FOUND,
        "the camera is not there now; a call for its next frame waits for it",
    )
}
