//! The way of datagrams from a camera in the guest to the daemon, which a test can cut.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it is looked whether the test is over.
const LOOK: Duration = Duration::from_millis(100);

/// Passes one camera's datagrams on, both ways, until it is dropped.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    /// What the camera sends is lost.
    is_cut: AtomicBool,
    lost: AtomicU64,
    /// Where the camera's last datagram came from.
    camera: Mutex<Option<SocketAddr>>,
}

impl Relay {
    /// A way to the daemon at this port.
    #[must_use]
    pub fn to(daemon: u16) -> Self {
        let [front, back] = [0; 2].map(|_| {
            let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
            socket.set_read_timeout(Some(LOOK)).unwrap();
            Arc::new(socket)
        });
        back.connect(("127.0.0.1", daemon)).unwrap();
        let port = front.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let there = {
            let (shared, front, back) =
                (Arc::clone(&shared), Arc::clone(&front), Arc::clone(&back));
            move || {
                shared.pass(&front, |shared, datagram, from| {
                    *shared.camera.lock().unwrap() = Some(from);
                    if shared.is_cut.load(Ordering::Relaxed) {
                        shared.lost.fetch_add(1, Ordering::Relaxed);
                    } else {
                        // Whoever does not take it has lost it.
                        let _ = back.send(datagram);
                    }
                });
            }
        };
        let back_again = {
            let shared = Arc::clone(&shared);
            move || {
                shared.pass(&back, |shared, datagram, _| {
                    if let Some(camera) = *shared.camera.lock().unwrap() {
                        let _ = front.send_to(datagram, camera);
                    }
                });
            }
        };
        Self {
            port,
            shared,
            threads: vec![std::thread::spawn(there), std::thread::spawn(back_again)],
        }
    }

    /// Where the camera finds it.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Loses all that the camera sends in so long a time; gives how many datagrams those were.
    pub fn cut_for(&self, time: Duration) -> u64 {
        let before = self.shared.lost.load(Ordering::Relaxed);
        self.shared.is_cut.store(true, Ordering::Relaxed);
        std::thread::sleep(time);
        self.shared.is_cut.store(false, Ordering::Relaxed);
        self.shared.lost.load(Ordering::Relaxed) - before
    }
}

impl Shared {
    /// Gives each datagram of a socket to `take`, with where it came from, until the test is over.
    fn pass(&self, socket: &UdpSocket, take: impl Fn(&Self, &[u8], SocketAddr)) {
        let mut buffer = vec![0; 1 << 16];
        while !self.is_over.load(Ordering::Relaxed) {
            // Nothing has come, or the other end is not there now.
            let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                continue;
            };
            take(self, &buffer[..length], from);
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let has_panicked = thread.join().is_err();
            assert!(!has_panicked || std::thread::panicking());
        }
    }
}
