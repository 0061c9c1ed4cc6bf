//! Cameras by what scripts call them, and what these are told when there is none.

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use sdvr::Error;
use serde::Deserialize;

use crate::catalog::Known;
use crate::site::Site;

/// What may stand behind the question mark.
#[derive(Debug, Deserialize)]
pub(crate) struct Query {
    /// Whose camera is meant.
    directory: Option<PathBuf>,
    /// `ok`: the newest picture however old it is.
    stale: Option<String>,
}

impl Query {
    pub(crate) fn takes_stale(&self) -> bool {
        self.stale.as_deref() == Some("ok")
    }
}

/// Why a script gets nothing.
#[derive(Debug)]
pub(crate) struct Refused {
    status: StatusCode,
    text: String,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { status, text }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        (self.status, headers, format!("{}\n", self.text)).into_response()
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::NotFound { .. } => StatusCode::NOT_FOUND,
            Error::Ambiguous { .. } => {
                return Self::new(
                    StatusCode::CONFLICT,
                    format!("{error}, or append ?directory= and the directory to the address"),
                );
            }
            Error::Forbidden => StatusCode::FORBIDDEN,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

/// The camera of an address whose last part is its name and an extension.
pub(crate) async fn camera(
    site: &Arc<Site>,
    name: &str,
    extension: &str,
    query: &Query,
) -> Result<Arc<Known>, Refused> {
    let Some(label) = name.strip_suffix(extension) else {
        return Err(Refused::new(
            StatusCode::NOT_FOUND,
            format!("the address ends with a camera's label and {extension}"),
        ));
    };
    let (label, directory) = (label.to_owned(), query.directory.clone());
    let site = Arc::clone(site);
    let find = move || site.catalog.find(&label, directory.as_deref());
    let known = tokio::task::spawn_blocking(find).await;
    let known = known
        .map_err(|error| Refused::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(Arc::new(known?))
}
