//! `sdvr snapshot`: a picture that every program opens, or the old file and the reason.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use sdvr::{Camera, Policy};
use sdvr_frame::{
    FourCc, FrameFlags, FrameNumber, FrameRate, InstanceId, Label, Link, PublicKey, StreamFormat,
    StreamId, StreamKind, StreamState, Timestamp,
};
use sdvr_ring::{FrameMeta, RingDirectory, RingOptions, RingWriter};
use sdvr_tests::small_disk::SmallDisk;
use sdvr_tests::{PATIENCE, System, text, wait_until};

const PICTURES: &str = "test:?format=MJPG&size=64x48&fps=20";

fn snapshot(system: &System, camera: &str, file: &Path, more: &[&str]) -> Output {
    let file = file.to_str().unwrap();
    system.sdvr(&[&["snapshot", camera, file], more].concat())
}

#[track_caller]
fn fails(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = text(&output.stderr);
    for word in words {
        assert!(said.contains(word), "{word} in {said}");
    }
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

/// The picture of a JPEG file, decoded by another program.
fn decoded(file: &Path) -> Vec<u8> {
    let output = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-xerror", "-i"])
        .arg(file)
        .args(["-f", "rawvideo", "-pix_fmt", "yuv444p", "-"])
        .stdin(Stdio::null())
        .output()
        .expect("ffmpeg is there; `cargo xtask test` installs it");
    assert!(output.status.success(), "{}", text(&output.stderr));
    output.stdout
}

/// The segments before an image's picture, its Huffman tables apart: those, and all else.
fn divided(image: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut tables, mut others) = (Vec::new(), image[..2].to_vec());
    let mut at = 2;
    while image[at + 1] != 0xda {
        let length = usize::from(u16::from_be_bytes([image[at + 2], image[at + 3]]));
        let segment = &image[at..at + 2 + length];
        if segment[1] == 0xc4 {
            tables.extend_from_slice(&segment[4..]);
        } else {
            others.extend_from_slice(segment);
        }
        at += segment.len();
    }
    others.extend_from_slice(&image[at..]);
    (tables, others)
}

/// A picture of the test camera.
fn picture(system: &System) -> Vec<u8> {
    let file = system.home().join("picture.jpg");
    let _client = system.start_client("model", PICTURES, &[]);
    system.wait_for_state("model", "live");
    succeeds(&snapshot(system, "model", &file, &["--wait"]));
    fs::read(file).unwrap()
}

/// A camera of whatever frames, without a daemon.
struct Ring {
    writer: RingWriter,
    _rings: RingDirectory,
}

impl Ring {
    fn create(system: &System, fourcc: FourCc, rate: FrameRate) -> Self {
        let rings = RingDirectory::create(&system.shm(), None).unwrap();
        let options = RingOptions {
            camera: PublicKey([7; 32]),
            label: Label::from_lossy("odd"),
            stream: StreamId(0),
            kind: StreamKind::Video,
            instance: InstanceId([5; 16]),
            format: StreamFormat {
                fourcc,
                width: 64,
                height: 48,
                rate,
            },
            extradata: Vec::new(),
            link: Link::Tcp,
            slots: 8,
            data_bytes: 1 << 20,
        };
        Self {
            writer: RingWriter::create(&rings, options).unwrap(),
            _rings: rings,
        }
    }

    /// Publishes a frame that was captured so long ago.
    fn publish(&mut self, bytes: &[u8], age: Duration) {
        assert!(self.writer.begin(bytes.len() as u64) && self.writer.write(bytes));
        let now = Timestamp::now();
        assert!(self.writer.publish(&FrameMeta {
            number: FrameNumber(self.writer.published()),
            flags: FrameFlags::KEY,
            missed: 0,
            captured_at_source: now - age,
            captured: now - age,
            clock_error_ns: Some(0),
            received: now - age,
            published: now,
        }));
    }
}

#[test]
fn a_snapshot_is_a_picture_dated_by_its_capture() {
    let system = System::with_daemon();
    let _client = system.start_client("door", PICTURES, &[]);
    system.wait_for_state("door", "live");
    let file = system.home().join("now.jpg");
    let begin = SystemTime::now();
    let output = snapshot(&system, "door", &file, &["--wait"]);
    succeeds(&output);
    assert!(
        output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
    assert_eq!(decoded(&file).len(), 64 * 48 * 3);
    let is = fs::metadata(&file).unwrap();
    let modified = is.modified().unwrap();
    assert!(
        modified > begin - PATIENCE && modified <= SystemTime::now(),
        "{modified:?}"
    );

    let output = snapshot(&system, "door", &file, &["--json", "-v"]);
    succeeds(&output);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["file"], file.to_str().unwrap());
    assert_eq!(said["label"], "door");
    assert_eq!(said["bytes"], fs::read(&file).unwrap().len());
    assert_eq!((&said["width"], &said["height"]), (&64.into(), &48.into()));
    assert!(said["age_us"].as_u64().unwrap() < 20_000_000, "{said}");
    assert!(
        said["captured"].as_str().unwrap().starts_with("20"),
        "{said}"
    );
    assert!(text(&output.stderr).contains("of door"), "{output:?}");
}

#[test]
fn a_snapshot_goes_to_a_pipe_and_not_to_a_terminal() {
    let system = System::with_daemon();
    let _client = system.start_client("door", PICTURES, &[]);
    system.wait_for_state("door", "live");
    let output = system.sdvr(&["snapshot", "door", "-"]);
    succeeds(&output);
    assert!(output.stdout.starts_with(&[0xff, 0xd8]) && output.stdout.ends_with(&[0xff, 0xd9]));

    fails(
        &system.sdvr(&["snapshot", "door", "-", "--json"]),
        2,
        &["--json"],
    );
    let program = format!("{} snapshot door -", sdvr_tests::binary("sdvr").display());
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &program, "/dev/null"])
        .env("SDVR_SHM_DIR", system.shm())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stdout).contains("terminal"), "{output:?}");
}

#[test]
fn the_umask_says_who_may_see_the_picture() {
    let system = System::with_daemon();
    let _client = system.start_client("door", PICTURES, &[]);
    system.wait_for_state("door", "live");
    for (mask, mode) in [("022", 0o644), ("077", 0o600)] {
        let file = system.home().join(format!("{mask}.jpg"));
        let mut command = Command::new("sh");
        command
            .args(["-c", "umask \"$0\"; exec \"$@\"", mask])
            .arg(sdvr_tests::binary("sdvr"))
            .args(["snapshot", "door"])
            .arg(&file)
            .env("SDVR_SHM_DIR", system.shm());
        succeeds(&command.output().unwrap());
        assert_eq!(
            fs::metadata(file).unwrap().permissions().mode() & 0o7777,
            mode
        );
    }
}

#[test]
fn a_webcam_without_huffman_tables_makes_the_same_picture() {
    let system = System::with_daemon();
    let whole = picture(&system);
    let (tables, bare) = divided(&whole);
    assert_eq!(tables.len(), 416);
    assert!(bare.len() < whole.len());
    let reference = system.home().join("whole.jpg");
    fs::write(&reference, &whole).unwrap();

    // As webcams send them: without tables, padded.
    let stream = system.home().join("webcam.mjpeg");
    fs::write(&stream, [&bare[..], &[0; 100]].concat().repeat(3)).unwrap();
    let _client = system.start_client("webcam", stream.to_str().unwrap(), &["-r", "20", "--loop"]);
    system.wait_for_state("webcam", "live");
    let raw = Camera::wait_for_in(&system.shm(), "webcam").next(Policy::Latest, PATIENCE);
    assert!(
        divided(&without_padding(raw.unwrap().unwrap().bytes()))
            .0
            .is_empty()
    );
    let file = system.home().join("mended.jpg");
    succeeds(&snapshot(&system, "webcam", &file, &["--wait"]));
    let mended = fs::read(&file).unwrap();
    assert_eq!(mended.len(), bare.len() + 420);
    let sorted = |mut tables: Vec<u8>| {
        tables.sort_unstable();
        tables
    };
    let (added, rest) = divided(&mended);
    assert_eq!((sorted(added), rest), (sorted(tables), bare));
    assert_eq!(decoded(&file), decoded(&reference));
}

/// The frame from its image on.
fn without_padding(frame: &[u8]) -> Vec<u8> {
    let begin = frame
        .windows(2)
        .position(|pair| pair == [0xff, 0xd8])
        .unwrap();
    frame[begin..].to_vec()
}

#[test]
fn what_is_no_image_is_decoded() {
    let system = System::with_daemon();
    for (fourcc, colours) in [("YUYV", "rgb24"), ("NV12", "rgb24"), ("GREY", "gray")] {
        let source = format!("test:?format={fourcc}&size=66x50&fps=20");
        let _client = system.start_client(fourcc, &source, &[]);
        system.wait_for_state(fourcc, "live");
        for end in ["jpg", "png"] {
            let file = system.home().join(format!("{fourcc}.{end}"));
            succeeds(&snapshot(&system, fourcc, &file, &["--wait"]));
            assert_eq!(decoded(&file).len(), 66 * 50 * 3, "{fourcc} {end}");
        }
        let png = probed(&system.home().join(format!("{fourcc}.png")));
        assert!(png.contains(&format!("png,66,50,{colours}")), "{png}");
    }
}

/// What ffprobe says of an image.
fn probed(file: &Path) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0", "-show_entries"])
        .arg("stream=codec_name,width,height,pix_fmt")
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

#[test]
fn a_png_file_has_the_pixels_and_the_time_of_the_image() {
    let system = System::with_daemon();
    // One picture for ever.
    let images = system.home().join("one.mjpeg");
    fs::write(&images, picture(&system).repeat(3)).unwrap();
    let _client = system.start_client("still", images.to_str().unwrap(), &["-r", "20", "--loop"]);
    system.wait_for_state("still", "live");
    let [jpeg, png] = ["a.jpg", "a.png"].map(|name| system.home().join(name));
    succeeds(&snapshot(&system, "still", &jpeg, &["--wait"]));
    let output = snapshot(&system, "still", &png, &["--wait", "--json"]);
    succeeds(&output);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let file = fs::read(&png).unwrap();
    assert_eq!(said["bytes"], file.len());
    assert_eq!((&said["width"], &said["height"]), (&64.into(), &48.into()));
    let date = format!("tEXtCreation Time\0{}", said["captured"].as_str().unwrap());
    let has_date = file
        .windows(date.len())
        .any(|bytes| bytes == date.as_bytes());
    assert!(has_date, "{date}");
    // Two decoders round and interpolate colour differently.
    let (one, other) = (decoded(&jpeg), decoded(&png));
    assert_eq!(one.len(), other.len());
    let differences = one
        .iter()
        .zip(&other)
        .map(|(a, b)| u64::from(a.abs_diff(*b)));
    assert!(differences.sum::<u64>() < 6 * one.len() as u64);
}

#[test]
fn of_inter_coded_video_it_is_the_newest_frame_that_is_there() {
    let system = System::with_daemon();
    // A key frame at the beginning only.
    let video = sdvr_tests::footage::clip("h264", 20);
    let source = video.to_str().unwrap();
    let mut client = system.start_client("door", source, &["-r", "20"]);
    system.wait_for_state("door", "live");
    wait_until("all frames have come", || {
        system.list().iter().any(|camera| camera["frames"] == 20) || !client.runs()
    });
    let file = system.home().join("now.png");
    let output = snapshot(&system, "door", &file, &["--stale-ok", "--json"]);
    succeeds(&output);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // Those that a decoder holds back for others that come are not there.
    assert!(said["frame"].as_u64().unwrap() >= 10, "{said}");
    assert_eq!(decoded(&file).len(), 768 * 576 * 3);
}

#[test]
fn frames_without_pixels_are_wrong_usage_and_touch_nothing() {
    let system = System::with_daemon();
    let _client = system.start_client("measuring", "test:?format=BNCH&bytes=2000&fps=20", &[]);
    system.wait_for_state("measuring", "live");
    for name in ["now.jpg", "now.png"] {
        let file = system.home().join(name);
        fails(
            &snapshot(&system, "measuring", &file, &[]),
            2,
            &["measuring sends BNCH", "have no pixels"],
        );
        assert!(!file.exists());
    }
}

#[test]
fn wrong_names_are_wrong_usage_and_touch_nothing() {
    let system = System::new();
    for name in ["now.gif", "now", "now.jpg.gz"] {
        let file = system.home().join(name);
        fails(
            &snapshot(&system, "door", &file, &[]),
            2,
            &[".jpg or .jpeg"],
        );
        assert!(!file.exists());
    }
    let file = system.home().join("now.jpg");
    fails(
        &snapshot(&system, "door", &file, &[]),
        1,
        &["door", "there are none"],
    );
    assert!(!file.exists());
}

#[test]
fn a_camera_that_is_not_there_yet_is_waited_for() {
    let system = System::with_daemon();
    let file = system.home().join("first.jpg");
    let output = snapshot(&system, "door", &file, &["--wait", "--timeout", "0.5"]);
    fails(&output, 1, &["no frame of door came in 0.5 s", "lost"]);
    assert!(!file.exists());

    let mut command = system.command("sdvr");
    command.args(["snapshot", "door", file.to_str().unwrap(), "--wait"]);
    let mut waiting = system.start(&mut command, "snapshot");
    let _client = system.start_client("door", PICTURES, &[]);
    assert!(waiting.wait().success(), "{}", waiting.log());
    assert_eq!(decoded(&file).len(), 64 * 48 * 3);
}

#[test]
fn a_stale_picture_is_taken_only_when_that_is_wanted() {
    let system = System::new();
    let image = picture_without_daemon();
    let file = system.home().join("old.jpg");
    let mut ring = Ring::create(&system, FourCc::MJPG, FrameRate::from_whole(30));
    ring.publish(&image, Duration::from_secs(60));
    let output = snapshot(&system, "odd", &file, &["--timeout", "0.3"]);
    fails(
        &output,
        1,
        &["the camera is live", "60 s old", "--stale-ok"],
    );
    assert!(!file.exists());
    succeeds(&snapshot(
        &system,
        "odd",
        &file,
        &["--stale-ok", "--timeout", "0"],
    ));
    assert_eq!(fs::read(&file).unwrap(), image);

    // A camera of one frame an hour is in time, while it is there.
    drop(ring);
    let hourly = FrameRate::new(1, 3600).unwrap();
    let mut ring = Ring::create(&system, FourCc::MJPG, hourly);
    ring.publish(&image, Duration::from_secs(60));
    succeeds(&snapshot(&system, "odd", &file, &["--timeout", "0"]));
    ring.writer.set_state(StreamState::Stale);
    let output = snapshot(&system, "odd", &file, &["--timeout", "0.3"]);
    fails(&output, 1, &["the camera is stale", "60 s old"]);
}

/// A picture of the test camera of a system of its own.
fn picture_without_daemon() -> Vec<u8> {
    picture(&System::with_daemon())
}

#[test]
fn damaged_frames_are_passed_over() {
    let system = System::new();
    let image = picture_without_daemon();
    let file = system.home().join("good.jpg");
    fs::write(&file, "the old picture").unwrap();
    let mut ring = Ring::create(&system, FourCc::MJPG, FrameRate::from_whole(30));
    let cut = &image[..image.len() / 2];
    let damaged: [&[u8]; 5] = [
        b"\xff\xd8",
        b"no image at all",
        &[0xff; 4000],
        &image[2..],
        cut,
    ];
    for frame in damaged {
        ring.publish(frame, Duration::ZERO);
        let output = snapshot(&system, "odd", &file, &["--timeout", "0"]);
        fails(&output, 1, &["no good frame of odd", "is damaged: "]);
        assert_eq!(fs::read(&file).unwrap(), b"the old picture");
    }
    let mut command = system.command("sdvr");
    command.args(["snapshot", "odd", file.to_str().unwrap(), "--wait"]);
    let mut waiting = system.start(&mut command, "snapshot");
    std::thread::sleep(Duration::from_millis(200));
    ring.publish(&image, Duration::ZERO);
    assert!(waiting.wait().success(), "{}", waiting.log());
    assert_eq!(fs::read(&file).unwrap(), image);
}

#[test]
fn a_full_disk_leaves_the_old_picture_and_says_so() {
    let system = System::new();
    let disk = system.home().join("disk");
    let Some(_disk) = SmallDisk::mount(&disk, 16 * 1024) else {
        return;
    };
    let image = picture_without_daemon();
    let file = disk.join("now.jpg");
    fs::write(&file, "the old picture").unwrap();
    let mut ring = Ring::create(&system, FourCc::MJPG, FrameRate::UNPACED);
    // A comment of 64 KiB before the picture: legal, and too large for the disk.
    let comment = [&[0xff, 0xfe, 0xff, 0xff][..], &[b' '; 65_533]].concat();
    let large = [&image[..2], &comment, &image[2..]].concat();
    ring.publish(&large, Duration::ZERO);
    let output = snapshot(&system, "odd", &file, &[]);
    fails(
        &output,
        1,
        &["No space left on device", "now.jpg", "stays as it was"],
    );
    assert_eq!(fs::read(&file).unwrap(), b"the old picture");
    assert_eq!(fs::read_dir(&disk).unwrap().count(), 1);

    ring.publish(&image, Duration::ZERO);
    succeeds(&snapshot(&system, "odd", &file, &[]));
    assert_eq!(fs::read(&file).unwrap(), image);
}

#[test]
fn who_reads_the_file_sees_whole_pictures_only() {
    let system = System::with_daemon();
    let _client = system.start_client("door", PICTURES, &[]);
    system.wait_for_state("door", "live");
    let file = system.home().join("now.jpg");
    succeeds(&snapshot(&system, "door", &file, &["--wait"]));
    let mut looks = 0_u32;
    for _ in 0..10 {
        let mut command = system.command("sdvr");
        command.args(["snapshot", "door", file.to_str().unwrap()]);
        let mut running = system.start(&mut command, "snapshot");
        while running.runs() {
            let seen = fs::read(&file).unwrap();
            assert!(seen.starts_with(&[0xff, 0xd8]) && seen.ends_with(&[0xff, 0xd9]));
            looks += 1;
        }
        assert!(running.wait().success(), "{}", running.log());
    }
    assert!(looks >= 10);
}
