//! The units in `deploy/` under Debian's own systemd: installed as their README says, daemon, cameras and readers in one guest.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use sdvr_vm::stage::ONE_CAMERA;
use sdvr_vm::{Guest, Turn};

const README: &str = include_str!("../../../deploy/README.md");
/// The folder that the README's commands are typed in.
const PROJECT: &str = "/sdvr";
/// Both ways to stream a host's cameras; the guest knows the second one's server as itself.
const CLIENTS: [&str; 2] = ["sdvrc", "sdvrc@nvr.lan"];
/// What tests add to the units.
const DROPINS: &str = "/run/systemd/system/sdvr*.d";
/// What systemd calls the death that is wanted for a refused system call.
const KILL: &str = "2147483646";

#[test]
fn what_the_readme_has_typed_makes_a_host_that_streams() {
    let mut guest = enter();
    for unit in ["sdvrd", CLIENTS[0], CLIENTS[1]] {
        guest.expect(&format!("systemctl is-enabled {unit}"));
    }
    load_camera(&mut guest);
    for client in CLIENTS {
        guest.expect(&format!("systemctl start sdvrd {client}"));
        assert_streams(&mut guest);
        for unit in ["sdvrd", client] {
            guest.expect(&format!("systemctl is-active {unit}"));
        }
        guest.expect(&format!("systemctl stop {client}"));
    }
    let key = server_key(&mut guest);
    wait_for_log(&mut guest, "sdvrd", &key);
}

#[test]
fn only_members_of_the_group_read_frames() {
    let mut guest = start(&["sdvrd", "sdvrc"]);
    load_camera(&mut guest);
    assert_streams(&mut guest);
    assert_eq!(
        guest.expect("su mallory -c 'sdvr ls --json'").trim(),
        "[]",
        "a stranger sees cameras"
    );
    let files = guest.expect("find /dev/shm -type f");
    assert!(files.lines().count() >= 2, "{files}");
    for file in files.lines() {
        let read = guest.run(&format!("su mallory -c 'head -c 1 {file}'"));
        assert_ne!(read.status, 0, "a stranger reads {file}");
        assert!(read.text.contains("Permission denied"), "{}", read.text);
    }
    let keys = guest.run("su alice -c 'ls /var/lib/sdvr /var/lib/sdvrc'");
    assert!(keys.text.contains("Permission denied"), "{}", keys.text);
}

#[test]
fn the_first_camera_may_come_after_the_client() {
    let mut guest = start(&["sdvrd"]);
    for client in CLIENTS {
        // So that not even its driver is there.
        guest.expect("modprobe vivid && modprobe -r vivid && ! grep video4linux /proc/devices");
        guest.expect(&format!("systemctl start {client}"));
        load_camera(&mut guest);
        assert_streams(&mut guest);
        guest.expect(&format!("systemctl stop {client} && modprobe -r vivid"));
    }
}

#[test]
fn no_system_call_is_refused() {
    let mut guest = enter();
    // A refused call would be hard to see: programs do without some of them.
    for unit in ["sdvrd", "sdvrc", "sdvrc@"] {
        let folder = format!("/run/systemd/system/{unit}.service.d");
        guest.expect(&format!(
            "mkdir -p {folder}; printf '[Service]\\nSystemCallErrorNumber=kill\\n' > {folder}/kill.conf"
        ));
    }
    guest.expect("systemctl daemon-reload; systemctl start sdvrd");
    load_camera(&mut guest);
    for client in CLIENTS {
        guest.expect(&format!("systemctl start {client}"));
        let key = assert_streams(&mut guest);
        guest.expect("echo vivid.0 > /sys/bus/platform/drivers/vivid/unbind");
        wait_for_log(&mut guest, client, "is gone");
        guest.expect("echo vivid.0 > /sys/bus/platform/drivers/vivid/bind");
        assert_eq!(assert_streams(&mut guest), key);
        guest.expect("systemctl restart sdvrd");
        assert_eq!(assert_streams(&mut guest), key);
        stop(&mut guest, client);
        assert_eq!(property(&mut guest, client, "SystemCallErrorNumber"), KILL);
        assert_eq!(property(&mut guest, client, "NRestarts"), "0");
    }
    stop(&mut guest, "sdvrd");
    assert_eq!(property(&mut guest, "sdvrd", "SystemCallErrorNumber"), KILL);
    assert_eq!(property(&mut guest, "sdvrd", "NRestarts"), "0");
}

#[test]
fn killed_programs_come_back_with_their_keys() {
    let mut guest = start(&["sdvrd", "sdvrc"]);
    load_camera(&mut guest);
    let key = assert_streams(&mut guest);
    let server_key = server_key(&mut guest);
    for unit in ["sdvrd", "sdvrc"] {
        kill(&mut guest, unit);
        assert_eq!(assert_streams(&mut guest), key);
    }
    guest.expect("systemctl stop sdvrc; systemctl start sdvrc@nvr.lan");
    assert_eq!(assert_streams(&mut guest), key);
    kill(&mut guest, "sdvrc@nvr.lan");
    assert_eq!(assert_streams(&mut guest), key);
    let log = guest.expect("journalctl -u sdvrd -o cat");
    assert_eq!(log.matches(&server_key).count(), 2, "{log}");
}

#[test]
fn stopping_is_a_clean_end() {
    let mut guest = start(&["sdvrd"]);
    load_camera(&mut guest);
    for client in CLIENTS {
        guest.expect(&format!("systemctl start {client}"));
        assert_streams(&mut guest);
        stop(&mut guest, client);
    }
    // Then with a camera connected, which then has no server to say goodbye to.
    guest.expect("systemctl start sdvrc");
    assert_streams(&mut guest);
    stop(&mut guest, "sdvrd");
    stop(&mut guest, "sdvrc");
}

#[test]
fn wrong_options_are_not_tried_again() {
    let mut guest = enter();
    for (unit, variable) in [
        ("sdvrd", "SDVRD_OPTIONS"),
        (CLIENTS[0], "SDVRC_OPTIONS"),
        (CLIENTS[1], "SDVRC_OPTIONS"),
    ] {
        guest.expect(&format!(
            "echo {variable}=--no-such-option > /etc/default/{unit}"
        ));
        guest.expect(&format!("systemctl start --no-block {unit}"));
        guest.wait_until(&format!("systemctl is-failed {unit}"));
        assert_eq!(property(&mut guest, unit, "ExecMainStatus"), "2");
        assert_eq!(property(&mut guest, unit, "NRestarts"), "0");
        wait_for_log(&mut guest, unit, "--no-such-option");
    }
}

#[test]
fn a_daemon_that_fails_is_tried_until_it_works() {
    let mut guest = enter();
    guest.expect("echo 'SDVRD_OPTIONS=\"-l 192.0.2.1 --log text\"' > /etc/default/sdvrd");
    guest.expect("systemctl start --no-block sdvrd");
    guest.wait_until("[ $(systemctl show -P NRestarts sdvrd) -ge 2 ]");
    wait_for_log(&mut guest, "sdvrd", "code=exited, status=1");
    guest.expect("ip address add 192.0.2.1/32 dev lo");
    guest.wait_until("systemctl is-active sdvrd");
    wait_for_log(&mut guest, "sdvrd", "sdvrd ready: 192.0.2.1:1337");
}

/// Takes the guest with all units installed as the README says, and none started.
fn enter() -> Turn {
    let mut guest = Guest::enter();
    for user in ["alice", "mallory"] {
        guest.expect(&format!("id {user} || useradd --create-home {user}"));
    }
    guest.run("ip address del 192.0.2.1/32 dev lo");
    if guest.run("[ -e /etc/systemd/system/sdvrc.service ]").status != 0 {
        for block in readme_s_blocks() {
            type_in(&mut guest, &block);
        }
        guest.expect("usermod -aG sdvr alice; systemctl stop 'sdvr*'");
    }
    guest.expect(&format!("cp {PROJECT}/deploy/default/* /etc/default"));
    // Reading all units anew takes this processor seconds.
    guest.run(&format!(
        "ls {DROPINS} && rm -r {DROPINS} && systemctl daemon-reload"
    ));
    guest.run("systemctl reset-failed 'sdvr*'");
    guest.expect("journalctl --rotate; journalctl --vacuum-time=1s");
    guest
}

/// Takes the guest with some units started, but no camera.
fn start(units: &[&str]) -> Turn {
    let mut guest = enter();
    guest.expect(&format!("systemctl start {}", units.join(" ")));
    guest
}

fn load_camera(guest: &mut Guest) {
    guest.expect(&format!("modprobe vivid {ONE_CAMERA}"));
}

/// What the README has typed with `sudo`, by blocks; the rest builds the programs, which the guest has.
fn readme_s_blocks() -> Vec<Vec<String>> {
    let blocks = README
        .split("```")
        .filter(|part| part.starts_with("console"));
    let commands = |block: &str| {
        let lines = block.lines().filter_map(|line| line.strip_prefix("$ "));
        lines
            .filter(|line| line.starts_with("sudo "))
            .map(|line| line.replace("sudo ", ""))
            .collect()
    };
    blocks.map(commands).collect()
}

#[track_caller]
fn type_in(guest: &mut Guest, commands: &[String]) {
    for command in commands {
        guest.expect(&format!("cd {PROJECT} && bash -c '{command}'"));
    }
}

/// Waits until a member of the group receives the one camera's frames; gives the camera's key.
#[track_caller]
fn assert_streams(guest: &mut Guest) -> String {
    // In the table of a member of the group: LABEL STATE FORMAT SIZE FPS FRAMES LOST AGE LINK FINGERPRINT.
    let row = guest.wait_until("su alice -c 'sdvr ls' > /tmp/ls && grep ' live ' /tmp/ls");
    let fields: Vec<&str> = row.split_whitespace().collect();
    let (label, key) = (fields[0], fields[9]);
    assert!(
        label.starts_with("vivid") && key.starts_with("SHA256:"),
        "{row}"
    );
    guest.expect(&format!(
        "timeout 50 su alice -c 'sdvr watch --count 10 {label}'"
    ));
    key.to_owned()
}

/// The daemon's fingerprint, as the README has it printed.
#[track_caller]
fn server_key(guest: &mut Guest) -> String {
    let line = guest.expect("su -s /bin/sh sdvr -c 'sdvr keys fingerprint'");
    let key = line.split_whitespace().next().unwrap();
    assert!(key.starts_with("SHA256:"), "{line}");
    key.to_owned()
}

#[track_caller]
fn property(guest: &mut Guest, unit: &str, name: &str) -> String {
    let value = guest.expect(&format!("systemctl show -P {name} {unit}"));
    value.trim().to_owned()
}

#[track_caller]
fn wait_for_log(guest: &mut Guest, unit: &str, text: &str) {
    guest.wait_until(&format!("journalctl -u {unit} -o cat | grep -e '{text}'"));
}

/// Kills a unit's program, and waits until another one is ready.
#[track_caller]
fn kill(guest: &mut Guest, unit: &str) {
    guest.expect(&format!("kill -9 $(systemctl show -P MainPID {unit})"));
    guest.wait_until(&format!("[ $(systemctl show -P NRestarts {unit}) = 1 ]"));
    guest.wait_until(&format!("systemctl is-active {unit}"));
}

/// Stops a unit, whose program must end by itself with 0.
#[track_caller]
fn stop(guest: &mut Guest, unit: &str) {
    guest.expect(&format!("systemctl stop {unit}"));
    let end = ["ActiveState", "Result", "ExecMainCode", "ExecMainStatus"]
        .map(|name| property(guest, unit, name));
    // The code of a program that was not killed is CLD_EXITED.
    assert_eq!(end, ["inactive", "success", "1", "0"], "{unit}");
}
