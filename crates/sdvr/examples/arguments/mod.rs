//! What all examples are told: a camera, and how many frames are enough.

use std::error::Error;

/// Takes `CAMERA [--count N]` from the command line, with one more word between if there is one: camera, that word, count.
pub(crate) fn read(usage: &str) -> Result<(String, Option<String>, usize), Box<dyn Error>> {
    let mut words = std::env::args().skip(1).collect::<Vec<_>>();
    let mut count = usize::MAX;
    if let Some(at) = words.iter().position(|word| word == "--count") {
        count = words.get(at + 1).ok_or(usage)?.parse().map_err(|_| usage)?;
        words.drain(at..=at + 1);
    }
    let mut words = words.into_iter();
    let camera = words.next().ok_or(usage)?;
    Ok((camera, words.next(), count))
}
