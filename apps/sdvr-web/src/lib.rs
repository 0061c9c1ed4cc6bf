//! Cameras in a browser: the library behind `sdvr web`.
#![forbid(unsafe_code)]

mod api;
mod catalog;
mod codec;
mod counters;
mod guard;
mod lookup;
mod messages;
mod metrics;
mod mp4;
mod packed;
mod page;
mod readers;
mod routes;
mod server;
mod site;
mod snapshot;
mod socket;
mod stream;
mod tls;
mod token;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use token::{InvalidToken, Token};

/// What is still being done when the program ends gets so long.
const SHUTDOWN_MOST: Duration = Duration::from_millis(300);

/// Where and to whom pictures are served.
#[derive(Clone, Debug)]
pub struct WebOptions {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What a browser has to say; `None`: one is made where one is needed.
    pub token: Option<Token>,
    /// Where keys are; `None`: in `~/.sdvr`. Not looked at where none is needed.
    pub keys: Option<PathBuf>,
}

/// Serves until `is_to_end` says so.
///
/// # Errors
///
/// When the address cannot be listened on.
pub fn run(
    options: WebOptions,
    is_to_end: impl Fn() -> bool + Send + 'static,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(server::run(options, is_to_end));
    runtime.shutdown_timeout(SHUTDOWN_MOST);
    result
}
