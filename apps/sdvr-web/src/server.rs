//! Listens, and serves whoever comes until the program is to end.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::WebOptions;
use crate::catalog::Catalog;
use crate::counters::Counters;
use crate::readers::Readers;
use crate::routes;
use crate::site::{Site, ended};

/// How often it is looked whether the program is to end.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// A request whose headers have not come in this time is given up.
const HEADERS_MOST: Duration = Duration::from_secs(10);
/// What connections get to say goodbye when the program ends.
const GOODBYE_MOST: Duration = Duration::from_millis(400);

pub(crate) async fn run(options: WebOptions, is_to_end: impl Fn() -> bool) -> anyhow::Result<()> {
    let listener = TcpListener::bind(options.listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.listen))?;
    let address = listener.local_addr()?;
    let (ends, ending) = watch::channel(false);
    let counters = Arc::new(Counters::default());
    let (catalog, follower) = {
        let ending = ending.clone();
        Catalog::follow(move || *ending.borrow())?
    };
    let site = Arc::new(Site {
        catalog,
        readers: Readers::new(Arc::clone(&counters)),
        counters: Arc::clone(&counters),
        ending: ending.clone(),
    });
    let router = routes::routes(Arc::clone(&site));
    let mut out = std::io::stdout().lock();
    writeln!(out, "sdvr web: http://{address}/").and_then(|()| out.flush())?;
    drop(out);
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    while !is_to_end() {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    // Out of descriptors, as a rule: others may end meanwhile.
                    tokio::time::sleep(LOOK_INTERVAL).await;
                    continue;
                };
                let _ = stream.set_nodelay(true);
                let (router, ending, counters) = (router.clone(), ending.clone(), Arc::clone(&counters));
                tokio::spawn(async move {
                    let _open = counters.connections.hold();
                    serve(stream, router, ending).await;
                });
            }
            _ = look.tick() => {}
        }
    }
    ends.send_replace(true);
    let all_gone = async {
        while counters.connections.value() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let _ = tokio::time::timeout(GOODBYE_MOST, all_gone).await;
    drop(follower);
    Ok(())
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    ending: watch::Receiver<bool>,
) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_MOST)
        .max_buf_size(16 << 10)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    tokio::select! {
        _ = connection => {}
        () = ended(ending) => {}
    }
}
