//! Connecting, on a thread of its own: looking a name up may take seconds, and the source must not wait for it.

use std::sync::mpsc::{Receiver, channel};
use std::thread;

use sdvr_frame::ServerAddress;
use sdvr_transport::{ConnectError, TcpLink, Waker};

/// A connection that is being made.
#[derive(Debug)]
pub(crate) struct Dial {
    receiver: Receiver<Result<TcpLink, ConnectError>>,
}

impl Dial {
    /// Begins; `waker` is woken when there is a result.
    ///
    /// # Errors
    ///
    /// When no thread can be made.
    pub(crate) fn start(server: &ServerAddress, waker: &Waker) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let (server, waker) = (server.clone(), waker.clone());
        thread::Builder::new()
            .name("dial".to_owned())
            .spawn(move || {
                // Nobody waits any more if the client has ended meanwhile.
                let _ = sender.send(sdvr_transport::connect(&server).map(|(link, _)| link));
                waker.wake();
            })?;
        Ok(Self { receiver })
    }

    /// The result, if there is one.
    pub(crate) fn poll(&self) -> Option<Result<TcpLink, ConnectError>> {
        self.receiver.try_recv().ok()
    }
}
