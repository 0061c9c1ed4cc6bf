use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use sdvr::{FourCc, FrameRate, PublishOptions, Published, Publisher};
use sdvr_frame::StreamFormat;

use super::*;
use crate::options::Form;

/// Where the length of a ring's first frame is: crates/sdvr-ring/LAYOUT.md.
const LENGTH: u64 = 0x1000 + 2 * 8;

fn ring_in(directory: &Path) -> PathBuf {
    let entries = fs::read_dir(directory).unwrap();
    let mut paths = entries.map(|entry| entry.unwrap().path());
    let is_ring = |path: &PathBuf| {
        let name = path.file_name().and_then(std::ffi::OsStr::to_str);
        name.and_then(sdvr_ring::RingName::parse).is_some()
    };
    paths.find(is_ring).unwrap()
}

/// Overwrites four bytes of a file.
fn put(file: &File, place: u64, value: u32) {
    file.write_all_at(&value.to_ne_bytes(), place).unwrap();
}

#[test]
fn a_ring_that_cannot_be_used_is_tried_less_and_less_until_it_can() {
    let rings = tempfile::tempdir().unwrap();
    let options = PublishOptions::metadata(FourCc(*b"TEXT"), FrameRate::from_whole(1));
    let mut publisher = Publisher::create_in(rings.path(), "door/people", options).unwrap();
    publisher.publish(b"three", &Published::now()).unwrap();
    let path = ring_in(rings.path());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    put(&file, LENGTH, 0);

    let directory = tempfile::tempdir().unwrap();
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let tell = move |line: fmt::Arguments<'_>| heard.lock().unwrap().push(line.to_string());
    let options = RecordOptions::new(directory.path().to_owned());
    let shared = Arc::new(Shared::new(options, tell));
    let camera = Camera::open_in(rings.path(), "door/people", Start::Oldest).unwrap();
    let place = wait_for_place(&shared, &camera).unwrap();
    let seat = Seat::new(&shared, &place, None, "door/people".to_owned());
    let mut recorder = CameraRecorder::new(&shared, seat);
    let mut input = Input::new(camera, shared.options.form);
    let (mut pace, mut retries) = (Pace::default(), Retries::default());
    // Tried at once, after one second, and after two more.
    let mut waits = Vec::new();
    let began = Instant::now();
    while waits.len() < 3 {
        let is_due = retries.due_in(Instant::now()).is_zero();
        assert!(record_what_is_there(
            &mut input,
            &mut recorder,
            &mut pace,
            &mut retries
        ));
        if is_due {
            waits.push(retries.due_in(Instant::now()).as_secs_f64().ceil());
        }
    }
    assert_eq!(waits, [1.0, 2.0, 4.0]);
    assert!(began.elapsed() >= Duration::from_secs(3));
    let unusable =
        "door/people: cannot be recorded: the frames cannot be used: the ring is corrupt";
    assert_eq!(*said.lock().unwrap(), [unusable]);

    put(&file, LENGTH, 5);
    let is_recorded = || shared.status().cameras[0].frames == 1;
    while !is_recorded() {
        record_what_is_there(&mut input, &mut recorder, &mut pace, &mut retries);
        recorder.turn();
        assert!(began.elapsed() < Duration::from_secs(60));
    }
    assert_eq!(*said.lock().unwrap(), [unusable]);
}

/// Another recorder that has the folder ends at last, long after it was asked for first.
#[test]
fn a_folder_that_others_leave_is_soon_taken() {
    let rings = tempfile::tempdir().unwrap();
    let options = PublishOptions::metadata(FourCc(*b"TEXT"), FrameRate::from_whole(1));
    let _publisher = Publisher::create_in(rings.path(), "door/people", options).unwrap();
    let camera = Camera::open_in(rings.path(), "door/people", Start::Oldest).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let label = camera.info().unwrap().label.clone();
    let other = crate::index::Index::open_to_record(directory.path(), &label, &mut |_| ());
    let shared = Shared::new(RecordOptions::new(directory.path().to_owned()), |_| ());
    let waited = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait_for_place(&shared, &camera).is_some());
        std::thread::sleep(Duration::from_millis(3500));
        drop(other.unwrap());
        let left = Instant::now();
        assert!(waiting.join().unwrap());
        left.elapsed()
    });
    // With the fourth try a failure that lasts would have been looked at after seven seconds.
    assert!(waited < Duration::from_secs(3), "{waited:?}");
}

#[test]
fn why_there_is_no_place_is_said_once() {
    let rings = tempfile::tempdir().unwrap();
    let options = PublishOptions::metadata(FourCc(*b"TEXT"), FrameRate::from_whole(1));
    let _publisher = Publisher::create_in(rings.path(), "door/people", options).unwrap();
    let camera = Camera::open_in(rings.path(), "door/people", Start::Oldest).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("door,people");
    fs::write(&file, "no folder").unwrap();
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let tell = move |line: fmt::Arguments<'_>| heard.lock().unwrap().push(line.to_string());
    let shared = Shared::new(RecordOptions::new(directory.path().to_owned()), tell);
    let place = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait_for_place(&shared, &camera).is_some());
        // Tried twice by then.
        std::thread::sleep(Duration::from_millis(1500));
        fs::remove_file(&file).unwrap();
        waiting.join().unwrap()
    });
    assert!(place);
    assert_eq!(said.lock().unwrap().len(), 1, "{said:?}");
}

/// What a list says of the planes of a picture, and how many bytes of it are written.
fn planes_of(fourcc: &[u8; 4], (width, height): (u32, u32), bytes: &[u8]) -> (String, Vec<u8>) {
    let rings = tempfile::tempdir().unwrap();
    let options = PublishOptions::new(StreamFormat {
        fourcc: FourCc(*fourcc),
        width,
        height,
        rate: FrameRate::from_whole(25),
    });
    let mut publisher = Publisher::create_in(rings.path(), "door/small", options).unwrap();
    publisher.publish(bytes, &Published::now()).unwrap();
    let camera = Camera::open_in(rings.path(), "door/small", Start::Oldest).unwrap();
    let mut input = Input::new(camera, Form::Planes);
    match input.next(Duration::from_secs(10)).unwrap() {
        Got::Frame(taken) => (taken.plain.unwrap().planes, taken.bytes),
        Got::Damaged(error) => panic!("{error}"),
        Got::NeverAPicture(why) => panic!("{why}"),
        _ => panic!("no frame"),
    }
}

#[test]
fn how_planes_lie_is_told_as_they_are_written() {
    // Two pixels and one that fills up, in each row: colour is put apart.
    let packed: Vec<u8> = (0..16).collect();
    let (told, written) = planes_of(b"YUYV", (3, 2), &packed);
    assert_eq!(
        told,
        "3x2 pixels, 422P, yuv422p for ffmpeg, 14 bytes a frame\n\
         Y at 0: 2 rows of 3 bytes\n\
         Cb at 6: 2 rows of 2 bytes\n\
         Cr at 10: 2 rows of 2 bytes\n\
         ffplay -f rawvideo -pixel_format yuv422p -video_size 3x2 FILE"
    );
    assert_eq!(written, [0, 2, 4, 8, 10, 12, 1, 5, 9, 13, 3, 7, 11, 15]);
    let (told, written) = planes_of(b"NV21", (2, 2), &[1, 2, 3, 4, 30, 20]);
    assert_eq!(
        told,
        "2x2 pixels, YU12, yuv420p for ffmpeg, 6 bytes a frame\n\
         Y at 0: 2 rows of 2 bytes\n\
         Cb at 4: 1 rows of 1 bytes\n\
         Cr at 5: 1 rows of 1 bytes\n\
         ffplay -f rawvideo -pixel_format yuv420p -video_size 2x2 FILE"
    );
    assert_eq!(written, [1, 2, 3, 4, 20, 30]);
    let lines = |told: &str| told.lines().map(str::to_owned).collect::<Vec<_>>();
    let (told, written) = planes_of(b"RGB3", (1, 2), &[1, 2, 3, 4, 5, 6]);
    assert_eq!(
        lines(&told)[..2],
        [
            "1x2 pixels, RGB3, rgb24 for ffmpeg, 6 bytes a frame",
            "red, green, blue at 0: 2 rows of 3 bytes"
        ]
    );
    assert_eq!(written.len(), 6);
    let (told, _) = planes_of(b"Y16 ", (2, 1), &[1, 2, 3, 4]);
    assert_eq!(lines(&told)[1], "Y at 0: 1 rows of 4 bytes");
}
