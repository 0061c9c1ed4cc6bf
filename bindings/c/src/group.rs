//! Many cameras, waited for at once.
#![expect(unsafe_code, reason = "exports functions under the names that C calls")]

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use sdvr::{Frame, Group, GroupError, Member};

use crate::arguments::{self, Array, place};
use crate::camera::{self, CAMERAS, sdvr_camera};
use crate::facts::sdvr_state;
use crate::frame::{FRAMES, HeldFrame, sdvr_frame};
use crate::handles::{Handles, alone};
use crate::status::{Failure, catch, sdvr_status};

/// Frames of many cameras, from one thread. For one thread at a time.
#[derive(Debug)]
pub struct sdvr_group(());

static GROUPS: Handles<Mutex<Members>, sdvr_group> = Handles::new(6);

/// A group, and by which numbers C knows its members.
#[derive(Debug, Default)]
struct Members {
    group: Group,
    numbers: BTreeMap<Member, u32>,
    next_number: u32,
}

impl Members {
    fn number(&self, member: Member) -> u32 {
        self.numbers.get(&member).copied().unwrap_or(u32::MAX)
    }

    fn member(&self, number: u32) -> Result<Member, Failure> {
        let mut members = self.numbers.iter();
        members
            .find(|(_, own)| **own == number)
            .map(|(member, _)| *member)
            .ok_or_else(|| {
                Failure::new(
                    sdvr_status::SDVR_INVALID_ARGUMENT,
                    format!("the group has no member {number}"),
                )
            })
    }

    fn keep(&self, member: Member, frame: Frame) -> Result<*mut sdvr_frame, Failure> {
        let held = HeldFrame::of(frame, self.group.camera(member));
        FRAMES.keep(RwLock::new(held))
    }
}

impl From<GroupError> for Failure {
    fn from(error: GroupError) -> Self {
        let text = error.to_string();
        Self {
            text,
            ..Self::from(error.error)
        }
    }
}

/// What a member gives to a set of frames.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sdvr_set_part {
    /// Its frame, to be given back with sdvr_frame_release; null when the camera is not live and has none.
    pub frame: *mut sdvr_frame,
    /// How many frames of it were read and found no partner since the last set.
    pub alone: u64,
    /// Which.
    pub member: u32,
}

/// Stores in *out_group a group without members; give it back with sdvr_group_close.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_group_new(
    out_group: Option<&mut MaybeUninit<*mut sdvr_group>>,
) -> sdvr_status {
    catch(|| {
        let out_group = place(out_group, "out_group")?;
        out_group.write(GROUPS.keep(Mutex::default())?);
        Ok(())
    })
}

/// Adds a camera, with all that it has not given yet, and stores in *out_member the number that it has in this group and no other will have. The handle is the
/// group's from now on, and refused elsewhere.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_group_add(
    group: *mut sdvr_group,
    camera: *mut sdvr_camera,
    out_member: Option<&mut MaybeUninit<u32>>,
) -> sdvr_status {
    catch(|| {
        let out_member = place(out_member, "out_member")?;
        let group = GROUPS.find(group)?;
        let mut members = alone(&group)?;
        let camera = CAMERAS.take_back(camera)?;
        let camera = camera.ok_or_else(|| arguments::is_null("camera"))?;
        let camera = camera.into_inner().unwrap_or_else(PoisonError::into_inner);
        let member = members.group.add(camera.into_camera()?);
        let number = members.next_number;
        members.next_number = number.wrapping_add(1);
        members.numbers.insert(member, number);
        out_member.write(number);
        Ok(())
    })
}

/// Takes a camera out of a group and stores it in *out_camera; give it back with sdvr_camera_close. It goes on with the frame after the last one that the group took from
/// it; those that sdvr_group_sync has in hand are dropped.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_group_remove(
    group: *mut sdvr_group,
    member: u32,
    out_camera: Option<&mut MaybeUninit<*mut sdvr_camera>>,
) -> sdvr_status {
    catch(|| {
        let out_camera = place(out_camera, "out_camera")?;
        let group = GROUPS.find(group)?;
        let mut members = alone(&group)?;
        let member = members.member(member)?;
        members.numbers.remove(&member);
        if let Some(camera) = members.group.remove(member) {
            out_camera.write(camera::keep(camera)?);
        }
        Ok(())
    })
}

/// Waits for the next frame that policy (one of sdvr_policy) wants of any camera of the group, at most timeout_ms (or SDVR_FOREVER), and stores whose it is in *out_member and
/// the frame in *out_frame; give it back with sdvr_frame_release. Every camera that has a frame gives one before any gives two.
///
/// SDVR_TIMEOUT when none came. Other errors are of one camera, whose number is then in *out_member; the others are not concerned. SDVR_ENDED once each
/// time a camera says that it ends.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_group_next(
    group: *mut sdvr_group,
    policy: u32,
    timeout_ms: u32,
    out_member: Option<&mut MaybeUninit<u32>>,
    out_frame: Option<&mut MaybeUninit<*mut sdvr_frame>>,
) -> sdvr_status {
    catch(|| {
        let out_member = place(out_member, "out_member")?;
        let out_frame = place(out_frame, "out_frame")?;
        let policy = arguments::policy(policy)?;
        let group = GROUPS.find(group)?;
        let mut members = alone(&group)?;
        let (member, frame) = arguments::within(timeout_ms, |timeout| {
            members.group.next(policy, timeout).map_err(|error| {
                out_member.write(members.number(error.member));
                error.into()
            })
        })?;
        out_frame.write(members.keep(member, frame)?);
        out_member.write(members.number(member));
        Ok(())
    })
}

/// Waits, at most timeout_ms (or SDVR_FOREVER), for frames whose capture times lie within tolerance_ns of each other, and stores one part for each member, in the order in
/// which they were added, in parts, which has room for part_count; stores in *out_count how many. SDVR_TOO_SMALL when that is less than the group has
/// members: then only their number is stored.
///
/// A set has one frame of every member that is live; one that is not delays nobody, and its part has none. All frames are wanted, and each is in one set at most. SDVR_TIMEOUT when there was no
/// set. Other errors are of one camera, as sdvr_last_error says, and no frame is lost by them.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_group_sync(
    group: *mut sdvr_group,
    tolerance_ns: u64,
    timeout_ms: u32,
    parts: *mut sdvr_set_part,
    part_count: usize,
    out_count: Option<&mut MaybeUninit<usize>>,
) -> sdvr_status {
    let parts = Array {
        memory: parts,
        capacity: part_count,
        out_len: out_count,
    };
    catch(|| {
        let group = GROUPS.find(group)?;
        let mut members = alone(&group)?;
        let parts = parts.room_for(members.numbers.len(), "parts")?;
        let tolerance = Duration::from_nanos(tolerance_ns);
        let set = arguments::within(timeout_ms, |timeout| {
            Ok(members.group.sync(tolerance, timeout)?)
        })?;
        for (place, part) in parts.iter_mut().zip(set.parts) {
            let frame = match part.frame {
                Some(frame) => members.keep(part.member, frame)?,
                None => std::ptr::null_mut(),
            };
            place.write(sdvr_set_part {
                frame,
                alone: part.alone,
                member: members.number(part.member),
            });
        }
        Ok(())
    })
}

/// Stores in *out_state how a member is doing.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_group_state(
    group: *mut sdvr_group,
    member: u32,
    out_state: Option<&mut MaybeUninit<sdvr_state>>,
) -> sdvr_status {
    catch(|| {
        let out_state = place(out_state, "out_state")?;
        let group = GROUPS.find(group)?;
        let members = alone(&group)?;
        let member = members.member(member)?;
        if let Some(camera) = members.group.camera(member) {
            out_state.write(camera.state().into());
        }
        Ok(())
    })
}

/// Gives a group back, with its cameras. Its frames stay. Null is given back, too, and nothing happens.
#[unsafe(no_mangle)]
pub extern "C" fn sdvr_group_close(group: *mut sdvr_group) -> sdvr_status {
    catch(|| GROUPS.give_back(group))
}
