//! Webcams over UDP: what is lost there, and that it is like TCP otherwise.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::time::Duration;

use sdvr::Frame;
use sdvr_tests::{System, wait_until};
use sdvr_vm::clip::Clip;
use sdvr_vm::stage::{LABEL, NODE};
use sdvr_vm::{Guest, Relay, Stage, Watch, Webcam};

/// Longer than frames wait for what was lost, and shorter than a server may be silent.
const CUT: Duration = Duration::from_millis(500);
/// What the webcam says of it.
const ASKED: &str = "a key frame is asked for";

#[test]
fn after_a_loss_the_webcam_s_encoder_is_asked_for_a_key_frame() {
    // The next one would come half a minute later.
    let clip = Clip::h264_of(900, 900);
    let (mut stage, webcam, relay) = h264_over_a_relay(&clip, |guest| {
        guest.expect(&format!("control {NODE} --encoder"));
    });
    begins_anew_after_a_loss(&stage, &relay, &clip);
    assert!(stage.guest.log(&webcam.process).contains(ASKED));
    let account = stage.end();
    assert!(account.lost_on_the_way > 0, "{account:?}");
}

#[test]
fn after_a_loss_a_webcam_that_cannot_be_asked_is_started_anew() {
    let clip = Clip::h264_of(900, 900);
    let (mut stage, webcam, relay) = h264_over_a_relay(&clip, |_| {});
    begins_anew_after_a_loss(&stage, &relay, &clip);
    assert!(!stage.guest.log(&webcam.process).contains(ASKED));
    let account = stage.end();
    assert!(account.lost_on_the_way > 0, "{account:?}");
}

#[test]
fn after_a_loss_a_key_frame_that_comes_soon_is_waited_for() {
    let clip = Clip::h264_of(300, 5);
    let (stage, _webcam, relay) = h264_over_a_relay(&clip, |_| {});
    lose(&stage, &relay);
    let frames = after_the_loss(&stage);
    // The webcam goes on as if nothing had been.
    clip.assert_goes_on(&frames);
    assert!(frames.iter().any(Frame::is_key));
    let account = stage.end();
    assert!(account.lost_on_the_way > 0, "{account:?}");
}

#[test]
fn all_cameras_stream_over_udp() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    // They do not stand on each other's frames.
    let clips = [Clip::mjpg(), Clip::mjpg().without_huffman_tables()];
    for (port, clip) in (0..).zip(&clips) {
        guest.plug_webcam(port, clip, &Clip::h264());
    }
    guest.wait_until("ls /dev/video2");
    let client = guest.start_sdvrc(&system, "--all -u");
    wait_until("both cameras are there", || system.list().len() == 2);
    for (serial, clip) in ["sdvr0000", "sdvr0001"].iter().zip(&clips) {
        let cameras = system.list();
        let camera = cameras
            .iter()
            .find(|camera| camera["label"].as_str().unwrap().contains(serial));
        let camera = camera.unwrap_or_else(|| panic!("no {serial} in {cameras:?}"));
        assert_eq!(camera["link"], "udp");
        let watch = Watch::start(&system, camera["label"].as_str().unwrap());
        clip.assert_goes_on(&watch.take_next(60));
    }
    assert!(guest.runs(&client));
    guest.stop(&client);
    wait_until("both have said that they go", || system.list().is_empty());
}

#[test]
fn h264_begins_anew_with_a_key_frame_when_the_server_is_back() {
    let clip = Clip::h264_of(900, 900);
    let (mut stage, _webcam) = Stage::webcam(&Clip::mjpg(), &clip, "-f H264 -u");
    stage.watch.wait_for(30);
    stage.system.kill_daemon();
    stage.guest.expect("sleep 1");
    let _ = stage.watch.take();
    stage.system.start_daemon(&[]);
    let frames = stage.watch.take_next(10);
    assert_eq!(clip.index_of(frames[0].bytes()), Some(0));
    assert!(frames[0].is_key());
}

#[test]
fn a_webcam_that_is_unplugged_goes_on_when_it_is_back() {
    let clip = Clip::mjpg();
    let (mut stage, webcam) = Stage::webcam(&clip, &Clip::h264(), "-f MJPG -u");
    stage.watch.wait_for(20);
    webcam.tell(&mut stage.guest, "unplug");
    stage.wait_for_log("is gone");
    stage.watch.wait_for_silence();
    let _ = stage.watch.take();
    webcam.tell(&mut stage.guest, "plug");
    clip.assert_goes_on(&stage.watch.take_next(20));
    stage.end();
}

/// A webcam that streams a clip of H.264, over a way that can be cut. `prepare` is done when it is plugged in.
#[track_caller]
fn h264_over_a_relay(clip: &Clip, prepare: impl FnOnce(&mut Guest)) -> (Stage, Webcam, Relay) {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    let relay = Relay::to(system.port());
    let webcam = guest.plug_webcam(0, &Clip::mjpg(), clip);
    guest.wait_until(&format!("ls {NODE}"));
    prepare(&mut guest);
    let watch = Watch::start(&system, LABEL);
    let port = relay.port();
    let client = guest.start(&format!(
        "sdvrc -d 10.0.2.2 -p {port} -u -n {LABEL} -i {NODE} -f H264"
    ));
    let stage = Stage {
        watch,
        client,
        guest,
        system,
    };
    (stage, webcam, relay)
}

/// Loses frames between others.
#[track_caller]
fn lose(stage: &Stage, relay: &Relay) {
    stage.watch.wait_for(30);
    assert!(relay.cut_for(CUT) > 0);
    stage.watch.wait_for(30);
}

/// What was read from the first frame on that came after lost ones.
#[track_caller]
fn after_the_loss(stage: &Stage) -> Vec<Frame> {
    let mut frames = stage.watch.take();
    let is_after = |frame: &Frame| frame.missed() > 0;
    let first = frames.iter().rposition(is_after);
    frames.split_off(first.expect("frames are missing"))
}

/// Whatever came before, the clip begins anew with a key frame, and each frame that follows is there.
#[track_caller]
fn begins_anew_after_a_loss(stage: &Stage, relay: &Relay, clip: &Clip) {
    lose(stage, relay);
    let mut frames = Vec::new();
    let index_of = |frame: &Frame| clip.index_of(frame.bytes()).unwrap();
    wait_until("the clip begins anew", || {
        frames.extend(stage.watch.take());
        let last = frames.iter().rposition(|frame| index_of(frame) == 0);
        last.is_some_and(|last| last > 0 && frames.len() > last + 20)
    });
    let begin = frames.iter().rposition(|frame| index_of(frame) == 0);
    let (before, after) = frames.split_at(begin.unwrap());
    assert!(after[0].is_key());
    clip.assert_goes_on(after);
    assert!(before.iter().chain(after).any(|frame| frame.missed() > 0));
}
