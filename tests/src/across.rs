//! A system across a bad network: the daemon on one side of it, cameras on the other.

use std::process::{Command, Stdio};

use sdvr_frame::MacAddress;
use sdvr_test_link::{INTERFACE, Link, Settings, Side};

use crate::{Running, System};

/// A network between two namespaces, and a daemon on its side B.
#[derive(Debug)]
pub struct Across {
    /// The system. Its programs see each other only by the network.
    pub system: System,
    /// The network.
    pub link: Link,
}

impl Across {
    /// One whose daemon listens to UDP and to raw Ethernet; `None`, and says so, where this process may make no network.
    #[must_use]
    pub fn new() -> Option<Self> {
        let link = Link::for_test(&Settings::default())?;
        let mut system = System::new();
        let mut command = system.command("sdvrd");
        let (address, port) = (link.ipv4(Side::B).to_string(), system.port().to_string());
        command.args(["-l", &address, "-p", &port, "-i", INTERFACE]);
        system.start_daemon_by(&mut enter(&link, Side::B, &command));
        Some(Self { system, link })
    }

    /// A camera by UDP.
    #[must_use]
    pub fn start_udp(&self, label: &str, source: &str) -> Running {
        self.start_udp_with(label, source, &[])
    }

    /// The same, with options of `sdvrc`.
    #[must_use]
    pub fn start_udp_with(&self, label: &str, source: &str, options: &[&str]) -> Running {
        let (address, port) = (
            self.link.ipv4(Side::B).to_string(),
            self.system.port().to_string(),
        );
        let arguments = ["-u", "-d", &address, "-p", &port, "-i", source];
        self.start(label, &[&arguments, options].concat())
    }

    /// A camera by raw Ethernet.
    #[must_use]
    pub fn start_ethernet(&self, label: &str, source: &str) -> Running {
        let mac = MacAddress(Side::B.mac()).to_string();
        self.start(label, &["-u", "-d", &mac, "-o", INTERFACE, "-i", source])
    }

    fn start(&self, label: &str, arguments: &[&str]) -> Running {
        let mut command = self.system.command("sdvrc");
        command.args(["-n", label]).args(arguments);
        let mut command = enter(&self.link, Side::A, &command);
        self.system.start(&mut command, label)
    }
}

/// The same command on one side of the network.
fn enter(link: &Link, side: Side, command: &Command) -> Command {
    let mut entering = link.command(side, command.get_program());
    entering.args(command.get_args()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => entering.env(name, value),
            None => entering.env_remove(name),
        };
    }
    entering
}
