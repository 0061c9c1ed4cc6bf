//! Somebody on the way between camera and daemon, who can do to a TCP connection whatever he likes.

mod records;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use records::Record;
use records::Records;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the camera.
    ToDaemon,
    /// From the daemon.
    ToClient,
}

/// What is done to the bytes of one direction, once a connection. Places are counted in bytes from the connection's begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// One bit of the byte `at` is the other one.
    Flip {
        /// Where.
        at: u64,
        /// From 0 to 7.
        bit: u8,
    },
    /// The connection ends after `at` bytes, both ways.
    Cut {
        /// Where.
        at: u64,
    },
    /// `length` bytes never come.
    Drop {
        /// Where.
        at: u64,
        /// How many.
        length: u64,
    },
    /// `length` bytes come twice.
    Duplicate {
        /// Where.
        at: u64,
        /// How many.
        length: u64,
    },
    /// `length` bytes come after the `length` that follow them.
    Swap {
        /// Where.
        at: u64,
        /// How many.
        length: u64,
    },
    /// Each byte is a write of its own, and after every 64th there is a pause.
    Trickle,
}

/// What is done to a connection: nothing, or harm to one direction of it.
pub type Fault = Option<(Direction, Harm)>;

/// Makes the fault of each connection that comes.
type Faults = Box<dyn FnMut() -> Fault + Send>;

/// Whether the link is cut before a record.
type IsCut = Box<dyn FnMut(Direction, Record) -> bool + Send>;

/// Between a port of its own and a daemon's, until it is dropped.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    daemon: u16,
    faults: Mutex<Faults>,
    /// What each connection's camera has sent, before anything was done to it.
    sent: Mutex<Vec<Arc<Mutex<Vec<u8>>>>>,
    harmed: AtomicUsize,
    is_healed: AtomicBool,
    cuts: Mutex<IsCut>,
    is_cut: AtomicBool,
    has_ended: AtomicBool,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Proxy")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Proxy {
    /// A proxy before the daemon that does no harm yet.
    #[must_use]
    pub fn new(daemon: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            daemon,
            faults: Mutex::new(Box::new(|| None)),
            sent: Mutex::new(Vec::new()),
            harmed: AtomicUsize::new(0),
            is_healed: AtomicBool::new(false),
            cuts: Mutex::new(Box::new(|_, _| false)),
            is_cut: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept(&listener, &accepting));
        Self { port, shared }
    }

    /// Where cameras connect.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// From now on each new connection has the fault that `faults` makes for it.
    pub fn harm(&self, faults: impl FnMut() -> Fault + Send + 'static) {
        *self.shared.faults.lock().unwrap() = Box::new(faults);
        self.shared.is_healed.store(false, Ordering::SeqCst);
    }

    /// From now on all bytes pass as they are, also those of connections that are there. What was done is not undone.
    pub fn heal(&self) {
        *self.shared.faults.lock().unwrap() = Box::new(|| None);
        self.shared.is_healed.store(true, Ordering::SeqCst);
    }

    /// Once `which` says so of a record, neither it nor anything else passes, in either direction, until [`Self::mend`]. Nobody is told:
    /// connections stay as they are, as when a cable is pulled.
    pub fn cut_before(&self, which: impl FnMut(Direction, Record) -> bool + Send + 'static) {
        *self.shared.cuts.lock().unwrap() = Box::new(which);
    }

    /// Whether the link is cut now.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.shared.is_cut.load(Ordering::SeqCst)
    }

    /// Everything passes again, what waits first.
    pub fn mend(&self) {
        self.cut_before(|_, _| false);
        self.shared.is_cut.store(false, Ordering::SeqCst);
    }

    /// How many connections were harmed so far.
    #[must_use]
    pub fn harmed(&self) -> usize {
        self.shared.harmed.load(Ordering::SeqCst)
    }

    /// What each connection's camera has sent, in the order in which they came.
    #[must_use]
    pub fn sent(&self) -> Vec<Vec<u8>> {
        let sent = self.shared.sent.lock().unwrap();
        sent.iter()
            .map(|bytes| bytes.lock().unwrap().clone())
            .collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.has_ended.load(Ordering::SeqCst) {
            return;
        }
        // A daemon that is not there is a connection that ends at once.
        let (Ok(client), Ok(daemon)) = (client, TcpStream::connect(("127.0.0.1", shared.daemon)))
        else {
            continue;
        };
        let fault = shared.faults.lock().unwrap()();
        let record = Arc::new(Mutex::new(Vec::new()));
        shared.sent.lock().unwrap().push(Arc::clone(&record));
        let ways = [
            (Direction::ToDaemon, &client, &daemon, Some(record)),
            (Direction::ToClient, &daemon, &client, None),
        ];
        for (direction, from, to, record) in ways {
            let way = Way {
                direction,
                records: Records::new(direction),
                from: from.try_clone().unwrap(),
                to: to.try_clone().unwrap(),
                editor: Editor::new(
                    fault
                        .filter(|fault| fault.0 == direction)
                        .map(|fault| fault.1),
                ),
                record,
                shared: Arc::clone(shared),
            };
            std::thread::spawn(move || way.pass());
        }
    }
}

/// One direction of a connection.
struct Way {
    direction: Direction,
    records: Records,
    from: TcpStream,
    to: TcpStream,
    editor: Editor,
    record: Option<Arc<Mutex<Vec<u8>>>>,
    shared: Arc<Shared>,
}

impl Way {
    /// Passes bytes until one end or the fault ends the connection.
    fn pass(mut self) {
        let _ = self.to.set_nodelay(true);
        let mut buffer = vec![0; 64 * 1024];
        let mut edited = Vec::new();
        loop {
            let Ok(bytes @ 1..) = self.from.read(&mut buffer) else {
                edited.clear();
                self.editor.release(&mut edited);
                let _ = self.to.write_all(&edited);
                // The other direction may still have something to say.
                let _ = self.to.shutdown(Shutdown::Write);
                return;
            };
            if let Some(record) = &self.record {
                record.lock().unwrap().extend_from_slice(&buffer[..bytes]);
            }
            if self.shared.is_healed.load(Ordering::SeqCst) {
                self.editor.harm = None;
            }
            edited.clear();
            let was_harmed = self.editor.has_harmed;
            let goes_on = self.editor.edit(&buffer[..bytes], &mut edited);
            if self.editor.has_harmed && !was_harmed {
                self.shared.harmed.fetch_add(1, Ordering::SeqCst);
            }
            if !self.write_records(&edited) || !goes_on {
                let _ = self.from.shutdown(Shutdown::Both);
                let _ = self.to.shutdown(Shutdown::Both);
                return;
            }
        }
    }

    /// Writes, but not over a link that is cut, which it may be before any record.
    fn write_records(&mut self, bytes: &[u8]) -> bool {
        if self.editor.harm.is_some() {
            // There may be no records any more.
            return self.write(bytes);
        }
        let shared = Arc::clone(&self.shared);
        let direction = self.direction;
        let begins = |record| {
            if !shared.is_cut.load(Ordering::SeqCst)
                && shared.cuts.lock().unwrap()(direction, record)
            {
                shared.is_cut.store(true, Ordering::SeqCst);
            }
        };
        let mut records = std::mem::replace(&mut self.records, Records::new(direction));
        let goes_on = records.follow(bytes, begins, |bytes| {
            while shared.is_cut.load(Ordering::SeqCst) && !shared.has_ended.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(10));
            }
            self.write(bytes)
        });
        self.records = records;
        goes_on
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        if self.editor.harm != Some(Harm::Trickle) {
            return self.to.write_all(bytes).is_ok();
        }
        bytes.chunks(64).all(|chunk| {
            std::thread::sleep(Duration::from_millis(1));
            chunk.iter().all(|byte| self.to.write_all(&[*byte]).is_ok())
        })
    }
}

/// Does the harm, wherever the pieces are cut in which the bytes come.
#[derive(Debug)]
struct Editor {
    harm: Option<Harm>,
    position: u64,
    /// Bytes that must wait for others.
    held: Vec<u8>,
    has_harmed: bool,
}

impl Editor {
    const fn new(harm: Option<Harm>) -> Self {
        Self {
            harm,
            position: 0,
            held: Vec::new(),
            has_harmed: false,
        }
    }

    /// Adds to `out` what becomes of `bytes`; false when the connection ends there.
    fn edit(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        let Some(harm) = self.harm else {
            self.release(out);
            self.position += bytes.len() as u64;
            out.extend_from_slice(bytes);
            return true;
        };
        for &byte in bytes {
            let here = self.position;
            self.position += 1;
            match harm {
                Harm::Flip { at, bit } if here == at => {
                    self.has_harmed = true;
                    out.push(byte ^ (1 << bit));
                }
                Harm::Cut { at } if here >= at => {
                    self.has_harmed = true;
                    return false;
                }
                Harm::Drop { at, length } if (at..at + length).contains(&here) => {
                    self.has_harmed = true;
                }
                Harm::Duplicate { at, length } if (at..at + length).contains(&here) => {
                    out.push(byte);
                    self.held.push(byte);
                    if here + 1 == at + length {
                        self.has_harmed = true;
                        out.append(&mut self.held);
                    }
                }
                Harm::Swap { at, length } if (at..at + 2 * length).contains(&here) => {
                    if here < at + length {
                        self.held.push(byte);
                    } else {
                        self.has_harmed = true;
                        out.push(byte);
                    }
                    if here + 1 == at + 2 * length {
                        out.append(&mut self.held);
                    }
                }
                Harm::Trickle => {
                    self.has_harmed = true;
                    out.push(byte);
                }
                _ => out.push(byte),
            }
        }
        true
    }

    /// Gives out what waits for bytes that do not come any more.
    fn release(&mut self, out: &mut Vec<u8>) {
        if let Some(Harm::Duplicate { .. }) = self.harm {
            self.held.clear();
        }
        out.append(&mut self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of 0 to 9 in pieces of any size.
    fn edited(harm: Harm) -> Vec<u8> {
        let bytes: Vec<u8> = (0..10).collect();
        let whole = |piece: usize| {
            let mut editor = Editor::new(Some(harm));
            let mut out = Vec::new();
            let _ = bytes
                .chunks(piece)
                .all(|bytes| editor.edit(bytes, &mut out));
            assert!(editor.has_harmed, "{harm:?}");
            out
        };
        (1..10).for_each(|piece| assert_eq!(whole(piece), whole(10), "{harm:?} in {piece}"));
        whole(10)
    }

    #[test]
    fn harm_is_done_where_it_was_meant() {
        assert_eq!(
            edited(Harm::Flip { at: 2, bit: 7 }),
            [0, 1, 130, 3, 4, 5, 6, 7, 8, 9]
        );
        assert!(edited(Harm::Cut { at: 0 }).is_empty());
        assert_eq!(edited(Harm::Cut { at: 3 }), [0, 1, 2]);
        assert_eq!(edited(Harm::Drop { at: 1, length: 8 }), [0, 9]);
        assert_eq!(
            edited(Harm::Duplicate { at: 8, length: 2 }),
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 9]
        );
        assert_eq!(
            edited(Harm::Swap { at: 1, length: 3 }),
            [0, 4, 5, 6, 1, 2, 3, 7, 8, 9]
        );
    }
}
