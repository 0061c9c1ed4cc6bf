//! Work that is done for every camera that comes.
#![expect(unsafe_code, reason = "exports functions under the names that C calls")]

use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sdvr::{Camera, EachCamera, ForEach};

use crate::arguments::{self, is_null, place};
use crate::camera::{self, CAMERAS, sdvr_camera};
use crate::handles::Handles;
use crate::status::{Failure, catch, sdvr_status};

/// Work that is done for every camera.
#[derive(Debug)]
pub struct sdvr_each(());

static EACH: Handles<Mutex<ForEach>, sdvr_each> = Handles::new(7);

/// What is done for a camera: called on a thread of its own, with what sdvr_for_each_camera was given as context. The camera is closed when it returns, if that was not done in it. It must not throw.
pub type sdvr_work = Option<extern "C" fn(context: *mut c_void, camera: *mut sdvr_camera)>;

thread_local! {
    /// Whether this thread does the work of a camera.
    static IS_WORKING: Cell<bool> = const { Cell::new(false) };
}

/// Calls work for every camera that is there and that comes, each on a thread of its own, until sdvr_each_stop, and stores in *out_each what is given to that. Streams that
/// programs publish are no cameras: sdvr_watch_next tells of them.
///
/// When a camera goes, nothing ends the work: it has to ask sdvr_camera_has_gone before each call for a frame, and return when that then has
/// nothing more with a timeout of 0. When the camera comes back, work is called again with a new handle, after
/// the first call has returned; if it is the same run of the source, it goes on after the last frame that was taken.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_for_each_camera(
    work: sdvr_work,
    context: *mut c_void,
    out_each: Option<&mut MaybeUninit<*mut sdvr_each>>,
) -> sdvr_status {
    catch(|| {
        let out_each = place(out_each, "out_each")?;
        out_each.write(start(EachCamera::new(), work, context)?);
        Ok(())
    })
}

/// As sdvr_for_each_camera, for the cameras of a directory that is not one of the usual ones.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_for_each_camera_in(
    directory: *const c_char,
    work: sdvr_work,
    context: *mut c_void,
    out_each: Option<&mut MaybeUninit<*mut sdvr_each>>,
) -> sdvr_status {
    catch(|| {
        let out_each = place(out_each, "out_each")?;
        let directory = arguments::text(directory, "directory")?;
        let each = EachCamera::new().in_directory(Path::new(&directory));
        out_each.write(start(each, work, context)?);
        Ok(())
    })
}

fn start(
    each: EachCamera,
    work: sdvr_work,
    context: *mut c_void,
) -> Result<*mut sdvr_each, Failure> {
    let work = work.ok_or_else(|| is_null("work"))?;
    // A number, since pointers do not go to other threads: that this one may is what its owner says by giving it.
    let context = context.expose_provenance();
    let each = each
        .start(move |camera: Camera| {
            // With a million cameras open there is no handle for one more, and nobody to tell.
            let Ok(handle) = camera::keep(camera) else {
                return;
            };
            IS_WORKING.set(true);
            work(std::ptr::with_exposed_provenance_mut(context), handle);
            // Mostly the work has left that to us; it may also have closed the camera, or put it into a group.
            let _ = CAMERAS.give_back(handle);
        })
        .map_err(|error| {
            Failure::new(
                sdvr_status::SDVR_UNUSABLE,
                format!("the system gives no thread: {error}"),
            )
        })?;
    EACH.keep(Mutex::new(each))
}

/// Tells the work of all cameras to end, as if they had gone, and returns when it has. SDVR_BUSY in a thread that does such work, which would wait for itself. Null is given back, too,
/// and nothing happens.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_each_stop(each: *mut sdvr_each) -> sdvr_status {
    catch(|| {
        if IS_WORKING.get() {
            return Err(Failure::new(
                sdvr_status::SDVR_BUSY,
                "the work of a camera cannot wait for its own end",
            ));
        }
        if let Some(each) = EACH.take_back(each)? {
            each.into_inner()
                .unwrap_or_else(PoisonError::into_inner)
                .stop();
        }
        Ok(())
    })
}
