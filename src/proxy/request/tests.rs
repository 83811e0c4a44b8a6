use super::*;

type Lines<'a> = &'a [(&'a str, &'a str)];

fn head(method: &str, target: &str, headers: Lines) -> request::Parts {
    let mut builder = http::Request::builder().method(method).uri(target);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn checked(mut head: request::Parts, raw: &[u8]) -> Result<request::Parts, Kind> {
    check(&mut head, raw, &HeaderValue::from_static("cart.shop"))
        .map(|()| head)
        .map_err(|refusal| refusal.kind)
}

#[test]
fn heads_that_are_refused() {
    let host = ("host", "a");
    let rows: &[(&str, &str, Lines, Kind)] = &[
        ("CONNECT", "a:80", &[host], Kind::MethodNotAllowed),
        ("GET", "/", &[], Kind::BadRequest),
        ("GET", "/", &[host, ("host", "b")], Kind::BadRequest),
        ("GET", "/", &[host, host], Kind::BadRequest),
        ("GET", "/", &[("host", "a/b")], Kind::BadRequest),
        ("GET", "/", &[("host", "user@a")], Kind::BadRequest),
        ("GET", "/", &[("host", "a:x")], Kind::BadRequest),
        ("GET", "/", &[("host", "a:1:2")], Kind::BadRequest),
        ("GET", "/", &[("host", "::1")], Kind::BadRequest),
        ("GET", "/", &[("host", "[::1]a")], Kind::BadRequest),
        ("GET", "/", &[("host", "a[::1]")], Kind::BadRequest),
        ("GET", "/", &[("host", "[[::1]]")], Kind::BadRequest),
        ("GET", "/", &[("host", "[::1")], Kind::BadRequest),
        ("GET", "http://b:x/", &[host], Kind::BadRequest),
        ("GET", "a:80", &[host], Kind::BadRequest),
        ("GET", "*", &[host], Kind::BadRequest),
        ("GET", "ftp://a/", &[host], Kind::BadRequest),
        ("GET", "http://user@a/", &[host], Kind::BadRequest),
        ("GET", "http://a/", &[], Kind::BadRequest),
        (
            "POST",
            "/",
            &[host, ("transfer-encoding", "gzip, chunked")],
            Kind::UnsupportedCoding,
        ),
        (
            "POST",
            "/",
            &[host, ("transfer-encoding", "chunked, chunked")],
            Kind::UnsupportedCoding,
        ),
        (
            "POST",
            "/",
            &[
                host,
                ("transfer-encoding", "chunked"),
                ("transfer-encoding", "chunked"),
            ],
            Kind::UnsupportedCoding,
        ),
        (
            "POST",
            "/",
            &[
                host,
                ("transfer-encoding", "chunked"),
                ("content-length", "3"),
            ],
            Kind::BadRequest,
        ),
        (
            "POST",
            "/",
            &[host, ("expect", "200-ok")],
            Kind::ExpectationFailed,
        ),
        (
            "POST",
            "/",
            &[host, ("expect", "100-continue"), ("expect", "x")],
            Kind::ExpectationFailed,
        ),
    ];
    for (method, target, headers, kind) in rows {
        assert_eq!(
            checked(head(method, target, headers), b"").unwrap_err(),
            *kind,
            "{method} {target} {headers:?}"
        );
    }
}

#[test]
fn heads_that_pass_as_they_are() {
    let rows: &[(&str, &str, Lines)] = &[
        ("GET", "/a/../b//c?x=%2f&y", &[("host", "a:8080")]),
        ("GET", "/", &[("host", "[::1]:80")]),
        ("GET", "/", &[("host", "")]),
        ("OPTIONS", "*", &[("host", "a")]),
        ("GET", "/", &[("host", "[fe80::1%25eth0]")]),
        ("GET", "/", &[("host", "a,b:")]),
        (
            "POST",
            "/",
            &[("host", "a"), ("transfer-encoding", "chunked")],
        ),
        ("POST", "/", &[("host", "a"), ("expect", "100-Continue")]),
    ];
    for (method, target, headers) in rows {
        let before = head(method, target, headers);
        let after = checked(head(method, target, headers), b"").unwrap();
        assert_eq!(after.uri, before.uri);
        assert_eq!(after.headers, before.headers);
    }
}

#[test]
fn an_absolute_target_becomes_host_and_origin_form() {
    let after = checked(
        head("GET", "http://b:81/p?q", &[("host", "a"), ("x", "1")]),
        b"",
    )
    .unwrap();
    assert_eq!(after.uri.to_string(), "/p?q");
    assert_eq!(after.headers[header::HOST], "b:81");
    for (target, origin) in [
        ("http://b", "/"),
        ("http://b?q", "/?q"),
        ("http://b?", "/?"),
        ("http://b#f", "/"),
        ("http://b/p#f", "/p"),
    ] {
        let after = checked(head("GET", target, &[("host", "a")]), b"").unwrap();
        assert_eq!(after.uri.to_string(), origin, "{target}");
    }
}

#[test]
fn a_coding_in_other_letters_goes_on_in_the_usual_ones() {
    let lines = &[("transfer-encoding", "cHUNKED"), ("host", "a")];
    let after = checked(head("POST", "/", lines), b"").unwrap();
    assert_eq!(after.headers[header::TRANSFER_ENCODING], "chunked");
}

#[test]
fn an_old_client_may_name_no_host_and_its_expectation_is_dropped() {
    let mut old = head("GET", "/", &[("expect", "100-continue")]);
    old.version = Version::HTTP_10;
    let after = checked(old, b"").unwrap();
    assert_eq!(after.headers[header::HOST], "cart.shop");
    assert!(!after.headers.contains_key(header::EXPECT));
}

#[test]
fn a_content_length_that_the_parser_hid_is_found_in_the_raw_head() {
    let chunked = || {
        head(
            "POST",
            "/",
            &[("host", "a"), ("transfer-encoding", "chunked")],
        )
    };
    let with = |line: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nHost: a\r\n{line}Transfer-Encoding: chunked\r\n\r\n{body}")
            .into_bytes()
    };
    for line in [
        "Content-Length: 3\r\n",
        "content-LENGTH:3\n",
        "CONTENT-LENGTH:\t3\r\n",
    ] {
        let raw = with(line, "");
        assert_eq!(
            checked(chunked(), &raw).unwrap_err(),
            Kind::BadRequest,
            "{line:?}"
        );
    }
    for (line, body) in [
        ("X-Content-Length: 3\r\n", ""),
        ("Content-Length-X: 3\r\n", ""),
        ("", "5\r\n\nContent-Length: 3\r\n0\r\n\r\n"),
    ] {
        let raw = with(line, body);
        assert!(checked(chunked(), &raw).is_ok(), "{line:?} {body:?}");
    }
    let mut leading = b"\r\n".to_vec();
    leading.extend(with("Content-Length: 3\r\n", ""));
    assert!(checked(chunked(), &leading).is_err());
}
