//! What a control transfer is about.

use crate::descriptors::{ENCODER, PICTURE_TYPE_SELECTOR};

/// The setup packet (USB 2.0, section 9.3). Integers are little-endian.
///
/// ```text
/// byte 0             1          2       4       6        8
///      +-------------+----------+-------+-------+--------+
///      | requestType | request  | value | index | length |
///      +-------------+----------+-------+-------+--------+
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    /// Direction (bit 7), who defines it (5, 6), and to what it goes.
    pub(crate) request_type: u8,
    pub(crate) request: u8,
    /// Most often a selector (high byte) and its index (low byte).
    pub(crate) value: u16,
    /// Most often the interface.
    pub(crate) index: u16,
}

/// What is asked of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// USB 2.0, section 9.4.3.
    DeviceDescriptor,
    ConfigurationDescriptor,
    /// The text of that index.
    StringDescriptor(u8),
    /// Sections 9.4.5 and 9.4.4: two bytes, and one.
    DeviceStatus,
    Interface,
    /// Anything standard that only needs to be taken: the address, the configuration, an interface's setting, an end of a halt.
    Accept,
    /// UVC 1.1, section 4.3.1.1: negotiates, or settles, what is streamed.
    Probe(Access),
    Commit(Access),
    /// "Video Device Class Specification for H.264" 1.0, section 3.3.9: has the encoder make a key frame.
    PictureType(Access),
    /// What this device does not have.
    Unknown,
}

/// What is done with a video control (UVC 1.1, table A-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Set,
    /// The current value, or the least, the greatest or the usual one, which are all the same here.
    Get,
    /// How many bytes it has.
    GetLength,
    /// That it can be read and written.
    GetInfo,
}

const STANDARD_GET: u8 = 0x80;
const STANDARD_GET_OF_INTERFACE: u8 = 0x81;
const CLASS_SET: u8 = 0x21;
const CLASS_GET: u8 = 0xa1;
const CONTROL_INTERFACE: u8 = 0;
const STREAMING_INTERFACE: u8 = 1;

impl Setup {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let byte = |at: usize| bytes.get(at).copied().unwrap_or_default();
        Self {
            request_type: byte(0),
            request: byte(1),
            value: u16::from_le_bytes([byte(2), byte(3)]),
            index: u16::from_le_bytes([byte(4), byte(5)]),
        }
    }

    pub(crate) fn asked(self) -> Asked {
        let [low, high] = self.value.to_le_bytes();
        let [interface, entity] = self.index.to_le_bytes();
        match (self.request_type, self.request) {
            (STANDARD_GET, 6) => match high {
                1 => Asked::DeviceDescriptor,
                2 => Asked::ConfigurationDescriptor,
                3 => Asked::StringDescriptor(low),
                _ => Asked::Unknown,
            },
            (STANDARD_GET, 0) => Asked::DeviceStatus,
            (STANDARD_GET_OF_INTERFACE, 10) => Asked::Interface,
            // To the device, an interface or an endpoint.
            (0..=2, _) => Asked::Accept,
            (CLASS_SET | CLASS_GET, request) => {
                let access = match request {
                    0x01 => Access::Set,
                    0x81..=0x83 | 0x87 => Access::Get,
                    0x85 => Access::GetLength,
                    0x86 => Access::GetInfo,
                    _ => return Asked::Unknown,
                };
                match (interface, entity, high) {
                    (STREAMING_INTERFACE, 0, 1) => Asked::Probe(access),
                    (STREAMING_INTERFACE, 0, 2) => Asked::Commit(access),
                    (CONTROL_INTERFACE, ENCODER, PICTURE_TYPE_SELECTOR) => {
                        Asked::PictureType(access)
                    }
                    _ => Asked::Unknown,
                }
            }
            _ => Asked::Unknown,
        }
    }
}
