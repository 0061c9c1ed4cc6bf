//! Records that are too long, were changed or come out of their order deliver nothing; untouched ones deliver what was sent.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use sdvr_session::for_tests::Control;
use sdvr_session::{Malformed, Packet, SessionError, next_record};
use support::peer::{FITS, bytes_of, hear, media, say, sealed};
use support::{
    NOW, deliver, established, handshake, payload, seal_frame, setup, start_streaming, streaming,
};

#[test]
fn nothing_comes_after_media_in_a_record() {
    let (mut client, mut server) = streaming(true);
    let mut content = media(|_| (), b"frame");
    content.extend(bytes_of(&Control::Setup(setup())));
    // What follows is taken for the frame's, and that is too much of it.
    let heard = say(&mut client, &mut server, &content);
    assert_eq!(heard, Err(SessionError::Frame(FITS)));
    assert_eq!(server.poll_event(), None);
}

#[test]
fn a_record_above_the_limit_ends_the_session() {
    let (mut client, mut server) = established(true);
    // 4,096 bytes after the header, of which 16 are the tag.
    let filler = |bytes: usize| {
        let mut content = vec![200, 0];
        content.extend_from_slice(&((bytes - 4) as u16).to_le_bytes());
        content.resize(bytes, 0);
        content
    };
    assert_eq!(say(&mut client, &mut server, &filler(4080)), Ok(None));
    let heard = say(&mut client, &mut server, &filler(4081));
    assert_eq!(heard, Err(SessionError::RecordTooLong(4105)));

    let (mut client, mut server) = streaming(true);
    let most_bytes = server.longest_record_bytes();
    let piece = vec![0; most_bytes - 16 - 32];
    let fits = media(|_| (), &piece);
    assert_eq!(say(&mut client, &mut server, &fits), Ok(Some(piece.len())));
    let too_long = vec![0; piece.len() + 1];
    let heard = say(&mut client, &mut server, &media(|_| (), &too_long));
    let expected = SessionError::RecordTooLong(most_bytes as u32 + 9);
    assert_eq!(heard, Err(expected));
}

#[test]
fn the_length_is_refused_before_anything_is_read() {
    let header = |length: u32| [length.to_le_bytes().as_slice(), &[0x20, 0, 0, 0]].concat();
    assert_eq!(
        next_record(&header(4096), 4096),
        Ok(Packet::NeedsMore(4104))
    );
    assert_eq!(
        next_record(&header(4097), 4096),
        Err(Malformed::Length(4097))
    );
    assert_eq!(
        next_record(&header(u32::MAX), 1 << 20),
        Err(Malformed::Length(u32::MAX.into()))
    );
}

#[test]
fn reserved_bytes_of_a_records_header_must_be_zero() {
    for (at, byte, expected) in [
        (4, 0x21, Malformed::UnexpectedType(0x21)),
        (6, 1, Malformed::ReservedNotZero),
        (7, 1, Malformed::ReservedNotZero),
    ] {
        let (mut client, mut server) = streaming(true);
        let mut record = sealed(&mut client, &bytes_of(&Control::Ping(1)));
        record[at] = byte;
        let refused = Err(SessionError::Malformed(expected));
        assert_eq!(hear(&mut server, &record), refused);
    }
}

#[test]
fn a_record_with_one_flipped_bit_delivers_nothing() {
    for aes in [true, false] {
        let (mut client, mut server) = streaming(aes);
        let record = seal_frame(&mut client, NOW, 1, b"a frame");
        for bit in 0..record.len() * 8 {
            let mut altered = record.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(server.handle_record(NOW, &mut altered).is_err(), "{bit}");
        }
        for length in 0..record.len() {
            let mut cut = record[..length].to_vec();
            assert!(server.handle_record(NOW, &mut cut).is_err(), "{length}");
            // A header that agrees with what is there.
            if length >= 8 {
                let mut cut = record[..length].to_vec();
                cut[..4].copy_from_slice(&(length as u32 - 8).to_le_bytes());
                assert!(server.handle_record(NOW, &mut cut).is_err(), "{length}");
            }
        }
        assert_eq!(server.poll_event(), None);
        // What was not accepted did not count: the true record is still the next.
        assert_eq!(deliver(&mut server, &mut record.clone()), b"a frame");
    }
}

#[test]
fn a_record_out_of_its_order_delivers_nothing() {
    for aes in [true, false] {
        let (mut client, mut server) = streaming(aes);
        let first = seal_frame(&mut client, NOW, 1, b"first");
        let second = seal_frame(&mut client, NOW, 2, b"second");
        let refused = Err(SessionError::NotAuthentic);
        let heard = hear(&mut server, &second);
        assert_eq!(heard, refused);
        assert_eq!(deliver(&mut server, &mut first.clone()), b"first");
        let again = hear(&mut server, &first);
        assert_eq!(again, refused);
        assert_eq!(deliver(&mut server, &mut second.clone()), b"second");
        // Nor does a record come back to its sender, or go to another session of the same two keys.
        let third = seal_frame(&mut client, NOW, 3, b"third");
        let reflected = hear(&mut client, &third);
        assert_eq!(reflected, refused);
        let mut other = handshake(8, aes);
        start_streaming(&mut other.client, &mut other.server);
        let elsewhere = hear(&mut other.server, &third);
        assert_eq!(elsewhere, refused);
    }
}

#[test]
fn a_peers_frames_are_the_frames_it_sent() {
    let (mut client, mut server) = streaming(false);
    for number in 1..50 {
        let payload = payload(number, 3000 * number as usize);
        let mut wire = seal_frame(&mut client, NOW, number, &payload);
        assert_eq!(deliver(&mut server, &mut wire), payload);
    }
}
