//! `cargo xtask bench camera`: what is promised of cameras, measured. Each prints its figure, and fails when it is not reached.
#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on must stop, with the place"
)]

use std::time::{Duration, Instant};

use sdvr_tests::System;
use sdvr_vm::clip::Clip;
use sdvr_vm::stage::{LABEL, NODE, ONE_CAMERA};
use sdvr_vm::{Guest, Stage, Watch};

const BACK_WITHIN: Duration = Duration::from_secs(3);
const ROUNDS: usize = 10;
/// The largest format of the promises: 1080p YUYV, 4 MB a frame; as slow as an emulated processor needs it.
const FULL_HD: &str = "-f YUYV -s 1920x1080 -r 4";
const FULL_HD_BYTES: u32 = 1920 * 1080 * 2;
const MIB: u64 = 1 << 20;

#[test]
fn frames_after_a_webcam_was_plugged_in_again() {
    let clip = Clip::mjpg();
    let (mut stage, webcam) = Stage::webcam(&clip, &Clip::h264(), "-f MJPG");
    stage.watch.wait_for(20);
    let times = (0..ROUNDS).map(|_| {
        webcam.tell(&mut stage.guest, "unplug");
        stage.guest.wait_until(&format!("[ ! -e {NODE} ]"));
        stage.watch.wait_for_silence();
        let plugged_in = Instant::now();
        webcam.tell(&mut stage.guest, "plug");
        stage.watch.first_since(plugged_in)
    });
    report_times(
        "webcam plugged in again, frames after that (the driver's part included)",
        times.collect(),
    );
    stage.end();
}

#[test]
fn frames_after_the_server_was_started_again() {
    let (mjpg, h264) = (Clip::mjpg(), Clip::h264_of(300, 300));
    for format in ["MJPG", "H264"] {
        // Of H.264, a key frame every 10 s, and the camera has no control to ask for one.
        let (mut stage, _webcam) = Stage::webcam(&mjpg, &h264, &format!("-f {format}"));
        stage.watch.wait_for(20);
        let times = (0..ROUNDS).map(|round| {
            stage.system.kill_daemon();
            // Away for a short and for a long time.
            std::thread::sleep(Duration::from_secs(1 + round as u64 % 3 * 4));
            let _ = stage.watch.take();
            stage.system.start_daemon(&[]);
            let back_after = stage.watch.first_since(Instant::now());
            stage.watch.wait_for(20);
            assert!(stage.watch.take()[0].is_key());
            back_after
        });
        let name = format!("server started again, {format} frames after it is ready");
        report_times(&name, times.collect());
    }
}

#[test]
fn frames_lost_by_us() {
    let options = ["-f YUYV -s 640x360 -r 15", "-f NM12 -s 640x360 -r 15"];
    for (options, parameters) in options.into_iter().zip(["", "multiplanar=2"]) {
        let stage = Stage::vivid(&format!("{ONE_CAMERA} {parameters}"), options, |_| {});
        wait_for(&stage, 300);
        report_loss(&format!("vivid {options}"), stage);
    }
    let (mjpg, h264) = (Clip::mjpg(), Clip::h264());
    for format in ["MJPG", "H264"] {
        let (stage, _webcam) = Stage::webcam(&mjpg, &h264, &format!("-f {format}"));
        wait_for(&stage, 600);
        report_loss(&format!("webcam {format}"), stage);
    }
}

/// For longer than a test may take.
fn wait_for(stage: &Stage, frames: usize) {
    const AT_ONCE: usize = 50;
    for _ in 0..frames / AT_ONCE {
        stage.watch.wait_for(AT_ONCE);
    }
}

fn report_loss(name: &str, stage: Stage) {
    let account = stage.end();
    println!(
        "{name}: {} frames sent, {} lost by us, {} not given by the driver",
        account.sent, account.not_sent, account.missing_at_source
    );
    assert_eq!(account.not_sent, 0);
}

#[test]
fn memory_of_a_camera_of_full_hd() {
    let mut stage = Stage::vivid(ONE_CAMERA, FULL_HD, |_| {});
    stage.watch.wait_for(20);
    let (us, driver) = stage.guest.resident_bytes(&stage.client);
    println!(
        "1080p YUYV: {:.1} MiB resident beside {:.1} MiB of the driver's buffers",
        us as f64 / MIB as f64,
        driver as f64 / MIB as f64
    );
    assert!(us <= 32 * MIB);
}

#[test]
fn allocations_for_a_frame() {
    for (parameters, options) in [
        ("", "-f YUYV -s 640x360 -r 10"),
        ("multiplanar=2", "-f NM12 -s 640x360 -r 10"),
    ] {
        let (system, mut guest) = (System::with_daemon(), Guest::enter());
        guest.load_vivid(&format!("{ONE_CAMERA} {parameters}"));
        let watch = Watch::start(&system, LABEL);
        let port = system.port();
        guest.start(&format!(
            "SDVR_ALLOCATIONS=/tmp/allocations sdvrc-counted -d 10.0.2.2 -p {port} -n {LABEL} -i {NODE} {options}"
        ));
        // The first frames make everything as large as it must be.
        watch.wait_for(30);
        let mut allocations = || -> u64 {
            let text = guest.expect("cat /tmp/allocations");
            text.trim().parse().unwrap()
        };
        let (frames_before, before) = (watch.count(), allocations());
        watch.wait_for(100);
        let (frames, count) = (watch.count() - frames_before, allocations() - before);
        println!("vivid {options}: {count} allocations in {frames} frames");
        // What the server says once a second costs some, a frame none.
        assert!(count < frames as u64 / 2);
    }
}

#[test]
fn processor_time_of_capturing() {
    let (system, mut guest) = (System::with_daemon(), Guest::enter());
    guest.load_vivid(ONE_CAMERA);
    let test = format!("'test:?format=BNCH&bytes={FULL_HD_BYTES}&fps=4'");
    let mut per_frame = |label: &str, source: &str| {
        let watch = Watch::start(&system, label);
        let client = guest.start_sdvrc(&system, &format!("-n {label} -i {source}"));
        watch.wait_for(8);
        let (frames_before, before) = (watch.count(), guest.processor_time(&client));
        watch.wait_for(60);
        let frames = watch.count() - frames_before;
        let time = (guest.processor_time(&client) - before) / u32::try_from(frames).unwrap();
        guest.stop(&client);
        time
    };
    let captured = per_frame("captured", &format!("{NODE} {FULL_HD}"));
    let made = per_frame("made", &test);
    println!(
        "1080p YUYV, 4 MB a frame: {captured:.1?} of the emulated processor to capture, seal and send it, {made:.1?} to make, seal and send as many bytes"
    );
}

#[track_caller]
fn report_times(name: &str, mut times: Vec<Duration>) {
    times.sort();
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "{name}: median {median:.2?}, longest {most:.2?} of {}",
        times.len()
    );
    assert!(most <= BACK_WITHIN);
}
