//! `sdvr top` in a real terminal, and what it says to other programs.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sdvr::{FourCc, Timestamp};
use sdvr_ring::{RingDirectory, RingWriter};
use sdvr_tests::{PATIENCE, Running, System, binary, children_of, text, wait_until};
use serde_json::Value;

const PROMPT: &str = "shell>";

/// A terminal in which a shell runs. It ends with this value.
struct Terminal {
    folder: tempfile::TempDir,
}

impl Terminal {
    fn open(system: &System, columns: u32, rows: u32, environment: &[(&str, &str)]) -> Self {
        let terminal = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let size = [columns, rows].map(|number| number.to_string());
        let mut command = terminal.command(&["-f", "/dev/null", "new-session", "-d"]);
        command
            .args(["-x", &size[0], "-y", &size[1], "sh -i"])
            .env("HOME", system.home())
            .env("SDVR_SHM_DIR", system.shm())
            .env("PATH", search_path())
            .env_remove("NO_COLOR")
            .env_remove("ENV")
            .envs(environment.iter().copied());
        assert!(command.status().unwrap().success());
        terminal.wait_for("the shell", |screen| {
            screen.iter().any(|line| !line.is_empty())
        });
        // Not every shell takes its prompt from the environment.
        terminal.type_line(&format!("PS1='{PROMPT} '"));
        terminal.wait_for("a prompt", |screen| has_line(screen, PROMPT));
        terminal
    }

    /// `tmux`, with a server of its own.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command
            .env_remove("TMUX")
            .arg("-S")
            .arg(self.folder.path().join("socket"))
            .args(arguments);
        command
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        text(&output.stdout)
    }

    fn type_line(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.tmux(&["send-keys", "Enter"]);
    }

    fn press(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    fn resize(&self, columns: u32, rows: u32) {
        let size = [columns, rows].map(|number| number.to_string());
        self.tmux(&["resize-window", "-x", &size[0], "-y", &size[1]]);
    }

    fn screen(&self) -> Vec<String> {
        let screen = self.tmux(&["capture-pane", "-p"]);
        screen.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn wait_for(&self, what: &str, condition: impl Fn(&[String]) -> bool) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if condition(&screen) {
                return screen;
            }
            assert!(
                Instant::now() < deadline,
                "{what} is not seen:\n{}",
                screen.join("\n")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the shell has the terminal again, just as it was.
    #[track_caller]
    fn wait_for_shell(&self) {
        wait_until("the shell's screen is back", || {
            self.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]) == "0 1\n"
        });
        self.wait_for("the prompt", |screen| {
            screen
                .iter()
                .rfind(|line| !line.is_empty())
                .is_some_and(|line| line == PROMPT)
        });
        self.type_line("clear; stty -a");
        let screen = self.wait_for("the terminal's modes", |screen| {
            screen.iter().any(|line| line.contains("echoctl"))
        });
        let modes = screen.join(" ");
        for mode in ["icanon", "echo", "isig", "icrnl", "opost"] {
            let is_on = modes.split_ascii_whitespace().any(|it| it == mode);
            assert!(is_on, "{mode}: {modes}");
        }
    }

    /// The process of `sdvr` that the shell runs.
    fn program(&self) -> Pid {
        let shell = self.tmux(&["list-panes", "-F", "#{pane_pid}"]);
        let children = children_of(shell.trim().parse().unwrap());
        let id = children.first().unwrap().id();
        Pid::from_raw(i32::try_from(id).unwrap()).unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).status();
    }
}

/// With the programs of SDVR first.
fn search_path() -> String {
    let programs = binary("sdvr").parent().unwrap().display().to_string();
    format!("{programs}:{}", std::env::var("PATH").unwrap_or_default())
}

fn has_line(screen: &[String], begin: &str) -> bool {
    screen.iter().any(|line| line.starts_with(begin))
}

/// The words of a camera's row.
fn row<'a>(screen: &'a [String], label: &str) -> Option<Vec<&'a str>> {
    let mut rows = screen
        .iter()
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    rows.find(|row| row.first() == Some(&label))
}

/// The first words of the rows, which are those of the cameras' labels that are one letter.
fn letters(screen: &[String]) -> String {
    let first = screen.iter().filter_map(|line| line.split(' ').next());
    first
        .filter(|word| matches!(*word, "a" | "b" | "c"))
        .collect()
}

/// Three cameras of different formats.
fn three_cameras(system: &System) -> [Running; 3] {
    [
        ("a", "test:?format=MJPG&size=64x48&fps=10"),
        ("b", "test:?format=YUYV&size=64x48&fps=10"),
        ("c", "test:?format=BNCH&bytes=1000&fps=10"),
    ]
    .map(|(label, source)| system.start_client(label, source, &[]))
}

#[test]
fn cameras_and_the_daemon_come_are_shown_and_go() {
    let mut system = System::new();
    let terminal = Terminal::open(&system, 80, 24, &[]);
    terminal.type_line("sdvr top --interval 0.2");
    terminal.wait_for("that there is nothing yet", |screen| {
        has_line(screen, "no daemon: waiting for one") && has_line(screen, "no cameras yet")
    });
    system.start_daemon(&[]);
    let mut door = system.start_client("door", "test:?format=MJPG&size=64x48&fps=20", &[]);
    let window = system.start_client("window", "test:?format=BNCH&bytes=5000&fps=20", &["-u"]);
    let screen = terminal.wait_for("the cameras", |screen| {
        let is_as = |label, link| {
            row(screen, label).is_some_and(|row| {
                let fps: f64 = row[2].parse().unwrap();
                row[1] == "live" && fps > 1.0 && row[8] == link
            })
        };
        is_as("door", "tcp")
            && is_as("window", "udp")
            && screen[0].contains("  2 cameras  2 sessions")
    });
    let daemon = screen[0].as_str();
    let process = format!("sdvrd {}  up ", system.daemon().id());
    for part in [
        &process,
        "  2 cameras  ",
        "  0 refused  ",
        "M memory  ",
        "% cpu",
    ] {
        assert!(daemon.contains(part), "{part}: {daemon}");
    }
    // Over TCP nobody sees what is sent again.
    assert_eq!(row(&screen, "door").unwrap()[7], "-");
    assert!(row(&screen, "window").unwrap()[7].parse::<u64>().is_ok());
    assert!(screen.iter().all(|line| line.len() <= 80));

    door.kill();
    terminal.wait_for("that a camera is silent", |screen| {
        row(screen, "door").is_some_and(|row| row[1] == "stale")
    });
    system.kill_daemon();
    terminal.wait_for("that the daemon is gone", |screen| {
        screen[0].contains("GONE")
            && ["door", "window"]
                .iter()
                .all(|label| row(screen, label).is_some_and(|row| row[1] == "lost"))
    });
    drop(window);
    terminal.press(&["q"]);
    terminal.wait_for_shell();
}

#[test]
fn cameras_are_sorted_filtered_and_shown_in_a_terminal_of_any_size() {
    let system = System::with_daemon();
    let _cameras = three_cameras(&system);
    let terminal = Terminal::open(&system, 80, 24, &[]);
    terminal.type_line("sdvr top --interval 0.2");
    terminal.wait_for("all in the order of labels", |screen| {
        letters(screen) == "abc"
    });
    terminal.press(&["d"]);
    terminal.wait_for("the order of formats", |screen| {
        letters(screen) == "cab" && has_line(screen, "by FORMAT, A to Z")
    });
    terminal.press(&["r"]);
    terminal.wait_for("the other way round", |screen| letters(screen) == "bac");
    terminal.press(&["/"]);
    terminal.press(&["-l", "MJPG li"]);
    terminal.wait_for("what is typed", |screen| {
        letters(screen) == "a" && has_line(screen, "filter: MJPG li_")
    });
    terminal.press(&["Enter"]);
    terminal.wait_for("the filter", |screen| {
        letters(screen) == "a" && has_line(screen, "filter \"MJPG li\": 1 of 3")
    });
    terminal.press(&["Escape"]);
    terminal.wait_for("all", |screen| letters(screen) == "bac");
    terminal.press(&["l", "p"]);
    terminal.wait_for("the pause", |screen| {
        letters(screen) == "abc" && has_line(screen, "PAUSED")
    });
    terminal.press(&["p", "?"]);
    terminal.wait_for("help", |screen| has_line(screen, "Any key goes back"));
    terminal.press(&["x"]);

    terminal.resize(60, 20);
    let screen = terminal.wait_for("few columns", |screen| {
        letters(screen) == "abc"
            && screen
                .iter()
                .any(|line| line.starts_with("LABEL") && !line.contains("LINK"))
    });
    assert!(screen.iter().all(|line| line.len() <= 60), "{screen:?}");
    let fingerprint = system.list()[0]["fingerprint"].as_str().unwrap().to_owned();
    terminal.resize(200, 50);
    terminal.wait_for("all columns", |screen| {
        letters(screen) == "abc"
            && screen.iter().any(|line| line.ends_with("FINGERPRINT"))
            && screen.iter().any(|line| line.ends_with(&fingerprint))
    });
    // A line for the daemon, one for the headers, one at the end.
    terminal.resize(40, 4);
    terminal.wait_for("one camera", |screen| {
        letters(screen) == "a" && has_line(screen, "1-1 of 3")
    });
    terminal.press(&["End"]);
    terminal.wait_for("the last one", |screen| letters(screen) == "c");
    terminal.press(&["Up"]);
    terminal.wait_for("the one before", |screen| letters(screen) == "b");
}

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    let system = System::with_daemon();
    let terminal = Terminal::open(&system, 80, 24, &[]);
    let start = || {
        terminal.type_line("clear; sdvr top --interval 0.2; echo ended with $?");
        terminal.wait_for("the daemon", |screen| has_line(screen, "sdvrd "));
    };
    let ends: [&dyn Fn(); 5] = [
        &|| terminal.press(&["q"]),
        &|| terminal.press(&["C-c"]),
        &|| kill_process(terminal.program(), Signal::TERM).unwrap(),
        &|| kill_process(terminal.program(), Signal::INT).unwrap(),
        &|| kill_process(terminal.program(), Signal::HUP).unwrap(),
    ];
    for end in ends {
        start();
        end();
        terminal.wait_for("its end", |screen| has_line(screen, "ended with 0"));
        terminal.wait_for_shell();
    }
}

#[test]
fn it_stops_and_goes_on_like_any_program() {
    let system = System::with_daemon();
    let terminal = Terminal::open(&system, 80, 24, &[]);
    terminal.type_line("sdvr top --interval 0.2");
    let stops: [&dyn Fn(); 3] = [
        &|| terminal.press(&["C-z"]),
        &|| kill_process(terminal.program(), Signal::TSTP).unwrap(),
        &|| terminal.press(&["C-z"]),
    ];
    for stop in stops {
        terminal.wait_for("the daemon", |screen| has_line(screen, "sdvrd "));
        stop();
        terminal.wait_for_shell();
        terminal.type_line("fg");
        wait_until("its screen is back", || {
            terminal.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]) == "1 0\n"
        });
    }
    terminal.wait_for("the daemon", |screen| has_line(screen, "sdvrd "));
    terminal.press(&["q"]);
    terminal.wait_for_shell();
}

#[test]
fn nothing_of_it_stays_above_the_screen_of_before() {
    let system = System::with_daemon();
    let terminal = Terminal::open(&system, 80, 24, &[]);
    for is_stopped in [false, true] {
        terminal.type_line("clear; sdvr top --interval 0.2");
        terminal.wait_for("the daemon", |screen| has_line(screen, "sdvrd "));
        if is_stopped {
            terminal.press(&["C-z"]);
            terminal.wait_for_shell();
            terminal.type_line("fg");
        }
        terminal.resize(150, 40);
        // The daemon's line is longer than the terminal was wide.
        terminal.wait_for("all of the daemon's line", |screen| {
            screen[0].starts_with("sdvrd ") && screen[0].ends_with(" resent")
        });
        // With the cursor below, tmux takes away what is above it.
        wait_until("only that line is drawn", || {
            terminal.tmux(&["display-message", "-p", "#{cursor_y}"]) == "0\n"
        });
        terminal.press(&["q"]);
        wait_until("the shell's screen is back", || {
            terminal.tmux(&["display-message", "-p", "#{alternate_on}"]) == "0\n"
        });
        let all = terminal.tmux(&["capture-pane", "-p", "-S", "-"]);
        assert!(!all.contains("refused"), "{all}");
        terminal.wait_for_shell();
        terminal.resize(80, 24);
    }
}

#[test]
fn rows_that_no_filter_lets_through_are_missed_aloud() {
    let system = System::with_daemon();
    let _cameras = three_cameras(&system);
    for label in ["a", "b", "c"] {
        system.wait_for_state(label, "live");
    }
    let look = |filter| system.sdvr(&["top", "--once", "--interval", "0.1", "--filter", filter]);
    let said = text(&look("nix there").stderr);
    assert_eq!(
        said,
        "sdvr: none of 3 cameras has all words of \"nix there\"\n"
    );
    assert_eq!(text(&look("MJPG").stderr), "");
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let system = System::with_daemon();
    let _camera = system.start_client("door", "test:?format=MJPG&size=64x48", &[]);
    system.wait_for_state("door", "live");
    for (environment, has_colours) in [(&[][..], true), (&[("NO_COLOR", "1")][..], false)] {
        let terminal = Terminal::open(&system, 80, 24, environment);
        terminal.type_line("sdvr top --interval 0.2");
        terminal.wait_for("the camera", |screen| {
            row(screen, "door").is_some_and(|row| row[1] == "live")
        });
        let screen = terminal.tmux(&["capture-pane", "-p", "-e"]);
        let line = screen.lines().find(|line| line.contains("door")).unwrap();
        // Green, in either way to say so.
        let is_green = line.contains("\x1b[32m") || line.contains("38;5;2m");
        assert_eq!(is_green, has_colours, "{line:?}");
    }
}

/// What `sdvr top --once --json` says, once the camera has sent frames between the looks.
fn object(system: &System, label: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let output = system.sdvr(&["top", "--once", "--json"]);
        assert!(output.status.success(), "{output:?}");
        let object: Value = serde_json::from_slice(&output.stdout).unwrap();
        let cameras = object["cameras"].as_array().unwrap();
        let of_label = cameras.iter().find(|camera| camera["label"] == label);
        if of_label.is_some_and(|camera| !camera["latency_ms"].is_null()) {
            return object;
        }
        assert!(Instant::now() < deadline, "{object}");
    }
}

#[test]
fn scripts_get_all_figures_by_their_names() {
    let mut system = System::with_daemon();
    let source = "test:?format=BNCH&bytes=20000&fps=20";
    let _door = system.start_client("door", source, &[]);
    let _window = system.start_client("window", source, &["-u"]);
    for label in ["door", "window"] {
        system.wait_for_state(label, "live");
    }
    let seen = object(&system, "window");
    let time = seen["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.contains('T'), "{time}");
    let daemon = &seen["daemons"][0];
    assert_eq!(daemon["process"], system.daemon().id());
    assert_eq!(
        (&daemon["sessions"], &daemon["alive"]),
        (&2.into(), &true.into())
    );
    for figure in ["cpu_percent", "resident_bytes", "cpu_us", "uptime_s"] {
        assert!(daemon[figure].as_f64() > Some(0.0), "{figure}: {daemon}");
    }
    // As `sdvr ls` has them, and what only two looks can tell.
    let listed = system.list();
    for (camera, listed) in seen["cameras"].as_array().unwrap().iter().zip(&listed) {
        for (name, value) in listed.as_object().unwrap() {
            let moves = ["fps", "frames", "lost", "retransmitted", "bytes", "age_s"];
            if moves.contains(&name.as_str()) {
                assert!(camera.get(name).is_some(), "{name}: {camera}");
            } else {
                assert_eq!(&camera[name], value, "{name}");
            }
        }
        assert!(camera["newly_lost"].is_u64(), "{camera}");
    }
    let [door, window] = [&seen["cameras"][0], &seen["cameras"][1]];
    assert!(door["retransmitted"].is_null(), "{door}");
    assert!(window["retransmitted"].is_u64(), "{window}");
    let figure = |name: &str| window[name].as_f64().unwrap();
    // All frames are as long; the rate is rounded to a hundredth.
    let bits_a_frame = 20_000.0 * 8.0;
    let difference = figure("bits_per_second") - figure("fps") * bits_a_frame;
    assert!(difference.abs() <= bits_a_frame * 0.01, "{window}");
    let latency = &window["latency_ms"];
    let [p50, p99, most] = ["p50", "p99", "most"].map(|name| latency[name].as_f64().unwrap());
    assert!(p50 <= p99 && p99 <= most, "{latency}");
    assert!(latency["frames"].as_u64() > Some(0), "{latency}");
    assert!(latency["clock_error"].is_f64(), "{latency}");
}

#[test]
fn an_object_a_line_comes_at_each_interval_until_nobody_reads() {
    let system = System::with_daemon();
    for arguments in [&["--json"][..], &[]] {
        let mut command = system.command("sdvr");
        command.args(["top", "--interval", "0.1"]).args(arguments);
        let mut top = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut out = top.stdout.take().unwrap();
        let mut read = Vec::new();
        while read.iter().filter(|byte| **byte == b'\n').count() < 20 {
            let mut bytes = [0; 1000];
            let count = out.read(&mut bytes).unwrap();
            assert!(count > 0, "it ends");
            read.extend_from_slice(&bytes[..count]);
        }
        drop(out);
        assert!(top.wait().unwrap().success());
        let read = text(&read);
        if arguments.is_empty() {
            assert!(read.contains("\nno cameras yet"), "{read}");
            assert!(!read.contains('\x1b'));
        } else {
            for line in read.lines().take(10) {
                let object: Value = serde_json::from_str(line).unwrap();
                assert_eq!(object["cameras"], Value::Array(Vec::new()));
            }
        }
    }
}

#[test]
fn a_table_that_is_printed_has_all_columns_and_no_commands_for_a_terminal() {
    let system = System::with_daemon();
    let _cameras = three_cameras(&system);
    for label in ["a", "b", "c"] {
        system.wait_for_state(label, "live");
    }
    let output = system.sdvr(&["top", "--once", "--sort", "format", "--filter", "live"]);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    let printed = text(&output.stdout);
    assert!(!printed.contains('\x1b'), "{printed:?}");
    let lines: Vec<String> = printed.lines().map(str::to_owned).collect();
    assert_eq!(letters(&lines), "cab", "{printed}");
    assert!(
        lines[0].contains("3 sessions") && lines[0].contains("% cpu"),
        "{printed}"
    );
    assert!(
        printed.contains("FINGERPRINT") && printed.contains("P99 ms"),
        "{printed}"
    );
    let fingerprint = system.list()[0]["fingerprint"].as_str().unwrap().to_owned();
    assert!(printed.contains(&fingerprint), "{printed}");

    for wrong in [["--interval", "0"], ["--sort", "colour"]] {
        let output = system.sdvr(&["top", wrong[0], wrong[1]]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
}

/// Whoever may write rings says of its cameras what it likes.
#[test]
fn what_a_ring_says_of_itself_is_never_a_command_for_the_terminal() {
    let system = System::new();
    let directory = RingDirectory::create(&system.shm(), None).unwrap();
    let mut options = sdvr_tests::rings::options("hostile", 7, 1);
    options.format.fourcc = FourCc(*b"\x1b[2J");
    options.format.width = u32::MAX;
    options.format.height = u32::MAX;
    let mut ring = RingWriter::create(&directory, options).unwrap();
    ring.set_measured_rate(u64::MAX);
    ring.set_retransmitted(Some(u64::MAX - 1));
    let strange = sdvr::FrameMeta {
        number: sdvr::FrameNumber(u64::MAX),
        flags: sdvr::FrameFlags::NONE,
        missed: u64::MAX,
        captured_at_source: Timestamp::from_nanoseconds(i64::MIN),
        captured: Timestamp::from_nanoseconds(i64::MIN),
        clock_error_ns: Some(0),
        received: Timestamp::NEVER,
        published: Timestamp::NEVER,
    };
    for _ in 0..3 {
        assert!(ring.begin(8) && ring.write(&[1; 8]) && ring.publish(&strange));
    }
    let output = system.sdvr(&["top", "--once"]);
    assert!(output.status.success(), "{output:?}");
    let printed = text(&output.stdout);
    assert!(
        printed.chars().all(|it| matches!(it, ' '..='~' | '\n')),
        "{printed:?}"
    );
    assert!(printed.contains("?[2J"), "{printed}");
    assert!(system.sdvr(&["top", "--once", "--json"]).status.success());

    let terminal = Terminal::open(&system, 200, 10, &[]);
    terminal.type_line("sdvr top --interval 0.1");
    let screen = terminal.wait_for("the camera", |screen| row(screen, "hostile").is_some());
    assert!(has_line(&screen, "no daemon"), "{screen:?}");
    assert_eq!(row(&screen, "hostile").unwrap()[2], "?[2J");
    terminal.press(&["q"]);
    terminal.wait_for_shell();
}
