//! What a browser has to say to be let in.

use std::fmt;

use subtle::ConstantTimeEq;

/// A token that is guessed in a lifetime is refused.
const CHARACTERS_LEAST: usize = 16;
const CHARACTERS_MOST: usize = 256;
/// Of a token that is made.
const RANDOM_BYTES: usize = 20;

/// A secret text that can stand in an address, a header and a cookie.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

/// Why a text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a token has {CHARACTERS_LEAST} to {CHARACTERS_MOST} characters, all of them letters, digits or one of - . _ ~; `openssl rand -hex 16` makes one"
)]
pub struct InvalidToken;

impl Token {
    /// Takes a token that somebody has thought of.
    ///
    /// # Errors
    ///
    /// [`InvalidToken`]: it is too short to be safe, or could not be written in an address.
    pub fn parse(text: &str) -> Result<Self, InvalidToken> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let has_length = (CHARACTERS_LEAST..=CHARACTERS_MOST).contains(&text.len());
        if has_length && text.bytes().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidToken)
        }
    }

    /// Makes one that nobody guesses: of 160 random bits.
    ///
    /// # Errors
    ///
    /// When the system has no randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; RANDOM_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(
            bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        ))
    }

    /// Whether `said` is this token. Takes as long whatever is wrong with it.
    pub(crate) fn is(&self, said: &str) -> bool {
        self.0.as_bytes().ct_eq(said.as_bytes()).into()
    }

    /// The text, to be told to those who may know it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_can_stand_in_an_address() {
        for right in ["0123456789abcdef", "a-b.c_d~A-B.C_D~"] {
            assert!(Token::parse(right).expect("it is one").is(right));
        }
        for wrong in [
            "",
            "0123456789abcde",
            "0123456789abcde&",
            "0123456789abcdé",
            "0123456789 abcdef",
            "0123456789;abcdef",
            "0123456789abcdef\n",
            &"a".repeat(257),
        ] {
            assert_eq!(Token::parse(wrong), Err(InvalidToken), "{wrong:?}");
        }
    }

    #[test]
    fn made_tokens_differ_and_print_nothing() {
        let (one, other) = (Token::generate(), Token::generate());
        let (one, other) = (one.expect("it is random"), other.expect("it is random"));
        assert_ne!(one, other);
        assert!(Token::parse(one.expose()).is_ok());
        assert!(one.expose().len() * 4 >= 128);
        assert!(!format!("{one:?}").contains(one.expose()));
    }
}
