//! The programs of the demonstration, and the folders they live in.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tempfile::TempDir;

use super::cameras::DemoCamera;

/// How long a program may take to end when it is told to.
const END_TIME: Duration = Duration::from_secs(3);

/// Programs that end with this value.
#[derive(Default)]
pub(super) struct Programs(Vec<Child>);

impl Programs {
    /// One that does not run any more.
    pub(super) fn ended(&mut self) -> Option<u32> {
        self.0
            .iter_mut()
            .find_map(|child| matches!(child.try_wait(), Ok(Some(_))).then(|| child.id()))
    }

    fn start(&mut self, command: &mut Command) -> anyhow::Result<&mut Child> {
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(self.0.push_mut(child))
    }

    /// Starts a program that says in one line that it is ready; gives that line, which is empty if it has ended before.
    pub(super) fn start_and_read(
        &mut self,
        command: &mut Command,
        log: File,
    ) -> anyhow::Result<String> {
        let child = self.start(command.stdout(Stdio::piped()).stderr(log))?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        Ok(line.trim_end().to_owned())
    }

    /// Ends the one that was started last.
    #[cfg(feature = "web")]
    pub(super) fn end_last(&mut self) {
        if let Some(child) = self.0.pop() {
            end(child);
        }
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        // Cameras before the daemon, so that they say goodbye to one that is there.
        self.0.drain(..).rev().for_each(end);
    }
}

fn end(mut child: Child) {
    let pid = rustix::process::Pid::from_child(&child);
    // One that has ended already cannot be told to.
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    let deadline = Instant::now() + END_TIME;
    while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
        thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Where the demonstration lives. Gone with this value.
pub(super) struct Place {
    home: TempDir,
    shm: TempDir,
}

impl Place {
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("sdvr-demo-");
        Ok(Self {
            home: builder.tempdir().context("cannot make a temporary home")?,
            shm: builder
                .tempdir_in("/dev/shm")
                .context("cannot make a directory in /dev/shm")?,
        })
    }

    pub(super) fn rings(&self) -> PathBuf {
        self.shm.path().join("rings")
    }

    /// A program that lives here.
    pub(super) fn environment(&self, mut command: Command) -> Command {
        command
            .env("HOME", self.home.path())
            .env("SDVR_SHM_DIR", self.rings())
            .stdin(Stdio::null());
        command
    }

    fn command(&self, program: &str) -> anyhow::Result<Command> {
        Ok(self.environment(Command::new(sibling(program)?)))
    }

    /// Starts the daemon; gives the line that says that it is ready, and its port.
    pub(super) fn start_daemon(&self, programs: &mut Programs) -> anyhow::Result<(String, u16)> {
        let mut command = self.command("sdvrd")?;
        command.args(["-l", "127.0.0.1", "-p", "0"]);
        let ready = programs.start_and_read(&mut command, self.log("sdvrd")?)?;
        if ready.is_empty() {
            bail!("sdvrd did not start: {}", self.read_log("sdvrd"));
        }
        let port = port_of(&ready)?;
        Ok((ready, port))
    }

    pub(super) fn start_camera(
        &self,
        camera: &DemoCamera,
        port: u16,
        programs: &mut Programs,
    ) -> anyhow::Result<()> {
        let mut command = self.client(port)?;
        command
            .args(camera.link)
            .args(["-n", camera.label, "-i", camera.source])
            .stderr(self.log(camera.label)?);
        programs.start(&mut command).map(drop)
    }

    pub(super) fn start_webcams(&self, port: u16, programs: &mut Programs) -> anyhow::Result<()> {
        let mut command = self.client(port)?;
        command.arg("--all").stderr(self.log("webcams")?);
        programs.start(&mut command).map(drop)
    }

    fn client(&self, port: u16) -> anyhow::Result<Command> {
        let mut command = self.command("sdvrc")?;
        command
            .args(["-d", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null());
        Ok(command)
    }

    pub(super) fn log(&self, name: &str) -> anyhow::Result<File> {
        File::create(self.path_of_log(name)).context("cannot make a log")
    }

    /// What a program has said, as far as it can be read.
    pub(super) fn read_log(&self, name: &str) -> String {
        std::fs::read_to_string(self.path_of_log(name)).unwrap_or_default()
    }

    fn path_of_log(&self, name: &str) -> PathBuf {
        self.home.path().join(format!("{name}.log"))
    }
}

/// A program beside this one.
fn sibling(program: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find this program's folder")?;
    let path = own.with_file_name(program);
    if path.exists() {
        Ok(path)
    } else {
        bail!(
            "{} is not there; build all of SDVR first: cargo build --release",
            path.display()
        )
    }
}

/// The port in `sdvrd ready: 127.0.0.1:1337 (tcp), …`.
fn port_of(ready: &str) -> anyhow::Result<u16> {
    let address = ready
        .split_whitespace()
        .nth(2)
        .and_then(|address| address.parse::<std::net::SocketAddr>().ok());
    address
        .map(|address| address.port())
        .with_context(|| format!("cannot read the port out of {ready:?}"))
}
