//! What a text that somebody typed may name: a label, a fingerprint, or the beginning of one.

use sdvr_frame::{Fingerprint, PublicKey};

use crate::error::TrustError;
use crate::known_cameras::KnownCamera;

const PREFIX: &str = "SHA256:";
/// Characters of a fingerprint that name a key among those that are known already.
pub(crate) const LEAST_OF_KNOWN: usize = 4;
/// Characters that name a key to be trusted from now on. Whoever knows what will be typed can make a key that begins with the
/// same four in a second; for eight it takes him years.
pub(crate) const LEAST_OF_NEW: usize = 8;

/// Whether `wanted` is this fingerprint or begins it with at least `least` characters. `SHA256:` may be left out.
pub(crate) fn begins(wanted: &str, fingerprint: Fingerprint, least: usize) -> bool {
    let text = fingerprint.to_string();
    let hash = text.strip_prefix(PREFIX).unwrap_or(&text);
    let wanted = wanted.strip_prefix(PREFIX).unwrap_or(wanted);
    wanted.len() >= least && hash.starts_with(wanted)
}

/// The cameras that `wanted` may mean. A label means exactly its camera.
pub(crate) fn cameras_named<'a>(cameras: &'a [KnownCamera], wanted: &str) -> Vec<&'a KnownCamera> {
    let by_label = cameras
        .iter()
        .find(|camera| camera.label.as_str() == wanted);
    if let Some(camera) = by_label {
        return vec![camera];
    }
    cameras
        .iter()
        .filter(|camera| {
            camera
                .keys()
                .any(|key| begins(wanted, key.fingerprint(), LEAST_OF_KNOWN))
        })
        .collect()
}

/// A camera as it can be typed, with its label for people.
pub(crate) fn described(key: &PublicKey, label: impl std::fmt::Display) -> String {
    format!("{} ({label})", key.fingerprint())
}

/// The error that asks back.
pub(crate) fn ambiguous(wanted: &str, candidates: &[String]) -> TrustError {
    TrustError::Ambiguous {
        wanted: wanted.to_owned(),
        candidates: candidates.join(" or "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_of_enough_characters_names_a_fingerprint() {
        let fingerprint = PublicKey([0; 32]).fingerprint();
        for (wanted, least, fits) in [
            (
                "SHA256:88ZSxTmIUPXVa8DxMzuhwJMMwAU9jWJn/4gbx2mJ8Dk",
                8,
                true,
            ),
            ("SHA256:88ZS", 4, true),
            ("88ZS", 4, true),
            ("SHA256:88Z", 4, false),
            ("SHA256:88ZS", 8, false),
            ("SHA256:88zS", 4, false),
            ("SHA256:", 4, false),
            ("", 4, false),
            (
                "SHA256:88ZSxTmIUPXVa8DxMzuhwJMMwAU9jWJn/4gbx2mJ8Dk=",
                4,
                false,
            ),
        ] {
            assert_eq!(begins(wanted, fingerprint, least), fits, "{wanted}");
        }
    }
}
