//! What it costs to look: in a window, in a browser, in fifty of them.

mod film;
mod page;
mod sockets;
mod web_server;
mod window;

use std::path::Path;

pub(crate) use sockets::write_plainly;

pub(crate) fn run(programs: &Path, only: Option<&str>) -> anyhow::Result<()> {
    let is_wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    if is_wanted("window") {
        window::run(programs)?;
    }
    if is_wanted("page") {
        page::one(programs)?;
    }
    if is_wanted("mosaic") {
        page::mosaic(programs)?;
    }
    if is_wanted("sockets") {
        sockets::run(programs)?;
    }
    Ok(())
}
