//! What a frame of several planes, or of padded lines, is as one run of bytes: the only copies that capturing makes.

use sdvr_frame::FourCc;

use super::choice::JPEG;

/// Formats whose planes lie in memory of their own, and what they are called when one follows the other.
const JOINED: [(&[u8; 4], &[u8; 4]); 8] = [
    (b"NM12", b"NV12"),
    (b"NM21", b"NV21"),
    (b"NM16", b"NV16"),
    (b"NM61", b"NV61"),
    (b"YM12", b"YU12"),
    (b"YM21", b"YV12"),
    (b"YM16", b"422P"),
    (b"YM24", b"444P"),
];

/// What a format's frames are called once they are one run of bytes.
pub(crate) fn stream_fourcc(fourcc: FourCc) -> FourCc {
    if fourcc == JPEG {
        return FourCc::MJPG;
    }
    let joined = JOINED.iter().find(|(apart, _)| **apart == fourcc.0);
    joined.map_or(fourcc, |(_, together)| FourCc(**together))
}
