//! Power cuts: client, daemon and consumer are killed at random points, again and again, and everything comes back by itself.
//!
//! `SDVR_KILLS` says how often each (50 by default), `SDVR_SEED` repeats a run's moments as far as the scheduler lets it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sdvr::{Camera, InstanceId, Policy, StreamState};
use sdvr_frame::{bench_frame, percentile};
use sdvr_ring::{RingName, RingReader, open_directory};
use sdvr_tests::{PATIENCE, Running, System, wait_until};
use sdvr_trust::for_tests::{parse_known_cameras, parse_known_servers};

/// Frames that take long enough to write that kills hit their middle.
const SOURCE: &str = "test:?format=BNCH&bytes=200000&fps=100";
const LABELS: [&str; 2] = ["left", "right"];

#[test]
fn killed_clients_come_back() {
    let mut moments = Moments::new("clients");
    let system = System::with_daemon();
    let mut clients = LABELS.map(|label| system.start_client(label, SOURCE, &[]));
    let consumers = LABELS.map(|label| Consumer::start(&system, label));
    for consumer in &consumers {
        consumer.wait_for_new_frames();
    }
    let mut program = start_verifying(&system, LABELS[0]);
    let mut back = Distribution::default();
    for round in 0..kills() {
        assert!(program.runs(), "{}", program.log());
        let index = round % LABELS.len();
        moments.pass();
        clients[index].kill();
        let start = Instant::now();
        clients[index] = system.start_client(LABELS[index], SOURCE, &[]);
        consumers[index].wait_for_another_instance();
        back.take(start.elapsed());
        assert_everything_is_remembered(&system, &LABELS);
        assert_no_stale_ring(&system, LABELS.len());
    }
    back.print("frames again after the kill of a client");
    assert_verified(program);
    assert_clean_end(consumers);
}

#[test]
fn a_killed_daemon_comes_back() {
    let mut moments = Moments::new("daemon");
    let mut system = System::with_daemon();
    let mut clients = LABELS.map(|label| system.start_client(label, SOURCE, &[]));
    let consumers = LABELS.map(|label| Consumer::start(&system, label));
    for consumer in &consumers {
        consumer.wait_for_new_frames();
    }
    let mut program = start_verifying(&system, LABELS[0]);
    let (mut noticed, mut back) = (Distribution::default(), Distribution::default());
    for _ in 0..kills() {
        assert!(program.runs(), "{}", program.log());
        moments.pass();
        system.kill_daemon();
        let killed = Instant::now();
        for consumer in &consumers {
            consumer.wait_for_death_of_the_daemon();
        }
        noticed.take(killed.elapsed());
        let start = Instant::now();
        system.start_daemon(&[]);
        for consumer in &consumers {
            consumer.wait_for_new_frames();
        }
        back.take(start.elapsed());
        assert_everything_is_remembered(&system, &LABELS);
        assert_no_stale_ring(&system, LABELS.len());
    }
    noticed.print("consumers have noticed the death of the daemon after");
    back.print("frames again after the restart of the daemon");
    assert_verified(program);
    for (client, consumer) in clients.iter_mut().zip(&consumers) {
        assert!(client.runs(), "{}", client.log());
        assert_eq!(
            consumer.seen.instances.load(Ordering::Relaxed),
            1,
            "the source never stopped"
        );
    }
    assert_clean_end(consumers);
}

#[test]
fn a_daemon_killed_while_it_meets_cameras_loses_nobody() {
    // The pins are written when cameras come: so new ones come all the time.
    let mut moments = Moments::new("pins");
    let mut system = System::with_daemon();
    let mut known = Vec::new();
    for round in 0..kills() / 2 {
        let label = format!("new-{round}");
        let client = system.start_client(&label, "test:?format=BNCH&bytes=1000&fps=20", &[]);
        moments.pass_within(Duration::from_millis(120));
        system.kill_daemon();
        let held = pinned_cameras(&system);
        for label in &known {
            assert!(
                held.contains(label),
                "{label} was let in before and is not in {held:?}"
            );
        }
        system.start_daemon(&[]);
        system.wait_for_state(&label, "live");
        known.push(label);
        drop(client);
    }
    assert_eq!(pinned_cameras(&system), known.into_iter().collect());
}

#[test]
fn killed_consumers_disturb_nobody() {
    let mut moments = Moments::new("consumers");
    let system = System::with_daemon();
    let mut client = system.start_client(LABELS[0], SOURCE, &[]);
    let consumer = Consumer::start(&system, LABELS[0]);
    consumer.wait_for_new_frames();
    let mut back = Distribution::default();
    let instances = consumer.seen.instances.load(Ordering::Relaxed);
    for _ in 0..kills() {
        let mut victims = [
            start_reader(&system, &["pipe", LABELS[0]]),
            start_reader(&system, &["watch", LABELS[0], "--json"]),
            start_reader(&system, &["verify", LABELS[0], "--seconds", "600"]),
        ];
        moments.pass();
        for victim in &mut victims {
            assert!(victim.runs(), "{}", victim.log());
            victim.kill();
        }
        let start = Instant::now();
        let output = system.sdvr(&["watch", LABELS[0], "--count", "1"]);
        assert!(output.status.success(), "{output:?}");
        back.take(start.elapsed());
        consumer.wait_for_new_frames();
    }
    back.print("a frame at a new consumer after the kill of another, its start included");
    assert!(client.runs(), "{}", client.log());
    assert_eq!(consumer.seen.instances.load(Ordering::Relaxed), instances);
    assert_no_stale_ring(&system, 1);
    assert_clean_end([consumer]);
}

/// `sdvr verify`, which is to live through it all.
fn start_verifying(system: &System, label: &str) -> Running {
    let mut command = system.command("sdvr");
    command.args(["verify", label, "--seconds", "3600", "--json"]);
    system.start(command.stdout(std::process::Stdio::piped()), "verify")
}

/// Ends `sdvr verify`; it has seen frames, none was torn or out of order, and it says whether all were there.
fn assert_verified(mut program: Running) {
    let status = program.terminate();
    let findings: serde_json::Value = serde_json::from_slice(&program.output()).unwrap();
    eprintln!("verify: {findings}");
    let is_perfect = findings["missing"] == 0 && findings["stale"] == 0;
    let code = if is_perfect { 0 } else { 1 };
    assert_eq!(status.code(), Some(code), "{findings} {}", program.log());
    assert_eq!(findings["out_of_order"], 0, "{findings}");
    assert!(findings["frames"].as_u64().unwrap() > 0, "{findings}");
    assert_eq!(findings["torn"], 0, "{findings}");
}

fn start_reader(system: &System, arguments: &[&str]) -> Running {
    let mut command = system.command("sdvr");
    command.args(arguments).stdout(std::process::Stdio::null());
    system.start(&mut command, "reader")
}

/// How often each program is killed.
fn kills() -> usize {
    std::env::var("SDVR_KILLS").map_or(50, |kills| kills.parse().expect("SDVR_KILLS is a number"))
}

/// Reads a camera all the time and checks every byte. On a thread: a ring that kills its reader ends the test's process, which nobody overlooks.
struct Consumer {
    seen: Arc<Seen>,
    ends: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    frames: AtomicU64,
    instances: AtomicU64,
    torn: AtomicU64,
    /// Numbers that came twice, or out of order, within one run of the source.
    disordered: AtomicU64,
    /// Wrong accounts of what was missed.
    miscounted: AtomicU64,
    is_lost: AtomicBool,
}

impl Consumer {
    fn start(system: &System, label: &str) -> Self {
        let (seen, ends) = (Arc::<Seen>::default(), Arc::<AtomicBool>::default());
        let camera = Camera::wait_for_in(&system.shm(), label);
        let (their_seen, their_ends) = (Arc::clone(&seen), Arc::clone(&ends));
        let thread = std::thread::spawn(move || consume(camera, &their_seen, &their_ends));
        Self { seen, ends, thread }
    }

    #[track_caller]
    fn wait_for_new_frames(&self) {
        let before = self.seen.frames.load(Ordering::Relaxed);
        wait_until("a consumer sees new frames", || {
            assert!(!self.thread.is_finished(), "a consumer has died");
            self.seen.frames.load(Ordering::Relaxed) >= before + 3
        });
    }

    #[track_caller]
    fn wait_for_another_instance(&self) {
        let before = self.seen.instances.load(Ordering::Relaxed);
        wait_until("a consumer sees frames of the new client", || {
            assert!(!self.thread.is_finished(), "a consumer has died");
            self.seen.instances.load(Ordering::Relaxed) > before
        });
    }

    #[track_caller]
    fn wait_for_death_of_the_daemon(&self) {
        wait_until("a consumer notices that the daemon is dead", || {
            self.seen.is_lost.load(Ordering::Relaxed)
        });
    }
}

fn consume(mut camera: Camera, seen: &Seen, ends: &AtomicBool) {
    let mut last: Option<(InstanceId, u64)> = None;
    while !ends.load(Ordering::Relaxed) {
        let frame = match camera.next(Policy::Every, Duration::from_millis(50)) {
            Ok(Some(frame)) => frame,
            Ok(None) => {
                let is_lost = camera.state() == StreamState::Lost;
                seen.is_lost.store(is_lost, Ordering::Relaxed);
                continue;
            }
            Err(error) => panic!("nobody has ended the camera or damaged its ring: {error}"),
        };
        let number = frame.number().0;
        let is_whole =
            bench_frame::check(frame.bytes()).is_some_and(|header| header.sequence.0 == number);
        seen.torn.fetch_add(u64::from(!is_whole), Ordering::Relaxed);
        match last {
            Some((instance, before)) if instance == frame.instance() => {
                let is_ordered = before < number;
                let is_counted = frame.missed_numbers() == (before + 1..number);
                seen.disordered
                    .fetch_add(u64::from(!is_ordered), Ordering::Relaxed);
                seen.miscounted
                    .fetch_add(u64::from(!is_counted), Ordering::Relaxed);
            }
            _ => {
                seen.instances.fetch_add(1, Ordering::Relaxed);
            }
        }
        last = Some((frame.instance(), number));
        seen.is_lost.store(false, Ordering::Relaxed);
        seen.frames.fetch_add(1, Ordering::Relaxed);
    }
}

/// Ends the consumers; none has died, and none was given a frame that is not one.
fn assert_clean_end<const COUNT: usize>(consumers: [Consumer; COUNT]) {
    for consumer in consumers {
        consumer.ends.store(true, Ordering::Relaxed);
        consumer.thread.join().expect("no consumer dies");
        let seen = &consumer.seen;
        eprintln!("{seen:?}");
        assert_eq!(seen.torn.load(Ordering::Relaxed), 0, "{seen:?}");
        assert_eq!(seen.disordered.load(Ordering::Relaxed), 0, "{seen:?}");
        assert_eq!(seen.miscounted.load(Ordering::Relaxed), 0, "{seen:?}");
    }
}

/// The labels in the daemon's memory of cameras, which must not be torn at any moment.
#[track_caller]
fn pinned_cameras(system: &System) -> BTreeSet<String> {
    let path = system.home().join(".sdvr/known_cameras");
    let content = match std::fs::read(&path) {
        Ok(content) => content,
        // Only a clean "no such file" means that nobody is known; an empty file would be a torn one.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return BTreeSet::new(),
        Err(error) => panic!("{error}"),
    };
    let cameras = parse_known_cameras(&path, &content).expect("the file is whole");
    cameras
        .iter()
        .map(|camera| camera.label.to_string())
        .collect()
}

#[track_caller]
fn assert_everything_is_remembered(system: &System, labels: &[&str]) {
    let cameras = pinned_cameras(system);
    assert!(
        labels.iter().all(|label| cameras.contains(*label)),
        "{cameras:?}"
    );
    let path = system.home().join(".sdvr/known_servers");
    let content = std::fs::read(&path).expect("the clients have met the server");
    let servers = parse_known_servers(&path, &content).expect("the file is whole");
    let address = format!("[127.0.0.1]:{}", system.port());
    assert!(
        servers.iter().any(|server| server.address == address),
        "{servers:?}"
    );
}

/// Within the usual patience there is one ring a camera, and each has a living writer.
#[track_caller]
fn assert_no_stale_ring(system: &System, cameras: usize) {
    wait_until("every ring has a living writer", || {
        let rings = system.rings();
        rings.len() == cameras && rings.iter().all(|ring| has_living_writer(ring))
    });
}

fn has_living_writer(ring: &Path) -> bool {
    let directory = open_directory(ring.parent().unwrap()).unwrap();
    let name = RingName::parse(ring.file_name().unwrap().to_str().unwrap()).unwrap();
    // One that has gone since it was listed is not there.
    RingReader::open(std::os::fd::AsFd::as_fd(&directory), &name)
        .is_ok_and(|reader| reader.writer_lives())
}

/// Random moments, from a seed that is printed.
struct Moments {
    state: u64,
}

impl Moments {
    fn new(what: &str) -> Self {
        let seed = std::env::var("SDVR_SEED").map_or_else(
            |_| {
                let mut seed = [0; 8];
                getrandom::fill(&mut seed).unwrap();
                u64::from_ne_bytes(seed)
            },
            |seed| seed.parse().expect("SDVR_SEED is a number"),
        );
        eprintln!("{what}: SDVR_SEED={seed}");
        Self { state: seed }
    }

    /// Waits for the next moment: mostly a short time, so that connecting and starting are hit, too.
    fn pass(&mut self) {
        self.pass_within(Duration::from_millis(500));
    }

    fn pass_within(&mut self, most: Duration) {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        let share = u32::try_from(word >> 48).unwrap();
        std::thread::sleep(most * share / 65_536 * share / 65_536);
    }
}

/// How long things took.
#[derive(Debug, Default)]
struct Distribution(Vec<Duration>);

impl Distribution {
    fn take(&mut self, time: Duration) {
        assert!(time < PATIENCE * 2, "{time:?}");
        self.0.push(time);
    }

    fn print(&mut self, what: &str) {
        self.0.sort_unstable();
        let at = |per_cent| percentile(&self.0, per_cent).unwrap();
        eprintln!(
            "{what}: {} times, p50 {:?}, p90 {:?}, p99 {:?}, max {:?}",
            self.0.len(),
            at(50),
            at(90),
            at(99),
            at(100)
        );
    }
}
