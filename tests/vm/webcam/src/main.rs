//! A USB webcam without hardware: the kernel's own `uvcvideo` driver makes a `/dev/videoN` of it.
//!
//! The kernel's `vhci_hcd` is a USB host controller whose devices are at the other end of a socket, for devices on other hosts (USB/IP). This
//! program is such an other end. It sends the frames of two clips, one of MJPG and one of H.264, over and over, each stream from its first frame.
//! Whoever asks its encoder for a key frame is told of on standard error, and has the clip begin anew.
//!
//! `webcam --port N --serial TEXT --size WxH --fps N --mjpg CLIP --h264 CLIP`; a clip is a file of frames, each after its length (u32,
//! little-endian). On standard input it takes a word a line: `plug`, `unplug` (it starts plugged), and for the next frame `truncate`, `mark`, `empty`.

mod arguments;
mod camera;
mod descriptors;
mod port;
mod probe;
mod setup;
mod usbip;

use std::io::BufRead;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::arguments::Arguments;
use crate::camera::{Camera, Fault};
use crate::port::Port;
use crate::usbip::Request;

/// What this program waits for.
enum Event {
    /// A word was said on standard input.
    Word(String),
    /// The kernel wants something of the device that was plugged in as the `plugged`th.
    Request { plugged: u32, request: Request },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let (sender, events) = mpsc::channel();
    let words = sender.clone();
    std::thread::spawn(move || {
        for word in std::io::stdin().lock().lines().map_while(Result::ok) {
            if words.send(Event::Word(word)).is_err() {
                return;
            }
        }
    });
    Webcam {
        port: Port::new(arguments.port),
        arguments,
        plugged: 0,
        state: State::Unplugged,
        sender,
    }
    .run(&events)
}

struct Webcam {
    arguments: Arguments,
    port: Port,
    /// How often it was plugged in.
    plugged: u32,
    state: State,
    sender: Sender<Event>,
}

enum State {
    Unplugged,
    Plugged(Box<Camera>),
}

impl Webcam {
    fn run(&mut self, events: &Receiver<Event>) -> anyhow::Result<()> {
        self.plug()?;
        loop {
            let timeout = self
                .poll_timeout()
                .saturating_duration_since(Instant::now());
            match events.recv_timeout(timeout) {
                Ok(Event::Word(word)) => self.handle_word(word.trim())?,
                Ok(Event::Request { plugged, request }) => match &mut self.state {
                    State::Plugged(camera) if plugged == self.plugged => {
                        camera.handle_request(Instant::now(), request)?;
                    }
                    // Of a device that is no longer there.
                    State::Plugged(_) | State::Unplugged => {}
                },
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if let State::Plugged(camera) = &mut self.state {
                camera.handle_timeout(Instant::now())?;
            }
        }
    }

    fn poll_timeout(&self) -> Instant {
        match &self.state {
            State::Unplugged => None,
            State::Plugged(camera) => camera.poll_timeout(),
        }
        .unwrap_or_else(|| Instant::now() + Duration::from_secs(1))
    }

    fn handle_word(&mut self, word: &str) -> anyhow::Result<()> {
        eprintln!("webcam: {word}");
        match (word, &mut self.state) {
            ("plug", State::Unplugged) => self.plug(),
            ("unplug", State::Plugged(_)) => {
                self.state = State::Unplugged;
                self.port.detach()
            }
            ("truncate", State::Plugged(camera)) => {
                camera.fault = Some(Fault::Truncated);
                Ok(())
            }
            ("mark", State::Plugged(camera)) => {
                camera.fault = Some(Fault::Marked);
                Ok(())
            }
            ("empty", State::Plugged(camera)) => {
                camera.fault = Some(Fault::Empty);
                Ok(())
            }
            _ => anyhow::bail!("{word:?} cannot be done now"),
        }
    }

    fn plug(&mut self) -> anyhow::Result<()> {
        let link = self.port.attach()?;
        let mut from_kernel = link.try_clone().context("the link has no second end")?;
        self.plugged += 1;
        let (plugged, sender) = (self.plugged, self.sender.clone());
        std::thread::spawn(move || {
            // It ends when the device is unplugged.
            while let Ok(request) = Request::read(&mut from_kernel) {
                if sender.send(Event::Request { plugged, request }).is_err() {
                    return;
                }
            }
        });
        self.state = State::Plugged(Box::new(Camera::new(link, &self.arguments)?));
        Ok(())
    }
}
