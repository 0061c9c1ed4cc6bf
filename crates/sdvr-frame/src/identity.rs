//! Who a camera or a server is: its public key, and the short text people compare.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

/// The public half of a persistent X25519 key. This, not a name, is an identity.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// The text form of this key's identity.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        hash.update(b"sdvr-x25519");
        hash.update(self.0);
        Fingerprint(hash.finalize().into())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({})", self.fingerprint())
    }
}

/// SHA-256 of `"sdvr-x25519"` and a public key, shown as OpenSSH shows its own.
///
/// ```
/// use sdvr_frame::{Fingerprint, PublicKey};
///
/// let fingerprint = PublicKey([7; 32]).fingerprint();
/// let text = fingerprint.to_string();
/// assert!(text.starts_with("SHA256:"));
/// assert_eq!(text.parse::<Fingerprint>().unwrap(), fingerprint);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Its first 16 bytes as 32 hexadecimal digits, for use where a file name is needed.
    ///
    /// Half a hash names a file; it is never what an identity is compared by.
    #[must_use]
    pub fn file_name(&self) -> String {
        let (name, _) = self.0.split_at(16);
        HEXLOWER.encode(name)
    }

    /// The fingerprint that is this hash.
    #[must_use]
    pub const fn from_bytes(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The whole hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SHA256:{}", BASE64_NOPAD.encode(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Fingerprint {
    type Err = ParseFingerprintError;

    fn from_str(text: &str) -> Result<Self, ParseFingerprintError> {
        let encoded = text.strip_prefix("SHA256:").ok_or(ParseFingerprintError)?;
        let bytes = BASE64_NOPAD
            .decode(encoded.as_bytes())
            .map_err(|_| ParseFingerprintError)?;
        bytes
            .try_into()
            .map(Self)
            .map_err(|_| ParseFingerprintError)
    }
}

/// The text is not `SHA256:` and 43 characters of base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a fingerprint is SHA256: and 43 characters of base64, as `sdvr keys fingerprint` prints it"
)]
pub struct ParseFingerprintError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_is_the_frozen_one() {
        // Printed texts are compared by people and kept in scripts: this must never change.
        let fingerprint = PublicKey([0; 32]).fingerprint();
        assert_eq!(
            fingerprint.to_string(),
            "SHA256:88ZSxTmIUPXVa8DxMzuhwJMMwAU9jWJn/4gbx2mJ8Dk"
        );
        assert_eq!(fingerprint.file_name().len(), 32);
    }

    #[test]
    fn refuses_texts_that_are_not_whole_fingerprints() {
        for text in ["", "SHA256:", "SHA256:AAAA", "MD5:00", "SHA256:!"] {
            assert_eq!(
                text.parse::<Fingerprint>(),
                Err(ParseFingerprintError),
                "{text}"
            );
        }
    }
}
