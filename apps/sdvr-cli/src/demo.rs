//! `sdvr demo`: a daemon and three test cameras in a temporary home, shown live. Leaves nothing behind.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use sdvr::{Camera, Policy};

use crate::output::{Interrupted, milliseconds, parse_seconds, percentile, print_line};

/// The cameras: label, source.
const CAMERAS: [(&str, &str); 3] = [
    ("front-door", "test:?format=MJPG&size=1280x720&fps=30"),
    ("workbench", "test:?format=YUYV&size=640x480&fps=25"),
    ("measuring", "test:?format=BNCH&bytes=100000&fps=30"),
];
const REFRESH: Duration = Duration::from_secs(1);
/// How often it is looked whether there is something to do.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long the daemon and the cameras may take to be there.
const START_TIME: Duration = Duration::from_secs(20);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// End so many seconds after every camera has sent a frame [default: at Ctrl-C]
    #[arg(long, value_name = "S", value_parser = parse_seconds)]
    seconds: Option<f64>,
    /// Keep to the terminal (as it does in any case: there is no web page yet)
    #[arg(long, hide = true)]
    no_web: bool,
}

/// Processes that end with this value.
#[derive(Default)]
struct Processes(Vec<Child>);

impl Processes {
    /// One that does not run any more.
    fn ended(&mut self) -> Option<u32> {
        self.0
            .iter_mut()
            .find_map(|child| matches!(child.try_wait(), Ok(Some(_))).then(|| child.id()))
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // Cameras first, so that they say goodbye to a daemon that is there.
        for child in self.0.iter_mut().rev() {
            let pid = rustix::process::Pid::from_child(child);
            // One that has ended already cannot be told to.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let deadline = Instant::now() + Duration::from_secs(3);
            while Instant::now() < deadline && matches!(child.try_wait(), Ok(None)) {
                thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let interrupted = Interrupted::listen()?;
    let home = tempfile::Builder::new()
        .prefix("sdvr-demo-")
        .tempdir()
        .context("cannot make a temporary home")?;
    let shm = tempfile::Builder::new()
        .prefix("sdvr-demo-")
        .tempdir_in("/dev/shm")
        .context("cannot make a directory in /dev/shm")?;
    let place = Place {
        home: home.path().to_owned(),
        shm: shm.path().join("rings"),
    };
    let mut processes = Processes::default();
    let ready = place.start_daemon(&mut processes)?;
    print_line(&ready)?;
    for (label, source) in CAMERAS {
        print_line(format_args!("sdvrc -n {label} -i '{source}'"))?;
        place.start_camera(label, source, port_of(&ready)?, &mut processes)?;
    }
    print_line(format_args!(
        "The same by hand: SDVR_SHM_DIR={} sdvr ls",
        place.shm.display()
    ))?;
    let figures = read_cameras(&place.shm);
    let start = Instant::now();
    // The time to show counts from when there is something to see: a small machine needs a while for its first picture.
    let mut end = None;
    let mut table = Table::new();
    let mut next = start + REFRESH;
    while !interrupted.is_set() && end.is_none_or(|end| Instant::now() < end) {
        thread::sleep(POLL_INTERVAL);
        for figure in figures.try_iter() {
            table.take(figure);
        }
        if Instant::now() >= next {
            next += REFRESH;
            table.print()?;
        }
        if let Some(silent) = table.silent_camera() {
            if start.elapsed() > START_TIME {
                bail!("{silent} sent no frame within {} s", START_TIME.as_secs());
            }
        } else if end.is_none() {
            end = arguments
                .seconds
                .map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
        }
        if let Some(program) = processes.ended() {
            // Ctrl-C at a terminal reaches all programs at once, and this one may be the last to see it.
            thread::sleep(POLL_INTERVAL);
            if interrupted.is_set() {
                break;
            }
            bail!("process {program} of the demonstration has ended by itself");
        }
    }
    drop(processes);
    table.summary()
}

/// Where the demonstration lives.
struct Place {
    home: PathBuf,
    shm: PathBuf,
}

impl Place {
    fn command(&self, program: &str) -> anyhow::Result<Command> {
        let mut command = Command::new(sibling(program)?);
        command
            .env("HOME", &self.home)
            .env("SDVR_SHM_DIR", &self.shm)
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Starts the daemon; gives the line that says that it is ready.
    fn start_daemon(&self, processes: &mut Processes) -> anyhow::Result<String> {
        let mut command = self.command("sdvrd")?;
        command
            .args(["-l", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::piped())
            .stderr(self.log("sdvrd")?);
        let mut daemon = command.spawn().context("cannot start sdvrd")?;
        let stdout = daemon.stdout.take();
        processes.0.push(daemon);
        let mut line = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        if line.is_empty() {
            bail!(
                "sdvrd did not start: {}",
                std::fs::read_to_string(self.home.join("sdvrd.log")).unwrap_or_default()
            );
        }
        Ok(line.trim_end().to_owned())
    }

    fn start_camera(
        &self,
        label: &str,
        source: &str,
        port: u16,
        processes: &mut Processes,
    ) -> anyhow::Result<()> {
        let mut command = self.command("sdvrc")?;
        command.args([
            "-d",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-n",
            label,
            "-i",
            source,
        ]);
        command.stdout(Stdio::null()).stderr(self.log(label)?);
        processes
            .0
            .push(command.spawn().context("cannot start sdvrc")?);
        Ok(())
    }

    fn log(&self, name: &str) -> anyhow::Result<std::fs::File> {
        std::fs::File::create(self.home.join(format!("{name}.log"))).context("cannot make a log")
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

/// What a reader says of one frame.
struct Figure {
    label: &'static str,
    bytes: usize,
    missed: u64,
    latency_us: u64,
}

/// Reads every camera on a thread of its own, as ten programs of a user would.
fn read_cameras(shm: &Path) -> Receiver<Figure> {
    let (sender, receiver) = channel();
    for (label, _) in CAMERAS {
        let sender = sender.clone();
        let ring_directory = shm.to_owned();
        thread::spawn(move || {
            let mut camera = Camera::wait_for_in(&ring_directory, label);
            loop {
                let Ok(frame) = camera.next(Policy::Every, Duration::from_secs(1)) else {
                    continue;
                };
                let Some(frame) = frame else { continue };
                let latency_us = u64::try_from(frame.age().as_micros()).unwrap_or(u64::MAX);
                let figure = Figure {
                    label,
                    bytes: frame.bytes().len(),
                    missed: frame.missed(),
                    latency_us,
                };
                if sender.send(figure).is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

/// What was seen, by camera.
struct Table {
    rows: HashMap<&'static str, Row>,
    lines_printed: usize,
}

#[derive(Default)]
struct Row {
    frames: u64,
    missed: u64,
    now: Second,
}

/// What was seen since the table was printed last.
#[derive(Default)]
struct Second {
    frames: u64,
    bytes: usize,
    latencies_us: Vec<u64>,
}

impl Table {
    fn new() -> Self {
        Self {
            rows: CAMERAS
                .iter()
                .map(|(label, _)| (*label, Row::default()))
                .collect(),
            lines_printed: 0,
        }
    }

    fn take(&mut self, figure: Figure) {
        let row = self.rows.entry(figure.label).or_default();
        row.frames += 1;
        row.missed += figure.missed;
        row.now.frames += 1;
        row.now.bytes += figure.bytes;
        row.now.latencies_us.push(figure.latency_us);
    }

    fn total_frames(&self) -> u64 {
        self.rows.values().map(|row| row.frames).sum()
    }

    #[expect(clippy::cast_precision_loss, reason = "for display")]
    fn print(&mut self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        // A terminal is overwritten; a file gets line after line.
        if out.is_terminal() && self.lines_printed > 0 {
            write!(out, "\x1b[{}A", self.lines_printed)?;
        }
        writeln!(
            out,
            "{:12} {:>9} {:>10} {:>14} {:>14} {:>6}",
            "camera", "frames/s", "Mbit/s", "latency p50", "latency p99", "lost"
        )?;
        for (label, _) in CAMERAS {
            let row = self.rows.entry(label).or_default();
            let mut second = std::mem::take(&mut row.now);
            second.latencies_us.sort_unstable();
            writeln!(
                out,
                "{label:12} {:>9} {:>10.1} {:>14} {:>14} {:>6}",
                second.frames,
                second.bytes as f64 * 8e-6,
                milliseconds(percentile(&second.latencies_us, 50)),
                milliseconds(percentile(&second.latencies_us, 99)),
                row.missed
            )?;
        }
        out.flush()?;
        self.lines_printed = CAMERAS.len() + 1;
        Ok(())
    }

    /// A camera of which no frame has come yet.
    fn silent_camera(&self) -> Option<&'static str> {
        self.rows
            .iter()
            .find_map(|(label, row)| (row.frames == 0).then_some(*label))
    }

    fn summary(&self) -> anyhow::Result<()> {
        let missed: u64 = self.rows.values().map(|row| row.missed).sum();
        print_line(format_args!(
            "{} frames, {missed} lost. Nothing is left behind.",
            self.total_frames()
        ))
    }
}
