//! Sources hand out every frame of a file or a pipe once, at the right time, never keep the caller waiting, and say in words what
//! is wrong.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sdvr_frame::{FourCc, FrameFlags, FrameRate, Timestamp, bench_frame};
use sdvr_source::{CaptureOptions, Next, Source, SourceError, SourceSpec};
use support::{annex_b, jpeg};

const MS: i64 = 1_000_000;
/// What a call may take that does not wait: much for the call, little beside the seconds that a wait would take.
const AT_ONCE: Duration = Duration::from_millis(500);

fn at(ms: i64) -> Timestamp {
    Timestamp::from_nanoseconds(ms * MS)
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A named pipe and its writing end. Both ends are open when this returns.
    fn pipe(&self, options: &CaptureOptions) -> Result<(Source, std::fs::File), SourceError> {
        let path = self.0.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        // Reading and writing, so that opening does not wait for the other end.
        let both = std::fs::File::options()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let source = open(&path, options)?;
        let writer = std::fs::File::options().write(true).open(&path).unwrap();
        drop(both);
        Ok((source, writer))
    }
}

fn open(path: &Path, options: &CaptureOptions) -> Result<Source, SourceError> {
    Source::open(&SourceSpec::File(path.to_owned()), options)
}

fn test_source(text: &str, options: &CaptureOptions) -> Result<Source, SourceError> {
    Source::open(&text.parse().unwrap(), options)
}

#[derive(Debug, PartialEq, Eq)]
struct Taken {
    number: u64,
    captured: Timestamp,
    flags: FrameFlags,
    payload: Vec<u8>,
}

/// One call, which must not wait.
fn take(source: &mut Source, now: Timestamp) -> Option<Option<Taken>> {
    let started = Instant::now();
    let next = source.try_next(now).unwrap();
    let took = started.elapsed();
    assert!(took < AT_ONCE, "it took {took:?}");
    match next {
        Next::Frame(frame) => Some(Some(Taken {
            number: frame.number.0,
            captured: frame.captured,
            flags: frame.flags,
            payload: frame.payload.to_vec(),
        })),
        Next::NotYet => None,
        Next::Ended => Some(None),
    }
}

/// All frames until the end, waiting as a caller should: on a clock of our own, which goes to when the next frame is due.
fn take_all(source: &mut Source) -> Vec<Taken> {
    let mut now = at(1000);
    let mut taken = Vec::new();
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < Duration::from_secs(20), "it never ends");
        match take(source, now) {
            Some(Some(frame)) => taken.push(frame),
            Some(None) => return taken,
            None => match source.poll_timeout() {
                Some(due) => now = now.max(due),
                None => assert!(
                    wait_readable(source, Duration::from_secs(10)),
                    "there is nothing to wait for"
                ),
            },
        }
    }
}

fn wait_readable(source: &Source, timeout: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let descriptor = source.descriptor().unwrap();
    let timeout = Timespec {
        tv_sec: timeout.as_secs().cast_signed(),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    poll(
        &mut [PollFd::new(&descriptor, PollFlags::IN)],
        Some(&timeout),
    )
    .unwrap()
        > 0
}

fn images(count: u8) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| jpeg(64, 48, &vec![number; 100 + usize::from(number) * 31]))
        .collect()
}

fn payloads(frames: &[Taken]) -> Vec<&[u8]> {
    frames
        .iter()
        .map(|frame| frame.payload.as_slice())
        .collect()
}

fn numbers(frames: &[Taken]) -> Vec<u64> {
    frames.iter().map(|frame| frame.number).collect()
}

fn rate(frames_a_second: u32) -> CaptureOptions {
    CaptureOptions {
        rate: Some(FrameRate::from_whole(frames_a_second)),
        ..CaptureOptions::default()
    }
}

fn every_nth(every_nth: u32) -> CaptureOptions {
    CaptureOptions {
        every_nth,
        ..CaptureOptions::default()
    }
}

fn looped() -> CaptureOptions {
    CaptureOptions {
        looped: true,
        ..CaptureOptions::default()
    }
}

// Files

#[test]
fn a_file_is_handed_out_frame_by_frame() {
    let files = Files::new();
    let images = images(20);
    let path = files.write("a.mjpeg", &images.concat());
    let mut source = open(&path, &CaptureOptions::default()).unwrap();
    assert_eq!(source.description(), None, "nothing was read yet");
    assert!(source.prepare(at(0)).unwrap());
    let description = source.description().unwrap();
    assert_eq!(
        (
            description.format.fourcc,
            description.format.width,
            description.format.height,
            description.first_frame_bytes
        ),
        (FourCc::MJPG, 64, 48, images[0].len())
    );
    assert!(!source.is_live());
    assert!(source.descriptor().is_none());
    let frames = take_all(&mut source);
    assert_eq!(payloads(&frames), images, "preparing takes no frame away");
    assert_eq!(numbers(&frames), (0..20).collect::<Vec<_>>());
    assert!(frames.iter().all(|frame| frame.flags == FrameFlags::KEY));
    assert_eq!(source.cut_off_bytes(), 0);
    assert_eq!(take(&mut source, at(5000)), Some(None), "the end stays");
}

#[test]
fn a_paced_file_keeps_its_rate_and_loses_nothing() {
    let files = Files::new();
    let images = images(6);
    let path = files.write("a.mjpeg", &images.concat());
    let mut source = open(&path, &rate(100)).unwrap();
    assert!(source.is_live());
    assert!(take(&mut source, at(1000)).unwrap().is_some());
    assert_eq!(take(&mut source, at(1009)), None);
    assert_eq!(source.poll_timeout(), Some(at(1010)));
    // Late by several frames: each has the moment at which it was due.
    let late: Vec<Taken> = std::iter::from_fn(|| take(&mut source, at(1035)).flatten()).collect();
    assert_eq!(numbers(&late), [1, 2, 3]);
    let captured: Vec<Timestamp> = late.iter().map(|frame| frame.captured).collect();
    assert_eq!(captured, [at(1010), at(1020), at(1030)]);
    let rest = take_all(&mut source);
    assert_eq!(numbers(&rest), [4, 5]);
    assert_eq!(
        source.description().unwrap().format.rate,
        FrameRate::from_whole(100)
    );
}

#[test]
fn a_file_may_be_thinned_out() {
    let files = Files::new();
    let images = images(10);
    let path = files.write("a.mjpeg", &images.concat());
    for (n, wanted) in [
        (1, (0..10).collect()),
        (3, vec![0, 3, 6, 9]),
        (100, vec![0]),
        (0, (0..10).collect::<Vec<usize>>()),
    ] {
        let mut source = open(&path, &every_nth(n)).unwrap();
        let frames = take_all(&mut source);
        let wanted_images: Vec<_> = wanted.iter().map(|&index| images[index].clone()).collect();
        assert_eq!(payloads(&frames), wanted_images, "every {n}");
        assert_eq!(
            numbers(&frames),
            (0..wanted.len() as u64).collect::<Vec<_>>()
        );
    }
}

#[test]
fn frames_left_out_do_not_keep_the_caller() {
    let files = Files::new();
    let image = jpeg(16, 16, &[1]);
    let path = files.write("a.mjpeg", &image.repeat(100_000));
    let mut source = open(&path, &every_nth(90_000)).unwrap();
    assert!(take(&mut source, at(0)).unwrap().is_some());
    // Each call ends soon, and says to call again at once.
    assert_eq!(take(&mut source, at(0)), None);
    assert!(source.poll_timeout().unwrap() < at(0));
    assert_eq!(numbers(&take_all(&mut source)), [1]);
}

#[test]
fn what_stands_behind_the_last_image_goes_with_it() {
    let files = Files::new();
    // The second image ends where a read does.
    let first = jpeg(64, 48, &[1; 100]);
    let fill = 256 * 1024 - first.len() - jpeg(64, 48, &[]).len();
    let second = jpeg(64, 48, &vec![2; fill]);
    let images = [first.as_slice(), &second].concat();
    assert_eq!(images.len(), 256 * 1024);
    for padding in [&[0_u8; 1000][..], b"\r\n--boundary--\r\n", &[0xff], &[]] {
        let stream = [images.as_slice(), padding].concat();
        let path = files.write("a.mjpeg", &stream);
        let mut source = open(&path, &CaptureOptions::default()).unwrap();
        let frames = take_all(&mut source);
        assert_eq!(frames.len(), 2);
        assert!(payloads(&frames).concat() == stream, "{padding:?}");
        assert_eq!(source.cut_off_bytes(), 0);
        let mut source = open(&path, &looped()).unwrap();
        let mut again = Vec::new();
        while again.len() < 2 * stream.len() {
            if let Some(Some(frame)) = take(&mut source, at(0)) {
                again.extend(frame.payload);
            }
        }
        assert!(again == stream.repeat(2), "{padding:?}, again");
    }
    // Too much of it is an error, not a frame.
    let path = files.write("a.mjpeg", &[first, vec![0; 100_000]].concat());
    let text = first_error(&path, &CaptureOptions::default());
    assert!(text.contains("no JPEG image begins"), "{text}");
}

#[test]
fn a_frame_of_a_file_is_captured_when_it_is_handed_out() {
    let files = Files::new();
    let path = files.write("a.mjpeg", &images(2).concat());
    let mut source = open(&path, &CaptureOptions::default()).unwrap();
    // The first one may have been found long before there was a server to send it to.
    assert!(source.prepare(at(0)).unwrap());
    for now in [at(5000), at(6000)] {
        assert_eq!(take(&mut source, now).unwrap().unwrap().captured, now);
    }
}

#[test]
fn thinned_out_frames_announce_their_own_rate() {
    let files = Files::new();
    let path = files.write("a.mjpeg", &images(10).concat());
    let options = CaptureOptions {
        every_nth: 3,
        ..rate(30)
    };
    let mut source = open(&path, &options).unwrap();
    source.prepare(at(0)).unwrap();
    let file = source.description().unwrap().format.rate;
    let pattern = test_source("test:?format=GREY&size=64x48", &options).unwrap();
    let pattern = pattern.description().unwrap().format.rate;
    assert_eq!([file.as_f64(), pattern.as_f64()].map(f64::round), [10.0; 2]);
    let captured: Vec<Timestamp> = take_all(&mut source)
        .iter()
        .map(|frame| frame.captured)
        .collect();
    let gap = captured[1].saturating_since(captured[0]).as_millis();
    assert!((99..=101).contains(&gap), "{gap} ms between frames");
}

#[test]
fn a_looped_file_begins_again() {
    let files = Files::new();
    let images = images(3);
    let path = files.write("a.mjpeg", &images.concat());
    let mut source = open(&path, &looped()).unwrap();
    for number in 0..10_u64 {
        let frame = loop {
            if let Some(next) = take(&mut source, at(0)) {
                break next.unwrap();
            }
        };
        assert_eq!(frame.number, number);
        assert_eq!(frame.payload, images[number as usize % 3]);
    }
    // It ends if nothing is left of it.
    std::fs::write(&path, b"").unwrap();
    take_all(&mut source);
}

#[test]
fn a_looped_yuv_file_has_its_header_once() {
    let files = Files::new();
    // Larger than one read: the header comes long before its first frame is whole.
    let (width, height) = (1000, 800);
    let header = format!("YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 Cmono\n").into_bytes();
    let planes: Vec<Vec<u8>> = (1..4_u8)
        .map(|number| vec![number; width * height])
        .collect();
    let mut stream = header.clone();
    for (parameters, plane) in ["", " Ip XQ=1", ""].iter().zip(&planes) {
        stream.extend(format!("FRAME{parameters}\n").bytes());
        stream.extend(plane);
    }
    let path = files.write("a.y4m", &stream);
    let mut source = open(&path, &looped()).unwrap();
    for number in 0..7 {
        let frame = loop {
            if let Some(next) = take(&mut source, at(0)) {
                break next.unwrap();
            }
        };
        let trailer = if number % 3 == 1 { " Ip XQ=1" } else { "" };
        let expected = [planes[number % 3].as_slice(), trailer.as_bytes()].concat();
        assert!(frame.payload == expected, "frame {number}");
        assert_eq!(
            frame.flags.contains(FrameFlags::TRAILER),
            !trailer.is_empty()
        );
    }
    let description = source.description().unwrap();
    assert_eq!(description.extradata, header);
    assert_eq!(description.first_frame_bytes, width * height);
    assert!(description.frame_bytes.unwrap() >= width * height + " Ip XQ=1".len());
    assert_eq!(description.format.rate, FrameRate::UNPACED);
}

#[test]
fn what_is_cut_off_is_counted_and_not_sent() {
    let files = Files::new();
    let images = images(3);
    let mut stream = images.concat();
    stream.truncate(stream.len() - 10);
    let path = files.write("a.mjpeg", &stream);
    let mut source = open(&path, &CaptureOptions::default()).unwrap();
    assert_eq!(payloads(&take_all(&mut source)), &images[..2]);
    assert_eq!(source.cut_off_bytes(), images[2].len() - 10);
}

#[test]
fn h264_ends_with_its_last_picture() {
    let files = Files::new();
    let unit = |header| annex_b(&[(4, &[header, 0x88, 0x84, 0x21])]);
    let units: Vec<Vec<u8>> = [0x65, 0x41, 0x01]
        .map(unit)
        .into_iter()
        .cycle()
        .take(120)
        .collect();
    let path = files.write("a.h264", &units.concat());
    let mut source = open(&path, &CaptureOptions::default()).unwrap();
    let frames = take_all(&mut source);
    assert_eq!(payloads(&frames), units);
    let flags = [FrameFlags::KEY, FrameFlags::NONE, FrameFlags::DISCARDABLE];
    assert!(
        frames
            .iter()
            .zip(flags.iter().cycle())
            .all(|(frame, flags)| frame.flags == *flags)
    );
    assert_eq!(source.cut_off_bytes(), 0);
}

// Pipes

#[test]
fn a_slow_pipe_never_keeps_the_caller_waiting() {
    let files = Files::new();
    let (mut source, mut pipe) = files.pipe(&CaptureOptions::default()).unwrap();
    let images = images(12);
    let stream = images.concat();
    let writer = std::thread::spawn(move || {
        for piece in stream.chunks(97) {
            pipe.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
    });
    let frames = take_all(&mut source);
    assert_eq!(payloads(&frames), images);
    writer.join().unwrap();
}

#[test]
fn an_image_is_there_with_its_last_byte() {
    let files = Files::new();
    let (mut source, mut pipe) = files.pipe(&CaptureOptions::default()).unwrap();
    assert_eq!(take(&mut source, at(0)), None);
    assert!(!source.prepare(at(0)).unwrap());
    assert!(!wait_readable(&source, Duration::ZERO));
    for (number, image) in images(5).iter().enumerate() {
        let (last, most) = image.split_last().unwrap();
        pipe.write_all(most).unwrap();
        assert_eq!(take(&mut source, at(1)), None);
        pipe.write_all(&[*last]).unwrap();
        let frame = take(&mut source, at(2)).unwrap().unwrap();
        assert_eq!(frame.payload, *image);
        assert_eq!(frame.number, number as u64);
        assert_eq!(frame.captured, at(2));
    }
    drop(pipe);
    assert!(wait_readable(&source, Duration::from_secs(5)));
    assert_eq!(take(&mut source, at(3)), Some(None));
}

#[test]
fn a_pipe_that_nobody_writes_to_yet_is_waited_for() {
    let files = Files::new();
    let path = files.0.path().join("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    // Opening waits for nobody; on a thread of its own, so that a failure is one and no wait without end.
    let (opened, opening) = std::sync::mpsc::channel();
    let reader = path.clone();
    std::thread::spawn(move || opened.send(open(&reader, &CaptureOptions::default())));
    let mut source = opening
        .recv_timeout(Duration::from_secs(5))
        .expect("opening waits for a writer")
        .unwrap();
    // Nothing has ended: nothing has begun.
    assert_eq!(take(&mut source, at(0)), None);
    assert!(!wait_readable(&source, Duration::from_millis(1)));
    let mut pipe = std::fs::File::options().write(true).open(&path).unwrap();
    assert_eq!(take(&mut source, at(1)), None);
    let image = jpeg(64, 48, &[1; 100]);
    pipe.write_all(&image).unwrap();
    assert!(wait_readable(&source, Duration::from_secs(5)));
    assert_eq!(take(&mut source, at(2)).unwrap().unwrap().payload, image);
    drop(pipe);
    assert!(wait_readable(&source, Duration::from_secs(5)));
    assert_eq!(take(&mut source, at(3)), Some(None));
}

#[test]
fn a_picture_has_the_time_of_its_own_last_byte() {
    let files = Files::new();
    let (mut source, mut pipe) = files.pipe(&CaptureOptions::default()).unwrap();
    // H.264 pictures are whole only when the next one begins. The first is long enough to tell the format.
    let unit = |header| annex_b(&[(4, &[[header, 0x88].as_slice(), &[0x55; 80]].concat())]);
    let units = [unit(0x65), unit(0x41), unit(0x41)];
    for (index, came) in [(0, 10), (1, 50), (2, 90)] {
        pipe.write_all(&units[index]).unwrap();
        let frame = take(&mut source, at(came));
        let expected = index
            .checked_sub(1)
            .map(|before| (before as u64, came - 40));
        let got = frame.map(|frame| frame.unwrap());
        assert_eq!(
            got.as_ref().map(|frame| (frame.number, frame.captured)),
            expected.map(|(number, ms)| (number, at(ms)))
        );
    }
    drop(pipe);
    let last = take(&mut source, at(500)).unwrap().unwrap();
    assert_eq!((last.payload, last.captured), (units[2].clone(), at(90)));
    assert_eq!(take(&mut source, at(501)), Some(None));
}

#[test]
fn a_paced_pipe_dates_no_frame_before_it_came() {
    let files = Files::new();
    let (mut source, mut pipe) = files.pipe(&rate(100)).unwrap();
    for now in [at(1000), at(1300), at(1650)] {
        pipe.write_all(&jpeg(64, 48, &[1; 100])).unwrap();
        assert_eq!(take(&mut source, now).unwrap().unwrap().captured, now);
    }
}

#[test]
fn frames_that_came_together_are_not_waited_for() {
    let files = Files::new();
    let (mut source, mut pipe) = files.pipe(&CaptureOptions::default()).unwrap();
    let images = images(3);
    pipe.write_all(&images.concat()).unwrap();
    for image in &images {
        // A caller that waits after each frame is woken though the pipe is empty.
        let frame = take(&mut source, at(7)).unwrap().unwrap();
        assert_eq!(frame.payload, *image);
        assert!(source.poll_timeout().unwrap() < at(0));
    }
    assert_eq!(take(&mut source, at(7)), None);
    assert_eq!(source.poll_timeout(), None, "now there is only the pipe");
}

#[test]
fn a_fast_writer_does_not_keep_the_caller() {
    let files = Files::new();
    let (mut source, mut pipe) = files.pipe(&CaptureOptions::default()).unwrap();
    let image = jpeg(64, 48, &vec![1; 8 << 20]);
    let expected = image.clone();
    let writer = std::thread::spawn(move || pipe.write_all(&image).unwrap());
    let mut calls = 0;
    let frame = loop {
        calls += 1;
        if let Some(next) = take(&mut source, at(0)) {
            break next.unwrap();
        }
        wait_readable(&source, Duration::from_secs(10));
    };
    assert!(frame.payload == expected);
    assert!(
        calls >= (8 << 20) / (256 * 1024),
        "a call reads 256 KiB at most: {calls}"
    );
    writer.join().unwrap();
}

#[test]
fn a_paced_pipe_hands_out_at_its_rate() {
    let files = Files::new();
    let (mut source, mut pipe) = files.pipe(&rate(10)).unwrap();
    let images = images(3);
    pipe.write_all(&images.concat()).unwrap();
    assert!(take(&mut source, at(100)).unwrap().is_some());
    assert_eq!(take(&mut source, at(150)), None);
    assert_eq!(source.poll_timeout(), Some(at(200)));
    assert!(
        source.descriptor().is_none(),
        "a frame is there: the pipe is not what is waited for"
    );
    assert!(take(&mut source, at(200)).unwrap().is_some());
}

#[test]
fn a_thinned_out_pipe_hands_out_every_nth() {
    let files = Files::new();
    let (mut source, mut pipe) = files.pipe(&every_nth(4)).unwrap();
    let images = images(10);
    pipe.write_all(&images.concat()).unwrap();
    drop(pipe);
    let frames = take_all(&mut source);
    assert_eq!(
        payloads(&frames),
        [&images[0], &images[4], &images[8]].map(Vec::as_slice)
    );
}

// Words

fn open_error(path: &Path, options: &CaptureOptions) -> String {
    open(path, options).unwrap_err().to_string()
}

fn first_error(path: &Path, options: &CaptureOptions) -> String {
    let mut source = open(path, options).unwrap();
    loop {
        match source.try_next(at(0)) {
            Ok(Next::Ended) => panic!("it ended well"),
            Ok(_) => {}
            Err(error) => return error.to_string(),
        }
    }
}

#[test]
fn what_cannot_be_a_source_says_so_with_its_name() {
    let files = Files::new();
    let none = CaptureOptions::default();
    let missing = files.0.path().join("missing.mjpeg");
    let text = open_error(&missing, &none);
    assert!(
        text.contains("missing.mjpeg") && text.contains("No such file"),
        "{text}"
    );
    let text = open_error(files.0.path(), &none);
    assert!(text.contains("is a directory"), "{text}");
    let text = first_error(&files.write("empty", b""), &none);
    assert!(text.contains("empty, byte 0: it is empty"), "{text}");
    let text = first_error(
        &files.write("empty2", b""),
        &CaptureOptions {
            fourcc: Some(FourCc::MJPG),
            ..none.clone()
        },
    );
    assert!(text.contains("it is empty"), "{text}");
    let text = first_error(&files.write("text.txt", &[b'x'; 1000]), &none);
    assert!(
        text.contains("MJPEG, H.264 or H.265") && text.contains("-f"),
        "{text}"
    );
    let image = jpeg(64, 48, &[1; 100]);
    let text = first_error(&files.write("torn", &image[..50]), &none);
    assert!(text.contains("before its first frame is whole"), "{text}");
    // Where it goes wrong is said.
    let mut damaged = [image.as_slice(), &image].concat();
    damaged[image.len() + 2] = 0x11;
    let text = first_error(&files.write("damaged", &damaged), &none);
    assert!(
        text.contains(&format!("byte {}: ", image.len() + 2)) && text.contains("11 stands"),
        "{text}"
    );
    let frame = b"FRAME\n0123456789ab";
    let y4m = [b"YUV4MPEG2 W4 H3 Cmono\n".as_slice(), frame, frame].concat();
    let second = y4m.len() - frame.len();
    let mut damaged = y4m.clone();
    damaged[second] = b'G';
    let text = first_error(&files.write("damaged.y4m", &damaged.repeat(4)), &none);
    assert!(text.contains(&format!("byte {second}: ")), "{text}");
}

#[test]
fn a_terminal_is_refused_with_an_example() {
    // Each opening makes a new terminal.
    let path = Path::new("/dev/ptmx");
    if !path.exists() {
        eprintln!("skipped: there are no terminals here");
        return;
    }
    let text = open_error(path, &CaptureOptions::default());
    assert!(text.contains("terminal") && text.contains("-i -"), "{text}");
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let files = Files::new();
    let h264 = files.write(
        "a.h264",
        &annex_b(&[(4, &[0x65, 0x88, 0x84]), (4, &[0x41, 0x88, 0x84])]).repeat(20),
    );
    let text = first_error(&h264, &every_nth(2));
    assert!(text.contains("-x"), "{text}");
    let mjpeg = files.write("a.mjpeg", &images(2).concat());
    let with_format = |fourcc| CaptureOptions {
        fourcc: Some(fourcc),
        ..CaptureOptions::default()
    };
    let text = first_error(&mjpeg, &with_format(FourCc::YUYV));
    assert!(text.contains("-f"), "{text}");
    let text = open_error(
        &mjpeg,
        &CaptureOptions {
            size: Some((64, 48)),
            ..CaptureOptions::default()
        },
    );
    assert!(text.contains("-s"), "{text}");
    let text = files.pipe(&looped()).unwrap_err().to_string();
    assert!(text.contains("a pipe cannot begin again"), "{text}");
    let none = CaptureOptions::default();
    for (spec, options) in [
        ("test:", with_format(FourCc::H264)),
        (
            "test:",
            CaptureOptions {
                size: Some((0, 0)),
                ..none.clone()
            },
        ),
        (
            "test:?format=YUYV",
            CaptureOptions {
                size: Some((17, 16)),
                ..none.clone()
            },
        ),
        (
            "test:?format=GREY",
            CaptureOptions {
                size: Some((1 << 20, 1 << 20)),
                ..none
            },
        ),
    ] {
        let error = test_source(spec, &options).unwrap_err();
        assert!(
            matches!(error, SourceError::Options(_)),
            "{spec} {options:?}: {error}"
        );
    }
}

// The test pattern

#[test]
fn the_test_pattern_comes_in_every_format() {
    for (format, bytes) in [
        ("MJPG", None),
        ("YUYV", Some(64 * 48 * 2)),
        ("NV12", Some(64 * 48 * 3 / 2)),
        ("GREY", Some(64 * 48)),
        ("BNCH", Some(1000)),
    ] {
        let more = if format == "BNCH" { "&bytes=1000" } else { "" };
        let spec = format!("test:?size=64x48&fps=0&count=40&format={format}{more}");
        let mut source = test_source(&spec, &CaptureOptions::default()).unwrap();
        assert!(!source.is_live());
        let description = source.description().unwrap();
        let frames = take_all(&mut source);
        assert_eq!(numbers(&frames), (0..40).collect::<Vec<_>>(), "{format}");
        assert_ne!(frames[0].payload, frames[1].payload, "{format} moves");
        for frame in &frames {
            assert_eq!(frame.flags, FrameFlags::KEY);
            assert!(frame.payload.len() <= description.frame_bytes.unwrap());
            match bytes {
                Some(bytes) => assert_eq!(frame.payload.len(), bytes, "{format}"),
                None => {
                    let cut = support::cut(&frame.payload, None, 1000);
                    assert_eq!(cut.lengths(), [frame.payload.len()]);
                    assert_eq!(cut.size, (64, 48));
                }
            }
            if format == "BNCH" {
                let header = bench_frame::check(&frame.payload).unwrap();
                assert_eq!(header.sequence.0, frame.number);
                assert_eq!(header.captured, frame.captured);
            }
        }
    }
}

#[test]
fn every_key_may_be_said_of_every_format() {
    // As the manual has it.
    let text = "test:?size=1280x720&fps=30&format=MJPG&bytes=100000&count=300";
    assert!(text.parse::<SourceSpec>().is_ok());
    for format in ["MJPG", "YUYV", "NV12", "GREY", "BNCH"] {
        let spec = format!("test:?size=64x48&fps=0&format={format}&bytes=4321&count=3");
        let mut source = test_source(&spec, &CaptureOptions::default()).unwrap();
        let frames = take_all(&mut source);
        assert_eq!(frames.len(), 3, "{format}");
        assert_eq!(frames[0].payload.len() == 4321, format == "BNCH");
    }
}

#[test]
fn a_stall_over_the_end_of_the_test_pattern_is_missing_before_its_last_frame() {
    let spec = "test:?format=BNCH&bytes=64&fps=100&count=20";
    let mut source = test_source(spec, &CaptureOptions::default()).unwrap();
    assert_eq!(take(&mut source, at(1000)).unwrap().unwrap().number, 0);
    assert_eq!(take(&mut source, at(9000)).unwrap().unwrap().number, 19);
    assert_eq!(take(&mut source, at(9100)), Some(None));
}

#[test]
fn what_is_made_on_demand_is_not_made_to_be_left_out() {
    let spec = "test:?format=BNCH&bytes=64&fps=0&count=3";
    let mut source = test_source(spec, &every_nth(u32::MAX)).unwrap();
    assert_eq!(numbers(&take_all(&mut source)), [0, 1, 2]);
}

#[test]
fn options_go_before_what_the_name_says() {
    let options = CaptureOptions {
        size: Some((32, 16)),
        fourcc: Some(FourCc::GREY),
        ..rate(5)
    };
    let source = test_source("test:?size=64x48&format=YUYV&fps=30", &options).unwrap();
    let format = source.description().unwrap().format;
    assert_eq!((format.width, format.height), (32, 16));
    assert_eq!(format.fourcc, FourCc::GREY);
    assert_eq!(format.rate, FrameRate::from_whole(5));
}

#[test]
fn moments_of_the_test_pattern_that_nobody_took_are_missing_numbers() {
    let mut source = test_source(
        "test:?format=BNCH&bytes=64&fps=100",
        &CaptureOptions::default(),
    )
    .unwrap();
    assert!(source.is_live());
    let mut number = |ms| take(&mut source, at(ms)).map(|next| next.unwrap().number);
    assert_eq!(number(1000), Some(0));
    assert_eq!(number(1005), None);
    assert_eq!(number(1010), Some(1));
    assert_eq!(number(1010), None);
    assert_eq!(number(1047), Some(4));
    assert_eq!(number(1050), Some(5));
    // A night's sleep is many numbers, and no burst.
    assert_eq!(number(1050 + 10_000), Some(1005));
    assert_eq!(number(1050 + 10_000), None);
    assert_eq!(source.poll_timeout(), Some(at(1060 + 10_000)));
}

#[test]
fn the_test_pattern_may_be_thinned_out() {
    let mut source =
        test_source("test:?format=BNCH&bytes=64&fps=100&count=5", &every_nth(3)).unwrap();
    let frames = take_all(&mut source);
    assert_eq!(numbers(&frames), [0, 1, 2, 3, 4]);
    let captured: Vec<Timestamp> = frames.iter().map(|frame| frame.captured).collect();
    assert_eq!(captured[1], captured[0].offset_by(30 * MS));
    assert_eq!(captured[4], captured[0].offset_by(120 * MS));
}

#[test]
fn a_source_has_a_name_of_local_facts() {
    let name = |text: &str| Source::stable_name(&text.parse().unwrap());
    assert_eq!(name("-"), "stdin");
    assert_eq!(name("test:"), "test");
    assert_eq!(name("/a/door.mjpeg"), "door");
    assert_eq!(name("/"), "file");
}
