//! What somebody is told who comes without the token: people get a field for it.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

const TEXT: &str = "\
This server shows its cameras to those who know its token. Open the address that `sdvr web`
has printed when it was started, which ends with ?token=…, or send the token in a header:
Authorization: Bearer TOKEN
";

/// Sends what is typed in as the address with `?token=` would. Needs nothing else of this server, which would be refused likewise.
const PAGE: &str = "<!doctype html>
<html lang=\"en\">
<meta charset=\"utf-8\">
<meta name=\"viewport\" content=\"width=device-width\">
<meta name=\"color-scheme\" content=\"light dark\">
<title>SDVR: token</title>
<h1>Cameras</h1>
<p>This server shows its cameras to those who know its token: what stands behind <code>?token=</code> in the address that
<code>sdvr web</code> has printed when it was started, or what it was started with.
<form method=\"get\">
<label>Token <input type=\"password\" name=\"token\" autocomplete=\"current-password\" autofocus required></label>
<button>Show cameras</button>
</form>
";
/// As the policy of all pages, but that this one loads nothing and sends its field, to this server only.
const POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// For a request with these headers; `is_page` when a page would be there.
pub(super) fn without_token(headers: &HeaderMap, is_page: bool) -> Response {
    let accepts = headers.get(header::ACCEPT).map(|accepts| accepts.to_str());
    let is_browser = matches!(accepts, Some(Ok(kinds)) if kinds.contains("text/html"));
    let asks = [
        (header::WWW_AUTHENTICATE, "Bearer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    if !(is_page && is_browser) {
        return (StatusCode::UNAUTHORIZED, asks, TEXT).into_response();
    }
    let form = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (StatusCode::UNAUTHORIZED, asks, form, PAGE).into_response()
}
