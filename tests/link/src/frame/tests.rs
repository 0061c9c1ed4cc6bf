//! Frames as the kernels make them, and ones that they would not.

use super::*;

/// The one's complement sum that is zero when a checksum fits.
fn sum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

fn ethernet(ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    frame.extend(ethertype.to_be_bytes());
    frame.extend(packet);
    frame
}

/// UDP (or a protocol that has its checksum at 6) in IPv6, with a checksum that fits.
fn udp_in_ipv6(payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 8).unwrap();
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([UDP, 64]);
    packet.extend([0xfd; 32]);
    packet.extend([0x12, 0x34, 0x56, 0x78]);
    packet.extend(length.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    let checksum = checksum_of(&packet);
    packet[46..48].copy_from_slice(&checksum.to_be_bytes());
    ethernet(IPV6, &packet)
}

/// What a receiving kernel finds; zero when the checksum fits.
fn checksum_of(packet: &[u8]) -> u16 {
    let segment = &packet[40..];
    let length = u32::try_from(segment.len()).unwrap().to_be_bytes();
    sum(&[&packet[8..40], &length, &[0, 0, 0, packet[6]], segment])
}

fn tcp_in_ipv6(payload: &[u8]) -> Vec<u8> {
    let mut frame = udp_in_ipv6(&[&[0; 16][..], payload].concat());
    let packet = &mut frame[14..];
    packet[6] = TCP;
    // Six words of header, of which eight bytes were UDP's.
    packet[52] = 6 << 4;
    packet[46..48].copy_from_slice(&[0, 0]);
    let checksum = checksum_of(packet);
    packet[56..58].copy_from_slice(&checksum.to_be_bytes());
    frame
}

#[test]
fn a_flipped_bit_is_of_the_payload_and_the_checksum_fits_again() {
    for payload in [&b"odd"[..], b"even", &[0; 64], &[0xff; 65]] {
        for (frame, headers) in [(udp_in_ipv6(payload), 62), (tcp_in_ipv6(payload), 78)] {
            assert_eq!(checksum_of(&frame[14..]), 0);
            for bit in 0..payload.len() as u64 * 8 {
                let mut flipped = frame.clone();
                assert!(flip_bit(&mut flipped, bit));
                assert_eq!(checksum_of(&flipped[14..]), 0, "bit {bit}");
                let differing: u32 = frame[headers..]
                    .iter()
                    .zip(&flipped[headers..])
                    .map(|(old, new)| (old ^ new).count_ones())
                    .sum();
                assert_eq!(differing, 1);
                // Nothing else but the checksum is another one.
                assert_eq!(frame[..60], flipped[..60]);
                // However large the number is, it is a bit of the payload.
                let mut again = frame.clone();
                assert!(flip_bit(&mut again, bit + payload.len() as u64 * 80));
                assert_eq!(again, flipped);
            }
        }
    }
}

#[test]
fn a_datagram_without_a_checksum_is_left_without() {
    let mut frame = udp_in_ipv6(b"payload");
    frame[60..62].copy_from_slice(&[0, 0]);
    assert!(flip_bit(&mut frame, 0));
    assert_eq!(frame[60..62], [0, 0]);
    assert_eq!(frame[62..], *b"qayload");
}

#[test]
fn a_raw_frame_s_bit_is_flipped_behind_its_header() {
    let frame = ethernet(0x1337, &[0; 4]);
    let mut flipped = frame.clone();
    assert!(flip_bit(&mut flipped, 17));
    assert_eq!(flipped[14..], [0, 0, 2, 0]);
    assert_eq!(flipped[..14], frame[..14]);
}

#[test]
fn what_has_no_payload_stays_whole() {
    let mut fragment = vec![0x45; 60];
    fragment[6..8].copy_from_slice(&[0x20, 0]);
    fragment[9] = UDP;
    for frame in [
        udp_in_ipv6(b""),
        ethernet(0x1337, b""),
        ethernet(IPV4, &fragment),
        ethernet(IPV6, &[0; 40]),
    ] {
        let mut same = frame.clone();
        assert!(!flip_bit(&mut same, 5));
        assert_eq!(same, frame);
    }
}

#[test]
fn no_frame_is_too_short_or_too_odd() {
    for whole in [
        udp_in_ipv6(b"x"),
        tcp_in_ipv6(b"x"),
        ethernet(IPV4, &[0x4f; 90]),
        ethernet(IPV6, &[0xff; 90]),
    ] {
        for length in 0..=whole.len() {
            let mut frame = whole[..length].to_vec();
            is_housekeeping(&frame);
            flip_bit(&mut frame, u64::MAX);
            assert_eq!(frame.len(), length);
        }
    }
}

#[test]
fn what_kernels_ask_each_other_is_told_from_what_programs_send() {
    let in_ipv6 = |header: u8, at: usize, icmp_type: u8| {
        let mut packet = vec![0; 72];
        packet[6] = header;
        packet[40] = ICMPV6;
        packet[at] = icmp_type;
        ethernet(IPV6, &packet)
    };
    let mut membership = vec![0x46; 32];
    membership[9] = IGMP;
    assert!(is_housekeeping(&ethernet(ARP, &[0; 28])));
    assert!(is_housekeeping(&ethernet(IPV4, &membership)));
    // A neighbour's solicitation and advertisement; a listener's report.
    assert!(is_housekeeping(&in_ipv6(ICMPV6, 40, 135)));
    assert!(is_housekeeping(&in_ipv6(ICMPV6, 40, 136)));
    assert!(is_housekeeping(&in_ipv6(HOP_BY_HOP, 48, 143)));
    // A ping, an unreachable port, and the rest.
    assert!(!is_housekeeping(&in_ipv6(ICMPV6, 40, 128)));
    assert!(!is_housekeeping(&in_ipv6(ICMPV6, 40, 1)));
    assert!(!is_housekeeping(&udp_in_ipv6(b"payload")));
    assert!(!is_housekeeping(&ethernet(0x1337, &[0; 50])));
    assert!(!is_housekeeping(&ethernet(IPV4, &[UDP; 40])));
}
