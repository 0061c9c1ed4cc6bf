//! What is public of a private key. Apart, as fuzz targets share the rest and do not link the curve.

use sdvr_frame::PublicKey;

pub(crate) fn public(private: [u8; 32]) -> PublicKey {
    let secret = x25519_dalek::StaticSecret::from(private);
    PublicKey(x25519_dalek::PublicKey::from(&secret).to_bytes())
}
