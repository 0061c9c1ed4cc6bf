//! What it costs to look: in a window, in a browser, in fifty of them.

mod film;
mod sockets;
mod web_server;

use std::path::Path;

pub(crate) use sockets::write_plainly;

pub(crate) fn run(programs: &Path, only: Option<&str>) -> anyhow::Result<()> {
    let is_wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    if is_wanted("sockets") {
        sockets::run(programs)?;
    }
    Ok(())
}
