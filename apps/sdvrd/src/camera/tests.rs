use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::Receiver;

use sdvr_frame::{
    FourCc, FrameFlags, FrameNumber, FrameRate, InstanceId, StreamFormat, StreamKind,
};
use sdvr_ring::{RingDirectory, RingName, RingReader};
use sdvr_session::Limits;
use sdvr_session::for_tests::MediaHeader;
use sdvr_transport::Poller;

use super::*;
use crate::budget::Budget;
use crate::ring_keeper::RingKeeper;
use crate::shard::{ShardHandle, ToShard};

const KEY: PublicKey = PublicKey([7; 32]);
const MIB: u64 = 1 << 20;

/// Cameras with a real ring keeper, whose time is the test's.
struct Bench {
    _folder: tempfile::TempDir,
    _poller: Poller,
    directory: Arc<RingDirectory>,
    place: RingPlace,
    to_shard: Receiver<ToShard>,
    now: Timestamp,
}

impl Bench {
    fn new(memory_bytes: u64) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let directory = RingDirectory::create(&folder.path().join("rings"), None).unwrap();
        let directory = Arc::new(directory);
        let budget = Budget::new(memory_bytes);
        let (keeper, _) =
            RingKeeper::start(Arc::clone(&directory), Vec::new(), &budget, ()).unwrap();
        let (shard, to_shard, poller) = ShardHandle::for_tests();
        let place = RingPlace {
            keeper,
            shard,
            budget,
            ring_time: Duration::from_secs(2),
            counters: Arc::default(),
            orders: AtomicU64::new(0),
        };
        Self {
            _folder: folder,
            _poller: poller,
            directory,
            place,
            to_shard,
            now: Timestamp::now(),
        }
    }

    fn camera(&self, key: PublicKey) -> Camera {
        Camera::new(self.now, key, "camera".parse().unwrap())
    }

    fn ask(&self, camera: &mut Camera, open: &OpenStream) -> Opening {
        camera.open_stream(self.now, open, &self.place, &Limits::default())
    }

    /// The next ring that the keeper has made goes to its camera, which answers.
    fn deliver(&self, camera: &mut Camera) -> Option<StreamCode> {
        let ToShard::RingMade(made) = self.to_shard.recv().unwrap() else {
            panic!("the keeper makes rings only");
        };
        let answer = camera.ring_was_made(self.now, *made, &self.place);
        answer.map(|(_, code)| code)
    }

    fn open(&self, camera: &mut Camera, open: &OpenStream) {
        assert_eq!(self.ask(camera, open), Opening::Later);
        assert_eq!(self.deliver(camera), Some(StreamCode::Open));
    }

    /// Time passes for a camera that was heard last at `last_heard`.
    fn pass(
        &mut self,
        camera: &mut Camera,
        time: Duration,
        last_heard: Timestamp,
        is_connected: bool,
    ) -> Vec<(OpenStream, StreamCode)> {
        self.now = self.now + time;
        camera.handle_time(self.now, last_heard, is_connected, &self.place)
    }

    fn reader(&self, key: &PublicKey, stream: u16) -> Option<RingReader> {
        let name = RingName::new(key, StreamId(stream));
        RingReader::open(self.directory.as_fd(), &name).ok()
    }

    fn send(&self, camera: &mut Camera, stream: u16, frame: &[u8], part: std::ops::Range<usize>) {
        self.send_over(camera, stream, frame, part, None);
    }

    /// As [`Self::send`]; so many datagrams had to be sent again, if it came by datagrams.
    fn send_over(
        &self,
        camera: &mut Camera,
        stream: u16,
        frame: &[u8],
        part: std::ops::Range<usize>,
        retransmitted: Option<u64>,
    ) {
        let facts = (
            FrameNumber(0),
            Timestamp::from_nanoseconds(1),
            FrameFlags::KEY,
        );
        let frame_bytes = frame.len().try_into().unwrap();
        let fragment = MediaFragment {
            header: MediaHeader {
                is_first: part.start == 0,
                is_last: part.end == frame.len(),
                offset: part.start.try_into().unwrap(),
                ..MediaHeader::whole(StreamId(stream), facts, frame_bytes)
            },
            bytes: &frame[part],
            missed: 0,
            lost: 0,
            retransmitted,
        };
        camera.take(self.now, &fragment, &PeerClock::default(), &self.place);
    }
}

fn stream(number: u16, frame_kib: u32) -> OpenStream {
    OpenStream {
        stream: StreamId(number),
        kind: StreamKind::Video,
        instance: InstanceId([1; 16]),
        format: StreamFormat {
            fourcc: FourCc::YUYV,
            width: 0,
            height: 0,
            rate: FrameRate::from_whole(10),
        },
        frame_kib,
        parent: StreamId(0),
        latency_ms: 0,
        label: None,
        extradata: Vec::new(),
    }
}

#[test]
fn a_camera_that_never_comes_back_is_not_said_to_have_ended() {
    let mut bench = Bench::new(64 * MIB);
    let mut camera = bench.camera(KEY);
    bench.open(&mut camera, &stream(0, 64));
    let reader = bench.reader(&KEY, 0).unwrap();
    let last_heard = bench.now;
    camera.link_was_cut(bench.now, &bench.place);
    let mut seen = Vec::new();
    for seconds in [1, 60, 60, 500, 60] {
        let refused = bench.pass(&mut camera, Duration::from_secs(seconds), last_heard, false);
        assert_eq!(refused, []);
        seen.push(reader.state());
    }
    assert_eq!(
        seen,
        [
            StreamState::Stale,
            StreamState::Lost,
            StreamState::Lost,
            StreamState::Lost,
            StreamState::Moved
        ]
    );
    assert!(camera.is_empty() && bench.reader(&KEY, 0).is_none());
}

#[test]
fn a_camera_that_is_lost_stays_lost_when_its_link_is_cut() {
    let mut bench = Bench::new(64 * MIB);
    let mut camera = bench.camera(KEY);
    bench.open(&mut camera, &stream(0, 64));
    let reader = bench.reader(&KEY, 0).unwrap();
    let last_heard = bench.now;
    let _ = bench.pass(&mut camera, LOST_AFTER, last_heard, true);
    assert_eq!(reader.state(), StreamState::Lost);
    camera.link_was_cut(bench.now, &bench.place);
    assert_eq!(reader.state(), StreamState::Lost);
    // The same run goes on, in the same ring.
    assert_eq!(
        bench.ask(&mut camera, &stream(0, 64)),
        Opening::Now(StreamCode::Open)
    );
    assert_eq!(reader.state(), StreamState::Live);
}

#[test]
fn a_ring_that_nobody_wants_any_more_leaves_the_one_that_streams_its_name() {
    let next = PublicKey([8; 32]);
    for changes in [
        // It is made, and before that is known here, the link is cut, or its camera comes with another key.
        (|bench, camera| camera.link_was_cut(bench.now, &bench.place)) as fn(&Bench, &mut Camera),
        |bench, camera| camera.has_key(bench.now, PublicKey([8; 32]), &bench.place),
    ] {
        let bench = Bench::new(64 * MIB);
        let mut camera = bench.camera(KEY);
        bench.open(&mut camera, &stream(0, 64));
        assert_eq!(bench.ask(&mut camera, &stream(0, 128)), Opening::Later);
        changes(&bench, &mut camera);
        assert_eq!(camera.had_key(KEY), camera.key == next);
        assert_eq!(bench.deliver(&mut camera), None);
        // What streams has its name again, at once.
        assert_eq!(bench.deliver(&mut camera), None);
        assert_eq!(
            bench.ask(&mut camera, &stream(0, 64)),
            Opening::Now(StreamCode::Open)
        );
        bench.send(&mut camera, 0, &[5; 100], 0..100);
        assert_eq!(bench.reader(&KEY, 0).unwrap().head(), 1);
        assert!(bench.reader(&next, 0).is_none());
    }
}

#[test]
fn a_stream_goes_over_to_another_ring_between_two_frames_whatever_others_do() {
    let bench = Bench::new(64 * MIB);
    let mut camera = bench.camera(KEY);
    bench.open(&mut camera, &stream(0, 64));
    bench.send(&mut camera, 0, &[5; 100], 0..50);
    let name = RingName::new(&KEY, StreamId(0));
    let path = bench._folder.path().join("rings").join(name.as_str());
    std::fs::remove_file(path).unwrap();
    camera.restore_rings(bench.now, &bench.place);
    assert_eq!(bench.deliver(&mut camera), None);
    bench.open(&mut camera, &stream(1, 64));
    bench.open(&mut camera, &stream(1, 128));
    camera.close_stream(bench.now, StreamId(1), &bench.place);
    bench.send(&mut camera, 0, &[5; 100], 50..100);
    assert_eq!(bench.reader(&KEY, 0).unwrap().head(), 1);
}

#[test]
fn a_stream_for_which_no_room_is_made_is_refused_after_some_seconds() {
    let mut bench = Bench::new(8 * MIB);
    let mut cameras = [7, 8, 9, 10].map(|byte| bench.camera(PublicKey([byte; 32])));
    let [there @ .., late] = &mut cameras;
    for camera in &mut *there {
        bench.open(camera, &stream(0, 600));
    }
    // For the keeper, that is in ten minutes: the memory is promised, and does not come.
    bench.now = bench.now + Duration::from_secs(600);
    there[0].close_all(bench.now, &bench.place);
    assert_eq!(bench.ask(late, &stream(0, 600)), Opening::Later);
    assert!(!late.is_empty());
    let heard = bench.now;
    let pass = |bench: &mut Bench, late: &mut Camera, time| {
        let answers = bench.pass(late, time, heard, true);
        let codes = answers.iter().map(|(open, code)| (open.stream, *code));
        codes.collect::<Vec<_>>()
    };
    assert_eq!(pass(&mut bench, late, Duration::from_secs(1)), []);
    let refused = (StreamId(0), StreamCode::NoMemory);
    assert_eq!(pass(&mut bench, late, Duration::from_secs(4)), [refused]);
    assert!(late.is_empty());
}

#[test]
fn the_ring_of_a_former_run_makes_room_for_the_next_run() {
    let mut bench = Bench::new(8 * MIB);
    let mut cameras = [KEY, PublicKey([8; 32]), PublicKey([9; 32])].map(|key| bench.camera(key));
    for camera in &mut cameras {
        bench.open(camera, &stream(0, 600));
    }
    let reader = bench.reader(&KEY, 0).unwrap();
    let [camera, ..] = &mut cameras;
    // It was killed, and has not said that it ended.
    camera.link_was_cut(bench.now, &bench.place);
    let mut anew = stream(0, 600);
    anew.instance = InstanceId([2; 16]);
    assert_eq!(bench.ask(camera, &anew), Opening::Later);
    assert_eq!(reader.state(), StreamState::Moved);
    while bench.place.budget.total_room().free_bytes < 3 * MIB {
        std::thread::sleep(Duration::from_millis(20));
    }
    let heard = bench.now;
    assert_eq!(
        bench.pass(camera, Duration::from_millis(100), heard, true),
        []
    );
    assert_eq!(bench.deliver(camera), Some(StreamCode::Open));
}

#[test]
fn packets_that_were_sent_again_are_counted_over_sessions_and_told_only_where_they_are_seen() {
    let bench = Bench::new(64 * MIB);
    let mut camera = bench.camera(KEY);
    bench.open(&mut camera, &stream(0, 64));
    let reader = bench.reader(&KEY, 0).unwrap();
    assert_eq!(reader.retransmitted(), None);
    for (sent_again, told) in [
        (Some(0), Some(0)),
        (Some(3), Some(3)),
        // It has come by TCP, and by UDP again.
        (None, None),
        (Some(4), Some(7)),
    ] {
        bench.send_over(&mut camera, 0, &[1; 64], 0..64, sent_again);
        assert_eq!(reader.retransmitted(), told);
    }
}
