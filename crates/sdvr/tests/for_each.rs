//! Work is done for every camera that comes, on a thread of its own, and ends when the camera goes.

mod daemon;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use daemon::{Daemon, PATIENCE};
use sdvr::{Camera, EachCamera, Error, Policy, StreamState, for_each_camera_in};
#[cfg(feature = "decode")]
use sdvr::{FourCc, FrameRate, Pixels, StreamFormat};

const MOMENT: Duration = Duration::from_millis(900);

/// What the work says, by the camera's label.
type Said = (String, String);

struct Heard(Receiver<Said>);

impl Heard {
    #[track_caller]
    fn hears(&self, label: &str, expected: &str) {
        let (from, said) = self.0.recv_timeout(PATIENCE).expect("it is said in time");
        assert_eq!((from.as_str(), said.as_str()), (label, expected));
    }

    #[track_caller]
    fn hears_nothing(&self) {
        if let Ok(said) = self.0.recv_timeout(MOMENT) {
            panic!("{said:?}");
        }
    }
}

/// Says that it begins, each frame with what was missed before it, and that it ends.
fn follow(say: Sender<Said>) -> impl Fn(Camera) + Send + Sync + 'static {
    move |mut camera| {
        let label = camera.label().to_owned();
        assert_eq!(std::thread::current().name(), Some(label.as_str()));
        let say = |said: String| {
            let _ = say.send((label.clone(), said));
        };
        say("begins".to_owned());
        for frame in camera.frames(Policy::Every) {
            let frame = frame.expect("no error");
            say(match frame.missed() + frame.missed_between_runs() {
                0 => frame.number().to_string(),
                missed => format!("{} after {missed} others", frame.number()),
            });
        }
        assert!(camera.has_gone());
        say("ends".to_owned());
    }
}

#[test]
fn each_camera_has_its_work_until_it_goes_and_again_when_it_comes_back() {
    let daemon = Daemon::new();
    let mut door = daemon.open("door", 1, 1);
    door.publish([0]);
    let (say, heard) = channel();
    let heard = Heard(heard);
    let running = EachCamera::new()
        .in_directory(daemon.path())
        .start(follow(say))
        .expect("there is room");
    // It was there: with its next frame.
    heard.hears("door", "begins");
    door.publish([1]);
    heard.hears("door", "1");
    // One that comes: from its first on.
    let mut window = daemon.open("window", 2, 1);
    window.publish([0, 1]);
    heard.hears("window", "begins");
    heard.hears("window", "0");
    heard.hears("window", "1");

    // Lost, and back in the same run: what was published meanwhile is there, as far as the ring goes back.
    door.ring.set_state(StreamState::Lost);
    heard.hears("door", "ends");
    door.publish([2, 3]);
    heard.hears_nothing();
    door.publish([7]);
    door.ring.set_state(StreamState::Live);
    heard.hears("door", "begins");
    heard.hears("door", "2");
    heard.hears("door", "3");
    heard.hears("door", "7 after 3 others");

    // Ended, with a last frame; and a new run.
    window.publish([2]);
    heard.hears("window", "2");
    window.ring.set_state(StreamState::Closed);
    heard.hears("window", "ends");
    let mut window = daemon.open("window", 2, 2);
    window.publish([0]);
    heard.hears("window", "begins");
    heard.hears("window", "0");

    // Killed.
    drop(window);
    heard.hears("window", "ends");
    running.stop();
    heard.hears("door", "ends");
    let _later = daemon.open("later", 3, 1);
    heard.hears_nothing();
}

#[test]
fn a_panic_ends_only_its_own_work_and_is_told() {
    let daemon = Daemon::new();
    let (say, heard) = channel();
    let heard = Heard(heard);
    let (tell, told) = channel();
    let work = follow(say);
    let running = EachCamera::new()
        .in_directory(daemon.path())
        .on_panic(move |camera, message| {
            let _ = tell.send((camera.label.to_string(), message.to_owned()));
        })
        .start(move |mut camera| {
            if camera.label() == "bad" {
                let frame = camera.next(Policy::Every, PATIENCE);
                panic!("not with frame {}", frame.unwrap().unwrap().number());
            }
            work(camera);
        })
        .expect("there is room");
    let told = Heard(told);
    let mut good = daemon.open("good", 1, 1);
    heard.hears("good", "begins");
    let mut bad = daemon.open("bad", 2, 1);
    bad.publish([0, 1]);
    told.hears("bad", "not with frame 0");
    good.publish([0]);
    heard.hears("good", "0");
    // Not again and again, but when it comes again.
    told.hears_nothing();
    bad.ring.set_state(StreamState::Lost);
    told.hears_nothing();
    bad.ring.set_state(StreamState::Live);
    told.hears("bad", "not with frame 1");
    running.stop();
    heard.hears("good", "ends");
}

#[test]
fn only_those_that_are_wanted_are_worked_for() {
    let daemon = Daemon::new();
    let (say, heard) = channel();
    let heard = Heard(heard);
    let running = EachCamera::new()
        .in_directory(daemon.path())
        .only(|camera| camera.label.as_str().starts_with("door"))
        .start(follow(say))
        .expect("there is room");
    let _window = daemon.open("window", 1, 1);
    heard.hears_nothing();
    let _door = daemon.open("door-1", 2, 1);
    heard.hears("door-1", "begins");
    heard.hears_nothing();
    running.stop();
    heard.hears("door-1", "ends");
}

/// Such work would be over although the camera is there: nobody is told of a run that ends when the next one has begun already.
#[test]
fn work_that_ends_with_a_run_is_done_for_the_next_one_too() {
    let daemon = Daemon::new();
    let mut door = daemon.open("door", 1, 1);
    let (say, heard) = channel();
    let heard = Heard(heard);
    let running = EachCamera::new()
        .in_directory(daemon.path())
        .start(move |mut camera| {
            let label = camera.label().to_owned();
            let _ = say.send((label.clone(), "begins".to_owned()));
            let mut frames = 0;
            let end = loop {
                match camera.next(Policy::Every, Duration::from_millis(50)) {
                    Ok(Some(_)) => frames += 1,
                    Ok(None) if camera.has_gone() => break "gone",
                    Ok(None) => {}
                    Err(Error::Ended) => break "ended",
                    Err(_) => break "failed",
                }
            };
            let _ = say.send((label, format!("{frames} {end}")));
        })
        .expect("there is room");
    heard.hears("door", "begins");
    door.publish([0, 1]);
    door.ring.set_state(StreamState::Closed);
    let mut next = daemon.open("door", 1, 2);
    next.publish([0, 1, 2]);
    heard.hears("door", "2 ended");
    heard.hears("door", "begins");
    heard.hears_nothing();
    running.stop();
    heard.hears("door", "3 gone");
}

#[test]
fn work_that_is_done_earlier_is_not_done_again_while_the_camera_is_there() {
    let daemon = Daemon::new();
    let mut door = daemon.open("door", 1, 1);
    let (say, heard) = channel();
    let heard = Heard(heard);
    // The one that blocks; it goes on until the process ends.
    let path: PathBuf = daemon.path().to_owned();
    std::thread::spawn(move || {
        for_each_camera_in(&path, move |camera| {
            let _ = say.send((camera.label().to_owned(), "done".to_owned()));
        })
    });
    heard.hears("door", "done");
    door.publish([0]);
    heard.hears_nothing();
    door.ring.set_state(StreamState::Lost);
    heard.hears_nothing();
    door.ring.set_state(StreamState::Live);
    heard.hears("door", "done");
}

#[test]
fn work_is_told_to_end_when_its_handle_is_dropped() {
    let daemon = Daemon::new();
    let _door = daemon.open("door", 1, 1);
    let (say, heard) = channel();
    let heard = Heard(heard);
    let running = EachCamera::new()
        .in_directory(daemon.path())
        .start(follow(say))
        .expect("there is room");
    heard.hears("door", "begins");
    drop(running);
    heard.hears("door", "ends");
}

/// Stops work that takes longer for a frame than the camera takes for the next one.
#[track_caller]
fn work_that_is_too_slow_stops(work: impl Fn(Camera, &dyn Fn()) + Send + Sync + 'static) {
    let daemon = Daemon::new();
    let mut door = daemon.open("door", 1, 1);
    let (say, said) = channel();
    let running = EachCamera::new()
        .in_directory(daemon.path())
        .start(move |camera| {
            let (begun, say) = (AtomicBool::new(false), say.clone());
            let take_long = || {
                if !begun.swap(true, Ordering::Relaxed) {
                    let _ = say.send("begun");
                }
                std::thread::sleep(Duration::from_millis(20));
            };
            work(camera, &take_long);
        })
        .expect("there is room");
    let must_end = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                door.publish([number]);
                std::thread::sleep(Duration::from_millis(2));
                if must_end.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        assert_eq!(said.recv_timeout(PATIENCE), Ok("begun"));
        let (tell, told) = channel();
        std::thread::spawn(move || {
            running.stop();
            let _ = tell.send(());
        });
        let stopped = told.recv_timeout(PATIENCE);
        must_end.store(true, Ordering::Relaxed);
        assert!(stopped.is_ok(), "the work does not end");
    });
}

#[test]
fn work_stops_that_is_slower_than_its_camera() {
    for policy in [Policy::Every, Policy::Latest] {
        work_that_is_too_slow_stops(move |mut camera, take_long| {
            for frame in camera.frames(policy) {
                frame.expect("no error");
                take_long();
            }
            assert!(camera.has_gone());
        });
    }
}

#[test]
fn who_asks_for_frames_himself_is_told_that_there_are_no_more() {
    work_that_is_too_slow_stops(|mut camera, take_long| {
        loop {
            match camera.next(Policy::Every, 100 * PATIENCE) {
                Ok(Some(_)) => take_long(),
                Ok(None) if camera.has_gone() => break,
                other => panic!("{other:?}"),
            }
        }
    });
}

#[cfg(feature = "decode")]
#[test]
fn pictures_end_when_their_camera_goes() {
    let daemon = Daemon::new();
    let format = StreamFormat {
        fourcc: FourCc::GREY,
        width: 8,
        height: 1,
        rate: FrameRate::from_whole(25),
    };
    let mut door = daemon.open_with("door", 1, format);
    let (say, heard) = channel();
    let heard = Heard(heard);
    let running = EachCamera::new()
        .in_directory(daemon.path())
        .start(move |camera| {
            let mut pictures = camera.decoded(Pixels::Gray);
            let say = |said: String| {
                let _ = say.send(("door".to_owned(), said));
            };
            say("begins".to_owned());
            for decoded in pictures.frames(Policy::Every) {
                let decoded = decoded.expect("no error");
                say(decoded.frame().number().to_string());
            }
            say("ends".to_owned());
        })
        .expect("there is room");
    heard.hears("door", "begins");
    door.publish([0]);
    heard.hears("door", "0");
    door.ring.set_state(StreamState::Lost);
    heard.hears("door", "ends");
    door.ring.set_state(StreamState::Live);
    heard.hears("door", "begins");
    door.publish([1]);
    heard.hears("door", "1");
    running.stop();
    heard.hears("door", "ends");
}
