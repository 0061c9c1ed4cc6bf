//! A camera's pictures: which are given out, and what becomes of frames that give none.

mod daemon;

use std::time::Duration;

use daemon::{Daemon, PATIENCE, Run};
use openh264::encoder::{Encoder, EncoderConfig, IntraFramePeriod};
use openh264::formats::YUVBuffer;
use sdvr::{
    Camera, Decoded, Error, FourCc, FrameFlags, FrameRate, Layout, Pictures, Pixels, Policy, Start,
    StreamFormat, StreamState,
};

const MOMENT: Duration = Duration::from_millis(200);
const SIDE: u32 = 64;
/// Frames from one key frame to the next.
const GROUP: u64 = 10;
/// How far a brightness may be from what was encoded.
const TOLERANCE: u8 = 6;

fn format(fourcc: FourCc) -> StreamFormat {
    StreamFormat {
        fourcc,
        width: SIDE,
        height: SIDE,
        rate: FrameRate::from_whole(30),
    }
}

fn open(daemon: &Daemon) -> Pictures {
    Camera::open_in(daemon.path(), "door", Start::Now)
        .expect("it is there")
        .decoded(Pixels::Gray)
}

/// The brightness of frame `number`, different from those around it.
fn brightness(number: u64) -> u8 {
    u8::try_from(40 + number * 17 % 150).expect("it is below 190")
}

/// What stands for a brightness in video, where 16 is black and 235 is white: ITU-R BT.601.
fn luma(brightness: u8) -> u8 {
    u8::try_from(16 + u32::from(brightness) * 219 / 255).expect("it is at most 235")
}

/// A stream of H.264 whose frames are of one brightness each.
struct Film {
    encoder: Encoder,
    next: u64,
}

impl Film {
    fn new() -> Self {
        let config = EncoderConfig::new()
            .skip_frames(false)
            .scene_change_detect(false)
            .intra_frame_period(IntraFramePeriod::from_num_frames(10));
        let api = openh264::OpenH264API::from_source();
        Self {
            encoder: Encoder::with_api_config(api, config).expect("it can be configured so"),
            next: 0,
        }
    }

    /// The next frame, and whether it is a key frame.
    fn shoot(&mut self) -> (u64, Vec<u8>, FrameFlags) {
        let number = self.next;
        self.next += 1;
        let side = SIDE as usize;
        let mut planes = vec![128; side * side * 3 / 2];
        planes[..side * side].fill(luma(brightness(number)));
        let yuv = YUVBuffer::from_vec(planes, side, side);
        let bytes = self.encoder.encode(&yuv).expect("it encodes").to_vec();
        let flags = if number.is_multiple_of(GROUP) {
            FrameFlags::KEY
        } else {
            FrameFlags::NONE
        };
        (number, bytes, flags)
    }

    fn publish(&mut self, run: &mut Run, count: u64) {
        for _ in 0..count {
            let (number, bytes, flags) = self.shoot();
            run.publish_bytes(number, flags, &bytes);
        }
    }

    /// Frames that are captured and do not arrive.
    fn lose(&mut self, count: u64) {
        for _ in 0..count {
            self.shoot();
        }
    }
}

/// Frames of x264, two of three of which are shown before the one that is sent before them; a key frame every twelve.
fn reordered() -> Vec<Vec<u8>> {
    let output = std::process::Command::new("ffmpeg")
        .args(["-loglevel", "error", "-f", "lavfi", "-i"])
        .arg("testsrc2=size=64x64:rate=25")
        .args(["-frames:v", "24", "-c:v", "libx264", "-pix_fmt", "yuv420p"])
        .args([
            "-x264-params",
            "keyint=12:bframes=2:b-adapt=0:scenecut=0:aud=1",
        ])
        .args(["-f", "h264", "-"])
        .stdin(std::process::Stdio::null())
        .output()
        .expect("ffmpeg is there; `cargo xtask test` installs it");
    let delimiter = [0, 0, 0, 1, 9];
    let begins = output.stdout.windows(5).enumerate();
    let begins = begins.filter_map(|(at, bytes)| (bytes == delimiter).then_some(at));
    let mut ends: Vec<usize> = begins.collect();
    ends.push(output.stdout.len());
    let frames = ends
        .windows(2)
        .map(|ends| output.stdout[ends[0]..ends[1]].to_vec());
    frames.collect()
}

fn publish_reordered(run: &mut Run, frames: &[Vec<u8>], numbers: std::ops::Range<u64>) {
    for number in numbers {
        let flags = if number.is_multiple_of(12) {
            FrameFlags::KEY
        } else {
            FrameFlags::NONE
        };
        run.publish_bytes(
            number,
            flags,
            &frames[usize::try_from(number).expect("it is small")],
        );
    }
}

/// Reads until the camera ends: whose pictures came, and how many were missed.
fn rest(pictures: &mut Pictures, policy: Policy, numbers: &mut Vec<u64>) -> u64 {
    let mut missed = 0;
    loop {
        match pictures.next(policy, MOMENT) {
            Ok(Some(decoded)) => {
                numbers.push(decoded.frame().number().0);
                missed += decoded.missed();
            }
            Ok(None) => return missed,
            Err(Error::Ended) => return missed,
            Err(error) => panic!("{error}"),
        }
    }
}

#[track_caller]
fn next(pictures: &mut Pictures, policy: Policy) -> Decoded {
    let decoded = pictures.next(policy, PATIENCE).expect("it can be decoded");
    decoded.expect("one comes in time")
}

/// The number of the next picture, which must look as that frame did.
#[track_caller]
fn number(pictures: &mut Pictures, policy: Policy) -> u64 {
    let decoded = next(pictures, policy);
    let number = decoded.frame().number().0;
    let picture = decoded.picture();
    assert_eq!((picture.width(), picture.height()), (SIDE, SIDE));
    assert_eq!(picture.layout(), Layout::Gray);
    let (seen, shot) = (picture.bytes()[100], brightness(number));
    assert!(
        seen.abs_diff(shot) <= TOLERANCE,
        "frame {number} has brightness {seen} and not {shot}"
    );
    number
}

#[track_caller]
fn gives_nothing(pictures: &mut Pictures, policy: Policy) {
    let result = pictures
        .next(policy, MOMENT)
        .map(|it| it.map(|it| it.frame().number()));
    assert!(matches!(result, Ok(None)), "{result:?}");
}

#[test]
fn an_inter_coded_stream_begins_at_the_newest_key_frame() {
    let daemon = Daemon::new();
    let mut run = daemon.open_with("door", 1, format(FourCc::H264));
    Film::new().publish(&mut run, 2 * GROUP + 5);
    let mut every = open(&daemon);
    let numbers: Vec<u64> = (0..5).map(|_| number(&mut every, Policy::Every)).collect();
    assert_eq!(numbers, [20, 21, 22, 23, 24]);
    gives_nothing(&mut every, Policy::Every);
    assert!(every.engine().is_some_and(|engine| !engine.is_empty()));
}

#[test]
fn the_latest_picture_comes_of_all_frames_before_it() {
    let daemon = Daemon::new();
    let mut run = daemon.open_with("door", 1, format(FourCc::H264));
    let mut film = Film::new();
    film.publish(&mut run, 5);
    let mut latest = open(&daemon);
    // The first one at once, and what is behind it afterwards.
    assert_eq!(number(&mut latest, Policy::Latest), 0);
    assert_eq!(number(&mut latest, Policy::Latest), 4);
    gives_nothing(&mut latest, Policy::Latest);
    film.publish(&mut run, 3);
    let decoded = next(&mut latest, Policy::Latest);
    assert_eq!((decoded.frame().number().0, decoded.missed()), (7, 2));
    // Over a key frame nothing before it need be decoded.
    film.publish(&mut run, GROUP);
    assert_eq!(number(&mut latest, Policy::Latest), 10);
    assert_eq!(number(&mut latest, Policy::Latest), 17);
}

#[test]
fn key_frames_alone_are_whole_pictures() {
    let daemon = Daemon::new();
    let mut run = daemon.open_with("door", 1, format(FourCc::H264));
    let mut film = Film::new();
    film.publish(&mut run, GROUP + 3);
    let mut keys = open(&daemon);
    assert_eq!(number(&mut keys, Policy::KeyFrames), 10);
    gives_nothing(&mut keys, Policy::KeyFrames);
    film.publish(&mut run, GROUP);
    assert_eq!(number(&mut keys, Policy::KeyFrames), 20);
}

#[test]
fn behind_a_lost_frame_pictures_go_on_at_the_next_key_frame() {
    let daemon = Daemon::new();
    let mut run = daemon.open_with("door", 1, format(FourCc::H264));
    let mut film = Film::new();
    film.publish(&mut run, 3);
    let mut every = open(&daemon);
    for expected in 0..3 {
        assert_eq!(number(&mut every, Policy::Every), expected);
    }
    film.lose(1);
    film.publish(&mut run, GROUP);
    let decoded = next(&mut every, Policy::Every);
    assert_eq!((decoded.frame().number().0, decoded.missed()), (10, 7));
    for expected in 11..14 {
        assert_eq!(number(&mut every, Policy::Every), expected);
    }
}

#[test]
fn a_damaged_frame_is_told_and_the_next_key_frame_is_shown() {
    let daemon = Daemon::new();
    let mut run = daemon.open_with("door", 1, format(FourCc::H264));
    let mut film = Film::new();
    film.publish(&mut run, 2);
    let mut every = open(&daemon);
    assert_eq!(number(&mut every, Policy::Every), 0);
    assert_eq!(number(&mut every, Policy::Every), 1);
    film.lose(1);
    run.publish_bytes(
        2,
        FrameFlags::NONE,
        &[0, 0, 0, 1, 0x41, 0xff, 0xff, 0xff, 0xff, 0xff],
    );
    film.publish(&mut run, GROUP);
    match every.next(Policy::Every, PATIENCE) {
        Err(Error::Undecodable { camera, frame, .. }) => {
            assert_eq!((camera.as_str(), frame.0), ("door", 2));
        }
        other => panic!("{other:?}"),
    }
    // The damaged one was told.
    let decoded = next(&mut every, Policy::Every);
    assert_eq!((decoded.frame().number().0, decoded.missed()), (10, 7));
}

#[test]
fn a_new_run_in_another_format_and_size_needs_no_new_opening() {
    let daemon = Daemon::new();
    let mut run = daemon.open_with("door", 1, format(FourCc::H264));
    let mut film = Film::new();
    film.publish(&mut run, 1);
    let mut every = open(&daemon);
    assert_eq!(number(&mut every, Policy::Every), 0);
    // Two come that need a frame which did not.
    film.lose(1);
    film.publish(&mut run, 2);
    gives_nothing(&mut every, Policy::Every);
    assert_eq!(every.missed_at_end(), 3);
    drop(run);
    let grey = StreamFormat {
        width: 3,
        height: 1,
        ..format(FourCc::GREY)
    };
    let mut run = daemon.open_with("door", 2, grey);
    run.publish_bytes(0, FrameFlags::KEY, &[1, 2, 3]);
    let decoded = next(&mut every, Policy::Every);
    assert_eq!(decoded.picture().bytes(), [1, 2, 3]);
    assert_eq!((decoded.picture().width(), decoded.missed()), (3, 0));
    assert_eq!(decoded.missed_between_runs(), 3);
}

#[test]
fn frames_that_stand_alone_are_damaged_alone() {
    let daemon = Daemon::new();
    let mut run = daemon.open_with("door", 1, format(FourCc::MJPG));
    let mut jpeg = Vec::new();
    let gray = [brightness(1); (SIDE * SIDE) as usize];
    let side = u16::try_from(SIDE).expect("it is small");
    jpeg_encoder::Encoder::new(&mut jpeg, 95)
        .encode(&gray, side, side, jpeg_encoder::ColorType::Luma)
        .expect("it can be encoded");
    let mut every = open(&daemon);
    run.publish_bytes(
        0,
        FrameFlags::KEY,
        jpeg.get(..jpeg.len() / 2).expect("a half"),
    );
    run.publish_bytes(1, FrameFlags::KEY, &jpeg);
    let first = every.next(Policy::Every, PATIENCE);
    assert!(
        matches!(&first, Err(Error::Undecodable { frame, .. }) if frame.0 == 0),
        "{first:?}"
    );
    assert_eq!(number(&mut every, Policy::Every), 1);
}

#[test]
fn frames_without_pixels_say_so() {
    let daemon = Daemon::new();
    let mut run = daemon.open("door", 7, 1);
    let mut every = open(&daemon);
    run.publish([0]);
    let result = every.next(Policy::Every, PATIENCE);
    assert!(
        matches!(result, Err(Error::Undecodable { .. })),
        "{result:?}"
    );
}

#[test]
fn memory_is_used_again() {
    let daemon = Daemon::new();
    let grey = format(FourCc::GREY);
    let mut run = daemon.open_with("door", 1, grey);
    let mut every = open(&daemon);
    let frame = |number: u64| vec![brightness(number); (SIDE * SIDE) as usize];
    run.publish_bytes(0, FrameFlags::KEY, &frame(0));
    let mut decoded = next(&mut every, Policy::Every);
    let place = decoded.picture().bytes().as_ptr();
    for number in 1..20 {
        run.publish_bytes(number, FrameFlags::KEY, &frame(number));
        let has_come = every.next_into(Policy::Every, PATIENCE, &mut decoded);
        assert!(matches!(has_come, Ok(true)), "{has_come:?}");
        assert_eq!(decoded.picture().bytes(), frame(number));
        assert_eq!(decoded.picture().bytes().as_ptr(), place);
    }
}

#[test]
fn pictures_that_are_shown_in_another_order_are_not_told_as_missed() {
    let daemon = Daemon::new();
    let mut run = daemon.open_with("door", 1, format(FourCc::H264));
    let mut every = open(&daemon);
    publish_reordered(&mut run, &reordered(), 0..24);
    run.ring.set_state(StreamState::Closed);
    let mut numbers = Vec::new();
    assert_eq!(rest(&mut every, Policy::Every, &mut numbers), 0);
    assert!(
        !numbers.is_sorted(),
        "the encoder has no B pictures: {numbers:?}"
    );
    numbers.sort_unstable();
    assert_eq!(numbers, (0..24).collect::<Vec<_>>());
}

#[test]
fn of_pictures_that_are_shown_in_another_order_each_is_shown_or_missed() {
    let daemon = Daemon::new();
    let mut run = daemon.open_with("door", 1, format(FourCc::H264));
    let frames = reordered();
    publish_reordered(&mut run, &frames, 0..5);
    let mut latest = open(&daemon);
    let mut numbers = Vec::new();
    let mut missed = 0;
    for end in 5..24 {
        if end % 4 == 0 {
            missed += rest(&mut latest, Policy::Latest, &mut numbers);
        }
        publish_reordered(&mut run, &frames, end..end + 1);
    }
    run.ring.set_state(StreamState::Closed);
    missed += rest(&mut latest, Policy::Latest, &mut numbers);
    assert_eq!(
        numbers.first(),
        Some(&0),
        "the key frame's picture is there at once"
    );
    assert!(missed > 0, "several frames came at a time");
    assert_eq!(missed + numbers.len() as u64, 24, "{numbers:?}");
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(
        missed + numbers.len() as u64,
        24,
        "one came twice: {numbers:?}"
    );
}
