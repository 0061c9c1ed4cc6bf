//! Which cameras there are, and being told when they come and go.
#![expect(unsafe_code, reason = "exports functions under the names that C calls")]

use std::collections::VecDeque;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, RwLock};

use sdvr::{CameraInfo, Cameras, Change};

use crate::arguments::{self, place};
use crate::facts::{sdvr_camera_info, sdvr_change};
use crate::handles::{Handles, alone, shared};
use crate::status::{Failure, catch, sdvr_status};

/// The cameras that were there when it was made.
#[derive(Debug)]
pub struct sdvr_camera_list(());
/// Tells of cameras that come and go. For one thread at a time.
#[derive(Debug)]
pub struct sdvr_watch(());

static LISTS: Handles<RwLock<Vec<Listed>>, sdvr_camera_list> = Handles::new(3);
static WATCHES: Handles<Mutex<Watch>, sdvr_watch> = Handles::new(4);

/// A camera, and its directory as C reads it.
#[derive(Debug)]
struct Listed {
    camera: CameraInfo,
    directory: CString,
}

impl Listed {
    fn new(camera: CameraInfo) -> Self {
        let directory = camera.directory.as_os_str().as_bytes();
        Self {
            // The system knows no paths with zero bytes in them.
            directory: CString::new(directory).unwrap_or_default(),
            camera,
        }
    }

    fn info(&self) -> sdvr_camera_info {
        sdvr_camera_info::of(&self.camera, &self.directory)
    }
}

#[derive(Debug)]
struct Watch {
    cameras: Cameras,
    /// What was seen and not told yet.
    untold: VecDeque<Change>,
    /// What was told last, whose directory C may still read.
    told: Option<Listed>,
}

fn keep_list(cameras: Vec<CameraInfo>) -> Result<*mut sdvr_camera_list, Failure> {
    let listed = cameras.into_iter().map(Listed::new).collect();
    LISTS.keep(RwLock::new(listed))
}

/// Stores in *out_list the cameras that are there now, sorted by label; also those that are lost or have just ended, as their state says. Give it back with
/// sdvr_camera_list_release.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_list_new(
    out_list: Option<&mut MaybeUninit<*mut sdvr_camera_list>>,
) -> sdvr_status {
    catch(|| {
        let out_list = place(out_list, "out_list")?;
        out_list.write(keep_list(Cameras::list())?);
        Ok(())
    })
}

/// As sdvr_camera_list_new, of a directory that is not one of the usual ones.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_list_new_in(
    directory: *const c_char,
    out_list: Option<&mut MaybeUninit<*mut sdvr_camera_list>>,
) -> sdvr_status {
    catch(|| {
        let out_list = place(out_list, "out_list")?;
        let directory = arguments::text(directory, "directory")?;
        out_list.write(keep_list(Cameras::list_in(Path::new(&directory)))?);
        Ok(())
    })
}

/// Stores in *out_count how many cameras a list has.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_list_count(
    list: *const sdvr_camera_list,
    out_count: Option<&mut MaybeUninit<usize>>,
) -> sdvr_status {
    catch(|| {
        let out_count = place(out_count, "out_count")?;
        let list = LISTS.find(list)?;
        out_count.write(shared(&list)?.len());
        Ok(())
    })
}

/// Stores in *out_info what is known of the camera number index of a list, from 0. SDVR_INVALID_ARGUMENT when there are not so many.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_list_at(
    list: *const sdvr_camera_list,
    index: usize,
    out_info: Option<&mut MaybeUninit<sdvr_camera_info>>,
) -> sdvr_status {
    catch(|| {
        let out_info = place(out_info, "out_info")?;
        let list = LISTS.find(list)?;
        let list = shared(&list)?;
        let listed = list.get(index).ok_or_else(|| {
            Failure::new(
                sdvr_status::SDVR_INVALID_ARGUMENT,
                format!("the list has {} cameras, and none at {index}", list.len()),
            )
        })?;
        out_info.write(listed.info());
        Ok(())
    })
}

/// Gives a list back. Null is given back, too, and nothing happens.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_camera_list_release(list: *mut sdvr_camera_list) -> sdvr_status {
    catch(|| LISTS.give_back(list))
}

fn keep_watch(cameras: Cameras) -> Result<*mut sdvr_watch, Failure> {
    WATCHES.keep(Mutex::new(Watch {
        cameras,
        untold: VecDeque::new(),
        told: None,
    }))
}

/// Stores in *out_watch what tells of cameras that come and go; give it back with sdvr_watch_close. It knows nobody yet: its first calls tell of those that
/// are there.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_watch_open(
    out_watch: Option<&mut MaybeUninit<*mut sdvr_watch>>,
) -> sdvr_status {
    catch(|| {
        let out_watch = place(out_watch, "out_watch")?;
        out_watch.write(keep_watch(Cameras::new())?);
        Ok(())
    })
}

/// As sdvr_watch_open, for the cameras of a directory that is not one of the usual ones.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_watch_open_in(
    directory: *const c_char,
    out_watch: Option<&mut MaybeUninit<*mut sdvr_watch>>,
) -> sdvr_status {
    catch(|| {
        let out_watch = place(out_watch, "out_watch")?;
        let directory = arguments::text(directory, "directory")?;
        out_watch.write(keep_watch(Cameras::new_in(Path::new(&directory)))?);
        Ok(())
    })
}

/// Waits until a camera comes or goes, at most timeout_ms (or SDVR_FOREVER), and stores in *out_change which of both and in *out_info which camera. One that has been
/// silent for 60 s, has ended, or whose daemon was killed is not there. SDVR_TIMEOUT when nothing has changed.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_watch_next(
    watch: *mut sdvr_watch,
    timeout_ms: u32,
    out_change: Option<&mut MaybeUninit<sdvr_change>>,
    out_info: Option<&mut MaybeUninit<sdvr_camera_info>>,
) -> sdvr_status {
    catch(|| {
        let out_change = place(out_change, "out_change")?;
        let out_info = place(out_info, "out_info")?;
        let watch = WATCHES.find(watch)?;
        let mut watch = alone(&watch)?;
        let watch = &mut *watch;
        let change = arguments::within(timeout_ms, |timeout| {
            if watch.untold.is_empty() {
                watch.untold.extend(watch.cameras.wait(timeout));
            }
            Ok(watch.untold.pop_front())
        })?;
        let (change, camera) = match change {
            Change::Came(camera) => (sdvr_change::SDVR_CAME, camera),
            Change::Went(camera) => (sdvr_change::SDVR_WENT, camera),
        };
        out_change.write(change);
        out_info.write(watch.told.insert(Listed::new(camera)).info());
        Ok(())
    })
}

/// Gives back what tells of cameras. Null is given back, too, and nothing happens.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_watch_close(watch: *mut sdvr_watch) -> sdvr_status {
    catch(|| WATCHES.give_back(watch))
}
