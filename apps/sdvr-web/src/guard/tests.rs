use super::*;

const TOKEN: &str = "0123456789abcdefABCDEF";

fn access(token: Option<&str>) -> Access {
    Access {
        port: 8337,
        is_encrypted: token.is_some(),
        token: token.map(|text| Token::parse(text).expect("it is long enough")),
    }
}

/// The status that a request is answered with; `None` when it is let through.
fn status(access: &Access, uri: &str, headers: &[(&'static str, &str)]) -> Option<u16> {
    answer(access, uri, headers).map(|response| response.status().as_u16())
}

fn answer(access: &Access, uri: &str, headers: &[(&'static str, &str)]) -> Option<Response> {
    let uri: Uri = uri.parse().expect("it is an address");
    let headers = headers
        .iter()
        .map(|(name, value)| {
            let value = HeaderValue::from_str(value).expect("it is text");
            (HeaderName::from_static(name), value)
        })
        .collect();
    match access.admit(&Method::GET, &uri, &headers) {
        Admission::Granted => None,
        Admission::Answered(response) => Some(*response),
    }
}

#[test]
fn only_names_that_always_lead_here_are_hosts_without_a_token() {
    let check = |host, expected| {
        assert_eq!(
            status(&access(None), "/", &[("host", host)]),
            expected,
            "{host}"
        );
    };
    for host in [
        "localhost:8337",
        "LocalHost:8337",
        "127.0.0.1:8337",
        "127.3.2.1:8337",
        "[::1]:8337",
    ] {
        check(host, None);
    }
    for host in [
        "localhost",
        "localhost:80",
        "localhost:8337.evil.example",
        "127.0.0.1.evil.example:8337",
        "evil.example:8337",
        "192.168.1.1:8337",
        "[::2]:8337",
        "[::1]",
        "::1:8337",
        "localhost.:8337",
        "",
    ] {
        check(host, Some(421));
    }
    assert_eq!(status(&access(None), "/", &[]), Some(400));
    let proxied = "http://evil.example/";
    assert_eq!(
        status(&access(None), proxied, &[("host", "localhost:8337")]),
        Some(400)
    );
}

#[test]
fn pages_from_elsewhere_are_refused() {
    let check = |origin, expected| {
        let headers = [("host", "localhost:8337"), ("origin", origin)];
        assert_eq!(
            status(&access(None), "/socket", &headers),
            expected,
            "{origin}"
        );
    };
    check("http://localhost:8337", None);
    for origin in [
        "http://localhost",
        "http://localhost:8338",
        "http://127.0.0.1:8337",
        "https://evil.example",
        "file://localhost:8337",
        "null",
        "",
    ] {
        check(origin, Some(403));
    }
    let embedded = [
        ("host", "localhost:8337"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "no-cors"),
    ];
    assert_eq!(
        status(&access(None), "/snapshot/door.jpg", &embedded),
        Some(403)
    );
    let clicked = [
        ("host", "localhost:8337"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
    ];
    assert_eq!(status(&access(None), "/", &clicked), None);
}

#[test]
fn a_token_is_asked_for_and_taken_from_header_cookie_and_address() {
    let access = access(Some(TOKEN));
    let host = ("host", "camera.example:8337");
    assert_eq!(status(&access, "/", &[host]), Some(401));
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(
        status(&access, "/", &[host, ("authorization", &bearer)]),
        None
    );
    let cookie = format!("other=1; __Host-sdvr-8337={TOKEN}");
    assert_eq!(status(&access, "/", &[host, ("cookie", &cookie)]), None);
    let address = format!("/stream/door.mjpg?token={TOKEN}");
    assert_eq!(status(&access, &address, &[host]), None);
    for wrong in ["", "0", "0123456789abcdefABCDEG", "0123456789abcdefABCDEF0"] {
        let bearer = format!("Bearer {wrong}");
        assert_eq!(
            status(&access, "/", &[host, ("authorization", &bearer)]),
            Some(401)
        );
        let cookie = format!("__Host-sdvr-8337={wrong}");
        assert_eq!(
            status(&access, "/", &[host, ("cookie", &cookie)]),
            Some(401)
        );
        let address = format!("/?token={wrong}");
        assert_eq!(status(&access, &address, &[host]), Some(401));
    }
}

#[test]
fn a_page_s_address_loses_the_token_and_stays_on_this_host() {
    let check = |uri: &str, place: &str| {
        let access = access(Some(TOKEN));
        let response = answer(&access, uri, &[("host", "camera.example:8337")])
            .expect("the browser is led elsewhere");
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert_eq!(response.headers()[header::LOCATION], place);
        let cookie = response.headers()[header::SET_COOKIE]
            .to_str()
            .expect("it is text");
        assert_eq!(
            cookie,
            format!(
                "__Host-sdvr-8337={TOKEN}; Path=/; HttpOnly; SameSite=Strict; Max-Age=2592000; Secure"
            )
        );
    };
    check(&format!("/?token={TOKEN}"), "/");
    check(&format!("/?a=1&token={TOKEN}&b=2"), "/?a=1&b=2");
    check(&format!("//evil.example/?token={TOKEN}"), "/evil.example/");
    check(&format!("/\\evil.example/?token={TOKEN}"), "/evil.example/");
}
