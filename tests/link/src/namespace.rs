//! One end of the link: a network namespace without a name, and the interface in it. Both are gone when nobody holds them any more, however
//! this process ends.

use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{INTERFACE, LinkError, Side, kernel};

/// Where the kernel says which namespace the asking thread is in. `/proc/self` would say where its process began.
const OWN_NETWORK: &str = "/proc/thread-self/ns/net";
const TUN: &str = "/dev/net/tun";
/// Frames that wait for the relay. At 300 Mbit/s it may be kept from working for more than 0.1 s.
const QUEUE_FRAMES: usize = 8_192;
/// How many bits of an address all addresses of the link share.
const IPV4_PREFIX_BITS: u8 = 16;
const IPV6_PREFIX_BITS: u8 = 64;
/// The kernel needs milliseconds.
const ROUTE_PATIENCE: Duration = Duration::from_secs(10);
const ROUTE_POLL: Duration = Duration::from_micros(200);

/// The addresses of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) ipv4: Ipv4Addr,
    pub(crate) ipv6: Ipv6Addr,
}

impl Addresses {
    pub(crate) fn first_of(side: Side) -> Self {
        let host = side.number();
        Self {
            ipv4: Ipv4Addr::new(10, 77, 0, host),
            ipv6: Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, host.into()),
        }
    }

    /// Whether the other side reaches such an address.
    pub(crate) fn can_include(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => address.octets()[..2] == self.ipv4.octets()[..2],
            IpAddr::V6(address) => address.segments()[..4] == self.ipv6.segments()[..4],
        }
    }
}

/// A network namespace with one interface besides loopback.
#[derive(Debug)]
pub(crate) struct Namespace {
    side: Side,
    mtu_bytes: usize,
    handle: OwnedFd,
    /// The interface's other end, which does not block.
    pub(crate) tap: File,
}

impl Namespace {
    /// Makes one. The interface is down and without addresses.
    pub(crate) fn new(side: Side, mtu_bytes: usize) -> Result<Self, LinkError> {
        // A thread's namespace ends with it, and that of its process stays as it is.
        let (handle, tap) = std::thread::scope(|scope| {
            let made = scope.spawn(|| {
                kernel::leave_for_new_network().map_err(LinkError::of_namespace)?;
                let handle = File::open(OWN_NETWORK).map_err(LinkError::of_namespace)?;
                let tap = open_tap().map_err(LinkError::of_interface)?;
                Ok((OwnedFd::from(handle), tap))
            });
            finish(made)
        })?;
        Ok(Self {
            side,
            mtu_bytes,
            handle,
            tap,
        })
    }

    /// Runs `action` in a thread in the namespace.
    pub(crate) fn enter<T: Send>(&self, action: impl FnOnce() -> T + Send) -> Result<T, LinkError> {
        std::thread::scope(|scope| {
            let entered = scope.spawn(|| {
                let network = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(self.handle.as_fd(), network)
                    .map_err(|error| LinkError::of_namespace(error.into()))?;
                Ok(action())
            });
            finish(entered)
        })
    }

    /// Where programs find the namespace as long as this process has it.
    pub(crate) fn path(&self) -> String {
        format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            self.handle.as_raw_fd()
        )
    }

    /// Brings the interface up with its addresses, and tells it whom it reaches, so that it need not ask.
    pub(crate) fn bring_up(&self, own: Addresses, others: Addresses) -> Result<(), LinkError> {
        let Self {
            side, mtu_bytes, ..
        } = self;
        let [mac, other_mac] = [*side, side.other()].map(mac_text);
        let Addresses { ipv4, ipv6 } = own;
        // Without addresses that nobody asked for, and without asking whether somebody else has ours.
        self.configure(&format!(
            "link set lo up
             link set {INTERFACE} address {mac} mtu {mtu_bytes} txqueuelen {QUEUE_FRAMES} addrgenmode none
             link set {INTERFACE} up
             address replace {ipv4}/{IPV4_PREFIX_BITS} dev {INTERFACE}
             address replace {ipv6}/{IPV6_PREFIX_BITS} dev {INTERFACE} nodad
             {}",
            neighbours(others, &other_mac)
        ))?;
        self.wait_for(ipv6)
    }

    pub(crate) fn take_down(&self) -> Result<(), LinkError> {
        self.configure(&format!("link set {INTERFACE} down"))
    }

    /// Takes one address away, and adds one. For a moment there is none.
    pub(crate) fn change_address(
        &self,
        old: IpAddr,
        new: IpAddr,
        others: Addresses,
    ) -> Result<(), LinkError> {
        let prefix_bits = |address: IpAddr| match address {
            IpAddr::V4(_) => IPV4_PREFIX_BITS,
            IpAddr::V6(_) => IPV6_PREFIX_BITS,
        };
        // Neighbours of an interface are forgotten with its last address.
        self.configure(&format!(
            "address del {old}/{} dev {INTERFACE}
             address add {new}/{} dev {INTERFACE} {}
             {}",
            prefix_bits(old),
            prefix_bits(new),
            if new.is_ipv6() { "nodad" } else { "" },
            neighbours(others, &mac_text(self.side.other()))
        ))?;
        match new {
            IpAddr::V4(_) => Ok(()),
            IpAddr::V6(new) => self.wait_for(new),
        }
    }

    /// Waits until the kernel takes what is sent to an address: it has an IPv6 address at once, but finds the way to it a little later, and
    /// drops what arrives between.
    fn wait_for(&self, address: Ipv6Addr) -> Result<(), LinkError> {
        // Destination, and how many bits of it count, in hexadecimal.
        let route = format!("{:032x} 80 ", address.to_bits());
        let has_route = || -> io::Result<bool> {
            let routes = std::fs::read_to_string("/proc/thread-self/net/ipv6_route")?;
            Ok(routes.lines().any(|line| line.starts_with(&route)))
        };
        let waited = self.enter(|| {
            let begun = Instant::now();
            while !has_route()? {
                if begun.elapsed() > ROUTE_PATIENCE {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                std::thread::sleep(ROUTE_POLL);
            }
            Ok(())
        })?;
        waited.map_err(LinkError::of_interface)
    }

    /// Tells the interface whom it reaches.
    pub(crate) fn meet(&self, others: Addresses) -> Result<(), LinkError> {
        self.configure(&neighbours(others, &mac_text(self.side.other())))
    }

    /// How many frames the kernel dropped because the relay did not fetch them in time.
    pub(crate) fn overruns(&self) -> Result<u64, LinkError> {
        let table = self
            .enter(|| std::fs::read_to_string("/proc/thread-self/net/dev"))?
            .map_err(LinkError::of_interface)?;
        // Its name, eight numbers of receiving, and then bytes, packets, errors and drops of sending.
        let dropped = table
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix(INTERFACE)?.strip_prefix(':'))
            .find_map(|numbers| numbers.split_whitespace().nth(11)?.parse().ok());
        dropped.ok_or_else(|| LinkError::of_interface(io::ErrorKind::NotFound.into()))
    }

    /// Gives `ip` a number of commands at once.
    fn configure(&self, commands: &str) -> Result<(), LinkError> {
        let output = self.enter(|| {
            let mut child = Command::new("ip")
                .args(["-batch", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()?;
            if let Some(mut input) = child.stdin.take() {
                input.write_all(commands.as_bytes())?;
            }
            child.wait_with_output()
        })?;
        let output = output.map_err(LinkError::NoIpProgram)?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(LinkError::Refused(text))
    }
}

/// A panic goes on in who waits for the thread.
fn finish<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn open_tap() -> io::Result<File> {
    let tap = File::options()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(TUN)?;
    kernel::become_interface(&tap, INTERFACE)?;
    Ok(tap)
}

fn neighbours(others: Addresses, mac: &str) -> String {
    let Addresses { ipv4, ipv6 } = others;
    format!(
        "neighbour replace {ipv4} lladdr {mac} nud permanent dev {INTERFACE}
         neighbour replace {ipv6} lladdr {mac} nud permanent dev {INTERFACE}
        "
    )
}

fn mac_text(side: Side) -> String {
    side.mac().map(|byte| format!("{byte:02x}")).join(":")
}
