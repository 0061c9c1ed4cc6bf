//! What datagrams come by: UDP, and raw Ethernet on the interfaces that were asked for. Each medium has a socket for the door and one a shard.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use anyhow::Context;
use sdvr_transport::{BoundTo, DatagramSocket, bind_ethernet, bind_udp};
use tracing::warn;

use crate::config::Config;

/// All sockets for datagrams.
pub(crate) struct Media {
    /// One for each medium, in the order of the shards'.
    door: Vec<Arc<DatagramSocket>>,
    /// For each medium, one a shard.
    shards: Vec<Vec<Arc<DatagramSocket>>>,
}

impl Media {
    /// Binds them, one right after the other.
    ///
    /// # Errors
    ///
    /// When one cannot be; the text says what to do.
    pub(crate) fn bind(config: &Config, port: u16) -> anyhow::Result<Self> {
        let shards = usize::from(config.threads);
        let udp = bind_udp(config.address, port, shards).with_context(|| {
            format!("cannot receive on UDP port {port}; another program may have it (`ss -ulpn` tells which; choose another port with -p)")
        })?;
        let mut media = vec![udp];
        for interface in &config.interfaces {
            media.push(bind_ethernet(interface, config.ethertype.number(), shards)?);
        }
        let mut bound = Self {
            door: Vec::new(),
            shards: Vec::new(),
        };
        for sockets in media {
            let mut sockets = sockets.into_iter().map(Arc::new);
            bound.door.extend(sockets.next());
            bound.shards.push(sockets.collect());
        }
        // They are all made alike: what one lacks, all do.
        if let Some(remedy) = bound.door.iter().find_map(|socket| socket.remedy()) {
            warn!("{remedy}");
        }
        Ok(bound)
    }

    /// The sockets by which sessions begin.
    pub(crate) fn of_door(&self) -> &[Arc<DatagramSocket>] {
        &self.door
    }

    /// Those of one shard.
    pub(crate) fn of_shard(&self, shard: u16) -> Vec<Arc<DatagramSocket>> {
        let sockets = self.shards.iter();
        sockets
            .filter_map(|sockets| sockets.get(usize::from(shard)).cloned())
            .collect()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<DatagramSocket>> {
        self.door.iter().chain(self.shards.iter().flatten())
    }

    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.all().map(AsFd::as_fd).collect()
    }
}

impl fmt::Display for Media {
    /// What there is besides UDP.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = self.door.iter().map(|socket| socket.bound_to());
        bound
            .filter(|bound| matches!(bound, BoundTo::Ethernet { .. }))
            .try_for_each(|bound| write!(formatter, ", {bound}"))
    }
}
