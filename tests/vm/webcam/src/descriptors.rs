//! What the webcam says of itself: USB 2.0, section 9.6, and the "USB Device Class Definition for Video Devices" 1.1 (UVC).
//!
//! Interface 0 controls: a sensor, an encoder behind it, and a way out over USB. Interface 1 streams: MJPG and H.264, one size and rate, over a bulk endpoint.

use crate::arguments::Arguments;
use crate::probe::{CLOCK_HZ, MAX_PAYLOAD_BYTES};

/// A field of a descriptor.
enum Field {
    U8(u8),
    U16(u16),
    U32(u32),
    Bytes(&'static [u8]),
}
use Field::{Bytes, U8, U16, U32};

const DEVICE: u8 = 1;
const CONFIGURATION: u8 = 2;
const STRING: u8 = 3;
const INTERFACE: u8 = 4;
const ENDPOINT: u8 = 5;
const INTERFACE_ASSOCIATION: u8 = 11;
/// A descriptor that the class of an interface defines.
const OF_INTERFACE_CLASS: u8 = 0x24;

const VIDEO: u8 = 14;
const VIDEO_CONTROL: u8 = 1;
const VIDEO_STREAMING: u8 = 2;
const VIDEO_COLLECTION: u8 = 3;

/// `MEDIASUBTYPE_H264`, 34363248-0000-0010-8000-00AA00389B71.
const H264_GUID: &[u8] = b"H264\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71";
/// Of the unit that encodes, a29e7641-de04-47e3-8b2b-f4341aff003b ("Video Device Class Specification for H.264" 1.0, section 3.3).
const ENCODER_GUID: &[u8] = b"\x41\x76\x9e\xa2\x04\xde\xe3\x47\x8b\x2b\xf4\x34\x1a\xff\x00\x3b";
const SENSOR: u8 = 1;
const WAY_OUT: u8 = 2;
/// The encoder's number among the units, by which its controls are asked for.
pub(crate) const ENCODER: u8 = 3;
const STREAM_ENDPOINT: u8 = 0x81;
/// Of the encoder's control that asks for a key frame (the same, section 3.3.9).
pub(crate) const PICTURE_TYPE_SELECTOR: u8 = 9;
/// The one that high speed prescribes for bulk.
const PACKET_BYTES: u16 = 512;

/// Length, kind, fields.
fn descriptor(kind: u8, fields: &[Field]) -> Vec<u8> {
    let mut bytes = vec![0, kind];
    for field in fields {
        match field {
            U8(value) => bytes.push(*value),
            U16(value) => bytes.extend(value.to_le_bytes()),
            U32(value) => bytes.extend(value.to_le_bytes()),
            Bytes(value) => bytes.extend_from_slice(value),
        }
    }
    // None of them has more than 60 bytes.
    bytes[0] = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    bytes
}

/// The bytes of several, for the one that heads them and says how many they are.
fn total(descriptors: &[&[u8]]) -> u16 {
    let bytes: usize = descriptors.iter().map(|descriptor| descriptor.len()).sum();
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

/// The device (USB 2.0, table 9-8).
pub(crate) fn device() -> Vec<u8> {
    descriptor(
        DEVICE,
        &[
            U16(0x0200),          // bcdUSB
            Bytes(&[0xef, 2, 1]), // class, subclass, protocol: several interfaces belong together
            U8(64),               // bMaxPacketSize0
            U16(0xf00d),          // idVendor, nobody's
            U16(0x0001),          // idProduct
            U16(0x0100),          // bcdDevice
            Bytes(&[1, 2, 3]),    // the texts of manufacturer, product and serial number
            U8(1),                // bNumConfigurations
        ],
    )
}

/// A text (table 9-16); text 0 lists the languages, of which there is English.
pub(crate) fn text(index: u8, serial: &str) -> Vec<u8> {
    let text = match index {
        0 => return descriptor(STRING, &[U16(0x0409)]),
        1 => "SDVR",
        2 => "simulated webcam",
        _ => serial,
    };
    let units: Vec<Field> = text.encode_utf16().map(U16).collect();
    descriptor(STRING, &units)
}

/// The configuration with all that it contains (table 9-10).
pub(crate) fn configuration(arguments: &Arguments) -> Vec<u8> {
    let contents = [
        interface_association(),
        control_interface(),
        streaming_interface(arguments),
    ]
    .concat();
    let head = |total_bytes: u16| {
        descriptor(
            CONFIGURATION,
            &[
                U16(total_bytes),
                U8(2),    // bNumInterfaces
                U8(1),    // bConfigurationValue
                U8(0),    // iConfiguration
                U8(0x80), // bmAttributes: powered by the bus
                U8(50),   // bMaxPower: 100 mA
            ],
        )
    };
    [head(total(&[&head(0), &contents])), contents].concat()
}

/// Both interfaces are one camera (UVC 1.1, table 3-1).
fn interface_association() -> Vec<u8> {
    descriptor(
        INTERFACE_ASSOCIATION,
        &[
            U8(0), // bFirstInterface
            U8(2), // bInterfaceCount
            Bytes(&[VIDEO, VIDEO_COLLECTION, 0]),
            U8(2), // iFunction
        ],
    )
}

/// An interface (USB 2.0, table 9-12).
fn interface(number: u8, endpoints: u8, subclass: u8) -> Vec<u8> {
    descriptor(
        INTERFACE,
        &[
            U8(number),
            U8(0), // bAlternateSetting
            U8(endpoints),
            U8(VIDEO),
            U8(subclass),
            U8(0), // bInterfaceProtocol
            U8(0), // iInterface
        ],
    )
}

fn control_interface() -> Vec<u8> {
    // Table 3-4.
    let sensor = descriptor(
        OF_INTERFACE_CLASS,
        &[
            U8(2), // VC_INPUT_TERMINAL
            U8(SENSOR),
            U16(0x0201), // ITT_CAMERA
            U8(0),       // bAssocTerminal
            U8(0),       // iTerminal
            U16(0),      // focal lengths: none
            U16(0),
            U16(0),
            U8(3),             // bControlSize
            Bytes(&[0, 0, 0]), // bmControls
        ],
    );
    // Table 3-5.
    let way_out = descriptor(
        OF_INTERFACE_CLASS,
        &[
            U8(3), // VC_OUTPUT_TERMINAL
            U8(WAY_OUT),
            U16(0x0101), // TT_STREAMING
            U8(0),       // bAssocTerminal
            U8(ENCODER), // bSourceID
            U8(0),       // iTerminal
        ],
    );
    // Table 3-12.
    let encoder = descriptor(
        OF_INTERFACE_CLASS,
        &[
            U8(6), // VC_EXTENSION_UNIT
            U8(ENCODER),
            Bytes(ENCODER_GUID),
            U8(1), // bNumControls
            U8(1), // bNrInPins
            U8(SENSOR),
            U8(2),                                 // bControlSize
            U16(1 << (PICTURE_TYPE_SELECTOR - 1)), // bmControls
            U8(0),                                 // iExtension
        ],
    );
    // Table 3-3.
    let head = |total_bytes: u16| {
        descriptor(
            OF_INTERFACE_CLASS,
            &[
                U8(1),       // VC_HEADER
                U16(0x0110), // bcdUVC
                U16(total_bytes),
                U32(CLOCK_HZ),
                U8(1), // bInCollection: one streaming interface
                U8(1), // baInterfaceNr
            ],
        )
    };
    let head = head(total(&[&head(0), &sensor, &encoder, &way_out]));
    [
        interface(0, 0, VIDEO_CONTROL),
        head,
        sensor,
        encoder,
        way_out,
    ]
    .concat()
}

fn streaming_interface(arguments: &Arguments) -> Vec<u8> {
    let formats = [
        mjpg_format(),
        mjpg_frame(arguments),
        colours(),
        h264_format(),
        h264_frame(arguments),
        colours(),
    ]
    .concat();
    // UVC 1.1, table 3-13.
    let head = |total_bytes: u16| {
        descriptor(
            OF_INTERFACE_CLASS,
            &[
                U8(1), // VS_INPUT_HEADER
                U8(2), // bNumFormats
                U16(total_bytes),
                U8(STREAM_ENDPOINT),
                U8(0), // bmInfo
                U8(WAY_OUT),
                U8(0), // bStillCaptureMethod
                U8(0), // bTriggerSupport
                U8(0), // bTriggerUsage
                U8(1), // bControlSize
                U8(0), // bmaControls of both formats
                U8(0),
            ],
        )
    };
    [
        interface(1, 1, VIDEO_STREAMING),
        head(total(&[&head(0), &formats])),
        formats,
        endpoint(),
    ]
    .concat()
}

/// "Motion-JPEG Payload" 1.1, table 3-1.
fn mjpg_format() -> Vec<u8> {
    descriptor(
        OF_INTERFACE_CLASS,
        &[
            U8(6),                // VS_FORMAT_MJPEG
            U8(1),                // bFormatIndex
            U8(1),                // bNumFrameDescriptors
            U8(1),                // bmFlags: samples of a fixed size
            U8(1),                // bDefaultFrameIndex
            Bytes(&[0, 0, 0, 0]), // aspect ratio, interlacing, copy protection: none
        ],
    )
}

/// The same, table 3-2.
fn mjpg_frame(arguments: &Arguments) -> Vec<u8> {
    let (width, height) = arguments.size;
    let interval = interval(arguments);
    descriptor(
        OF_INTERFACE_CLASS,
        &[
            U8(7), // VS_FRAME_MJPEG
            U8(1), // bFrameIndex
            U8(0), // bmCapabilities
            U16(width),
            U16(height),
            U32(bit_rate(arguments)), // dwMinBitRate
            U32(bit_rate(arguments)), // dwMaxBitRate
            U32(MAX_PAYLOAD_BYTES),   // dwMaxVideoFrameBufferSize
            U32(interval),            // dwDefaultFrameInterval
            U8(1),                    // bFrameIntervalType: one, which follows
            U32(interval),
        ],
    )
}

/// "Frame Based Payload" 1.1, table 3-1.
fn h264_format() -> Vec<u8> {
    descriptor(
        OF_INTERFACE_CLASS,
        &[
            U8(0x10), // VS_FORMAT_FRAME_BASED
            U8(2),    // bFormatIndex
            U8(1),    // bNumFrameDescriptors
            Bytes(H264_GUID),
            U8(16),               // bBitsPerPixel
            U8(1),                // bDefaultFrameIndex
            Bytes(&[0, 0, 0, 0]), // aspect ratio, interlacing, copy protection: none
            U8(1),                // bVariableSize
        ],
    )
}

/// The same, table 3-2.
fn h264_frame(arguments: &Arguments) -> Vec<u8> {
    let (width, height) = arguments.size;
    let interval = interval(arguments);
    descriptor(
        OF_INTERFACE_CLASS,
        &[
            U8(0x11), // VS_FRAME_FRAME_BASED
            U8(1),    // bFrameIndex
            U8(0),    // bmCapabilities
            U16(width),
            U16(height),
            U32(bit_rate(arguments)), // dwMinBitRate
            U32(bit_rate(arguments)), // dwMaxBitRate
            U32(interval),            // dwDefaultFrameInterval
            U8(1),                    // bFrameIntervalType: one, which follows
            U32(0),                   // dwBytesPerLine: it varies
            U32(interval),
        ],
    )
}

/// UVC 1.1, table 3-18.
fn colours() -> Vec<u8> {
    descriptor(
        OF_INTERFACE_CLASS,
        &[
            U8(13), // VS_COLORFORMAT
            U8(1),  // bColorPrimaries: BT.709, sRGB
            U8(1),  // bTransferCharacteristics: BT.709
            U8(4),  // bMatrixCoefficients: SMPTE 170M
        ],
    )
}

/// USB 2.0, table 9-13.
fn endpoint() -> Vec<u8> {
    descriptor(
        ENDPOINT,
        &[
            U8(STREAM_ENDPOINT),
            U8(2), // bmAttributes: bulk
            U16(PACKET_BYTES),
            U8(0), // bInterval
        ],
    )
}

/// Between frames, in units of 100 ns.
pub(crate) fn interval(arguments: &Arguments) -> u32 {
    10_000_000 / arguments.fps.max(1)
}

fn bit_rate(arguments: &Arguments) -> u32 {
    MAX_PAYLOAD_BYTES
        .saturating_mul(8)
        .saturating_mul(arguments.fps)
}
