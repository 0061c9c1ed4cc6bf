use std::sync::Arc;

use sdvr_frame::{FourCc, StreamId, StreamLabel};

use super::*;
use crate::index::Index;
use crate::options::{EventOptions, RecordOptions, Sync};
use crate::recorder::taken::tests::taken;

/// A camera that is recorded into a directory of its own.
struct Bench {
    shared: Arc<Shared>,
    directory: tempfile::TempDir,
}

impl Bench {
    fn new(events: Option<EventOptions>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut options = RecordOptions::new(directory.path().to_owned());
        options.sync = Sync::Never;
        options.segment = Duration::from_secs(1000);
        options.events = events;
        let shared = Arc::new(Shared::new(options, |_| ()));
        Self { shared, directory }
    }

    /// The camera comes, sends these frames, and goes.
    fn record(&self, frames: impl IntoIterator<Item = Taken>) {
        let place = self.shared.place_for(&label(), None, StreamId(0)).unwrap();
        let seat = Seat::new(&self.shared, &place, None, "door".to_owned());
        let mut recorder = CameraRecorder::new(&self.shared, seat);
        for frame in frames {
            recorder.take(frame);
        }
        recorder.leave(Missing::default());
    }

    /// How many frames each file has, and which are missing before and in it.
    fn files(&self) -> Vec<(u64, Vec<(GapReason, u64)>)> {
        let index = Index::open_to_read(self.directory.path(), &label(), &mut |_| ()).unwrap();
        let all = index.segments(UtcTime(i64::MIN), UtcTime(i64::MAX));
        let about = |gap: &crate::index::Gap| (gap.reason, gap.frames);
        all.unwrap()
            .iter()
            .map(|segment| {
                let gaps = index.gaps(segment.id).unwrap();
                (segment.frames, gaps.iter().map(about).collect())
            })
            .collect()
    }
}

fn label() -> StreamLabel {
    "door".parse().unwrap()
}

/// Frames of these seconds, one a second; `wide` ones need a file of their own.
fn frames(seconds: std::ops::Range<u64>, is_key: bool, width: u32) -> Vec<Taken> {
    let mut frames: Vec<Taken> = seconds.map(|second| taken(second, is_key, b"x")).collect();
    for frame in &mut frames {
        frame.format.fourcc = FourCc(*b"VP80");
        frame.format.width = width;
    }
    frames
}

/// A key frame, and others.
fn group(seconds: std::ops::Range<u64>, width: u32) -> Vec<Taken> {
    let mut frames = frames(seconds, false, width);
    frames[0].is_key = true;
    frames
}

#[test]
fn frames_before_the_first_key_frame_are_not_missing() {
    let bench = Bench::new(None);
    let first = frames(0..3, false, 640);
    bench.record(first.into_iter().chain(group(3..5, 640)));
    assert_eq!(bench.files(), [(2, vec![])]);
}

#[test]
fn frames_that_await_a_key_frame_between_two_files_are_a_gap() {
    let bench = Bench::new(None);
    let mut all = group(0..4, 640);
    all.extend(frames(4..7, false, 1280));
    all.extend(group(7..9, 1280));
    // Behind the last file.
    all.extend(frames(9..11, false, 640));
    bench.record(all);
    let no_key = |frames| vec![(GapReason::NoKey, frames)];
    let mut last = no_key(3);
    last.extend(no_key(2));
    assert_eq!(bench.files(), [(4, vec![]), (2, last)]);
    let index = Index::open_to_read(bench.directory.path(), &label(), &mut |_| ()).unwrap();
    let files = index.segments(UtcTime(0), UtcTime(i64::MAX)).unwrap();
    let gap = index.gaps(files[1].id).unwrap()[0];
    assert_eq!((gap.begins, gap.ends), (files[0].ends, files[1].begins));
}

#[test]
fn so_are_those_of_a_camera_that_is_back() {
    let bench = Bench::new(None);
    bench.record(group(0..2, 640));
    let mut back = frames(10..15, false, 640);
    back.extend(group(15..16, 640));
    bench.record(back);
    let missing = vec![(GapReason::Source, 0), (GapReason::NoKey, 5)];
    assert_eq!(bench.files(), [(2, vec![]), (1, missing)]);
}

#[test]
fn a_gap_begins_with_the_last_frame_that_was_taken_be_it_written_or_not() {
    let bench = Bench::new(None);
    let mut all = group(0..2, 640);
    all.extend(frames(5..6, false, 640));
    all[2].missing.unread = 3;
    bench.record(all);
    assert_eq!(bench.files(), [(3, vec![(GapReason::SlowDisk, 3)])]);
    let index = Index::open_to_read(bench.directory.path(), &label(), &mut |_| ()).unwrap();
    let file = index.segments(UtcTime(0), UtcTime(i64::MAX)).unwrap()[0].clone();
    let gap = index.gaps(file.id).unwrap()[0];
    let since_begin = [gap.begins, gap.ends].map(|time| (time.0 - file.begins.0) / 1_000_000_000);
    assert_eq!(since_begin, [1, 5]);
}

#[test]
fn a_key_frame_with_which_no_file_can_begin_is_missing_like_those_after_it() {
    let bench = Bench::new(None);
    let mut all = group(0..2, 640);
    let mut without_parameters = group(2..5, 640);
    for frame in &mut without_parameters {
        frame.format.fourcc = FourCc::H264;
    }
    all.extend(without_parameters);
    all.extend(group(5..6, 640));
    bench.record(all);
    let missing = vec![(GapReason::NoKey, 3)];
    assert_eq!(bench.files(), [(2, vec![]), (1, missing)]);
}

#[test]
fn between_events_nothing_is_missing_but_during_one_it_is() {
    let long = Duration::from_secs(1000);
    let bench = Bench::new(Some(EventOptions::new(Duration::ZERO, long)));
    let place = bench.shared.place_for(&label(), None, StreamId(0)).unwrap();
    let seat = Seat::new(&bench.shared, &place, None, "door".to_owned());
    let mut recorder = CameraRecorder::new(&bench.shared, seat);
    let mut take = |frames: Vec<Taken>| frames.into_iter().for_each(|frame| recorder.take(frame));
    bench.shared.events.happen(None);
    // Frames of the first seconds since the host was started are before the event's end.
    take(frames(0..2, false, 640));
    take(group(2..4, 640));
    take(frames(4..7, false, 1280));
    take(group(7..8, 1280));
    // Long after it.
    take(frames(1_000_000_000..1_000_000_003, false, 640));
    // Within the time of the event again, as if another had happened.
    take(frames(20..23, false, 640));
    take(group(23..24, 640));
    recorder.leave(Missing::default());
    let missing = vec![(GapReason::NoKey, 3)];
    assert_eq!(bench.files(), [(2, vec![]), (1, missing), (1, vec![])]);
}
