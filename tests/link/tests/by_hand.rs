//! The program, as a person uses it.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sdvr_test_link::{Link, Settings};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sdvr-test-link"))
}

fn is_possible() -> bool {
    Link::for_test(&Settings::default()).is_some()
}

#[test]
fn programs_given_to_it_reach_each_other_and_are_counted() {
    if !is_possible() {
        return;
    }
    let send = |to| format!("bash -c 'for i in 1 2 3; do printf %072d 0 >/dev/udp/{to}/9; done'");
    let (to_b, to_a) = (send("10.77.0.2"), send("10.77.0.1"));
    let lost = "3 sent, 300 bytes, 0 arrived, 0 bytes arrived, 3 lost\n";
    let arrived = "3 sent, 300 bytes, 3 arrived, 300 bytes arrived\n";
    // What arrives is answered: there is no such port. So a side that is not impaired is heard alone.
    for (from, a, b, expected) in [
        ("both", &*to_b, &*to_a, vec![("A", lost), ("B", lost)]),
        ("a", &to_b, "true", vec![("A", lost)]),
        ("b", "true", &to_a, vec![("B", lost)]),
        ("a", "true", &to_a, vec![("B", arrived)]),
        ("b", &to_b, "true", vec![("A", arrived)]),
    ] {
        let output = program()
            .args(["--loss", "100", "--from", from, "--a", a, "--b", b])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        for (side, counted) in expected {
            let line = format!("from {side}: {counted}");
            assert!(text.contains(&line), "--from {from}: {text}");
        }
    }
}

#[test]
fn namespaces_are_there_until_it_is_told_to_end() {
    if !is_possible() {
        return;
    }
    let mut link = program().stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(link.stderr.take().unwrap());
    for side in ["A: ", "B: "] {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert!(line.starts_with(side), "{line}");
        let command = line.split("run programs with: ").nth(1).unwrap().trim();
        let output = Command::new("sh")
            .args(["-c", &format!("{command} ip -brief address show sdvr0")])
            .output()
            .unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        let address = line.split([' ', ',']).nth(1).unwrap();
        assert!(shown.contains(address), "{shown}: {address}");
    }
    let pid = Pid::from_raw(link.id().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(link.wait().unwrap().success());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("from B: 0 sent"), "{rest}");
}
