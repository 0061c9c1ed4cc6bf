//! USB webcams, by the driver of real ones: compressed pictures, faulty ones, plugging in and out.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::time::{Duration, Instant};

use sdvr::{FourCc, Frame};
use sdvr_tests::{System, wait_until};
use sdvr_vm::clip::{self, Clip};
use sdvr_vm::stage::{LABEL, NODE};
use sdvr_vm::{Guest, Stage, Watch, Webcam};

#[test]
fn mjpg_comes_out_as_the_webcam_sent_it() {
    comes_out_as_sent(*b"MJPG", &Clip::mjpg());
}

#[test]
fn mjpg_without_huffman_tables_comes_out_as_the_webcam_sent_it() {
    let clip = Clip::mjpg();
    let without = clip.without_huffman_tables();
    assert!(
        without
            .frames
            .iter()
            .zip(&clip.frames)
            .all(|(short, long)| short.len() + 400 < long.len())
    );
    comes_out_as_sent(*b"MJPG", &without);
}

#[test]
fn h264_comes_out_as_the_webcam_sent_it() {
    let clip = Clip::h264();
    let frames = comes_out_as_sent(*b"H264", &clip);
    assert!(frames[0].is_key());
    for frame in frames {
        let index = clip.index_of(frame.bytes()).unwrap();
        assert_eq!(
            frame.is_key(),
            index.is_multiple_of(clip::FPS as usize),
            "{index} of the clip"
        );
    }
}

/// Streams the clip more than once; each frame is the one that its number says.
fn comes_out_as_sent(fourcc: [u8; 4], clip: &Clip) -> Vec<Frame> {
    let options = format!("-f {}", FourCc(fourcc));
    let (stage, _) = match &fourcc {
        b"MJPG" => Stage::webcam(clip, &Clip::h264(), &options),
        _ => Stage::webcam(&Clip::mjpg(), clip, &options),
    };
    let frames = stage.watch.take_next(2 * clip::FRAMES);
    for frame in &frames {
        let format = frame.format();
        assert_eq!(
            (format.fourcc, (format.width, format.height)),
            (FourCc(fourcc), clip::SIZE)
        );
        assert_eq!(format.rate.as_f64().round(), f64::from(clip::FPS));
    }
    clip.assert_goes_on(&frames);
    stage.end();
    frames
}

#[test]
fn h264_begins_with_its_first_key_frame_however_late_the_server_comes() {
    let (mut system, mut guest) = (System::new(), Guest::enter());
    // One key frame, and the next one 10 s later.
    let clip = Clip::h264_of(300, 300);
    guest.plug_webcam(0, &Clip::mjpg(), &clip);
    guest.wait_until(&format!("ls {NODE}"));
    let watch = Watch::start(&system, LABEL);
    let client = guest.start_sdvrc(&system, &format!("-n {LABEL} -i {NODE} -f H264"));
    guest.wait_for_log(&client, "trying again");
    std::thread::sleep(Duration::from_secs(2));
    system.start_daemon(&[]);
    let frames = watch.take_next(30);
    assert_eq!(clip.index_of(frames[0].bytes()), Some(0));
    assert!(frames[0].is_key());
    clip.assert_goes_on(&frames);
}

#[test]
fn h264_begins_anew_with_a_key_frame_when_the_server_is_back() {
    // The next key frame would be half a minute away, longer than anything is waited for.
    let clip = Clip::h264_of(900, 900);
    let (mut stage, _) = Stage::webcam(&Clip::mjpg(), &clip, "-f H264");
    stage.watch.wait_for(30);
    stage.system.kill_daemon();
    stage.guest.expect("sleep 1");
    let _ = stage.watch.take();
    stage.system.start_daemon(&[]);
    let frames = stage.watch.take_next(10);
    assert_eq!(clip.index_of(frames[0].bytes()), Some(0));
    assert!(frames[0].is_key());
    stage.end();
}

#[test]
fn faulty_frames_are_gaps_or_come_as_they_are() {
    let clip = Clip::mjpg();
    let (mut stage, webcam) = Stage::webcam(&clip, &Clip::h264(), "-f MJPG");
    stage.watch.wait_for(10);
    let _ = stage.watch.take();
    for fault in ["mark", "empty", "truncate"] {
        webcam.tell(&mut stage.guest, fault);
        stage.watch.wait_for(10);
    }
    let frames = stage.watch.take();
    let whole = frames
        .iter()
        .filter(|frame| clip.index_of(frame.bytes()).is_some());
    // What the webcam cut, without saying so, nobody can tell from a picture.
    assert_eq!(whole.count(), frames.len() - 1);
    // The driver drops what the webcam marks as faulty, and what has no bytes.
    let missed: u64 = frames.iter().map(Frame::missed).sum();
    assert!(missed >= 2, "{missed}");
    let account = stage.end();
    assert!(account.missing_at_source >= 2, "{account:?}");
}

#[test]
fn a_webcam_that_is_unplugged_goes_on_when_it_is_back() {
    let clip = Clip::mjpg();
    let (mut stage, webcam) = Stage::webcam(&clip, &Clip::h264(), "-f MJPG");
    stage.watch.wait_for(20);
    let key = stage.key();
    unplug(&mut stage, &webcam);
    webcam.tell(&mut stage.guest, "plug");
    stage.guest.wait_until(&format!("ls {NODE}"));
    stage.comes_back_after(Instant::now());
    assert_eq!(stage.key(), key);
    are_of(&stage.watch.take(), &clip);
    stage.end();
}

#[test]
fn a_webcam_is_found_again_under_another_number() {
    let (clip, other) = (Clip::mjpg(), Clip::mjpg().without_huffman_tables());
    let (mut stage, webcam) = Stage::webcam(&clip, &Clip::h264(), "-f MJPG");
    stage.watch.wait_for(20);
    let key = stage.key();
    unplug(&mut stage, &webcam);
    // Now another one is the first.
    stage.guest.plug_webcam(1, &other, &Clip::h264());
    stage.guest.wait_until(&format!("ls {NODE}"));
    webcam.tell(&mut stage.guest, "plug");
    stage.guest.wait_until("ls /dev/video2");
    stage.comes_back_after(Instant::now());
    assert_eq!(stage.key(), key);
    // Not one frame of the other one.
    are_of(&stage.watch.take(), &clip);
    stage.end();
}

#[test]
fn frames_go_on_when_the_server_is_back() {
    let clip = Clip::mjpg();
    let (mut stage, _) = Stage::webcam(&clip, &Clip::h264(), "-f MJPG");
    stage.watch.wait_for(20);
    stage.system.kill_daemon();
    stage.guest.expect("sleep 1");
    are_of(&stage.watch.take(), &clip);
    stage.system.start_daemon(&[]);
    stage.comes_back_after(Instant::now());
    are_of(&stage.watch.take(), &clip);
    stage.end();
}

#[test]
fn of_all_cameras_one_that_fails_disturbs_no_other() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    let clip = Clip::mjpg();
    let [failing, lasting] = [0, 1].map(|port| guest.plug_webcam(port, &clip, &Clip::h264()));
    guest.wait_until("ls /dev/video2");
    let client = guest.start_sdvrc(&system, "--all");
    let [watch, lasting_watch] =
        ["sdvr0000", "sdvr0001"].map(|serial| Watch::start(&system, &label_with(&system, serial)));
    watch.wait_for(20);
    lasting_watch.wait_for(20);
    let _ = lasting_watch.take();
    failing.tell(&mut guest, "unplug");
    watch.wait_for_silence();
    let frames = lasting_watch.take_next(40);
    clip.assert_goes_on(&frames);
    failing.tell(&mut guest, "plug");
    watch.wait_for(20);
    assert!(guest.runs(&client) && guest.runs(&lasting.process));
}

#[test]
fn of_all_cameras_twins_are_never_mistaken_for_each_other() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    // Neither has a serial number; their pictures tell them apart.
    let (clip, other) = (Clip::mjpg(), Clip::mjpg().without_huffman_tables());
    let first = guest.plug_webcam_with_serial(0, "", &clip, &Clip::h264());
    guest.wait_until(&format!("ls {NODE}"));
    let client = guest.start_sdvrc(&system, "--all");
    wait_until("the first camera is there", || system.list().len() == 1);
    let first_label = label_with(&system, "");
    let first_watch = Watch::start(&system, &first_label);
    first_watch.wait_for(20);
    let second = guest.plug_webcam_with_serial(1, "", &other, &Clip::h264());
    wait_until("both cameras are there", || system.list().len() == 2);
    let cameras = system.list();
    let mut labels = cameras.iter().filter_map(|camera| camera["label"].as_str());
    let second_label = labels.find(|label| *label != first_label).unwrap();
    let second_watch = Watch::start(&system, second_label);
    second_watch.wait_for(20);
    // The first one goes, and comes back as another node.
    first.tell(&mut guest, "unplug");
    first_watch.wait_for_silence();
    are_of(&first_watch.take(), &clip);
    second_watch.wait_for(40);
    first.tell(&mut guest, "plug");
    first_watch.wait_for(20);
    are_of(&first_watch.take(), &clip);
    are_of(&second_watch.take(), &other);
    // Both go, and the second one alone comes back.
    for webcam in [&first, &second] {
        webcam.tell(&mut guest, "unplug");
    }
    first_watch.wait_for_silence();
    second_watch.wait_for_silence();
    second.tell(&mut guest, "plug");
    second_watch.wait_for(20);
    first.tell(&mut guest, "plug");
    first_watch.wait_for(20);
    are_of(&first_watch.take(), &clip);
    are_of(&second_watch.take(), &other);
    assert_eq!(system.list().len(), 2, "{:?}", system.list());
    assert!(guest.runs(&client));
}

#[test]
fn a_snapshot_is_a_picture_that_every_program_opens() {
    let clip = Clip::mjpg();
    let without = clip.without_huffman_tables();
    let (stage, _) = Stage::webcam(&without, &Clip::h264(), "-f MJPG");
    stage.watch.wait_for(5);
    let file = stage.system.home().join("picture.jpg");
    let output = stage
        .system
        .sdvr(&["snapshot", LABEL, file.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    // It is one of the pictures that the webcam shows, with the tables that it leaves out.
    let pixels = clip::decoded(&std::fs::read(file).unwrap());
    assert!(
        clip.frames
            .iter()
            .any(|frame| clip::decoded(frame) == pixels)
    );
}

/// Waits for the camera whose label has a part; gives the label.
#[track_caller]
fn label_with(system: &System, part: &str) -> String {
    let label = || {
        let cameras = system.list();
        let mut labels = cameras.iter().filter_map(|camera| camera["label"].as_str());
        labels.find(|label| label.contains(part)).map(str::to_owned)
    };
    wait_until("the camera is there", || label().is_some());
    label().unwrap()
}

/// Each is a frame of the clip, whole.
#[track_caller]
fn are_of(frames: &[Frame], clip: &Clip) {
    for frame in frames {
        assert!(clip.index_of(frame.bytes()).is_some(), "{}", frame.number());
    }
}

/// Unplugs the webcam, and waits until that has been noticed everywhere.
fn unplug(stage: &mut Stage, webcam: &Webcam) {
    webcam.tell(&mut stage.guest, "unplug");
    stage.guest.wait_until(&format!("[ ! -e {NODE} ]"));
    stage.wait_for_log("is gone");
    stage.watch.wait_for_silence();
    let _ = stage.watch.take();
}
