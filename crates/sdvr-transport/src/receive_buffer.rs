//! How many packets the kernel holds for a socket until a thread gets to run.

use std::io;

use rustix::net::sockopt;
use socket2::Socket;

/// What a receive buffer should hold: 20 ms at a gigabit a second, in which a thread may not get to run.
const WANTED_BYTES: usize = 8 << 20;
/// Less than this loses packets of a few cameras already.
const LEAST_BYTES: usize = 1 << 20;

/// The room that a socket was granted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReceiveBuffer {
    bytes: usize,
}

impl ReceiveBuffer {
    /// Asks for as much as is wanted, both ways. A limit is no reason not to start: it gets what the system allows.
    ///
    /// # Errors
    ///
    /// When the system does not tell how much it gave.
    pub(crate) fn claim(socket: &Socket) -> io::Result<Self> {
        // Beyond the limit of the system, as who manages the network may.
        if sockopt::set_socket_recv_buffer_size_force(socket, WANTED_BYTES).is_err() {
            let _ = socket.set_recv_buffer_size(WANTED_BYTES);
        }
        if sockopt::set_socket_send_buffer_size_force(socket, WANTED_BYTES).is_err() {
            let _ = socket.set_send_buffer_size(WANTED_BYTES);
        }
        // The kernel says twice what it was asked for, as it counts its own part.
        let bytes = socket.recv_buffer_size()? / 2;
        Ok(Self { bytes })
    }

    /// What to do if it is so little that packets of a few cameras are lost when this host is busy.
    pub(crate) fn remedy(self) -> Option<String> {
        (self.bytes < LEAST_BYTES).then(|| {
            format!(
                "the kernel holds at most {} KiB of packets for a socket, and loses what comes while this host is busy: sysctl -w net.core.rmem_max={WANTED_BYTES}",
                self.bytes >> 10
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_has_a_remedy_and_enough_has_none() {
        let remedy = ReceiveBuffer { bytes: 212_992 }.remedy().unwrap();
        assert!(remedy.contains("208 KiB"), "{remedy}");
        assert!(remedy.contains("net.core.rmem_max=8388608"), "{remedy}");
        assert_eq!(ReceiveBuffer { bytes: LEAST_BYTES }.remedy(), None);
    }
}
