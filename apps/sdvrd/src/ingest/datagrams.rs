//! Datagrams, which name the session that they are for.

use std::sync::Arc;

use getrandom::SysRng;
use getrandom::rand_core::{Rng, UnwrapErr};
use sdvr_frame::{LinkAddress, Timestamp};
use sdvr_session::{DatagramOutcome, Event, PeerPath, Session, SessionError};
use sdvr_transport::DatagramSocket;

use super::{Carrier, Ending, Ingest, Moment};
use crate::camera::{Camera, RingPlace};
use crate::peer::Peer;

/// Datagrams kept of a camera on which the door has not decided yet. What is more is lost, as on any link, and said again.
const EARLY_MOST: usize = 32;

/// A session over datagrams without a camera: not let in yet, or on its way out.
#[derive(Debug)]
pub(crate) struct DatagramSession {
    pub(crate) session: Box<Session>,
    pub(crate) carrier: DatagramCarrier,
}

impl DatagramSession {
    /// Sends what there is to say, whatever becomes of it.
    pub(crate) fn transmit(&mut self, now: Timestamp) -> Result<(), Ending> {
        self.carrier.transmit(now, &mut self.session)
    }
}

/// A camera's way over a socket that it has together with others.
#[derive(Debug)]
pub(crate) struct DatagramCarrier {
    /// What names the session in datagrams.
    pub(crate) index: u32,
    socket: Arc<DatagramSocket>,
    path: PeerPath<LinkAddress>,
    early: Vec<(LinkAddress, Vec<u8>)>,
    scratch: Vec<u8>,
}

impl DatagramCarrier {
    /// The way to who has shown in the handshake that it is at `address`.
    pub(crate) const fn new(index: u32, socket: Arc<DatagramSocket>, address: LinkAddress) -> Self {
        Self {
            index,
            socket,
            path: PeerPath::new(address),
            early: Vec::new(),
            scratch: Vec::new(),
        }
    }

    pub(crate) const fn peer(&self) -> Peer {
        Peer::Datagrams(self.address())
    }

    /// Where the camera is, as far as it has shown.
    pub(crate) const fn address(&self) -> LinkAddress {
        self.path.address()
    }

    /// Keeps a datagram until it is known whether the camera may stream.
    pub(crate) fn keep(&mut self, from: LinkAddress, datagram: &[u8]) {
        if self.early.len() < EARLY_MOST {
            self.early.push((from, datagram.to_vec()));
        }
    }

    /// What was kept.
    pub(super) fn take_early(&mut self) -> Vec<(LinkAddress, Vec<u8>)> {
        std::mem::take(&mut self.early)
    }

    /// Takes in one datagram; whether it was the camera's.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Timestamp,
        session: &mut Session,
        from: LinkAddress,
        datagram: &mut [u8],
    ) -> Result<bool, SessionError> {
        match session.handle_datagram(now, datagram)? {
            DatagramOutcome::Rejected(_) => return Ok(false),
            DatagramOutcome::Opened { is_newest: false } => {}
            DatagramOutcome::Opened { is_newest: true } => {
                let secret = || {
                    let mut secret = [0; 8];
                    UnwrapErr(SysRng).fill_bytes(&mut secret);
                    secret
                };
                if let Some(secret) = self.path.handle_newest(now, from, secret) {
                    self.scratch.clear();
                    session.challenge(secret, &mut self.scratch)?;
                    self.send(from);
                }
            }
        }
        Ok(true)
    }

    /// Sends what the session has to say.
    pub(crate) fn transmit(&mut self, now: Timestamp, session: &mut Session) -> Result<(), Ending> {
        loop {
            self.scratch.clear();
            if !session.poll_datagram(now, &mut self.scratch)? {
                return Ok(());
            }
            self.send(self.path.address());
        }
    }

    /// What the kernel does not take is lost, as it may be on the link, too: what matters is said again.
    fn send(&self, receiver: LinkAddress) {
        let _ = self
            .socket
            .send(receiver, &self.scratch, self.scratch.len());
    }
}

impl Ingest {
    /// Takes in one datagram, and the frames that it completes. What there is to answer waits for [`Self::transmit`].
    pub(crate) fn handle_datagram(
        &mut self,
        moment: Moment,
        from: LinkAddress,
        datagram: &mut [u8],
        camera: &mut Camera,
        place: &RingPlace,
    ) -> Result<(), Ending> {
        let Moment { now, .. } = moment;
        let Carrier::Datagrams(carrier) = &mut self.carrier else {
            return Ok(());
        };
        let datagram_bytes = u64::try_from(datagram.len()).unwrap_or(u64::MAX);
        if !carrier.handle_datagram(now, &mut self.session, from, datagram)? {
            return Ok(());
        }
        place.counters.received_bytes.add(datagram_bytes);
        self.take_frames(moment, camera, place);
        while let Some(event) = self.session.poll_event() {
            if let (Event::PathResponse(secret), Carrier::Datagrams(carrier)) =
                (&event, &mut self.carrier)
            {
                carrier.path.handle_answer(now, from, *secret);
            }
            self.handle_event(now, event, camera, place)?;
        }
        Ok(())
    }

    /// Frames that are whole, or follow one that was given up.
    pub(super) fn take_frames(&mut self, moment: Moment, camera: &mut Camera, place: &RingPlace) {
        while let Some(frame) = self.session.poll_frame(moment.heard_until) {
            camera.take(
                moment.now,
                &frame.as_fragment(),
                self.session.clock(),
                place,
            );
        }
    }
}
