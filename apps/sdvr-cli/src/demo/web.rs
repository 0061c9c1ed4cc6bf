//! The web page of the demonstration.

use std::io::IsTerminal;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, bail};

use super::programs::{Place, Programs};

/// Where `sdvr web` listens by itself; the address that is printed is the same each time, as long as nobody else has it.
const USUAL: &str = "127.0.0.1:8337";
const ANY: &str = "127.0.0.1:0";

/// Starts the server; gives the address of its page.
pub(super) fn start(place: &Place, programs: &mut Programs) -> anyhow::Result<String> {
    let is_free = TcpListener::bind(USUAL).is_ok();
    let listen = if is_free { USUAL } else { ANY };
    match start_at(listen, place, programs) {
        // Somebody may have taken it since.
        Err(_) if is_free => start_at(ANY, place, programs),
        address => address,
    }
}

fn start_at(listen: &str, place: &Place, programs: &mut Programs) -> anyhow::Result<String> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let mut command = place.environment(Command::new(own));
    command.args(["web", "--listen", listen]);
    let line = programs.start_and_read(&mut command, place.log("web")?)?;
    let Some(address) = line
        .split_whitespace()
        .find(|word| word.starts_with("http"))
    else {
        programs.end_last();
        bail!("sdvr web did not start: {}", place.read_log("web"));
    };
    Ok(address.to_owned())
}

/// Opens it where there is a desktop and somebody sits at it.
pub(super) fn open_browser(address: &str) {
    let has_desktop = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    if !has_desktop || !std::io::stdout().is_terminal() {
        return;
    }
    let mut command = Command::new("xdg-open");
    command
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // Without it the address is there to be clicked.
    if let Ok(mut opener) = command.spawn() {
        thread::spawn(move || opener.wait());
    }
}
