//! Pipes are read as their bytes come: the caller never waits, and frames have the time at which they came.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::io::Write;
use std::time::Duration;

use sdvr_source::CaptureOptions;
use support::sources::*;
use support::{annex_b, jpeg};

#[test]
fn a_slow_pipe_never_keeps_the_caller_waiting() {
    let files = Files::new();
    let (mut source, mut pipe) = files.pipe(&CaptureOptions::default()).unwrap();
    let images = images(12);
    let stream = images.concat();
    let writer = std::thread::spawn(move || {
        for piece in stream.chunks(97) {
            pipe.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    let frames = take_all(&mut source);
    assert_eq!(payloads(&frames), images);
    writer.join().unwrap();
}

#[test]
fn an_image_is_there_with_its_last_byte() {
    let files = Files::new();
    let (mut source, mut pipe) = files.pipe(&CaptureOptions::default()).unwrap();
    assert_eq!(take(&mut source, at(0)), None);
    assert!(!source.prepare(at(0)).unwrap());
    assert!(!wait_readable(&source, Duration::ZERO));
    for (number, image) in images(5).iter().enumerate() {
        let (last, most) = image.split_last().unwrap();
        pipe.write_all(most).unwrap();
        assert_eq!(take(&mut source, at(1)), None);
        pipe.write_all(&[*last]).unwrap();
        let frame = take(&mut source, at(2)).unwrap().unwrap();
        assert_eq!(frame.payload, *image);
        assert_eq!(frame.number, number as u64);
        assert_eq!(frame.captured, at(2));
    }
    drop(pipe);
    assert!(wait_readable(&source, Duration::from_secs(5)));
    assert_eq!(take(&mut source, at(3)), Some(None));
}

#[test]
fn a_pipe_that_nobody_writes_to_yet_is_waited_for() {
    let files = Files::new();
    let path = files.0.path().join("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    // Opening waits for nobody; on a thread of its own, so that a failure is one and no wait without end.
    let (opened, opening) = std::sync::mpsc::channel();
    let reader = path.clone();
    std::thread::spawn(move || opened.send(open(&reader, &CaptureOptions::default())));
    let mut source = opening
        .recv_timeout(Duration::from_secs(5))
        .expect("opening waits for a writer")
        .unwrap();
    // Nothing has ended: nothing has begun.
    assert_eq!(take(&mut source, at(0)), None);
    assert!(!wait_readable(&source, Duration::from_millis(1)));
    let mut pipe = std::fs::File::options().write(true).open(&path).unwrap();
    assert_eq!(take(&mut source, at(1)), None);
    let image = jpeg(64, 48, &[1; 100]);
    pipe.write_all(&image).unwrap();
    assert!(wait_readable(&source, Duration::from_secs(5)));
    assert_eq!(take(&mut source, at(2)).unwrap().unwrap().payload, image);
    drop(pipe);
    assert!(wait_readable(&source, Duration::from_secs(5)));
    assert_eq!(take(&mut source, at(3)), Some(None));
}

#[test]
fn a_picture_has_the_time_of_its_own_last_byte() {
    let files = Files::new();
    let (mut source, mut pipe) = files.pipe(&CaptureOptions::default()).unwrap();
    // H.264 pictures are whole only when the next one begins. The first is long enough to tell the format.
    let unit = |header| annex_b(&[(4, &[[header, 0x88].as_slice(), &[0x55; 80]].concat())]);
    let units = [unit(0x65), unit(0x41), unit(0x41)];
    for (index, came) in [(0, 10), (1, 50), (2, 90)] {
        pipe.write_all(&units[index]).unwrap();
        let frame = take(&mut source, at(came));
        let expected = index
            .checked_sub(1)
            .map(|before| (before as u64, came - 40));
        let got = frame.map(|frame| frame.unwrap());
        assert_eq!(
            got.as_ref().map(|frame| (frame.number, frame.captured)),
            expected.map(|(number, ms)| (number, at(ms)))
        );
    }
    drop(pipe);
    let last = take(&mut source, at(500)).unwrap().unwrap();
    assert_eq!((last.payload, last.captured), (units[2].clone(), at(90)));
    assert_eq!(take(&mut source, at(501)), Some(None));
}

#[test]
fn a_paced_pipe_dates_no_frame_before_it_came() {
    let files = Files::new();
    let (mut source, mut pipe) = files.pipe(&rate(100)).unwrap();
    for now in [at(1000), at(1300), at(1650)] {
        pipe.write_all(&jpeg(64, 48, &[1; 100])).unwrap();
        assert_eq!(take(&mut source, now).unwrap().unwrap().captured, now);
    }
}

#[test]
fn frames_that_came_together_are_not_waited_for() {
    let files = Files::new();
    let (mut source, mut pipe) = files.pipe(&CaptureOptions::default()).unwrap();
    let images = images(3);
    pipe.write_all(&images.concat()).unwrap();
    for image in &images {
        // A caller that waits after each frame is woken though the pipe is empty.
        let frame = take(&mut source, at(7)).unwrap().unwrap();
        assert_eq!(frame.payload, *image);
        assert!(source.poll_timeout().unwrap() < at(0));
    }
    assert_eq!(take(&mut source, at(7)), None);
    assert_eq!(source.poll_timeout(), None, "now there is only the pipe");
}

#[test]
fn a_fast_writer_does_not_keep_the_caller() {
    let files = Files::new();
    let (mut source, mut pipe) = files.pipe(&CaptureOptions::default()).unwrap();
    let image = jpeg(64, 48, &vec![1; 8 << 20]);
    let expected = image.clone();
    let writer = std::thread::spawn(move || pipe.write_all(&image).unwrap());
    let mut calls = 0;
    let frame = loop {
        calls += 1;
        if let Some(next) = take(&mut source, at(0)) {
            break next.unwrap();
        }
        wait_readable(&source, Duration::from_secs(10));
    };
    assert!(frame.payload == expected);
    assert!(
        calls >= (8 << 20) / (256 * 1024),
        "a call reads 256 KiB at most: {calls}"
    );
    writer.join().unwrap();
}

#[test]
fn a_paced_pipe_hands_out_at_its_rate() {
    let files = Files::new();
    let (mut source, mut pipe) = files.pipe(&rate(10)).unwrap();
    let images = images(3);
    pipe.write_all(&images.concat()).unwrap();
    assert!(take(&mut source, at(100)).unwrap().is_some());
    assert_eq!(take(&mut source, at(150)), None);
    assert_eq!(source.poll_timeout(), Some(at(200)));
    assert!(
        source.descriptor().is_none(),
        "a frame is there: the pipe is not what is waited for"
    );
    assert!(take(&mut source, at(200)).unwrap().is_some());
}

#[test]
fn a_thinned_out_pipe_hands_out_every_nth() {
    let files = Files::new();
    let (mut source, mut pipe) = files.pipe(&every_nth(4)).unwrap();
    let images = images(10);
    pipe.write_all(&images.concat()).unwrap();
    drop(pipe);
    let frames = take_all(&mut source);
    assert_eq!(
        payloads(&frames),
        [&images[0], &images[4], &images[8]].map(Vec::as_slice)
    );
}
