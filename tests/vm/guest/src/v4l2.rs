//! The three requests of V4L2's control interface, and the one that chooses an input (the kernel's `include/uapi/linux/videodev2.h`).
#![expect(unsafe_code, reason = "ioctl, which no safe function wraps")]

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use rustix::ioctl::{self, Opcode, Updater, opcode};

const GET_CONTROL: Opcode = opcode::read_write::<Control>(b'V', 27);
const SET_CONTROL: Opcode = opcode::read_write::<Control>(b'V', 28);
const QUERY_CONTROL: Opcode = opcode::read_write::<ControlDescription>(b'V', 36);
const SET_INPUT: Opcode = opcode::read_write::<i32>(b'V', 39);
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
}

impl ControlDescription {
    /// What people call it.
    pub(crate) fn name(&self) -> String {
        let bytes = self.name.split(|&byte| byte == 0).next();
        String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
    }
}
