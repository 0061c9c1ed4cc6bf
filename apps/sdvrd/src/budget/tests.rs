use std::time::Duration;

use sdvr_frame::{FourCc, FrameRate, StreamFormat};

use super::*;
use crate::depth::Reach;
use crate::sizing::{least_ring_size, ring_size};

const FORMAT: StreamFormat = StreamFormat {
    fourcc: FourCc::BNCH,
    width: 0,
    height: 0,
    rate: FrameRate::from_whole(5),
};

/// A camera with one ring, or that waits for it.
struct Camera {
    account: Account,
    frame_bytes: u64,
    ring: Option<(RingSize, Share)>,
    ticket: Option<Ticket>,
}

impl Camera {
    fn new(frame_bytes: u64) -> Self {
        Self {
            account: Account::default(),
            frame_bytes,
            ring: None,
            ticket: None,
        }
    }

    fn least(&self) -> RingSize {
        least_ring_size(&FORMAT, self.frame_bytes).unwrap()
    }

    /// Asks for a ring; false when there will be none.
    fn ask(&mut self, budget: &Budget, effort: Effort) -> bool {
        let wish = Wish {
            account: &self.account,
            instead_of: self.ring.as_ref().map(|(_, share)| share),
            least: self.least(),
            choose: |room| {
                let time = Duration::from_secs(2);
                ring_size(&FORMAT, self.frame_bytes, time, Reach::default(), room)
            },
        };
        match budget.reserve(&wish, self.ticket.take(), effort) {
            Reserved::Now(size, share) => self.ring = Some((size, share)),
            Reserved::Soon(ticket) => self.ticket = Some(ticket),
            Reserved::Never => return false,
        }
        true
    }

    /// Does what it is asked for; the ring that it has no more is given back at once.
    fn grant(&mut self, budget: &Budget) {
        let Some((size, share)) = &self.ring else {
            return;
        };
        match share.plea() {
            None => {}
            Some(Plea::GiveUp) => self.ring = None,
            Some(Plea::Halve) => {
                let half = size.halved();
                if let Some(share) = budget.exchange(half, &self.account, share) {
                    self.ring = Some((half, share));
                }
            }
        }
    }

    fn data_kib(&self) -> u64 {
        self.ring
            .as_ref()
            .map_or(0, |(size, _)| size.data_bytes >> 10)
    }
}

/// Lets one camera after the other come until one is refused, and gives all that have rings.
fn crowd(budget: &Budget, frame_bytes: impl Fn(usize) -> u64) -> Vec<Camera> {
    let mut cameras: Vec<Camera> = Vec::new();
    loop {
        let mut camera = Camera::new(frame_bytes(cameras.len()));
        let mut turns = 0;
        loop {
            if !camera.ask(budget, Effort::MakeRoom) {
                return cameras;
            }
            let room = budget.total_room();
            assert!(room.free_bytes <= room.total_bytes);
            if camera.ring.is_some() {
                break;
            }
            turns += 1;
            assert!(turns < 20, "camera {} waits for ever", cameras.len());
            cameras.iter_mut().for_each(|camera| camera.grant(budget));
        }
        cameras.push(camera);
    }
}

#[test]
fn equal_cameras_all_get_in_as_long_as_the_smallest_rings_fit() {
    for (total_bytes, frame_bytes, most) in [
        (34 << 20, 1_000_000, 8),
        (33 << 20, 500_000, 16),
        (33 << 20, 4_147_200, 2),
        (512 << 20, 100_000, 1000),
    ] {
        let budget = Budget::new(total_bytes);
        let cameras = crowd(&budget, |_| frame_bytes);
        let fit = total_bytes / Camera::new(frame_bytes).least().total_bytes();
        assert_eq!(cameras.len() as u64, fit, "{frame_bytes}");
        assert!(fit >= most, "{frame_bytes}: {fit}");
        assert!(!budget.has_pleas());
    }
}

#[test]
fn cameras_with_frames_of_different_lengths_all_get_in_as_long_as_the_smallest_rings_fit() {
    const LENGTHS: [u64; 7] = [
        20_000, 1_500_000, 100_000, 700_000, 3000, 300_000, 2_500_000,
    ];
    for offset in 0..LENGTHS.len() {
        let total_bytes = 128 << 20;
        let budget = Budget::new(total_bytes);
        let length = |number: usize| LENGTHS[(number * 3 + offset) % LENGTHS.len()];
        let cameras = crowd(&budget, length);
        let least = |camera: &Camera| camera.least().total_bytes();
        let used: u64 = cameras.iter().map(least).sum();
        let next = least(&Camera::new(length(cameras.len())));
        assert!(used + next > total_bytes, "{used} and {next} fit");
    }
}

#[test]
fn the_deepest_rings_become_smaller_and_none_is_made_deeper_by_it() {
    let budget = Budget::new(34 << 20);
    let mut cameras: Vec<Camera> = (0..5).map(|_| Camera::new(1_000_000)).collect();
    for camera in &mut cameras[..4] {
        assert!(camera.ask(&budget, Effort::MakeRoom));
    }
    let depths = |cameras: &[Camera]| -> Vec<u64> {
        cameras
            .iter()
            .map(|camera| camera.data_kib() >> 10)
            .collect()
    };
    assert_eq!(depths(&cameras), [8, 8, 8, 4, 0]);
    assert!(cameras[4].ask(&budget, Effort::MakeRoom) && budget.has_pleas());
    cameras.iter_mut().for_each(|camera| camera.grant(&budget));
    assert!(cameras[4].ask(&budget, Effort::MakeRoom));
    let mut after = depths(&cameras);
    after.sort_unstable();
    assert_eq!(after, [4, 4, 4, 8, 8]);
    assert!(!budget.has_pleas(), "nobody waits");
    // What would not fit is not granted to one that is there already.
    for camera in &cameras {
        let before = camera.data_kib();
        let wish = Wish {
            account: &camera.account,
            instead_of: camera.ring.as_ref().map(|(_, share)| share),
            least: camera.least(),
            choose: |room| {
                let time = Duration::from_secs(2);
                ring_size(&FORMAT, 1_000_000, time, Reach::default(), room)
            },
        };
        if let Reserved::Now(size, _) = budget.reserve(&wish, None, Effort::TakeSpare) {
            assert!(size.data_bytes >> 10 <= before);
        }
    }
}

#[test]
fn a_ring_that_has_ended_is_not_in_the_way_of_the_camera_s_next() {
    let budget = Budget::new(64 << 20);
    let mut camera = Camera::new(4_000_000);
    assert!(camera.ask(&budget, Effort::MakeRoom));
    assert_eq!(camera.data_kib(), 16 << 10);
    let mut leaving = Vec::new();
    // Each time as large as the first: at once, or when the memory is given back.
    for _ in 0..10 {
        let (_, share) = camera.ring.take().unwrap();
        share.leave();
        leaving.push(share);
        assert!(camera.ask(&budget, Effort::MakeRoom));
        if camera.ring.is_none() {
            assert!(!budget.has_pleas());
            leaving.clear();
            assert!(camera.ask(&budget, Effort::MakeRoom));
        }
        assert_eq!(camera.data_kib(), 16 << 10);
    }
}

#[test]
fn what_has_ended_and_is_in_the_way_of_others_is_waited_for() {
    let budget = Budget::new(33 << 20);
    let mut cameras: Vec<Camera> = (0..3).map(|_| Camera::new(4_147_200)).collect();
    for camera in &mut cameras[..2] {
        assert!(camera.ask(&budget, Effort::MakeRoom));
    }
    assert!(!cameras[2].ask(&budget, Effort::MakeRoom));
    let (_, share) = cameras[0].ring.take().unwrap();
    share.leave();
    assert!(cameras[2].ask(&budget, Effort::MakeRoom));
    assert!(cameras[2].ring.is_none());
    drop(share);
    // It came first, and has it; the other one was there before, and has to see.
    assert!(!cameras[0].ask(&budget, Effort::TakeAny));
    assert!(cameras[2].ask(&budget, Effort::MakeRoom));
    assert!(cameras[2].ring.is_some());
}

#[test]
fn lost_cameras_give_up_as_many_rings_as_are_needed_those_first_that_are_lost_longest() {
    let budget = Budget::new(8 << 20);
    let mut cameras: Vec<Camera> = (0..3).map(|_| Camera::new(600_000)).collect();
    for camera in &mut cameras {
        assert!(camera.ask(&budget, Effort::MakeRoom));
    }
    for index in [1, 0, 2] {
        cameras[index].ring.as_ref().unwrap().1.set_lost(true);
    }
    let pleas = |cameras: &[Camera]| -> Vec<bool> {
        let shares = cameras.iter().filter_map(|camera| camera.ring.as_ref());
        shares
            .map(|(_, share)| share.plea() == Some(Plea::GiveUp))
            .collect()
    };
    // More than a camera may have, whatever others give.
    assert!(!Camera::new(2_000_000).ask(&budget, Effort::MakeRoom));
    assert_eq!(pleas(&cameras), [false; 3]);
    let mut late = Camera::new(600_000);
    assert!(late.ask(&budget, Effort::MakeRoom));
    assert_eq!(pleas(&cameras), [false, true, false]);
    // It comes back just now, and another one has to give.
    cameras[1].ring.as_ref().unwrap().1.set_lost(false);
    assert!(late.ask(&budget, Effort::MakeRoom));
    assert_eq!(pleas(&cameras), [true, false, false]);
    // Who waits goes away, and nothing is needed any more.
    drop(late);
    assert_eq!(pleas(&cameras), [false; 3]);
    assert!(!budget.has_pleas());
}

#[test]
fn who_came_first_has_the_memory_first() {
    let budget = Budget::new(8 << 20);
    let mut there: Vec<Camera> = (0..3).map(|_| Camera::new(600_000)).collect();
    for camera in &mut there {
        assert!(camera.ask(&budget, Effort::MakeRoom));
        camera.ring.as_ref().unwrap().1.set_lost(true);
    }
    let (mut first, mut second) = (Camera::new(600_000), Camera::new(600_000));
    assert!(first.ask(&budget, Effort::MakeRoom) && second.ask(&budget, Effort::MakeRoom));
    there[0].grant(&budget);
    assert!(second.ask(&budget, Effort::MakeRoom));
    assert!(second.ring.is_none());
    assert!(first.ask(&budget, Effort::MakeRoom));
    assert!(first.ring.is_some());
    there[1].grant(&budget);
    assert!(second.ask(&budget, Effort::MakeRoom));
    assert!(second.ring.is_some());
    assert!(there[2].ring.is_some(), "nobody needs it");
}

#[test]
fn a_ring_that_cannot_be_made_smaller_is_not_asked_for_again() {
    let budget = Budget::new(34 << 20);
    let mut cameras: Vec<Camera> = (0..5).map(|_| Camera::new(1_000_000)).collect();
    let asked = |cameras: &[Camera]| {
        let is_asked = |camera: &Camera| {
            let share = camera.ring.as_ref().map(|(_, share)| share);
            share.is_some_and(|share| share.plea() == Some(Plea::Halve))
        };
        cameras.iter().position(is_asked)
    };
    for camera in &mut cameras {
        assert!(camera.ask(&budget, Effort::MakeRoom));
    }
    let mut declined = Vec::new();
    while let Some(index) = asked(&cameras) {
        cameras[index].ring.as_ref().unwrap().1.decline();
        assert!(!declined.contains(&index));
        declined.push(index);
        let _ = cameras[4].ask(&budget, Effort::MakeRoom);
    }
    declined.sort_unstable();
    assert_eq!(declined, [0, 1, 2]);
    // Nothing has to be kept any more for making rings smaller.
    assert!(cameras[4].ring.is_some());
}

#[test]
fn what_an_earlier_daemon_has_left_counts_as_far_as_the_budget_goes() {
    let budget = Budget::new(33 << 20);
    let left = [budget.take_over(20 << 20), budget.take_over(20 << 20)];
    let used = |budget: &Budget| {
        let room = budget.total_room();
        room.total_bytes - room.free_bytes
    };
    assert_eq!(used(&budget), 33 << 20);
    assert!(budget.take_over(20 << 20).is_none());
    // It is waited for.
    let mut camera = Camera::new(1_000_000);
    assert!(camera.ask(&budget, Effort::MakeRoom) && camera.ring.is_none());
    drop(left);
    assert_eq!(used(&budget), 0);
    assert!(camera.ask(&budget, Effort::MakeRoom) && camera.ring.is_some());
}
