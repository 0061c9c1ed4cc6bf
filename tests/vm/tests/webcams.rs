//! USB webcams, by the driver of real ones: compressed pictures, faulty ones, plugging in and out.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::time::{Duration, Instant};

use sdvr::{FourCc, Frame};
use sdvr_tests::{System, wait_until};
use sdvr_vm::clip::{self, Clip};
use sdvr_vm::{Guest, Process, Watch, Webcam};

/// Promised are 3 s; the guest's processor is emulated, and this machine may be busy.
const BACK_WITHIN: Duration = Duration::from_secs(6);

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
            index % clip::FPS as usize == 0,
            "{index} of the clip"
        );
    }
}

/// Streams the clip more than once; each frame is the one that its number says.
fn comes_out_as_sent(fourcc: [u8; 4], clip: &Clip) -> Vec<Frame> {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    match &fourcc {
        b"MJPG" => plug(&mut guest, clip, &Clip::h264()),
        _ => plug(&mut guest, &Clip::mjpg(), clip),
    };
    let watch = Watch::start(&system, "webcam");
    let name = String::from_utf8(fourcc.to_vec()).unwrap();
    let client = guest.start_sdvrc(&system, &format!("-n webcam -i /dev/video0 -f {name}"));
    let frames = watch.take_next(2 * clip::FRAMES);
    for frame in &frames {
        let format = frame.format();
        assert_eq!(
            (format.fourcc, (format.width, format.height)),
            (FourCc(fourcc), clip::SIZE)
        );
        assert_eq!(format.rate.as_f64().round(), f64::from(clip::FPS));
    }
    // What was captured before the server was there is not sent, and has no number.
    let index_of = |frame: &Frame| clip.index_of(frame.bytes());
    let before = index_of(&frames[0]).unwrap() as u64 + clip::FRAMES as u64 - frames[0].number().0;
    for frame in &frames {
        let expected = (frame.number().0 + before) as usize % clip::FRAMES;
        assert_eq!(index_of(frame), Some(expected), "{}", frame.number());
    }
    let missed: u64 = frames.iter().map(Frame::missed).sum();
    assert_eq!(missed, 0, "the driver had no buffer free");
    // Frames before the first key frame that finds a server are not sent, and the log says so: nothing can be decoded with them.
    if fourcc == *b"MJPG" {
        assert_lost_none(&mut guest, &client);
    }
    frames
}

#[test]
fn faulty_frames_are_gaps_or_come_as_they_are() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    let clip = Clip::mjpg();
    let webcam = plug(&mut guest, &clip, &Clip::h264());
    let watch = Watch::start(&system, "faulty");
    let client = guest.start_sdvrc(&system, "-n faulty -i /dev/video0 -f MJPG");
    watch.wait_for(10);
    let _ = watch.take();
    for fault in ["mark", "empty", "truncate"] {
        webcam.tell(&mut guest, fault);
        watch.wait_for(10);
    }
    let frames = watch.take();
    let whole = frames
        .iter()
        .filter(|frame| clip.index_of(frame.bytes()).is_some());
    // What the webcam cut, without saying so, nobody can tell from a picture.
    assert_eq!(whole.count(), frames.len() - 1);
    // The driver drops what the webcam marks as faulty, and what has no bytes.
    let missed: u64 = frames.iter().map(Frame::missed).sum();
    assert_eq!(
        missed,
        2,
        "{:?}",
        frames
            .iter()
            .map(|frame| frame.number().0)
            .collect::<Vec<_>>()
    );
    assert_lost_none(&mut guest, &client);
}

#[test]
fn a_webcam_that_is_unplugged_goes_on_when_it_is_back() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    let clip = Clip::mjpg();
    let webcam = plug(&mut guest, &clip, &Clip::h264());
    let watch = Watch::start(&system, "unplugged");
    let client = guest.start_sdvrc(&system, "-n unplugged -i /dev/video0 -f MJPG");
    watch.wait_for(20);
    let key = key_of(&system, "unplugged");
    unplug(&mut guest, &webcam);
    guest.wait_for_log(&client, "is gone");
    watch.wait_for_silence();
    webcam.tell(&mut guest, "plug");
    guest.wait_until("ls /dev/video0");
    let back_after = watch.first_since(Instant::now());
    watch.wait_for(20);
    assert!(back_after < BACK_WITHIN, "{back_after:?}");
    assert_eq!(key_of(&system, "unplugged"), key);
    assert!(
        watch
            .take()
            .iter()
            .all(|frame| clip.index_of(frame.bytes()).is_some())
    );
    assert!(guest.runs(&client));
}

#[test]
fn a_webcam_is_found_again_under_another_number() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    let (clip, other) = (Clip::mjpg(), Clip::mjpg().without_huffman_tables());
    let webcam = plug(&mut guest, &clip, &Clip::h264());
    let watch = Watch::start(&system, "moved");
    let client = guest.start_sdvrc(&system, "-n moved -i /dev/video0 -f MJPG");
    watch.wait_for(20);
    let key = key_of(&system, "moved");
    unplug(&mut guest, &webcam);
    guest.wait_for_log(&client, "is gone");
    watch.wait_for_silence();
    let _ = watch.take();
    // Now another one is /dev/video0.
    guest.plug_webcam(1, &other, &Clip::h264());
    guest.wait_until("ls /dev/video0");
    webcam.tell(&mut guest, "plug");
    guest.wait_until("ls /dev/video2");
    let back_after = watch.first_since(Instant::now());
    watch.wait_for(20);
    assert!(back_after < BACK_WITHIN, "{back_after:?}");
    assert_eq!(key_of(&system, "moved"), key);
    // Not one frame of the other one.
    assert!(
        watch
            .take()
            .iter()
            .all(|frame| clip.index_of(frame.bytes()).is_some())
    );
}

#[test]
fn frames_go_on_when_the_server_is_back() {
    let (mut system, mut guest) = (System::with_daemon(), Guest::enter());
    let clip = Clip::mjpg();
    plug(&mut guest, &clip, &Clip::h264());
    let watch = Watch::start(&system, "server");
    let client = guest.start_sdvrc(&system, "-n server -i /dev/video0 -f MJPG");
    watch.wait_for(20);
    system.kill_daemon();
    guest.expect("sleep 1");
    let _ = watch.take();
    system.start_daemon(&[]);
    let back_after = watch.first_since(Instant::now());
    watch.wait_for(20);
    assert!(back_after < BACK_WITHIN, "{back_after:?}");
    assert!(
        watch
            .take()
            .iter()
            .all(|frame| clip.index_of(frame.bytes()).is_some())
    );
    assert!(guest.runs(&client));
}

#[test]
fn of_all_cameras_one_that_fails_disturbs_no_other() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    let clip = Clip::mjpg();
    let [failing, lasting] = [0, 1].map(|port| guest.plug_webcam(port, &clip, &Clip::h264()));
    guest.wait_until("ls /dev/video2");
    let client = guest.start_sdvrc(&system, "--all");
    wait_until("both cameras are there", || system.list().len() == 2);
    let label_of = |serial: &str| {
        let cameras = system.list();
        let mut labels = cameras.iter().filter_map(|camera| camera["label"].as_str());
        labels
            .find(|label| label.contains(serial))
            .unwrap()
            .to_owned()
    };
    let [watch, lasting_watch] =
        ["sdvr0000", "sdvr0001"].map(|serial| Watch::start(&system, &label_of(serial)));
    watch.wait_for(20);
    lasting_watch.wait_for(20);
    let _ = lasting_watch.take();
    failing.tell(&mut guest, "unplug");
    watch.wait_for_silence();
    let frames = lasting_watch.take_next(40);
    assert!(frames.iter().all(|frame| frame.missed() == 0));
    failing.tell(&mut guest, "plug");
    watch.wait_for(20);
    assert!(guest.runs(&client) && guest.runs(&lasting.process));
}

/// Plugs in a webcam, and waits until the driver has made a device of it.
fn plug(guest: &mut Guest, mjpg: &Clip, h264: &Clip) -> Webcam {
    let webcam = guest.plug_webcam(0, mjpg, h264);
    guest.wait_until("ls /dev/video0");
    webcam
}

fn unplug(guest: &mut Guest, webcam: &Webcam) {
    webcam.tell(guest, "unplug");
    guest.wait_until("[ ! -e /dev/video0 ]");
}

/// The camera's key, by which the daemon knows it.
#[track_caller]
fn key_of(system: &System, label: &str) -> serde_json::Value {
    let cameras = system.list();
    let camera = cameras.iter().find(|camera| camera["label"] == label);
    let key = camera.unwrap()["fingerprint"].clone();
    assert!(key.is_string(), "{cameras:?}");
    key
}

/// No frame that the driver gave was lost on its way.
#[track_caller]
fn assert_lost_none(guest: &mut Guest, client: &Process) {
    let log = guest.log(client);
    assert!(!log.contains("not sent"), "{log}");
}
