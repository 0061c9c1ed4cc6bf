//! The kernel's virtual camera: raw pictures, of one plane and of several, and everything that a driver can do wrong.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::time::{Duration, Instant};

use sdvr::{FourCc, Frame};
use sdvr_tests::System;
use sdvr_vm::{Guest, Process, Watch};

/// One camera, whose input is a webcam and not a tuner.
const ONE_CAMERA: &str = "n_devs=1 node_types=0x1 num_inputs=1 input_types=0";
/// Promised are 3 s; the guest's processor is emulated, and this machine may be busy.
const BACK_WITHIN: Duration = Duration::from_secs(6);
const NODE: &str = "/dev/video0";
/// Y, U and V in the limited range of ITU-R BT.601. The driver calculates them with integers, and is up to two off.
type Colour = [u8; 3];
/// Three quarters bright: white, yellow, cyan, green, magenta, red, blue, black.
const COLOUR_BARS: [Colour; 8] = [
    [180, 128, 128],
    [162, 44, 142],
    [131, 156, 44],
    [112, 72, 58],
    [84, 184, 198],
    [65, 100, 212],
    [35, 212, 114],
    [16, 128, 128],
];
const RED: Colour = [81, 90, 240];

#[test]
fn frames_of_one_plane_come_out_exactly() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    guest.load_vivid(ONE_CAMERA);
    draw(&mut guest, Pattern::ColourBars);
    let watch = Watch::start(&system, "yuyv");
    let client = guest.start_sdvrc(&system, "-n yuyv -i /dev/video0 -f YUYV -s 640x360 -r 10");
    let frames = watch.take_next(20);
    let first_line = frames[0].bytes()[..640 * 2].to_vec();
    for (bar, colour) in COLOUR_BARS.into_iter().enumerate() {
        // Without the edges, which are blurred.
        let pairs = &first_line[bar * 80 * 2..][2 * 2..76 * 2];
        for pair in pairs.chunks_exact(4) {
            assert_eq!(pair, &pairs[..4]);
            assert_drawn(&[pair[0], pair[1], pair[3]], colour);
        }
    }
    // Every frame has every byte.
    let expected = first_line.repeat(360);
    for frame in frames {
        assert_shape(&frame, *b"YUYV", expected.len());
        assert!(frame.bytes() == expected, "{} differs", frame.number());
    }
    assert_lost_none(&mut guest, &client);
}

#[test]
fn frames_of_two_planes_are_joined_exactly() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    guest.load_vivid(&format!("{ONE_CAMERA} multiplanar=2"));
    draw(&mut guest, Pattern::Red);
    let watch = Watch::start(&system, "nm12");
    let client = guest.start_sdvrc(&system, "-n nm12 -i /dev/video0 -f NM12 -s 640x360 -r 10");
    let frames = watch.take_next(20);
    let (luma, chroma) = frames[0].bytes().split_at(640 * 360);
    let [y, u, v] = [luma[0], chroma[0], chroma[1]];
    assert_drawn(&[y, u, v], RED);
    let expected = [[y; 2].repeat(640 * 360 / 2), [u, v].repeat(640 * 360 / 4)].concat();
    for frame in frames {
        assert_shape(&frame, *b"NV12", expected.len());
        assert!(frame.bytes() == expected, "{} differs", frame.number());
    }
    assert_lost_none(&mut guest, &client);
}

#[test]
fn frames_that_the_driver_drops_are_counted() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    guest.load_vivid(ONE_CAMERA);
    let watch = Watch::start(&system, "dropped");
    let client = guest.start_sdvrc(&system, "-n dropped -i /dev/video0 -f YUYV -s 320x180");
    watch.wait_for(20);
    guest.set_control(NODE, "Percentage of Dropped Buffers", 50);
    let _ = watch.take();
    let frames = watch.take_next(60);
    guest.set_control(NODE, "Percentage of Dropped Buffers", 0);
    let missed: u64 = frames.iter().map(Frame::missed).sum();
    // Half of them, by the driver's own dice.
    assert!(
        (20..=180).contains(&missed),
        "{missed} missed of {}",
        frames.len()
    );
    assert_numbers_tell_time(&frames);
    assert_lost_none(&mut guest, &client);
}

#[test]
fn frames_with_the_error_flag_are_left_out_and_counted() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    guest.load_vivid(ONE_CAMERA);
    let watch = Watch::start(&system, "faulty");
    // Slowly, so that the driver itself leaves out none, or few.
    let client = guest.start_sdvrc(&system, "-n faulty -i /dev/video0 -f YUYV -s 320x180 -r 10");
    watch.wait_for(5);
    let _ = watch.take();
    for _ in 0..10 {
        guest.set_control(NODE, "Inject V4L2_BUF_FLAG_ERROR", 1);
        watch.wait_for(2);
    }
    let frames = watch.take();
    let missed: u64 = frames.iter().map(Frame::missed).sum();
    assert!(
        (10..=15).contains(&missed),
        "{missed} missed of {}",
        frames.len()
    );
    assert_numbers_tell_time(&frames);
    assert_lost_none(&mut guest, &client);
}

#[test]
fn a_queue_that_fails_is_begun_anew() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    guest.load_vivid(ONE_CAMERA);
    let watch = Watch::start(&system, "fatal");
    let client = guest.start_sdvrc(&system, "-n fatal -i /dev/video0 -f YUYV -s 320x180");
    watch.wait_for(20);
    guest.set_control(NODE, "Inject Fatal Streaming Error", 1);
    watch.wait_for(20);
    assert!(guest.runs(&client));
}

#[test]
fn a_camera_that_is_disconnected_is_opened_again() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    guest.load_vivid(ONE_CAMERA);
    let watch = Watch::start(&system, "disconnected");
    let client = guest.start_sdvrc(&system, "-n disconnected -i /dev/video0 -f YUYV -s 320x180");
    watch.wait_for(20);
    // The driver says that the device is gone until nobody has it open any more.
    guest.set_control(NODE, "Disconnect", 1);
    guest.wait_for_log(&client, "is gone");
    let since = Instant::now();
    let back_after = watch.first_since(since);
    watch.wait_for(20);
    assert!(back_after < BACK_WITHIN, "{back_after:?}");
    assert!(guest.runs(&client));
}

#[test]
fn a_camera_that_vanishes_is_waited_for() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    guest.load_vivid(ONE_CAMERA);
    let watch = Watch::start(&system, "gone");
    let client = guest.start_sdvrc(&system, "-n gone -i /dev/video0 -f YUYV -s 320x180");
    watch.wait_for(20);
    guest.expect("echo vivid.0 > /sys/bus/platform/drivers/vivid/unbind");
    guest.wait_for_log(&client, "is gone");
    watch.wait_for_silence();
    guest.expect("[ ! -e /dev/video0 ]");
    guest.expect("echo vivid.0 > /sys/bus/platform/drivers/vivid/bind");
    let back_after = watch.first_since(Instant::now());
    watch.wait_for(20);
    assert!(back_after < BACK_WITHIN, "{back_after:?}");
    assert!(guest.runs(&client));
}

#[test]
fn a_control_is_set_by_its_name() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    guest.load_vivid(ONE_CAMERA);
    let watch = Watch::start(&system, "control");
    guest.start_sdvrc(
        &system,
        "-n control -i /dev/video0 -f YUYV -s 320x180 --set test_pattern=7 --set osd_text_mode=2",
    );
    for frame in watch.take_next(10) {
        let pair = &frame.bytes()[..4];
        assert_drawn(&[pair[0], pair[1], pair[3]], RED);
        assert!(frame.bytes() == pair.repeat(320 * 180 / 2));
    }
}

/// What the driver draws, without text over it.
#[derive(Clone, Copy)]
enum Pattern {
    ColourBars = 0,
    Red = 7,
}

fn draw(guest: &mut Guest, pattern: Pattern) {
    guest.set_control(NODE, "OSD Text Mode", 2);
    guest.set_control(NODE, "Test Pattern", pattern as i32);
}

#[track_caller]
fn assert_drawn(drawn: &Colour, expected: Colour) {
    let is_near = drawn
        .iter()
        .zip(expected)
        .all(|(own, other)| own.abs_diff(other) <= 2);
    assert!(is_near, "{drawn:?} instead of {expected:?}");
}

#[track_caller]
fn assert_shape(frame: &Frame, fourcc: [u8; 4], len_bytes: usize) {
    let format = frame.format();
    assert_eq!(
        (format.fourcc, format.width, format.height),
        (FourCc(fourcc), 640, 360)
    );
    assert_eq!(frame.bytes().len(), len_bytes);
}

/// The numbers go on as time does: no gap is hidden, none invented.
#[track_caller]
fn assert_numbers_tell_time(frames: &[Frame]) {
    let (first, last) = (frames.first().unwrap(), frames.last().unwrap());
    let numbers = (last.number().0 - first.number().0) as f64;
    let passed = last.captured().saturating_since(first.captured());
    let rate = first.format().rate.as_f64();
    let expected = passed.as_secs_f64() * rate;
    assert!(
        (numbers - expected).abs() < 3.0 + expected / 10.0,
        "{numbers} numbers, but {expected} intervals passed"
    );
}

/// No frame that the driver gave was lost on its way.
#[track_caller]
fn assert_lost_none(guest: &mut Guest, client: &Process) {
    let log = guest.log(client);
    assert!(!log.contains("not sent"), "{log}");
}
