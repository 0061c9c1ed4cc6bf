//! Parameter sets by which OpenH264 hands out every picture as soon as it is decoded.
//!
//! It keeps pictures back to hand them out in the order in which they are shown, but takes the room for them from the pictures that the stream
//! may refer to, loses that room when it is asked for a picture out of turn, and forgets its order at a wrap of the count. Of the profiles "baseline" and
//! "scalable baseline" it keeps nothing back, and decodes what is in the stream nevertheless; the latter has the parameter set of the high profile. So
//! every other profile is renamed to that one on the way in; the order is this crate's own ([`super::order`]).

use sdvr_frame::bits::{Bits, without_emulation_prevention};

const MAIN: u8 = 77;
const SCALABLE_BASELINE: u8 = 83;
const EXTENDED: u8 = 88;
const HIGH: u8 = 100;
/// What the high profile's parameter set has in addition, as those of other profiles mean it: 4:2:0, 8 bits, 8 bits, no bypass, no scaling.
const PLAIN: [bool; 7] = [false, true, false, true, true, false, false];

/// Real parameter sets have a hundred bytes, with every list of scaling a thousand. Renaming takes eight bytes for each, and a frame may be one parameter set of
/// 256 MiB.
const RENAMED_MOST_BYTES: usize = 4096;

/// Writes the sequence parameter set `nal` as one of the scalable baseline profile; others, and what is too long to be one, as they are.
pub(super) fn write(nal: &[u8], out: &mut Vec<u8>) {
    let profile = nal.get(1).filter(|_| nal.len() <= RENAMED_MOST_BYTES);
    let renamed = match profile {
        Some(&HIGH) => renamed(nal, &[]),
        Some(&(MAIN | EXTENDED)) => renamed(nal, &PLAIN),
        _ => None,
    };
    out.extend_from_slice(&[0, 0, 0, 1]);
    out.extend_from_slice(renamed.as_deref().unwrap_or(nal));
}

/// The parameter set with another profile, and `added` behind its number.
fn renamed(nal: &[u8], added: &[bool]) -> Option<Vec<u8>> {
    let (&header, payload) = nal.split_first()?;
    let mut payload = without_emulation_prevention(payload);
    *payload.first_mut()? = SCALABLE_BASELINE;
    let mut number_end = Bits::new(&payload);
    number_end.take(24)?;
    number_end.unsigned()?;
    let number_end = number_end.position();
    let mut all = Bits::new(&payload);
    let mut bits = Vec::new();
    for _ in 0..payload.len().checked_mul(8)? {
        if all.position() == number_end {
            bits.extend_from_slice(added);
        }
        bits.push(all.take(1)? == 1);
    }
    let bytes = bits.chunks(8).map(|eight| {
        let byte = eight
            .iter()
            .fold(0_u8, |byte, &bit| byte << 1 | u8::from(bit));
        byte << (8 - eight.len())
    });
    let mut bytes: Vec<u8> = bytes.collect();
    // The last bit that is one is the end (7.3.2.11).
    while bytes.pop_if(|byte| *byte == 0).is_some() {}
    Some(with_emulation_prevention(header, &bytes))
}

/// 7.3.1: a 03 before every byte up to 3 that follows two zeros.
fn with_emulation_prevention(header: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![header];
    let mut zeros = 0_u8;
    for &byte in payload {
        if zeros == 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        out.push(byte);
        zeros = if byte == 0 { zeros + 1 } else { 0 };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_for_a_parameter_set_is_left_as_it_is() {
        let written = |bytes: usize| {
            let mut nal = vec![0x55; bytes];
            nal[1] = HIGH;
            let mut out = Vec::new();
            write(&nal, &mut out);
            (out.split_off(4), nal)
        };
        let (renamed, _) = written(RENAMED_MOST_BYTES);
        assert_eq!(renamed[1], SCALABLE_BASELINE);
        let (left, nal) = written(RENAMED_MOST_BYTES + 1);
        assert!(left == nal);
    }
}
