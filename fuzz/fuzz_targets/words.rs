//! What people and peers write as words: addresses, labels, sources, rates. Refused, or read, written and read again the same.
#![no_main]

use std::fmt::Display;
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;
use sdvr_frame::{Fingerprint, FourCc, FrameRate, Label, ServerAddress};
use sdvr_source::SourceSpec;

use sdvr_trust::normalise_address;

fn round_trip<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let written = value.to_string();
        let again = written.parse::<T>().ok().map(|again| again.to_string());
        assert_eq!(again.as_deref(), Some(written.as_str()), "{text:?}");
    }
}

fuzz_target!(|text: &str| {
    for port in [None, Some(0), Some(1), Some(u16::MAX)] {
        let Ok(address) = ServerAddress::parse(text, port) else {
            continue;
        };
        let written = address.to_string();
        let again = ServerAddress::parse(&written, None).expect("it was written here");
        assert_eq!(
            (again.host(), again.port()),
            (address.host(), address.port())
        );
        // The form in which a server is remembered, and which `sdvr keys forget` is told.
        let normal = normalise_address(&written)
            .expect("a server that can be connected to can be remembered");
        assert_eq!(
            normalise_address(&normal).ok().as_deref(),
            Some(normal.as_str())
        );
    }
    if let Ok(normal) = normalise_address(text) {
        assert_eq!(
            normalise_address(&normal).ok().as_deref(),
            Some(normal.as_str())
        );
    }
    round_trip::<Fingerprint>(text);
    round_trip::<FourCc>(text);
    if let Ok(rate) = text.parse::<FrameRate>() {
        // Shown to two decimals, which is less than was read.
        assert!(rate.denominator > 0 && !rate.to_string().is_empty());
        assert!(rate.as_f64().is_finite() && rate.interval_ns() != Some(u64::MAX));
    }
    round_trip::<Label>(text);
    let label = Label::from_lossy(text);
    assert_eq!(label.as_str().parse::<Label>().as_ref(), Ok(&label));
    let _ = text.parse::<SourceSpec>();
});
