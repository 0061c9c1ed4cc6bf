//! `sdvr web`, to be measured.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::system::{Program, System};

/// The server, on a port of its own.
pub(super) struct WebServer {
    pub(super) program: Program,
    pub(super) address: SocketAddr,
}

impl WebServer {
    pub(super) fn start(programs: &Path, system: &System) -> anyhow::Result<Self> {
        let mut child = Command::new(programs.join("sdvr"))
            .args(["web", "--listen", "127.0.0.1:0"])
            .env("HOME", system.home())
            .env("SDVR_SHM_DIR", system.rings())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start sdvr web")?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("its output is piped")?;
        let program = Program::of(child);
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line
            .split_once("http://")
            .and_then(|(_, rest)| rest.split('/').next()?.trim().parse().ok())
            .with_context(|| format!("sdvr web says {line:?}"))?;
        Ok(Self { program, address })
    }

    /// A figure out of `/metrics`.
    pub(super) fn metric(&self, name: &str) -> anyhow::Result<u64> {
        let mut connection = TcpStream::connect(self.address)?;
        let address = self.address;
        write!(
            connection,
            "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        let value = answer
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.with_context(|| format!("the server tells no {name}"))?;
        value.trim().parse().context("it is a number")
    }
}
