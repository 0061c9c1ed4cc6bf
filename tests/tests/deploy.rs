//! The units in `deploy/` fit to the programs of this tree, and systemd understands them.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use sdvr_tests::{PATIENCE, System, binary, text};

const PROGRAMS_FOLDER: &str = "/usr/local/bin/";
/// What stands for an instance's name in these tests.
const SERVER: &str = "nvr.lan";

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

/// A unit of `deploy/`.
struct Unit {
    name: String,
    text: String,
}

impl Unit {
    fn all() -> Vec<Self> {
        let mut units: Vec<Self> = fs::read_dir(deploy())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "service"))
            .map(|path| Self {
                name: path.file_name().unwrap().to_str().unwrap().to_owned(),
                text: fs::read_to_string(&path).unwrap().replace("%i", SERVER),
            })
            .collect();
        units.sort_by(|one, other| one.name.cmp(&other.name));
        let names: Vec<&str> = units.iter().map(|unit| unit.name.as_str()).collect();
        assert_eq!(names, ["sdvrc.service", "sdvrc@.service", "sdvrd.service"]);
        units
    }

    /// The value of a setting that the unit has once.
    #[track_caller]
    fn setting(&self, key: &str) -> &str {
        let mut values = self.text.lines().filter_map(|line| {
            let (own, value) = line.split_once('=')?;
            (own == key).then_some(value)
        });
        let value = values
            .next()
            .unwrap_or_else(|| panic!("{key} of {}", self.name));
        assert_eq!(values.next(), None, "{key} of {}", self.name);
        value
    }

    /// The values of the variable with options: of the example file, where it is switched off, too.
    fn options(&self) -> Vec<String> {
        let file = self.setting("EnvironmentFile").trim_start_matches("-/etc/");
        let example = fs::read_to_string(deploy().join(file)).unwrap();
        let lines = example.lines().map(|line| line.trim_start_matches('#'));
        let values: Vec<String> = lines
            .filter_map(|line| line.split_once("_OPTIONS="))
            .map(|(_, value)| value.trim_matches('"').to_owned())
            .collect();
        assert!(values.len() >= 2, "{file}");
        values
    }

    /// Its command line with these options, as systemd would divide it.
    fn command(&self, options: &str) -> (String, Vec<String>) {
        let line = self.setting("ExecStart");
        let line = line.strip_prefix(PROGRAMS_FOLDER).unwrap();
        let mut words = line.split(' ');
        let program = words.next().unwrap().to_owned();
        let variable = format!("${}_OPTIONS", program.to_uppercase());
        assert!(line.ends_with(&variable), "{line}");
        let arguments = words
            .flat_map(|word| if word == variable { options } else { word }.split_whitespace())
            .map(str::to_owned)
            .collect();
        (program, arguments)
    }
}

/// What the program says of these arguments without doing anything: its parser comes to `--help` only if it likes those before.
fn parse(program: &str, arguments: &[String]) -> Output {
    let mut command = Command::new(binary(program));
    command.args(arguments).arg("--help").stdin(Stdio::null());
    command.output().unwrap()
}

#[test]
fn every_unit_s_command_line_is_one_that_its_program_knows() {
    for unit in Unit::all() {
        for options in unit.options() {
            let (program, mut arguments) = unit.command(&options);
            let output = parse(&program, &arguments);
            assert!(
                output.status.success(),
                "{}: {options:?}: {output:?}",
                unit.name
            );
            // Such an answer has a meaning: the same with an option that nobody knows is refused.
            arguments.push("--no-such-option".to_owned());
            assert_eq!(parse(&program, &arguments).status.code(), Some(2));
        }
    }
}

#[test]
fn every_unit_restarts_and_keeps_keys_out_of_core_files() {
    for unit in Unit::all() {
        assert_eq!(unit.setting("Restart"), "always", "{}", unit.name);
        assert_eq!(unit.setting("StartLimitIntervalSec"), "0", "{}", unit.name);
        assert_eq!(unit.setting("LimitCORE"), "0", "{}", unit.name);
        assert_eq!(unit.setting("NoNewPrivileges"), "yes", "{}", unit.name);
        assert_eq!(unit.setting("CapabilityBoundingSet"), "", "{}", unit.name);
        let _: u64 = unit.setting("LimitNOFILE").parse().unwrap();
    }
}

/// Whether the program is there; says so if not.
fn is_installed(program: &str) -> bool {
    let is_there = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !is_there {
        eprintln!("not tested: {program} is not installed");
    }
    is_there
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    if !is_installed("systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let programs = format!("{}/", binary("sdvrd").parent().unwrap().display());
    let verify = |name: &str, text: &str| {
        let path = folder.path().join(name.replace('@', &format!("@{SERVER}")));
        fs::write(&path, text.replace(PROGRAMS_FOLDER, &programs)).unwrap();
        let mut command = Command::new("systemd-analyze");
        command
            .args(["verify", "--man=no", "--recursive-errors=no"])
            .arg(&path);
        let output = command.output().unwrap();
        (output.status.success(), text_of_both(&output), path)
    };
    for unit in Unit::all() {
        let (is_right, said, path) = verify(&unit.name, &unit.text);
        let file_name = path.file_name().unwrap().to_str().unwrap();
        let of_unit: Vec<&str> = said
            .lines()
            .filter(|line| line.contains(file_name))
            .collect();
        assert!(is_right && of_unit.is_empty(), "{}: {said}", unit.name);
        // It looks at settings: a wrong one is found.
        let wrong = unit.text.replace("LimitCORE=0", "LimitCORE=none");
        let (_, said, path) = verify(&format!("wrong-{}", unit.name), &wrong);
        let file_name = path.file_name().unwrap().to_str().unwrap();
        assert!(said.contains(file_name) && said.contains("none"), "{said}");
    }
}

fn text_of_both(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

#[test]
fn the_users_of_the_units_are_those_that_sysusers_makes() {
    let users: String = fs::read_dir(deploy().join("sysusers.d"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    for unit in Unit::all() {
        let user = unit.setting("User");
        assert_eq!(user, unit.setting("Group"));
        let home = format!("/var/lib/{}", unit.setting("StateDirectory"));
        let line = users
            .lines()
            .find(|line| line.starts_with(&format!("u {user} ")));
        assert!(line.unwrap().ends_with(&home), "{line:?}");
    }
    if !is_installed("systemd-sysusers") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let mut command = Command::new("systemd-sysusers");
    command.arg(format!("--root={}", root.path().display()));
    for entry in fs::read_dir(deploy().join("sysusers.d")).unwrap() {
        command.arg(fs::canonicalize(entry.unwrap().path()).unwrap());
    }
    let output = command.output().unwrap();
    if !output.status.success() {
        eprintln!(
            "not tested: systemd-sysusers --root: {}",
            text(&output.stderr)
        );
        return;
    }
    let passwd = fs::read_to_string(root.path().join("etc/passwd")).unwrap();
    for unit in Unit::all() {
        let entry = format!("{}:x:", unit.setting("User"));
        assert!(
            passwd.lines().any(|line| line.starts_with(&entry)),
            "{passwd}"
        );
    }
}

/// `Type=notify`: systemd goes on when the daemon can take cameras, and is told when it ends.
#[test]
fn the_daemon_tells_systemd_when_it_is_ready_and_when_it_ends() {
    let daemon = Unit::all()
        .into_iter()
        .find(|unit| unit.name == "sdvrd.service")
        .unwrap();
    assert_eq!(daemon.setting("Type"), "notify");
    let system = System::new();
    let path = system.home().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let receive = || {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).unwrap();
        text(&bytes[..length])
    };
    let mut command = system.command("sdvrd");
    let port = system.port().to_string();
    command
        .args(["-l", "127.0.0.1", "-p", &port])
        .env("NOTIFY_SOCKET", &path)
        .stdout(Stdio::null());
    let mut running = system.start(&mut command, "sdvrd");
    assert_eq!(receive().trim(), "READY=1", "{}", running.log());
    std::net::TcpStream::connect_timeout(
        &([127, 0, 0, 1], system.port()).into(),
        Duration::from_secs(5),
    )
    .unwrap();
    running.signal(rustix::process::Signal::TERM);
    assert_eq!(receive().trim(), "STOPPING=1", "{}", running.log());
    assert!(running.wait().success());
}

/// With the unit's umask and group, whoever is in the daemon's group can read the frames, and nobody else.
#[test]
fn the_daemon_s_group_can_read_the_frames_and_others_cannot() {
    use std::os::unix::fs::MetadataExt;
    let daemon = Unit::all()
        .into_iter()
        .find(|unit| unit.name == "sdvrd.service")
        .unwrap();
    let system = System::new();
    let port = system.port().to_string();
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask \"$0\"; exec \"$@\"", daemon.setting("UMask")])
        .arg(binary("sdvrd"))
        .args(["-l", "127.0.0.1", "-p", &port])
        .env("HOME", system.home())
        .env("SDVR_SHM_DIR", system.shm())
        .stdout(Stdio::null());
    let _daemon = system.start(&mut command, "sdvrd");
    let _client = system.start_client("door", "test:?format=MJPG&size=64x48", &[]);
    system.wait_for_state("door", "live");
    let group = rustix::process::getegid().as_raw();
    let directory = fs::metadata(system.shm()).unwrap();
    let ring = fs::metadata(&system.rings()[0]).unwrap();
    assert_eq!((directory.mode() & 0o7777, directory.gid()), (0o750, group));
    assert_eq!((ring.mode() & 0o7777, ring.gid()), (0o440, group));
}
