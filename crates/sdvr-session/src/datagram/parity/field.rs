//! GF(2^8): bytes as polynomials over GF(2), modulo x^8 + x^4 + x^3 + x^2 + 1. Addition is XOR.

/// The modulus without its highest bit.
const MODULUS: u8 = 0x1d;

/// `byte` times x.
pub(super) const fn double(byte: u8) -> u8 {
    // All ones if the highest bit is set, without a branch: this is what loops over fragments are made of.
    let overflow = (byte >> 7).wrapping_neg();
    (byte << 1) ^ (overflow & MODULUS)
}

pub(super) const fn multiply(one: u8, other: u8) -> u8 {
    let (mut product, mut multiple, mut rest) = (0, one, other);
    while rest != 0 {
        if rest & 1 != 0 {
            product ^= multiple;
        }
        multiple = double(multiple);
        rest >>= 1;
    }
    product
}

/// The byte that times this one is 1; 0 of 0.
pub(super) const fn inverse(byte: u8) -> u8 {
    // Every byte but 0 to the power of 255 is 1, so its power of 254, the product of those of 2, 4, 8, … 128, is its inverse.
    let (mut product, mut power) = (1, byte);
    let mut squarings: u8 = 7;
    while let Some(rest) = squarings.checked_sub(1) {
        power = multiply(power, power);
        product = multiply(product, power);
        squarings = rest;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_but_zero_has_an_inverse() {
        for byte in 1..=255 {
            assert_eq!(multiply(byte, inverse(byte)), 1, "{byte}");
        }
        assert_eq!(inverse(0), 0);
    }

    #[test]
    fn multiplication_is_distributive_and_commutative() {
        for one in 0..=255 {
            for other in 0..=255 {
                assert_eq!(multiply(one, other), multiply(other, one));
                let sum = multiply(one, other ^ 0x5a);
                assert_eq!(sum, multiply(one, other) ^ multiply(one, 0x5a));
            }
        }
    }
}
