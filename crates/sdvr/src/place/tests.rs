use sdvr_frame::StreamState;
use sdvr_ring::{RingDirectory, RingWriter};

use self::options::options;
use super::*;

#[path = "../../tests/daemon/options.rs"]
mod options;

/// The directories of three users, this one's first, each with its daemon.
struct Users {
    _folder: tempfile::TempDir,
    paths: Vec<PathBuf>,
    daemons: Vec<RingDirectory>,
}

impl Users {
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let paths = ["own", "first", "second"].map(|name| folder.path().join(name));
        let daemons = paths
            .iter()
            .map(|path| RingDirectory::create(path, None).unwrap())
            .collect();
        Self {
            _folder: folder,
            paths: paths.into(),
            daemons,
        }
    }

    fn publish(&self, user: usize, label: &str, key: u8) -> RingWriter {
        let options = options(label, key, 1);
        RingWriter::create(&self.daemons[user], options).unwrap()
    }

    fn find(&self, camera: &str) -> Result<PathBuf, Error> {
        find_in(&Wanted::new(camera), &self.paths).map(|found| found.directory)
    }

    #[track_caller]
    fn assert_ambiguous(&self, camera: &str) {
        let Err(Error::Ambiguous { directories, .. }) = self.find(camera) else {
            panic!("one of them was taken");
        };
        assert_eq!(directories, self.paths[1..]);
    }
}

/// Whatever the keys, of which the names of the files are made.
#[test]
fn a_camera_of_the_own_daemon_comes_before_any_other_s() {
    for key in 1..20 {
        let users = Users::new();
        let _others = [
            users.publish(1, "door", 21 - key),
            users.publish(2, "door", 22),
        ];
        let mut own = users.publish(0, "door", key);
        assert_eq!(users.find("door").unwrap(), users.paths[0]);
        // Nor is another taken for it while it is lost, or its daemon is gone.
        own.set_state(StreamState::Lost);
        assert_eq!(users.find("door").unwrap(), users.paths[0]);
        drop(own);
        assert_eq!(users.find("door").unwrap(), users.paths[0]);
    }
}

#[test]
fn of_several_others_none_is_taken() {
    let users = Users::new();
    let _own = users.publish(0, "window", 1);
    let first = users.publish(1, "door", 7);
    assert_eq!(users.find("door").unwrap(), users.paths[1]);
    // Anybody can give a ring any key.
    let second = users.publish(2, "door", 7);
    let fingerprint = second.camera().unwrap().fingerprint().to_string();
    for camera in ["door", &fingerprint, second.name().as_str()] {
        users.assert_ambiguous(camera);
    }
    let problem = users.find("door").unwrap_err().to_string();
    for path in &users.paths[1..] {
        assert!(problem.contains(path.to_str().unwrap()), "{problem}");
    }
    assert!(problem.contains("SDVR_SHM_DIR"), "{problem}");
    // Who kills a daemon, or waits until it is started anew, gains nothing.
    drop(first);
    users.assert_ambiguous("door");
    let chosen = Wanted::new_in(&users.paths[2], "door");
    assert_eq!(find(&chosen).unwrap().directory, users.paths[2]);
    assert_eq!(users.find("window").unwrap(), users.paths[0]);
}

#[test]
fn several_of_one_daemon_are_not_ambiguous() {
    let users = Users::new();
    let mut old = users.publish(1, "door", 1);
    let new = users.publish(1, "door", 2);
    old.set_state(StreamState::Closed);
    let found = find_in(&Wanted::new("door"), &users.paths).unwrap();
    assert_eq!(&found.name, new.name());
}
