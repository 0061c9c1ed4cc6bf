//! Fifty pages on one camera, beside fifty plain writes of the same frames. What reads them is one thread in both cases: each thread that is woken may take the
//! processor from who writes, and that would be what is measured.

mod clients;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use sdvr::{Camera, Policy, Start};

use self::clients::{Page, Reader, look_at};
use super::film;
use super::web_server::WebServer;
use crate::system::{Program, System};

const SOCKETS: usize = 50;
const MEASURED: Duration = Duration::from_secs(20);
/// Until all are in their stride.
const WARMING: Duration = Duration::from_secs(3);

pub(super) fn run(programs: &Path) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let film = scratch.path().join("film.h264");
    film::write(&film, (1920, 1080), 20)?;
    let film = film.to_str().context("the path is text")?;
    let cameras: [(&str, &str, &[&str]); 2] = [
        ("1080p30 H.264", film, &["-r", "30", "--loop"]),
        (
            "720p30 MJPEG",
            "test:?format=MJPG&size=1280x720&fps=30",
            &[],
        ),
    ];
    for (name, source, options) in cameras {
        let system = System::start(programs)?;
        let _client = system.client_with("watched", source, options)?;
        system.wait_for_camera("watched")?;
        let server = served(programs, &system)?;
        let floor = plain(&system)?;
        println!(
            "{SOCKETS} sockets on one {name} camera, frames of {:.1} KB, {} s\n  \
             sdvr web      {:.3} core, {:.1} frames/s a socket; read and packed {:.1} a second\n  \
             plain writes  {:.3} core, {:.1} frames/s a socket\n  \
             {:.2} x (target <= 1.5)",
            server.frame_bytes / 1e3,
            MEASURED.as_secs(),
            server.cores,
            server.rate,
            server.packed_rate,
            floor.cores,
            floor.rate,
            server.cores / floor.cores,
        );
    }
    Ok(())
}

/// What was seen of a server while it was measured.
struct Seen {
    cores: f64,
    /// Frames a second at each socket.
    rate: f64,
    /// Frames packed a second, whoever got them.
    packed_rate: f64,
    frame_bytes: f64,
}

/// What clients count.
#[derive(Default)]
pub(super) struct Counts {
    frames: AtomicU64,
    bytes: AtomicU64,
}

impl Counts {
    pub(super) fn add(&self, frames: u64, bytes: usize) {
        // Relaxed: the numbers stand for themselves.
        self.frames.fetch_add(frames, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn read(&self) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.frames), read(&self.bytes))
    }
}

#[expect(clippy::cast_precision_loss, reason = "for display")]
fn measure(
    program: &Program,
    counts: &Counts,
    packed: impl Fn() -> anyhow::Result<u64>,
) -> anyhow::Result<Seen> {
    std::thread::sleep(WARMING);
    let (before, frames_before, packed_before) = (program.usage()?, counts.read(), packed()?);
    std::thread::sleep(MEASURED);
    let (after, frames_after, packed_after) = (program.usage()?, counts.read(), packed()?);
    let seconds = (after.at - before.at).as_secs_f64();
    let frames = frames_after.0 - frames_before.0;
    Ok(Seen {
        cores: (after.cpu - before.cpu).as_secs_f64() / seconds,
        rate: frames as f64 / seconds / SOCKETS as f64,
        packed_rate: (packed_after - packed_before) as f64 / seconds,
        frame_bytes: (frames_after.1 - frames_before.1) as f64 / frames.max(1) as f64,
    })
}

/// `sdvr web` with as many pages.
fn served(programs: &Path, system: &System) -> anyhow::Result<Seen> {
    let server = WebServer::start(programs, system)?;
    let counts = Arc::new(Counts::default());
    let mut pages = (0..SOCKETS)
        .map(|_| Page::open(server.address))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let of_thread = Arc::clone(&counts);
    // Ends with the server.
    std::thread::spawn(move || look_at(&mut pages, &of_thread));
    measure(&server.program, &counts, || {
        server.metric("sdvr_web_frames_packed_total")
    })
}

/// A program that reads the frames as `sdvr web` does and only writes them to as many sockets.
fn plain(system: &System) -> anyhow::Result<Seen> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("plain-writes")
        .arg(system.rings())
        .arg("watched")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = child.stdout.take().context("its output is piped")?;
    let program = Program::of(child);
    let mut port = [0; 2];
    said.read_exact(&mut port)?;
    let counts = Arc::new(Counts::default());
    let mut readers = (0..SOCKETS)
        .map(|_| Reader::open(u16::from_be_bytes(port)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let of_thread = Arc::clone(&counts);
    // Ends with the program.
    std::thread::spawn(move || look_at(&mut readers, &of_thread));
    let mut seen = measure(&program, &counts, || Ok(0))?;
    // What is read is not taken apart again: all was written, or it would have ended.
    let mut written = [0; 8];
    said.read_exact(&mut written)?;
    seen.rate = f64::from_be_bytes(written);
    ensure!(seen.cores > 0.0, "the plain program has done nothing");
    Ok(seen)
}

/// That program: says its port, and after [`WARMING`] and [`MEASURED`] how many frames a second it has written.
pub(crate) fn write_plainly(rings: &Path, label: &str) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut out = std::io::stdout();
    out.write_all(&listener.local_addr()?.port().to_be_bytes())?;
    out.flush()?;
    let mut sockets = Vec::with_capacity(SOCKETS);
    for _ in 0..SOCKETS {
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        sockets.push(socket);
    }
    let mut camera = Camera::open_in(rings, label, Start::Now)?;
    let begin = std::time::Instant::now();
    let (mut frames, mut is_said) = (0_u32, false);
    loop {
        let Some(frame) = camera.next(Policy::Every, Duration::from_secs(5))? else {
            bail!("no frame came in 5 s");
        };
        for socket in &mut sockets {
            socket.write_all(frame.bytes())?;
        }
        frames += 1;
        if !is_said && begin.elapsed() > WARMING + MEASURED {
            let rate = f64::from(frames) / begin.elapsed().as_secs_f64();
            out.write_all(&rate.to_be_bytes())?;
            out.flush()?;
            is_said = true;
        }
    }
}
