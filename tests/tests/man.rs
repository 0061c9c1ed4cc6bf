//! The manual pages: each program and subcommand has one, `man` can show it, and all that `--help` names is in it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sdvr_tests::{binary, text};

/// Each page, and the command whose `--help` it must cover.
const PAGES: [(&str, &[&str]); 29] = [
    ("sdvrd.8", &["sdvrd"]),
    ("sdvrc.1", &["sdvrc"]),
    ("sdvr.1", &["sdvr"]),
    ("sdvr-ls.1", &["sdvr", "ls"]),
    ("sdvr-top.1", &["sdvr", "top"]),
    ("sdvr-view.1", &["sdvr", "view"]),
    ("psdl.1", &["psdl"]),
    ("sdvr-web.1", &["sdvr", "web"]),
    ("sdvr-record.1", &["sdvr", "record"]),
    ("prec.1", &["prec"]),
    ("sdvr-recordings.1", &["sdvr", "recordings"]),
    ("sdvr-recordings-list.1", &["sdvr", "recordings", "list"]),
    ("sdvr-recordings-show.1", &["sdvr", "recordings", "show"]),
    (
        "sdvr-recordings-verify.1",
        &["sdvr", "recordings", "verify"],
    ),
    (
        "sdvr-recordings-export.1",
        &["sdvr", "recordings", "export"],
    ),
    ("sdvr-watch.1", &["sdvr", "watch"]),
    ("sdvr-pipe.1", &["sdvr", "pipe"]),
    ("sdvr-snapshot.1", &["sdvr", "snapshot"]),
    ("sdvr-exec.1", &["sdvr", "exec"]),
    ("sdvr-verify.1", &["sdvr", "verify"]),
    ("sdvr-keys.1", &["sdvr", "keys"]),
    ("sdvr-keys-fingerprint.1", &["sdvr", "keys", "fingerprint"]),
    ("sdvr-keys-list.1", &["sdvr", "keys", "list"]),
    ("sdvr-keys-pending.1", &["sdvr", "keys", "pending"]),
    ("sdvr-keys-approve.1", &["sdvr", "keys", "approve"]),
    ("sdvr-keys-revoke.1", &["sdvr", "keys", "revoke"]),
    ("sdvr-keys-rotate.1", &["sdvr", "keys", "rotate"]),
    ("sdvr-keys-forget.1", &["sdvr", "keys", "forget"]),
    ("sdvr-demo.1", &["sdvr", "demo"]),
];

fn written() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let pages = place.path().join("not/there/yet");
    let output = Command::new(binary("sdvr-man")).arg(&pages).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    place
}

fn page(place: &tempfile::TempDir, name: &str) -> PathBuf {
    place.path().join("not/there/yet").join(name)
}

/// The page as a reader sees it, in lines so long that nothing is divided; from its source where no roff is installed.
fn shown(page: &Path) -> String {
    let groff = Command::new("groff")
        .args([
            "-man",
            "-ww",
            "-Tascii",
            "-P-c",
            "-P-b",
            "-P-u",
            "-rLL=1000n",
        ])
        .arg(page)
        .stdin(Stdio::null())
        .output();
    match groff {
        Ok(output) => {
            let complaints = text(&output.stderr);
            assert!(
                output.status.success() && complaints.is_empty(),
                "{}: {complaints}",
                page.display()
            );
            text(&output.stdout)
        }
        Err(_) => std::fs::read_to_string(page)
            .unwrap()
            .replace("\\-", "-")
            .replace("\\fB", "")
            .replace("\\fI", "")
            .replace("\\fR", ""),
    }
}

/// What `--help` says.
fn help(command: &[&str]) -> String {
    let program = match command[0] {
        // Links to it.
        "psdl" | "prec" => "sdvr",
        program => program,
    };
    let output = Command::new(binary(program))
        .arg0(command[0])
        .args(&command[1..])
        .arg("--help")
        // No line is divided.
        .env("COLUMNS", "1000")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

/// The options and subcommands that a help text lists: the words at the beginning of its indented lines.
fn listed(help: &str) -> Vec<String> {
    let mut listed = Vec::new();
    let mut is_list = false;
    for line in help.lines() {
        if !line.starts_with(' ') {
            is_list = matches!(line, "Options:" | "Commands:" | "Arguments:");
            continue;
        }
        let names = line.trim_start().split("  ").next().unwrap();
        // The rest of a description that was too long for its line is indented further.
        let indent = line.len() - line.trim_start().len();
        if is_list && (indent <= 2 || names.starts_with("--")) {
            let words = names.split([',', ' ']).filter(|word| !word.is_empty());
            listed.extend(
                words
                    .map(|word| word.trim_matches(['[', ']', '<', '>']).to_owned())
                    .filter(|word| word != "help"),
            );
        }
    }
    listed
}

#[test]
fn every_command_has_a_page_with_all_that_its_help_lists() {
    let place = written();
    for (name, command) in PAGES {
        let page = page(&place, name);
        let source = std::fs::read_to_string(&page).unwrap_or_else(|_| panic!("no {name}"));
        let (title, section) = name.rsplit_once('.').unwrap();
        let header = source
            .lines()
            .find(|line| line.starts_with(".TH "))
            .unwrap();
        let words: Vec<&str> = header.split(' ').collect();
        assert_eq!(words[1..3], [title, section], "{header}");
        let shown = shown(&page);
        let help = help(command);
        let usage = help.lines().find_map(|line| line.strip_prefix("Usage: "));
        assert!(shown.contains(usage.unwrap()), "{usage:?}:\n{shown}");
        let listed = listed(&help);
        assert!(listed.len() >= 2, "{command:?} lists only {listed:?}");
        for word in listed {
            assert!(shown.contains(&word), "{word} is not in {name}:\n{shown}");
        }
    }
    let count = std::fs::read_dir(page(&place, "")).unwrap().count();
    assert_eq!(count, PAGES.len());
}

#[test]
fn examples_and_notes_keep_their_lines() {
    let place = written();
    for name in ["sdvr", "sdvrc", "sdvrd"] {
        let help = help(&[name]);
        let (_, notes) = help.split_once("Examples:\n").unwrap();
        let section = if name == "sdvrd" { "8" } else { "1" };
        let shown = shown(&page(&place, &format!("{name}.{section}")));
        for line in notes.lines().filter(|line| !line.is_empty()) {
            assert!(
                shown.lines().any(|shown| shown.trim() == line.trim()),
                "{line:?} is not a line of {name}.{section}:\n{shown}"
            );
        }
    }
}
