//! `sdvr web`: what its pages, scripts and strangers get.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use sdvr::{
    FourCc, FrameFlags, FrameRate, PublishOptions, Published, Publisher, StreamFormat, StreamKind,
};
use sdvr_tests::web::{Page, PageFrame, Said, Web};
use sdvr_tests::{System, text, wait_until};
use serde_json::{Value, json};

/// How many frames of a stream without a rate are under way to a page at most.
const WINDOW: u64 = 30;
/// A key frame each so many.
const GROUP: u64 = 50;

/// A stream that looks like H.264 from outside, of which a test says when each frame comes.
struct Stream {
    publisher: Publisher,
    count: u64,
}

impl Stream {
    fn new(system: &System, label: &str) -> Self {
        let options = PublishOptions {
            frames: Some(1000),
            frame_most_bytes: Some(4096),
            kind: StreamKind::Video,
            ..PublishOptions::new(StreamFormat {
                fourcc: FourCc::H264,
                width: 640,
                height: 480,
                rate: FrameRate::UNPACED,
            })
        };
        Self {
            publisher: Publisher::create_in(&system.shm(), label, options).unwrap(),
            count: 0,
        }
    }

    /// The bytes of a frame: of a key frame, with its parameter set.
    fn bytes(number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        if number.is_multiple_of(GROUP) {
            bytes.extend([0, 0, 0, 1, 0x67, 0x64, 0x00, 0x1f, 0xac, 0, 0, 1, 0x65]);
        } else {
            bytes.extend([0, 0, 0, 1, 0x41]);
        }
        bytes.extend(format!("frame {number}").bytes());
        bytes
    }

    fn publish(&mut self) {
        let number = self.count;
        let is_key = number.is_multiple_of(GROUP);
        let about = Published {
            flags: Some(if is_key {
                FrameFlags::KEY
            } else {
                FrameFlags::NONE
            }),
            ..Published::now()
        };
        self.publisher
            .publish(&Self::bytes(number), &about)
            .unwrap();
        self.count += 1;
    }
}

#[track_caller]
fn is_frame(frame: &PageFrame, number: u64) {
    assert_eq!(
        (frame.number, &frame.payload),
        (number, &Stream::bytes(number))
    );
    assert_eq!(frame.is_key, number.is_multiple_of(GROUP));
}

#[test]
fn frames_are_those_of_the_ring_and_whoever_comes_later_begins_at_the_newest_key_frame() {
    let system = System::new();
    let mut stream = Stream::new(&system, "door/copy");
    let web = Web::start(&system);
    let mut page = web.open_page();
    page.watch("door/copy", &["vp9", "h264", "jpeg"]);
    for number in 0..120 {
        stream.publish();
        let frame = page.frame();
        is_frame(&frame, number);
        page.show(&frame);
    }
    let about = page
        .messages
        .iter()
        .find(|it| it["type"] == "stream")
        .unwrap();
    assert_eq!(
        (
            &about["kind"],
            &about["codec"],
            &about["width"],
            &about["height"]
        ),
        (
            &json!("h264"),
            &json!("avc1.64001f"),
            &json!(640),
            &json!(480)
        )
    );
    let mut late = web.open_page();
    late.watch("door/copy", &["h264"]);
    for number in 100..120 {
        is_frame(&late.frame(), number);
    }
}

#[test]
fn a_camera_is_read_once_for_all_pages_and_not_at_all_for_none() {
    let system = System::new();
    let mut stream = Stream::new(&system, "door/copy");
    let web = Web::start(&system);
    let mut pages: Vec<Page> = (0..5).map(|_| web.open_page()).collect();
    stream.publish();
    for page in &mut pages {
        page.number_of("door/copy");
    }
    let figure = |name: &str| web.figure(&format!("sdvr_web_{name}"));
    assert_eq!((figure("readers"), figure("frames_packed_total")), (0, 0));
    let mut watching: Vec<(Page, u32)> = Vec::new();
    for _ in 0..5 {
        let mut page = web.open_page();
        let camera = page.watch("door/copy", &["h264"]);
        is_frame(&page.frame(), 0);
        watching.push((page, camera));
    }
    for number in 1..20 {
        stream.publish();
        for (page, _) in &mut watching {
            is_frame(&page.frame(), number);
        }
    }
    assert_eq!(
        (
            figure("readers"),
            figure("frames_packed_total"),
            figure("frames_sent_total")
        ),
        (1, 20, 100)
    );
    assert_eq!((figure("sockets"), figure("frames_skipped_total")), (10, 0));
    for (page, camera) in &mut watching {
        page.say(&json!({"type": "unwatch", "camera": camera}));
    }
    wait_until("the reader ends", || figure("readers") == 0);
    let (page, _) = watching.first_mut().unwrap();
    assert!(page.is_served());
}

#[test]
fn a_page_that_shows_nothing_delays_no_other_and_goes_on_at_the_newest_key_frame() {
    let system = System::new();
    let mut stream = Stream::new(&system, "door/copy");
    let web = Web::start(&system);
    let (mut slow, mut quick) = (web.open_page(), web.open_page());
    slow.watch("door/copy", &["h264"]);
    quick.watch("door/copy", &["h264"]);
    // Nothing is ever read of its socket.
    let mut deaf = web.open_page();
    deaf.watch("door/copy", &["h264"]);
    for number in 0..3 * GROUP + 10 {
        stream.publish();
        let frame = quick.frame();
        is_frame(&frame, number);
        quick.show(&frame);
    }
    let mut last = None;
    for number in 0..WINDOW {
        let frame = slow.frame();
        is_frame(&frame, number);
        last = Some(frame);
    }
    // All of them, and no more, are under way.
    assert!(slow.is_served());
    slow.show(&last.unwrap());
    is_frame(&slow.frame(), 3 * GROUP);
}

#[test]
fn who_breaks_the_protocol_ends_that_socket_only() {
    let system = System::new();
    let mut stream = Stream::new(&system, "door/copy");
    stream.publish();
    let web = Web::start(&system);
    let mut witness = web.open_page();
    witness.watch("door/copy", &["h264"]);
    is_frame(&witness.frame(), 0);
    let check = |what: &str, first: u8, payload: &[u8]| {
        let mut page = web.open_page();
        page.send_raw(first, payload);
        let end = page.end();
        assert!(
            matches!(end, Said::Close(1002 | 1007 | 1009) | Said::Gone),
            "{what}: {end:?}"
        );
    };
    check("no JSON", 0x81, b"watch");
    check("no object", 0x81, b"[1,2]");
    check("unknown type", 0x81, br#"{"type":"format"}"#);
    check(
        "no such camera",
        0x81,
        br#"{"type":"watch","camera":4000000000,"kinds":["h264"]}"#,
    );
    check(
        "negative",
        0x81,
        br#"{"type":"watch","camera":-1,"kinds":["h264"]}"#,
    );
    check("no kinds", 0x81, br#"{"type":"watch","camera":0}"#);
    check("too large", 0x81, &vec![b' '; 70_000]);
    check("not UTF-8", 0x81, &[0xff, 0xfe]);
    check("binary", 0x82, b"{}");
    check("a part without a beginning", 0x80, b"{}");
    check("reserved bits", 0xf1, b"{}");
    check("reserved kind", 0x83, b"{}");
    check("a close that is too short", 0x88, &[1]);
    check("a long ping", 0x89, &[0; 200]);
    check("deep", 0x81, "[".repeat(60_000).as_bytes());
    // Parts of a message are no offence, if they make one.
    let mut page = web.open_page();
    page.send_raw(0x01, br#"{"type":"pi"#);
    page.send_raw(0x80, br#"ng","sent":7.5}"#);
    assert!(page.wait_for(|message| (message["type"] == "pong").then_some(true)));
    // Frames that nobody has sent were not shown; a camera that is not watched can be left.
    page.say(&json!({"type": "shown", "frames": [[0, 1, 99], [7, 7, 7]], "more": true}));
    page.say(&json!({"type": "unwatch", "camera": 0}));
    assert!(page.is_served());
    stream.publish();
    is_frame(&witness.frame(), 1);
}

#[test]
fn pages_and_names_from_elsewhere_are_refused() {
    let system = System::new();
    let web = Web::start(&system);
    let port = web.address.port();
    let here = format!("127.0.0.1:{port}");
    let open = |host: &str, origin: &str| {
        Page::open(web.connect(), host, origin).map_err(|answer| answer.status)
    };
    assert!(open(&here, &format!("http://{here}")).is_ok());
    assert!(
        open(
            &format!("localhost:{port}"),
            &format!("http://localhost:{port}")
        )
        .is_ok()
    );
    for origin in ["http://evil.example", "http://127.0.0.1", "null"] {
        assert_eq!(open(&here, origin).unwrap_err(), 403, "{origin}");
    }
    let rebound = format!("evil.example:{port}");
    assert_eq!(
        open(&rebound, &format!("http://{rebound}")).unwrap_err(),
        421
    );
    for path in ["/", "/api/cameras", "/metrics", "/snapshot/door.jpg"] {
        assert_eq!(web.ask(path, &[("host", &rebound)]).status, 421, "{path}");
    }
}

#[test]
fn nothing_is_served_but_the_page_s_own_files_and_that_strictly() {
    let system = System::new();
    let web = Web::start(&system);
    let page = web.get("/");
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';"),
        "{policy}"
    );
    assert!(
        !policy.contains("unsafe") && !policy.contains("http"),
        "{policy}"
    );
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("access-control-allow-origin", ""),
    ] {
        assert_eq!(page.header(name), value, "{name}");
    }
    for path in [
        "/../Cargo.toml",
        "/..%2fCargo.toml",
        "/%2e%2e/Cargo.toml",
        "/%2e%2e%2fCargo.toml",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/..\\Cargo.toml",
        "/index.html%00.js",
        "/./index.html",
        "/index.html/",
        "/snapshot/../../../etc/passwd.jpg",
        "/snapshot/%2e%2e%2f%2e%2e%2fetc%2fpasswd.jpg",
        "/snapshot/.jpg",
        "/snapshot/door.png",
        "/snapshot/%00.jpg",
        "/stream/%2e%2e.mjpg",
        "/snapshot/door.jpg?directory=/etc",
    ] {
        let answer = web.get(path);
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        assert!(!answer.header("content-security-policy").is_empty());
    }
    for path in ["/%ff", "/snapshot/%ff.jpg"] {
        assert_eq!(web.get(path).status, 400, "{path}");
    }
}

#[test]
fn scripts_get_cameras_pictures_and_figures() {
    let system = System::with_daemon();
    let _camera = system.start_client("door", "test:?format=MJPG&size=64x48&fps=20", &[]);
    let _raw = system.start_client("yard", "test:?format=YUYV&size=64x48&fps=20", &[]);
    let web = Web::start(&system);
    for label in ["door", "yard"] {
        system.wait_for_state(label, "live");
    }
    let cameras: Vec<Value> = serde_json::from_slice(&web.get("/api/cameras").body).unwrap();
    let listed = system.list();
    for (camera, row) in cameras.iter().zip(&listed) {
        for (name, value) in row.as_object().unwrap() {
            let is_figure = ["fps", "frames", "bytes", "age_s"].contains(&name.as_str());
            assert!(
                is_figure || camera[name] == *value,
                "{name}: {camera} and {row}"
            );
            assert!(
                !camera[name].is_null() || value.is_null(),
                "{name}: {camera} and {row}"
            );
        }
    }
    assert_eq!(cameras.len(), 2);
    let fingerprint = cameras[0]["fingerprint"]
        .as_str()
        .unwrap()
        .replace('+', "%2B");
    for name in ["door", "yard", &fingerprint] {
        let picture = web.get(&format!("/snapshot/{name}.jpg"));
        assert_eq!(
            picture.status,
            200,
            "{}",
            String::from_utf8_lossy(&picture.body)
        );
        assert_eq!(picture.header("content-type"), "image/jpeg");
        assert_eq!(picture.header("cache-control"), "no-store");
        assert_eq!(probed(&["-f", "jpeg_pipe"], &picture.body), "64x48 1");
    }
    let unknown = web.get("/snapshot/attic.jpg");
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("door, yard"), "{}", unknown.text());
    let figures = web.get("/metrics").text();
    assert!(
        figures.contains("\nsdvr_camera_live{label=\"door\",stream=\"0\","),
        "{figures}"
    );
    assert!(
        figures.contains("\nsdvr_daemon_cameras_connected{"),
        "{figures}"
    );
    assert!(figures.contains("\nsdvr_daemon_frames_total{"), "{figures}");
}

#[test]
fn pictures_for_ever_end_when_nobody_takes_them() {
    let system = System::with_daemon();
    let _camera = system.start_client("door", "test:?format=YUYV&size=64x48&fps=20", &[]);
    system.wait_for_state("door", "live");
    let web = Web::start(&system);
    let mut stream = web.connect();
    let request = format!(
        "GET /stream/door.mjpg HTTP/1.1\r\nHost: {}\r\n\r\n",
        web.address
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut seen = Vec::new();
    while seen
        .windows(3)
        .filter(|three| three == b"\xff\xd8\xff")
        .count()
        < 5
    {
        let mut some = [0; 4096];
        let count = stream.read(&mut some).unwrap();
        assert!(count > 0, "it ended: {}", String::from_utf8_lossy(&seen));
        seen.extend(&some[..count]);
    }
    let said = String::from_utf8_lossy(&seen);
    assert!(
        said.contains("content-type: multipart/x-mixed-replace; boundary="),
        "{said}"
    );
    assert_eq!(web.figure("sdvr_web_readers"), 1);
    drop(stream);
    wait_until("the reader ends", || web.figure("sdvr_web_readers") == 0);
}

/// Size and number of pictures that another program finds in a file.
fn probed(format: &[&str], bytes: &[u8]) -> String {
    let mut command = Command::new("ffprobe");
    command
        .args(["-v", "error", "-count_frames", "-of", "csv=p=0:s=x"])
        .args(["-show_entries", "stream=width,height,nb_read_frames"])
        .args(format)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut probe = command
        .spawn()
        .expect("ffprobe is there; `cargo xtask test` installs it");
    let _ = probe.stdin.take().unwrap().write_all(bytes);
    let output = probe.wait_with_output().unwrap();
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let (size, count) = said.trim().rsplit_once('x').unwrap();
    format!("{size} {count}")
}

#[test]
fn fragments_are_a_file_that_other_programs_play() {
    let system = System::with_daemon();
    let footage = sdvr_tests::footage::clip("h264", 100);
    let source = footage.to_str().unwrap();
    let _camera = system.start_client("door", source, &["--loop", "-r", "30"]);
    system.wait_for_state("door", "live");
    let web = Web::start(&system);
    let mut page = web.open_page();
    page.watch("door", &["mp4"]);
    let mut file = Vec::new();
    for _ in 0..60 {
        let frame = page.frame();
        page.show(&frame);
        file.extend(frame.payload);
    }
    assert_eq!(probed(&["-f", "mp4"], &file), "768x576 60");
}

#[test]
fn the_page_is_told_when_a_camera_is_lost_and_shows_it_when_it_is_back() {
    let system = System::with_daemon();
    let mut camera = system.start_client("door", "test:?format=MJPG&size=64x48&fps=20", &[]);
    let web = Web::start(&system);
    let mut page = web.open_page();
    let number = page.watch("door", &["jpeg"]);
    let first = page.frame();
    page.show(&first);
    let is_in_state = |state: &'static str| {
        move |message: &Value| {
            let mut changed = message["changed"].as_array()?.iter();
            let is_it = |camera: &&Value| camera["label"] == "door" && camera["state"] == state;
            changed.find(is_it)?["camera"].as_u64()
        }
    };
    camera.kill();
    assert_eq!(page.wait_for(is_in_state("stale")), u64::from(number));
    let _camera = system.start_client("door", "test:?format=MJPG&size=64x48&fps=20", &[]);
    assert_eq!(page.wait_for(is_in_state("live")), u64::from(number));
    let mut frame = page.frame();
    while frame.epoch == first.epoch {
        page.show(&frame);
        frame = page.frame();
    }
    assert_eq!(frame.camera, number);
}

#[test]
fn a_thousand_idle_pages_cost_less_than_a_hundred_mebibytes() {
    let system = System::new();
    let mut stream = Stream::new(&system, "door/copy");
    stream.publish();
    let web = Web::start(&system);
    let pages: Vec<Page> = (0..1000).map(|_| web.open_page()).collect();
    assert_eq!(web.figure("sdvr_web_sockets"), 1000);
    let status = std::fs::read_to_string(format!("/proc/{}/status", web.program.id())).unwrap();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kibibytes: u64 = resident.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kibibytes < 100 << 10, "{kibibytes} KiB");
    drop(pages);
    wait_until("they are gone", || web.figure("sdvr_web_sockets") == 0);
}

#[test]
fn a_signal_ends_it_with_pages_open() {
    let system = System::new();
    let mut stream = Stream::new(&system, "door/copy");
    stream.publish();
    for signal in [Signal::INT, Signal::TERM] {
        let mut web = Web::start(&system);
        let mut page = web.open_page();
        page.watch("door/copy", &["h264"]);
        is_frame(&page.frame(), 0);
        web.program.signal(signal);
        assert!(web.program.wait().success(), "{}", web.program.log());
        assert_eq!(page.end(), Said::Close(1001));
    }
}

#[test]
fn what_cannot_be_started_is_told_with_what_to_do() {
    let system = System::new();
    let web = Web::start(&system);
    let fails = |arguments: &[&str], words: &str| {
        let output = system.sdvr(&[&["web"], arguments].concat());
        assert!(!output.status.success());
        let said = text(&output.stderr);
        assert!(said.contains(words), "{words} in {said}");
    };
    fails(
        &["--listen", &web.address.to_string()],
        "--listen chooses another port",
    );
    fails(&["--listen", "192.0.2.1:0"], "has no such address");
    fails(&["--token", "short"], "a token has 16 to 256 characters");
    fails(
        &["--token-file", "/nowhere"],
        "cannot read the token in /nowhere",
    );
    fails(&["--listen", "here"], "--listen");
}
