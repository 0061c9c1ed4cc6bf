//! Frames that are copied or decoded later than they are given: they are what they were said to be, or nothing.

mod daemon;

use daemon::{Daemon, PATIENCE, SLOTS};
use sdvr::{
    Camera, FourCc, FrameFlags, FrameRate, Picture, Pixels, Policy, Start, StreamFormat, Unread,
};

fn open(daemon: &Daemon) -> Camera {
    Camera::open_in(daemon.path(), "door", Start::Oldest).expect("it is there")
}

#[track_caller]
fn next(camera: &mut Camera) -> Unread {
    let unread = camera.next_unread(Policy::Every, PATIENCE).expect("no end");
    unread.expect("a frame comes in time")
}

#[track_caller]
fn read(camera: &Camera, unread: &Unread) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    camera.read_into(unread, &mut bytes).then_some(bytes)
}

#[test]
fn a_frame_that_was_not_copied_can_be_read_until_it_is_overwritten() {
    let daemon = Daemon::new();
    let mut run = daemon.open("door", 7, 1);
    run.publish([3, 5]);
    let mut camera = open(&daemon);
    let (first, second) = (next(&mut camera), next(&mut camera));
    assert_eq!((first.about().number().0, first.about().missed()), (3, 0));
    assert_eq!((second.about().number().0, second.about().missed()), (5, 1));
    assert_eq!(first.about().bytes(), b"");
    assert_eq!(first.len(), 8);
    let seen = camera.look_at(&first, |words| words.iter().collect::<Vec<u64>>());
    assert_eq!(seen, Some(vec![3]));
    // In any order, and again.
    for _ in 0..2 {
        assert_eq!(read(&camera, &second), Some(5_u64.to_ne_bytes().to_vec()));
        assert_eq!(read(&camera, &first), Some(3_u64.to_ne_bytes().to_vec()));
    }
    run.publish(6..6 + 2 * u64::from(SLOTS));
    assert_eq!(read(&camera, &first), None);
    assert_eq!(camera.look_at(&second, |_| ()), None);
}

#[test]
fn a_frame_of_another_ring_is_not_taken_for_it() {
    let daemon = Daemon::new();
    let mut run = daemon.open("door", 7, 1);
    run.publish([0]);
    let mut camera = open(&daemon);
    let of_first_run = next(&mut camera);
    run.ring.set_state(sdvr::StreamState::Moved);
    let mut run = daemon.open("door", 7, 2);
    run.publish([0]);
    let of_second_run = next(&mut camera);
    assert_eq!(read(&camera, &of_first_run), None);
    assert!(read(&camera, &of_second_run).is_some());
}

#[test]
fn frames_that_need_no_other_are_given_undecoded() {
    let daemon = Daemon::new();
    let format = StreamFormat {
        fourcc: FourCc::GREY,
        width: 4,
        height: 2,
        rate: FrameRate::from_whole(30),
    };
    let mut run = daemon.open_with("door", 1, format);
    let mut pictures = open(&daemon).decoded(Pixels::Gray);
    let mut picture = Picture::default();
    let mut memory = None;
    for number in [0, 1, 4] {
        // The second is damaged, which only who decodes it would notice.
        let bytes = if number == 1 {
            &b"short"[..]
        } else {
            b"12345678"
        };
        run.publish_bytes(number, FrameFlags::KEY, bytes);
        let deferred = pictures.next_deferred(Policy::Every, PATIENCE, &mut picture);
        let deferred = deferred.expect("no end").expect("a frame comes in time");
        assert!(!deferred.is_decoded);
        assert_eq!(deferred.frame.bytes(), bytes);
        assert_eq!(deferred.missed, if number == 4 { 2 } else { 0 });
        let place = deferred.frame.bytes().as_ptr();
        assert_eq!(*memory.get_or_insert(place), place, "it is used again");
        pictures.give_back(deferred.frame);
    }
    assert_eq!(picture, Picture::default());
}
