//! Private keys stay where they are: in no line that a program writes, and in no core file.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Output, Stdio};

use rustix::process::{Resource, Signal};
use sdvr_tests::{Running, System, binary, text, wait_until};

const SOURCE: &str = "test:?format=BNCH&bytes=1000&fps=20";

/// A private key in the ways in which a program may write one.
fn ways_to_write(system: &System, file: &str) -> Vec<String> {
    let written = fs::read_to_string(system.home().join(".sdvr").join(file)).unwrap();
    let (_, base64) = written.split_once("x25519 ").unwrap();
    let base64 = base64.lines().next().unwrap().trim_end_matches('=');
    let bytes = decode_base64(base64);
    assert_eq!(bytes.len(), 32);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let list: Vec<String> = bytes.iter().map(u8::to_string).collect();
    // Beginnings, too, and those of the list as `Debug` writes it.
    vec![
        base64[..16].to_owned(),
        base64.replace('+', "-").replace('/', "_")[..16].to_owned(),
        hex[..16].to_owned(),
        hex[..16].to_uppercase(),
        list[..8].join(", "),
        list[..8].join(","),
        list[..8].join(",\n"),
    ]
}

fn decode_base64(digits: &str) -> Vec<u8> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for digit in digits.chars() {
        bits = bits << 6 | u32::try_from(DIGITS.find(digit).unwrap()).unwrap();
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff).try_into().unwrap());
        }
    }
    bytes
}

/// Asks a program for as much as it can say.
fn talkative(command: &mut Command) -> &mut Command {
    command
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full")
        .env("SDVR_KEY_SECONDS", "1,2")
}

#[test]
fn no_program_writes_a_private_key() {
    for log in ["text", "json"] {
        let system = System::new();
        let port = system.port().to_string();
        let start_daemon = || {
            let mut command = system.command("sdvrd");
            command.args(["-l", "127.0.0.1", "-p", &port, "--log", log]);
            let mut daemon = system.start(talkative(&mut command).stdout(Stdio::piped()), "sdvrd");
            let ready = daemon.first_line();
            (daemon, ready)
        };
        let (mut daemon, mut said) = start_daemon();
        let start_client = |label: &str| {
            let mut command = system.client_command(label, SOURCE);
            system.start(talkative(&mut command), label)
        };
        let mut client = start_client("door");
        system.wait_for_state("door", "live");
        let mut keys = ways_to_write(&system, "cameras/door.key");
        keys.extend(ways_to_write(&system, "server.key"));
        // What a program says when a file of keys is not as it should be.
        let mut run = |arguments: &[&str]| {
            let Output { stdout, stderr, .. } = talkative(system.command("sdvr").args(arguments))
                .output()
                .unwrap();
            said += &(text(&stdout) + &text(&stderr));
        };
        run(&["keys", "list"]);
        run(&["keys", "fingerprint"]);
        run(&["keys", "rotate"]);
        run(&["ls", "--daemon", "--json"]);
        assert!(client.terminate().success() && daemon.terminate().success());
        said += &(client.log() + &daemon.log());
        keys.extend(ways_to_write(&system, "server.key"));
        for file in ["cameras/door.key", "server.key"] {
            let path = system.home().join(".sdvr").join(file);
            let whole = fs::read_to_string(&path).unwrap();
            fs::write(
                &path,
                whole.replace("x25519 ", "x25519  ").trim_end_matches('\n'),
            )
            .unwrap();
        }
        let mut client = start_client("door");
        let (mut daemon, ready) = start_daemon();
        if ready.is_empty() {
            daemon.wait();
        }
        client.signal(Signal::TERM);
        client.wait();
        said += &(ready + &client.log() + &daemon.log());

        assert!(said.contains("SHA256:"), "{said}");
        for key in keys {
            assert!(
                !said.contains(&key),
                "a part of a private key, {key}, was written: {said}"
            );
        }
    }
}

/// The limit of a process, as the kernel has it: at once, and at most.
fn core_limit(program: &Running) -> Vec<String> {
    let limits = fs::read_to_string(format!("/proc/{}/limits", program.id())).unwrap();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max core file size"));
    let fields = line.unwrap().split_whitespace().take(2);
    fields.map(str::to_owned).collect()
}

#[test]
fn a_program_with_keys_that_dies_leaves_no_core_file() {
    // Whoever starts the programs wants core files.
    let mut limit = rustix::process::getrlimit(Resource::Core);
    limit.current = limit.maximum;
    rustix::process::setrlimit(Resource::Core, limit).unwrap();
    let mut other = Command::new("sleep")
        .arg("60")
        .current_dir("/dev/shm")
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_child(&other);
    rustix::process::kill_process(pid, Signal::ABORT).unwrap();
    let is_dumped = other.wait().unwrap().core_dumped();
    let _ = fs::remove_file("/dev/shm/core");
    let _ = fs::remove_file(format!("/dev/shm/core.{}", pid.as_raw_nonzero()));
    if !is_dumped {
        eprintln!("not tested in full: this host writes no core files at all");
    }

    let mut system = System::with_daemon();
    let mut client = system.start_client("door", SOURCE, &[]);
    system.wait_for_state("door", "live");
    for program in [&mut client, system.daemon()] {
        assert_eq!(core_limit(program), ["0", "0"]);
        program.signal(Signal::ABORT);
        let status = program.wait();
        assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()));
        assert!(!status.core_dumped());
    }
}

/// Who could trace them would have their keys. What shows it is that the kernel gives their files to root.
#[test]
fn no_program_with_keys_can_be_traced_by_its_own_user() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not tested: only root can start a program as somebody else");
        return;
    }
    const USER: u32 = 54_321;
    let system = System::with_daemon();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(folder.path(), Some(USER), Some(USER)).unwrap();
    let program = folder.path().join("sdvrc");
    // Not by this process: a program that is open for writing cannot be started.
    let copied = Command::new("cp")
        .arg(binary("sdvrc"))
        .arg(&program)
        .status();
    assert!(copied.unwrap().success());
    let mut command = Command::new(&program);
    let port = system.port().to_string();
    command
        .args(["-d", "127.0.0.1", "-p", &port, "-n", "door", "-i", SOURCE])
        .env("HOME", folder.path())
        .current_dir(folder.path())
        .uid(USER)
        .gid(USER);
    let client = system.start(&mut command, "door");
    system.wait_for_state("door", "live");
    let owner = |what: &str| {
        fs::metadata(format!("/proc/{}/{what}", client.id()))
            .unwrap()
            .uid()
    };
    wait_until("its memory is root's", || {
        owner("mem") == 0 && owner("maps") == 0
    });
    let status = fs::read_to_string(format!("/proc/{}/status", client.id())).unwrap();
    assert!(status.contains(&format!("Uid:\t{USER}")), "{status}");
}
