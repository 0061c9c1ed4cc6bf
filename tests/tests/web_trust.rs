//! `sdvr web` and those who should not be let in, or who keep others out: tokens, certificates, names, connections that say nothing.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, with the place"
)]

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Stdio;

use sdvr::{FourCc, FrameRate, PublishOptions, Publisher, StreamFormat, StreamKind};
use sdvr_ring::{RingDirectory, RingWriter};
use sdvr_tests::rings::options;
use sdvr_tests::web::{Answer, Encrypted, Page, Web, ask, encrypted};
use sdvr_tests::{PATIENCE, Running, System, text, wait_until};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A server for others than this host.
struct Open {
    program: Running,
    address: SocketAddr,
    token: String,
    /// As it is printed.
    fingerprint: String,
}

impl Open {
    fn start(system: &System) -> Self {
        let said = system.home().join("said");
        let mut command = system.command("sdvr");
        command.args(["web", "--listen", "0.0.0.0:0"]);
        command.stdout(Stdio::from(fs::File::create(&said).unwrap()));
        let program = system.start(&mut command, "web");
        let read = || fs::read_to_string(&said).unwrap();
        wait_until("it serves", || {
            read().contains("fingerprint is") && read().ends_with('\n')
        });
        let said = read();
        let (_, url) = said.split_once("https://").unwrap();
        let (place, rest) = url.split_once("/?token=").unwrap();
        let port = place.rsplit_once(':').unwrap().1.parse().unwrap();
        let (_, fingerprint) = said.rsplit_once("fingerprint is ").unwrap();
        Self {
            program,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            token: rest.lines().next().unwrap().to_owned(),
            fingerprint: fingerprint.trim().to_owned(),
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn encrypted(&self) -> Encrypted {
        encrypted(self.connect())
    }

    fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(self.encrypted(), &self.address.to_string(), path, headers)
    }

    /// Of the certificate that is served, as browsers show it.
    fn served_fingerprint(&self) -> String {
        let mut stream = self.encrypted();
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        let [certificate] = stream.conn.peer_certificates().unwrap() else {
            panic!("it has one certificate, made by itself");
        };
        let bytes = Sha256::digest(certificate);
        let bytes: Vec<String> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        bytes.join(":")
    }
}

#[test]
fn a_browser_without_the_token_gets_a_field_for_it() {
    let system = System::new();
    let web = Open::start(&system);
    let browser = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    for path in ["/", "/?camera=a", "/?token=wrong", "/style.css"] {
        let answer = web.ask(path, &[browser]);
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert!(
            answer.text().contains("name=\"token\""),
            "{}",
            answer.text()
        );
        assert!(!answer.text().contains(&web.token));
        // It may send the field, to this server; and do nothing else.
        let policies = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "content-security-policy");
        assert_eq!(policies.count(), 1);
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("form-action 'self'"),
            "{policy}"
        );
        assert_eq!(answer.header("x-frame-options"), "DENY");
    }
    // What the form sends is led on, as a printed address is.
    let led = web.ask(&format!("/?token={}", web.token), &[browser]);
    assert_eq!((led.status, led.header("location")), (303, "/"));
    // Scripts get no form, whatever they would take.
    let answer = web.ask("/api/cameras", &[browser]);
    assert!(answer.header("content-type").starts_with("text/plain"));
}

#[test]
fn others_need_the_token_and_a_browser_keeps_it_where_no_page_sees_it() {
    let system = System::new();
    let web = Open::start(&system);
    let all = [
        "/",
        "/api/cameras",
        "/metrics",
        "/snapshot/a.jpg",
        "/socket",
    ];
    for path in all {
        let answer = web.ask(path, &[]);
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("connection"), "close");
        assert!(answer.text().contains("?token="), "{}", answer.text());
        assert!(!answer.text().contains(&web.token));
        for wrong in ["", "0", &web.token[1..], &format!("{}0", web.token)] {
            let bearer = format!("Bearer {wrong}");
            let answer = web.ask(path, &[("authorization", &bearer)]);
            assert_eq!(answer.status, 401, "{path} {wrong}");
            assert_eq!(web.ask(&format!("{path}?token={wrong}"), &[]).status, 401);
        }
    }
    let led = web.ask(&format!("/?camera=a&token={}", web.token), &[]);
    assert_eq!((led.status, led.header("location")), (303, "/?camera=a"));
    let mut cookie = led.header("set-cookie").split("; ");
    let said = cookie.next().unwrap();
    let rules: HashSet<&str> = cookie.collect();
    for rule in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/"] {
        assert!(rules.contains(rule), "{rule} in {rules:?}");
    }
    assert_eq!(web.ask("/", &[("cookie", said)]).status, 200);
    assert_eq!(
        web.ask("/", &[("cookie", &said[..said.len() - 1])]).status,
        401
    );
    let bearer = format!("Bearer {}", web.token);
    let answer = web.ask("/api/cameras", &[("authorization", &bearer)]);
    assert_eq!((answer.status, answer.text().as_str()), (200, "[]"));
    let address = format!("/api/cameras?token={}", web.token);
    assert_eq!(web.ask(&address, &[]).status, 200);
    // The token is no leave for other pages.
    let foreign = [
        ("authorization", bearer.as_str()),
        ("origin", "https://evil.example"),
    ];
    assert_eq!(web.ask("/socket", &foreign).status, 403);
    // Two addresses that look like paths.
    for path in ["//evil.example/", "/\\evil.example/"] {
        let led = web.ask(&format!("{path}?token={}", web.token), &[]);
        assert_eq!(led.header("location"), "/evil.example/");
    }
}

#[test]
fn the_certificate_is_the_one_whose_fingerprint_is_printed_and_stays() {
    let system = System::new();
    let mut web = Open::start(&system);
    let first = web.fingerprint.clone();
    assert_eq!(web.served_fingerprint(), first);
    let token = web.token.clone();
    assert!(web.program.terminate().success());
    let mut web = Open::start(&system);
    assert_eq!(
        (&web.fingerprint, web.served_fingerprint()),
        (&first, first.clone())
    );
    assert_ne!(web.token, token);
    assert!(web.program.terminate().success());
    let folder = system.home().join(".sdvr/web");
    let path = folder.join("certificate.pem");
    let mode = |path: &PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&path)), (0o700, 0o600));
    let whole = fs::read(&path).unwrap();
    for damaged in [&b""[..], b"\xff\xff", &whole[..whole.len() / 2]] {
        fs::write(&path, damaged).unwrap();
        let output = system.sdvr(&["web", "--listen", "0.0.0.0:0"]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("certificate.pem is damaged; remove it"),
            "{said}"
        );
        assert_eq!(fs::read(&path).unwrap(), damaged);
    }
    fs::write(&path, whole).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let output = system.sdvr(&["web", "--listen", "0.0.0.0:0"]);
    assert!(text(&output.stderr).contains("others may read"));
}

#[test]
fn who_does_not_speak_tls_is_told_so() {
    let system = System::new();
    let web = Open::start(&system);
    // More than is looked at: what was not read must not take the answer along.
    let long = "a".repeat(9000);
    let answer = ask(web.connect(), "localhost", "/", &[("x-long", &long)]);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("https://"), "{}", answer.text());
    let mut stream = web.connect();
    stream
        .write_all(&[22, 3, 1, 0xff, 0xff, 1, 2, 3, 4, 5])
        .unwrap();
    let _ = stream.read_to_end(&mut Vec::new());
    assert_eq!(web.ask("/", &[]).status, 401);
}

#[test]
fn wrong_usage_is_told_by_its_exit_code() {
    let system = System::new();
    let web = Web::start(&system);
    let address = web.address.to_string();
    let short = system.home().join("token");
    fs::write(&short, "short\n").unwrap();
    let ends = |arguments: &[&str], code| {
        let output = system.sdvr(&[&["web"], arguments].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        said
    };
    assert!(ends(&["--token", "short"], 2).contains("16 to 256 characters"));
    ends(&["--token-file", short.to_str().unwrap()], 2);
    ends(&["--listen", "here"], 2);
    ends(&["--token", "0123456789abcdef", "--token-file", "a"], 2);
    assert!(ends(&["--listen", &address], 1).contains("another program listens there"));
}

#[test]
fn a_token_is_asked_for_on_this_host_if_one_was_given() {
    let system = System::new();
    let token = "0123456789abcdef-._~";
    let web = Web::start_with(&system, &["--listen", "127.0.0.1:0", "--token", token]);
    assert!(!web.url.contains(token), "it is known already");
    assert_eq!(web.get("/").status, 401);
    // Names are the token's business now.
    let bearer = format!("bearer {token}");
    let headers = [
        ("host", "camera.example"),
        ("authorization", bearer.as_str()),
    ];
    assert_eq!(web.ask("/", &headers).status, 200);
    let led = web.get(&format!("/?token={token}"));
    assert!(
        !led.header("set-cookie").contains("Secure"),
        "no browser would send it"
    );
}

#[test]
fn connections_that_say_nothing_end_and_keep_nobody_out() {
    let system = System::new();
    let web = Web::start(&system);
    let open = Open::start(&system);
    let mut silent: Vec<TcpStream> = Vec::new();
    for stream in [web.connect(), open.connect()] {
        silent.push(stream);
    }
    for address in [web.address, open.address] {
        for _ in 0..300 {
            silent.push(TcpStream::connect(address).unwrap());
        }
    }
    // A beginning, and one that goes on and on.
    let mut begun = web.connect();
    begun.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    let mut dripping = web.connect();
    dripping.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap();
    let mut half = open.connect();
    half.write_all(&[22, 3, 1]).unwrap();
    assert_eq!(web.get("/").status, 200);
    assert_eq!(open.ask("/", &[]).status, 401);
    let mut endless = web.connect();
    endless.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let line = format!("X: {}\r\n", "a".repeat(1000));
    let count = (0..10_000)
        .take_while(|_| endless.write_all(line.as_bytes()).is_ok())
        .count();
    assert!(count < 10_000, "headers end somewhere");
    wait_until("they are gone", || {
        let _ = dripping.write_all(b"a");
        web.figure("sdvr_web_connections") <= 1
    });
    assert!(matches!(silent[1].read(&mut [0]), Ok(0) | Err(_)));
    let _ = half.read_to_end(&mut Vec::new());
    assert_eq!(web.get("/").status, 200);
    assert_eq!(open.ask("/", &[]).status, 401);
}

#[test]
fn when_there_are_as_many_connections_as_there_can_be_others_wait_and_are_served() {
    let system = System::new();
    let mut command = std::process::Command::new("sh");
    let script = "ulimit -n 600; exec \"$0\" web --listen 127.0.0.1:0";
    command.args(["-c", script]).arg(sdvr_tests::binary("sdvr"));
    command.env("HOME", system.home());
    command
        .env("SDVR_SHM_DIR", system.shm())
        .stdout(Stdio::piped());
    let mut program = system.start(&mut command, "web");
    let line = program.first_line();
    let (_, address) = line.trim().trim_end_matches('/').rsplit_once('/').unwrap();
    let address: SocketAddr = address.parse().unwrap();
    let silent: Vec<TcpStream> = (0..80)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let late = TcpStream::connect(address).unwrap();
    late.set_read_timeout(Some(2 * PATIENCE)).unwrap();
    assert_eq!(ask(late, &address.to_string(), "/", &[]).status, 200);
    drop(silent);
}

/// Where the name of a format is in a ring: `crates/sdvr-ring/LAYOUT.md`.
const FOURCC: u64 = 0x54;
const WIDTH: u64 = 0x58;

#[test]
fn strange_cameras_are_told_of_in_words_that_others_understand() {
    let system = System::new();
    let fourcc = FourCc([b'"', b'\\', b'{', b'}']);
    let published = PublishOptions {
        frames: Some(8),
        frame_most_bytes: Some(4096),
        kind: StreamKind::Video,
        ..PublishOptions::new(StreamFormat {
            fourcc,
            width: u32::MAX,
            height: 0,
            rate: FrameRate::UNPACED,
        })
    };
    let rings = RingDirectory::create(&system.shm(), None).unwrap();
    // Two cameras of one label.
    let writers: Vec<RingWriter> = [(7, 1), (8, 2)]
        .map(|(key, instance)| RingWriter::create(&rings, options("door", key, instance)).unwrap())
        .into();
    let _derived = Publisher::create_in(&system.shm(), "door/a.b_c-d", published).unwrap();
    for (path, name) in system
        .rings()
        .iter()
        .zip([*b"\n\"\r\\", *b"\0\xff\x1b["].iter().cycle())
    {
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(name, FOURCC).unwrap();
        file.write_all_at(&[0xff; 8], WIDTH).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o440)).unwrap();
    }
    eprintln!(
        "{:?} {:?}",
        system.rings(),
        text(&system.sdvr(&["ls"]).stdout)
    );
    let web = Web::start(&system);
    let cameras: Vec<Value> = serde_json::from_slice(&web.get("/api/cameras").body).unwrap();
    let numbers: HashSet<u64> = cameras
        .iter()
        .map(|it| it["camera"].as_u64().unwrap())
        .collect();
    assert_eq!((cameras.len(), numbers.len()), (3, 3), "{cameras:?}");
    let page = web.get("/metrics").text();
    let series = parse_figures(&page);
    let live = series
        .iter()
        .filter(|it| it.starts_with("sdvr_camera_live{"));
    assert_eq!(live.count(), 3, "{page}");
    let mut socket: Page = web.open_page();
    socket.number_of("door/a.b_c-d");
    assert!(socket.is_served());
    drop(writers);
}

/// Names with labels of all figures of a page in the text format of Prometheus 0.0.4, which must be right to the letter.
fn parse_figures(page: &str) -> HashSet<String> {
    assert!(page.ends_with('\n'));
    let (mut series, mut families) = (HashSet::new(), HashSet::new());
    let mut about: [Option<&str>; 2] = [None, None];
    for line in page.strip_suffix('\n').unwrap().split('\n') {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(families.insert(name), "{name} is in two places");
            assert!(!help.is_empty(), "{line}");
            about = [Some(name), None];
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(about, [Some(name), None], "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            assert!(["counter", "gauge"].contains(&kind), "{line}");
            about = [Some(name), Some(kind)];
        } else {
            let (what, value) = line.rsplit_once(' ').unwrap();
            let name_ends = what.find('{').unwrap_or(what.len());
            let (name, labels) = what.split_at(name_ends);
            let [Some(family), Some(kind)] = about else {
                panic!("{line} is of no kind");
            };
            assert_eq!(name, family, "{line}");
            let value: f64 = value.parse().unwrap();
            assert!(value.is_finite(), "{line}");
            assert!(kind == "gauge" || value >= 0.0, "{line}");
            check_labels(labels);
            assert!(series.insert(what.to_owned()), "{line} is there twice");
        }
    }
    series
}

fn check_labels(labels: &str) {
    let Some(mut rest) = labels.strip_prefix('{') else {
        return assert!(labels.is_empty(), "{labels}");
    };
    let mut names = HashSet::new();
    loop {
        let (name, value) = rest.split_once("=\"").unwrap();
        let is_plain = |it: char| it.is_ascii_lowercase() || it == '_';
        assert!(!name.is_empty() && name.chars().all(is_plain), "{labels}");
        assert!(names.insert(name), "{labels}");
        let mut characters = value.chars();
        loop {
            match characters.next().unwrap() {
                '"' => break,
                '\\' => assert!(
                    matches!(characters.next(), Some('\\' | '"' | 'n')),
                    "{labels}"
                ),
                _ => {}
            }
        }
        rest = characters.as_str();
        match rest.strip_prefix(',') {
            Some(next) => rest = next,
            None => return assert_eq!(rest, "}", "{labels}"),
        }
    }
}
