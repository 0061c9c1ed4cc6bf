//! What happens to the sockets for datagrams that only the kernel knows, and a person can help: packets without room, interfaces that are gone.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sdvr_frame::{Interface, Timestamp};
use sdvr_transport::DatagramSocket;
use tracing::{error, warn};

/// How often it is said that packets are dropped.
const SAY_DROPS_AGAIN: Duration = Duration::from_secs(60);

/// What was said of it.
#[derive(Debug, Default)]
pub(super) struct SocketTrouble {
    drops: Drops,
    lost: HashSet<Interface>,
}

impl SocketTrouble {
    /// Says what is new, where so many packets were dropped until now.
    pub(super) fn look(
        &mut self,
        now: Timestamp,
        dropped_packets: u64,
        sockets: &[Arc<DatagramSocket>],
    ) {
        if let Some(packets) = self.drops.due(now, dropped_packets) {
            warn!(
                packets,
                "this host had no room for packets of cameras, which are sent again if there is time: it is too busy, or its receive buffers are too small (sysctl -w net.core.rmem_max=8388608, and start sdvrd anew)"
            );
        }
        for interface in sockets.iter().filter_map(|socket| socket.lost_interface()) {
            if self.lost.insert(interface) {
                error!(
                    "the network interface {interface} was removed: no camera comes by it any more, nor by another one of its name until sdvrd is started again"
                );
            }
        }
    }
}

/// How many packets were dropped, and what was said of it.
#[derive(Debug, Default)]
struct Drops {
    said: u64,
    at: Option<Timestamp>,
}

impl Drops {
    /// How many there are since this was said last, if it is to be said again.
    fn due(&mut self, now: Timestamp, dropped: u64) -> Option<u64> {
        let is_due = self
            .at
            .is_none_or(|at| now.saturating_since(at) >= SAY_DROPS_AGAIN);
        let more = dropped.saturating_sub(self.said);
        if more == 0 || !is_due {
            return None;
        }
        (self.said, self.at) = (dropped, Some(now));
        Some(more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_packets_are_said_once_a_minute_and_all_of_them() {
        let at = |seconds: i64| Timestamp::from_nanoseconds(seconds * 1_000_000_000);
        let mut drops = Drops::default();
        let said = [
            (0, 0),
            (1, 5),
            (2, 7),
            (60, 9),
            (61, 9),
            (200, 9),
            (201, 10),
        ]
        .map(|(seconds, dropped)| drops.due(at(seconds), dropped));
        assert_eq!(said, [None, Some(5), None, None, Some(4), None, Some(1)]);
    }
}
