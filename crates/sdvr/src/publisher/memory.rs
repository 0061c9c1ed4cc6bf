//! Giving the memory of rings back that have ended, as their readers let go.

use std::thread;
use std::time::Duration;

use sdvr_frame::Timestamp;
use sdvr_ring::StaleRing;

/// How long what is left in a ring can be read, as at the daemon.
const KEPT: Duration = Duration::from_secs(2);
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Gives memory back as soon as nobody reads it any more, and after two seconds though somebody does. Returns then.
pub(super) fn give_back(mut rings: Vec<StaleRing>) {
    let end = Timestamp::now() + KEPT;
    loop {
        let is_over = Timestamp::now() >= end;
        rings
            .extract_if(.., |ring| is_over || !ring.is_read())
            .for_each(|ring| ring.release_memory());
        if rings.is_empty() {
            return;
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

/// The same on a thread, if there is anything to wait for.
pub(super) fn give_back_later(mut rings: Vec<StaleRing>) {
    rings.retain(StaleRing::is_read);
    if rings.is_empty() {
        return;
    }
    // Without a thread, the memory is free when the last reader lets go.
    let _ = thread::Builder::new()
        .name("sdvr-rings".to_owned())
        .spawn(move || give_back(rings));
}
