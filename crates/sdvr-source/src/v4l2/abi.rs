//! Structures and numbers of the kernel's interface, as in `linux/videodev2.h` and `linux/v4l2-controls.h`. Plain data only.
//!
//! Unions are kept as the words that are used of them. On 32-bit hosts, times are the old 32-bit ones: every kernel knows that interface,
//! and `CLOCK_MONOTONIC` counts from boot, so they do not run out.

use rustix::ioctl::{Opcode, opcode};

/// How many planes a buffer can have (`VIDEO_MAX_PLANES`).
pub(crate) const PLANES_MOST: usize = 8;
/// The memory of buffers is the driver's, mapped (`V4L2_MEMORY_MMAP`).
pub(crate) const MEMORY_MMAP: u32 = 1;
/// `V4L2_FIELD_NONE`: whole pictures, please.
pub(crate) const FIELD_NONE: u32 = 1;
/// `V4L2_FIELD_INTERLACED`: both fields of a picture in one buffer, line by line.
pub(crate) const FIELD_INTERLACED: u32 = 4;
/// `V4L2_FIELD_ALTERNATE`: a field a buffer.
pub(crate) const FIELD_ALTERNATE: u32 = 7;

pub(crate) const CAP_VIDEO_CAPTURE: u32 = 0x0000_0001;
pub(crate) const CAP_VIDEO_CAPTURE_MPLANE: u32 = 0x0000_1000;
pub(crate) const CAP_STREAMING: u32 = 0x0400_0000;
pub(crate) const CAP_DEVICE_CAPS: u32 = 0x8000_0000;

pub(crate) const BUFFER_KEY_FRAME: u32 = 0x0000_0008;
pub(crate) const BUFFER_P_FRAME: u32 = 0x0000_0010;
pub(crate) const BUFFER_B_FRAME: u32 = 0x0000_0020;
pub(crate) const BUFFER_ERROR: u32 = 0x0000_0040;
pub(crate) const BUFFER_TIMESTAMP_MASK: u32 = 0x0000_e000;
pub(crate) const BUFFER_TIMESTAMP_MONOTONIC: u32 = 0x0000_2000;

pub(crate) const FORMAT_COMPRESSED: u32 = 1;
/// The library would convert; the hardware does not have it.
pub(crate) const FORMAT_EMULATED: u32 = 2;

pub(crate) const EVENT_SOURCE_CHANGE: u32 = 5;
/// `V4L2_CAP_TIMEPERFRAME`.
pub(crate) const CAPTURE_TIME_PER_FRAME: u32 = 0x1000;

/// `V4L2_IN_CAP_DV_TIMINGS`.
pub(crate) const INPUT_HAS_TIMINGS: u32 = 2;

pub(crate) const CONTROL_NEXT: u32 = 0x8000_0000;
pub(crate) const CONTROL_DISABLED: u32 = 0x0001;
pub(crate) const CONTROL_READ_ONLY: u32 = 0x0004;
pub(crate) const CONTROL_INACTIVE: u32 = 0x0010;
pub(crate) const CONTROL_WRITE_ONLY: u32 = 0x0040;
/// `V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME`.
pub(crate) const FORCE_KEY_FRAME: u32 = 0x0099_0900 + 229;

/// Names an ioctl with the size of its argument in it, as the kernel's macros do.
const fn read<T>(number: u8) -> Opcode {
    opcode::read::<T>(b'V', number)
}
const fn write<T>(number: u8) -> Opcode {
    opcode::write::<T>(b'V', number)
}
const fn both<T>(number: u8) -> Opcode {
    opcode::read_write::<T>(b'V', number)
}

pub(crate) const QUERYCAP: Opcode = read::<Capability>(0);
pub(crate) const ENUM_FMT: Opcode = both::<FormatEntry>(2);
pub(crate) const G_FMT: Opcode = both::<Format>(4);
pub(crate) const S_FMT: Opcode = both::<Format>(5);
pub(crate) const REQBUFS: Opcode = both::<RequestBuffers>(8);
pub(crate) const QUERYBUF: Opcode = both::<Buffer>(9);
pub(crate) const QBUF: Opcode = both::<Buffer>(15);
pub(crate) const DQBUF: Opcode = both::<Buffer>(17);
pub(crate) const STREAMON: Opcode = write::<BufferType>(18);
pub(crate) const STREAMOFF: Opcode = write::<BufferType>(19);
pub(crate) const G_PARM: Opcode = both::<StreamParameters>(21);
pub(crate) const S_PARM: Opcode = both::<StreamParameters>(22);
pub(crate) const ENUMINPUT: Opcode = both::<Input>(26);
pub(crate) const QUERYMENU: Opcode = both::<MenuEntry>(37);
pub(crate) const G_INPUT: Opcode = read::<InputNumber>(38);
pub(crate) const G_EXT_CTRLS: Opcode = both::<ControlList>(71);
pub(crate) const S_EXT_CTRLS: Opcode = both::<ControlList>(72);
pub(crate) const ENUM_FRAMESIZES: Opcode = both::<FrameSizeEntry>(74);
pub(crate) const ENUM_FRAMEINTERVALS: Opcode = both::<FrameIntervalEntry>(75);
pub(crate) const S_DV_TIMINGS: Opcode = both::<DvTimings>(87);
pub(crate) const DQEVENT: Opcode = read::<Event>(89);
pub(crate) const SUBSCRIBE_EVENT: Opcode = write::<EventSubscription>(90);
pub(crate) const QUERY_DV_TIMINGS: Opcode = read::<DvTimings>(99);
pub(crate) const QUERY_EXT_CTRL: Opcode = both::<ControlEntry>(103);

/// `enum v4l2_buf_type` of the two kinds of capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct BufferType(pub(crate) u32);

impl BufferType {
    pub(crate) const SINGLE: Self = Self(1);
    pub(crate) const MULTI: Self = Self(9);
}

/// `struct v4l2_capability`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Capability {
    pub(crate) driver: [u8; 16],
    pub(crate) card: [u8; 32],
    pub(crate) bus: [u8; 32],
    pub(crate) version: u32,
    pub(crate) capabilities: u32,
    pub(crate) device_caps: u32,
    pub(crate) reserved: [u32; 3],
}

/// `struct v4l2_fmtdesc`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct FormatEntry {
    pub(crate) index: u32,
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) description: [u8; 32],
    pub(crate) pixel_format: u32,
    pub(crate) media_bus_code: u32,
    pub(crate) reserved: [u32; 3],
}

/// `struct v4l2_frmsizeenum`: of kind 1, `values` are width and height; else least, most and step of each.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct FrameSizeEntry {
    pub(crate) index: u32,
    pub(crate) pixel_format: u32,
    pub(crate) kind: u32,
    pub(crate) values: [u32; 6],
    pub(crate) reserved: [u32; 2],
}

/// `struct v4l2_frmivalenum`: of kind 1, `values` are one fraction of a second; else least, most and step.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct FrameIntervalEntry {
    pub(crate) index: u32,
    pub(crate) pixel_format: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) kind: u32,
    pub(crate) values: [u32; 6],
    pub(crate) reserved: [u32; 2],
}

/// What sizes and intervals of kind 1 are: listed one by one.
pub(crate) const DISCRETE: u32 = 1;

/// `struct v4l2_format`, whose union begins at a multiple of a pointer's size.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Format {
    pub(crate) kind: u32,
    #[cfg(target_pointer_width = "64")]
    pub(crate) padding: u32,
    pub(crate) words: [u32; 50],
}

impl Format {
    pub(crate) const fn new(kind: BufferType) -> Self {
        Self {
            kind: kind.0,
            #[cfg(target_pointer_width = "64")]
            padding: 0,
            words: [0; 50],
        }
    }
}

/// `struct v4l2_streamparm` of a capture.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct StreamParameters {
    pub(crate) kind: u32,
    pub(crate) capability: u32,
    pub(crate) capture_mode: u32,
    /// Seconds from one frame to the next: numerator, denominator.
    pub(crate) time_per_frame: [u32; 2],
    pub(crate) rest: [u32; 46],
}

impl StreamParameters {
    pub(crate) const fn new(kind: BufferType) -> Self {
        Self {
            kind: kind.0,
            capability: 0,
            capture_mode: 0,
            time_per_frame: [0; 2],
            rest: [0; 46],
        }
    }
}

/// `struct v4l2_requestbuffers`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct RequestBuffers {
    pub(crate) count: u32,
    pub(crate) kind: u32,
    pub(crate) memory: u32,
    pub(crate) capabilities: u32,
    pub(crate) flags: [u8; 4],
}

/// A number as wide as a pointer: `unsigned long`.
#[cfg(target_pointer_width = "64")]
pub(crate) type Long = u64;
#[cfg(not(target_pointer_width = "64"))]
pub(crate) type Long = u32;
/// A second or a microsecond of `struct timeval`.
#[cfg(target_pointer_width = "64")]
pub(crate) type TimePart = i64;
#[cfg(not(target_pointer_width = "64"))]
pub(crate) type TimePart = i32;

/// `struct v4l2_plane`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Plane {
    pub(crate) bytes_used: u32,
    pub(crate) length: u32,
    /// `m.mem_offset`, in the first half of the union on little-endian hosts.
    pub(crate) offset: Long,
    pub(crate) data_offset: u32,
    pub(crate) reserved: [u32; 11],
}

/// `struct v4l2_buffer`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Buffer {
    pub(crate) index: u32,
    pub(crate) kind: u32,
    pub(crate) bytes_used: u32,
    pub(crate) flags: u32,
    pub(crate) field: u32,
    pub(crate) seconds: TimePart,
    pub(crate) microseconds: TimePart,
    pub(crate) time_code: [u32; 4],
    pub(crate) sequence: u32,
    pub(crate) memory: u32,
    /// `m.offset`, or the address of the planes.
    pub(crate) place: Long,
    pub(crate) length: u32,
    pub(crate) reserved: u32,
    pub(crate) request: u32,
}

/// `struct v4l2_event`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Event {
    pub(crate) kind: u32,
    pub(crate) union: [u64; 8],
    pub(crate) pending: u32,
    pub(crate) sequence: u32,
    pub(crate) time: [TimePart; 2],
    pub(crate) id: u32,
    pub(crate) reserved: [u32; 8],
}

/// `struct v4l2_event_subscription`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct EventSubscription {
    pub(crate) kind: u32,
    pub(crate) id: u32,
    pub(crate) flags: u32,
    pub(crate) reserved: [u32; 5],
}

/// `struct v4l2_query_ext_ctrl`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct ControlEntry {
    pub(crate) id: u32,
    pub(crate) kind: u32,
    pub(crate) name: [u8; 32],
    pub(crate) minimum: i64,
    pub(crate) maximum: i64,
    pub(crate) step: u64,
    pub(crate) default_value: i64,
    pub(crate) flags: u32,
    pub(crate) element_size: u32,
    pub(crate) elements: u32,
    pub(crate) dimensions: [u32; 5],
    pub(crate) reserved: [u32; 32],
}

/// `struct v4l2_querymenu`, which is packed: the name, or an integer in its first eight bytes.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct MenuEntry {
    pub(crate) id: u32,
    pub(crate) index: u32,
    pub(crate) name: [u8; 32],
    pub(crate) reserved: u32,
}

/// `struct v4l2_ext_control`, which is packed: the value is four or eight bytes of a union.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct ControlValue {
    pub(crate) id: u32,
    /// 0: the value is no pointer.
    pub(crate) size: u32,
    pub(crate) reserved: u32,
    pub(crate) value: [u8; 8],
}

/// `struct v4l2_ext_controls`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct ControlList {
    pub(crate) which: u32,
    pub(crate) count: u32,
    pub(crate) error_index: u32,
    pub(crate) request: u32,
    pub(crate) reserved: u32,
    /// The address of the values.
    pub(crate) values: Long,
}

/// The argument of `VIDIOC_G_INPUT`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(transparent)]
pub(crate) struct InputNumber(pub(crate) i32);

/// `struct v4l2_input`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Input {
    pub(crate) index: u32,
    pub(crate) name: [u8; 32],
    pub(crate) kind: u32,
    pub(crate) audio_set: u32,
    pub(crate) tuner: u32,
    pub(crate) standards: u64,
    pub(crate) status: u32,
    pub(crate) capabilities: u32,
    pub(crate) reserved: [u32; 3],
}

/// `struct v4l2_dv_timings`, which is packed, of kind 0 (`struct v4l2_bt_timings`): width, height, whether interlaced, polarities, pixels a
/// second (two words), then what is blank before, in and after each synchronisation: across, down, and down in the second field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct DvTimings {
    pub(crate) kind: u32,
    pub(crate) words: [u32; 32],
}

/// Checks the sizes at compile time: the kernel tells its calls apart by them.
macro_rules! sizes {
    ($($name:ty: $bytes:expr),* $(,)?) => { $(const _: () = assert!(size_of::<$name>() == $bytes);)* };
}
sizes!(
    Capability: 104, FormatEntry: 64, FrameSizeEntry: 44, FrameIntervalEntry: 52, StreamParameters: 204, RequestBuffers: 20,
    EventSubscription: 32, ControlEntry: 232, MenuEntry: 44, ControlValue: 20, BufferType: 4, InputNumber: 4, DvTimings: 132,
);
#[cfg(target_pointer_width = "64")]
sizes!(Format: 208, Plane: 64, Buffer: 88, Event: 136, ControlList: 32, Input: 80);
#[cfg(target_pointer_width = "32")]
sizes!(Format: 204, Plane: 60, Buffer: 68, ControlList: 24);
// 64-bit numbers are aligned to 8 bytes by ARM's calling convention, to 4 by that of x86.
#[cfg(target_arch = "arm")]
sizes!(Event: 128);
#[cfg(target_arch = "x86")]
sizes!(Event: 120);

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn calls_have_the_numbers_of_the_kernel_s_headers() {
        // As a C program with <linux/videodev2.h> prints them on x86-64.
        for (ours, kernel) in [
            (QUERYCAP, 0x8068_5600_u32),
            (ENUM_FMT, 0xc040_5602),
            (G_FMT, 0xc0d0_5604),
            (S_FMT, 0xc0d0_5605),
            (REQBUFS, 0xc014_5608),
            (QUERYBUF, 0xc058_5609),
            (QBUF, 0xc058_560f),
            (DQBUF, 0xc058_5611),
            (STREAMON, 0x4004_5612),
            (STREAMOFF, 0x4004_5613),
            (G_PARM, 0xc0cc_5615),
            (S_PARM, 0xc0cc_5616),
            (ENUMINPUT, 0xc050_561a),
            (QUERYMENU, 0xc02c_5625),
            (G_INPUT, 0x8004_5626),
            (G_EXT_CTRLS, 0xc020_5647),
            (S_EXT_CTRLS, 0xc020_5648),
            (ENUM_FRAMESIZES, 0xc02c_564a),
            (ENUM_FRAMEINTERVALS, 0xc034_564b),
            (S_DV_TIMINGS, 0xc084_5657),
            (DQEVENT, 0x8088_5659),
            (SUBSCRIBE_EVENT, 0x4020_565a),
            (QUERY_DV_TIMINGS, 0x8084_5663),
            (QUERY_EXT_CTRL, 0xc0e8_5667),
        ] {
            assert_eq!(ours, Opcode::from(kernel), "{kernel:#x}");
        }
    }
}
