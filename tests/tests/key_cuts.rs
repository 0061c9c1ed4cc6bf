//! The link between the real programs is cut for a minute in the middle of the renewal of keys, while they stream as fast as they can.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::time::{Duration, Instant};

use sdvr_tests::consumer::Consumer;
use sdvr_tests::proxy::{Direction, Proxy, Record};
use sdvr_tests::{System, wait_until};

const CUT_TIME: Duration = Duration::from_secs(60);
/// How soon frames are back after it. Three seconds are promised; a handshake that was left hanging takes five, and this machine may be busy.
const RECOVERY: Duration = Duration::from_secs(20);
/// An epoch a second, a handshake every two.
const KEY_SECONDS: &str = "1,2";
/// As fast as it goes, in frames of several records.
const SOURCE: &str = "test:?format=BNCH&bytes=200000&fps=0";
/// Renewals before the one that is cut.
const RENEWALS: u32 = 3;

/// Whether a record is one before which the link might be cut.
type Which = Box<dyn FnMut(Direction, Record) -> bool + Send>;

/// A control message alone in its record: a header and a body.
const fn is_alone(record: Record, body_bytes: usize) -> bool {
    record.content_bytes == 4 + body_bytes
}

fn is_confirmation(direction: Direction, record: Record) -> bool {
    direction == Direction::ToClient && is_alone(record, 8)
}

fn is_rekey1(direction: Direction, record: Record) -> bool {
    direction == Direction::ToDaemon && is_alone(record, 96)
}

fn is_rekey2(direction: Direction, record: Record) -> bool {
    direction == Direction::ToClient && is_alone(record, 48)
}

/// Streams over a link that is cut when `which` has been true of enough records, and looks at all that a user would see.
fn survives(mut which: Which) {
    let mut system = System::new();
    system.set_environment("SDVR_KEY_SECONDS", KEY_SECONDS);
    system.start_daemon(&[]);
    let proxy = Proxy::new(system.port());
    let mut client = system.start(
        &mut system.client_command_to(proxy.port(), "cam", SOURCE),
        "cam",
    );
    let consumer = Consumer::start(&system.shm(), "cam");
    let mut seen = 0;
    proxy.cut_before(move |direction, record| {
        seen += u32::from(which(direction, record));
        seen > RENEWALS
    });
    wait_until("the link is cut", || proxy.is_cut());
    let cut = Instant::now();
    // Keys were renewed under full load, and nothing was lost.
    let lost = || system.list()[0]["lost"].as_u64().unwrap();
    assert_eq!(lost(), 0);
    let before = consumer.seen();
    assert!(before.frames > 100, "{} frames", before.frames);
    system.wait_for_state("cam", "stale");
    std::thread::sleep(CUT_TIME.saturating_sub(cut.elapsed()));
    system.wait_for_state("cam", "lost");

    proxy.mend();
    let took = consumer.wait_for_frames(100, RECOVERY);
    system.wait_for_state("cam", "live");
    eprintln!("frames again {took:?} after the link");
    let after = consumer.seen();
    assert!(after.wrong.is_empty(), "a consumer saw {:?}", after.wrong);
    assert_eq!(after.last.len(), 1, "it is the same run of the camera");
    client.terminate();
    let log = client.log();
    assert!(
        !log.contains("panicked") && client.figure("sent") > 0,
        "{log}"
    );
    let log = system.daemon().log();
    assert!(!log.contains("panicked"), "{log}");
}

fn before_the_first_record_of_an_epoch() -> Which {
    let mut epoch = 0;
    Box::new(move |direction, record| {
        let is_next = direction == Direction::ToDaemon && record.epoch != epoch;
        if is_next {
            epoch = record.epoch;
        }
        is_next
    })
}

fn before_the_first_record_after_a_handshake() -> Which {
    let mut is_answered = false;
    Box::new(move |direction, record| {
        is_answered |= is_rekey2(direction, record);
        let is_first = is_answered && direction == Direction::ToDaemon;
        is_answered &= !is_first;
        is_first
    })
}

#[test]
fn a_minute_without_a_link_in_the_middle_of_a_renewal_does_no_harm() {
    let cuts = [
        (
            "before the first record of an epoch",
            before_the_first_record_of_an_epoch(),
        ),
        ("before an epoch is confirmed", Box::new(is_confirmation)),
        ("before a handshake", Box::new(is_rekey1)),
        ("before the answer to a handshake", Box::new(is_rekey2)),
        (
            "before the first record after a handshake",
            before_the_first_record_after_a_handshake(),
        ),
    ];
    // All at once, as each takes more than a minute, in which it does nothing.
    let running = cuts.map(|(name, which)| {
        let thread = std::thread::Builder::new().name(name.to_owned());
        (name, thread.spawn(|| survives(which)).unwrap())
    });
    for (name, cut) in running {
        assert!(cut.join().is_ok(), "a link that is cut {name}");
    }
}
