//! What the program does.

use sdvr_frame::{FrameFlags, FrameNumber, PublicKey, StreamId};
use sdvr_session::for_tests::seal_datagram;
use sdvr_session::{CloseCode, DatagramOutcome, OpenStream};

use crate::hostile::Program;
use crate::support::{self, payload};
use crate::{Datagram, Hostile, Joined, QUEUE_MOST, Way};

impl Joined {
    /// One operation; `None` at the program's end.
    pub(crate) fn step(&mut self, program: &mut Program<'_>) -> Option<()> {
        let operation = program.byte()?;
        let to = if operation & 16 == 0 {
            Way::Up
        } else {
            Way::Down
        };
        match operation & 15 {
            0 => {
                let times = [1, 3, 10, 33, 100, 500, 2000, 30_000];
                self.pass_time(times[usize::from(program.byte()? & 7)]);
            }
            1 => self.send_frames(program)?,
            2 => {
                let count = program.byte()?;
                for _ in 0..=count & 63 {
                    let Some(datagram) = self.end(to).coming.pop_front() else {
                        break;
                    };
                    self.deliver(to, count >> 6, datagram);
                }
            }
            3 => {
                let (place, from) = (program.byte()?, program.byte()?);
                let coming = &mut self.end(to).coming;
                let datagram = coming.remove(usize::from(place) % coming.len().max(1));
                self.deliver(to, from & 3, datagram?);
            }
            4 => {
                let count = usize::from(program.byte()?).min(self.end(to).coming.len());
                self.end(to).coming.drain(..count);
            }
            5 => self.deliver_altered(to, program)?,
            6 => {
                let place = program.byte()?;
                let opened = &self.end(to).opened;
                let again = opened.get(usize::from(place) % opened.len().max(1))?;
                let again = Datagram {
                    content: None,
                    ..again.clone()
                };
                let outcome = self.deliver(to, place >> 6, again);
                assert!(!matches!(outcome, Some(DatagramOutcome::Opened { .. })));
            }
            7 => self.act(program)?,
            8.. => self.say_anything(operation, program)?,
        }
        Some(())
    }

    fn deliver_altered(&mut self, to: Way, program: &mut Program<'_>) -> Option<()> {
        let (place, bit, altered) = (program.byte()?, program.word()?, program.byte()?);
        let coming = &self.end(to).coming;
        let mut datagram = coming
            .get(usize::from(place) % coming.len().max(1))?
            .clone();
        datagram.content = None;
        let length = datagram.bytes.len();
        match altered {
            0..64 => datagram.bytes.truncate(usize::from(bit) % length),
            _ => datagram.bytes[usize::from(bit) % length] ^= altered,
        }
        let outcome = self.deliver(to, altered & 3, datagram);
        assert!(
            !matches!(outcome, Some(DatagramOutcome::Opened { .. })),
            "forged"
        );
        Some(())
    }

    fn send_frames(&mut self, program: &mut Program<'_>) -> Option<()> {
        let (step, size) = (program.byte()?, program.word()?);
        let stream = StreamId(0);
        if self.hostile == Hostile::Client || self.client.is_over {
            return Some(());
        }
        if self.client.session.is_sending(stream) {
            return Some(());
        }
        self.next_number += 1 + u64::from(step & 3);
        // Parity of large frames would be most of what is run.
        let is_large = step & 4 != 0 && step >> 4 == 0;
        let bytes = match (is_large, step >> 4) {
            (true, _) => 1 + 8 * usize::from(size),
            (false, 0) => 1 + usize::from(size),
            (false, _) => 1 + usize::from(size) % 12_000,
        };
        let frame = payload(self.next_number, bytes);
        let flags = if step & 8 == 0 {
            FrameFlags::NONE
        } else {
            FrameFlags::KEY
        };
        let facts = (FrameNumber(self.next_number), self.now, flags);
        self.client.session.set_parity(step >> 4);
        match self
            .client
            .session
            .send_frame(self.now, stream, facts, frame.clone())
        {
            Ok(()) => self.promised.was_sent(self.next_number, frame),
            Err(error) => self.may_complain(error),
        }
        self.settle(Way::Down, 0, 0);
        Some(())
    }

    /// What a driver may do.
    fn act(&mut self, program: &mut Program<'_>) -> Option<()> {
        let (action, stream) = (program.byte()?, program.byte()?);
        let (client, server) = (&mut self.client.session, &mut self.server.session);
        let open = OpenStream {
            stream: StreamId(u16::from(stream & 7)),
            latency_ms: u16::from(stream) * 4,
            ..support::stream()
        };
        match action & 15 {
            0 => client.close(CloseCode::EndOfSource, "no more"),
            1 => server.close(CloseCode::ShuttingDown, "no more"),
            2 => client.ping(self.now),
            3..6 if stream & 7 != 0 => client.open_stream(open),
            6 if stream & 7 != 0 => client.close_stream(open.stream),
            7 => server.announce_next_key(PublicKey([stream; 32])),
            _ => {}
        }
        self.settle(Way::Up, 0, 0);
        self.settle(Way::Down, 0, 0);
        Some(())
    }

    /// The hostile end seals what the input says.
    fn say_anything(&mut self, operation: u8, program: &mut Program<'_>) -> Option<()> {
        let contents = match operation & 15 {
            8..11 => self.frames.fragments(program)?,
            11 => self.frames.parity(program)?,
            12 => vec![program.control()?],
            13 => vec![program.in_lane()?],
            14 => vec![program.rest_of_length()?],
            _ => vec![program.requests(self.next_number)?],
        };
        let (from, coming) = match self.hostile {
            Hostile::Link => return Some(()),
            Hostile::Client => (&mut self.client, &mut self.server.coming),
            Hostile::Server => (&mut self.server, &mut self.client.coming),
        };
        for content in contents {
            let mut bytes = Vec::new();
            if coming.len() < QUEUE_MOST && seal_datagram(&mut from.session, &content, &mut bytes) {
                coming.push_back(Datagram {
                    bytes,
                    content: Some(content),
                });
            }
        }
        Some(())
    }
}
