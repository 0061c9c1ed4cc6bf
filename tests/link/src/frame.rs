//! What the link must know of frames: which are the kernels' own, and where a program's bytes are in the others.
//!
//! ```text
//! byte 0            6            12          14
//!      +------------+------------+-----------+------------------------------------------------
//!      | to         | from       | ethertype | IPv4 (20 to 60 bytes), IPv6 (40 bytes), others
//!      +------------+------------+-----------+------------------------------------------------
//! ```

/// To, from, ethertype.
pub(crate) const ETHERNET_HEADER_BYTES: usize = 14;

const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

const IGMP: u8 = 2;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const HOP_BY_HOP: u8 = 0;

/// Whether the kernels asks each other this of their own, rather than for a program: ARP, IGMP, and IPv6's discovery of neighbours, routers and
/// listeners.
pub(crate) fn is_housekeeping(frame: &[u8]) -> bool {
    let Some(packet) = frame.get(ETHERNET_HEADER_BYTES..) else {
        return false;
    };
    match u16_at(frame, 12) {
        Some(ARP) => true,
        Some(IPV4) => packet.get(9) == Some(&IGMP),
        Some(IPV6) => match packet.get(6) {
            Some(&ICMPV6) => is_discovery(packet.get(40)),
            // Reports of listeners have one option before them, of eight bytes.
            Some(&HOP_BY_HOP) => packet.get(40) == Some(&ICMPV6) && is_discovery(packet.get(48)),
            _ => false,
        },
        _ => false,
    }
}

fn is_discovery(icmp_type: Option<&u8>) -> bool {
    icmp_type.is_some_and(|kind| (130..=137).contains(kind) || *kind == 143)
}

/// Flips a bit of what a program sent, taken modulo the number of its bits, and makes the checksum fit. `false` when there is none.
pub(crate) fn flip_bit(frame: &mut [u8], bit: u64) -> bool {
    let Some(place) = place_of_payload(frame) else {
        return false;
    };
    let bits = (frame.len().saturating_sub(place.payload_at) as u64) * 8;
    if bits == 0 {
        return false;
    }
    let bit = bit % bits;
    let Ok(byte_in_payload) = usize::try_from(bit / 8) else {
        return false;
    };
    let at = place.payload_at + byte_in_payload;
    // Sums are of pairs of bytes, counted from the start of the segment.
    let is_high_byte = (at - place.segment_at).is_multiple_of(2);
    let Some(byte) = frame.get_mut(at) else {
        return false;
    };
    let old = *byte;
    *byte ^= 1 << (bit % 8);
    let new = *byte;
    if let Some(checksum_at) = place.checksum_at {
        let word = |byte: u8| {
            if is_high_byte {
                u16::from(byte) << 8
            } else {
                u16::from(byte)
            }
        };
        change_checksum(frame, checksum_at, word(old), word(new));
    }
    true
}

/// Where in a frame a program's bytes are.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    segment_at: usize,
    payload_at: usize,
    checksum_at: Option<usize>,
}

/// `None` for pieces of IP packets, whose checksum is elsewhere, and for what is too short.
fn place_of_payload(frame: &[u8]) -> Option<Place> {
    let packet = frame.get(ETHERNET_HEADER_BYTES..)?;
    let (header_bytes, protocol) = match u16_at(frame, 12)? {
        IPV4 => {
            // More fragments, or not the first.
            if u16_at(packet, 6)? & 0x3fff != 0 {
                return None;
            }
            (usize::from(packet.first()? & 0x0f) * 4, *packet.get(9)?)
        }
        IPV6 => (40, *packet.get(6)?),
        _ => {
            return Some(Place {
                segment_at: ETHERNET_HEADER_BYTES,
                payload_at: ETHERNET_HEADER_BYTES,
                checksum_at: None,
            });
        }
    };
    let segment_at = ETHERNET_HEADER_BYTES + header_bytes;
    let segment = frame.get(segment_at..)?;
    match protocol {
        UDP => Some(Place {
            segment_at,
            payload_at: segment_at + 8,
            // A UDP checksum of zero says that there is none.
            checksum_at: (u16_at(segment, 6)? != 0).then_some(segment_at + 6),
        }),
        TCP => Some(Place {
            segment_at,
            payload_at: segment_at + usize::from(segment.get(12)? >> 4) * 4,
            checksum_at: Some(segment_at + 16),
        }),
        _ => None,
    }
}

/// RFC 1624, equation 3.
fn change_checksum(frame: &mut [u8], at: usize, old: u16, new: u16) {
    let Some(checksum) = u16_at(frame, at) else {
        return;
    };
    let mut sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the loop has folded it into 16 bits"
    )]
    let mut checksum = !(sum as u16);
    // Zero would say that a UDP segment has none; this is the same in this arithmetic.
    if checksum == 0 {
        checksum = 0xffff;
    }
    if let Some(bytes) = frame.get_mut(at..at + 2) {
        bytes.copy_from_slice(&checksum.to_be_bytes());
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests;
