//! What could be taken for "nothing is known", or lost without a word, is neither.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sdvr_frame::Timestamp;
use sdvr_trust::{
    Admission, Announced, Announcement, KnownCameras, KnownServers, Refusal, TrustError,
};
use support::{Home, base64, chmod, key, label};

const START: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);
const ADDRESS: &str = "[nvr.lan]:1337";
const DIRECTORY: &str = "SDVR_TEST_DIRECTORY";

fn load(home: &Home) -> KnownCameras {
    KnownCameras::load(home.open(), START).unwrap()
}

fn camera_line(text: &str, number: u32) -> String {
    let key = base64(&key(number));
    format!("{text} x25519 {key} added=2026-03-01T12:00:00Z via=manual\n")
}

fn server_line(address: &str, number: u32) -> String {
    let (key, time) = (base64(&key(number)), "2026-03-01T12:00:00Z");
    format!("{address} x25519 {key} first={time} last={time} ver=2\n")
}

/// One of the ignored tests, in a process of its own.
fn child(test: &str, home: &Home) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(DIRECTORY, &home.path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

fn directory_of_child() -> sdvr_trust::KeyDirectory {
    let path = std::env::var_os(DIRECTORY).unwrap();
    sdvr_trust::KeyDirectory::open(path.as_ref()).unwrap()
}

#[test]
fn a_file_that_a_power_cut_emptied_is_not_an_unknown_server_or_camera() {
    let home = Home::new();
    home.write("known_servers", b"");
    let directory = home.open();
    let servers = KnownServers::new(&directory);
    let decided = servers.decide(ADDRESS, &key(1), 2, None);
    assert!(
        matches!(decided, Err(TrustError::Parse { line: 1, .. })),
        "{decided:?}"
    );
    servers.remember(ADDRESS, &key(1), 2).unwrap_err();
    for name in ["known_cameras", "revoked"] {
        let home = Home::new();
        let mut known = load(&home);
        known.admit_all(START, &[(key(1), label("door"))]);
        home.write(name, b"");
        known.refresh().unwrap_err();
        assert_eq!(known.list().len(), 1, "{name}");
        let error = KnownCameras::load(home.open(), START).unwrap_err();
        assert!(matches!(error, TrustError::Parse { .. }), "{error}");
    }
}

#[test]
fn when_the_last_is_forgotten_the_file_says_so() {
    let home = Home::new();
    let mut known = load(&home);
    known.admit_all(START, &[(key(1), label("door"))]);
    known.forget("door").unwrap();
    assert_ne!(fs::read(home.file("known_cameras")).unwrap(), b"");
    assert!(load(&home).list().is_empty());

    let directory = home.open();
    let servers = KnownServers::new(&directory);
    servers.remember(ADDRESS, &key(1), 2).unwrap();
    assert!(servers.forget(ADDRESS).unwrap());
    assert_ne!(fs::read(home.file("known_servers")).unwrap(), b"");
    assert!(servers.list().unwrap().is_empty());
}

#[test]
fn a_spelling_that_would_never_be_found_is_an_error_and_not_a_stranger() {
    for address in [
        "[NVR.lan]:1337",
        "[nvr.lan]:01337",
        "[nvr.lan]:0",
        "[nvr lan]:1",
        "[nvr/lan]:1",
        "eth:AA:bb:cc:dd:ee:ff",
        "eth:aa:bb:cc:dd:ee",
    ] {
        let home = Home::new();
        home.write("known_servers", server_line(address, 1).as_bytes());
        let directory = home.open();
        let listed = KnownServers::new(&directory).list();
        assert!(
            matches!(listed, Err(TrustError::Parse { line: 1, .. })),
            "{address}"
        );
    }
}

#[test]
fn a_server_on_raw_ethernet_is_remembered_by_its_hardware_address() {
    let home = Home::new();
    let directory = home.open();
    let servers = KnownServers::new(&directory);
    let address = "eth:02:00:00:00:00:fe";
    servers.remember(address, &key(1), 2).unwrap();
    assert_eq!(servers.pin(address).unwrap(), Some(key(1)));
}

#[test]
fn what_decides_later_is_checked_now() {
    for fields in [" next=AAAA", " ver=3", " first=2026-03-01T12:00:00Z"] {
        let home = Home::new();
        let line = server_line(ADDRESS, 1).replace('\n', &format!("{fields}\n"));
        home.write("known_servers", line.as_bytes());
        let directory = home.open();
        assert!(KnownServers::new(&directory).list().is_err(), "{fields}");
    }
    for wrong in ["via=", "via=\u{9b}2J", "via=closed"] {
        let home = Home::new();
        let line = camera_line("door", 1).replace("via=manual", wrong);
        home.write("known_cameras", line.as_bytes());
        assert!(KnownCameras::load(home.open(), START).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_revoked_server_is_refused_and_a_damaged_list_refuses_everybody() {
    let home = Home::new();
    let directory = home.open();
    let servers = KnownServers::new(&directory);
    servers.remember(ADDRESS, &key(1), 2).unwrap();
    let revoked = format!("x25519 {} 2026-03-01T12:00:00Z sold\n", base64(&key(1)));
    home.write("revoked", revoked.as_bytes());
    let given = Some(key(1).fingerprint());
    for given in [None, given] {
        let error = servers.decide(ADDRESS, &key(1), 2, given).unwrap_err();
        assert!(error.to_string().contains("(sold)"), "{error}");
    }
    servers.decide("[b]:1", &key(2), 2, None).unwrap();
    home.write("revoked", b"x25519 torn");
    servers.decide("[b]:1", &key(2), 2, None).unwrap_err();
}

#[test]
fn remarks_stay_where_the_user_wrote_them() {
    let home = Home::new();
    let (door, gate) = (camera_line("door", 1), camera_line("gate", 2));
    home.write(
        "known_cameras",
        format!("# front\n{door}\n# back\n{gate}").as_bytes(),
    );
    let mut known = load(&home);
    known.admit_all(START, &[(key(3), label("yard"))]);
    known.forget("yard").unwrap();
    known.forget("door").unwrap();
    assert_eq!(
        fs::read_to_string(home.file("known_cameras")).unwrap(),
        format!("# front\n\n# back\n{gate}")
    );

    let (one, two) = (server_line(ADDRESS, 1), server_line("[b]:1", 2));
    home.write("known_servers", format!("# mine\n{one}{two}").as_bytes());
    let directory = home.open();
    let servers = KnownServers::new(&directory);
    // Months old, so it is noted that it was seen again.
    servers.remember("[b]:1", &key(2), 2).unwrap();
    let text = fs::read_to_string(home.file("known_servers")).unwrap();
    assert!(text.starts_with(&format!("# mine\n{one}[b]:1 ")), "{text}");
    assert!(!text.contains(&two), "{text}");
}

#[test]
fn a_camera_that_was_given_another_label_starts_again_under_it() {
    let home = Home::new();
    let mut daemon = load(&home);
    daemon.admit_all(START, &[(key(1), label("door")), (key(2), label("gate"))]);
    let text = fs::read_to_string(home.file("known_cameras")).unwrap();
    home.write("known_cameras", text.replace("door ", "back ").as_bytes());
    let removed = daemon.refresh().unwrap().removed;
    let removed: Vec<_> = removed.into_iter().map(|it| (it.key, it.label)).collect();
    assert_eq!(removed, [(key(1), label("door"))]);
    let admissions = daemon.admit_all(START, &[(key(1), label("door"))]);
    assert!(
        matches!(&admissions[..], [Admission::Known { label }] if label.as_str() == "back"),
        "{admissions:?}"
    );
}

#[test]
fn a_damaged_file_is_complained_of_once_until_it_changes() {
    let home = Home::new();
    let mut daemon = load(&home);
    daemon.admit_all(START, &[(key(1), label("door"))]);
    let good = fs::read(home.file("known_cameras")).unwrap();
    for wrong in ["one\n", "two lines\n"] {
        home.write("known_cameras", wrong.as_bytes());
        daemon.refresh().unwrap_err();
        for _ in 0..3 {
            assert!(daemon.refresh().unwrap().removed.is_empty());
        }
        let admissions = daemon.admit_all(START, &[(key(1), label("door")), (key(2), label("b"))]);
        assert!(
            matches!(
                &admissions[..],
                [
                    Admission::Known { .. },
                    Admission::Refused(Refusal::StoreFailed { .. })
                ]
            ),
            "{admissions:?}"
        );
    }
    home.write("known_cameras", &good);
    assert!(daemon.refresh().unwrap().removed.is_empty());
}

#[test]
fn a_file_that_may_not_be_used_is_complained_of_once_until_it_changes() {
    let home = Home::new();
    let mut daemon = load(&home);
    daemon.admit_all(START, &[(key(1), label("door"))]);
    let path = home.file("known_cameras");
    let check_said_once = |daemon: &mut KnownCameras, what: &str| {
        let error = daemon.refresh().unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
        for _ in 0..3 {
            assert!(daemon.refresh().unwrap().removed.is_empty(), "{what}");
        }
        assert_eq!(daemon.list().len(), 1);
    };
    for mode in [0o644, 0o640, 0o644] {
        chmod(&path, mode);
        check_said_once(&mut daemon, "chmod 0600");
    }
    let aside = home.file("aside");
    fs::rename(&path, &aside).unwrap();
    std::os::unix::fs::symlink(&aside, &path).unwrap();
    check_said_once(&mut daemon, "links are not followed");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    check_said_once(&mut daemon, "not a plain file");
    fs::remove_dir(&path).unwrap();
    // Longer than any of ours.
    fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    chmod(&path, 0o600);
    check_said_once(&mut daemon, "file too large");
    fs::rename(&aside, &path).unwrap();
    chmod(&path, 0o600);
    assert!(daemon.refresh().unwrap().removed.is_empty());
    daemon.admit_all(START, &[(key(2), label("yard"))]);
    assert_eq!(daemon.list().len(), 2);
}

#[test]
fn a_full_disk_does_not_hide_why_others_are_refused() {
    let home = Home::new();
    let mut known = load(&home);
    known.admit_all(START, &[(key(1), label("door"))]);
    // Nothing can be locked, so nothing can be written.
    chmod(&home.file(".lock"), 0o644);
    let wanted = [
        (key(2), label("door")),
        (key(3), label("gate")),
        (key(1), label("door")),
    ];
    let admissions = known.admit_all(START, &wanted);
    assert!(
        matches!(
            &admissions[..],
            [
                Admission::Refused(Refusal::LabelTaken { .. }),
                Admission::Refused(Refusal::StoreFailed { .. }),
                Admission::Known { .. }
            ]
        ),
        "{admissions:?}"
    );
}

#[test]
fn who_is_known_does_not_wait_for_a_process_that_holds_the_lock_and_others_do_not_wait_long() {
    let home = Home::new();
    let mut known = load(&home);
    let (door, yard) = ((key(1), label("door")), (key(2), label("yard")));
    known.admit_all(START, std::slice::from_ref(&door));
    let (proved, next) = (key(1), key(11));
    let announce = |known: &mut KnownCameras, now| match known
        .announce_all(now, &[Announced { proved, next }])
        .as_slice()
    {
        [Announcement::Recorded { .. }] => "recorded",
        [Announcement::StoreFailed { .. }] => "store failed",
        other => panic!("{other:?}"),
    };
    let decide = |known: &mut KnownCameras, now| {
        let admissions = known.admit_all(now, &[yard.clone(), door.clone()]);
        match admissions.as_slice() {
            [Admission::New { .. }, Admission::Known { .. }] => "new".to_owned(),
            [
                Admission::Refused(Refusal::StoreFailed { problem }),
                Admission::Known { .. },
            ] => problem.clone(),
            other => panic!("{other:?}"),
        }
    };

    let lock = fs::File::open(home.file(".lock")).unwrap();
    lock.lock().unwrap();
    // Nothing is asked of the lock for one that is known: a moment later it is free for who needs it.
    let needs_write = |known: &KnownCameras, it: &(_, _)| known.needs_write(&it.clone().into());
    assert!(needs_write(&known, &yard) && !needs_write(&known, &door));
    known.admit_all(START, std::slice::from_ref(&door));
    lock.unlock().unwrap();
    assert_eq!(announce(&mut known, START), "recorded");

    lock.lock().unwrap();
    let begin = Instant::now();
    let problem = decide(&mut known, START);
    assert!(problem.contains("fuser"), "{problem}");
    // Ten seconds is what a command waits.
    assert!(begin.elapsed() < Duration::from_secs(5));
    // Let go of, it is asked for again after a second, and not for each camera that comes.
    lock.unlock().unwrap();
    assert_eq!(decide(&mut known, START), problem);
    let (proved, next) = (key(1), key(12));
    let announced = known.announce_all(START, &[Announced { proved, next }]);
    assert!(matches!(
        announced.as_slice(),
        [Announcement::StoreFailed { .. }]
    ));
    assert_eq!(decide(&mut known, START + Duration::from_secs(1)), "new");
}

#[test]
fn cameras_that_could_not_be_remembered_use_up_nothing_of_the_rate() {
    let home = Home::new();
    let mut known = load(&home);
    let wanted: Vec<_> = (0..1024)
        .map(|number| (key(number), label(&format!("cam{number}"))))
        .collect();
    let new = |admissions: &[Admission]| {
        let is_new = |admission: &&Admission| matches!(admission, Admission::New { .. });
        admissions.iter().filter(is_new).count()
    };
    // A directory in the place of the unfinished file: it can be neither removed nor made.
    let obstacle = home.file(".known_cameras.new");
    fs::create_dir(&obstacle).unwrap();
    assert_eq!(new(&known.admit_all(START, &wanted)), 0);
    fs::remove_dir(&obstacle).unwrap();
    assert_eq!(new(&known.admit_all(START, &wanted)), 1024);
}

#[test]
fn a_label_is_held_against_other_processes_until_its_holder_dies() {
    let home = Home::new();
    home.open().camera_identity(&label("door"), true).unwrap();
    let mut holder = child("hold_a_label", &home).spawn().unwrap();
    wait_for(&mut holder, "held");
    let error = home
        .open()
        .camera_identity(&label("door"), true)
        .unwrap_err();
    assert!(matches!(error, TrustError::KeyInUse { .. }), "{error}");
    // Reading it is not streaming as it.
    assert_eq!(home.open().camera_keys().unwrap().len(), 1);
    holder.kill().unwrap();
    holder.wait().unwrap();
    home.open().camera_identity(&label("door"), true).unwrap();
}

#[test]
#[ignore = "the process that a_label_is_held_against_other_processes_until_its_holder_dies starts"]
fn hold_a_label() {
    let keys = directory_of_child();
    let _identity = keys.camera_identity(&label("door"), true).unwrap();
    println!("\nheld");
    std::thread::sleep(std::time::Duration::from_secs(60));
}

fn wait_for(child: &mut Child, word: &str) {
    let output = BufReader::new(child.stdout.take().unwrap());
    let found = output.lines().any(|line| line.unwrap() == word);
    assert!(found, "the process ended early");
}

#[test]
fn a_write_that_is_cut_short_loses_nothing() {
    let home = Home::new();
    // Files of this process may have one block: the write after it is short, whoever runs the test.
    let test = child("pin_until_refused", &home);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 2; exec \"$@\"", "sh"])
        .arg(test.get_program())
        .args(test.get_args())
        .env(DIRECTORY, &home.path);
    let output = limited.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    let pinned = printed.lines().filter(|line| *line == "pinned").count();
    assert!((4..40).contains(&pinned), "{pinned} is no test: {printed}");
    assert!(printed.contains("File too large"), "{printed}");
    // There is room again.
    let mut known = load(&home);
    assert_eq!(known.list().len(), pinned);
    let admissions = known.admit_all(START, &[(key(9999), label("after"))]);
    assert!(
        matches!(&admissions[..], [Admission::New { .. }]),
        "{admissions:?}"
    );
}

#[test]
#[ignore = "the process that a_write_that_is_cut_short_loses_nothing starts"]
fn pin_until_refused() {
    let mut known = KnownCameras::load(directory_of_child(), START).unwrap();
    for number in 0..1000 {
        let camera = (key(number), label(&format!("cam{number}")));
        match known.admit_all(START, &[camera]).as_slice() {
            [Admission::New { .. }] => println!("\npinned"),
            refused => {
                println!("\n{refused:?}");
                return;
            }
        }
    }
}
