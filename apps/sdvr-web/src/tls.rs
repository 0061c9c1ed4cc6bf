//! The certificate by which browsers know this server: made at the first start, and the same ever after.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sdvr_trust::KeyDirectory;
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

/// The folder beside the keys of daemons and cameras, and the file of key and certificate in it: one, so that they fit each other.
const FOLDER: &str = "web";
const FILE: &str = "certificate.pem";
/// Browsers refuse certificates that are good for longer than 825 days.
const GOOD_FOR: Duration = Duration::from_secs(800 * DAY_S);
/// One that is not good for as long any more is made anew.
const GOOD_FOR_LEAST: Duration = Duration::from_secs(30 * DAY_S);
/// Clocks of other hosts may be behind.
const GOOD_BEFORE: Duration = Duration::from_secs(DAY_S);
const DAY_S: u64 = 24 * 3600;
/// More is no certificate of ours.
const FILE_BYTES_MOST: u64 = 64 << 10;
/// The line before the certificate that says until when it is good: seconds since 1970.
const UNTIL: &str = "good until ";

/// What is needed to speak TLS.
pub(crate) struct Identity {
    pub(crate) acceptor: TlsAcceptor,
    /// Of the certificate, as browsers show it.
    pub(crate) fingerprint: String,
}

impl Identity {
    /// Reads the certificate below `keys`, or makes it.
    pub(crate) fn load_or_create(keys: &Path, listen: SocketAddr) -> anyhow::Result<Self> {
        KeyDirectory::open(keys)?;
        let folder = keys.join(FOLDER);
        KeyDirectory::open(&folder)?;
        let path = folder.join(FILE);
        let now = SystemTime::now();
        let damaged = || {
            format!(
                "{} is damaged; remove it, and another one is made",
                path.display()
            )
        };
        let before = read(&path)?;
        if let Some(content) = &before {
            // Also before it is replaced: browsers were told to trust what is in it, and what is not understood may be something else.
            Self::of(content).with_context(damaged)?;
        }
        let content = match before {
            Some(content) if is_good(&content, now).with_context(damaged)? => content,
            before => {
                let made = make(listen, now).context("cannot make a certificate")?;
                let failed = || format!("cannot write {}", path.display());
                keep(&folder, &path, &made, before.is_some()).with_context(failed)?;
                // Another one may have been faster.
                read(&path)?.unwrap_or(made)
            }
        };
        Self::of(&content).with_context(damaged)
    }

    fn of(content: &str) -> anyhow::Result<Self> {
        let certificate = CertificateDer::from_pem_slice(content.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(content.as_bytes())?;
        let fingerprint = Sha256::digest(&certificate)
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect::<Vec<_>>()
            .join(":");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            fingerprint,
        })
    }
}

/// The file's content; `None` if it is not there.
fn read(path: &Path) -> anyhow::Result<Option<String>> {
    let failed = || format!("cannot read {}", path.display());
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.with_context(failed)?,
    };
    let mode = file.metadata().with_context(failed)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        bail!(
            "others may read {} (mode {mode:o}), and the server's key is in it: remove it, and another one is made",
            path.display()
        );
    }
    let mut content = Vec::new();
    file.take(FILE_BYTES_MOST)
        .read_to_end(&mut content)
        .with_context(failed)?;
    // What is no text is no certificate either, and is told as such.
    Ok(Some(String::from_utf8_lossy(&content).into_owned()))
}

/// Writes the file, whole or not at all.
fn keep(folder: &Path, path: &Path, content: &str, replaces: bool) -> io::Result<()> {
    // Nobody else can read it from the first byte on.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content.as_bytes())?;
    file.as_file().sync_all()?;
    let kept = if replaces {
        file.persist(path)
    } else {
        file.persist_noclobber(path)
    };
    match kept {
        Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(failed) => Err(failed.error),
        Ok(_) => File::open(folder)?.sync_all(),
    }
}

fn is_good(content: &str, now: SystemTime) -> anyhow::Result<bool> {
    let until = content.lines().find_map(|line| line.strip_prefix(UNTIL));
    let until = until.and_then(|until| until.parse().ok());
    let until =
        until.and_then(|until| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(until)));
    let until = until.context("it does not say until when it is good")?;
    Ok(now + GOOD_FOR_LEAST < until)
}

fn make(listen: SocketAddr, now: SystemTime) -> anyhow::Result<String> {
    let key = KeyPair::generate()?;
    let mut wanted = CertificateParams::new(names(listen))?;
    let host = host_name().unwrap_or_else(|| "this host".to_owned());
    wanted
        .distinguished_name
        .push(DnType::CommonName, format!("sdvr web on {host}"));
    // Boards without a clock of their own begin in 1970.
    let from = now.checked_sub(GOOD_BEFORE).unwrap_or(now);
    let (year, month, day) = date(from.max(SystemTime::UNIX_EPOCH))?;
    wanted.not_before = rcgen::date_time_ymd(year, month, day);
    let (year, month, day) = date(now + GOOD_FOR)?;
    wanted.not_after = rcgen::date_time_ymd(year, month, day);
    wanted.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = wanted.self_signed(&key)?;
    let until = (now + GOOD_FOR).duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(format!(
        "The key and the certificate of `sdvr web`. Keep it to yourself.\n{UNTIL}{}\n{}{}",
        until.as_secs(),
        key.serialize_pem(),
        certificate.pem()
    ))
}

/// The year, month and day of a time, which is not before 1970.
fn date(time: SystemTime) -> anyhow::Result<(i32, u8, u8)> {
    let text = humantime::format_rfc3339_seconds(time).to_string();
    let parts: Vec<&str> = text.split(['-', 'T']).collect();
    let [year, month, day, ..] = parts.as_slice() else {
        bail!("the clock is wrong: {text}");
    };
    Ok((year.parse()?, month.parse()?, day.parse()?))
}

/// By which names browsers may know this host. Others work as well, with another warning.
fn names(listen: SocketAddr) -> Vec<String> {
    let host = host_name();
    let mut names = vec!["localhost".to_owned()];
    names.extend(host.iter().cloned());
    names.extend(host.iter().map(|host| format!("{host}.local")));
    names.extend(reached_at(listen.ip()).map(|ip| ip.to_string()));
    names.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
    names
}

/// The name of this host, if it can stand in an address.
pub(crate) fn host_name() -> Option<String> {
    let name = rustix::system::uname();
    let name = name.nodename().to_str().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.".contains(&byte);
    (!name.is_empty() && name.bytes().all(is_plain)).then(|| name.to_owned())
}

/// The address by which others reach a server that listens on `ip`, as far as this host can tell.
pub(crate) fn reached_at(ip: IpAddr) -> Option<IpAddr> {
    if !ip.is_unspecified() {
        return Some(ip);
    }
    // Of the networks' own examples: nothing is sent, only the way there is looked up.
    let (from, to) = match ip {
        IpAddr::V4(_) => ("0.0.0.0:0", "192.0.2.1:9"),
        IpAddr::V6(_) => ("[::]:0", "[2001:db8::1]:9"),
    };
    let socket = UdpSocket::bind(from).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn load(keys: &Path) -> anyhow::Result<String> {
        let listen = "0.0.0.0:0".parse().expect("it is an address");
        Ok(Identity::load_or_create(keys, listen)?.fingerprint)
    }

    #[test]
    fn the_certificate_is_made_once_and_only_its_owner_can_read_it() {
        let home = tempfile::tempdir().expect("there is room");
        let keys = home.path().join("keys");
        let first = load(&keys).expect("it is made");
        assert_eq!(first.len(), 32 * 3 - 1);
        assert_eq!(load(&keys).expect("it is read"), first);
        let path = keys.join("web/certificate.pem");
        let mode = |path: &Path| {
            let is = std::fs::metadata(path).expect("it is there");
            is.permissions().mode() & 0o777
        };
        assert_eq!(
            (mode(&path), mode(&keys.join("web"))),
            (0o600, 0o700),
            "a file and its folder"
        );
    }

    #[test]
    fn one_that_is_soon_not_good_any_more_is_replaced() {
        let home = tempfile::tempdir().expect("there is room");
        let keys = home.path().join("keys");
        let first = load(&keys).expect("it is made");
        let path = keys.join("web/certificate.pem");
        let content = std::fs::read_to_string(&path).expect("it is text");
        let soon = SystemTime::now() + GOOD_FOR_LEAST - Duration::from_secs(60);
        let soon = soon.duration_since(SystemTime::UNIX_EPOCH).expect("now");
        let lines = content.lines().map(|line| {
            if line.starts_with(UNTIL) {
                format!("{UNTIL}{}\n", soon.as_secs())
            } else {
                format!("{line}\n")
            }
        });
        std::fs::write(&path, lines.collect::<String>()).expect("there is room");
        let second = load(&keys).expect("it is made");
        assert_ne!(second, first);
        assert_eq!(load(&keys).expect("it is read"), second);
    }

    #[test]
    fn a_clock_that_was_never_set_is_no_obstacle() {
        let listen = "127.0.0.1:0".parse().expect("it is an address");
        let made = make(listen, SystemTime::UNIX_EPOCH + Duration::from_secs(60));
        let made = made.expect("1970 is a year as well");
        assert!(!is_good(&made, SystemTime::now()).expect("it says until when"));
        assert!(Identity::of(&made).is_ok());
    }

    #[test]
    fn what_is_damaged_or_seen_by_others_is_not_used() {
        let home = tempfile::tempdir().expect("there is room");
        let keys = home.path().join("keys");
        load(&keys).expect("it is made");
        let path = keys.join("web/certificate.pem");
        let whole = std::fs::read_to_string(&path).expect("it is text");
        let far = u64::MAX / 4_000_000_000;
        let half = whole.get(..whole.len() / 2).expect("it is ASCII");
        let without_date = whole.replace(UNTIL, "");
        for damaged in [
            format!("{UNTIL}{far}\nno key\n").as_bytes(),
            format!("{UNTIL}0\nno key\n").as_bytes(),
            half.as_bytes(),
            without_date.as_bytes(),
            b"",
            b"\xff\xfe",
        ] {
            std::fs::write(&path, damaged).expect("there is room");
            let error = load(&keys).expect_err("it is damaged");
            assert!(format!("{error:#}").contains("remove it"), "{error:#}");
            let after = std::fs::read(&path).expect("it is there");
            assert_eq!(after, damaged, "it stays as it is");
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("it is ours");
        let error = load(&keys).expect_err("others may read it");
        assert!(
            format!("{error:#}").contains("others may read"),
            "{error:#}"
        );
    }
}
