//! What recording costs: many ordinary cameras, one very large one, and starting where much was recorded before.

mod large;
mod start;

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::system::{Program, System};

const CAMERAS: usize = 64;
/// Frames of this size, at this rate.
const FRAME_BYTES: usize = 20_000;
const RATE: usize = 30;
/// Until all are in their stride.
const WARMING: Duration = Duration::from_secs(4);
const MEASURED: Duration = Duration::from_secs(20);
/// What the recorder may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(10);

pub(crate) fn run(programs: &Path, only: Option<&str>) -> anyhow::Result<()> {
    let is_wanted = |name: &str| only.is_none_or(|only| name.contains(only));
    if is_wanted("many") {
        many(programs)?;
    }
    if is_wanted("large") {
        large::run(programs)?;
    }
    if is_wanted("start") {
        start::run(programs)?;
    }
    Ok(())
}

/// `sdvr record` of a system, into a folder.
struct Recorder {
    child: Child,
    /// What the system counts of it.
    program: u32,
}

/// What was seen of a recorder.
struct Seen {
    cores: f64,
    /// Writes a second, whatever was written.
    writes: f64,
    /// Bytes a second.
    bytes: f64,
}

#[derive(Clone, Copy)]
struct Counted {
    cpu: Duration,
    writes: u64,
    bytes: u64,
    at: Instant,
}

impl Recorder {
    fn start(
        programs: &Path,
        system: &System,
        folder: &Path,
        options: &[&str],
    ) -> anyhow::Result<Self> {
        let child = Command::new(programs.join("sdvr"))
            .arg("record")
            .arg("-o")
            .arg(folder)
            .args(options)
            .env("HOME", system.home())
            .env("SDVR_SHM_DIR", system.rings())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start sdvr record")?;
        let program = child.id();
        Ok(Self { child, program })
    }

    fn counted(&self) -> anyhow::Result<Counted> {
        Ok(Counted {
            cpu: crate::system::cpu_of(self.program)?,
            writes: io_of(self.program, "syscw")?,
            bytes: io_of(self.program, "wchar")?,
            at: Instant::now(),
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "for display")]
    fn measure(&self, measured: Duration) -> anyhow::Result<Seen> {
        std::thread::sleep(WARMING);
        let before = self.counted()?;
        std::thread::sleep(measured);
        let after = self.counted()?;
        let seconds = (after.at - before.at).as_secs_f64();
        Ok(Seen {
            cores: (after.cpu - before.cpu).as_secs_f64() / seconds,
            writes: (after.writes - before.writes) as f64 / seconds,
            bytes: (after.bytes - before.bytes) as f64 / seconds,
        })
    }

    /// Ends it as a user does; gives what it says last: how much was recorded, and how much lost.
    fn end(mut self) -> anyhow::Result<String> {
        let process = Pid::from_child(&self.child);
        kill_process(process, Signal::INT)?;
        let mut text = String::new();
        let mut said = self.child.stderr.take().context("its errors are piped")?;
        said.read_to_string(&mut text)?;
        let deadline = Instant::now() + GOODBYE;
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "the recorder does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(text.trim_end().replace('\n', "\n  "))
    }
}

/// A figure of what a process has read and written.
fn io_of(process: u32, name: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/io"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    Ok(line.context("the system does not tell it")?.parse()?)
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
fn many(programs: &Path) -> anyhow::Result<()> {
    let system = System::start(programs)?;
    let source = format!("test:?format=BNCH&bytes={FRAME_BYTES}&fps={RATE}");
    let clients = (0..CAMERAS)
        .map(|n| system.client(&format!("camera-{n:02}"), &source))
        .collect::<anyhow::Result<Vec<Program>>>()?;
    system.wait_for_cameras(CAMERAS)?;
    println!(
        "{CAMERAS} cameras, {RATE} frames/s of {FRAME_BYTES} B each, {} s, to a disk",
        MEASURED.as_secs()
    );
    for fsync in ["write", "segment"] {
        let folder = tempfile::tempdir()?;
        let recorder = Recorder::start(programs, &system, folder.path(), &["--fsync", fsync])?;
        let seen = recorder.measure(MEASURED)?;
        let said = recorder.end()?;
        println!(
            "  --fsync {fsync}: {:.3} core (target <= 0.12), {:.2} writes a second and camera (target <= 1), {:.1} MB/s\n  {said}",
            seen.cores,
            seen.writes / CAMERAS as f64,
            seen.bytes / 1e6,
        );
    }
    let floor = write_plainly()?;
    println!("  the same bytes written and nothing else: {floor:.3} core");
    drop(clients);
    Ok(())
}

/// As many files, a second's bytes written to each once a second: what no recorder does without.
fn write_plainly() -> anyhow::Result<f64> {
    let folder = tempfile::tempdir()?;
    let bytes = vec![7; FRAME_BYTES * RATE];
    let mut files = (0..CAMERAS)
        .map(|n| File::create(folder.path().join(n.to_string())))
        .collect::<Result<Vec<_>, _>>()?;
    let own = std::process::id();
    let (before, begin) = (crate::system::cpu_of(own)?, Instant::now());
    let seconds = 10;
    for second in 0..seconds {
        for file in &mut files {
            file.write_all(&bytes)?;
        }
        let next = begin + Duration::from_secs(second + 1);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    let used = crate::system::cpu_of(own)? - before;
    Ok(used.as_secs_f64() / begin.elapsed().as_secs_f64())
}
