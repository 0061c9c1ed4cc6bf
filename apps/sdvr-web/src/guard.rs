//! Who is let in, and what browsers may do with what they get.
//!
//! Without a token everybody on this host is: then it must be made sure that a request is not the doing of a page from elsewhere. Such a page can send requests
//! to this address (their origin tells), and have a name of its own lead to it (their host tells).

mod refusal;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::token::Token;

/// Whom the server lets in.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) port: u16,
    pub(crate) is_encrypted: bool,
    /// `None`: everybody who is on this host.
    pub(crate) token: Option<Token>,
}

/// Headers of all answers. Everything a page loads comes from here, and nobody shows what is here in a page of his own.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; worker-src 'self'; \
         manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (HeaderName::from_static("x-robots-tag"), "noindex"),
];

/// How long a browser keeps the token, seconds.
const COOKIE_AGE_S: u32 = 30 * 24 * 3600;

/// Lets a request through to `next`, or answers it.
pub(crate) async fn check(
    State(access): State<Arc<Access>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match access.admit(request.method(), request.uri(), request.headers()) {
        Admission::Granted => next.run(request).await,
        Admission::Answered(mut response) => {
            if response.status().is_client_error() {
                // Strangers keep no connection, of which there are only so many.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            *response
        }
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        let usual = HeaderValue::from_static(value);
        headers.entry(name).or_insert(usual);
    }
    response
}

/// What becomes of a request.
enum Admission {
    Granted,
    Answered(Box<Response>),
}

impl Admission {
    fn refused(status: StatusCode, text: &'static str) -> Self {
        Self::Answered(Box::new((status, text).into_response()))
    }
}

impl Access {
    fn admit(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Admission {
        let Some(Ok(host)) = headers.get(header::HOST).map(HeaderValue::to_str) else {
            return Admission::refused(StatusCode::BAD_REQUEST, "a request needs a Host\n");
        };
        if uri.authority().is_some_and(|other| other.as_str() != host) {
            return Admission::refused(StatusCode::BAD_REQUEST, "this is no proxy\n");
        }
        if self.token.is_none() && !is_this_host(host, self.port) {
            return Admission::refused(
                StatusCode::MISDIRECTED_REQUEST,
                "Without a token this server is only known as localhost, 127.0.0.1 and [::1]. Use one of these names,\nor start `sdvr web` with --token to use it through others.\n",
            );
        }
        if let Some(origin) = headers.get(header::ORIGIN)
            && !is_origin_of(origin, host)
        {
            return Admission::refused(
                StatusCode::FORBIDDEN,
                "pages of other origins have no access\n",
            );
        }
        let is = |name, value: &str| headers.get(name).is_some_and(|is| is == value);
        if is("sec-fetch-site", "cross-site") && !is("sec-fetch-mode", "navigate") {
            return Admission::refused(
                StatusCode::FORBIDDEN,
                "pages of other sites have no access\n",
            );
        }
        match &self.token {
            None => Admission::Granted,
            Some(token) => self.admit_with(token, method, uri, headers),
        }
    }

    fn admit_with(
        &self,
        token: &Token,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Admission {
        let bearer = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, said)| said.trim());
        let name = self.cookie_name();
        let mut cookies = headers
            .get_all(header::COOKIE)
            .into_iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(other, _)| *other == name)
            .map(|(_, said)| said);
        let query = uri.query().unwrap_or_default();
        let in_query = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("token="));
        let is_page = method == Method::GET && !is_for_scripts(uri.path());
        if in_query.is_some_and(|said| token.is(said)) {
            // A page's address is seen and kept: it must not have the token in it for long. What scripts and players fetch is not.
            return if is_page {
                Admission::Answered(Box::new(self.remember(token, uri)))
            } else {
                Admission::Granted
            };
        }
        if bearer.is_some_and(|said| token.is(said)) || cookies.any(|said| token.is(said)) {
            return Admission::Granted;
        }
        Admission::Answered(Box::new(refusal::without_token(headers, is_page)))
    }

    /// Has the browser keep the token, and leads it to the same address without it.
    fn remember(&self, token: &Token, uri: &Uri) -> Response {
        let rest: Vec<&str> = uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.starts_with("token="))
            .collect();
        // A path that begins with two slashes would be another host's address; browsers take a backslash for one.
        let path = uri.path().trim_start_matches(['/', '\\']);
        let place = match rest.is_empty() {
            true => format!("/{path}"),
            false => format!("/{path}?{}", rest.join("&")),
        };
        let secure = if self.is_encrypted { "; Secure" } else { "" };
        let cookie = format!(
            "{}={}; Path=/; HttpOnly; SameSite=Strict; Max-Age={COOKIE_AGE_S}{secure}",
            self.cookie_name(),
            token.expose()
        );
        let headers = [
            (header::LOCATION, place),
            (header::SET_COOKIE, cookie),
            (header::CACHE_CONTROL, "no-store".to_owned()),
        ];
        (StatusCode::SEE_OTHER, headers).into_response()
    }

    /// Browsers do not keep cookies of ports apart.
    fn cookie_name(&self) -> String {
        let prefix = if self.is_encrypted { "__Host-" } else { "" };
        format!("{prefix}sdvr-{}", self.port)
    }
}

fn is_for_scripts(path: &str) -> bool {
    ["/api/", "/snapshot/", "/stream/", "/metrics", "/socket"]
        .iter()
        .any(|start| path.starts_with(start))
}

/// Whether a request's host is a name that always leads to this host.
fn is_this_host(host: &str, port: u16) -> bool {
    let (name, said) = match host.rsplit_once(':') {
        Some((name, said)) if !said.ends_with(']') => (name, said.parse()),
        _ => (host, Ok(80)),
    };
    let is_loopback = name.eq_ignore_ascii_case("localhost")
        || name.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback())
        || name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .and_then(|name| name.parse().ok())
            .is_some_and(|ip: Ipv6Addr| ip.is_loopback());
    is_loopback && said == Ok(port)
}

/// Whether a page of this origin came from `host`.
fn is_origin_of(origin: &HeaderValue, host: &str) -> bool {
    let origin = origin.to_str().unwrap_or_default();
    let place = ["http://", "https://"]
        .iter()
        .find_map(|scheme| origin.strip_prefix(scheme));
    place.is_some_and(|place| place.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests;
