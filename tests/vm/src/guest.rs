//! Running programs in the guest, over its control line.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::ops::{Deref, DerefMut};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sdvr_tests::System;

use crate::clip::{self, Clip};

/// How long the guest may take to start, or to answer. A command that takes longer belongs into the background.
const PATIENCE: Duration = Duration::from_secs(60);

/// The guest, for one test at a time.
#[derive(Debug)]
pub struct Guest {
    line: BufReader<UnixStream>,
    /// Numbers the logs.
    started: u32,
}

/// A test's turn with the guest. Where the test fails, it ends with what programs in the guest have said.
#[derive(Debug)]
pub struct Turn(MutexGuard<'static, Guest>);

/// What a command in the guest did.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its exit status.
    pub status: i32,
    /// What it wrote, to standard output and standard error.
    pub text: String,
}

/// A program in the guest that goes on while the test does; ended by [`Guest::stop`] or with the test's turn.
#[derive(Clone, Debug)]
pub struct Process {
    id: u32,
    log: String,
}

impl Process {
    /// Its number in the guest.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }
}

/// A webcam that was plugged in.
#[derive(Clone, Debug)]
pub struct Webcam {
    words: String,
    /// Its program.
    pub process: Process,
}

impl Webcam {
    /// Tells it a word, such as `unplug`.
    #[track_caller]
    pub fn tell(&self, guest: &mut Guest, word: &str) {
        guest.expect(&format!("echo {word} > {}", self.words));
        assert!(guest.runs(&self.process), "{}", guest.log(&self.process));
    }
}

impl Deref for Turn {
    type Target = Guest;

    fn deref(&self) -> &Guest {
        &self.0
    }
}

impl DerefMut for Turn {
    fn deref_mut(&mut self) -> &mut Guest {
        &mut self.0
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        // The guest may be what has failed: a panic that left this place would hide the test's own.
        let logs = catch_unwind(AssertUnwindSafe(|| self.0.run("head -n 200 /tmp/*.log")));
        if let Ok(logs) = logs {
            eprintln!("--- in the guest ---\n{}", logs.text);
        }
    }
}

impl Guest {
    /// Takes the guest, as it was after its start: no cameras, none of our programs.
    pub fn enter() -> Turn {
        static GUEST: OnceLock<Mutex<Guest>> = OnceLock::new();
        let guest = GUEST.get_or_init(|| Mutex::new(Self::connect()));
        // A test that failed leaves nothing that the cleaning does not clean.
        let mut guest = guest.lock().unwrap_or_else(PoisonError::into_inner);
        guest.clean();
        Turn(guest)
    }

    fn connect() -> Self {
        let path = std::env::var_os("SDVR_VM_CONTROL")
            .expect("these tests need a virtual machine: run `cargo xtask vm-test`");
        let deadline = Instant::now() + PATIENCE;
        let line = loop {
            match UnixStream::connect(&path) {
                Ok(line) => break line,
                Err(error) => assert!(Instant::now() < deadline, "{}: {error}", path.display()),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        line.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            line: BufReader::new(line),
            started: 0,
        }
    }

    fn clean(&mut self) {
        // Where systemd is the first process, it would start them anew.
        self.run("! type systemctl || systemctl stop 'sdvr*'");
        self.run("killall -9 sdvrc sdvrc-counted webcam");
        self.run("while pidof sdvrc sdvrc-counted webcam; do sleep 0.05; done");
        self.run("while [ -d /sys/module/vivid ] && ! rmmod vivid; do sleep 0.05; done");
        self.run("rm -rf /tmp/* /root/.sdvr");
        // Whose webcam was killed is unplugged; the driver notices in its own time.
        self.expect("n=0; while ls /dev/video* && [ $n -lt 100 ]; do sleep 0.05; n=$((n+1)); done; ! ls /dev/video*");
    }

    /// Loads the kernel's virtual camera, with parameters such as `n_devs=2`.
    #[track_caller]
    pub fn load_vivid(&mut self, parameters: &str) {
        self.expect(&format!("insmod /modules/vivid.ko {parameters}"));
    }

    /// Sets a control of a camera, without `sdvrc`.
    #[track_caller]
    pub fn set_control(&mut self, device: &str, name: &str, value: i32) {
        self.expect(&format!("control {device} '{name}' {value}"));
    }

    /// Chooses a camera's input.
    #[track_caller]
    pub fn set_input(&mut self, device: &str, number: u32) {
        self.expect(&format!("control {device} --input {number}"));
    }

    /// Plugs in a webcam that shows these clips; its port of the USB tells it from others, and its serial number.
    #[track_caller]
    pub fn plug_webcam(&mut self, port: u8, mjpg: &Clip, h264: &Clip) -> Webcam {
        self.plug_webcam_with_serial(port, &format!("SDVR000{port}"), mjpg, h264)
    }

    /// Plugs in a webcam with a serial number, or with none.
    #[track_caller]
    pub fn plug_webcam_with_serial(
        &mut self,
        port: u8,
        serial: &str,
        mjpg: &Clip,
        h264: &Clip,
    ) -> Webcam {
        let folder = format!("/tmp/webcam{port}");
        self.expect(&format!("mkdir {folder}; mkfifo {folder}/words"));
        self.put(&format!("{folder}/mjpg"), mjpg.to_bytes());
        self.put(&format!("{folder}/h264"), h264.to_bytes());
        let (width, height) = clip::SIZE;
        let process = self.start(&format!(
            "webcam --port {port} --serial '{serial}' --size {width}x{height} --fps {} \
             --mjpg {folder}/mjpg --h264 {folder}/h264 0<>{folder}/words",
            clip::FPS
        ));
        Webcam {
            words: format!("{folder}/words"),
            process,
        }
    }

    /// Writes a file.
    #[track_caller]
    pub fn put(&mut self, path: &str, bytes: Vec<u8>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let length = bytes.len();
        let sender = std::thread::spawn(move || listener.accept().unwrap().0.write_all(&bytes));
        self.expect(&format!("nc 10.0.2.2 {port} > {path}"));
        sender.join().unwrap().unwrap();
        let found = self.expect(&format!("stat -c %s {path}"));
        assert_eq!(found.trim(), length.to_string(), "{path} was cut");
    }

    /// Waits until a command succeeds; gives what it wrote.
    #[track_caller]
    pub fn wait_until(&mut self, command: &str) -> String {
        let deadline = Instant::now() + sdvr_tests::PATIENCE;
        loop {
            let output = self.run(command);
            if output.status == 0 {
                return output.text;
            }
            assert!(
                Instant::now() < deadline,
                "in vain: {command}: {}",
                output.text
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs `sdvrc` to its end, which must come soon.
    pub fn run_sdvrc(&mut self, system: &System, arguments: &str) -> Output {
        let port = system.port();
        self.run(&format!(
            "timeout 20 sdvrc -d 10.0.2.2 -p {port} {arguments}"
        ))
    }

    /// Starts `sdvrc`, which streams to the system's daemon.
    #[track_caller]
    pub fn start_sdvrc(&mut self, system: &System, arguments: &str) -> Process {
        let port = system.port();
        self.start(&format!("sdvrc -d 10.0.2.2 -p {port} {arguments}"))
    }

    /// Runs a shell command to its end.
    pub fn run(&mut self, command: &str) -> Output {
        // The guest reads a line for a command.
        assert!(!command.contains('\n'), "{command:?}");
        let mut line = self.line.get_ref();
        writeln!(line, "{command}").unwrap();
        let mut head = String::new();
        let read = self.line.read_line(&mut head);
        assert!(
            matches!(read, Ok(1..)),
            "the guest does not answer {command:?}: {read:?}"
        );
        let (status, bytes) = head.trim().split_once(' ').unwrap();
        let mut text = vec![0; bytes.parse().unwrap()];
        self.line.read_exact(&mut text).unwrap();
        Output {
            status: status.parse().unwrap(),
            text: sdvr_tests::text(&text),
        }
    }

    /// Runs a shell command that must succeed; gives what it wrote.
    #[track_caller]
    pub fn expect(&mut self, command: &str) -> String {
        let output = self.run(command);
        assert_eq!(output.status, 0, "{command}: {}", output.text);
        output.text
    }

    /// Starts a program in the background.
    #[track_caller]
    pub fn start(&mut self, command: &str) -> Process {
        self.started += 1;
        let log = format!("/tmp/{}.log", self.started);
        let id = self.expect(&format!("{command} > {log} 2>&1 & echo $!"));
        Process {
            id: id.trim().parse().unwrap(),
            log,
        }
    }

    /// What a program has written so far.
    pub fn log(&mut self, process: &Process) -> String {
        self.expect(&format!("cat {}", process.log))
    }

    /// Whether a program still runs.
    pub fn runs(&mut self, process: &Process) -> bool {
        let id = process.id;
        self.run(&format!("[ -d /proc/{id} ]")).status == 0
    }

    /// Waits until a program has written `text`; gives all that it wrote.
    #[track_caller]
    pub fn wait_for_log(&mut self, process: &Process, text: &str) -> String {
        let deadline = Instant::now() + sdvr_tests::PATIENCE;
        loop {
            let log = self.log(process);
            if log.contains(text) {
                return log;
            }
            assert!(Instant::now() < deadline, "no {text:?} in:\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A program's bytes in memory: its own, and those of the driver's buffers, which there are with or without it.
    #[track_caller]
    pub fn resident_bytes(&mut self, process: &Process) -> (u64, u64) {
        const SCRIPT: &str = "/^[0-9a-f]+-/ { own = $6 !~ /^\\/dev\\/video/ } /^Rss:/ { if (own) us += $2; else driver += $2 } END { print us, driver }";
        let id = process.id;
        let text = self.expect(&format!("awk '{SCRIPT}' /proc/{id}/smaps"));
        let (own, driver) = text.trim().split_once(' ').unwrap();
        let bytes = |kib: &str| kib.parse::<u64>().unwrap() << 10;
        (bytes(own), bytes(driver))
    }

    /// The processor time that a program has taken.
    #[track_caller]
    pub fn processor_time(&mut self, process: &Process) -> Duration {
        let id = process.id;
        let text = self.expect(&format!("cat /proc/{id}/stat"));
        // After the name in brackets, the first is the third field of proc_pid_stat(5); user and system time are the 14th and 15th.
        let (_, fields) = text.rsplit_once(") ").unwrap();
        let mut fields = fields.split(' ').skip(11);
        let mut ticks = || fields.next().unwrap().parse::<u64>().unwrap();
        const TICK_MS: u64 = 10;
        Duration::from_millis((ticks() + ticks()) * TICK_MS)
    }

    /// Asks a program to end, and waits until it has.
    #[track_caller]
    pub fn stop(&mut self, process: &Process) {
        let id = process.id;
        self.expect(&format!(
            "kill {id}; n=0; while [ -d /proc/{id} ] && [ $n -lt 200 ]; do sleep 0.05; n=$((n+1)); done; [ ! -d /proc/{id} ]"
        ));
    }
}
