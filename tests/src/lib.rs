//! A whole SDVR in a folder of its own: what the system tests are written with.
//!
//! Real programs, started as a user starts them. Every [`System`] has its own home, shared memory and port, so that tests run side by
//! side; what a test starts ends with it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]
#![allow(
    clippy::missing_panics_doc,
    reason = "every function here panics when the system does not do what it should"
)]

pub mod across;
pub mod browser;
pub mod consumer;
pub mod datagram_camera;
pub mod decoded;
pub mod footage;
pub mod hostile_camera;
#[path = "../../crates/sdvr-session/tests/support/memory.rs"]
pub mod memory;
pub mod proxy;
pub mod python;
pub mod random;
pub mod recording;
#[path = "../../crates/sdvr/tests/daemon/options.rs"]
pub mod rings;
pub mod screen;
pub mod small_disk;
pub mod view;
pub mod web;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take that is promised within three seconds. Generous: these machines are shared, and the promise itself is measured by the
/// benches.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A home, a place in shared memory, and a daemon in them.
#[derive(Debug)]
pub struct System {
    // First, so that its log is still there when it is dropped in a test that fails.
    daemon: Option<Running>,
    home: tempfile::TempDir,
    shm: tempfile::TempDir,
    port: u16,
    environment: Vec<(&'static str, String)>,
}

/// A program that was started and ends with this value.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

/// Cargo's folder for what it builds, where things that are made once for the tests are, too.
#[must_use]
pub fn built() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    )
}

impl System {
    /// A system without a daemon.
    #[must_use]
    pub fn new() -> Self {
        let home = tempfile::Builder::new()
            .prefix("sdvr-test-")
            .tempdir()
            .unwrap();
        let shm = tempfile::Builder::new()
            .prefix("sdvr-test-")
            .tempdir_in("/dev/shm")
            .unwrap();
        Self {
            home,
            shm,
            port: free_port(),
            daemon: None,
            environment: Vec::new(),
        }
    }

    /// Sets a variable for every program that is started from now on.
    pub fn set_environment(&mut self, name: &'static str, value: impl Into<String>) {
        self.environment.push((name, value.into()));
    }

    /// A system with a daemon that is ready.
    #[must_use]
    pub fn with_daemon() -> Self {
        let mut system = Self::new();
        system.start_daemon(&[]);
        system
    }

    /// The home directory.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The directory of rings.
    #[must_use]
    pub fn shm(&self) -> PathBuf {
        self.shm.path().join("rings")
    }

    /// The daemon's port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// A program of SDVR, in this system's environment.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(binary(program));
        command
            .env("HOME", self.home())
            .env("SDVR_SHM_DIR", self.shm())
            .env_remove("RUST_LOG")
            // By which the daemon would make its frames readable to whoever runs the tests.
            .env_remove("SUDO_UID")
            .env_remove("SUDO_GID")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub fn start_daemon(&mut self, arguments: &[&str]) {
        let mut command = self.command("sdvrd");
        command
            .args(["-l", "127.0.0.1", "-p", &self.port.to_string()])
            .args(arguments);
        self.start_daemon_by(&mut command);
    }

    /// Starts the daemon by this command, and waits until it says that it is ready.
    pub fn start_daemon_by(&mut self, command: &mut Command) {
        let daemon = self.start(command.stdout(Stdio::piped()), "sdvrd");
        self.daemon = Some(daemon);
        let line = self.daemon().first_line();
        assert!(
            line.starts_with("sdvrd ready: "),
            "the daemon says {line:?}; log: {}",
            self.daemon().log()
        );
    }

    /// The daemon.
    pub fn daemon(&mut self) -> &mut Running {
        self.daemon
            .as_mut()
            .expect("the test has started the daemon")
    }

    /// Kills the daemon as a power cut would.
    pub fn kill_daemon(&mut self) {
        self.daemon().kill();
        self.daemon = None;
    }

    /// Starts a client for `source`.
    pub fn start_client(&self, label: &str, source: &str, arguments: &[&str]) -> Running {
        let mut command = self.client_command(label, source);
        self.start(command.args(arguments), label)
    }

    /// A client, not started.
    #[must_use]
    pub fn client_command(&self, label: &str, source: &str) -> Command {
        self.client_command_to(self.port, label, source)
    }

    /// A client, not started, that connects to another port than the daemon's.
    #[must_use]
    pub fn client_command_to(&self, port: u16, label: &str, source: &str) -> Command {
        let mut command = self.command("sdvrc");
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
        command
    }

    /// Starts a program whose standard error goes to a log.
    pub fn start(&self, command: &mut Command, name: &str) -> Running {
        let log = (0..)
            .map(|number| self.home().join(format!("{name}.{number}.log")))
            .find(|path| !path.exists())
            .unwrap();
        let file = std::fs::File::create(&log).unwrap();
        Running {
            child: command.stderr(file).spawn().unwrap(),
            log,
        }
    }

    /// Runs `sdvr` with `arguments` to its end.
    pub fn sdvr(&self, arguments: &[&str]) -> Output {
        self.command("sdvr").args(arguments).output().unwrap()
    }

    /// What `sdvr keys` says with `arguments`, which must go well.
    #[track_caller]
    pub fn keys(&self, arguments: &[&str]) -> String {
        let output = self.sdvr(&[&["keys"], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    }

    /// What `sdvr ls --json` says.
    #[must_use]
    pub fn list(&self) -> Vec<serde_json::Value> {
        let output = self.sdvr(&["ls", "--json"]);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The only daemon's figures, as `sdvr ls --daemon --json` has them.
    #[must_use]
    pub fn figures(&self) -> serde_json::Value {
        let output = self.sdvr(&["ls", "--daemon", "--json"]);
        assert!(output.status.success(), "{output:?}");
        let daemons: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        let [daemon] = daemons.as_slice() else {
            panic!("{daemons:?}");
        };
        daemon.clone()
    }

    /// Waits until a figure of the daemon's is at least `least`.
    #[track_caller]
    pub fn wait_for_figure(&self, name: &str, least: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.figures();
            if seen[name].as_u64().unwrap() >= least {
                return;
            }
            assert!(Instant::now() < deadline, "{name} is not {least}: {seen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the camera has the state.
    pub fn wait_for_state(&self, label: &str, state: &str) {
        wait_until(&format!("{label} is {state}"), || {
            self.list()
                .iter()
                .any(|camera| camera["label"] == label && camera["state"] == state)
        });
    }

    /// What `sdvr verify --json` says of a camera.
    #[must_use]
    pub fn verify(&self, label: &str, seconds: f64) -> serde_json::Value {
        let output = self.sdvr(&["verify", label, "--seconds", &seconds.to_string(), "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

impl Running {
    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The child, for its pipes.
    pub const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// What it has written to standard error.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How often it has written `what` there.
    #[must_use]
    pub fn times_said(&self, what: &str) -> usize {
        self.log().matches(what).count()
    }

    /// The first line of its standard output.
    pub fn first_line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.child.stdout.take().expect("its output is piped");
        BufReader::new(stdout).read_line(&mut line).unwrap();
        line
    }

    /// All of its standard output.
    pub fn output(&mut self) -> Vec<u8> {
        let mut output = Vec::new();
        self.child
            .stdout
            .take()
            .expect("its output is piped")
            .read_to_end(&mut output)
            .unwrap();
        output
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// Asks it to end and waits for it.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.wait()
    }

    /// A figure of the last line in its log that has it, `name=…`.
    #[must_use]
    pub fn figure(&self, name: &str) -> u64 {
        let log = self.log();
        let (_, said) = log.rsplit_once(&format!(" {name}=")).unwrap();
        let mut words = said.split(|character: char| !character.is_ascii_digit());
        words.next().unwrap().parse().unwrap()
    }

    /// Ends a camera program, and compares what a reader found with what it says of itself: nothing was torn, and nothing is
    /// missing but what a busy machine kept the source from making, which was never there.
    #[track_caller]
    pub fn assert_nothing_lost(mut self, findings: &serde_json::Value) {
        assert!(self.terminate().success(), "{}", self.log());
        let never_made = self.figure("missing_at_source");
        assert_eq!(findings["torn"], 0, "{findings}");
        let missing = findings["missing"].as_u64().unwrap();
        assert!(
            missing <= never_made,
            "{findings}; {never_made} were never made"
        );
    }

    /// The same of one whose server may have been kept from running for seconds: it may have left a few frames out, in which time it had to.
    #[track_caller]
    pub fn assert_sent_arrived(mut self, findings: &serde_json::Value) {
        assert!(self.terminate().success(), "{}", self.log());
        let [sent, not_sent, never_made] =
            ["sent", "not_sent", "missing_at_source"].map(|name| self.figure(name));
        assert!(not_sent <= sent / 4, "{not_sent} beside {sent}");
        assert_eq!(findings["torn"], 0, "{findings}");
        let missing = findings["missing"].as_u64().unwrap();
        assert!(
            missing <= never_made + not_sent,
            "{findings}; {never_made} were never made, {not_sent} not sent"
        );
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + 6 * PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "it does not end; log: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- {} ---\n{}", self.log.display(), self.log());
        }
    }
}

/// Waits until `condition` holds.
///
/// # Panics
///
/// When it does not within [`PATIENCE`].
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that nobody uses now.
#[must_use]
pub fn free_port() -> u16 {
    // The daemon takes the same one for UDP.
    std::iter::repeat_with(|| {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.local_addr().unwrap().port()
    })
    .find(|port| std::net::UdpSocket::bind(("127.0.0.1", *port)).is_ok())
    .unwrap()
}

/// A program of SDVR: beside this test, or where `SDVR_BIN_DIR` says. `cargo xtask test` builds them first.
#[must_use]
pub fn binary(program: &str) -> PathBuf {
    let directory = std::env::var_os("SDVR_BIN_DIR")
        .map(PathBuf::from)
        .unwrap_or_else(|| {
            let own = std::env::current_exe().unwrap();
            own.parent().and_then(Path::parent).unwrap().to_owned()
        });
    let path = directory.join(program);
    assert!(
        path.exists(),
        "{} is not there: cargo build --workspace",
        path.display()
    );
    path
}

impl System {
    /// The files of the rings that there are.
    #[must_use]
    pub fn rings(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.shm()) else {
            return Vec::new();
        };
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| {
                let name = path.file_name().and_then(std::ffi::OsStr::to_str);
                name.and_then(sdvr_ring::RingName::parse).is_some()
            })
            .collect()
    }

    /// Asks the daemon to end and waits for it.
    pub fn terminate_daemon(&mut self) -> ExitStatus {
        let status = self.daemon().terminate();
        self.daemon = None;
        status
    }
}

/// What a program has written, as text.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A process, not to be taken for a later one of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessSeen {
    id: u32,
    parent: u32,
    started: u64,
}

impl ProcessSeen {
    /// Its number.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Whether it is still there, were it only waiting for its parent to ask how it ended.
    #[must_use]
    pub fn is_there(&self) -> bool {
        process_of(self.id).is_some_and(|now| now.started == self.started)
    }
}

/// The processes that `parent` has started and that are there.
#[must_use]
pub fn children_of(parent: u32) -> Vec<ProcessSeen> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(process_of)
        .filter(|process| process.parent == parent)
        .collect()
}

fn process_of(id: u32) -> Option<ProcessSeen> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name, which may contain anything, ends at the last bracket; the state is the first word after it.
    let (_, rest) = stat.rsplit_once(')')?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    Some(ProcessSeen {
        id,
        parent: words.get(1)?.parse().ok()?,
        started: words.get(19)?.parse().ok()?,
    })
}
