//! A ring's file whose bytes lie: refused, or nonsense is read in bounds.
//!
//! The input is a length byte (0: whole, else cut or grown), then 10 bytes a change of a good ring: which word, and its value.
#![no_main]

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use sdvr_frame::Timestamp;
use sdvr_ring::RingReader;

#[path = "../../crates/sdvr-ring/tests/support/mod.rs"]
mod support;

use support::{Place, directory, folder, name, open, publish, ring_path};

/// A good ring in which frames were overwritten, and a place for its copies.
struct Setting {
    image: Vec<u8>,
    folder: tempfile::TempDir,
    directory: OwnedFd,
    path: PathBuf,
}

impl Setting {
    fn new() -> Self {
        let place = Place::new();
        let mut writer = place.ring(4, 8192);
        for n in 0..9 {
            publish(&mut writer, 700 + n * 100);
        }
        let image = std::fs::read(ring_path(place.path())).expect("the file is ours");
        let folder = folder();
        Self {
            image,
            directory: directory(folder.path()),
            path: ring_path(folder.path()),
            folder,
        }
    }

    fn look_at(&self, image: &[u8]) {
        // Never shorter while it is mapped: the reader of the last input is gone.
        std::fs::write(&self.path, image).expect("the place is ours");
        if let Ok(mut reader) = RingReader::open(self.directory.as_fd(), &name()) {
            use_all(&mut reader, image.len());
        }
    }
}

fn use_all(reader: &mut RingReader, image_bytes: usize) {
    let mut buffer = Vec::new();
    let (head, oldest) = (reader.head(), reader.oldest());
    assert!(oldest <= head);
    let ends = [
        0,
        head.wrapping_sub(1),
        head,
        oldest,
        u64::MAX - 1,
        u64::MAX,
    ];
    for n in (0..12).chain(ends) {
        if reader.read(n, &mut buffer).is_ok() {
            assert!(buffer.len() <= image_bytes);
            let seen = reader.with_words(n, |_, words| (words.len(), words.iter().count()));
            assert!(seen.is_ok_and(|(_, (bytes, words))| {
                bytes == buffer.len() && words == bytes.div_ceil(8)
            }));
            let raw = reader.raw_frame(n).expect("nobody writes");
            assert!(raw.length == buffer.len() && reader.is_still_valid(&raw));
        }
        let _ = (reader.meta(n), reader.age_percent(n), reader.age_bytes(n));
        let state = reader.state();
        let _ = reader.wait(n, state, Timestamp::now());
        let _ = reader.futex_word(n).value();
    }
    let _ = (reader.last_key(), reader.link(), reader.frames_lost());
    let _ = (reader.bytes_published(), reader.measured_rate());
    let _ = (reader.writer_lives(), reader.is_replaced());
    let info = reader.info();
    assert!(info.label.as_str().len() < 64);
    assert!(info.origin.is_derived() || info.label.may_be_a_camera_s());
}

thread_local! {
    static SETTING: RefCell<Option<Setting>> = const { RefCell::new(None) };
}

fuzz_target!(|input: &[u8]| {
    let Some((length, changes)) = input.split_first() else {
        return;
    };
    SETTING.with_borrow_mut(|setting| {
        let setting = setting.get_or_insert_with(|| {
            let setting = Setting::new();
            setting.look_at(&setting.image);
            assert!(
                open(setting.folder.path()).is_ok(),
                "the unaltered ring is good"
            );
            setting
        });
        let mut image = setting.image.clone();
        let (changes, _) = changes.as_chunks::<10>();
        for change in changes {
            let (word, value) = change.split_at(2);
            let word = usize::from(u16::from_le_bytes([word[0], word[1]])) % (image.len() / 8);
            image[word * 8..][..8].copy_from_slice(value);
        }
        if *length > 0 {
            image.resize(image.len() + 64 - usize::from(*length), 0);
        }
        setting.look_at(&image);
    });
});
