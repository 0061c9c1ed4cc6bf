//! A ring's file whose bytes lie: the reader refuses it, or reads nonsense in bounds. It never dies, and never loops.

mod support;

use std::os::fd::AsFd;
use std::path::Path;

use proptest::prelude::*;
use sdvr_frame::{StreamState, Timestamp};
use sdvr_ring::{FrameMeta, OpenError, ReadError, RingReader, RingWriter, open_directory};
use support::*;

/// The bytes of a good ring, in which frames have been overwritten.
fn image() -> Vec<u8> {
    let place = folder();
    let directory = create_rings(place.path());
    let mut writer = RingWriter::create(&directory, options(4, 8192)).expect("there is room");
    for n in 0..9 {
        let bytes = frame(n, 1500 + usize::try_from(n).unwrap_or(0));
        assert!(writer.begin(bytes.len() as u64) && writer.write(&bytes));
        assert!(writer.publish(&meta(n)));
    }
    std::fs::read(place.path().join("rings").join(name().as_str())).expect("the file is ours")
}

/// Opens `image` as a ring and does with it all that a reader can.
fn try_everything(
    place: &Path,
    image: &[u8],
) -> Result<Vec<Result<FrameMeta, ReadError>>, OpenError> {
    std::fs::write(place.join(name().as_str()), image).expect("the place is ours");
    let directory = open_directory(place).expect("the place is ours");
    let mut reader = RingReader::open(directory.as_fd(), &name())?;
    let mut buffer = Vec::new();
    let mut results = Vec::new();
    for n in (0..12).chain([
        reader.head().wrapping_sub(1),
        reader.head(),
        reader.oldest(),
        u64::MAX - 1,
        u64::MAX,
    ]) {
        let read = reader.read(n, &mut buffer);
        assert!(
            buffer.len() <= image.len(),
            "{} bytes of {}",
            buffer.len(),
            image.len()
        );
        if read.is_ok() {
            let words = reader.with_words(n, |_, words| (words.len(), words.iter().count()));
            assert!(words.is_ok_and(
                |(_, (bytes, words))| bytes == buffer.len() && words == bytes.div_ceil(8)
            ));
            let raw = reader.raw_frame(n).expect("nobody writes");
            assert!(raw.length == buffer.len() && reader.is_still_valid(&raw));
        }
        let _ = (reader.meta(n), reader.age_percent(n), reader.age_bytes(n));
        let state = reader.state();
        let _ = reader.wait(n, state, Timestamp::now());
        results.push(read);
    }
    let _ = (
        reader.last_key(),
        reader.link(),
        reader.frames_lost(),
        reader.bytes_published(),
    );
    let _ = (
        reader.measured_rate(),
        reader.writer_lives(),
        reader.is_replaced(),
    );
    Ok(results)
}

fn with_word(image: &[u8], offset: usize, value: &[u8]) -> Vec<u8> {
    let mut image = image.to_vec();
    image[offset..offset + value.len()].copy_from_slice(value);
    image
}

#[test]
fn a_good_image_is_read() {
    let results = try_everything(folder().path(), &image()).expect("it is a ring");
    assert!(
        results.iter().filter(|result| result.is_ok()).count() >= 4,
        "{results:?}"
    );
}

#[test]
fn a_file_of_any_other_length_is_refused() {
    let (place, image) = (folder(), image());
    for length in
        (0..image.len())
            .step_by(97)
            .chain([0, 1, 2047, 2048, 4095, 4096, image.len() - 1])
    {
        let opened = try_everything(place.path(), &image[..length]);
        assert!(
            matches!(opened, Err(OpenError::Invalid(_))),
            "{length} bytes: {opened:?}"
        );
    }
    let longer = [&image[..], &[0]].concat();
    assert!(matches!(
        try_everything(place.path(), &longer),
        Err(OpenError::Invalid(_))
    ));
}

#[test]
fn every_header_word_may_be_anything() {
    let (place, image) = (folder(), image());
    let places = (0..0x80).chain(0x800..0x960).chain(0x1000..0x1200);
    for offset in places.step_by(4) {
        for value in [0_u32, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX] {
            // Refused or not, it must come back.
            let _ = try_everything(
                place.path(),
                &with_word(&image, offset, &value.to_ne_bytes()),
            );
        }
    }
    for offset in (0..0x80)
        .chain(0x800..0x960)
        .chain(0x1000..0x1200)
        .step_by(8)
    {
        for value in [0_u64, 1, 1 << 40, 1 << 63, u64::MAX] {
            let _ = try_everything(
                place.path(),
                &with_word(&image, offset, &value.to_ne_bytes()),
            );
        }
    }
}

#[test]
fn an_origin_that_is_none_is_refused() {
    let (place, image) = (folder(), image());
    let is_refused = |origin: [u8; 2], label: &[u8; 10]| {
        let lying = with_word(&with_word(&image, 0x6e, &origin), 0x80, label);
        let lying = with_word(&lying, 0xc0, b"front-door");
        matches!(
            try_everything(place.path(), &lying),
            Err(OpenError::Invalid(_))
        )
    };
    for good in [[1, 0], [1, 10]] {
        assert!(!is_refused(good, b"front-door"), "{good:?}");
        assert!(!is_refused(good, b"front/door"), "{good:?}");
    }
    assert!(!is_refused([0, 0], b"front-door"));
    assert!(is_refused([0, 0], b"front/door"), "no camera's");
    for none in [[2, 0], [255, 10], [1, 11], [1, 64], [1, 255]] {
        assert!(is_refused(none, b"front-door"), "{none:?}");
    }
}

#[test]
fn a_slot_that_points_out_of_the_data_is_called_corrupt() {
    let place = folder();
    let image = image();
    // Slot of frame 8, the newest: position and length.
    let slot = 0x1000;
    for (word, value) in [
        (2, 0),
        (2, 8193),
        (2, 0xffff_ffff),
        (1, (1 << 40) + 8192 - 64),
        (1, (1 << 40) + 3),
        (1, u64::MAX),
    ] {
        let lying = with_word(&image, slot + word * 8, &u64::to_ne_bytes(value));
        let results = try_everything(place.path(), &lying).expect("the header is good");
        assert_eq!(
            results[8],
            Err(ReadError::Corrupt),
            "word {word} = {value:#x}"
        );
    }
}

#[test]
fn a_state_that_is_none_reads_as_lost() {
    let place = folder();
    let lying = with_word(&image(), 0x800, &u64::MAX.to_ne_bytes());
    std::fs::write(place.path().join(name().as_str()), lying).expect("the place is ours");
    let directory = open_directory(place.path()).expect("the place is ours");
    let reader = RingReader::open(directory.as_fd(), &name()).expect("the header is good");
    assert_eq!(reader.state(), StreamState::Lost);
}

#[test]
fn what_is_no_file_is_refused_and_nobody_waits_for_it() {
    let place = folder();
    let path = place.path().join(name().as_str());
    let directory = open_directory(place.path()).expect("the place is ours");
    let open = || RingReader::open(directory.as_fd(), &name());
    assert!(matches!(open(), Err(OpenError::NotFound)));
    std::os::unix::fs::symlink("/etc/passwd", &path).expect("the place is ours");
    assert!(matches!(open(), Err(OpenError::Invalid(_))));
    std::fs::remove_file(&path).expect("it is ours");
    std::fs::create_dir(&path).expect("the place is ours");
    assert!(matches!(open(), Err(OpenError::Invalid(_))));
    std::fs::remove_dir(&path).expect("it is ours");
    // A reader that opened a pipe would wait for its writer for ever.
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        &path,
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .expect("the place is ours");
    assert!(matches!(open(), Err(OpenError::Invalid(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_bytes_anywhere_are_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<[u8; 8]>()), 1..12),
        is_in_front in any::<bool>(),
    ) {
        let place = folder();
        let mut image = image();
        for (index, bytes) in changes {
            // Half of them where it hurts: description, control words, slots.
            let end = if is_in_front { 0x1200 } else { image.len() } - 8;
            let offset = index.index(end);
            image[offset..offset + 8].copy_from_slice(&bytes);
        }
        let _ = try_everything(place.path(), &image);
    }
}
