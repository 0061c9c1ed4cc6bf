//! Two Ethernet interfaces of which each is the other's other end, in the network namespace that this process was started in for it.

use std::process::Command;

use anyhow::{Context, ensure};

pub(crate) const DAEMON_INTERFACE: &str = "sdvr-daemon";
pub(crate) const DAEMON_MAC: &str = "02:73:64:76:72:02";
pub(crate) const CLIENT_INTERFACE: &str = "sdvr-client";
const CLIENT_MAC: &str = "02:73:64:76:72:01";

/// Makes them. They are gone with the namespace.
pub(crate) fn make() -> anyhow::Result<()> {
    let ip = |arguments: &[&str]| -> anyhow::Result<()> {
        let status = Command::new("ip")
            .args(arguments)
            .status()
            .context("cannot run `ip`, of the Debian package iproute2")?;
        ensure!(status.success(), "ip {} failed", arguments.join(" "));
        Ok(())
    };
    ip(&["link", "set", "lo", "up"])?;
    ip(&[
        "link",
        "add",
        DAEMON_INTERFACE,
        "address",
        DAEMON_MAC,
        "type",
        "veth",
        "peer",
        "name",
        CLIENT_INTERFACE,
        "address",
        CLIENT_MAC,
    ])?;
    [DAEMON_INTERFACE, CLIENT_INTERFACE]
        .into_iter()
        .try_for_each(|interface| ip(&["link", "set", interface, "up"]))
}
