//! Recordings that were cut off anywhere: what was whole plays, and is made a whole file again.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

mod containers_support;

use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use containers_support::*;
use sdvr_record::container::{self, End, ScanError};

/// A small recording, ended, and how many frames are in it up to the end of each fragment.
fn small(name: &str, every: usize) -> (Recording, Vec<(usize, usize)>) {
    let (mut frames, fourcc) = frames(name);
    frames.truncate(9);
    let recording = record(&about(fourcc), &frames, every);
    let (mut end, mut count) = (recording.head.len(), 0);
    let mut ends = vec![(end, 0)];
    for (fragment, frames) in recording.fragments.iter().zip(&recording.counts) {
        end += fragment.len();
        count += frames;
        ends.push((end, count));
    }
    (recording, ends)
}

/// Frames of the fragments that are whole in the first `cut` bytes.
fn whole_frames(ends: &[(usize, usize)], cut: usize) -> usize {
    let whole = ends.iter().take_while(|(end, _)| *end <= cut);
    whole.last().map_or(0, |(_, count)| *count)
}

/// Every byte: our reader finds what is whole, and what it makes of that is the file as if it had ended there.
fn survives_a_cut_at_every_byte(name: &str, every: usize) {
    let (recording, ends) = small(name, every);
    let whole = recording.whole();
    let files = Files::new();
    let path = files.write("cut", &[]);
    let file = open(&path);
    for cut in 0..=whole.len() {
        // What a cut leaves has no patches: those come last.
        let state = if cut == whole.len() {
            &whole[..]
        } else {
            &[recording.unfinished(), recording.ending.tail.clone()].concat()[..cut]
        };
        file.set_len(0).unwrap();
        file.write_all_at(state, 0).unwrap();
        if cut < recording.head.len() {
            let error = container::scan(&file).unwrap_err();
            assert!(matches!(error, ScanError::NoHead), "{name}, {cut}: {error}");
            continue;
        }
        let frames = whole_frames(&ends, cut) as u64;
        let scan = container::scan(&file).unwrap();
        assert!(scan.frames >= frames, "{name}, cut at {cut}");
        assert_eq!(scan.is_ended(), cut == whole.len(), "{name}, cut at {cut}");
        let recovered = container::recover(&file).unwrap();
        assert_eq!(recovered.scan.frames, scan.frames);
        assert_eq!(recovered.was_changed, cut != whole.len());
        let again = container::recover(&file).unwrap();
        assert!(
            !again.was_changed && again.scan == recovered.scan,
            "{name}, cut at {cut}"
        );
        if cut >= ends.last().unwrap().0 {
            assert!(
                std::fs::read(&path).unwrap() == whole,
                "{name}, cut at {cut}"
            );
        }
    }
}

#[test]
fn an_mp4_survives_a_cut_at_every_byte() {
    survives_a_cut_at_every_byte("plain.h264", 3);
    survives_a_cut_at_every_byte("reordered.h264", 3);
}

#[test]
fn a_matroska_survives_a_cut_at_every_byte() {
    survives_a_cut_at_every_byte("vp8.ivf", 3);
}

/// The places where a player may be confused most, one byte either side of them, and `random` others.
fn cuts(recording: &Recording, random: usize) -> Vec<usize> {
    let whole = recording.whole();
    let mut places = vec![whole.len()];
    // Boxes and clusters are told by their names, wherever those are.
    let names: [&[u8]; 5] = [
        b"moof",
        b"mdat",
        b"mfra",
        &[0x1f, 0x43, 0xb6, 0x75],
        &[0x1c, 0x53, 0xbb, 0x6b],
    ];
    for (at, bytes) in whole.windows(4).enumerate().skip(recording.head.len() - 4) {
        if names.contains(&bytes) {
            let is_box = bytes.is_ascii();
            places.push(if is_box && bytes[0] == b'm' {
                at - 4
            } else {
                at
            });
        }
    }
    let mut cuts: Vec<usize> = places
        .iter()
        .flat_map(|place| [place - 1, *place, place + 1])
        .filter(|cut| (recording.head.len()..=whole.len()).contains(cut))
        .collect();
    // Always the same ones.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..random {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let room = whole.len() - recording.head.len();
        cuts.push(recording.head.len() + (state >> 33) as usize % room);
    }
    cuts.sort_unstable();
    cuts.dedup();
    cuts
}

/// Whether the index of a fragment is cut off where ffmpeg refuses all of the file for it. Only who cuts by hand does: see `mp4/fragment.rs`.
fn is_within_index(bytes: &[u8], cut: usize) -> bool {
    let names = |name: &[u8; 4]| {
        let found = bytes[..cut].windows(4).rposition(|found| found == name);
        found.unwrap_or(0)
    };
    let (index, frames) = (names(b"moof"), names(b"mdat"));
    let behind_index = bytes[index..]
        .windows(8)
        .position(|found| found == b"\0\0\0\x08free");
    index > frames && index + behind_index.unwrap_or(0) > cut
}

/// How many frames ffprobe finds, and what it complains of.
fn probed(path: &std::path::Path) -> (usize, String) {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-of", "csv=p=0"])
        .args(["-show_entries", "packet=pts_time"])
        .arg(path)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (
        String::from_utf8_lossy(&output.stdout).lines().count(),
        errors,
    )
}

/// ffprobe finds all whole frames in what was cut off, and no fault in what was recovered.
fn plays_after_cuts(name: &str, random: usize) {
    let (recording, ends) = small(name, 3);
    let bytes = [recording.unfinished(), recording.ending.tail.clone()].concat();
    let cuts = cuts(&recording, random);
    assert!(cuts.len() > random, "{name}");
    let next = AtomicUsize::new(0);
    let check = || {
        let files = Files::new();
        while let Some(&cut) = cuts.get(next.fetch_add(1, Ordering::Relaxed)) {
            let path = files.write(&format!("cut.{}", recording.extension), &bytes[..cut]);
            let frames = whole_frames(&ends, cut);
            if frames > 0 && !is_within_index(&bytes, cut) {
                let (found, errors) = probed(&path);
                assert!(
                    found >= frames,
                    "{name}, cut at {cut}: {found} of {frames}: {errors}"
                );
            }
            let recovered = container::recover(&open(&path)).unwrap().scan.frames;
            assert!(recovered >= frames as u64, "{name}, cut at {cut}");
            if recovered > 0 {
                let (found, errors) = probed(&path);
                let expected = usize::try_from(recovered).unwrap();
                assert_eq!(
                    (found, errors.as_str()),
                    (expected, ""),
                    "{name}, cut at {cut}"
                );
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(check);
        }
    });
}

#[test]
fn ffprobe_plays_an_mp4_that_was_cut_off_and_one_that_was_recovered() {
    plays_after_cuts("plain.h264", 200);
}

#[test]
fn ffprobe_plays_a_matroska_that_was_cut_off_and_one_that_was_recovered() {
    plays_after_cuts("plain.mjpeg", 200);
}

#[test]
fn recovering_that_is_cut_off_itself_can_be_done_again() {
    for name in ["plain.h264", "plain.mjpeg"] {
        let (recording, _) = small(name, 3);
        let whole = recording.whole();
        let files = Files::new();
        let path = files.write("cut", &[]);
        let file = open(&path);
        // The tail is there, and of the patches the first ones, the last of those in part.
        for count in 0..=recording.ending.patches.len() {
            let mut bytes = [recording.unfinished(), recording.ending.tail.clone()].concat();
            for (index, (offset, patch)) in recording.ending.patches.iter().take(count).enumerate()
            {
                let at = usize::try_from(*offset).unwrap();
                let done = if index + 1 == count {
                    patch.len() / 2
                } else {
                    patch.len()
                };
                bytes[at..at + done].copy_from_slice(&patch[..done]);
            }
            file.set_len(0).unwrap();
            file.write_all_at(&bytes, 0).unwrap();
            container::recover(&file).unwrap();
            assert!(
                std::fs::read(&path).unwrap() == whole,
                "{name}, {count} patches"
            );
        }
    }
}

#[test]
fn what_is_not_ours_is_refused_and_what_is_damaged_does_no_harm() {
    let files = Files::new();
    for name in ["plain.h264", "plain.ivf", "plain.hevc", "vp9.ivf"] {
        let (recording, _) = small(name, 3);
        let whole = recording.whole();
        let path = files.write("damaged", &whole);
        let file = open(&path);
        let mut frame = Vec::new();
        for at in 0..whole.len().min(recording.head.len() + 2000) {
            for wrong in [whole[at] ^ 0xff, whole[at] ^ 1] {
                file.write_all_at(&[wrong], at as u64).unwrap();
                if let Ok(mut frames) = container::frames(&file) {
                    while let Ok(Some(found)) = frames.try_next() {
                        frames.read(&found, &mut frame).unwrap();
                    }
                }
                let _ = container::scan(&file);
            }
            file.write_all_at(&whole[at..=at], at as u64).unwrap();
        }
        assert!(container::scan(&file).unwrap().is_ended(), "{name}");
    }
    for foreign in ["vp8.ivf", "plain.h264"] {
        let (path, _) = stream(foreign);
        let file = std::fs::File::open(path).unwrap();
        assert!(matches!(container::scan(&file), Err(ScanError::NotOurs)));
    }
    // Of a file whose bytes never got to the disk, a power cut leaves zeros.
    for (content, is_cut_off) in [(&[0; 5000], true), (&[7; 5000], false)] {
        let path = files.write("other", content);
        let error = container::scan(&open(&path)).unwrap_err();
        assert_eq!(matches!(error, ScanError::NoHead), is_cut_off, "{error}");
    }
}

/// One byte that is another one, anywhere: either all frames are still found, or the file stays as it is. It is never taken for an empty one.
#[test]
fn nothing_of_a_damaged_file_is_given_up() {
    let files = Files::new();
    for name in ["plain.h264", "vp8.ivf"] {
        let (recording, _) = small(name, 3);
        let frames = recording.counts.iter().sum::<usize>() as u64;
        let mut damaged = 0;
        for is_ended in [true, false] {
            let good = if is_ended {
                recording.whole()
            } else {
                recording.unfinished()
            };
            let path = files.write("damaged", &good);
            let file = open(&path);
            for at in 0..good.len() {
                for wrong in [good[at] ^ 0xff, good[at] ^ 1] {
                    let mut bytes = good.clone();
                    bytes[at] = wrong;
                    file.set_len(0).unwrap();
                    file.write_all_at(&bytes, 0).unwrap();
                    match container::recover(&file) {
                        Ok(recovered) if recovered.scan.frames == frames => continue,
                        Ok(recovered) => assert!(!recovered.was_changed, "{name}, byte {at}"),
                        Err(error) => {
                            let is_kept = matches!(error, ScanError::NotOurs);
                            assert!(is_kept, "{name}, byte {at}: {error}");
                        }
                    }
                    damaged += 1;
                    assert!(std::fs::read(&path).unwrap() == bytes, "{name}, byte {at}");
                }
            }
        }
        assert!(damaged > 100, "{name}: {damaged}");
    }
}

/// Pages of zeros at the end are what a power cut leaves; fragments behind a hole are kept.
#[test]
fn zeros_at_the_end_are_given_up_and_a_hole_is_not() {
    let files = Files::new();
    for name in ["plain.h264", "vp8.ivf"] {
        let (recording, ends) = small(name, 3);
        let unfinished = recording.unfinished();
        let path = files.write("zeros", &[]);
        let file = open(&path);
        let head_bytes = recording.head.len();
        for cut in (head_bytes..unfinished.len()).step_by(7) {
            let mut bytes = unfinished[..cut].to_vec();
            bytes.resize(unfinished.len() + 5000, 0);
            file.set_len(0).unwrap();
            file.write_all_at(&bytes, 0).unwrap();
            let recovered = container::recover(&file).unwrap();
            assert!(recovered.was_changed, "{name}, cut at {cut}");
            assert!(recovered.scan.frames >= whole_frames(&ends, cut) as u64);
        }
        let mut bytes = recording.whole();
        bytes[head_bytes..head_bytes + 100].fill(0);
        file.set_len(0).unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        let recovered = container::recover(&file).unwrap();
        assert_eq!(recovered.scan.end, End::Damaged);
        assert!(std::fs::read(&path).unwrap() == bytes, "{name}");
    }
}
