//! Files of rings that lie, as programs see them that decode: each gives an error that says what is wrong, or nothing, and no program dies of it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use sdvr::{Camera, Error, Pixels, Policy, Start};
use sdvr_frame::{
    FourCc, FrameFlags, FrameNumber, FrameRate, InstanceId, Label, Link, PublicKey, StreamFormat,
    StreamId, StreamKind, Timestamp,
};
use sdvr_ring::{FrameMeta, RingDirectory, RingOptions, RingWriter};
use sdvr_tests::decoded::{build_program_in_c, program_in_c};
use sdvr_tests::{PATIENCE, System, text};

const LABEL: &str = "liar";
const DATA_BYTES: u64 = 1 << 16;
const SLOTS: u64 = 8;

// Where things are in the file: crates/sdvr-ring/LAYOUT.md.
const FOURCC: u64 = 0x54;
const WIDTH: u64 = 0x58;
const HEIGHT: u64 = 0x5c;
const RATE: u64 = 0x60;
const EXTRADATA_BYTES: u64 = 0x6c;
const FIRST: u64 = 0x78;
const EXTRADATA: u64 = 0x400;
const STATE: u64 = 0x800;
const RECLAIM: u64 = 0x880;
const HEAD: u64 = 0x8c0;
const LAST_KEY: u64 = 0x8c8;
/// Word `word` of the slot of frame 0.
const fn slot(word: u64) -> u64 {
    0x1000 + word * 8
}
const POSITION: u64 = slot(1);
const LENGTH: u64 = slot(2);
const NUMBER: u64 = slot(3);
const CAPTURED: u64 = slot(5);
const MISSED: u64 = slot(7);
const CLOSED: u64 = 3;

/// A ring with one frame, and what is written over it.
struct Lie {
    name: &'static str,
    fourcc: FourCc,
    size: (u32, u32),
    frame: Vec<u8>,
    changes: Vec<(u64, Vec<u8>)>,
    /// What the error says; none when the lie does no harm.
    says: Option<&'static str>,
}

fn words(values: &[u64]) -> Vec<u8> {
    values.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn half(value: u32) -> Vec<u8> {
    value.to_ne_bytes().to_vec()
}

/// The start of an image that claims to be of the largest size that there is.
fn claiming_jpeg() -> Vec<u8> {
    let mut image = vec![0xff, 0xd8, 0xff, 0xc0, 0, 11, 8];
    image.extend([0xff, 0xff, 0xff, 0xff, 1, 1, 0x11, 0]);
    image.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 1, 2, 3, 0xff, 0xd9]);
    image
}

fn lies() -> Vec<Lie> {
    let nv12 = FourCc(*b"NV12");
    let lie = |name, fourcc, size, frame: &[u8], changes: &[(u64, Vec<u8>)], says| Lie {
        name,
        fourcc,
        size,
        frame: frame.to_vec(),
        changes: changes.to_vec(),
        says,
    };
    let (wide, small) = ((u32::MAX, u32::MAX), (4, 2));
    let pixels = [0; 12];
    let too_large = Some("it must have 1 to");
    let no_picture = Some("1 bytes are no NV12 picture of 4x2 pixels, which has 12");
    let unusable = Some("the frames cannot be used: ");
    let no_bits = [0, 0, 0, 1, 0x65, 0xff, 0xff, 0xff, 0xff];
    let length = words(&[DATA_BYTES + 1]);
    let y4m = FourCc::Y4M;
    let header = b"YUV4MPEG2 W99999999999999999999 H-1 F0:0 C444p255\n".to_vec();
    vec![
        lie("nothing", nv12, small, &pixels, &[], None),
        lie("wide", nv12, wide, &[1], &[], too_large),
        lie("wider", FourCc::GREY, (u32::MAX, 1), &[1], &[], too_large),
        lie("flat", FourCc::MJPG, (0, 0), &[1], &[], Some("damaged")),
        lie("flat", FourCc::GREY, (0, 9), &[1], &[], too_large),
        lie("short", nv12, small, &[1], &[], no_picture),
        lie(
            "grown",
            nv12,
            small,
            &pixels,
            &[(WIDTH, half(u32::MAX)), (HEIGHT, half(1))],
            too_large,
        ),
        lie(
            "longer",
            nv12,
            small,
            &pixels,
            &[(LENGTH, half(4096))],
            Some("4096 bytes are no NV12 picture"),
        ),
        lie(
            "empty",
            nv12,
            small,
            &pixels,
            &[(LENGTH, half(0))],
            unusable,
        ),
        lie(
            "endless",
            nv12,
            small,
            &pixels,
            &[(LENGTH, length)],
            unusable,
        ),
        lie(
            "outside",
            nv12,
            small,
            &pixels,
            &[(POSITION, words(&[DATA_BYTES - 8]))],
            unusable,
        ),
        lie(
            "far",
            nv12,
            small,
            &pixels,
            &[(POSITION, words(&[u64::MAX]))],
            unusable,
        ),
        lie(
            "odd",
            nv12,
            small,
            &pixels,
            &[(POSITION, words(&[3]))],
            unusable,
        ),
        lie(
            "unknown",
            nv12,
            small,
            &pixels,
            &[(FOURCC, vec![0x1b, b'[', 0xff, 0])],
            Some("?[?? cannot be decoded"),
        ),
        lie(
            "jpeg",
            FourCc::MJPG,
            small,
            &claiming_jpeg(),
            &[],
            Some("65535x65535 pixels is not decoded"),
        ),
        lie("h264", FourCc::H264, small, &no_bits, &[], Some("damaged")),
        lie("h265", FourCc::HEVC, wide, &no_bits, &[], Some("H")),
        lie(
            "header",
            y4m,
            small,
            &pixels,
            &[(EXTRADATA, header), (EXTRADATA_BYTES, vec![50, 0])],
            Some("Y4M"),
        ),
        lie("no header", y4m, small, &pixels, &[], Some("YUV4MPEG2")),
        lie(
            "extradata",
            FourCc::H264,
            small,
            &no_bits,
            &[(EXTRADATA_BYTES, vec![0xff, 0xff])],
            None,
        ),
        lie(
            "rate",
            nv12,
            small,
            &pixels,
            &[(RATE, words(&[u64::MAX]))],
            None,
        ),
        lie(
            "no rate",
            nv12,
            small,
            &pixels,
            &[(RATE, words(&[1]))],
            None,
        ),
        lie(
            "number",
            nv12,
            small,
            &pixels,
            &[(NUMBER, words(&[u64::MAX])), (MISSED, words(&[u64::MAX]))],
            None,
        ),
        lie(
            "past",
            nv12,
            small,
            &pixels,
            &[(CAPTURED, words(&[1 << 63]))],
            None,
        ),
        lie(
            "future",
            nv12,
            small,
            &pixels,
            &[(CAPTURED, words(&[u64::MAX >> 1]))],
            None,
        ),
        lie(
            "head",
            nv12,
            small,
            &pixels,
            &[(HEAD, words(&[u64::MAX]))],
            None,
        ),
        lie(
            "first",
            nv12,
            small,
            &pixels,
            &[(FIRST, words(&[u64::MAX]))],
            None,
        ),
        lie(
            "key",
            FourCc::H264,
            small,
            &no_bits,
            &[(LAST_KEY, words(&[u64::MAX]))],
            None,
        ),
        lie(
            "reclaimed",
            nv12,
            small,
            &pixels,
            &[(RECLAIM, words(&[u64::MAX]))],
            None,
        ),
    ]
}

/// A place in which there is nothing but the ring that lies.
struct Liar {
    _writer: RingWriter,
    _rings: RingDirectory,
    system: System,
}

impl Liar {
    fn new(lie: &Lie) -> Self {
        let system = System::new();
        let rings = RingDirectory::create(&system.shm(), None).unwrap();
        let (width, height) = lie.size;
        let options = RingOptions {
            camera: PublicKey([7; 32]),
            label: Label::from_lossy(LABEL),
            stream: StreamId(0),
            kind: StreamKind::Video,
            instance: InstanceId([5; 16]),
            format: StreamFormat {
                fourcc: lie.fourcc,
                width,
                height,
                rate: FrameRate::from_whole(25),
            },
            extradata: Vec::new(),
            link: Link::Tcp,
            slots: u32::try_from(SLOTS).unwrap(),
            data_bytes: DATA_BYTES,
        };
        let mut writer = RingWriter::create(&rings, options).unwrap();
        assert!(writer.begin(lie.frame.len() as u64) && writer.write(&lie.frame));
        let now = Timestamp::now();
        assert!(writer.publish(&FrameMeta {
            number: FrameNumber(0),
            flags: FrameFlags::KEY,
            missed: 0,
            captured_at_source: now,
            captured: now,
            clock_error_ns: Some(0),
            received: now,
            published: now,
        }));
        let [path] = <[_; 1]>::try_from(system.rings()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        for (place, bytes) in &lie.changes {
            file.write_all_at(bytes, *place).unwrap();
        }
        // Nothing more comes, so that nobody waits for it.
        file.write_all_at(&words(&[CLOSED]), STATE).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
        Self {
            _writer: writer,
            _rings: rings,
            system,
        }
    }
}

/// What a program in Rust is told of a ring until it ends, at most four times.
fn told_in_rust(rings: &Path, policy: Policy, pixels: Pixels) -> Vec<String> {
    let camera = match Camera::open_in(rings, LABEL, Start::Oldest) {
        Ok(camera) => camera,
        Err(error) => return vec![error.to_string()],
    };
    let mut pictures = camera.decoded(pixels);
    let (mut told, begin) = (Vec::new(), Instant::now());
    for _ in 0..4 {
        match pictures.next(policy, Duration::from_millis(50)) {
            Ok(Some(decoded)) => {
                let bytes = decoded.picture().bytes();
                assert!(bytes.len() <= 1 << 20, "{} bytes", bytes.len());
                let _ = (decoded.missed(), decoded.frame().age());
                let _ = (decoded.frame().captured_date(), decoded.frame().missed());
            }
            Ok(None) | Err(Error::Ended) => break,
            Err(error) => told.push(error.to_string()),
        }
    }
    assert!(begin.elapsed() < PATIENCE);
    told
}

#[test]
fn a_ring_that_lies_is_an_error_for_programs_in_rust() {
    for lie in lies() {
        let liar = Liar::new(&lie);
        let rings = liar.system.shm();
        for policy in [Policy::Every, Policy::Latest, Policy::KeyFrames] {
            for pixels in [Pixels::Rgb, Pixels::Gray, Pixels::Planes] {
                let told = told_in_rust(&rings, policy, pixels);
                // A key frame that cannot be read is none.
                let is_told = policy == Policy::KeyFrames
                    || lie
                        .says
                        .is_none_or(|says| told.first().is_some_and(|first| first.contains(says)));
                assert!(is_told, "{} {policy:?}: {told:?}", lie.name);
                let is_camera_s = told.iter().any(|it| !it.starts_with("the frames"));
                let names_it = told.iter().all(|it| it.contains(LABEL));
                assert!(!is_camera_s || names_it, "{}: {told:?}", lie.name);
            }
        }
    }
}

#[test]
fn a_ring_that_lies_ends_no_program_in_c() {
    let folder = System::new();
    let program = build_program_in_c(folder.home());
    for lie in lies() {
        let liar = Liar::new(&lie);
        let output = program_in_c(&program, &liar.system.shm(), LABEL, 3).output();
        let output = output.unwrap();
        let said = text(&output.stdout);
        let is_well = output.status.success() && !said.contains("PANICKED");
        assert!(is_well, "{}: {output:?}", lie.name);
        if let Some(says) = lie.says {
            assert!(said.contains(says), "{}: {output:?}", lie.name);
        }
    }
}

#[test]
fn a_ring_that_lies_ends_no_command() {
    for lie in lies() {
        let liar = Liar::new(&lie);
        let file = liar.system.home().join("picture.png");
        let file = file.to_str().unwrap();
        for arguments in [
            &["ls", "--json"][..],
            &["ls"],
            &["snapshot", LABEL, file, "--stale-ok", "--timeout", "0.1"],
            &["pipe", LABEL, "--format", "rgb", "--count", "1"],
            &["pipe", LABEL],
            &["verify", LABEL, "--seconds", "0.1"],
        ] {
            let output = liar.system.sdvr(arguments);
            let said = text(&output.stderr);
            let ended = output.status.code();
            assert!(
                matches!(ended, Some(0..=2)) && !said.contains("panicked"),
                "{} {arguments:?}: signal {:?}, {output:?}",
                lie.name,
                output.status.signal()
            );
            assert!(!said.contains('\u{1b}'), "{}: {output:?}", lie.name);
        }
    }
}
