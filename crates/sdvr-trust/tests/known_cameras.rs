//! Which cameras are let in, and that what is remembered of them survives other processes, damage and full disks.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use sdvr_frame::{Label, PublicKey, Timestamp};
use sdvr_trust::{Admission, KnownCameras, Refusal, TrustError};
use support::{Home, TinyDisk, base64, key, label};

const START: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);

fn load(home: &Home) -> KnownCameras {
    KnownCameras::load(home.open(), START).unwrap()
}

fn wanted(numbers: std::ops::Range<u32>) -> Vec<(PublicKey, Label)> {
    numbers
        .map(|number| (key(number), label(&format!("cam{number}"))))
        .collect()
}

/// What became of each, short enough to compare.
fn admit(known: &mut KnownCameras, wanted: &[(u32, &str)]) -> Vec<String> {
    let wanted: Vec<_> = wanted
        .iter()
        .map(|(number, text)| (key(*number), label(text)))
        .collect();
    known
        .admit_all(START, &wanted)
        .iter()
        .map(|admission| match admission {
            Admission::Known { label } => format!("known {label}"),
            Admission::New { label } => format!("new {label}"),
            Admission::Refused(Refusal::LabelTaken { .. }) => "taken".to_owned(),
            Admission::Refused(Refusal::Revoked { reason, .. }) => format!("revoked {reason}"),
            Admission::Refused(Refusal::StoreFailed { .. }) => "store failed".to_owned(),
            Admission::Refused(Refusal::TooManyNewKeys) => "too many".to_owned(),
            Admission::Refused(Refusal::Pending { is_new: true, .. }) => "waits now".to_owned(),
            Admission::Refused(Refusal::Pending { is_new: false, .. }) => "waits".to_owned(),
            Admission::Refused(Refusal::Closed { .. }) => "closed".to_owned(),
            Admission::Refused(Refusal::TooManyPending { .. }) => "too many wait".to_owned(),
            Admission::Refused(Refusal::KeyReplaced { .. }) => "replaced".to_owned(),
            Admission::Refused(Refusal::NotNoted { .. }) => "not noted".to_owned(),
            Admission::Refused(Refusal::NotedTooFast { .. }) => "noted too fast".to_owned(),
        })
        .collect()
}

fn removed(changes: &sdvr_trust::Changes) -> Vec<(PublicKey, Label)> {
    let removed = changes.removed.iter();
    removed
        .map(|removed| (removed.key, removed.label.clone()))
        .collect()
}

fn labels(known: &KnownCameras) -> Vec<&str> {
    known
        .list()
        .iter()
        .map(|camera| camera.label.as_str())
        .collect()
}

#[test]
fn a_new_camera_is_remembered_on_disk_and_known_from_then_on() {
    let home = Home::new();
    let mut known = load(&home);
    assert_eq!(admit(&mut known, &[(1, "door")]), ["new door"]);
    assert_eq!(admit(&mut known, &[(1, "door")]), ["known door"]);
    let mut again = load(&home);
    assert_eq!(admit(&mut again, &[(1, "door")]), ["known door"]);
    let [camera] = again.list() else {
        panic!("{:?}", again.list())
    };
    assert_eq!(camera.via(), "tofu");
    assert_eq!(
        fs::read_to_string(home.file("known_cameras")).unwrap(),
        format!(
            "door x25519 {} added={} via=tofu\n",
            base64(&key(1)),
            camera.added()
        )
    );
}

#[test]
fn the_label_that_is_remembered_wins() {
    let home = Home::new();
    let mut known = load(&home);
    admit(&mut known, &[(1, "door"), (2, "gate")]);
    assert_eq!(
        admit(&mut known, &[(1, "gate"), (2, "else")]),
        ["known door", "known gate"]
    );
}

#[test]
fn a_label_that_another_camera_has_is_refused_with_both_fingerprints() {
    let home = Home::new();
    let mut known = load(&home);
    admit(&mut known, &[(1, "door")]);
    let before = fs::metadata(home.file("known_cameras")).unwrap().ino();
    let [Admission::Refused(refusal)] =
        <[_; 1]>::try_from(known.admit_all(START, &[(key(2), label("door"))])).unwrap()
    else {
        panic!("it was let in");
    };
    assert_eq!(
        refusal.to_string(),
        format!(
            "the label door belongs to the camera {}, and {} asks for it. If the camera was replaced: \
             sdvr keys forget door; if both should stream: sdvr keys approve {} --as OTHER, or give this one another label with -n",
            key(1).fingerprint(),
            key(2).fingerprint(),
            key(2).fingerprint()
        )
    );
    assert_eq!(
        fs::metadata(home.file("known_cameras")).unwrap().ino(),
        before,
        "a refusal must not cost a write"
    );
    assert_eq!(admit(&mut known, &[(1, "door")]), ["known door"]);
}

#[test]
fn one_batch_may_name_a_key_or_a_label_twice() {
    let home = Home::new();
    let mut known = load(&home);
    assert_eq!(
        admit(
            &mut known,
            &[(1, "a"), (1, "a"), (1, "b"), (2, "a"), (3, "c")]
        ),
        ["new a", "new a", "new a", "taken", "new c"]
    );
    assert_eq!(labels(&load(&home)), ["a", "c"]);
}

#[test]
fn a_batch_is_one_write() {
    let home = Home::new();
    let mut known = load(&home);
    // Each write makes a new file and removes it: one change of the directory's content each.
    let writes = WriteCounter::new(&home.path);
    let admissions = known.admit_all(START, &wanted(0..500));
    assert!(
        admissions
            .iter()
            .all(|admission| matches!(admission, Admission::New { .. }))
    );
    assert_eq!(writes.renames(), 1);
    known.admit_all(START, &wanted(0..500));
    assert_eq!(writes.renames(), 1, "known ones need no write");
    assert_eq!(load(&home).list().len(), 500);
}

/// Counts files that got their name in a directory.
struct WriteCounter {
    watch: std::cell::RefCell<(usize, std::os::fd::OwnedFd)>,
}

impl WriteCounter {
    fn new(directory: &Path) -> Self {
        use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
        let watch = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).unwrap();
        add_watch(&watch, directory, WatchFlags::MOVED_TO).unwrap();
        Self {
            watch: (0, watch).into(),
        }
    }

    fn renames(&self) -> usize {
        let (count, watch) = &mut *self.watch.borrow_mut();
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = rustix::fs::inotify::Reader::new(watch, &mut buffer);
        while reader.next().is_ok() {
            *count += 1;
        }
        *count
    }
}

#[test]
fn a_revoked_key_is_refused_whether_or_not_it_is_known() {
    let home = Home::new();
    let mut known = load(&home);
    admit(&mut known, &[(1, "door")]);
    let revoked = |number| {
        format!(
            "x25519 {} 2026-03-01T12:00:00Z stolen from the shed\n",
            base64(&key(number))
        )
    };
    home.write("revoked", [revoked(1), revoked(2)].concat().as_bytes());
    let changes = known.refresh().unwrap();
    assert_eq!(removed(&changes), [(key(1), label("door"))]);
    let revoked = "revoked stolen from the shed";
    assert_eq!(
        admit(&mut known, &[(1, "door"), (2, "new"), (3, "third")]),
        [revoked, revoked, "new third"]
    );
    assert_eq!(
        labels(&load(&home)),
        ["door", "third"],
        "its label stays taken"
    );
    // It is told once.
    admit(&mut load(&home), &[(4, "fourth")]);
    assert!(known.refresh().unwrap().removed.is_empty());
    // A list that cannot be read is not taken for an empty one.
    home.write("revoked", b"x25519 torn");
    known.refresh().unwrap_err();
    assert_eq!(admit(&mut known, &[(1, "door")]), [revoked]);
    assert!(KnownCameras::load(home.open(), START).is_err());
}

#[test]
fn new_cameras_come_in_a_burst_and_then_at_a_rate() {
    let home = Home::new();
    let mut known = load(&home);
    let count = |admissions: &[Admission]| {
        let refused = admissions
            .iter()
            .filter(|admission| matches!(admission, Admission::Refused(Refusal::TooManyNewKeys)));
        admissions.len() - refused.count()
    };
    assert_eq!(count(&known.admit_all(START, &wanted(0..1100))), 1024);
    assert_eq!(count(&known.admit_all(START, &wanted(2000..2100))), 0);
    let later = START + Duration::from_millis(500);
    assert_eq!(count(&known.admit_all(later, &wanted(2000..2200))), 100);
    // Those that are known are not held up.
    assert_eq!(count(&known.admit_all(later, &wanted(0..1024))), 1024);
    // Taken labels and other refusals use up nothing of it.
    let later = later + Duration::from_millis(5);
    let taken: Vec<_> = (9000..9100)
        .map(|number| (key(number), label("cam1")))
        .collect();
    known.admit_all(later, &taken);
    assert_eq!(count(&known.admit_all(later, &wanted(2200..2210))), 1);
    // A clock that stands still or goes back gives nothing.
    assert_eq!(count(&known.admit_all(START, &wanted(2300..2310))), 0);
}

#[test]
fn no_more_are_remembered_than_65536() {
    let home = Home::new();
    let text: String = (0..65_535)
        .map(|number| {
            format!(
                "c{number} x25519 {} added=2026-03-01T12:00:00Z via=tofu\n",
                base64(&key(number))
            )
        })
        .collect();
    home.write("known_cameras", text.as_bytes());
    let mut known = load(&home);
    assert_eq!(
        admit(&mut known, &[(70_000, "x"), (70_001, "y"), (1, "c1")]),
        ["new x", "too many", "known c1"]
    );
    assert_eq!(load(&home).list().len(), 65_536);
}

#[test]
fn what_another_process_forgot_is_told_and_may_come_again() {
    let home = Home::new();
    let mut daemon = load(&home);
    admit(&mut daemon, &[(1, "door"), (2, "gate")]);
    assert!(daemon.refresh().unwrap().removed.is_empty());
    assert_eq!(load(&home).forget("door").unwrap(), [label("door")]);
    let changes = daemon.refresh().unwrap();
    assert_eq!(removed(&changes), [(key(1), label("door"))]);
    assert!(daemon.refresh().unwrap().removed.is_empty());
    // The label is free for the camera that replaces it.
    assert_eq!(admit(&mut daemon, &[(3, "door")]), ["new door"]);
}

#[test]
fn what_another_process_forgot_is_told_even_if_a_camera_came_meanwhile() {
    let home = Home::new();
    let mut daemon = load(&home);
    admit(&mut daemon, &[(1, "door"), (2, "gate"), (3, "yard")]);
    let mut other = load(&home);
    other.forget("door").unwrap();
    other.forget("gate").unwrap();
    // The file is read for this; what was found then must not be lost.
    assert_eq!(
        admit(&mut daemon, &[(4, "new"), (2, "gate")]),
        ["new new", "new gate"]
    );
    let changes = daemon.refresh().unwrap();
    assert_eq!(
        removed(&changes),
        [(key(1), label("door"))],
        "one that came again is welcome"
    );
    assert_eq!(labels(&daemon), ["yard", "new", "gate"]);
}

#[test]
fn what_others_pin_is_seen() {
    let home = Home::new();
    let (mut one, mut two) = (load(&home), load(&home));
    assert_eq!(admit(&mut one, &[(1, "door")]), ["new door"]);
    assert_eq!(
        admit(&mut two, &[(2, "door"), (1, "door")]),
        ["taken", "known door"]
    );
    assert_eq!(admit(&mut two, &[(2, "gate")]), ["new gate"]);
    one.refresh().unwrap();
    assert_eq!(labels(&one), ["door", "gate"]);
}

#[test]
fn a_damaged_file_changes_nothing_that_is_known() {
    let home = Home::new();
    let mut known = load(&home);
    admit(&mut known, &[(1, "door")]);
    let good = fs::read(home.file("known_cameras")).unwrap();
    for length in 1..good.len() {
        home.write("known_cameras", &good[..length]);
        assert!(
            matches!(known.refresh().unwrap_err(), TrustError::Parse { .. }),
            "{length}"
        );
        assert_eq!(
            admit(&mut known, &[(1, "door"), (2, "gate")]),
            ["known door", "store failed"]
        );
        known.forget("door").unwrap_err();
        KnownCameras::load(home.open(), START).unwrap_err();
        assert_eq!(
            fs::read(home.file("known_cameras")).unwrap(),
            &good[..length],
            "it must not be replaced"
        );
    }
    home.write("known_cameras", &good);
    assert!(known.refresh().unwrap().removed.is_empty());
    assert_eq!(admit(&mut known, &[(2, "gate")]), ["new gate"]);
}

#[test]
fn lines_are_strict_and_later_fields_are_kept() {
    let home = Home::new();
    let good = format!(
        "door x25519 {} added=2026-03-01T12:00:00Z via=manual",
        base64(&key(1))
    );
    home.write(
        "known_cameras",
        format!("# mine\n\n{good} later=x note=a=b\n").as_bytes(),
    );
    let mut known = load(&home);
    admit(&mut known, &[(2, "gate")]);
    let text = fs::read_to_string(home.file("known_cameras")).unwrap();
    assert!(
        text.contains(&format!("{good} later=x note=a=b\n")),
        "{text}"
    );
    for wrong in [
        format!("{good}\r\n"),
        format!("{good} \n"),
        format!("{good} more\n"),
        format!("{good}\t\n"),
        format!("{good} x=\0\n"),
        format!(" {good}\n"),
        format!("{good}\n{good}\n"),
        format!("{good}\n{}\n", good.replace("door", "gate")),
        good.replace("door", "../door") + "\n",
        good.replace("door", ".door") + "\n",
        good.replace("door", &"x".repeat(64)) + "\n",
        good.replace("added", "since") + "\n",
        good.replace("2026-03-01T12:00:00Z", "2026-03-01") + "\n",
        good.replace(" via=manual", "") + "\n",
        good.replace("x25519", "X25519") + "\n",
    ] {
        home.write("known_cameras", wrong.as_bytes());
        let error = KnownCameras::load(home.open(), START).unwrap_err();
        assert!(matches!(error, TrustError::Parse { .. }), "{wrong:?}");
    }
}

#[test]
fn forgetting_takes_a_label_or_a_fingerprint_and_tells_what_there_is() {
    let home = Home::new();
    let mut known = load(&home);
    assert!(
        known
            .forget("door")
            .unwrap_err()
            .to_string()
            .contains("none")
    );
    admit(&mut known, &[(1, "door"), (2, "gate"), (3, "yard")]);
    let error = known.forget("dor").unwrap_err();
    assert_eq!(
        error.to_string(),
        "nothing is known as \"dor\"; known are: door, gate, yard"
    );
    let fingerprint = key(2).fingerprint().to_string();
    assert_eq!(known.forget(&fingerprint).unwrap(), [label("gate")]);
    assert_eq!(known.forget("door").unwrap(), [label("door")]);
    assert_eq!(labels(&known), ["yard"]);
    assert_eq!(labels(&load(&home)), ["yard"]);
}

#[test]
fn a_full_disk_loses_nothing_and_lets_nobody_in_until_there_is_room() {
    let Some(disk) = TinyDisk::mount(64 * 1024) else {
        return;
    };
    let directory = || sdvr_trust::KeyDirectory::open(&disk.path).unwrap();
    let mut known = KnownCameras::load(directory(), START).unwrap();
    let file = disk.path.join("known_cameras");
    assert_eq!(
        admit(&mut known, &[(1, "door"), (2, "gate")]),
        ["new door", "new gate"]
    );
    let before = fs::read(&file).unwrap();
    disk.fill();
    // By a key that was refused for want of room.
    for _ in 0..3 {
        assert_eq!(
            admit(&mut known, &[(1, "door"), (3, "yard")]),
            ["known door", "store failed"]
        );
        let failed = known.admit_all(START, &[(key(3), label("yard"))]);
        let [Admission::Refused(refusal)] = failed.as_slice() else {
            panic!("{failed:?}");
        };
        assert!(
            refusal.to_string().contains("No space left"),
            "{refusal} does not say why"
        );
        assert_eq!(fs::read(&file).unwrap(), before);
    }
    known.forget("door").unwrap_err();
    assert!(known.refresh().unwrap().removed.is_empty());
    assert_eq!(labels(&known), ["door", "gate"]);
    // A key is not made in half, either.
    directory().server_key().unwrap_err();
    assert!(!disk.path.join("server.key").exists());

    disk.make_room();
    assert_eq!(
        admit(&mut known, &[(3, "yard"), (1, "door")]),
        ["new yard", "known door"]
    );
    let again = KnownCameras::load(directory(), START).unwrap();
    assert_eq!(labels(&again), ["door", "gate", "yard"]);
    directory().server_key().unwrap();
    let mut names: Vec<_> = fs::read_dir(&disk.path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, [".lock", "known_cameras", "server.key"]);
}

#[test]
fn ten_thousand_cameras_are_no_burden() {
    let home = Home::new();
    let mut known = load(&home);
    let mut now = START;
    let started = Instant::now();
    for batch in 0..10 {
        let cameras = wanted(batch * 1000..(batch + 1) * 1000);
        let admissions = known.admit_all(now, &cameras);
        assert!(
            admissions
                .iter()
                .all(|admission| matches!(admission, Admission::New { .. }))
        );
        now = now + Duration::from_secs(10);
    }
    let pinned = started.elapsed();
    let started = Instant::now();
    let cameras = wanted(0..10_000);
    for admission in known.admit_all(now, &cameras) {
        assert!(matches!(admission, Admission::Known { .. }));
    }
    let asked = started.elapsed();
    let started = Instant::now();
    let mut again = load(&home);
    let loaded = started.elapsed();
    let started = Instant::now();
    for _ in 0..1000 {
        again.refresh().unwrap();
    }
    let refreshed = started.elapsed();
    assert_eq!(again.list().len(), 10_000);
    let times = format!(
        "pinned {pinned:?}, asked {asked:?}, loaded {loaded:?}, 1000 refreshes {refreshed:?}"
    );
    println!("{times}");
    // Without optimisation, and with room for a machine that is busy: what is quadratic would take minutes.
    assert!(pinned < Duration::from_secs(10), "{times}");
    assert!(
        asked + loaded + refreshed < Duration::from_secs(5),
        "{times}"
    );
}
