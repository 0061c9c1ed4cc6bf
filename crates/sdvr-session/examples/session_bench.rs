//! What a session costs: seals and opens frames of 1 MB, shakes hands, and prints lines of `name value unit`.
//!
//! `floor_*` is what the cipher alone takes for 64 KiB at a time, which no session can be faster than.
//! Run it with `cargo run --release -p sdvr-session --example session_bench`.

#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a measurement that cannot go on must stop, with the place"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use aws_lc_rs::aead::{
    AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey,
};
use rustix::time::{ClockId, clock_gettime};
use sdvr_frame::{FrameFlags, FrameNumber, StreamId};
use sdvr_session::client::ExpectHelloReply;
use sdvr_session::{Limits, OutgoingFrame, Packet, Suites, next_record};
use support::{CLIENT_PRIVATE_KEY, NOW, Seeded, address, door, streaming};

const FRAME_BYTES: usize = 1_000_000;
const FRAMES: u32 = 1000;
const FLOOR_BYTES: usize = 64 * 1024;
const HANDSHAKES: u32 = 2000;

fn seconds(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    let duration = std::time::Duration::try_from(time).unwrap_or_default();
    duration.as_secs_f64()
}

/// Adds up the time of what is measured, without what lies between.
#[derive(Default)]
struct Stopwatch {
    wall_seconds: f64,
    cpu_seconds: f64,
}

impl Stopwatch {
    fn measure<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let wall = seconds(ClockId::Monotonic);
        let cpu = seconds(ClockId::ProcessCPUTime);
        let result = work();
        self.wall_seconds += seconds(ClockId::Monotonic) - wall;
        self.cpu_seconds += seconds(ClockId::ProcessCPUTime) - cpu;
        result
    }

    fn print_bytes(&self, name: &str, gigabytes: f64) {
        println!("{name} {:.3} GB/s", gigabytes / self.wall_seconds);
        println!("{name}_cpu {:.3} s/GB", self.cpu_seconds / gigabytes);
    }

    fn print_count(&self, name: &str, count: u32) {
        println!("{name} {:.0} 1/s", f64::from(count) / self.wall_seconds);
        let microseconds = self.cpu_seconds * 1e6 / f64::from(count);
        println!("{name}_cpu {microseconds:.1} us");
    }
}

fn measure_frames(name: &str, aes: bool) {
    let (mut client, mut server) = streaming(aes);
    let payload = support::payload(1, FRAME_BYTES);
    let (mut sealing, mut opening) = (Stopwatch::default(), Stopwatch::default());
    let mut wire = Vec::with_capacity(FRAME_BYTES + 4096);
    for number in 0..FRAMES {
        wire.clear();
        sealing.measure(|| {
            let number = FrameNumber(number.into());
            let mut frame = OutgoingFrame::new(StreamId(0), number, NOW, FrameFlags::KEY);
            while !client
                .seal_frame(NOW, &mut frame, &payload, &mut wire)
                .unwrap()
            {}
        });
        let opened_bytes = opening.measure(|| {
            let mut rest = wire.as_mut_slice();
            let mut opened_bytes = 0;
            while let Ok(Packet::Complete(length)) = next_record(rest, 64 * 1024) {
                let (record, after) = rest.split_at_mut(length);
                let piece = server.handle_record(NOW, record).unwrap();
                opened_bytes += piece.map_or(0, |piece| piece.bytes.len());
                rest = after;
            }
            opened_bytes
        });
        assert_eq!(opened_bytes, FRAME_BYTES);
    }
    let gigabytes = f64::from(FRAMES) * 1e-3;
    sealing.print_bytes(&format!("seal_{name}"), gigabytes);
    opening.print_bytes(&format!("open_{name}"), gigabytes);
}

/// Frames of any length over datagrams of 1,472 bytes, one call for each. `lost` of a frame's fragments do not arrive; there is parity for them.
fn measure_datagrams(
    name: &str,
    aes: bool,
    frame_bytes: usize,
    (lost, parity_percent): (usize, u8),
) {
    let (mut client, mut server) = support::streaming_datagrams(aes);
    client.set_parity(parity_percent);
    let frames = u32::try_from(FRAMES as usize * FRAME_BYTES / frame_bytes).unwrap();
    let payload = support::payload(1, frame_bytes);
    let (mut sealing, mut opening) = (Stopwatch::default(), Stopwatch::default());
    let mut now = NOW;
    let mut datagrams: Vec<Vec<u8>> = Vec::new();
    for number in 0..frames {
        let bytes = payload.clone();
        let facts = (FrameNumber(number.into()), now, FrameFlags::KEY);
        sealing
            .measure(|| client.send_frame(now, StreamId(0), facts, bytes))
            .unwrap();
        let (mut handed_out, mut to_lose) = (0, lost);
        while handed_out == 0 {
            let mut count = 0;
            sealing.measure(|| {
                loop {
                    if datagrams.len() == count {
                        datagrams.push(Vec::with_capacity(1500));
                    }
                    let datagram = datagrams.get_mut(count).unwrap();
                    datagram.clear();
                    if !client.poll_datagram(now, datagram).unwrap() {
                        break;
                    }
                    count += 1;
                }
            });
            handed_out = opening.measure(|| {
                let skipped = to_lose.min(count);
                to_lose -= skipped;
                for datagram in datagrams.iter_mut().take(count).skip(skipped) {
                    server.handle_datagram(now, datagram).unwrap();
                }
                server
                    .poll_frame(now)
                    .map_or(0, |frame| frame.as_fragment().bytes.len())
            });
            now = now + std::time::Duration::from_micros(250);
            support::exchange_datagrams(now, &mut server, &mut client);
            while server.poll_event().is_some() || client.poll_event().is_some() {}
        }
        assert_eq!(handed_out, frame_bytes);
        // The parity of the frame, which was whole before.
        let mut datagram = Vec::new();
        while client.is_sending(StreamId(0)) {
            now = now + std::time::Duration::from_micros(250);
            datagram.clear();
            while client.poll_datagram(now, &mut datagram).unwrap() {
                opening.measure(|| server.handle_datagram(now, &mut datagram).unwrap());
                datagram.clear();
            }
        }
    }
    let gigabytes = f64::from(FRAMES) * 1e-3;
    sealing.print_bytes(&format!("seal_datagrams_{name}"), gigabytes);
    opening.print_bytes(&format!("open_datagrams_{name}"), gigabytes);
}

fn measure_floor(name: &str, algorithm: &'static Algorithm) {
    let key = LessSafeKey::new(UnboundKey::new(algorithm, &[7; 32]).unwrap());
    let nonce = || Nonce::assume_unique_for_key([1; 12]);
    let mut sealed = vec![5; FLOOR_BYTES];
    key.seal_in_place_append_tag(nonce(), Aad::from([0; 8]), &mut sealed)
        .unwrap();
    // As many at a time as a frame of 1 MB has, so that caches and the reading of clocks weigh the same.
    let records_at_a_time = FRAME_BYTES.div_ceil(FLOOR_BYTES);
    let mut opening = Stopwatch::default();
    let mut records = vec![Vec::new(); records_at_a_time];
    for _ in 0..FRAMES {
        // Opening destroys what was sealed; the copy that restores it is not measured.
        records
            .iter_mut()
            .for_each(|record| record.clone_from(&sealed));
        opening.measure(|| {
            for record in &mut records {
                key.open_in_place(nonce(), Aad::from([0; 8]), record)
                    .unwrap();
            }
        });
    }
    let gigabytes = f64::from(FRAMES) * (records_at_a_time * FLOOR_BYTES) as f64 * 1e-9;
    opening.print_bytes(&format!("floor_{name}"), gigabytes);
}

fn measure_handshakes() {
    let mut random = Seeded(1);
    let mut door = door(&mut random);
    let suites = Suites::all(true);
    let (mut at_client, mut at_server) = (Stopwatch::default(), Stopwatch::default());
    let mut hello_only = Stopwatch::default();
    for number in 0..HANDSHAKES {
        // Each from a site of its own: one site may not begin so many at once.
        let source = address(&format!("192.0.{}.{}:4711", number / 256, number % 256));
        let (client, hello) = at_client
            .measure(|| ExpectHelloReply::start(suites, Limits::default(), None, &mut random));
        let reply = hello_only
            .measure(|| door.handle_hello(NOW, &source, &hello, None, &mut random))
            .unwrap();
        let (client, initiation) = at_client.measure(|| {
            let offer = client.handle_reply(&reply).unwrap();
            offer.initiate(&CLIENT_PRIVATE_KEY, &mut random).unwrap()
        });
        let (_, response) = at_server.measure(|| {
            let initiation = door.handle_initiation(NOW, &source, &initiation).unwrap();
            initiation.accept(NOW, 1, &mut random).unwrap()
        });
        at_client.measure(|| client.handle_response(NOW, &response).unwrap());
    }
    at_client.print_count("handshakes_client", HANDSHAKES);
    at_server.print_count("handshakes_server", HANDSHAKES);
    hello_only.print_count("hello_server", HANDSHAKES);
}

fn main() {
    measure_frames("aes", true);
    measure_datagrams("aes", true, FRAME_BYTES, (0, 0));
    measure_datagrams("100_kb_aes", true, 100_000, (0, 0));
    measure_datagrams("parity_none_lost_aes", true, 100_000, (0, 20));
    measure_datagrams("parity_one_lost_aes", true, 100_000, (1, 20));
    measure_datagrams("parity_ten_lost_aes", true, 100_000, (10, 20));
    measure_floor("aes", &AES_256_GCM);
    measure_frames("chacha", false);
    measure_floor("chacha", &CHACHA20_POLY1305);
    measure_handshakes();
}
