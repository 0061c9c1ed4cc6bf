//! The harness itself: what the other tests rely on.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use sdvr_tests::System;
use sdvr_tests::consumer::Consumer;
use sdvr_vm::Guest;

#[test]
fn a_command_s_output_and_status_come_back() {
    let mut guest = Guest::enter();
    let output = guest.run("printf 'one\\ntwo'; echo three >&2; exit 3");
    assert_eq!((output.status, &*output.text), (3, "one\ntwothree\n"));
}

#[test]
fn a_client_in_the_guest_reaches_the_daemon_on_the_host() {
    let system = System::with_daemon();
    let mut guest = Guest::enter();
    let consumer = Consumer::start(&system.shm(), "pattern");
    let port = system.port();
    guest.start(&format!(
        "sdvrc -d 10.0.2.2 -p {port} -n pattern -i 'test:?format=BNCH&bytes=20000&fps=20'"
    ));
    consumer.wait_for_frames(40, sdvr_tests::PATIENCE);
    assert_eq!(consumer.seen().wrong, [""; 0]);
}
