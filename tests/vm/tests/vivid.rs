//! The kernel's virtual camera: raw pictures, of one plane and of several, and everything that a driver can do wrong.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::time::{Duration, Instant};

use sdvr::{FourCc, Frame};
use sdvr_tests::wait_until;
use sdvr_vm::stage::{LABEL, NODE, ONE_CAMERA};
use sdvr_vm::{Guest, Stage};

/// Vivid with one camera that has two inputs, of which the second is HDMI.
const HDMI: &str = "n_devs=1 node_types=0x1 num_inputs=2 input_types=12";
/// Large enough to see something, small enough for an emulated processor.
const SMALL: &str = "-f YUYV -s 320x180";
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
    let options = "-f YUYV -s 640x360 -r 10";
    let stage = Stage::vivid(ONE_CAMERA, options, |guest| {
        draw(guest, Pattern::ColourBars)
    });
    let frames = stage.watch.take_next(20);
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
        assert_shape(&frame, *b"YUYV", (640, 360));
        assert!(frame.bytes() == expected, "{} differs", frame.number());
    }
    stage.end();
}

#[test]
fn frames_of_two_planes_are_joined_exactly() {
    let parameters = format!("{ONE_CAMERA} multiplanar=2");
    let options = "-f NM12 -s 640x360 -r 10";
    let stage = Stage::vivid(&parameters, options, |guest| draw(guest, Pattern::Red));
    let frames = stage.watch.take_next(20);
    let (luma, chroma) = frames[0].bytes().split_at(640 * 360);
    let [y, u, v] = [luma[0], chroma[0], chroma[1]];
    assert_drawn(&[y, u, v], RED);
    let expected = [[y; 2].repeat(640 * 360 / 2), [u, v].repeat(640 * 360 / 4)].concat();
    for frame in frames {
        assert_shape(&frame, *b"NV12", (640, 360));
        assert!(frame.bytes() == expected, "{} differs", frame.number());
    }
    stage.end();
}

#[test]
fn frames_of_33_mb_come_out_exactly() {
    let options = "-f RGB4 -s 3840x2160 -r 1";
    let stage = Stage::vivid(ONE_CAMERA, options, |guest| draw(guest, Pattern::Red));
    stage.watch.wait_for(1);
    stage.watch.wait_for(1);
    for frame in stage.watch.take() {
        let pixel = &frame.bytes()[..4];
        assert_eq!(frame.bytes().len(), 3840 * 2160 * 4);
        assert!(
            frame.bytes() == pixel.repeat(3840 * 2160),
            "{}",
            frame.number()
        );
    }
    stage.end();
}

#[test]
fn frames_that_the_driver_drops_are_counted() {
    let mut stage = Stage::vivid(ONE_CAMERA, SMALL, |_| {});
    stage.watch.wait_for(20);
    stage
        .guest
        .set_control(NODE, "Percentage of Dropped Buffers", 50);
    let _ = stage.watch.take();
    let frames = stage.watch.take_next(60);
    stage
        .guest
        .set_control(NODE, "Percentage of Dropped Buffers", 0);
    let missed: u64 = frames.iter().map(Frame::missed).sum();
    // Half of them, by the driver's own dice.
    assert!(
        (20..=180).contains(&missed),
        "{missed} missed of {}",
        frames.len()
    );
    assert_numbers_tell_time(&frames);
    let account = stage.end();
    assert!(account.missing_at_source >= missed, "{account:?}, {missed}");
}

#[test]
fn frames_with_the_error_flag_are_left_out_and_counted() {
    // Slowly, so that the driver itself leaves out none, or few.
    let mut stage = Stage::vivid(ONE_CAMERA, &format!("{SMALL} -r 10"), |_| {});
    stage.watch.wait_for(5);
    let _ = stage.watch.take();
    for _ in 0..10 {
        stage
            .guest
            .set_control(NODE, "Inject V4L2_BUF_FLAG_ERROR", 1);
        stage.watch.wait_for(2);
    }
    let frames = stage.watch.take();
    let missed: u64 = frames.iter().map(Frame::missed).sum();
    assert!(missed >= 10, "{missed} missed of {}", frames.len());
    assert_numbers_tell_time(&frames);
    let account = stage.end();
    assert!(account.missing_at_source >= 10, "{account:?}");
}

#[test]
fn sequence_numbers_that_wrap_around_are_no_gap() {
    // The driver then begins 128 below the end of 32 bits.
    let mut stage = Stage::vivid(ONE_CAMERA, SMALL, |guest| {
        guest.set_control(NODE, "Wrap Sequence Number", 1);
    });
    let frames = stage.watch.take_next(160);
    assert_numbers_tell_time(&frames);
    assert!(stage.guest.runs(&stage.client));
    stage.end();
}

#[test]
fn times_that_wrap_around_are_replaced_by_the_time_of_arrival() {
    // Soon after the start the driver's clock jumps, as counters of 32 bits do.
    for (menu, entry) in [("64 Bit", 1), ("32 Bit", 2)] {
        let mut stage = Stage::vivid(ONE_CAMERA, &format!("{SMALL} -r 10"), |guest| {
            guest.set_control(NODE, "Wrap Timestamp", entry);
        });
        // It does so 16 s after the start.
        stage.watch.wait_for(1);
        std::thread::sleep(Duration::from_secs(18));
        stage.watch.wait_for(20);
        let frames = stage.watch.take();
        assert!(stage.guest.runs(&stage.client), "{menu}");
        let passed = frames[frames.len() - 1]
            .received()
            .saturating_since(frames[0].received());
        assert!(passed > Duration::from_secs(17), "{menu}: {passed:?}");
        for pair in frames.windows(2) {
            let passed = pair[1].captured().saturating_since(pair[0].captured());
            assert!(passed < Duration::from_secs(10), "{menu}: {passed:?}");
        }
        for frame in &frames {
            assert!(
                frame.age() < Duration::from_secs(60),
                "{menu}: {:?}",
                frame.age()
            );
        }
        assert_numbers_tell_time(&frames);
        stage.end();
    }
}

#[test]
fn every_third_frame_is_every_third_frame() {
    let stage = Stage::vivid(ONE_CAMERA, &format!("{SMALL} -r 30 -x 3"), |_| {});
    let frames = stage.watch.take_next(20);
    assert_eq!(frames[0].format().rate.as_f64(), 10.0);
    assert_numbers_tell_time(&frames);
    stage.end();
}

#[test]
fn one_frame_is_sent_for_each_signal() {
    let mut stage = Stage::vivid(ONE_CAMERA, &format!("{SMALL} -t"), |_| {});
    let id = stage.client.id();
    stage.wait_for_log("connected");
    assert_eq!(stage.watch.count(), 0);
    for taken in 1..=3 {
        stage.guest.expect(&format!("kill -USR1 {id}"));
        stage.watch.wait_for(taken - stage.watch.count());
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(stage.watch.count(), taken);
    }
}

#[test]
fn a_queue_that_fails_is_begun_anew() {
    let mut stage = Stage::vivid(ONE_CAMERA, SMALL, |_| {});
    stage.watch.wait_for(20);
    stage
        .guest
        .set_control(NODE, "Inject Fatal Streaming Error", 1);
    stage.wait_for_log("is gone");
    stage.comes_back_after(Instant::now());
    stage.end();
}

#[test]
fn a_camera_that_is_disconnected_is_opened_again() {
    let mut stage = Stage::vivid(ONE_CAMERA, SMALL, |_| {});
    stage.watch.wait_for(20);
    // The driver says that the device is gone until nobody has it open any more.
    stage.guest.set_control(NODE, "Disconnect", 1);
    stage.wait_for_log("is gone");
    stage.comes_back_after(Instant::now());
    stage.end();
}

#[test]
fn a_camera_that_vanishes_is_waited_for() {
    let mut stage = Stage::vivid(ONE_CAMERA, SMALL, |_| {});
    stage.watch.wait_for(20);
    stage.guest.expect(UNBIND);
    stage.wait_for_log("is gone");
    stage.watch.wait_for_silence();
    stage.guest.expect(&format!("[ ! -e {NODE} ]"));
    stage.guest.expect(BIND);
    stage.comes_back_after(Instant::now());
    stage.end();
}

#[test]
fn a_camera_that_another_program_took_meanwhile_comes_back_when_that_ends() {
    let mut stage = Stage::vivid(ONE_CAMERA, SMALL, |_| {});
    stage.watch.wait_for(20);
    stage.guest.expect(UNBIND);
    stage.wait_for_log("is gone");
    // The other one is first, because ours is not there.
    let id = stage.client.id();
    stage.guest.expect(&format!("kill -STOP {id}"));
    stage.guest.expect(BIND);
    let Stage { system, guest, .. } = &mut stage;
    let other = guest.start_sdvrc(system, &format!("-n other -k /tmp/other -i {NODE} {SMALL}"));
    guest.wait_for_log(&other, "capturing");
    guest.expect(&format!("kill -CONT {id}"));
    let holder = format!("in use by sdvrc (process {})", other.id());
    stage.wait_for_log(&holder);
    stage.guest.stop(&other);
    stage.comes_back_after(Instant::now());
    stage.end();
}

#[test]
fn a_control_is_set_by_its_name_and_again_when_the_camera_is_back() {
    let options = format!("{SMALL} --set test_pattern=7 --set osd_text_mode=2");
    let mut stage = Stage::vivid(ONE_CAMERA, &options, |_| {});
    let are_red = |frames: Vec<Frame>| {
        for frame in frames {
            let pair = &frame.bytes()[..4];
            assert_drawn(&[pair[0], pair[1], pair[3]], RED);
            assert!(frame.bytes() == pair.repeat(320 * 180 / 2));
        }
    };
    are_red(stage.watch.take_next(10));
    // A new device has the driver's defaults.
    stage.guest.expect(UNBIND);
    stage.wait_for_log("is gone");
    stage.watch.wait_for_silence();
    are_red(stage.watch.take());
    stage.guest.expect(BIND);
    are_red(stage.watch.take_next(10));
}

#[test]
fn another_signal_opens_the_stream_anew_in_its_size() {
    let mut stage = Stage::vivid(HDMI, "-f GREY", |guest| hdmi(guest, Signal::Vga));
    for frame in stage.watch.take_next(10) {
        assert_shape(&frame, *b"GREY", (640, 480));
        assert_eq!(frame.format().rate.as_f64().round(), 60.0);
    }
    let key = stage.key();
    signal(&mut stage.guest, Signal::Dvd);
    let log = stage.wait_for_log("the picture is now GREY 720x480");
    assert!(!log.contains("is gone"), "{log}");
    let is_new = |frame: &Frame| frame.format().width == 720;
    let mut frames = Vec::new();
    wait_until("frames of the new size come", || {
        frames.extend(stage.watch.take());
        frames.iter().filter(|frame| is_new(frame)).count() > 20
    });
    let changed = frames.iter().position(is_new).unwrap();
    for frame in &frames[changed..] {
        assert_shape(frame, *b"GREY", (720, 480));
    }
    // It is the same camera, whose numbers go on.
    assert_eq!(stage.key(), key);
    assert!(
        frames
            .windows(2)
            .all(|pair| pair[0].number() < pair[1].number())
    );
    stage.end();
}

#[test]
fn another_signal_is_noticed_by_a_host_that_never_catches_up() {
    let mut stage = Stage::vivid(HDMI, "-f GREY", |guest| hdmi(guest, Signal::Vga));
    stage.watch.wait_for(10);
    // Whenever it may go on for a moment, the driver has a frame more.
    let id = stage.client.id();
    let slowed = stage.guest.start(&format!(
        "(while kill -STOP {id} && sleep 0.1 && kill -CONT {id} && sleep 0.03; do :; done)"
    ));
    stage.watch.wait_for(5);
    signal(&mut stage.guest, Signal::Dvd);
    stage.wait_for_log("the picture is now GREY 720x480");
    stage.guest.stop(&slowed);
    stage.guest.expect(&format!("kill -CONT {id}"));
    wait_until("frames of the new size come", || {
        let frames = stage.watch.take();
        frames.iter().any(|frame| frame.format().width == 720)
    });
    stage.end();
}

#[test]
fn a_signal_that_is_missing_is_said_and_waited_for() {
    let mut stage = Stage::vivid(HDMI, "-f GREY", |guest| hdmi(guest, Signal::Vga));
    stage.watch.wait_for(10);
    signal(&mut stage.guest, Signal::None);
    stage.wait_for_log("no signal at its input");
    stage.watch.wait_for_silence();
    signal(&mut stage.guest, Signal::Vga);
    stage.comes_back_after(Instant::now());
    // Who begins without one is told so.
    signal(&mut stage.guest, Signal::None);
    stage.guest.stop(&stage.client);
    let Stage { system, guest, .. } = &mut stage;
    let output = guest.run_sdvrc(system, &format!("-n {LABEL} -i {NODE}"));
    assert_eq!(output.status, 1, "{}", output.text);
    assert!(output.text.contains("no signal"), "{}", output.text);
}

#[test]
fn a_driver_that_cannot_start_is_tried_again() {
    let mut stage = Stage::vivid(ONE_CAMERA, SMALL, |_| {});
    stage.watch.wait_for(10);
    // The next time that it should start, it fails.
    stage
        .guest
        .set_control(NODE, "Inject VIDIOC_STREAMON Error", 1);
    stage
        .guest
        .set_control(NODE, "Inject Fatal Streaming Error", 1);
    stage.wait_for_log(&format!("cannot start {NODE}"));
    stage.comes_back_after(Instant::now());
    stage.end();
}

const UNBIND: &str = "echo vivid.0 > /sys/bus/platform/drivers/vivid/unbind";
const BIND: &str = "echo vivid.0 > /sys/bus/platform/drivers/vivid/bind";

/// What comes in at the HDMI input.
#[derive(Clone, Copy)]
enum Signal {
    None,
    /// 640x480 at 59.94.
    Vga,
    /// 720x480 at 59.94.
    Dvd,
}

/// Chooses that input, at which this comes in.
fn hdmi(guest: &mut Guest, comes_in: Signal) {
    guest.set_input(NODE, 1);
    signal(guest, comes_in);
}

fn signal(guest: &mut Guest, signal: Signal) {
    const MODE: &str = "DV Timings Signal Mode";
    const NO_SIGNAL: i32 = 1;
    const AS_SELECTED: i32 = 4;
    // In the order of the kernel's `v4l2_dv_timings_presets`.
    let preset = match signal {
        Signal::None => return guest.set_control(NODE, MODE, NO_SIGNAL),
        Signal::Vga => 0,
        Signal::Dvd => 2,
    };
    guest.set_control(NODE, "DV Timings", preset);
    guest.set_control(NODE, MODE, AS_SELECTED);
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
fn assert_shape(frame: &Frame, fourcc: [u8; 4], size: (u32, u32)) {
    let format = frame.format();
    assert_eq!(
        (format.fourcc, (format.width, format.height)),
        (FourCc(fourcc), size)
    );
    let bytes = FourCc(fourcc).raw_frame_bytes(size.0, size.1).unwrap();
    assert_eq!(frame.bytes().len() as u64, bytes);
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
