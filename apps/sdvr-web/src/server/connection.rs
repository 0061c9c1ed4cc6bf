//! One connection, from its first byte to its last.

use std::io;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::site::ended;

/// A request whose headers have not come in this time is given up; a connection without one, too.
const HEADERS_MOST: Duration = Duration::from_secs(10);
/// As long a handshake may take.
const HANDSHAKE_MOST: Duration = Duration::from_secs(10);
/// What somebody who was answered gets to hear it.
const HEARING_MOST: Duration = Duration::from_secs(1);
/// A connection on which nothing is said is asked for a sign of life after this time, and then so often; without one for `DEAD_AFTER` it is given up.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// What was sent must be taken in this time: whoever asks and never reads would keep his place for ever.
const DEAD_AFTER: Duration = Duration::from_secs(60);
/// The system takes no more while so much has not gone out: what waits there is old when it goes, and nobody could take it back. (A few packets.)
const WAITS_BYTES: u32 = 16 << 10;
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
    pub(super) async fn serve(&self, stream: TcpStream) {
        tune(&stream);
        let Some(acceptor) = &self.acceptor else {
            return self.speak(stream).await;
        };
        let mut first = [0];
        match timeout(HANDSHAKE_MOST, stream.peek(&mut first)).await {
            Ok(Ok(1)) if first == [HANDSHAKE] => {}
            Ok(Ok(1)) => {
                // It is heard or not; this is the end.
                let _ = timeout(HEARING_MOST, refuse(stream)).await;
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

/// What a connection does without being asked. Where the system cannot, frames come later, and dead ends stay for longer.
fn tune(stream: &TcpStream) {
    use rustix::net::sockopt;
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(WAITS_BYTES);
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, KEEPALIVE_AFTER);
    let _ = sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL);
    let dead_after_ms = u32::try_from(DEAD_AFTER.as_millis()).unwrap_or(u32::MAX);
    let _ = sockopt::set_tcp_user_timeout(stream, dead_after_ms);
}

/// Says that TLS is spoken here, and listens until the other end has enough: what is closed while something of it is unread takes the answer along.
async fn refuse(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(NOT_ENCRYPTED.as_bytes()).await?;
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}
