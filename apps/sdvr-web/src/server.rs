//! Listens, and serves whoever comes until the program is to end.

mod connection;

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use self::connection::Door;
use crate::WebOptions;
use crate::catalog::Catalog;
use crate::counters::Counters;
use crate::guard::{self, Access};
use crate::readers::Readers;
use crate::routes;
use crate::site::Site;
use crate::snapshot;
use crate::tls::{self, Identity};
use crate::token::Token;

/// How often it is looked whether the program is to end.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// What connections get to say goodbye when the program ends.
const GOODBYE_MOST: Duration = Duration::from_millis(400);
/// Others wait in the system's queue until one ends. Each costs some 30 KiB.
const CONNECTIONS_MOST: usize = 4096;
/// What the program needs besides connections: rings, files, its own pipes.
const DESCRIPTORS_BESIDE: usize = 512;

pub(crate) async fn run(options: WebOptions, is_to_end: impl Fn() -> bool) -> anyhow::Result<()> {
    let connections_most = connections_most();
    let is_open = !options.listen.ip().to_canonical().is_loopback();
    let identity = match (is_open, &options.keys) {
        (false, _) => None,
        (true, Some(keys)) => Some(Identity::load_or_create(keys, options.listen)?),
        (true, None) => {
            let keys = sdvr_trust::default_path()?;
            Some(Identity::load_or_create(&keys, options.listen)?)
        }
    };
    let is_token_known = options.token.is_some();
    let token = match options.token {
        None if is_open => Some(Token::generate()?),
        token => token,
    };
    let listener = listen(options.listen).await?;
    let address = listener.local_addr()?;
    announce(
        address,
        identity.as_ref(),
        token.as_ref().filter(|_| !is_token_known),
    )?;
    let access = Arc::new(Access {
        port: address.port(),
        is_encrypted: identity.is_some(),
        token,
    });

    let (ends, ending) = watch::channel(false);
    let counters = Arc::new(Counters::default());
    let (catalog, follower) = {
        let ending = ending.clone();
        Catalog::follow(move || *ending.borrow())?
    };
    let site = Arc::new(Site {
        began: Instant::now(),
        catalog,
        readers: Readers::new(Arc::clone(&counters)),
        counters: Arc::clone(&counters),
        sockets_most: connections_most as u64,
        snapshots: Arc::new(Semaphore::new(snapshot::MADE_MOST)),
        monitor: Mutex::default(),
        ending: ending.clone(),
    });
    let door = Arc::new(Door {
        router: routes::routes(site).layer(from_fn_with_state(access, guard::check)),
        acceptor: identity.map(|identity| identity.acceptor),
        ending,
    });
    let places = Arc::new(Semaphore::new(connections_most));
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    let mut place = None;
    while !is_to_end() {
        tokio::select! {
            free = Arc::clone(&places).acquire_owned(), if place.is_none() => place = free.ok(),
            accepted = listener.accept(), if place.is_some() => {
                let Ok((stream, _)) = accepted else {
                    // Out of descriptors, as a rule: others may end meanwhile.
                    tokio::time::sleep(LOOK_INTERVAL).await;
                    continue;
                };
                let (door, place) = (Arc::clone(&door), place.take());
                let open = counters.connections.hold();
                tokio::spawn(async move {
                    door.serve(stream).await;
                    drop((open, place));
                });
            }
            _ = look.tick() => {}
        }
    }
    ends.send_replace(true);
    let all_gone = async {
        while counters.connections.value() > 0 || counters.sockets.value() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // Who does not go is left.
    let _ = tokio::time::timeout(GOODBYE_MOST, all_gone).await;
    follower.thread().unpark();
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "another program listens there, maybe another `sdvr web`; --listen chooses another port, such as 127.0.0.1:0 for any that is free"
            }
            io::ErrorKind::PermissionDenied => {
                "ports below 1024 are for programs that were given the right to them; --listen chooses a higher one"
            }
            io::ErrorKind::AddrNotAvailable => {
                "this host has no such address; --listen 0.0.0.0:8337 listens on all that it has"
            }
            _ => "--listen chooses another address",
        };
        anyhow::Error::new(error).context(format!("cannot listen on {address}: {remedy}"))
    })
}

/// Says on standard output where the cameras are, for people and for programs that wait for it.
fn announce(
    address: SocketAddr,
    identity: Option<&Identity>,
    made: Option<&Token>,
) -> anyhow::Result<()> {
    let scheme = if identity.is_some() { "https" } else { "http" };
    let host = match address.ip() {
        ip if ip.is_unspecified() => tls::reached_at(ip)
            .map(in_address)
            .or_else(tls::host_name)
            .unwrap_or_else(|| "localhost".to_owned()),
        ip => in_address(ip),
    };
    let port = address.port();
    let query = made.map_or_else(String::new, |token| format!("?token={}", token.expose()));
    let mut text = format!("sdvr web: {scheme}://{host}:{port}/{query}\n");
    if let Some(identity) = identity {
        text += &format!(
            "sdvr web: the browser will warn of the certificate, which this program has made itself; it is the right one if its\n\
             SHA-256 fingerprint is {}\n",
            identity.fingerprint
        );
    }
    // At once: who reads it may want the first line only.
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot write to standard output")
}

fn in_address(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// How many connections this process has descriptors for; asks the system for as many as it may have.
fn connections_most() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If that fails, there are fewer.
    let _ = setrlimit(Resource::Nofile, limit);
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
    // As many for pages, whose sockets are counted by themselves.
    (descriptors.saturating_sub(DESCRIPTORS_BESIDE) / 2).clamp(16, CONNECTIONS_MOST)
}
