//! The messages between the kernel and a device (the kernel's `Documentation/usb/usbip_protocol.rst`). Integers are big-endian.

use std::io::{self, Read};

use crate::setup::Setup;

/// The length of each message's header.
const HEADER_BYTES: usize = 48;
const SUBMIT: u32 = 1;
const UNLINK: u32 = 2;
const SUBMIT_REPLY: u32 = 3;
const UNLINK_REPLY: u32 = 4;
const FROM_DEVICE: u32 = 1;
/// More than any request of `uvcvideo`: what is longer is no message.
const MAX_DATA_BYTES: u32 = 1 << 20;

/// What the kernel wants.
#[derive(Debug)]
pub(crate) enum Request {
    /// A transfer.
    Submit(Submit),
    /// No longer that transfer.
    Unlink(Unlink),
}

/// `USBIP_CMD_SUBMIT`.
///
/// ```text
/// byte 0       4        8       12          16         20      24       28             40      48
///      +-------+--------+-------+-----------+----------+-------+--------+--------------+-------+------------------------
///      | 1     | number | device| direction | endpoint | flags | length | isochronous  | setup | data, to the device
///      +-------+--------+-------+-----------+----------+-------+--------+--------------+-------+------------------------
/// ```
#[derive(Debug)]
pub(crate) struct Submit {
    /// Tells transfers apart.
    pub(crate) number: TransferNumber,
    /// 0: control.
    pub(crate) endpoint: u32,
    /// Bytes that may be transferred.
    pub(crate) len_bytes: usize,
    /// What a control transfer is about.
    pub(crate) setup: Setup,
    /// To the device.
    pub(crate) data: Vec<u8>,
}

/// `USBIP_CMD_UNLINK`.
///
/// ```text
/// byte 0       4        8                             20       24                48
///      +-------+--------+-----------------------------+--------+-----------------+
///      | 2     | number | as above                    | which  | zero            |
///      +-------+--------+-----------------------------+--------+-----------------+
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unlink {
    /// This request's own number.
    pub(crate) number: TransferNumber,
    /// The transfer that is not wanted any more.
    pub(crate) which: TransferNumber,
}

/// Numbers a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TransferNumber(u32);

/// How a transfer ended, as a negative error number of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// As it should.
    Done,
    /// `-EPIPE`: the device does not do that.
    Stalled,
    /// `-ECONNRESET`: it was still waiting when it was unlinked.
    Unlinked,
}

impl Request {
    /// Waits for the next one.
    pub(crate) fn read(link: &mut impl Read) -> io::Result<Self> {
        let mut header = [0; HEADER_BYTES];
        link.read_exact(&mut header)?;
        let (words, setup) = header.split_at(40);
        let mut words = words
            .chunks_exact(4)
            .map(|word| word.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte)));
        let mut word = || words.next().unwrap_or_default();
        let (kind, number, _device) = (word(), TransferNumber(word()), word());
        let (direction, endpoint) = (word(), word());
        match kind {
            SUBMIT => {
                let (_flags, length) = (word(), word());
                if length > MAX_DATA_BYTES {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                let len_bytes = length as usize;
                let is_from_device = direction == FROM_DEVICE;
                let mut data = vec![0; if is_from_device { 0 } else { len_bytes }];
                link.read_exact(&mut data)?;
                Ok(Self::Submit(Submit {
                    number,
                    endpoint,
                    len_bytes,
                    setup: Setup::parse(setup),
                    data,
                }))
            }
            UNLINK => Ok(Self::Unlink(Unlink {
                number,
                which: TransferNumber(word()),
            })),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// `USBIP_RET_SUBMIT`, with what came from the device.
///
/// ```text
/// byte 0       4        8                             20       24       28            48
///      +-------+--------+-----------------------------+--------+--------+-------------+------------------------
///      | 3     | number | zero                        | status | length | zero        | data, from the device
///      +-------+--------+-----------------------------+--------+--------+-------------+------------------------
/// ```
pub(crate) fn submit_reply(number: TransferNumber, status: Status, from_device: &[u8]) -> Vec<u8> {
    let mut message = reply(SUBMIT_REPLY, number, status, from_device.len());
    message.extend_from_slice(from_device);
    message
}

/// `USBIP_RET_SUBMIT` for data that went to the device, all of it taken.
pub(crate) fn taken_reply(submit: &Submit) -> Vec<u8> {
    reply(SUBMIT_REPLY, submit.number, Status::Done, submit.data.len())
}

/// `USBIP_RET_UNLINK`: as above, without length and data.
pub(crate) fn unlink_reply(number: TransferNumber, status: Status) -> Vec<u8> {
    reply(UNLINK_REPLY, number, status, 0)
}

fn reply(kind: u32, number: TransferNumber, status: Status, len_bytes: usize) -> Vec<u8> {
    let status: i32 = match status {
        Status::Done => 0,
        Status::Stalled => -32,
        Status::Unlinked => -104,
    };
    let length = u32::try_from(len_bytes).unwrap_or(u32::MAX);
    let mut message = Vec::with_capacity(HEADER_BYTES + len_bytes);
    for word in [kind, number.0, 0, 0, 0, status.cast_unsigned(), length] {
        message.extend(word.to_be_bytes());
    }
    message.resize(HEADER_BYTES, 0);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_to_the_device_brings_its_data() {
        let mut message = Vec::new();
        for word in [1_u32, 7, 0x0001_0001, 0, 0, 0, 3, 0, 0, 0] {
            message.extend(word.to_be_bytes());
        }
        message.extend([0x21, 1, 0, 2, 1, 0, 3, 0, 10, 11, 12]);
        let Ok(Request::Submit(submit)) = Request::read(&mut &*message) else {
            panic!("{message:?}");
        };
        assert_eq!(
            (submit.number, &*submit.data),
            (TransferNumber(7), &[10, 11, 12][..])
        );
        let cut = message.len() - 1;
        assert!(Request::read(&mut &message[..cut]).is_err());
    }

    #[test]
    fn a_reply_says_how_much_follows() {
        let message = submit_reply(TransferNumber(7), Status::Stalled, &[1, 2]);
        assert_eq!(message.len(), 50);
        assert_eq!(message[20..28], [255, 255, 255, 224, 0, 0, 0, 2]);
    }
}
