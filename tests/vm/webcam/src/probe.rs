//! What is streamed, as driver and camera agree on it.

/// A frame on the USB may have that many bytes, its header included.
pub(crate) const MAX_PAYLOAD_BYTES: u32 = 1 << 20;
/// The clock of the payloads' time stamps, which this camera does not send.
pub(crate) const CLOCK_HZ: u32 = 48_000_000;

/// The two formats, by their index in the descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Mjpg,
    H264,
}

/// The control of "probe" and "commit" (UVC 1.1, table 4-75). Integers are little-endian.
///
/// ```text
/// byte 0      2         3        4          8                    18         22           26      30       31             34
///      +------+---------+--------+----------+--------------------+----------+------------+-------+--------+--------------+
///      | hint | format  | frame  | interval | compression, delay | most in  | most in    | clock | framing| version,     |
///      |      | index   | index  | 100 ns   | (unused)           | a frame  | a payload  | in Hz |        | least, most  |
///      +------+---------+--------+----------+--------------------+----------+------------+-------+--------+--------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) format: Format,
    /// Between frames, in units of 100 ns.
    pub(crate) interval: u32,
}

impl Probe {
    pub(crate) const BYTES: u8 = 34;

    /// What the driver would like; only the format is its choice.
    pub(crate) fn wanted_by(self, bytes: &[u8]) -> Self {
        let format = match bytes.get(2) {
            Some(2) => Format::H264,
            _ => Format::Mjpg,
        };
        Self { format, ..self }
    }

    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = vec![0, 0];
        bytes.push(match self.format {
            Format::Mjpg => 1,
            Format::H264 => 2,
        });
        bytes.push(1);
        bytes.extend(self.interval.to_le_bytes());
        bytes.resize(18, 0);
        for field in [MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES, CLOCK_HZ] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.resize(Self::BYTES.into(), 0);
        bytes
    }
}
