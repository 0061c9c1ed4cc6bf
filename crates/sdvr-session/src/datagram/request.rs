//! Requests for fragments that have not arrived.

use std::ops::Range;

use sdvr_frame::FrameNumber;

use crate::codec::{Put, Reader};
use crate::error::Malformed;

/// The most requests in one NACK.
pub(crate) const REQUESTS_MOST: usize = 64;

/// Fragments of a frame that are asked for.
///
/// ```text
/// byte 0              8                12
///      +--------------+----------------+---------------+
///      | frame number | first fragment | how many      |
///      +--------------+----------------+---------------+
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FragmentRequest {
    /// Which frame.
    pub number: FrameNumber,
    /// Which fragments. Those that the frame does not have are nobody's mistake: who asks may not know how many it has.
    pub fragments: Range<u32>,
}

impl FragmentRequest {
    /// Appends how many there are, and as many as may be.
    pub(crate) fn write_all(requests: &[Self], out: &mut Vec<u8>) {
        let requests = requests.get(..REQUESTS_MOST).unwrap_or(requests);
        out.put_u16(u16::try_from(requests.len()).unwrap_or(0));
        for Self { number, fragments } in requests {
            out.put_u64(number.0);
            out.put_u32(fragments.start);
            out.put_u32(fragments.end.saturating_sub(fragments.start));
        }
    }

    pub(crate) fn parse_all(reader: &mut Reader<'_>) -> Result<Vec<Self>, Malformed> {
        let count = usize::from(reader.u16()?);
        if count > REQUESTS_MOST {
            return Err(Malformed::Length(count as u64));
        }
        let request = |_| {
            let number = FrameNumber(reader.u64()?);
            let start = reader.u32()?;
            let fragments = start..start.saturating_add(reader.u32()?);
            Ok(Self { number, fragments })
        };
        (0..count).map(request).collect()
    }
}
