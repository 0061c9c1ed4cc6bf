//! The three requests of V4L2's control interface, the one that chooses an input (the kernel's `include/uapi/linux/videodev2.h`), and the one that
//! gives the driver of webcams another control (`include/uapi/linux/uvcvideo.h`).
#![expect(unsafe_code, reason = "ioctl, which no safe function wraps")]

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use rustix::ioctl::{self, Opcode, Updater, opcode};

const GET_CONTROL: Opcode = opcode::read_write::<Control>(b'V', 27);
const SET_CONTROL: Opcode = opcode::read_write::<Control>(b'V', 28);
const QUERY_CONTROL: Opcode = opcode::read_write::<ControlDescription>(b'V', 36);
const SET_INPUT: Opcode = opcode::read_write::<i32>(b'V', 39);
const MAP_CONTROL: Opcode = opcode::read_write::<ControlMapping>(b'u', 0x20);
/// In an id: the first control after it.
const NEXT_CONTROL: u32 = 0x8000_0000;

/// A video device, open without disturbing whoever streams from it.
#[derive(Debug)]
pub(crate) struct Device(File);

/// `struct v4l2_queryctrl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ControlDescription {
    /// What the control is asked for by.
    pub(crate) id: u32,
    kind: u32,
    name: [u8; 32],
    minimum: i32,
    maximum: i32,
    step: i32,
    default: i32,
    flags: u32,
    reserved: [u32; 2],
}

/// `struct v4l2_control`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Control {
    id: u32,
    value: i32,
}

/// `struct uvc_xu_control_mapping`: which bits of a webcam's own control a control of V4L2 is.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct ControlMapping {
    id: u32,
    name: [u8; 32],
    /// The GUID of the webcam's unit.
    entity: [u8; 16],
    /// The control of that unit.
    selector: u8,
    size_bits: u8,
    offset_bits: u8,
    kind: u32,
    data_kind: u32,
    /// A pointer, null where it is no menu.
    menu: u64,
    menu_count: u32,
    reserved: [u32; 4],
}

impl Device {
    /// Opens it.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::options().read(true).write(true).open(path);
        Ok(Self(file.with_context(|| path.display().to_string())?))
    }

    /// All its controls.
    pub(crate) fn controls(&self) -> impl Iterator<Item = ControlDescription> + '_ {
        let mut last = 0;
        std::iter::from_fn(move || {
            let mut control = ControlDescription {
                id: last | NEXT_CONTROL,
                ..ControlDescription::default()
            };
            // SAFETY: the request reads and writes a `struct v4l2_queryctrl`, which this is.
            let request = unsafe { Updater::<QUERY_CONTROL, _>::new(&mut control) };
            // SAFETY: the request is one of the device's, and its argument is valid for it.
            unsafe { ioctl::ioctl(&self.0, request) }.ok()?;
            last = control.id;
            Some(control)
        })
    }

    /// What a control is set to.
    pub(crate) fn value(&self, id: u32) -> anyhow::Result<i32> {
        let mut control = Control { id, value: 0 };
        // SAFETY: the request reads and writes a `struct v4l2_control`, which this is.
        let request = unsafe { Updater::<GET_CONTROL, _>::new(&mut control) };
        // SAFETY: the request is one of the device's, and its argument is valid for it.
        unsafe { ioctl::ioctl(&self.0, request) }.context("the control cannot be read")?;
        Ok(control.value)
    }

    /// Sets a control.
    pub(crate) fn set_value(&self, id: u32, value: i32) -> anyhow::Result<()> {
        let mut control = Control { id, value };
        // SAFETY: the request reads and writes a `struct v4l2_control`, which this is.
        let request = unsafe { Updater::<SET_CONTROL, _>::new(&mut control) };
        // SAFETY: the request is one of the device's, and its argument is valid for it.
        unsafe { ioctl::ioctl(&self.0, request) }.context("the control cannot be set")
    }
}

impl Device {
    /// Chooses one of the inputs.
    pub(crate) fn set_input(&self, mut number: i32) -> anyhow::Result<()> {
        // SAFETY: the request reads and writes an `int`, which this is.
        let request = unsafe { Updater::<SET_INPUT, _>::new(&mut number) };
        // SAFETY: the request is one of the device's, and its argument is valid for it.
        unsafe { ioctl::ioctl(&self.0, request) }.context("the input cannot be chosen")
    }

    /// Gives the driver `V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME` by a control of the webcam's encoder that has two fields of 16 bits: the picture's
    /// layer, and its kind, of which 1 is a key frame ("Video Device Class Specification for H.264" 1.0, section 3.3.9).
    pub(crate) fn map_key_frame_control(&self) -> anyhow::Result<()> {
        const BUTTON: u32 = 4;
        const UNSIGNED: u32 = 2;
        let mut name = [0; 32];
        name[..15].copy_from_slice(b"Force Key Frame");
        let mut mapping = ControlMapping {
            id: 0x0099_0900 + 229,
            name,
            entity: *b"\x41\x76\x9e\xa2\x04\xde\xe3\x47\x8b\x2b\xf4\x34\x1a\xff\x00\x3b",
            selector: 9,
            size_bits: 1,
            offset_bits: 16,
            kind: BUTTON,
            data_kind: UNSIGNED,
            ..ControlMapping::default()
        };
        // SAFETY: the request reads and writes a `struct uvc_xu_control_mapping`, which this is.
        let request = unsafe { Updater::<MAP_CONTROL, _>::new(&mut mapping) };
        // SAFETY: the request is one of the driver's, and its argument is valid for it; the null pointer has no entries.
        unsafe { ioctl::ioctl(&self.0, request) }.context("the driver takes no such control")
    }
}

impl ControlDescription {
    /// What people call it.
    pub(crate) fn name(&self) -> String {
        let bytes = self.name.split(|&byte| byte == 0).next();
        String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
    }
}
