//! Cameras in a browser: the library behind `sdvr web`.
#![forbid(unsafe_code)]

use std::net::SocketAddr;

/// Where and to whom pictures are served.
#[derive(Clone, Debug)]
pub struct WebOptions {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What others have to say; `None`: one is made where one is needed.
    pub token: Option<String>,
}

/// Serves until `is_to_end` says so.
///
/// # Errors
///
/// When the address cannot be listened on.
pub fn run(
    _options: WebOptions,
    _is_to_end: impl Fn() -> bool + Send + 'static,
) -> anyhow::Result<()> {
    Ok(())
}
