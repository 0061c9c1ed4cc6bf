//! Which address gives what.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;

use crate::site::Site;
use crate::{api, metrics, page, snapshot, socket, stream};

pub(crate) fn routes(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(async || page::file("")))
        .route(
            "/{*name}",
            get(async |Path(name): Path<String>| page::file(&name)),
        )
        .route("/socket", get(socket::open))
        .route("/api/cameras", get(api::cameras))
        .route("/snapshot/{*name}", get(snapshot::newest))
        .route("/stream/{*name}", get(stream::endless))
        .route("/metrics", get(metrics::all))
        .with_state(site)
}
