//! Private keys are read only from files that nobody else could have read or written, and never replaced.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::Barrier;

use sdvr_trust::{KeyDirectory, SecretKey, TrustError};
use support::{Home, chmod, label, mode};

fn public(key: &SecretKey) -> [u8; 32] {
    key.public_key().0
}

#[test]
fn a_new_directory_and_its_files_are_for_their_owner_only() {
    let home = Home::new();
    home.open().server_key().unwrap();
    home.open().camera_identity(&label("cam"), true).unwrap();
    assert_eq!(mode(&home.path), 0o700);
    assert_eq!(mode(&home.file("cameras")), 0o700);
    assert_eq!(mode(&home.file("server.key")), 0o600);
    assert_eq!(mode(&home.file("cameras/cam.key")), 0o600);
    assert_eq!(mode(&home.file(".lock")), 0o600);
}

#[test]
fn a_directory_that_others_may_enter_is_refused_with_the_command_to_type() {
    let home = Home::new();
    for open_to_others in [0o755, 0o750, 0o701, 0o770] {
        chmod(&home.path, open_to_others);
        let error = KeyDirectory::open(&home.path).unwrap_err();
        assert!(
            matches!(error, TrustError::Mode { mode, .. } if mode == open_to_others),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .ends_with(&format!("Type: chmod 0700 {}", home.path.display())),
            "{error}"
        );
    }
    chmod(&home.path, 0o700);
    KeyDirectory::open(&home.path).unwrap();
}

#[test]
fn the_directory_of_the_cameras_is_checked_too() {
    let home = Home::new();
    home.open().camera_identity(&label("cam"), true).unwrap();
    chmod(&home.file("cameras"), 0o755);
    let error = home
        .open()
        .camera_identity(&label("cam"), true)
        .unwrap_err();
    assert!(matches!(error, TrustError::Mode { .. }), "{error}");
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_command_to_type() {
    let home = Home::new();
    let path = home.file("server.key");
    let key = public(&home.open().server_key().unwrap());
    let content = fs::read(&path).unwrap();
    for open_to_others in [0o644, 0o640, 0o604, 0o660] {
        chmod(&path, open_to_others);
        for error in [
            home.open().server_key().unwrap_err(),
            home.open().existing_server_key().unwrap_err(),
        ] {
            assert!(
                error
                    .to_string()
                    .ends_with(&format!("Type: chmod 0600 {}", path.display())),
                "{error}"
            );
        }
    }
    assert_eq!(fs::read(&path).unwrap(), content, "it must not be replaced");
    // The command that was printed helps.
    chmod(&path, 0o600);
    assert_eq!(public(&home.open().server_key().unwrap()), key);
}

#[test]
fn what_belongs_to_somebody_else_is_refused() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give a file away");
        return;
    }
    const NOBODY: u32 = 65_534;
    let give = |path: &Path, user| std::os::unix::fs::chown(path, Some(user), None).unwrap();
    let home = Home::new();
    home.open().server_key().unwrap();
    let directory = home.open();
    let own = rustix::process::geteuid().as_raw();

    give(&home.file("server.key"), NOBODY);
    let error = directory.server_key().unwrap_err();
    assert!(
        matches!(error, TrustError::Owner { owner: NOBODY, .. }),
        "{error}"
    );
    give(&home.file("server.key"), own);

    give(&home.path, NOBODY);
    let error = KeyDirectory::open(&home.path).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with(&format!("Type: chown {own} {}", home.path.display())),
        "{error}"
    );
    give(&home.path, own);
    directory.server_key().unwrap();
}

#[test]
fn links_are_not_followed() {
    let home = Home::new();
    home.open().server_key().unwrap();

    let link = home.file("link");
    symlink(&home.path, &link).unwrap();
    let with_slash = link.join("");
    for path in [&link, &with_slash] {
        let error = KeyDirectory::open(path).unwrap_err();
        assert!(matches!(error, TrustError::NotPlain { .. }), "{error}");
    }

    fs::rename(home.file("server.key"), home.file("elsewhere")).unwrap();
    symlink(home.file("elsewhere"), home.file("server.key")).unwrap();
    let error = home.open().server_key().unwrap_err();
    assert!(matches!(error, TrustError::NotPlain { .. }), "{error}");

    // Nor are those that point to nothing, which would be made by opening.
    fs::remove_file(home.file("elsewhere")).unwrap();
    home.open().server_key().unwrap_err();
    assert!(!home.file("elsewhere").exists());

    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), home.file("cameras")).unwrap();
    let error = home
        .open()
        .camera_identity(&label("cam"), true)
        .unwrap_err();
    assert!(matches!(error, TrustError::NotPlain { .. }), "{error}");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn devices_pipes_and_directories_are_no_key_files() {
    let home = Home::new();
    fs::create_dir(home.file("server.key")).unwrap();
    let error = home.open().server_key().unwrap_err();
    assert!(matches!(error, TrustError::NotPlain { .. }), "{error}");
    fs::remove_dir(home.file("server.key")).unwrap();
    // A pipe that nobody writes to must not make us wait.
    rustix::fs::mknodat(
        rustix::fs::CWD,
        home.file("server.key"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let error = home.open().server_key().unwrap_err();
    assert!(matches!(error, TrustError::NotPlain { .. }), "{error}");
}

#[test]
fn a_key_is_made_once_and_stays() {
    let home = Home::new();
    assert!(home.open().existing_server_key().unwrap().is_none());
    let key = public(&home.open().server_key().unwrap());
    let inode = fs::metadata(home.file("server.key")).unwrap().ino();
    for _ in 0..3 {
        assert_eq!(public(&home.open().server_key().unwrap()), key);
    }
    assert_eq!(
        public(&home.open().existing_server_key().unwrap().unwrap()),
        key
    );
    assert_eq!(fs::metadata(home.file("server.key")).unwrap().ino(), inode);
    assert_ne!(public(&Home::new().open().server_key().unwrap()), key);
}

#[test]
fn a_torn_key_file_is_refused_at_every_length_and_never_replaced() {
    let home = Home::new();
    home.open().server_key().unwrap();
    let path = home.file("server.key");
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let error = home.open().server_key().unwrap_err();
        assert!(
            matches!(error, TrustError::Parse { .. }),
            "{length}: {error}"
        );
        assert_eq!(fs::read(&path).unwrap(), &whole[..length]);
    }
    fs::write(&path, &whole).unwrap();
    home.open().server_key().unwrap();
}

#[test]
fn a_key_file_is_one_text_only() {
    let home = Home::new();
    home.open().server_key().unwrap();
    let path = home.file("server.key");
    let whole = fs::read_to_string(&path).unwrap();
    let wrong = [
        "garbage\n".to_owned(),
        "\0".repeat(100),
        whole.replace('\n', "\r\n"),
        whole.replace("x25519 ", "x25519  "),
        whole.replace("x25519 ", "x25519\t"),
        whole.replace("x25519 ", "ed25519 "),
        whole.replace("private-key 1", "private-key 2"),
        whole.replace("created ", "created  "),
        whole.replace("Z\n", "Z \n"),
        format!("{whole}\n"),
        format!("{whole}more\n"),
        format!("\n{whole}"),
        format!("\u{feff}{whole}"),
        // The same 32 bytes in another spelling would be a second name for one key.
        whole.replace("=\n", "\n"),
        "sdvr-private-key 1\nx25519 AAAA\ncreated 2026-03-01T12:00:00Z\n".to_owned(),
    ];
    for wrong in &wrong {
        fs::write(&path, wrong).unwrap();
        let error = home.open().server_key().unwrap_err();
        assert!(matches!(error, TrustError::Parse { .. }), "{wrong:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), *wrong);
    }
    let mut not_text = whole.clone().into_bytes();
    not_text[30] = 0xff;
    fs::write(&path, not_text).unwrap();
    home.open().server_key().unwrap_err();
}

#[test]
fn those_who_make_a_key_at_once_agree() {
    for _ in 0..20 {
        let home = Home::new();
        let start = Barrier::new(8);
        let keys: Vec<[u8; 32]> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let directory = home.open();
                        start.wait();
                        public(&directory.server_key().unwrap())
                    })
                })
                .collect();
            makers
                .into_iter()
                .map(|maker| maker.join().unwrap())
                .collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
        assert_eq!(public(&home.open().server_key().unwrap()), keys[0]);
    }
}

#[test]
fn what_a_killed_process_left_behind_is_no_obstacle() {
    let home = Home::new();
    home.write(".server.key.new", b"half a k");
    home.open().server_key().unwrap();
    assert!(!home.file(".server.key.new").exists());
}

#[test]
fn a_label_in_use_is_refused_if_it_was_chosen() {
    let home = Home::new();
    let first = home.open().camera_identity(&label("door"), true).unwrap();
    let error = home
        .open()
        .camera_identity(&label("door"), true)
        .unwrap_err();
    assert!(
        matches!(&error, TrustError::KeyInUse { label, .. } if label == "door"),
        "{error}"
    );
    assert!(error.to_string().contains("-n"), "{error}");
    let key = public(&first.key);
    drop(first);
    let again = home.open().camera_identity(&label("door"), true).unwrap();
    assert_eq!(
        public(&again.key),
        key,
        "the label's key is the same for ever"
    );
}

#[test]
fn a_label_in_use_is_numbered_if_it_was_not_chosen() {
    let home = Home::new();
    let identities: Vec<_> = (0..3)
        .map(|_| home.open().camera_identity(&label("door"), false).unwrap())
        .collect();
    let labels: Vec<&str> = identities
        .iter()
        .map(|identity| identity.label.as_str())
        .collect();
    assert_eq!(labels, ["door", "door-2", "door-3"]);
    let mut keys: Vec<_> = identities
        .iter()
        .map(|identity| public(&identity.key))
        .collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 3, "each has its own key");
    // The number is given again when its holder is gone.
    let [_first, second, _third] = <[_; 3]>::try_from(identities).unwrap();
    let second_key = public(&second.key);
    drop(second);
    let again = home.open().camera_identity(&label("door"), false).unwrap();
    assert_eq!(again.label.as_str(), "door-2");
    assert_eq!(public(&again.key), second_key);
}

#[test]
fn a_numbered_label_is_cut_so_that_it_stays_one() {
    let home = Home::new();
    let longest = "x".repeat(63);
    let identities: Vec<_> = (0..10)
        .map(|_| {
            home.open()
                .camera_identity(&label(&longest), false)
                .unwrap()
        })
        .collect();
    assert_eq!(identities[0].label.as_str(), longest);
    assert_eq!(
        identities[1].label.as_str(),
        format!("{}-2", &longest[..61])
    );
    assert_eq!(
        identities[9].label.as_str(),
        format!("{}-10", &longest[..60])
    );
    // What stands before the number stays as it is.
    let _odd = home.open().camera_identity(&label("a__b-"), false).unwrap();
    let second = home.open().camera_identity(&label("a__b-"), false).unwrap();
    assert_eq!(second.label.as_str(), "a__b--2");
}

#[test]
fn the_keys_of_the_cameras_are_listed_and_other_files_left_alone() {
    let home = Home::new();
    assert!(home.open().camera_keys().unwrap().is_empty());
    let b = home.open().camera_identity(&label("b"), true).unwrap();
    let a = home.open().camera_identity(&label("a.key"), true).unwrap();
    home.write("cameras/README", b"my cameras\n");
    fs::create_dir(home.file("cameras/old")).unwrap();
    let keys = home.open().camera_keys().unwrap();
    let keys: Vec<_> = keys
        .iter()
        .map(|camera| (camera.label.as_str(), camera.current))
        .collect();
    assert_eq!(
        keys,
        [("a.key", a.key.public_key()), ("b", b.key.public_key())]
    );
    home.write("cameras/c.key", b"torn");
    home.open().camera_keys().unwrap_err();
}

#[test]
fn secrets_are_not_printed() {
    let home = Home::new();
    let identity = home.open().camera_identity(&label("cam"), true).unwrap();
    let text = fs::read_to_string(home.file("cameras/cam.key")).unwrap();
    let encoded = text
        .lines()
        .nth(1)
        .unwrap()
        .strip_prefix("x25519 ")
        .unwrap()
        .to_owned();
    let bytes = *identity.key.expose();
    for printed in [
        format!("{identity:?}"),
        format!("{identity:#?}"),
        format!("{:?}", identity.key),
    ] {
        assert!(!printed.contains(&encoded), "{printed}");
        assert!(
            !printed.contains(&format!("{:?}", &bytes[..4])),
            "{printed}"
        );
        assert!(
            !printed.contains(&format!("{}, {}", bytes[0], bytes[1])),
            "{printed}"
        );
        assert!(printed.contains("SecretKey"), "{printed}");
    }
    // Nor does an error about the file print its content.
    home.write("cameras/cam.key", text.replace("created", "").as_bytes());
    let error = home.open().camera_keys().unwrap_err();
    assert!(!format!("{error} {error:?}").contains(&encoded));
}

#[test]
fn without_a_home_the_directory_must_be_named() {
    // The variable is read in a child, because changing our own would race with other tests.
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "print_default_path", "--ignored", "--nocapture"])
        .env_remove("HOME")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.contains("HOME is not set"), "{printed}");
}

#[test]
#[ignore = "run by without_a_home_the_directory_must_be_named"]
fn print_default_path() {
    match sdvr_trust::default_path() {
        Ok(path) => println!("{}", path.display()),
        Err(error) => println!("{error}"),
    }
}
