//! One connection, from its first byte to its last.

use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::site::ended;

/// A request whose headers have not come in this time is given up; a connection without one, too.
const HEADERS_MOST: Duration = Duration::from_secs(10);
/// As long a handshake may take.
const HANDSHAKE_MOST: Duration = Duration::from_secs(10);
/// Requests here are short.
const BUFFER_BYTES: usize = 16 << 10;
/// The first byte of TLS: a handshake record.
const HANDSHAKE: u8 = 22;

/// Said to browsers that speak HTTP where TLS is spoken.
const NOT_ENCRYPTED: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
    This server speaks TLS: write https:// in front of its address.\n";

/// What connections are served with.
pub(super) struct Door {
    pub(super) router: Router,
    pub(super) acceptor: Option<TlsAcceptor>,
    pub(super) ending: watch::Receiver<bool>,
}

impl Door {
    /// Serves a connection until it ends, or the server does.
    pub(super) async fn serve(&self, mut stream: TcpStream) {
        // If not, frames come a little later.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = &self.acceptor else {
            return self.speak(stream).await;
        };
        let mut first = [0];
        match timeout(HANDSHAKE_MOST, stream.peek(&mut first)).await {
            Ok(Ok(1)) if first == [HANDSHAKE] => {}
            Ok(Ok(1)) => {
                // It is said or not; this is the end.
                let _ = timeout(HANDSHAKE_MOST, stream.write_all(NOT_ENCRYPTED.as_bytes())).await;
                return;
            }
            _ => return,
        }
        if let Ok(Ok(stream)) = timeout(HANDSHAKE_MOST, acceptor.accept(stream)).await {
            self.speak(stream).await;
        }
    }

    async fn speak(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADERS_MOST)
            .max_buf_size(BUFFER_BYTES)
            .serve_connection(
                TokioIo::new(stream),
                TowerToHyperService::new(self.router.clone()),
            )
            .with_upgrades();
        tokio::select! {
            // Whatever has gone wrong, it was the other end's.
            _ = connection => {}
            () = ended(self.ending.clone()) => {}
        }
    }
}
