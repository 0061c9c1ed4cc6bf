//! Files are handed out frame by frame, at their rate or as fast as they are taken, once or again and again.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use sdvr_frame::{FourCc, FrameFlags, FrameRate, Timestamp};
use sdvr_source::CaptureOptions;
use support::sources::*;
use support::{annex_b, jpeg};

#[test]
fn a_file_is_handed_out_frame_by_frame() {
    let files = Files::new();
    let images = images(20);
    let path = files.write("a.mjpeg", &images.concat());
    let mut source = open(&path, &CaptureOptions::default()).unwrap();
    assert_eq!(source.description(), None, "nothing was read yet");
    assert!(source.prepare(at(0)).unwrap());
    let description = source.description().unwrap();
    assert_eq!(
        (
            description.format.fourcc,
            description.format.width,
            description.format.height,
            description.first_frame_bytes
        ),
        (FourCc::MJPG, 64, 48, images[0].len())
    );
    assert!(!source.is_live());
    assert!(source.descriptor().is_none());
    let frames = take_all(&mut source);
    assert_eq!(payloads(&frames), images, "preparing takes no frame away");
    assert_eq!(numbers(&frames), (0..20).collect::<Vec<_>>());
    assert!(frames.iter().all(|frame| frame.flags == FrameFlags::KEY));
    assert_eq!(source.cut_off_bytes(), 0);
    assert_eq!(take(&mut source, at(5000)), Some(None), "the end stays");
}

#[test]
fn a_paced_file_keeps_its_rate_and_loses_nothing() {
    let files = Files::new();
    let images = images(6);
    let path = files.write("a.mjpeg", &images.concat());
    let mut source = open(&path, &rate(100)).unwrap();
    assert!(source.is_live());
    assert!(take(&mut source, at(1000)).unwrap().is_some());
    assert_eq!(take(&mut source, at(1009)), None);
    assert_eq!(source.poll_timeout(), Some(at(1010)));
    // Late by several frames: each has the moment at which it was due.
    let late: Vec<Taken> = std::iter::from_fn(|| take(&mut source, at(1035)).flatten()).collect();
    assert_eq!(numbers(&late), [1, 2, 3]);
    let captured: Vec<Timestamp> = late.iter().map(|frame| frame.captured).collect();
    assert_eq!(captured, [at(1010), at(1020), at(1030)]);
    let rest = take_all(&mut source);
    assert_eq!(numbers(&rest), [4, 5]);
    assert_eq!(
        source.description().unwrap().format.rate,
        FrameRate::from_whole(100)
    );
}

#[test]
fn a_file_may_be_thinned_out() {
    let files = Files::new();
    let images = images(10);
    let path = files.write("a.mjpeg", &images.concat());
    for (n, wanted) in [
        (1, (0..10).collect()),
        (3, vec![0, 3, 6, 9]),
        (100, vec![0]),
        (0, (0..10).collect::<Vec<usize>>()),
    ] {
        let mut source = open(&path, &every_nth(n)).unwrap();
        let frames = take_all(&mut source);
        let wanted_images: Vec<_> = wanted.iter().map(|&index| images[index].clone()).collect();
        assert_eq!(payloads(&frames), wanted_images, "every {n}");
        assert_eq!(
            numbers(&frames),
            (0..wanted.len() as u64).collect::<Vec<_>>()
        );
    }
}

#[test]
fn frames_left_out_do_not_keep_the_caller() {
    let files = Files::new();
    let image = jpeg(16, 16, &[1]);
    let path = files.write("a.mjpeg", &image.repeat(100_000));
    let mut source = open(&path, &every_nth(90_000)).unwrap();
    assert!(take(&mut source, at(0)).unwrap().is_some());
    // Each call ends soon, and says to call again at once.
    assert_eq!(take(&mut source, at(0)), None);
    assert!(source.poll_timeout().unwrap() < at(0));
    assert_eq!(numbers(&take_all(&mut source)), [1]);
}

#[test]
fn what_stands_behind_the_last_image_goes_with_it() {
    let files = Files::new();
    // The second image ends where a read does.
    let first = jpeg(64, 48, &[1; 100]);
    let fill = 256 * 1024 - first.len() - jpeg(64, 48, &[]).len();
    let second = jpeg(64, 48, &vec![2; fill]);
    let images = [first.as_slice(), &second].concat();
    assert_eq!(images.len(), 256 * 1024);
    for padding in [&[0_u8; 1000][..], b"\r\n--boundary--\r\n", &[0xff], &[]] {
        let stream = [images.as_slice(), padding].concat();
        let path = files.write("a.mjpeg", &stream);
        let mut source = open(&path, &CaptureOptions::default()).unwrap();
        let frames = take_all(&mut source);
        assert_eq!(frames.len(), 2);
        assert!(payloads(&frames).concat() == stream, "{padding:?}");
        assert_eq!(source.cut_off_bytes(), 0);
        let mut source = open(&path, &looped()).unwrap();
        let mut again = Vec::new();
        while again.len() < 2 * stream.len() {
            if let Some(Some(frame)) = take(&mut source, at(0)) {
                again.extend(frame.payload);
            }
        }
        assert!(again == stream.repeat(2), "{padding:?}, again");
    }
    // Too much of it is an error, not a frame.
    let path = files.write("a.mjpeg", &[first, vec![0; 100_000]].concat());
    let text = first_error(&path, &CaptureOptions::default());
    assert!(text.contains("no JPEG image begins"), "{text}");
}

#[test]
fn a_frame_of_a_file_is_captured_when_it_is_handed_out() {
    let files = Files::new();
    let path = files.write("a.mjpeg", &images(2).concat());
    let mut source = open(&path, &CaptureOptions::default()).unwrap();
    // The first one may have been found long before there was a server to send it to.
    assert!(source.prepare(at(0)).unwrap());
    for now in [at(5000), at(6000)] {
        assert_eq!(take(&mut source, now).unwrap().unwrap().captured, now);
    }
}

#[test]
fn thinned_out_frames_announce_their_own_rate() {
    let files = Files::new();
    let path = files.write("a.mjpeg", &images(10).concat());
    let options = CaptureOptions {
        every_nth: 3,
        ..rate(30)
    };
    let mut source = open(&path, &options).unwrap();
    source.prepare(at(0)).unwrap();
    let file = source.description().unwrap().format.rate;
    let pattern = test_source("test:?format=GREY&size=64x48", &options).unwrap();
    let pattern = pattern.description().unwrap().format.rate;
    assert_eq!([file.as_f64(), pattern.as_f64()].map(f64::round), [10.0; 2]);
    let captured: Vec<Timestamp> = take_all(&mut source)
        .iter()
        .map(|frame| frame.captured)
        .collect();
    let gap = captured[1].saturating_since(captured[0]).as_millis();
    assert!((99..=101).contains(&gap), "{gap} ms between frames");
}

#[test]
fn a_looped_file_begins_again() {
    let files = Files::new();
    let images = images(3);
    let path = files.write("a.mjpeg", &images.concat());
    let mut source = open(&path, &looped()).unwrap();
    for number in 0..10_u64 {
        let frame = loop {
            if let Some(next) = take(&mut source, at(0)) {
                break next.unwrap();
            }
        };
        assert_eq!(frame.number, number);
        assert_eq!(frame.payload, images[number as usize % 3]);
    }
    // It ends if nothing is left of it.
    std::fs::write(&path, b"").unwrap();
    take_all(&mut source);
}

#[test]
fn a_looped_yuv_file_has_its_header_once() {
    let files = Files::new();
    // Larger than one read: the header comes long before its first frame is whole.
    let (width, height) = (1000, 800);
    let header = format!("YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 Cmono\n").into_bytes();
    let planes: Vec<Vec<u8>> = (1..4_u8)
        .map(|number| vec![number; width * height])
        .collect();
    let mut stream = header.clone();
    for (parameters, plane) in ["", " Ip XQ=1", ""].iter().zip(&planes) {
        stream.extend(format!("FRAME{parameters}\n").bytes());
        stream.extend(plane);
    }
    let path = files.write("a.y4m", &stream);
    let mut source = open(&path, &looped()).unwrap();
    for number in 0..7 {
        let frame = loop {
            if let Some(next) = take(&mut source, at(0)) {
                break next.unwrap();
            }
        };
        let trailer = if number % 3 == 1 { " Ip XQ=1" } else { "" };
        let expected = [planes[number % 3].as_slice(), trailer.as_bytes()].concat();
        assert!(frame.payload == expected, "frame {number}");
        assert_eq!(
            frame.flags.contains(FrameFlags::TRAILER),
            !trailer.is_empty()
        );
    }
    let description = source.description().unwrap();
    assert_eq!(description.extradata, header);
    assert_eq!(description.first_frame_bytes, width * height);
    assert!(description.frame_bytes.unwrap() >= width * height + " Ip XQ=1".len());
    assert_eq!(description.format.rate, FrameRate::UNPACED);
}

#[test]
fn what_is_cut_off_is_counted_and_not_sent() {
    let files = Files::new();
    let images = images(3);
    let mut stream = images.concat();
    stream.truncate(stream.len() - 10);
    let path = files.write("a.mjpeg", &stream);
    let mut source = open(&path, &CaptureOptions::default()).unwrap();
    assert_eq!(payloads(&take_all(&mut source)), &images[..2]);
    assert_eq!(source.cut_off_bytes(), images[2].len() - 10);
}

#[test]
fn h264_ends_with_its_last_picture() {
    let files = Files::new();
    let unit = |header| annex_b(&[(4, &[header, 0x88, 0x84, 0x21])]);
    let units: Vec<Vec<u8>> = [0x65, 0x41, 0x01]
        .map(unit)
        .into_iter()
        .cycle()
        .take(120)
        .collect();
    let path = files.write("a.h264", &units.concat());
    let mut source = open(&path, &CaptureOptions::default()).unwrap();
    let frames = take_all(&mut source);
    assert_eq!(payloads(&frames), units);
    let flags = [FrameFlags::KEY, FrameFlags::NONE, FrameFlags::DISCARDABLE];
    assert!(
        frames
            .iter()
            .zip(flags.iter().cycle())
            .all(|(frame, flags)| frame.flags == *flags)
    );
    assert_eq!(source.cut_off_bytes(), 0);
}
