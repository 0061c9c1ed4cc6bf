//! A daemon and clients to measure: real programs, as released, in a folder of their own.

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use sdvr::CameraInfo;
use sdvr_test_link::{Link, Side};

use crate::veth;

/// Where the daemon is, and how its cameras reach it.
#[derive(Clone, Debug)]
pub(crate) enum Network {
    /// TCP on loopback.
    Tcp,
    /// UDP on loopback.
    Udp,
    /// Raw Ethernet between the two ends of [`crate::veth`], in this network namespace.
    Ethernet,
    /// UDP across a bad network: cameras on its side A, the daemon on its side B.
    Link {
        link: Arc<Link>,
        /// How long frames may take, as the clients are told.
        latency_ms: u32,
    },
}

impl Network {
    fn program(&self, side: Side, program: &Path) -> Command {
        match self {
            Self::Tcp | Self::Udp | Self::Ethernet => Command::new(program),
            Self::Link { link, .. } => link.command(side, program),
        }
    }

    fn daemon(&self, programs: &Path) -> Command {
        let mut command = self.program(Side::B, &programs.join("sdvrd"));
        match self {
            Self::Tcp | Self::Udp => command.args(["-l", "127.0.0.1", "-p", "0"]),
            Self::Ethernet => {
                command.args(["-l", "127.0.0.1", "-p", "0", "-i", veth::DAEMON_INTERFACE])
            }
            Self::Link { link, .. } => {
                command.args(["-p", "0", "-l", &link.ipv4(Side::B).to_string()])
            }
        };
        command
    }

    fn client(&self, programs: &Path, port: u16) -> Command {
        let mut command = self.program(Side::A, &programs.join("sdvrc"));
        let port = port.to_string();
        match self {
            Self::Tcp => command.args(["-d", "127.0.0.1", "-p", &port]),
            Self::Udp => command.args(["-u", "-d", "127.0.0.1", "-p", &port]),
            Self::Ethernet => {
                command.args(["-u", "-d", veth::DAEMON_MAC, "-o", veth::CLIENT_INTERFACE])
            }
            Self::Link { link, latency_ms } => {
                let address = link.ipv4(Side::B).to_string();
                let latency = latency_ms.to_string();
                command.args(["-u", "-d", &address, "-p", &port, "--latency", &latency])
            }
        };
        command
    }
}

/// A daemon in a temporary home.
pub(crate) struct System {
    home: tempfile::TempDir,
    shm: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    daemon: Program,
    keys: Keys,
    network: Network,
}

/// When the programs renew their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Keys {
    /// As they do by themselves: each GiB, and without a handshake within a measurement.
    AsReleased,
    /// An epoch each second, a handshake every ten.
    OftenRenewed,
    /// Ten times as often as that; handshakes every second and a half, which is as often as a client does.
    TenTimesAsOften,
}

impl Keys {
    pub(crate) const ALL: [Self; 3] = [Self::AsReleased, Self::OftenRenewed, Self::TenTimesAsOften];

    /// What both programs are told.
    const fn environment(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::AsReleased => None,
            Self::OftenRenewed => Some(("SDVR_KEY_SECONDS", "1,10")),
            Self::TenTimesAsOften => Some(("SDVR_KEY_SECONDS", "0,1")),
        }
    }

    pub(crate) const fn description(self) -> &'static str {
        match self {
            Self::AsReleased => "as released",
            Self::OftenRenewed => "an epoch every 1 s, a handshake every 10 s",
            Self::TenTimesAsOften => "an epoch every 0.1 s, a handshake every 1.5 s",
        }
    }
}

/// A running program.
pub(crate) struct Program(Child);

/// What a program has used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    pub(crate) at: Instant,
}

impl System {
    pub(crate) fn start(programs: &Path) -> anyhow::Result<Self> {
        Self::start_in(programs, Network::Tcp, Keys::AsReleased)
    }

    pub(crate) fn start_in(programs: &Path, network: Network, keys: Keys) -> anyhow::Result<Self> {
        let home = tempfile::tempdir()?;
        let shm = tempfile::Builder::new()
            .prefix("sdvr-bench-")
            .tempdir_in("/dev/shm")?;
        let mut command = network.daemon(programs);
        command
            .env("HOME", home.path())
            .env("SDVR_SHM_DIR", shm.path().join("rings"))
            .envs(keys.environment());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(log())
            .spawn()
            .context("cannot start sdvrd")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output is piped")?).read_line(&mut line)?;
        let address = line
            .split_whitespace()
            .nth(2)
            .and_then(|address| address.parse::<std::net::SocketAddr>().ok());
        let Some(address) = address else {
            bail!("sdvrd did not start: {line:?}")
        };
        Ok(Self {
            home,
            shm,
            programs: programs.to_owned(),
            port: address.port(),
            daemon: Program(child),
            keys,
            network,
        })
    }

    pub(crate) fn rings(&self) -> PathBuf {
        self.shm.path().join("rings")
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// What all rings take of the shared memory.
    pub(crate) fn ring_kib(&self) -> anyhow::Result<u64> {
        let mut blocks = 0;
        for file in std::fs::read_dir(self.rings())? {
            let file = file?;
            if file.file_name() != "statistics" {
                blocks += file.metadata()?.blocks();
            }
        }
        // A block is 512 bytes, whatever the file system's are.
        Ok(blocks / 2)
    }

    pub(crate) const fn daemon(&self) -> &Program {
        &self.daemon
    }

    pub(crate) fn client(&self, label: &str, source: &str) -> anyhow::Result<Program> {
        self.client_with(label, source, &[])
    }

    pub(crate) fn client_with(
        &self,
        label: &str,
        source: &str,
        options: &[&str],
    ) -> anyhow::Result<Program> {
        let mut command = self.network.client(&self.programs, self.port);
        command
            .args(["-n", label, "-i", source])
            .args(options)
            .env("HOME", self.home.path())
            .envs(self.keys.environment());
        Ok(Program(
            command
                .stdout(Stdio::null())
                .stderr(log())
                .spawn()
                .context("cannot start sdvrc")?,
        ))
    }

    /// The only camera, as fast as it goes, when it is in its stride.
    pub(crate) fn client_flat_out(&self, frame_bytes: usize) -> anyhow::Result<Program> {
        let source = format!("test:?format=BNCH&fps=0&bytes={frame_bytes}");
        let client = self.client("flat", &source)?;
        self.wait_for_cameras(1)?;
        std::thread::sleep(Duration::from_millis(500));
        Ok(client)
    }

    /// Waits until so many cameras stream.
    pub(crate) fn wait_for_cameras(&self, count: usize) -> anyhow::Result<()> {
        self.wait_until(|cameras| cameras.iter().filter(|it| it.frames > 0).count() >= count)
    }

    /// Waits until this camera streams.
    pub(crate) fn wait_for_camera(&self, label: &str) -> anyhow::Result<()> {
        let streams = |camera: &CameraInfo| camera.label.as_str() == label && camera.frames > 0;
        self.wait_until(|cameras| cameras.iter().any(streams))
    }

    fn wait_until(&self, holds: impl Fn(&[CameraInfo]) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !holds(&sdvr::Cameras::list_in(&self.rings())) {
            ensure!(
                Instant::now() < deadline,
                "not all cameras came within 30 s"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// What the daemon has counted.
    pub(crate) fn figures(&self) -> anyhow::Result<sdvr::Statistics> {
        let rings = std::fs::File::open(self.rings())?;
        Ok(sdvr_ring::read_statistics(rings.as_fd())?)
    }

    /// Bytes of all frames published, and frames lost, by all cameras.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let cameras = sdvr::Cameras::list_in(&self.rings());
        (
            cameras.iter().map(|camera| camera.bytes).sum(),
            cameras.iter().map(|camera| camera.lost).sum(),
        )
    }
}

/// What the programs log is shown when `SDVR_BENCH_LOG` is set.
fn log() -> Stdio {
    if std::env::var_os("SDVR_BENCH_LOG").is_some() {
        Stdio::inherit()
    } else {
        Stdio::null()
    }
}

impl Program {
    /// One that was started elsewhere; it ends with this value.
    pub(crate) const fn of(child: Child) -> Self {
        Self(child)
    }

    /// Memory of its own that it has now.
    pub(crate) fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .context("this kernel does not tell the memory of a process")?;
        let kib = line.split_whitespace().next().unwrap_or_default();
        kib.parse().context("that is no number of KiB")
    }

    /// CPU time used until now, user and system.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Ok(Usage {
            cpu: cpu_of(self.0.id())?,
            at: Instant::now(),
        })
    }
}

/// CPU time that a process's threads have used until now, user and system.
pub(crate) fn cpu_of(process: u32) -> anyhow::Result<Duration> {
    let mut nanoseconds = 0_u64;
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        // One that ends meanwhile has used little since.
        let Ok(text) = std::fs::read_to_string(thread?.path().join("schedstat")) else {
            continue;
        };
        let first = text.split_whitespace().next();
        nanoseconds += first
            .and_then(|first| first.parse::<u64>().ok())
            .unwrap_or(0);
    }
    Ok(Duration::from_nanos(nanoseconds))
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
