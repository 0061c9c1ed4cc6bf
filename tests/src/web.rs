//! `sdvr web` and what talks to it, down to the bytes: a page that behaves as a test wants.

mod encrypted;

use std::fmt::Debug;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

pub use self::encrypted::{Encrypted, encrypted};
use crate::{PATIENCE, Running, System};

/// A server, as a user starts it.
#[derive(Debug)]
pub struct Web {
    /// The program.
    pub program: Running,
    /// The address of its page.
    pub url: String,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Web {
    /// Starts it on a free port of this host, and waits until it serves.
    #[must_use]
    pub fn start(system: &System) -> Self {
        Self::start_with(system, &["--listen", "127.0.0.1:0"])
    }

    /// Starts it with these arguments.
    #[must_use]
    pub fn start_with(system: &System, arguments: &[&str]) -> Self {
        Self::start_by(system, arguments, |command| command)
    }

    /// As [`Self::start_with`], by another command that starts this one.
    #[must_use]
    pub fn start_by(
        system: &System,
        arguments: &[&str],
        by: impl FnOnce(Command) -> Command,
    ) -> Self {
        let mut command = system.command("sdvr");
        command.arg("web").args(arguments);
        let mut command = by(command);
        let mut program = system.start(command.stdout(Stdio::piped()), "web");
        let line = program.first_line();
        let url = line
            .split_whitespace()
            .find(|word| word.starts_with("http"));
        let url = url.unwrap_or_else(|| panic!("it says {line:?}; log: {}", program.log()));
        let port = url.rsplit_once(':').unwrap().1;
        let port = port.split('/').next().unwrap().parse().unwrap();
        Self {
            url: url.to_owned(),
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            program,
        }
    }

    /// A connection to it.
    #[must_use]
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The answer to a request of a browser on this host; its body as bytes.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.ask(path, &[])
    }

    /// As [`Self::get`], with headers; `host` among them replaces the usual one.
    #[must_use]
    pub fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(self.connect(), &self.address.to_string(), path, headers)
    }

    /// A figure of its own, of `/metrics`.
    #[must_use]
    pub fn figure(&self, name: &str) -> u64 {
        self.get("/metrics").figure(name)
    }

    /// A page that is open, and the greeting is behind it.
    #[must_use]
    pub fn open_page(&self) -> Page {
        let address = self.address.to_string();
        let mut page = Page::open(self.connect(), &address, &format!("http://{address}")).unwrap();
        assert_eq!(page.text()["type"], "hello");
        page
    }
}

/// An answer to a request.
#[derive(Debug)]
pub struct Answer {
    /// 200 and its like.
    pub status: u16,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    /// What follows.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header; empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map_or("", |(_, value)| value)
    }

    /// A figure of this name, of the answer to `/metrics`.
    #[must_use]
    pub fn figure(&self, name: &str) -> u64 {
        let page = self.text();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {page}"))
            .parse()
            .unwrap()
    }

    /// The body, which is text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// Asks for a path and reads the answer to its end.
pub fn ask(
    mut stream: impl Read + Write,
    address: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        request += &format!("host: {address}\r\n");
    }
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    stream
        .write_all(format!("{request}\r\n").as_bytes())
        .unwrap();
    let mut answer = Vec::new();
    // Whoever is refused may be cut off.
    let _ = stream.read_to_end(&mut answer);
    parse(&answer)
}

fn parse(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer: {}", String::from_utf8_lossy(answer)));
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers = lines.filter_map(|line| line.split_once(": "));
    Answer {
        status: status.parse().unwrap(),
        headers: headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
        body: answer[end + 4..].to_vec(),
    }
}

/// What a socket says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// A message.
    Text(Value),
    /// A frame.
    Frame(PageFrame),
    /// The end, with its code.
    Close(u16),
    /// The end, without a word.
    Gone,
}

/// A frame as a page gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageFrame {
    /// The camera's number.
    pub camera: u32,
    /// Which epoch.
    pub epoch: u32,
    /// Whether decoding can begin here.
    pub is_key: bool,
    /// The frame's number.
    pub number: u64,
    /// When it was captured, in microseconds.
    pub captured_us: i64,
    /// The bytes behind the header.
    pub payload: Vec<u8>,
}

/// What a page's socket is on.
trait Stream: Read + Write + Send + Debug {}

impl<T: Read + Write + Send + Debug> Stream for T {}

/// A page with an open socket.
#[derive(Debug)]
pub struct Page {
    stream: Box<dyn Stream>,
    /// Messages that came while a frame was waited for.
    pub messages: Vec<Value>,
}

impl Page {
    /// Opens a socket as a page of `origin`.
    ///
    /// # Errors
    ///
    /// The answer of a server that does not want it.
    pub fn open(
        stream: impl Read + Write + Send + Debug + 'static,
        host: &str,
        origin: &str,
    ) -> Result<Self, Answer> {
        Self::open_at(stream, "/socket", host, origin)
    }

    /// As [`Self::open`], with what the path needs besides.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn open_at(
        mut stream: impl Read + Write + Send + Debug + 'static,
        path: &str,
        host: &str,
        origin: &str,
    ) -> Result<Self, Answer> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte).unwrap() == 0 {
                break;
            }
            head.push(byte[0]);
        }
        let answer = parse(&head);
        if answer.status != 101 {
            return Err(answer);
        }
        assert_eq!(
            answer.header("sec-websocket-accept"),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        Ok(Self {
            stream: Box::new(stream),
            messages: Vec::new(),
        })
    }

    /// Sends a frame of the WebSocket protocol with this first byte, masked with zeros.
    pub fn send_raw(&mut self, first: u8, payload: &[u8]) {
        let mut bytes = vec![first];
        match payload.len() {
            length @ ..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
            length => {
                bytes.push(0x80 | 127);
                bytes.extend(u64::try_from(length).unwrap().to_be_bytes());
            }
        }
        bytes.extend([0; 4]);
        bytes.extend(payload);
        // A server that has had enough may be gone.
        let _ = self.stream.write_all(&bytes);
    }

    /// Says something.
    pub fn say(&mut self, message: &Value) {
        self.send_raw(0x81, message.to_string().as_bytes());
    }

    /// Watches the camera of this label as one of these kinds.
    pub fn watch(&mut self, label: &str, kinds: &[&str]) -> u32 {
        let camera = self.number_of(label);
        self.say(&json!({"type": "watch", "camera": camera, "kinds": kinds}));
        camera
    }

    /// Waits until a camera of this label is there.
    pub fn number_of(&mut self, label: &str) -> u32 {
        let camera = self.wait_for(|message| {
            let changed = message["changed"].as_array()?;
            changed.iter().find(|camera| camera["label"] == label)?["camera"].as_u64()
        });
        u32::try_from(camera).unwrap()
    }

    /// Waits for a message of which `look` finds something.
    pub fn wait_for<T>(&mut self, look: impl Fn(&Value) -> Option<T>) -> T {
        loop {
            let message = self.text();
            if let Some(found) = look(&message) {
                return found;
            }
        }
    }

    /// The next message; frames before it are given up.
    pub fn text(&mut self) -> Value {
        loop {
            match self.hear() {
                Said::Text(message) => return message,
                Said::Frame(frame) => self.show(&frame),
                end => panic!("{end:?}"),
            }
        }
    }

    /// The next frame; messages before it are kept.
    pub fn frame(&mut self) -> PageFrame {
        loop {
            match self.hear() {
                Said::Frame(frame) => return frame,
                Said::Text(message) => self.messages.push(message),
                end => panic!("{end:?}; before: {:?}", self.messages),
            }
        }
    }

    /// Says that a frame was painted.
    pub fn show(&mut self, frame: &PageFrame) {
        let shown = [json!([frame.camera, frame.epoch, frame.number])];
        self.say(&json!({"type": "shown", "frames": shown}));
    }

    /// Whether the server answers.
    pub fn is_served(&mut self) -> bool {
        self.say(&json!({"type": "ping", "sent": 7.5}));
        self.wait_for(|message| (message["type"] == "pong").then(|| message["sent"] == 7.5))
    }

    /// What the server says before it ends the socket.
    pub fn end(&mut self) -> Said {
        loop {
            match self.hear() {
                Said::Text(_) | Said::Frame(_) => {}
                end => return end,
            }
        }
    }

    /// Whatever comes next.
    pub fn hear(&mut self) -> Said {
        loop {
            let Some([first, length]) = self.read::<2>() else {
                return Said::Gone;
            };
            let length = match length {
                126 => u64::from(u16::from_be_bytes(self.read().unwrap())),
                127 => u64::from_be_bytes(self.read().unwrap()),
                length => u64::from(length),
            };
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut payload).unwrap();
            match first {
                0x81 => return Said::Text(serde_json::from_slice(&payload).unwrap()),
                0x82 => return Said::Frame(page_frame(&payload)),
                0x88 => return Said::Close(u16::from_be_bytes(payload[..2].try_into().unwrap())),
                0x89 => self.send_raw(0x8a, &payload),
                other => panic!("a frame that begins with {other:#x}"),
            }
        }
    }

    fn read<const BYTES: usize>(&mut self) -> Option<[u8; BYTES]> {
        let mut bytes = [0; BYTES];
        match self.stream.read_exact(&mut bytes) {
            Ok(()) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("nothing came in {} s", Duration::as_secs(&PATIENCE))
            }
            Err(_) => None,
        }
    }
}

fn page_frame(message: &[u8]) -> PageFrame {
    let number = |at: usize| u32::from_le_bytes(message[at..at + 4].try_into().unwrap());
    assert_eq!((message[0], &message[2..4]), (1, &[0, 0][..]));
    PageFrame {
        is_key: message[1] & 1 == 1,
        camera: number(4),
        epoch: number(8),
        number: u64::from_le_bytes(message[16..24].try_into().unwrap()),
        captured_us: i64::from_le_bytes(message[24..32].try_into().unwrap()),
        payload: message[32..].to_vec(),
    }
}
