//! A host with daemons of several users: whose camera is taken if two have the same label. Only root can try this, in a `/dev/shm` of its own; for others it
//! says so.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sdvr_ring::{RingDirectory, RingWriter};
use sdvr_tests::rings::options;
use sdvr_tests::{binary, text};

/// Users without an entry anywhere.
const STRANGERS: [u32; 2] = [54_323, 54_324];

/// What a program sees as `/dev/shm`.
struct SharedMemory {
    folder: tempfile::TempDir,
}

impl SharedMemory {
    /// `None` where this process may not give programs a `/dev/shm` of their own.
    fn new() -> Option<Self> {
        let new = Self {
            folder: tempfile::tempdir_in("/dev/shm").unwrap(),
        };
        let may = rustix::process::geteuid().is_root()
            && new.command("true").output().unwrap().status.success();
        if !may {
            eprintln!("not tested: only root can mount another /dev/shm");
        }
        may.then_some(new)
    }

    fn directory_of(&self, user: u32) -> PathBuf {
        self.folder.path().join(format!("sdvr-{user}"))
    }

    /// A user's daemon, with a ring a key. They live as long as what is given.
    fn publish(&self, user: u32, label: &str, keys: &[u8]) -> (RingDirectory, Vec<RingWriter>) {
        let path = self.directory_of(user);
        let directory = RingDirectory::create(&path, None).unwrap();
        let rings = keys
            .iter()
            .map(|key| RingWriter::create(&directory, options(label, *key, 1)).unwrap())
            .collect();
        chown(&path, Some(user), Some(user)).unwrap();
        (directory, rings)
    }

    /// A program in a namespace of mounts of its own.
    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("unshare");
        command
            .args([
                "--mount",
                "sh",
                "-c",
                "mount --bind \"$0\" /dev/shm && exec \"$@\"",
            ])
            .arg(self.folder.path())
            .arg(program.as_ref())
            .env_remove("SDVR_SHM_DIR");
        command
    }

    fn sdvr(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(binary("sdvr"));
        command.args(arguments).output().unwrap()
    }
}

#[test]
fn a_camera_that_others_have_too_is_refused_and_the_list_says_where_they_are() {
    let Some(shared) = SharedMemory::new() else {
        return;
    };
    let _own = shared.publish(0, "window", &[1]);
    let one = shared.publish(STRANGERS[0], "door", &[2]);
    let listed = shared.sdvr(&["ls", "--json"]);
    let cameras: Vec<serde_json::Value> = serde_json::from_slice(&listed.stdout).unwrap();
    let directories: Vec<&str> = cameras
        .iter()
        .map(|camera| camera["directory"].as_str().unwrap())
        .collect();
    assert_eq!(directories, ["/dev/shm/sdvr-54323", "/dev/shm/sdvr-0"]);

    let two = shared.publish(STRANGERS[1], "door", &[3]);
    let output = shared.sdvr(&["watch", "door", "--count", "1"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stderr);
    for expected in [
        "/dev/shm/sdvr-54323 and /dev/shm/sdvr-54324",
        "SDVR_SHM_DIR",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    let table = text(&shared.sdvr(&["ls"]).stdout);
    assert!(
        table.lines().next().unwrap().ends_with("  DIRECTORY"),
        "{table}"
    );
    for directory in ["sdvr-54323", "sdvr-54324"] {
        let line = format!("  /dev/shm/{directory}");
        assert!(
            table
                .lines()
                .any(|row| row.starts_with("door ") && row.ends_with(&line)),
            "{table}"
        );
    }

    // Usually there is one.
    drop((one, two));
    for stranger in STRANGERS {
        std::fs::remove_dir_all(shared.directory_of(stranger)).unwrap();
    }
    let table = text(&shared.sdvr(&["ls"]).stdout);
    assert!(
        table.lines().next().unwrap().ends_with("  FINGERPRINT"),
        "{table}"
    );
    assert!(!table.contains("/dev/shm"), "{table}");
}
