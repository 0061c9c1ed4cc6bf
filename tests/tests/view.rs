//! `sdvr view` on a screen: what is seen is what the camera sent, keys and clicks do what they say, and no camera ends it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::path::PathBuf;
use std::process::{Command, Stdio};

use sdvr::{FourCc, FrameRate, PublishOptions, Published, Publisher, StreamFormat};
use sdvr_tests::screen::{ESCAPE, SIZE, Screen};
use sdvr_tests::view::{Pattern, View, WHITE, is_near};
use sdvr_tests::{Running, System, wait_until};

const SMALL: Pattern = Pattern {
    width: 320,
    height: 240,
};

fn key(letter: char) -> u32 {
    letter.into()
}

#[test]
fn every_pixel_is_the_camera_s_and_keys_do_what_they_say() {
    let screen = Screen::start();
    let system = System::with_daemon();
    let _camera = system.start_client("door", &SMALL.source(10), &[]);
    let view = View::start(&system, &screen, &[]);
    let window = screen.wait_for_windows(&["door - sdvr"])[0];
    let number = || SMALL.number(&screen.shot((320, 240)));
    screen.wait_until("a picture is seen", || number().is_some());
    assert_eq!(SMALL.seen(&screen), None, "the overlay is on it");

    screen.press(window, key('o'));
    screen.wait_until("all of it is seen", || SMALL.seen(&screen).is_some());
    let first = SMALL.seen(&screen).or_else(|| SMALL.seen(&screen)).unwrap();
    screen.wait_until("it moves", || {
        SMALL.seen(&screen).is_some_and(|seen| seen > first)
    });
    screen.press(window, key('o'));
    screen.wait_until("the overlay is back", || {
        SMALL.number(&screen.shot((320, 240))).is_some() && SMALL.seen(&screen).is_none()
    });

    screen.press(window, key('s'));
    let mut saved = None;
    screen.wait_until("a picture is saved", || {
        saved = view
            .running
            .log()
            .lines()
            .find_map(|line| Some(PathBuf::from(line.strip_prefix("sdvr: saved ")?)));
        saved.is_some()
    });
    let saved = saved.unwrap();
    assert_eq!(saved.parent(), Some(system.home()));
    let name = saved.file_name().unwrap().to_str().unwrap();
    assert!(
        name.starts_with("door-20") && name.ends_with("Z.png"),
        "{name}"
    );
    assert!(
        std::fs::read(&saved)
            .unwrap()
            .starts_with(b"\x89PNG\r\n\x1a\n")
    );

    screen.press(window, key('f'));
    screen.wait_until("it fills the screen", || {
        screen.place(window) == (0, 0, SIZE.0, SIZE.1)
    });
    // 4 to 3 on 5 to 4: black above and below, where no overlay is.
    screen.wait_until("proportions are kept", || {
        let shot = screen.shot(SIZE);
        let is_black = |y: usize| (640..1280).all(|x| shot.at(x, y) == 0);
        is_black(0) && is_black(31) && is_black(1023) && !is_black(32) && !is_black(990)
    });
    screen.press(window, ESCAPE);
    screen.wait_until("it is small again", || screen.place(window).2 == 320);

    screen.press(window, key('q'));
    view.assert_ends_well();
}

#[test]
fn closing_one_of_two_windows_leaves_the_other_and_closing_that_ends_it() {
    let screen = Screen::start();
    let system = System::with_daemon();
    let _front = system.start_client("front", &SMALL.source(10), &[]);
    let _back = system.start_client("back", &SMALL.source(10), &[]);
    let view = View::start(&system, &screen, &[]);
    let windows = screen.wait_for_windows(&["back - sdvr", "front - sdvr"]);
    screen.ask_to_close(windows[0]);
    let left = screen.wait_for_windows(&["front - sdvr"]);
    assert_eq!(left, windows[1..]);
    let before = view.shown("front");
    screen.wait_until("it is shown on", || view.shown("front") > before);
    screen.ask_to_close(left[0]);
    view.assert_ends_well();
}

#[test]
fn a_camera_that_was_killed_grows_dark_and_comes_back_by_itself() {
    let screen = Screen::start();
    let system = System::with_daemon();
    let mut camera = system.start_client("door", &SMALL.source(10), &[]);
    let view = View::start(&system, &screen, &["door"]);
    let window = screen.wait_for_windows(&["door - sdvr"])[0];
    screen.wait_until("a picture is seen", || {
        SMALL.number(&screen.shot((320, 240))).is_some()
    });
    screen.press(window, key('o'));
    screen.wait_until("all of it is seen", || SMALL.seen(&screen).is_some());
    camera.kill();
    screen.wait_until("the picture is dark", || {
        let shot = screen.shot((320, 240));
        // The white square's rows, and bars of 75 %, which are halved.
        let brightest = shot.pixels[..320 * 40].iter().max().copied().unwrap();
        is_near(brightest, 0x005f_5f5f) && shot.at(160, 120) != 0
    });
    let _camera = system.start_client("door", &SMALL.source(10), &[]);
    screen.wait_until("it is back", || SMALL.seen(&screen).is_some());
    screen.press(window, key('q'));
    view.assert_ends_well();
}

#[test]
fn five_cameras_share_a_window_and_a_click_enlarges_one() {
    let screen = Screen::start();
    let system = System::with_daemon();
    let labels = ["c1", "c2", "c3", "c4", "c5", "c6"];
    let mut cameras: Vec<Running> = labels[..4]
        .iter()
        .map(|label| system.start_client(label, &SMALL.source(5), &[]))
        .collect();
    let view = View::start(&system, &screen, &[]);
    screen.wait_for_windows(&["c1 - sdvr", "c2 - sdvr", "c3 - sdvr", "c4 - sdvr"]);
    cameras.extend(
        labels[4..]
            .iter()
            .map(|label| system.start_client(label, &SMALL.source(5), &[])),
    );
    let window = screen.wait_for_windows(&["sdvr"])[0];
    for label in labels {
        let before = view.shown(label);
        screen.wait_until(&format!("{label} is shown"), || view.shown(label) > before);
    }

    let (x, y, width, height) = screen.place(window);
    // The last one, in a mosaic of two or three columns.
    let inside = (
        x + i16::try_from(width - 20).unwrap(),
        y + i16::try_from(height - 20).unwrap(),
    );
    screen.click(inside);
    // Those that are not seen are not decoded.
    screen.wait_until("only the last one is shown", || {
        let shown = |label| {
            view.reports(label)
                .last()
                .map(|report| report["shown"].as_u64())
        };
        shown("c1") == Some(Some(0)) && shown("c5") == Some(Some(0)) && shown("c6") != Some(Some(0))
    });
    screen.press(window, ESCAPE);
    let before = view.shown("c1");
    screen.wait_until("all are shown again", || view.shown("c1") > before);

    // One that says that it ends leaves its place to the others.
    assert!(cameras.pop().unwrap().terminate().success());
    screen.wait_until("it is not there any more", || {
        let labels = view.labels();
        !labels.is_empty() && !labels.contains(&"c6".to_owned())
    });
    view.running.signal(rustix::process::Signal::INT);
    view.assert_ends_well();
}

#[test]
fn one_that_was_never_there_is_told_with_the_names_of_those_that_are() {
    let screen = Screen::start();
    let system = System::with_daemon();
    let _door = system.start_client("door", &SMALL.source(10), &[]);
    system.wait_for_state("door", "live");
    let view = View::start(&system, &screen, &["yard"]);
    screen.wait_for_windows(&["yard - sdvr"]);
    let said = "sdvr: there is no camera \"yard\" (there are: door); waiting for it";
    let is_said = || {
        view.running
            .log()
            .lines()
            .filter(|line| *line == said)
            .count()
    };
    wait_until("it is said", || is_said() == 1);
    let _yard = system.start_client("yard", &SMALL.source(10), &[]);
    screen.wait_until("its picture is seen", || {
        SMALL.number(&screen.shot((320, 240))).is_some()
    });
    assert_eq!(is_said(), 1);
    view.running.signal(rustix::process::Signal::TERM);
    view.assert_ends_well();
}

#[test]
fn a_format_without_pixels_is_no_damage() {
    let screen = Screen::start();
    let system = System::with_daemon();
    let _bench = system.start_client("bench", "test:?format=BNCH&bytes=1000&fps=50", &[]);
    let view = View::start(&system, &screen, &["bench"]);
    screen.wait_for_windows(&["bench - sdvr"]);
    wait_until("some time is reported", || view.reports("bench").len() >= 3);
    let reports = view.reports("bench");
    assert!(
        reports
            .iter()
            .all(|report| report["damaged"] == 0 && report["shown"] == 0),
        "{reports:?}"
    );
    view.running.signal(rustix::process::Signal::TERM);
    view.assert_ends_well();
}

#[test]
fn a_folder_that_takes_no_pictures_is_told_before_anything_is_shown() {
    let system = System::new();
    let file = system.home().join("file");
    std::fs::write(&file, "").unwrap();
    let missing = system.home().join("missing");
    for (folder, word) in [(&missing, "mkdir -p"), (&file, "is no folder")] {
        let output = system.sdvr(&["view", "--folder", folder.to_str().unwrap()]);
        let said = sdvr_tests::text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(word) && said.contains("--folder"), "{said}");
    }
}

#[test]
fn without_cameras_it_says_so_and_waits() {
    let screen = Screen::start();
    let system = System::with_daemon();
    let view = View::start(&system, &screen, &[]);
    screen.wait_for_windows(&["sdvr"]);
    screen.wait_until("something is written", || {
        let shot = screen.shot((960, 540));
        shot.pixels.contains(&WHITE)
    });
    let camera = system.start_client("door", &SMALL.source(10), &[]);
    // The same window, which takes the picture's size.
    let window = screen.wait_for_windows(&["door - sdvr"])[0];
    screen.wait_until("the picture is seen", || {
        screen.place(window).2 == 320 && SMALL.number(&screen.shot((320, 240))).is_some()
    });
    let mut camera = camera;
    assert!(camera.terminate().success());
    screen.wait_for_windows(&["sdvr"]);
    view.running.signal(rustix::process::Signal::TERM);
    view.assert_ends_well();
}

#[test]
fn a_hostile_stream_ends_nothing_but_itself() {
    let screen = Screen::start();
    let system = System::with_daemon();
    let _door = system.start_client("door", &SMALL.source(5), &[]);
    let format = |fourcc, width, height| StreamFormat {
        fourcc,
        width,
        height,
        rate: FrameRate::from_whole(10),
    };
    let options = PublishOptions::new(format(FourCc::GREY, 64, 64));
    let mut odd = Publisher::create_in(&system.shm(), "door/..odd", options.clone())
        .or_else(|_| Publisher::create_in(&system.shm(), "door/odd", options))
        .unwrap();
    let label = odd.label().to_string();
    let view = View::start(
        &system,
        &screen,
        &["--mosaic", "\u{1b}[31mhostile\u{7}", "door", &label],
    );
    let window = screen.wait_for_windows(&["sdvr"])[0];
    wait_until("the camera is shown", || view.shown("door") > 0);

    for (width, height) in [
        (1, 1),
        (3, 5),
        (1, 4000),
        (9000, 1),
        (7680, 4320),
        (641, 479),
    ] {
        odd.set_format(format(FourCc::GREY, width, height)).unwrap();
        let bytes = vec![200; (width * height) as usize];
        let before = view.shown(&label);
        wait_until(&format!("{width}x{height} is shown"), || {
            odd.publish(&bytes, &Published::now()).unwrap();
            view.shown(&label) > before
        });
    }
    let damaged = |view: &View| {
        let reports = view.reports(&label);
        reports
            .last()
            .map_or(0, |report| report["damaged"].as_u64().unwrap())
    };
    let strange: [(FourCc, u32, u32, &[u8]); 4] = [
        (FourCc::GREY, 64, 64, &[1, 2, 3]),
        (FourCc::MJPG, 640, 480, b"\xff\xd8 no picture \xff\xd9"),
        (FourCc::MJPG, 0, 0, b"\xff"),
        (FourCc::H264, 64, 64, &[0, 0, 0, 1, 0x65, 0xff, 0xff]),
    ];
    for (fourcc, width, height, bytes) in strange {
        odd.set_format(format(fourcc, width, height))
            .unwrap_or_default();
        let before = damaged(&view);
        wait_until(&format!("{fourcc} is found to be damaged"), || {
            odd.publish(bytes, &Published::now()).unwrap();
            damaged(&view) > before
        });
    }
    // No frame is to blame for its format.
    odd.set_format(format(FourCc(*b"\x1b[2J"), u32::MAX, u32::MAX))
        .unwrap_or_default();
    odd.publish(b"?", &Published::now()).unwrap();
    let before = view.shown("door");
    wait_until("the camera is shown on", || view.shown("door") > before);
    screen.press(window, key('q'));
    view.assert_ends_well();
}

#[test]
fn pictures_that_there_is_no_time_for_are_skipped_and_no_delay_grows() {
    let screen = Screen::start();
    let system = System::with_daemon();
    // More than any machine shows: some gigabytes a second.
    let format = StreamFormat {
        fourcc: FourCc::GREY,
        width: 7680,
        height: 4320,
        rate: FrameRate::from_whole(60),
    };
    let mut options = PublishOptions::new(format);
    options.frames = Some(3);
    let mut wall = Publisher::create_in(&system.shm(), "wall", options).unwrap();
    let view = View::start(&system, &screen, &["wall"]);
    screen.wait_for_windows(&["wall - sdvr"]);
    let bytes = vec![90; 7680 * 4320];
    let begin = std::time::Instant::now();
    let latencies = || -> Vec<f64> {
        let reports = view.reports("wall");
        let latencies = reports
            .iter()
            .map(|report| report["latency_p50_ms"].as_f64());
        latencies.flatten().collect()
    };
    let mut published = 0;
    while begin.elapsed().as_secs() < 6 || latencies().len() < 4 {
        assert!(
            begin.elapsed() < 2 * sdvr_tests::PATIENCE,
            "too few are shown"
        );
        wall.publish(&bytes, &Published::now()).unwrap();
        published += 1;
        // Publishing one takes milliseconds itself, and showing it many more.
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let elapsed_ms = begin.elapsed().as_secs_f64() * 1000.0;
    let shown = view.shown("wall");
    assert!(
        shown < published / 2,
        "{shown} of {published}: they are no burden"
    );
    // Were they shown one after the other, the last one would be older than half of the time.
    let latencies = latencies();
    assert!(
        latencies
            .last()
            .is_some_and(|last| *last < elapsed_ms / 2.0),
        "it lags: {latencies:?} after {elapsed_ms} ms and {published} pictures"
    );
    view.running.signal(rustix::process::Signal::TERM);
    view.assert_ends_well();
}

#[test]
fn without_a_screen_it_says_what_to_do() {
    let system = System::new();
    let output = system
        .command("sdvr")
        .arg("view")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("WAYLAND_SOCKET")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = sdvr_tests::text(&output.stderr);
    for word in ["there is no screen", "DISPLAY", "ssh -X", "sdvr web"] {
        assert!(said.contains(word), "{word} is not in {said}");
    }
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!said.contains(".)"), "{said}");
}

/// A Wayland compositor without a screen, in a folder of its own.
struct Compositor {
    running: Running,
    folder: PathBuf,
}

impl Compositor {
    fn start(system: &System) -> Self {
        let folder = system.home().join("wayland");
        std::fs::create_dir(&folder).unwrap();
        let mut command = Command::new("weston");
        command
            .args([
                "--backend=headless-backend.so",
                "--socket=test",
                "--idle-time=0",
                "--no-config",
            ])
            .args(["--width=1280", "--height=1024"])
            .env("XDG_RUNTIME_DIR", &folder)
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("DISPLAY")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let running = system.start(&mut command, "weston");
        let socket = folder.join("test");
        wait_until("the compositor is there (Debian package weston)", || {
            socket.exists()
        });
        Self { running, folder }
    }
}

#[test]
fn pictures_are_shown_by_wayland_too() {
    let system = System::with_daemon();
    let mut compositor = Compositor::start(&system);
    let _door = system.start_client("door", &SMALL.source(10), &[]);
    let mut command = system.command("sdvr");
    command
        .env("XDG_RUNTIME_DIR", &compositor.folder)
        .env("WAYLAND_DISPLAY", "test")
        .env_remove("DISPLAY");
    let view = View::start_by(&system, command, &[]);
    wait_until("pictures are shown", || view.shown("door") >= 10);
    let _yard = system.start_client("yard", &SMALL.source(10), &[]);
    wait_until("those of another one, too", || view.shown("yard") >= 10);
    view.running.signal(rustix::process::Signal::TERM);
    view.assert_ends_well();
    assert!(compositor.running.runs());
}
