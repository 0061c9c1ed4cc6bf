//! From a fresh home to the first picture and back to nothing: what a user sees on the first day.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sdvr::{Camera, Error, Frame, Policy, StreamState};
use sdvr_frame::bench_frame;
use sdvr_tests::{PATIENCE, Running, System, text, wait_until};

const MEASURING: &str = "test:?format=BNCH&bytes=20000&fps=50";
/// So slow that no busy machine makes its source miss a moment.
const SLOW: &str = "test:?format=BNCH&bytes=20000&fps=5";

#[test]
fn every_byte_of_a_measuring_camera_arrives() {
    let system = System::with_daemon();
    let _client = system.start_client("measuring", SLOW, &[]);
    system.wait_for_state("measuring", "live");
    // What a source misses on a busy machine was never there; in one of these spans it misses nothing.
    let mut findings = serde_json::Value::Null;
    wait_until("all frames of a second arrive", || {
        findings = system.verify("measuring", 1.0);
        assert_eq!(findings["torn"], 0, "{findings}");
        findings["frames"].as_u64().unwrap() > 0 && findings["missing"] == 0
    });
    assert!(findings["seconds"].as_f64().unwrap() >= 1.0, "{findings}");
    let latency =
        ["p50", "p90", "p99", "max"].map(|name| findings["latency_us"][name].as_u64().unwrap());
    assert!(latency.is_sorted() && latency[0] > 0, "{findings}");
    assert!(findings["stale"].is_u64(), "{findings}");
}

#[test]
fn all_formats_of_the_test_picture_arrive_whole() {
    let system = System::with_daemon();
    let formats = ["MJPG", "YUYV", "NV12", "GREY", "BNCH"];
    let _clients = formats.map(|format| {
        let bytes = if format == "BNCH" { "&bytes=4321" } else { "" };
        let source = format!("test:?format={format}&size=320x240&fps=20{bytes}");
        system.start_client(&format!("cam-{format}"), &source, &[])
    });
    for format in formats {
        let mut camera = Camera::wait_for_in(&system.shm(), &format!("cam-{format}"));
        for _ in 0..3 {
            let frame = next_frame(&mut camera);
            assert_eq!(frame.format().fourcc.to_string(), format);
            let bytes = frame.bytes();
            let pixels = 320 * 240;
            match format {
                "MJPG" => assert!(
                    bytes.starts_with(&[0xff, 0xd8, 0xff]) && bytes.ends_with(&[0xff, 0xd9])
                ),
                "YUYV" => assert_eq!(bytes.len(), pixels * 2),
                "NV12" => assert_eq!(bytes.len(), pixels * 3 / 2),
                "GREY" => assert_eq!(bytes.len(), pixels),
                _ => {
                    assert_eq!(bytes.len(), 4321);
                    let header = bench_frame::check(bytes).unwrap();
                    assert_eq!(header.sequence, frame.number());
                }
            }
            if format != "BNCH" {
                assert_eq!((frame.format().width, frame.format().height), (320, 240));
            }
            assert!(frame.is_key(), "each of these frames stands alone");
        }
    }
}

#[test]
fn ls_has_every_promised_field() {
    let system = System::with_daemon();
    assert!(system.list().is_empty());
    let _client = system.start_client("picture", "test:?format=YUYV&size=64x48&fps=30", &[]);
    system.wait_for_state("picture", "live");
    wait_until("a rate was measured", || {
        system.list()[0]["fps"].as_f64().unwrap() > 0.0
    });
    let cameras = system.list();
    let camera = &cameras[0];
    assert_eq!(cameras.len(), 1);
    assert_eq!(camera["label"], "picture");
    assert_eq!(camera["format"], "YUYV");
    assert_eq!(
        (&camera["width"], &camera["height"]),
        (&64.into(), &48.into())
    );
    assert_eq!(camera["state"], "live");
    assert_eq!(camera["link"], "tcp");
    assert!(camera["frames"].as_u64().unwrap() > 0);
    assert!(camera["lost"].is_u64());
    let fingerprint = camera["fingerprint"].as_str().unwrap();
    assert!(fingerprint.starts_with("SHA256:"), "{fingerprint}");
    let keys = text(&system.sdvr(&["keys", "fingerprint"]).stdout);
    assert!(keys.contains(fingerprint), "{fingerprint} in {keys}");
    let for_people = text(&system.sdvr(&["ls"]).stdout);
    for word in ["picture", "live", "YUYV", "64x48", "tcp", fingerprint] {
        assert!(for_people.contains(word), "{word} in {for_people}");
    }
}

#[test]
fn watch_prints_as_many_lines_as_asked_for() {
    let system = System::with_daemon();
    let _client = system.start_client("measuring", MEASURING, &[]);
    system.wait_for_state("measuring", "live");
    let output = system.sdvr(&["watch", "measuring", "--json", "--count", "5"]);
    assert!(output.status.success(), "{output:?}");
    let lines: Vec<serde_json::Value> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 5);
    for pair in lines.windows(2) {
        let number = |line: &serde_json::Value| line["frame"].as_u64().unwrap();
        let missed = pair[1]["missed"].as_u64().unwrap();
        assert_eq!(number(&pair[1]), number(&pair[0]) + 1 + missed, "{pair:?}");
        assert_eq!(pair[1]["bytes"], 20_000);
        assert_eq!(pair[1]["key"], true);
        assert!(pair[0]["captured_ns"].as_i64() < pair[1]["captured_ns"].as_i64());
        // A frame is received after it was captured, as far as the clocks are known, and published after that.
        let times = ["received_us", "published_us"].map(|name| pair[1][name].as_i64().unwrap());
        assert!(times.is_sorted(), "{pair:?}");
    }
    let for_people = system.sdvr(&["watch", "measuring", "--count", "2"]);
    assert!(for_people.status.success(), "{for_people:?}");
    assert_eq!(text(&for_people.stdout).lines().count(), 2);
}

#[test]
fn one_name_is_used_once_on_a_host() {
    let system = System::with_daemon();
    let mut first = system.start_client("door", MEASURING, &[]);
    system.wait_for_state("door", "live");
    let second = system.client_command("door", MEASURING).output().unwrap();
    assert_eq!(second.status.code(), Some(2), "{second:?}");
    assert!(text(&second.stderr).contains("door"), "{second:?}");
    assert!(first.runs());

    let _unnamed = [0, 1].map(|_| start_unnamed(&system));
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    wait_until("both cameras without a name are live", || {
        system
            .list()
            .iter()
            .filter(|camera| camera["state"] == "live")
            .count()
            == 3
    });
    let labels: Vec<String> = system
        .list()
        .iter()
        .map(|camera| camera["label"].as_str().unwrap().to_owned())
        .filter(|label| label != "door")
        .collect();
    assert!(labels[0].starts_with("test-"), "{labels:?} on {host}");
    assert_eq!(labels[1], format!("{}-2", labels[0]));
}

fn start_unnamed(system: &System) -> Running {
    let mut command = system.command("sdvrc");
    let port = system.port().to_string();
    command.args(["-d", "127.0.0.1", "-p", &port, "-i", MEASURING]);
    system.start(&mut command, "unnamed")
}

#[test]
fn the_daemon_ends_cleanly() {
    let mut system = System::with_daemon();
    let mut client = system.start_client("measuring", MEASURING, &[]);
    system.wait_for_state("measuring", "live");
    assert_eq!(system.rings().len(), 1);
    let status = system.terminate_daemon();
    assert_eq!(status.code(), Some(0));
    assert_eq!(system.rings(), Vec::<std::path::PathBuf>::new());
    assert!(client.runs(), "{}", client.log());
}

#[test]
fn a_client_ends_cleanly_and_its_ring_goes() {
    let system = System::with_daemon();
    for signal in [Signal::TERM, Signal::INT] {
        let mut client = system.start_client("measuring", MEASURING, &[]);
        system.wait_for_state("measuring", "live");
        client.signal(signal);
        assert_eq!(client.wait().code(), Some(0), "{}", client.log());
        wait_until("its ring is gone", || system.rings().is_empty());
        assert!(system.list().is_empty());
    }
}

#[test]
fn a_client_without_a_server_ends_when_told_to() {
    let system = System::new();
    let mut client = system.start_client("measuring", MEASURING, &[]);
    wait_until("it has looked for the server", || {
        client.log().contains("trying again")
    });
    assert_eq!(client.terminate().code(), Some(0), "{}", client.log());
}

#[test]
fn ten_lines_of_rust_read_a_camera() {
    let system = System::new();
    let directory = system.shm();
    let mut camera = Camera::wait_for_in(&directory, "measuring");
    assert_eq!(camera.state(), StreamState::Lost);
    assert!(
        camera
            .next(Policy::Latest, Duration::ZERO)
            .unwrap()
            .is_none()
    );

    let mut system = system;
    system.start_daemon(&[]);
    let _client = system.start_client("measuring", MEASURING, &[]);
    for frame in camera.frames(Policy::Every).take(10) {
        let frame = frame.unwrap();
        let header = bench_frame::check(frame.bytes()).unwrap();
        assert_eq!(header.sequence, frame.number());
    }
    assert_eq!(camera.state(), StreamState::Live);
    assert_eq!(camera.label(), "measuring");
}

#[test]
fn every_policy_keeps_its_promise() {
    let system = System::with_daemon();
    let _client = system.start_client("measuring", SLOW, &[]);
    let pause = Duration::from_millis(900);
    for policy in [Policy::Every, Policy::Latest, Policy::KeyFrames] {
        let mut camera = Camera::wait_for_in(&system.shm(), "measuring");
        let mut counter = Counter::default();
        counter.take(&next_frame_of(&mut camera, policy));
        std::thread::sleep(pause);
        // Some four frames have come meanwhile, and all are still there.
        for _ in 0..3 {
            counter.take(&next_frame_of(&mut camera, policy));
        }
        if policy == Policy::Every {
            // Only what was never captured.
            let lost = system.list()[0]["lost"].as_u64().unwrap();
            assert!(
                counter.missed.len() as u64 <= lost,
                "{counter:?}, {lost} lost"
            );
        } else {
            assert!(
                !counter.missed.is_empty(),
                "what was slept through is skipped"
            );
        }
    }
}

#[test]
fn a_frame_can_be_read_where_it_lies() {
    let system = System::with_daemon();
    let _client = system.start_client("measuring", MEASURING, &[]);
    let mut camera = Camera::wait_for_in(&system.shm(), "measuring");
    for _ in 0..10 {
        let seen = camera
            .next_in_place(Policy::Every, PATIENCE, |meta, words| {
                let bytes: Vec<u8> = words.iter().flat_map(u64::to_ne_bytes).collect();
                (meta.number, bytes, words.len())
            })
            .unwrap();
        let (meta, (number, mut bytes, length)) = seen.unwrap();
        assert_eq!((meta.number, length), (number, 20_000));
        bytes.truncate(length);
        assert_eq!(bench_frame::check(&bytes).unwrap().sequence, number);
    }
}

#[test]
fn a_consumer_outlives_the_daemon_and_knows_exactly_what_it_missed() {
    let mut system = System::with_daemon();
    let mut client = system.start_client("measuring", MEASURING, &[]);
    let mut camera = Camera::wait_for_in(&system.shm(), "measuring");
    let mut counter = Counter::default();
    for is_killed in [false, true] {
        for _ in 0..20 {
            counter.take(&next_frame(&mut camera));
        }
        if is_killed {
            system.kill_daemon();
        } else {
            assert!(system.terminate_daemon().success());
        }
        wait_until("the camera is lost", || {
            match camera.next(Policy::Every, Duration::from_millis(20)) {
                Ok(Some(frame)) => counter.take(&frame),
                Ok(None) => {}
                Err(error) => panic!("{error}"),
            }
            camera.state() == StreamState::Lost
        });
        assert!(system.list().iter().all(|camera| camera["state"] != "live"));
        system.start_daemon(&[]);
        // The first frame after it may be one that lay in the old ring; the ones after the gap come for certain.
        let restart = counter.seen.len();
        while counter.seen.len() < restart + 20 {
            counter.take(&next_frame(&mut camera));
        }
    }
    assert!(
        !counter.missed.is_empty(),
        "nothing was lost while nobody was there"
    );
    assert!(client.runs(), "{}", client.log());
}

/// Frames of one run of a source, seen and missed, without a hole and without an overlap.
#[derive(Debug, Default)]
struct Counter {
    instance: Option<sdvr::InstanceId>,
    seen: BTreeSet<u64>,
    missed: BTreeSet<u64>,
}

impl Counter {
    #[track_caller]
    fn take(&mut self, frame: &Frame) {
        let header = bench_frame::check(frame.bytes()).expect("the frame is whole");
        assert_eq!(header.sequence, frame.number());
        assert_eq!(
            *self.instance.get_or_insert_with(|| frame.instance()),
            frame.instance()
        );
        let missed = frame.missed_numbers();
        assert_eq!(frame.missed(), missed.end - missed.start);
        if let Some(last) = self.seen.last() {
            assert_eq!(missed, last + 1..frame.number().0);
        } else {
            assert!(missed.is_empty());
        }
        self.missed.extend(missed);
        assert!(self.seen.insert(frame.number().0));
    }
}

#[track_caller]
fn next_frame(camera: &mut Camera) -> Frame {
    next_frame_of(camera, Policy::Every)
}

#[track_caller]
fn next_frame_of(camera: &mut Camera, policy: Policy) -> Frame {
    let start = Instant::now();
    match camera.next(policy, PATIENCE) {
        Ok(Some(frame)) => frame,
        Ok(None) => panic!(
            "no frame in {:?}; the camera is {}",
            start.elapsed(),
            camera.state()
        ),
        Err(Error::Ended) => panic!("the camera has not ended"),
        Err(error) => panic!("{error}"),
    }
}
