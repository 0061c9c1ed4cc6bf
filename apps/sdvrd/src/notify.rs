//! Telling a service manager how the daemon is (`man 3 sd_notify`).
//!
//! Over a socket that is made and connected at the start: a confined daemon can make none.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service manager, if there is one.
#[derive(Debug)]
pub(crate) struct ServiceManager {
    socket: Option<UnixDatagram>,
}

impl ServiceManager {
    /// Connects to the one that the environment names. One that cannot be reached is none: it will say so itself.
    pub(crate) fn from_environment() -> Self {
        let address = std::env::var_os("NOTIFY_SOCKET");
        Self {
            socket: address.and_then(|address| connect(&address).ok()),
        }
    }

    /// Cameras can come.
    pub(crate) fn say_ready(&self) {
        self.say("READY=1\n");
    }

    /// The daemon ends, as it was asked to.
    pub(crate) fn say_stopping(&self) {
        self.say("STOPPING=1\n");
    }

    fn say(&self, what: &str) {
        if let Some(socket) = &self.socket {
            // Nobody may be listening; that is no reason not to run.
            let _ = socket.send(what.as_bytes());
        }
    }
}

fn connect(address: &OsString) -> io::Result<UnixDatagram> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(address)?,
        // Such as `vsock:…`, by which virtual machines tell their hosts: not for services.
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_with_and_without_a_path_are_reached() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("sdvrd-test-{}", std::process::id());
        let sockets = [
            (
                path.clone().into_os_string(),
                SocketAddr::from_pathname(&path),
            ),
            (
                format!("@{name}").into(),
                SocketAddr::from_abstract_name(&name),
            ),
        ];
        for (address, bound) in sockets {
            let listening = UnixDatagram::bind_addr(&bound.unwrap()).unwrap();
            let manager = ServiceManager {
                socket: Some(connect(&address).unwrap()),
            };
            manager.say_ready();
            manager.say_stopping();
            for expected in ["READY=1\n", "STOPPING=1\n"] {
                let mut bytes = [0; 64];
                let length = listening.recv(&mut bytes).unwrap();
                assert_eq!(bytes[..length], *expected.as_bytes());
            }
        }
        assert!(connect(&"vsock:2:1234".into()).is_err());
    }

    #[test]
    fn a_manager_that_is_gone_is_no_reason_to_wait_or_to_fail() {
        ServiceManager { socket: None }.say_ready();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let listening = UnixDatagram::bind(&path).unwrap();
        let manager = ServiceManager {
            socket: Some(connect(&path.into_os_string()).unwrap()),
        };
        drop(listening);
        manager.say_ready();
    }
}
