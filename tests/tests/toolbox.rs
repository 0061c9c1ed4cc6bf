//! The toolbox as scripts and people use it: what it prints, where it ends, and what it says when it is used wrongly.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use sdvr::{Camera, Policy};
use sdvr_tests::{PATIENCE, System, text, wait_until};

const MEASURING: &str = "test:?format=BNCH&bytes=20000&fps=50";
const SUBCOMMANDS: [&str; 8] = [
    "ls", "watch", "pipe", "snapshot", "exec", "verify", "keys", "demo",
];

#[test]
fn keys_shows_both_sides_the_same_fingerprints() {
    let system = System::with_daemon();
    let _client = system.start_client("door", MEASURING, &[]);
    system.wait_for_state("door", "live");

    let own = succeeds(system.sdvr(&["keys", "fingerprint"]));
    let server = fingerprint_before(&own, "server");
    let camera = fingerprint_before(&own, "camera door");
    assert_ne!(server, camera);

    let known = succeeds(system.sdvr(&["keys", "list"]));
    let address = format!("[127.0.0.1]:{}", system.port());
    let line = |first: &str| {
        known
            .lines()
            .find(|line| line.starts_with(first))
            .unwrap()
            .to_owned()
    };
    assert!(
        line("server").contains(&server) && line("server").contains(&address),
        "{known}"
    );
    assert!(
        line("camera").contains(&camera) && line("camera").contains("door"),
        "{known}"
    );
    assert!(line("camera").contains("tofu"), "{known}");

    // The same by the directory's name.
    let directory = system.home().join(".sdvr");
    let elsewhere = system.sdvr(&["keys", "-k", directory.to_str().unwrap(), "fingerprint"]);
    assert_eq!(succeeds(elsewhere), own);
}

/// The fingerprint of the line that ends with `what`.
fn fingerprint_before(keys: &str, what: &str) -> String {
    let line = keys
        .lines()
        .find(|line| line.ends_with(&format!("  {what}")))
        .unwrap();
    let fingerprint = line.split_whitespace().next().unwrap().to_owned();
    assert!(
        fingerprint.starts_with("SHA256:") && fingerprint.len() == 50,
        "{line}"
    );
    fingerprint
}

#[test]
fn a_home_without_keys_is_said_to_be_one() {
    let system = System::new();
    for command in ["fingerprint", "list"] {
        let output = system.sdvr(&["keys", command]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(
            text(&output.stderr).contains("does not exist"),
            "{output:?}"
        );
    }
}

#[test]
fn a_camera_that_is_forgotten_ends_and_comes_back_as_a_new_one() {
    let system = System::with_daemon();
    let mut client = system.start_client("door", MEASURING, &[]);
    let mut camera = Camera::wait_for_in(&system.shm(), "door");
    assert!(camera.next(Policy::Every, PATIENCE).unwrap().is_some());
    let added = added(&system, "door");
    // The date in the file has seconds.
    std::thread::sleep(Duration::from_millis(1100));
    let connections = || client_connections(&client.log());
    assert_eq!(connections(), 1);

    let start = Instant::now();
    let said = succeeds(system.sdvr(&["keys", "forget", "door"]));
    assert!(said.contains("forgot the camera door"), "{said}");
    wait_until("the client has lost its session and has a new one", || {
        connections() == 2
    });
    // The promise is 2 s until the end of the session; the new one follows within the client's back-off.
    eprintln!("forgotten and back after {:?}", start.elapsed());
    assert!(client.runs(), "{}", client.log());
    system.wait_for_state("door", "live");
    wait_until("the camera is a new one", || {
        added_if_known(&system, "door").is_some_and(|now| now > added)
    });
    wait_until("its frames come again", || {
        camera
            .next(Policy::Latest, Duration::from_millis(200))
            .is_ok_and(|frame| frame.is_some())
    });
}

fn client_connections(log: &str) -> usize {
    log.lines()
        .filter(|line| line.contains(" connected "))
        .count()
}

/// When the daemon let the camera in first.
fn added(system: &System, label: &str) -> String {
    added_if_known(system, label).unwrap()
}

fn added_if_known(system: &System, label: &str) -> Option<String> {
    let known = std::fs::read_to_string(system.home().join(".sdvr/known_cameras")).unwrap();
    let line = known
        .lines()
        .find(|line| line.split(' ').next() == Some(label))?;
    let added = line
        .split(' ')
        .find_map(|word| word.strip_prefix("added="))
        .unwrap();
    Some(added.to_owned())
}

#[test]
fn a_server_is_forgotten_by_its_address() {
    let system = System::with_daemon();
    let mut client = system.start_client("door", MEASURING, &[]);
    system.wait_for_state("door", "live");
    assert!(client.terminate().success());
    let address = format!("127.0.0.1:{}", system.port());

    let said = succeeds(system.sdvr(&["keys", "forget", &address]));
    assert!(
        said.contains(&format!("[127.0.0.1]:{}", system.port())),
        "{said}"
    );
    assert!(!succeeds(system.sdvr(&["keys", "list"])).contains("server "));
    let again = system.sdvr(&["keys", "forget", &address]);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    assert!(
        text(&again.stderr).contains("nothing is known as"),
        "{again:?}"
    );

    // The next contact is a first one.
    let client = system.start_client("door", MEASURING, &[]);
    wait_until("the server is met anew", || {
        client.log().contains("first contact")
    });
}

#[test]
fn forgetting_whom_nobody_knows_names_those_who_are_known() {
    let system = System::with_daemon();
    let _client = system.start_client("door", MEASURING, &[]);
    system.wait_for_state("door", "live");
    let output = system.sdvr(&["keys", "forget", "window"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = text(&output.stderr);
    assert!(said.contains("window") && said.contains("door"), "{said}");
    assert_eq!(system.list().len(), 1);
}

#[test]
fn a_reader_of_the_pipe_that_has_enough_is_no_error() {
    let system = System::with_daemon();
    let _client = system.start_client("door", MEASURING, &[]);
    system.wait_for_state("door", "live");
    for arguments in [
        &["pipe", "door"][..],
        &["watch", "door"],
        &["watch", "door", "--json"],
    ] {
        let mut command = system.command("sdvr");
        let mut pipe = system.start(command.args(arguments).stdout(Stdio::piped()), "pipe");
        let mut head = Command::new("head")
            .args(["-c", "10"])
            .stdin(pipe.child().stdout.take().unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        assert!(head.wait().unwrap().success());
        assert_eq!(pipe.wait().code(), Some(0), "{arguments:?}: {}", pipe.log());
        // On a busy machine the test's source may have missed a moment, and the pipe says so.
        let said = pipe.log();
        assert!(said.lines().all(|line| line.contains("missed")), "{said}");
    }
}

#[test]
fn frames_are_not_written_to_a_terminal() {
    let system = System::with_daemon();
    let _client = system.start_client("door", MEASURING, &[]);
    system.wait_for_state("door", "live");
    // `script` makes a terminal, runs the program at it and passes on how it ended.
    let program = format!("{} pipe door", sdvr_tests::binary("sdvr").display());
    let mut command = Command::new("script");
    command
        .args(["--quiet", "--return", "--command", &program, "/dev/null"])
        .env("SDVR_SHM_DIR", system.shm())
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stdout).contains("terminal"), "{output:?}");
}

#[test]
fn wrong_arguments_exit_with_2_and_say_what_is_right() {
    let system = System::new();
    let wrong: [(&str, &[&str]); 17] = [
        ("sdvr", &[]),
        ("sdvr", &["no-such-command"]),
        ("sdvr", &["ls", "--no-such-option"]),
        ("sdvr", &["watch"]),
        ("sdvr", &["watch", "door", "--count", "many"]),
        ("sdvr", &["pipe", "door", "--format", "avi"]),
        ("sdvr", &["verify", "door", "--seconds", "soon"]),
        ("sdvr", &["keys", "forget"]),
        ("sdvr", &["demo", "--seconds", "x"]),
        ("sdvrc", &["--json"]),
        ("sdvrc", &["--list", "--controls"]),
        ("sdvrc", &["--set", "brightness"]),
        ("sdvrc", &["-i", "test:?size=1x1"]),
        ("sdvrc", &["-i", "test:", "-n", "a/b"]),
        ("sdvrc", &["-i", "test:", "-p", "70000"]),
        ("sdvrd", &["-p", "70000"]),
        ("sdvrd", &["--memory", "much"]),
    ];
    for (program, arguments) in wrong {
        let output = system.command(program).args(arguments).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{program} {arguments:?}: {output:?}"
        );
        let said = text(&output.stderr);
        assert!(
            said.contains("Usage:") || said.contains("or more information, try '--help'"),
            "{program} {arguments:?}: {said}"
        );
        assert!(
            output.stdout.is_empty(),
            "{program} {arguments:?}: {output:?}"
        );
    }
}

#[test]
fn numbers_that_cannot_be_are_wrong_arguments() {
    let system = System::new();
    for seconds in ["-1", "nan", "1e9", "soon"] {
        let seconds = format!("--seconds={seconds}");
        for arguments in [&["verify", "door", &seconds][..], &["demo", &seconds]] {
            let output = system.sdvr(arguments);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
            let said = text(&output.stderr);
            assert!(said.contains("from 0 to 86400"), "{arguments:?}: {said}");
        }
    }
}

#[test]
fn verify_says_why_it_cannot_verify_a_picture() {
    let system = System::with_daemon();
    let _client = system.start_client("picture", "test:?format=GREY&size=64x48&fps=20", &[]);
    system.wait_for_state("picture", "live");
    let output = system.sdvr(&["verify", "picture", "--seconds", "1"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = text(&output.stderr);
    for word in ["picture", "GREY", "format=BNCH"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn an_unknown_camera_is_answered_with_those_that_are_there() {
    let system = System::with_daemon();
    let commands: [&[&str]; 3] = [
        &["watch", "window"],
        &["pipe", "window"],
        &["verify", "window"],
    ];
    let says = |word: &str| {
        for arguments in commands {
            let output = system.sdvr(arguments);
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            let said = text(&output.stderr);
            assert!(
                said.contains("window") && said.contains(word),
                "{word}: {said}"
            );
        }
    };
    says("there are none");
    let _clients = ["door", "cellar"].map(|label| system.start_client(label, MEASURING, &[]));
    system.wait_for_state("door", "live");
    system.wait_for_state("cellar", "live");
    says("there are: cellar, door");
}

#[test]
fn a_camera_is_found_by_its_fingerprint_and_by_its_file() {
    let system = System::with_daemon();
    let _client = system.start_client("door", MEASURING, &[]);
    system.wait_for_state("door", "live");
    let fingerprint = system.list()[0]["fingerprint"].as_str().unwrap().to_owned();
    let file = system.rings()[0]
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    for name in [&fingerprint[..], &fingerprint[..20], &file] {
        let output = system.sdvr(&["watch", name, "--count", "1"]);
        assert!(output.status.success(), "{name}: {output:?}");
    }
    // So short, it could be anybody's.
    let output = system.sdvr(&["watch", &fingerprint[..10], "--count", "1"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn every_subcommand_has_help() {
    let system = System::new();
    let whole = succeeds(system.sdvr(&["--help"]));
    for subcommand in SUBCOMMANDS {
        assert!(
            whole.contains(&format!("\n  {subcommand} ")),
            "{subcommand} in {whole}"
        );
        let help = succeeds(system.sdvr(&[subcommand, "--help"]));
        assert!(help.lines().next().unwrap().len() > 10, "{help}");
        assert!(
            help.contains(&format!("Usage: sdvr {subcommand}")),
            "{help}"
        );
        every_entry_has_text(&help);
    }
    for subcommand in ["fingerprint", "list", "forget"] {
        let help = succeeds(system.sdvr(&["keys", subcommand, "--help"]));
        assert!(
            help.contains(&format!("Usage: sdvr keys {subcommand}")),
            "{help}"
        );
        every_entry_has_text(&help);
    }
    for program in ["sdvrc", "sdvrd"] {
        let help = succeeds(system.command(program).arg("--help").output().unwrap());
        assert!(help.contains("Examples:"), "{help}");
        every_entry_has_text(&help);
        let version = succeeds(system.command(program).arg("--version").output().unwrap());
        assert_eq!(
            version,
            format!("{program} {}\n", env!("CARGO_PKG_VERSION"))
        );
    }
}

/// Every option and argument in the help is explained, beside it or on the line below.
#[track_caller]
fn every_entry_has_text(help: &str) {
    let lines: Vec<&str> = help
        .lines()
        .take_while(|line| *line != "Examples:")
        .collect();
    for (index, line) in lines.iter().enumerate() {
        let entry = line.trim_start();
        let is_entry = line.len() - entry.len() < 8 && entry.starts_with(['-', '<', '[']);
        if !is_entry {
            continue;
        }
        let beside = entry
            .split_once("  ")
            .is_some_and(|(_, said)| !said.trim().is_empty());
        let below = lines
            .get(index + 1)
            .is_some_and(|next| next.starts_with("          ") && !next.trim().is_empty());
        assert!(beside || below, "{line:?} is not explained in {help}");
    }
}

/// What a program printed that ended well.
#[track_caller]
fn succeeds(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

#[test]
fn pipe_says_that_it_missed_the_end() {
    let system = System::with_daemon();
    let mut command = system.command("sdvr");
    command
        .args(["pipe", "ending", "--wait"])
        .stdout(std::process::Stdio::null());
    let mut pipe = system.start(&mut command, "pipe");
    let mut client = system.start_client(
        "ending",
        "test:?format=BNCH&bytes=10000&fps=20&count=40",
        &["--once"],
    );
    system.wait_for_state("ending", "live");
    pipe.signal(rustix::process::Signal::STOP);
    assert!(client.wait().success());
    // Until the daemon has given the ring's memory back.
    std::thread::sleep(std::time::Duration::from_secs(4));
    pipe.signal(rustix::process::Signal::CONT);
    assert_eq!(pipe.wait().code(), Some(1), "{}", pipe.log());
    let said = pipe.log();
    assert!(said.contains("missed the last"), "{said}");
    assert!(said.contains("frames in all"), "{said}");
}

#[test]
fn pipe_does_not_put_frames_of_another_size_into_a_y4m_stream() {
    let system = System::with_daemon();
    let mut client = system.start_client("door", "test:?format=GREY&size=64x48&fps=20", &[]);
    system.wait_for_state("door", "live");
    let path = system.home().join("out");
    let out = std::fs::File::create(&path).unwrap();
    let mut pipe = system.command("sdvr");
    let pipe = pipe.args(["pipe", "door", "--format", "y4m"]).stdout(out);
    let mut pipe = system.start(pipe, "pipe");
    wait_until("frames are written", || {
        std::fs::metadata(&path).unwrap().len() > 10_000
    });
    client.kill();
    let _client = system.start_client("door", "test:?format=GREY&size=32x24&fps=20", &[]);
    assert_eq!(pipe.wait().code(), Some(1), "{}", pipe.log());
    assert!(pipe.log().contains("32x24"), "{}", pipe.log());
    let written = std::fs::read(&path).unwrap();
    let header = written.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    assert_eq!((written.len() - header) % ("FRAME\n".len() + 64 * 48), 0);
}
