//! Finding the server, on a thread of its own: looking a name up may take seconds, and the source must not wait for it.

use std::sync::mpsc::{Receiver, channel};
use std::thread;

use sdvr_transport::{ConnectError, TcpLink, Waker};

use crate::datagram_link::Peer;
use crate::destination::Destination;

/// What leads to a server.
#[derive(Debug)]
pub(crate) enum Found {
    /// A connection.
    Connection(TcpLink),
    /// The addresses that it may have, the one to be tried first in front.
    Peers(Vec<Peer>),
}

/// A server that is looked for.
#[derive(Debug)]
pub(crate) struct Dial {
    receiver: Receiver<Result<Found, ConnectError>>,
}

impl Dial {
    /// Begins; `waker` is woken when there is a result.
    ///
    /// # Errors
    ///
    /// When no thread can be made.
    pub(crate) fn start(server: &Destination, waker: &Waker) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let (server, waker) = (server.clone(), waker.clone());
        thread::Builder::new()
            .name("dial".to_owned())
            .spawn(move || {
                // Nobody waits any more if the client has ended meanwhile.
                let _ = sender.send(find(&server));
                waker.wake();
            })?;
        Ok(Self { receiver })
    }

    /// The result, if there is one.
    pub(crate) fn poll(&self) -> Option<Result<Found, ConnectError>> {
        self.receiver.try_recv().ok()
    }
}

fn find(server: &Destination) -> Result<Found, ConnectError> {
    match server {
        Destination::Tcp(address) => {
            sdvr_transport::connect(address).map(|(link, _)| Found::Connection(link))
        }
        Destination::Udp(address) => {
            let addresses = sdvr_transport::resolve(address)?;
            Ok(Found::Peers(addresses.into_iter().map(Peer::Udp).collect()))
        }
        Destination::Ethernet(peer) => Ok(Found::Peers(vec![Peer::Ethernet(peer.clone())])),
    }
}
