//! Cameras that wait, that are approved and revoked; servers that take no new ones; and what is typed to name them.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use sdvr_frame::{Fingerprint, PublicKey, Timestamp};
use sdvr_trust::{
    Acceptance, Admission, Announced, Forgotten, KnownCameras, KnownServers, Newcomer, Refusal,
    Removal, Revokee, TrustError, approve, forget, pending_cameras, reinstate, revoke,
};
use support::{Home, base64, chmod, key, label};

const START: Timestamp = Timestamp::from_nanoseconds(1_000_000_000);

fn load(home: &Home, acceptance: Acceptance) -> KnownCameras {
    KnownCameras::load(home.open(), START)
        .unwrap()
        .accepting(acceptance)
}

fn newcomer(number: u32, wanted: &str) -> Newcomer {
    Newcomer {
        key: key(number),
        label: label(wanted),
        from: "192.0.2.7".parse().unwrap(),
    }
}

/// What becomes of one camera.
fn admit(known: &mut KnownCameras, number: u32, wanted: &str) -> &'static str {
    match known
        .admit_all(START, &[newcomer(number, wanted)])
        .as_slice()
    {
        [Admission::Known { .. }] => "known",
        [Admission::New { .. }] => "new",
        [Admission::Refused(refusal)] => match refusal {
            Refusal::LabelTaken { .. } => "taken",
            Refusal::Revoked { .. } => "revoked",
            Refusal::Pending { is_new: true, .. } => "waits from now on",
            Refusal::Pending { is_new: false, .. } => "waits",
            Refusal::Closed { .. } => "closed",
            Refusal::StoreFailed { .. } => "store failed",
            Refusal::TooManyNewKeys => "too many",
            Refusal::TooManyPending { .. } => "too many wait",
            Refusal::KeyReplaced { .. } => "key replaced",
            Refusal::NotNoted { .. } => "not noted",
            Refusal::NotedTooFast { .. } => "noted too fast",
        },
        other => panic!("{other:?}"),
    }
}

fn text(key: PublicKey) -> String {
    key.fingerprint().to_string()
}

fn waiting(home: &Home) -> Vec<Fingerprint> {
    let pending = pending_cameras(&home.open()).unwrap();
    pending
        .iter()
        .map(|camera| camera.key.fingerprint())
        .collect()
}

#[test]
fn a_new_key_waits_on_disk_until_it_is_approved() {
    let home = Home::new();
    let mut known = load(&home, Acceptance::Ask);
    assert_eq!(admit(&mut known, 1, "door"), "waits from now on");
    let file = fs::read_to_string(home.file("pending")).unwrap();
    let start = format!("x25519 {} first=", base64(&key(1)));
    assert!(
        file.starts_with(&start) && file.ends_with(" from=192.0.2.7 wants=door\n"),
        "{file}"
    );
    // To wait on costs nothing, and survives a restart.
    let number = fs::metadata(home.file("pending")).unwrap().ino();
    assert_eq!(admit(&mut known, 1, "door"), "waits");
    assert_eq!(admit(&mut load(&home, Acceptance::Ask), 1, "door"), "waits");
    assert_eq!(fs::metadata(home.file("pending")).unwrap().ino(), number);

    let camera = approve(&home.open(), &text(key(1)), None).unwrap();
    assert_eq!((camera.label.as_str(), camera.via()), ("door", "ask"));
    known.refresh().unwrap();
    assert_eq!(admit(&mut known, 1, "door"), "known");
    let file = fs::read_to_string(home.file("pending")).unwrap();
    assert!(!file.contains("x25519"), "{file}");
}

#[test]
fn a_camera_whose_label_is_taken_can_be_approved_under_another_one() {
    for acceptance in [Acceptance::Tofu, Acceptance::Ask] {
        let home = Home::new();
        assert_eq!(admit(&mut load(&home, Acceptance::Tofu), 1, "door"), "new");
        let mut known = load(&home, acceptance);
        assert_eq!(admit(&mut known, 2, "door"), "taken");
        assert_eq!(waiting(&home), [key(2).fingerprint()]);
        let error = approve(&home.open(), &text(key(2)), None)
            .unwrap_err()
            .to_string();
        for part in [
            &text(key(1)),
            &text(key(2)),
            "--as OTHER",
            "sdvr keys forget door",
        ] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(waiting(&home), [key(2).fingerprint()]);
        approve(&home.open(), &text(key(2)), Some(label("yard"))).unwrap();
        known.refresh().unwrap();
        // It still asks for what it was told to ask for.
        let admitted = known.admit_all(START, &[newcomer(2, "door")]);
        assert!(
            matches!(admitted.as_slice(), [Admission::Known { label }] if label.as_str() == "yard")
        );
        assert_eq!(admit(&mut known, 1, "door"), "known");
    }
}

#[test]
fn a_closed_server_takes_nobody_new_and_notes_nobody() {
    let home = Home::new();
    assert_eq!(admit(&mut load(&home, Acceptance::Tofu), 1, "door"), "new");
    let mut known = load(&home, Acceptance::Closed);
    assert!(known.refuses_unheard(&key(2)) && !known.refuses_unheard(&key(1)));
    assert_eq!(admit(&mut known, 2, "yard"), "closed");
    assert_eq!(admit(&mut known, 2, "door"), "closed");
    assert_eq!(admit(&mut known, 1, "door"), "known");
    assert!(!home.file("pending").exists());
    // A revoked one is told why.
    revoke(&home.open(), "door", Some("stolen")).unwrap();
    known.refresh().unwrap();
    assert!(!known.refuses_unheard(&key(1)));
    assert!(!load(&home, Acceptance::Ask).refuses_unheard(&key(2)));
}

#[test]
fn at_most_256_wait_and_room_can_be_made() {
    let home = Home::new();
    let mut known = load(&home, Acceptance::Ask);
    let many: Vec<Newcomer> = (0..300)
        .map(|number| newcomer(number, &format!("cam{number}")))
        .collect();
    let admissions = known.admit_all(START, &many);
    let waits = admissions.iter().filter(|it| {
        matches!(
            it,
            Admission::Refused(Refusal::Pending { is_new: true, .. })
        )
    });
    assert_eq!(waits.count(), 256);
    assert_eq!(waiting(&home).len(), 256);
    assert_eq!(admit(&mut known, 299, "cam299"), "too many wait");
    let forgotten = forget(&home.open(), &text(key(7))).unwrap();
    assert!(matches!(forgotten, Forgotten::Pending { .. }));
    known.refresh().unwrap();
    // Strangers that come and are forgotten must not wear the disk out.
    let later = START + Duration::from_secs(1);
    let admitted = known.admit_all(later, &[newcomer(299, "cam299")]);
    assert!(
        matches!(
            admitted.as_slice(),
            [Admission::Refused(Refusal::Pending { is_new: true, .. })]
        ),
        "{admitted:?}"
    );
    assert_eq!(admit(&mut known, 0, "cam0"), "waits");
}

#[test]
fn a_key_that_stands_in_both_files_is_known() {
    // As when a process is killed between the two.
    let home = Home::new();
    let mut known = load(&home, Acceptance::Ask);
    admit(&mut known, 1, "door");
    let pending = fs::read(home.file("pending")).unwrap();
    approve(&home.open(), &text(key(1)), None).unwrap();
    home.write("pending", &pending);
    known.refresh().unwrap();
    assert_eq!(admit(&mut known, 1, "door"), "known");
    assert!(waiting(&home).is_empty());
    let again = approve(&home.open(), &text(key(1)), None);
    assert!(matches!(again, Err(TrustError::AlreadyKnown { .. })));
    // The next that is written puts it right.
    admit(&mut known, 2, "yard");
    let pending = fs::read_to_string(home.file("pending")).unwrap();
    assert!(!pending.contains(&base64(&key(1))), "{pending}");
}

#[test]
fn a_revoked_key_is_refused_on_either_side_and_never_approved() {
    let home = Home::new();
    let mut known = load(&home, Acceptance::Tofu);
    admit(&mut known, 1, "door");
    admit(&mut known, 2, "door");
    KnownServers::new(&home.open())
        .remember("[nvr.lan]:1337", &key(9), 2)
        .unwrap();

    let camera = revoke(&home.open(), "door", Some("stolen\nin May")).unwrap();
    assert_eq!(camera.whose, Revokee::Camera(label("door")));
    let changes = known.refresh().unwrap();
    let reason = "stolen in May".to_owned();
    assert_eq!(changes.removed[0].why, Removal::Revoked { reason });
    assert_eq!(admit(&mut known, 1, "door"), "revoked");
    assert!(revoke(&home.open(), "door", None).unwrap().was_already);
    // Its label stays its own until it is forgotten, and it stays out then.
    assert_eq!(admit(&mut known, 3, "door"), "taken");
    forget(&home.open(), "door").unwrap();
    known.refresh().unwrap();
    assert_eq!(admit(&mut known, 1, "door"), "revoked");
    assert_eq!(admit(&mut known, 3, "door"), "new");

    revoke(&home.open(), &text(key(2)), None).unwrap();
    assert!(waiting(&home).is_empty());
    known.refresh().unwrap();
    assert_eq!(admit(&mut known, 2, "yard"), "revoked");

    revoke(&home.open(), &text(key(9)), None).unwrap();
    let directory = home.open();
    let decision = KnownServers::new(&directory).decide("[nvr.lan]:1337", &key(9), 2, None);
    assert!(matches!(decision, Err(TrustError::Revoked { .. })));
}

/// Two numbers whose keys' fingerprints begin with the same four characters.
fn namesakes() -> (u32, u32, String) {
    let mut seen = std::collections::HashMap::new();
    for number in 0..100_000 {
        let beginning = text(key(number))["SHA256:".len()..][..4].to_owned();
        if let Some(other) = seen.insert(beginning.clone(), number) {
            return (other, number, beginning);
        }
    }
    panic!("that cannot be");
}

#[test]
fn the_beginning_of_a_fingerprint_is_enough_unless_it_fits_two() {
    let (first, second, beginning) = namesakes();
    let home = Home::new();
    let mut known = load(&home, Acceptance::Tofu);
    admit(&mut known, first, "door");
    let longer = &text(key(first))[.."SHA256:".len() + 12];
    admit(&mut known, second, "gate");
    for error in [
        forget(&home.open(), &beginning).unwrap_err(),
        revoke(&home.open(), &beginning, None).unwrap_err(),
    ] {
        let error_text = error.to_string();
        assert!(
            matches!(error, TrustError::Ambiguous { .. })
                && error_text.contains(&text(key(first)))
                && error_text.contains(&text(key(second))),
            "{error_text}"
        );
    }
    assert!(!home.file("revoked").exists());
    assert_eq!(load(&home, Acceptance::Tofu).list().len(), 2);
    let revoked = revoke(&home.open(), longer, None).unwrap();
    assert_eq!(revoked.keys, [key(first)]);
    forget(&home.open(), longer).unwrap();
    assert_eq!(load(&home, Acceptance::Tofu).list().len(), 1);
}

#[test]
fn what_is_typed_wrongly_is_answered_with_what_waits() {
    let home = Home::new();
    let mut known = load(&home, Acceptance::Ask);
    admit(&mut known, 1, "door");
    let short = &text(key(1))[.."SHA256:".len() + 7];
    for wanted in ["door", "", "SHA256:", short, &text(key(2))] {
        let error = approve(&home.open(), wanted, None).unwrap_err();
        assert!(
            matches!(error, TrustError::NotPending { .. })
                && error
                    .to_string()
                    .ends_with(&format!("waiting are: {} (door)", text(key(1)))),
            "{error}"
        );
    }
    let longer = &text(key(1))[.."SHA256:".len() + 8];
    approve(&home.open(), longer, None).unwrap();
}

#[test]
fn a_damaged_file_of_those_that_wait_lets_nobody_start_and_loses_nobody() {
    let home = Home::new();
    let mut known = load(&home, Acceptance::Ask);
    admit(&mut known, 1, "door");
    let whole = fs::read_to_string(home.file("pending")).unwrap();
    let (start, _) = whole.split_once(" wants").unwrap();
    for wrong in [
        String::new(),
        start.to_owned(),
        format!("{start}\n"),
        format!("{whole}{whole}"),
        whole.replace("192.0.2.7", "192.0.2.07"),
        whole.replace("wants=door", "wants=../door"),
        whole.replace("wants=door", "wants=door extra"),
        whole.replace("x25519", "rsa"),
        whole.replace("first=2", "first=3x"),
    ] {
        home.write("pending", wrong.as_bytes());
        let error = KnownCameras::load(home.open(), START)
            .unwrap_err()
            .to_string();
        assert!(error.contains("pending:"), "{error}");
        assert!(approve(&home.open(), &text(key(1)), None).is_err());
        assert!(forget(&home.open(), "door").is_err());
        assert_eq!(fs::read_to_string(home.file("pending")).unwrap(), wrong);
        // A daemon that runs goes on with what it knew.
        assert!(known.refresh().is_err());
        assert_eq!(admit(&mut known, 1, "door"), "waits");
        assert_eq!(admit(&mut known, 2, "yard"), "not noted");
        home.write("pending", whole.as_bytes());
        known.refresh().unwrap();
    }
}

#[test]
fn a_file_that_others_can_read_or_that_is_a_link_is_refused_with_the_remedy_by_everybody() {
    for name in ["known_cameras", "pending", "revoked"] {
        let home = Home::new();
        let mut known = load(&home, Acceptance::Ask);
        admit(&mut known, 1, "door");
        admit(&mut known, 2, "yard");
        approve(&home.open(), &text(key(1)), None).unwrap();
        revoke(&home.open(), "door", None).unwrap();
        known.refresh().unwrap();
        let path = home.file(name);
        let whole = fs::read(&path).unwrap();

        chmod(&path, 0o644);
        let check_refused = |remedy: &str| {
            let refusals = [
                KnownCameras::load(home.open(), START).unwrap_err(),
                approve(&home.open(), &text(key(2)), None).unwrap_err(),
            ];
            for error in refusals {
                assert!(error.to_string().contains(remedy), "{name}: {error}");
            }
        };
        check_refused(&format!("chmod 0600 {}", path.display()));
        // A daemon that runs knows what it knew.
        assert!(known.refresh().is_err());
        assert_eq!(admit(&mut known, 1, "door"), "revoked");
        assert_eq!(admit(&mut known, 2, "yard"), "waits");
        assert_eq!(admit(&mut known, 3, "gate"), "not noted");
        chmod(&path, 0o600);
        assert_eq!(fs::read(&path).unwrap(), whole);
        known.refresh().unwrap();

        fs::rename(&path, home.file("elsewhere")).unwrap();
        std::os::unix::fs::symlink(home.file("elsewhere"), &path).unwrap();
        check_refused("links are not followed");
        assert_eq!(fs::read(home.file("elsewhere")).unwrap(), whole);
    }
}

#[test]
fn a_revocation_is_taken_back_for_all_keys_of_the_camera_and_for_no_other() {
    let home = Home::new();
    let mut known = load(&home, Acceptance::Tofu);
    for (number, wants) in [(1, "door"), (2, "yard"), (3, "gate")] {
        admit(&mut known, number, wants);
    }
    // It has another key, too.
    let (proved, next) = (key(1), key(11));
    known.announce_all(START, &[Announced { proved, next }]);
    for label in ["door", "yard", "gate"] {
        revoke(&home.open(), label, None).unwrap();
    }
    forget(&home.open(), "gate").unwrap();
    known.refresh().unwrap();
    let keys = home.open();
    let before = fs::read(home.file("revoked")).unwrap();
    // What names no revoked key, too little of one, or would give it another label.
    for wanted in [
        text(key(9)),
        "gate".to_owned(),
        text(key(1))[..14].to_owned(),
    ] {
        assert_eq!(reinstate(&keys, &wanted, None).unwrap(), None, "{wanted}");
    }
    let other = reinstate(&keys, &text(key(1)), Some(&label("other"))).unwrap_err();
    assert!(matches!(other, TrustError::AlreadyKnown { .. }), "{other}");
    assert_eq!(fs::read(home.file("revoked")).unwrap(), before);

    let back = reinstate(&keys, &text(key(1)), None).unwrap().unwrap();
    let both = vec![key(1), key(11)];
    assert_eq!((back.label, back.keys), (Some(label("door")), both));
    assert_eq!(reinstate(&keys, &text(key(1)), None).unwrap(), None);
    // Forgotten: it comes as a new one.
    let back = reinstate(&keys, &text(key(3)), None).unwrap().unwrap();
    assert_eq!((back.label, back.keys), (None, vec![key(3)]));
    known.refresh().unwrap();
    assert_eq!(admit(&mut known, 1, "door"), "known");
    assert_eq!(admit(&mut known, 11, "door"), "known");
    assert_eq!(admit(&mut known, 2, "yard"), "revoked");
    assert_eq!(admit(&mut known, 3, "gate"), "new");
}

#[test]
fn a_revoked_key_that_no_camera_has_is_approved_under_the_label_it_is_given() {
    for acceptance in [Acceptance::Tofu, Acceptance::Ask, Acceptance::Closed] {
        let home = Home::new();
        let mut known = load(&home, Acceptance::Tofu);
        for (number, wants) in [(1, "door"), (2, "yard"), (3, "gate")] {
            admit(&mut known, number, wants);
        }
        let mut known = load(&home, acceptance);
        for label in ["door", "gate"] {
            revoke(&home.open(), label, None).unwrap();
            forget(&home.open(), label).unwrap();
        }
        known.refresh().unwrap();
        let keys = home.open();
        let before = fs::read(home.file("revoked")).unwrap();
        let taken = reinstate(&keys, &text(key(1)), Some(&label("yard"))).unwrap_err();
        assert!(matches!(taken, TrustError::LabelTaken { .. }), "{taken}");
        assert_eq!(fs::read(home.file("revoked")).unwrap(), before);

        let back = reinstate(&keys, &text(key(1)), Some(&label("hall"))).unwrap();
        let back = back.unwrap();
        assert_eq!((back.label, back.keys), (Some(label("hall")), vec![key(1)]));
        known.refresh().unwrap();
        assert_eq!(admit(&mut known, 1, "door"), "known");
        assert_eq!(admit(&mut known, 3, "gate"), "revoked");
        let hall = known.list().iter().find(|it| it.key == key(1)).unwrap();
        assert_eq!((hall.label.as_str(), hall.via()), ("hall", "ask"));
    }
}

#[test]
fn a_revoked_key_that_waits_is_approved_under_the_label_it_asks_for() {
    let home = Home::new();
    admit(&mut load(&home, Acceptance::Ask), 1, "door");
    let line = fs::read(home.file("pending")).unwrap();
    revoke(&home.open(), &text(key(1)), None).unwrap();
    // The second of the two files could not be written then.
    home.write("pending", &line);
    let refused = approve(&home.open(), &text(key(1)), None).unwrap_err();
    assert!(matches!(refused, TrustError::CameraRevoked { .. }));
    let back = reinstate(&home.open(), &text(key(1)), None).unwrap();
    assert_eq!(back.unwrap().label, Some(label("door")));
    let mut known = load(&home, Acceptance::Ask);
    assert_eq!(admit(&mut known, 1, "door"), "known");
    let file = fs::read_to_string(home.file("pending")).unwrap();
    assert!(!file.contains("x25519"), "{file}");
}

#[test]
fn who_approves_a_revoked_camera_by_its_label_hears_how_it_is_done() {
    let home = Home::new();
    admit(&mut load(&home, Acceptance::Tofu), 1, "door");
    revoke(&home.open(), "door", Some("stolen in May")).unwrap();
    let error = approve(&home.open(), "door", None).unwrap_err().to_string();
    let command = format!("sdvr keys approve {}", text(key(1)));
    assert!(
        error.contains(&command) && error.contains("stolen in May"),
        "{error}"
    );
}
