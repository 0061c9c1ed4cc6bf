//! Two network namespaces and what is between them.

use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use crate::channel::{Channel, Counters};
use crate::impairment::Impairment;
use crate::namespace::{Addresses, Namespace};
use crate::random::other_seed;
use crate::relay::{Relay, lock};

/// The name of the interface, the same in both namespaces.
pub const INTERFACE: &str = "sdvr0";

/// One end of the link. A direction is named by the side that sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// 10.77.0.1, fd77::1, 02:73:64:76:72:01.
    A,
    /// 10.77.0.2, fd77::2, 02:73:64:76:72:02.
    B,
}

impl Side {
    /// Both.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// The one across.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// The address of its interface. It never changes.
    #[must_use]
    pub fn mac(self) -> [u8; 6] {
        [0x02, b's', b'd', b'v', b'r', self.number()]
    }

    pub(crate) fn number(self) -> u8 {
        match self {
            Self::A => 1,
            Self::B => 2,
        }
    }
}

/// One of each side, for A and for B.
#[derive(Debug)]
struct Both<T> {
    a: T,
    b: T,
}

impl<T> Both<T> {
    fn of(&self, side: Side) -> &T {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }

    fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }
}

/// What a link is made by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Of all chances. From B to A another one is used, made of this.
    pub seed: u64,
    /// The MTU of both interfaces, from 1,280 to 65,521: what the programs' kernels know of, in contrast to
    /// [`Impairment::largest_packet_bytes`].
    pub mtu_bytes: usize,
    /// What both directions do at first.
    pub impairment: Impairment,
}

impl Default for Settings {
    /// Seed 1, an MTU of 1,500 bytes, and nothing is impaired.
    fn default() -> Self {
        Self {
            seed: 1,
            mtu_bytes: 1_500,
            impairment: Impairment::default(),
        }
    }
}

/// Why there is no link, or why it is not as it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// Whoever starts this may mend it: be root.
    #[error("a link between network namespaces needs root")]
    NotPermitted,
    /// The administrator of this machine may mend it.
    #[error("this machine has no /dev/net/tun")]
    NoTun,
    /// The administrator of this machine may mend it.
    #[error("cannot run `ip`, of the Debian package iproute2: {0}")]
    NoIpProgram(io::Error),
    /// The caller asked for what `ip` does not do; what it says.
    #[error("ip: {0}")]
    Refused(String),
    /// The caller asked for an address that the other side would not look for here.
    #[error("{0} is not of this link's networks, 10.77.0.0/16 and fd77::/64")]
    ForeignAddress(IpAddr),
    /// The kernel makes or finds no namespace.
    #[error("network namespace: {0}")]
    Namespace(io::Error),
    /// The kernel makes or finds no interface.
    #[error("interface {INTERFACE}: {0}")]
    Interface(io::Error),
    /// The kernel makes no thread or descriptor.
    #[error("relay: {0}")]
    Relay(io::Error),
}

impl LinkError {
    pub(crate) fn of_namespace(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::NotPermitted,
            _ => Self::Namespace(error),
        }
    }

    pub(crate) fn of_interface(error: io::Error) -> Self {
        match error
            .raw_os_error()
            .map(rustix::io::Errno::from_raw_os_error)
        {
            Some(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS) => Self::NotPermitted,
            Some(rustix::io::Errno::NOENT | rustix::io::Errno::NODEV | rustix::io::Errno::NXIO) => {
                Self::NoTun
            }
            _ => Self::Interface(error),
        }
    }
}

/// Two network namespaces with an interface each, and a bad network between them, until this value is dropped.
///
/// Its functions may be called from any thread while programs use it. The namespaces have no names; they are gone with this value, its process,
/// and the programs in them.
#[derive(Debug)]
pub struct Link {
    namespaces: Both<Namespace>,
    addresses: Mutex<Both<Addresses>>,
    /// By the side that sends.
    channels: Both<Arc<Mutex<Channel>>>,
    relays: Vec<JoinHandle<()>>,
    end: OwnedFd,
    origin: Instant,
}

impl Link {
    /// Makes a link that is up.
    ///
    /// # Errors
    ///
    /// [`LinkError::NotPermitted`] and [`LinkError::NoTun`] where this cannot work; others where it should have.
    pub fn new(settings: &Settings) -> Result<Self, LinkError> {
        let Settings {
            seed,
            mtu_bytes,
            impairment,
        } = *settings;
        let channel = |seed| Arc::new(Mutex::new(Channel::new(impairment, seed)));
        let mut link = Self {
            namespaces: Both {
                a: Namespace::new(Side::A, mtu_bytes)?,
                b: Namespace::new(Side::B, mtu_bytes)?,
            },
            addresses: Mutex::new(Both {
                a: Addresses::first_of(Side::A),
                b: Addresses::first_of(Side::B),
            }),
            channels: Both {
                a: channel(seed),
                b: channel(other_seed(seed)),
            },
            relays: Vec::new(),
            end: eventfd(0, EventfdFlags::CLOEXEC)
                .map_err(|error| LinkError::Relay(error.into()))?,
            origin: Instant::now(),
        };
        for side in Side::ALL {
            link.set_up(side)?;
        }
        for sender in Side::ALL {
            let relay = link.start_relay(sender).map_err(LinkError::Relay)?;
            link.relays.push(relay);
        }
        Ok(link)
    }

    /// Makes a link for a test; `None`, and says so, where this process may not or this machine cannot.
    ///
    /// # Panics
    ///
    /// When it should work and does not.
    #[must_use]
    pub fn for_test(settings: &Settings) -> Option<Self> {
        match Self::new(settings) {
            Ok(link) => Some(link),
            Err(error @ (LinkError::NotPermitted | LinkError::NoTun)) => {
                eprintln!("not tested: {error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// A program that will run in the namespace of a side. Its arguments and the rest are the caller's.
    ///
    /// It is started by `nsenter`, which becomes the program: the child is the program itself. What it looks at in `/sys` is of the caller's
    /// namespace. A program that is to be somebody else's from the start cannot enter any more: spawn that in [`enter`](Self::enter).
    #[must_use]
    pub fn command(&self, side: Side, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={}", self.path(side)))
            .arg("--")
            .arg(program);
        command
    }

    /// Where `nsenter --net` and `setns` find the namespace of a side, as long as this value lives.
    #[must_use]
    pub fn path(&self, side: Side) -> String {
        self.namespaces.of(side).path()
    }

    /// Does something in the namespace of a side, in a thread of its own. Sockets that are made there, and programs that are started there,
    /// stay in it; threads, too.
    pub fn enter<T: Send>(&self, side: Side, action: impl FnOnce() -> T + Send) -> T {
        self.namespaces
            .of(side)
            .enter(action)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// The IPv4 address that a side has now.
    #[must_use]
    pub fn ipv4(&self, side: Side) -> Ipv4Addr {
        self.addresses().of(side).ipv4
    }

    /// The IPv6 address that a side has now.
    #[must_use]
    pub fn ipv6(&self, side: Side) -> Ipv6Addr {
        self.addresses().of(side).ipv6
    }

    /// Treats what `sender` sends from now on otherwise.
    pub fn impair(&self, sender: Side, impairment: Impairment) {
        self.channel(sender).impair(impairment);
    }

    /// Treats what anybody sends from now on otherwise.
    pub fn impair_both(&self, impairment: Impairment) {
        for sender in Side::ALL {
            self.impair(sender, impairment);
        }
    }

    /// Lets nothing pass that `sender` sends or has under way, until [`mend`](Self::mend). Nobody is told: the interfaces stay up.
    /// What is sent meanwhile takes no chance: the frame after it meets what the first of them would have met.
    pub fn cut(&self, sender: Side) {
        self.channel(sender).cut(None);
    }

    /// Lets nothing pass that `sender` sends or has under way, for that long.
    pub fn cut_for(&self, sender: Side, lasting: Duration) {
        let until = self.origin.elapsed().saturating_add(lasting);
        self.channel(sender).cut(Some(until));
    }

    /// Lets pass again what `sender` sends.
    pub fn mend(&self, sender: Side) {
        self.channel(sender).mend();
    }

    /// What became of what `sender` has sent.
    #[must_use]
    pub fn counters(&self, sender: Side) -> Counters {
        self.channel(sender).counters()
    }

    /// Frames that `sender` sent faster than the link takes them, and that are in none of the [`Counters`].
    #[must_use]
    pub fn overruns(&self, sender: Side) -> u64 {
        self.namespaces
            .of(sender)
            .overruns()
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Gives a side another address instead of that of the same family, as when it moves to another network. What is sent from or to the old
    /// one gets nowhere; between the two, for less than a millisecond, there is no way to the other side.
    ///
    /// # Errors
    ///
    /// [`LinkError::ForeignAddress`] unless it is in 10.77.0.0/16 or fd77::/64.
    pub fn change_address(&self, side: Side, new: IpAddr) -> Result<(), LinkError> {
        let mut addresses = self.addresses();
        let mut own = *addresses.of(side);
        if !own.can_include(new) {
            return Err(LinkError::ForeignAddress(new));
        }
        let old = match new {
            IpAddr::V4(new) => IpAddr::V4(std::mem::replace(&mut own.ipv4, new)),
            IpAddr::V6(new) => IpAddr::V6(std::mem::replace(&mut own.ipv6, new)),
        };
        // First who is to find it there.
        self.namespaces.of(side.other()).meet(own)?;
        let others = *addresses.of(side.other());
        self.namespaces.of(side).change_address(old, new, others)?;
        *addresses.of_mut(side) = own;
        Ok(())
    }

    /// Takes the interface of a side down: its programs are told that the network is unreachable, and what arrives is lost.
    ///
    /// # Errors
    ///
    /// What `ip` says.
    pub fn set_down(&self, side: Side) -> Result<(), LinkError> {
        self.namespaces.of(side).take_down()
    }

    /// Brings the interface of a side up again, with the addresses that it had.
    ///
    /// # Errors
    ///
    /// What `ip` says.
    pub fn set_up(&self, side: Side) -> Result<(), LinkError> {
        let addresses = self.addresses();
        let (own, others) = (*addresses.of(side), *addresses.of(side.other()));
        self.namespaces.of(side).bring_up(own, others)
    }

    /// Held while the namespaces are made to agree with them.
    fn addresses(&self) -> MutexGuard<'_, Both<Addresses>> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn channel(&self, sender: Side) -> MutexGuard<'_, Channel> {
        lock(self.channels.of(sender))
    }

    fn start_relay(&self, sender: Side) -> io::Result<JoinHandle<()>> {
        let relay = Relay {
            from: self.namespaces.of(sender).tap.try_clone()?,
            to: self.namespaces.of(sender.other()).tap.try_clone()?,
            channel: Arc::clone(self.channels.of(sender)),
            end: self.end.try_clone()?,
            origin: self.origin,
        };
        std::thread::Builder::new()
            .name(format!("link from {sender:?}"))
            .spawn(|| relay.run())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.end, &1_u64.to_ne_bytes());
        for relay in self.relays.drain(..) {
            let _ = relay.join();
        }
    }
}
