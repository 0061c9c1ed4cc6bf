//! Which address gives what.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::site::Site;
use crate::{api, metrics, page, snapshot, socket, stream};

/// Longer messages of a page end its socket.
const MESSAGE_BYTES_MOST: usize = 64 << 10;
/// What is read of a socket at a time: a page says little.
const READ_BYTES: usize = 4 << 10;

pub(crate) fn routes(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(async || page::file("")))
        .route(
            "/{*name}",
            get(async |Path(name): Path<String>| page::file(&name)),
        )
        .route("/socket", get(open_socket))
        .route("/api/cameras", get(api::cameras))
        .route("/snapshot/{*name}", get(snapshot::newest))
        .route("/stream/{*name}", get(stream::endless))
        .route("/metrics", get(metrics::all))
        .with_state(site)
}

async fn open_socket(State(site): State<Arc<Site>>, upgrade: WebSocketUpgrade) -> Response {
    // They are no connections of the server's own any more, and would not be counted among these.
    if site.counters.sockets.value() >= site.sockets_most {
        let text = "too many pages are open; close one\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    upgrade
        .max_message_size(MESSAGE_BYTES_MOST)
        .max_frame_size(MESSAGE_BYTES_MOST)
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .on_upgrade(move |socket| socket::serve(site, socket))
}
