//! The webcam while it is plugged in: answers the driver, and sends frames when their time has come.

use std::collections::VecDeque;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::arguments::Arguments;
use crate::descriptors;
use crate::probe::{Format, MAX_PAYLOAD_BYTES, Probe};
use crate::setup::{Access, Asked};
use crate::usbip::{self, Request, Status, Submit, Unlink};

/// What goes wrong with the next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Half of it is missing, and nothing says so.
    Truncated,
    /// Its header says that it is faulty.
    Marked,
    /// It has a header only.
    Empty,
}

/// A webcam that is plugged in.
#[derive(Debug)]
pub(crate) struct Camera {
    link: UnixStream,
    arguments: Arguments,
    /// For the next frame.
    pub(crate) fault: Option<Fault>,
    /// Whether the clip begins anew with the next frame, which is then a key frame.
    begins_anew: bool,
    /// Changes with each frame, so that the driver sees where one begins.
    frame_id: bool,
    mjpg: Vec<Vec<u8>>,
    h264: Vec<Vec<u8>>,
    negotiated: Probe,
    /// The driver's transfers that wait for frames.
    waiting: VecDeque<Submit>,
    streaming: Streaming,
}

/// What is streamed.
#[derive(Debug)]
enum Streaming {
    /// Nothing: no transfer waits.
    Stopped,
    /// The frame of that index comes next, at that time.
    Waiting { index: usize, due: Instant },
    /// The rest of a payload is on its way.
    Sending {
        payload: Vec<u8>,
        sent_bytes: usize,
        next: usize,
        due: Instant,
    },
}

impl Camera {
    pub(crate) fn new(link: UnixStream, arguments: &Arguments) -> anyhow::Result<Self> {
        Ok(Self {
            link,
            fault: None,
            begins_anew: false,
            frame_id: false,
            mjpg: read_clip(&arguments.mjpg)?,
            h264: read_clip(&arguments.h264)?,
            negotiated: Probe {
                format: Format::Mjpg,
                interval: descriptors::interval(arguments),
            },
            arguments: arguments.clone(),
            waiting: VecDeque::new(),
            streaming: Streaming::Stopped,
        })
    }

    /// Takes in what the kernel wants.
    pub(crate) fn handle_request(&mut self, now: Instant, request: Request) -> anyhow::Result<()> {
        match request {
            Request::Submit(submit) if submit.endpoint == 0 => self.answer(&submit),
            Request::Submit(submit) => {
                self.waiting.push_back(submit);
                if matches!(self.streaming, Streaming::Stopped) {
                    self.streaming = Streaming::Waiting { index: 0, due: now };
                }
                Ok(())
            }
            Request::Unlink(unlink) => self.unlink(unlink),
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if nothing else happens first.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.streaming {
            // What is on its way goes on with the driver's next transfer.
            Streaming::Stopped | Streaming::Sending { .. } => None,
            Streaming::Waiting { due, .. } => Some(due),
        }
    }

    /// Sends what is due, as far as transfers wait for it.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> anyhow::Result<()> {
        if let Streaming::Waiting { index, due } = self.streaming
            && now >= due
        {
            let index = if std::mem::take(&mut self.begins_anew) {
                0
            } else {
                index
            };
            let interval = Duration::from_nanos(u64::from(self.negotiated.interval) * 100);
            self.streaming = Streaming::Sending {
                payload: self.payload(index),
                sent_bytes: 0,
                next: index + 1,
                // A frame that is late makes all later ones late: no sensor catches up.
                due: now.max(due) + interval,
            };
        }
        while let Streaming::Sending {
            payload,
            sent_bytes,
            next,
            due,
        } = &mut self.streaming
        {
            let Some(transfer) = self.waiting.pop_front() else {
                return Ok(());
            };
            let rest = payload.get(*sent_bytes..).unwrap_or_default();
            let sent = rest.get(..transfer.len_bytes).unwrap_or(rest);
            self.link
                .write_all(&usbip::submit_reply(transfer.number, Status::Done, sent))?;
            *sent_bytes += sent.len();
            // A payload ends with a transfer that is not full, if need be with an empty one (USB 2.0, section 5.8.3).
            if sent.len() < transfer.len_bytes {
                self.streaming = Streaming::Waiting {
                    index: *next,
                    due: *due,
                };
            }
        }
        Ok(())
    }

    /// A frame with its header (UVC 1.1, table 2-5): two bytes, of which the second has flags.
    fn payload(&mut self, index: usize) -> Vec<u8> {
        const FRAME_ID: u8 = 1 << 0;
        const END_OF_FRAME: u8 = 1 << 1;
        const FAULTY: u8 = 1 << 6;
        const END_OF_HEADER: u8 = 1 << 7;
        let clip = match self.negotiated.format {
            Format::Mjpg => &self.mjpg,
            Format::H264 => &self.h264,
        };
        let mut frame = clip[index % clip.len()].as_slice();
        let mut flags = END_OF_FRAME | END_OF_HEADER;
        if self.frame_id {
            flags |= FRAME_ID;
        }
        self.frame_id = !self.frame_id;
        match self.fault.take() {
            None => {}
            Some(Fault::Truncated) => frame = &frame[..frame.len() / 2],
            Some(Fault::Marked) => flags |= FAULTY,
            Some(Fault::Empty) => frame = &[],
        }
        [&[2, flags], frame].concat()
    }

    fn unlink(&mut self, unlink: Unlink) -> anyhow::Result<()> {
        let before = self.waiting.len();
        self.waiting
            .retain(|transfer| transfer.number != unlink.which);
        let status = if self.waiting.len() < before {
            Status::Unlinked
        } else {
            Status::Done
        };
        if self.waiting.is_empty() {
            self.streaming = Streaming::Stopped;
        }
        Ok(self
            .link
            .write_all(&usbip::unlink_reply(unlink.number, status))?)
    }

    /// Answers a control transfer.
    fn answer(&mut self, submit: &Submit) -> anyhow::Result<()> {
        let answer = match submit.setup.asked() {
            Asked::DeviceDescriptor => descriptors::device(),
            Asked::ConfigurationDescriptor => descriptors::configuration(&self.arguments),
            Asked::StringDescriptor(index) => descriptors::text(index, &self.arguments.serial),
            Asked::DeviceStatus => vec![0, 0],
            Asked::Interface => vec![0],
            Asked::Probe(Access::Get) | Asked::Commit(Access::Get) => self.negotiated.to_bytes(),
            Asked::Probe(Access::GetLength) | Asked::Commit(Access::GetLength) => {
                vec![Probe::BYTES, 0]
            }
            Asked::Probe(Access::GetInfo) | Asked::Commit(Access::GetInfo) => vec![3],
            Asked::Probe(Access::Set) | Asked::Commit(Access::Set) => {
                self.negotiated = self.negotiated.wanted_by(&submit.data);
                return Ok(self.link.write_all(&usbip::taken_reply(submit))?);
            }
            // Its layer and its kind, two bytes each: none is being asked for.
            Asked::PictureType(Access::Get) => vec![0; 4],
            Asked::PictureType(Access::GetLength) => vec![4, 0],
            Asked::PictureType(Access::GetInfo) => vec![3],
            Asked::PictureType(Access::Set) => {
                eprintln!("webcam: a key frame is asked for");
                self.begins_anew = true;
                return Ok(self.link.write_all(&usbip::taken_reply(submit))?);
            }
            Asked::Accept => return Ok(self.link.write_all(&usbip::taken_reply(submit))?),
            Asked::Unknown => {
                let reply = usbip::submit_reply(submit.number, Status::Stalled, &[]);
                return Ok(self.link.write_all(&reply)?);
            }
        };
        let asked_for = answer.get(..submit.len_bytes).unwrap_or(&answer);
        let reply = usbip::submit_reply(submit.number, Status::Done, asked_for);
        Ok(self.link.write_all(&reply)?)
    }
}

fn read_clip(path: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let bytes = std::fs::read(path).with_context(|| path.to_owned())?;
    let mut frames = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_le_bytes(*length);
        ensure!(
            length < MAX_PAYLOAD_BYTES - 2,
            "{path}: a frame is too long"
        );
        let (frame, after) = after
            .split_at_checked(length as usize)
            .with_context(|| format!("{path} ends within a frame"))?;
        frames.push(frame.to_vec());
        rest = after;
    }
    ensure!(!frames.is_empty(), "{path} has no frames");
    Ok(frames)
}
