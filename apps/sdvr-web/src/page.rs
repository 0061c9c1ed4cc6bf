//! The page's own files, which are inside the program.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::Embed;

#[derive(Embed)]
#[folder = "page/"]
struct Files;

/// The file of this name; the page itself for none.
pub(crate) fn file(name: &str) -> Response {
    let name = if name.is_empty() { "index.html" } else { name };
    // Only what is listed: builds for debugging read them where they lie.
    let found = Files::iter()
        .find(|known| known == name)
        .and_then(|known| Files::get(&known));
    let (Some(file), Some(media_type)) = (found, media_type(name)) else {
        return (
            StatusCode::NOT_FOUND,
            "there is no such page; / has the cameras\n",
        )
            .into_response();
    };
    (
        [
            (header::CONTENT_TYPE, media_type),
            (header::CACHE_CONTROL, "no-cache"),
        ],
        Body::from(file.data.into_owned()),
    )
        .into_response()
}

fn media_type(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webmanifest" => "application/manifest+json",
        _ => return None,
    })
}
