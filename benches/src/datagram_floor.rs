//! What a receiver of datagrams cannot undercut: joined packets of the kernel, opening each datagram, one copy. In one process, with nothing else.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};

use crate::floor::{seconds_per_gigabyte, thread_cpu};

/// What any link carries.
const DATAGRAM_BYTES: usize = 1200;
const TAG_BYTES: usize = 16;
const MESSAGE_BYTES: usize = 64 * 1024;
const RING_BYTES: usize = 16 << 20;

/// CPU seconds per GB of one thread that receives datagrams as fast as another one sends them, opens each and copies it.
pub(crate) fn receive_open_copy(time: Duration) -> anyhow::Result<f64> {
    let receiver = UdpSocket::bind(("127.0.0.1", 0))?;
    let address = receiver.local_addr()?;
    let key = UnboundKey::new(&AES_256_GCM, &[1; 32]).ok();
    let key = LessSafeKey::new(key.context("a key of 32 bytes")?);
    let mut datagram = vec![7; DATAGRAM_BYTES - TAG_BYTES];
    key.seal_in_place_append_tag(nonce(), Aad::empty(), &mut datagram)
        .ok()
        .context("sealing a datagram")?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(address, &datagram, &stop));
        let result = receive(&receiver, &key, time);
        stop.store(true, Ordering::Relaxed);
        sender.join().ok().context("the sender has panicked")??;
        result
    })
}

fn nonce() -> Nonce {
    // What it is does not change what opening costs.
    Nonce::assume_unique_for_key([0; 12])
}

fn send(address: SocketAddr, datagram: &[u8], stop: &AtomicBool) -> anyhow::Result<()> {
    let socket = UdpSocket::bind(("127.0.0.1", 0))?;
    let state = UdpSocketState::new((&socket).into())?;
    let count = state.max_gso_segments().min(65_000 / DATAGRAM_BYTES);
    let contents = datagram.repeat(count);
    let transmit = Transmit {
        destination: address,
        ecn: None,
        contents: &contents,
        segment_size: Some(DATAGRAM_BYTES),
        src_ip: None,
    };
    while !stop.load(Ordering::Relaxed) {
        // What finds no room is lost, which is no part of what is measured.
        if state.try_send((&socket).into(), &transmit).is_err() {
            std::thread::yield_now();
        }
    }
    Ok(())
}

fn receive(socket: &UdpSocket, key: &LessSafeKey, time: Duration) -> anyhow::Result<f64> {
    let state = UdpSocketState::new(socket.into())?;
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let mut messages = vec![0; MESSAGE_BYTES * BATCH_SIZE];
    let mut ring = vec![0_u8; RING_BYTES];
    let (mut at, mut total) = (0, 0_u64);
    let (start, cpu_start) = (Instant::now(), thread_cpu());
    while start.elapsed() < time {
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let mut chunks = messages.chunks_mut(MESSAGE_BYTES);
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let Ok(count) = state.recv(socket.into(), &mut slices, &mut metas) else {
            std::thread::yield_now();
            continue;
        };
        for (message, meta) in messages.chunks_mut(MESSAGE_BYTES).zip(&metas).take(count) {
            let received = message.get_mut(..meta.len).unwrap_or_default();
            for datagram in received.chunks_mut(meta.stride.max(1)) {
                let opened = key.open_in_place(nonce(), Aad::empty(), datagram);
                let opened = opened.ok().context("opening a datagram")?;
                if let Some(place) = ring.get_mut(at..at + opened.len()) {
                    place.copy_from_slice(opened);
                }
                total += opened.len() as u64;
                at = (at + opened.len()) % (RING_BYTES - DATAGRAM_BYTES);
            }
        }
    }
    Ok(seconds_per_gigabyte(
        thread_cpu().saturating_sub(cpu_start),
        total,
    ))
}
