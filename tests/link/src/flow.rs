//! A steady flow through the link, measured: how much of it arrives, and how long that is under way.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use crate::{Link, RawSocket, Side};

/// The ethertype of raw frames of a flow.
const ETHERTYPE: u16 = 0x1337;
/// To, from, ethertype.
const HEADER_BYTES: usize = 14;
/// The least: when it was sent.
const STAMP_BYTES: usize = 8;
/// As often packets are sent, as many as are due then.
const TICK: Duration = Duration::from_micros(500);
/// After this silence nothing more is waited for.
const SILENCE: Duration = Duration::from_millis(300);
/// For what arrives while the receiving program is kept from working.
const RECEIVE_BUFFER_BYTES: usize = 16 << 20;

/// What the packets of a flow are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// UDP over IPv4; sizes are of the payload.
    Udp,
    /// Raw Ethernet, ethertype 0x1337; sizes are of the whole frame.
    Ethernet,
}

/// A steady flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// What its packets are.
    pub carrier: Carrier,
    /// How large one is; at least 22.
    pub size_bytes: usize,
    /// How much of it is sent, in such sizes.
    pub bits_per_second: u64,
    /// For how long.
    pub lasting: Duration,
}

/// What became of a flow.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Packets that the sender's kernel took.
    pub sent: u64,
    /// How long sending took, which is longer than it should have been on a machine that is too slow.
    pub sending_took: Duration,
    /// How long each received packet was under way, from send to receive, ascending.
    pub delays: Vec<Duration>,
    size_bytes: usize,
}

impl Outcome {
    /// How much arrived in a second of sending.
    #[must_use]
    pub fn bits_per_second(&self) -> f64 {
        let bits = self.delays.len() * self.size_bytes * 8;
        #[expect(clippy::cast_precision_loss, reason = "a measurement")]
        let bits = bits as f64;
        bits / self.sending_took.as_secs_f64()
    }

    /// The delay that so many of a thousand received packets did not exceed; `None` when nothing was received.
    #[must_use]
    pub fn delay(&self, permille: usize) -> Option<Duration> {
        let rank = self.delays.len() * permille.min(1_000) / 1_000;
        self.delays.get(rank.saturating_sub(1)).copied()
    }
}

/// Sends a flow from a side to the other, and waits for its end.
///
/// # Errors
///
/// What the kernel says when a socket is made or used.
pub fn run(link: &Link, sender: Side, flow: &Flow) -> io::Result<Outcome> {
    let source = link.enter(sender, || Socket::new(link, sender, flow.carrier))?;
    let sink = link.enter(sender.other(), || {
        Socket::new(link, sender.other(), flow.carrier)
    })?;
    let target = sink.address()?;
    let origin = Instant::now();
    let has_ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let receiving = scope.spawn(|| receive(&sink, flow, origin, &has_ended));
        let sent = send(&source, target, &template(sender, flow), flow, origin);
        let sending_took = origin.elapsed();
        // Nothing is published with it; the receiver looks after every silence.
        has_ended.store(true, Ordering::Relaxed);
        let mut delays = receiving
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        delays.sort_unstable();
        Ok(Outcome {
            sent: sent?,
            sending_took,
            delays,
            size_bytes: flow.size_bytes,
        })
    })
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Ethernet(RawSocket),
}

impl Socket {
    fn new(link: &Link, side: Side, carrier: Carrier) -> io::Result<Self> {
        match carrier {
            Carrier::Udp => {
                let socket = UdpSocket::bind((link.ipv4(side), 0))?;
                socket.set_read_timeout(Some(SILENCE))?;
                // Without leave for it the flow loses more on a busy machine.
                let _ = set_socket_recv_buffer_size_force(socket.as_fd(), RECEIVE_BUFFER_BYTES);
                Ok(Self::Udp(socket))
            }
            Carrier::Ethernet => {
                let socket = RawSocket::new(ETHERTYPE)?;
                socket.set_read_timeout(Some(SILENCE))?;
                let _ = set_socket_recv_buffer_size_force(socket.as_fd(), RECEIVE_BUFFER_BYTES);
                Ok(Self::Ethernet(socket))
            }
        }
    }

    /// Where to send to; `None` where frames say it themselves.
    fn address(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Self::Udp(socket) => socket.local_addr().map(Some),
            Self::Ethernet(_) => Ok(None),
        }
    }

    fn send(&self, target: Option<SocketAddr>, packet: &[u8]) -> io::Result<()> {
        match (self, target) {
            (Self::Udp(socket), Some(target)) => socket.send_to(packet, target).map(drop),
            (Self::Udp(_), None) => Err(ErrorKind::NotConnected.into()),
            (Self::Ethernet(socket), _) => socket.send(packet),
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.recv(buffer),
            Self::Ethernet(socket) => socket.receive(buffer),
        }
    }
}

/// A packet without its time.
fn template(sender: Side, flow: &Flow) -> Vec<u8> {
    let header = match flow.carrier {
        Carrier::Udp => Vec::new(),
        Carrier::Ethernet => [
            &sender.other().mac()[..],
            &sender.mac(),
            &ETHERTYPE.to_be_bytes(),
        ]
        .concat(),
    };
    let mut packet = header;
    packet.resize(flow.size_bytes.max(HEADER_BYTES + STAMP_BYTES), 0);
    packet
}

fn stamp_at(carrier: Carrier) -> usize {
    match carrier {
        Carrier::Udp => 0,
        Carrier::Ethernet => HEADER_BYTES,
    }
}

fn send(
    socket: &Socket,
    target: Option<SocketAddr>,
    template: &[u8],
    flow: &Flow,
    origin: Instant,
) -> io::Result<u64> {
    let mut packet = template.to_vec();
    let stamp_at = stamp_at(flow.carrier);
    let bits = u128::from(flow.bits_per_second);
    let mut sent = 0;
    loop {
        let elapsed = origin.elapsed();
        let due = elapsed.min(flow.lasting).as_nanos() * bits
            / (template.len() as u128 * 8 * 1_000_000_000);
        while sent < due {
            let now = u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
            if let Some(stamp) = packet.get_mut(stamp_at..stamp_at + STAMP_BYTES) {
                stamp.copy_from_slice(&now.to_le_bytes());
            }
            match socket.send(target, &packet) {
                // The interface's queue is full: that is what is measured.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                result => result?,
            }
            sent += 1;
        }
        if elapsed >= flow.lasting {
            return Ok(u64::try_from(sent).unwrap_or(u64::MAX));
        }
        std::thread::sleep(TICK);
    }
}

fn receive(
    socket: &Socket,
    flow: &Flow,
    origin: Instant,
    has_ended: &AtomicBool,
) -> io::Result<Vec<Duration>> {
    let mut delays = Vec::new();
    let mut buffer = vec![0; flow.size_bytes + STAMP_BYTES + HEADER_BYTES];
    loop {
        match socket.receive(&mut buffer) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if has_ended.load(Ordering::Relaxed) {
                    return Ok(delays);
                }
                continue;
            }
            Err(error) => return Err(error),
        }
        let stamp = buffer
            .get(stamp_at(flow.carrier)..)
            .and_then(|rest| rest.first_chunk());
        let sent_at = Duration::from_nanos(stamp.map_or(0, |stamp| u64::from_le_bytes(*stamp)));
        delays.push(origin.elapsed().saturating_sub(sent_at));
    }
}
