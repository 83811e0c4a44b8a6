//! Whose request it is: Host, absolute targets, and what `Connection` may take away.

use super::{Row, Scene, refused, row};
use crate::support::{Pod, Sidecar};

/// All ours but the ones with control characters, in `request::check`.
const REFUSED: &[(&str, &[u8])] = &[
    ("no Host", b"GET /row HTTP/1.1\r\n\r\n"),
    (
        "two Hosts",
        b"GET /row HTTP/1.1\r\nHost: shop\r\nHost: other\r\n\r\n",
    ),
    (
        "two equal Hosts",
        b"GET /row HTTP/1.1\r\nHost: shop\r\nHost: shop\r\n\r\n",
    ),
    (
        "two Hosts apart, in other letters",
        b"GET /row HTTP/1.1\r\nhOST: shop\r\nX-A: 1\r\nHost: other\r\n\r\n",
    ),
    (
        "two Hosts in HTTP/1.0",
        b"GET /row HTTP/1.0\r\nHost: shop\r\nHost: other\r\n\r\n",
    ),
    ("a list", b"GET /row HTTP/1.1\r\nHost: shop, other\r\n\r\n"),
    (
        "a port that is none",
        b"GET /row HTTP/1.1\r\nHost: shop:http\r\n\r\n",
    ),
    (
        "two ports",
        b"GET /row HTTP/1.1\r\nHost: shop:80:81\r\n\r\n",
    ),
    ("a space", b"GET /row HTTP/1.1\r\nHost: shop other\r\n\r\n"),
    ("a tab", b"GET /row HTTP/1.1\r\nHost: shop\tother\r\n\r\n"),
    ("a user", b"GET /row HTTP/1.1\r\nHost: user@shop\r\n\r\n"),
    ("a path", b"GET /row HTTP/1.1\r\nHost: shop/path\r\n\r\n"),
    ("a query", b"GET /row HTTP/1.1\r\nHost: shop?x\r\n\r\n"),
    ("a fragment", b"GET /row HTTP/1.1\r\nHost: shop#x\r\n\r\n"),
    (
        "a scheme",
        b"GET /row HTTP/1.1\r\nHost: http://shop\r\n\r\n",
    ),
    ("a backslash", b"GET /row HTTP/1.1\r\nHost: shop\\x\r\n\r\n"),
    ("markup", b"GET /row HTTP/1.1\r\nHost: <shop>\r\n\r\n"),
    ("a quote", b"GET /row HTTP/1.1\r\nHost: \"shop\"\r\n\r\n"),
    (
        "bytes beyond ASCII",
        b"GET /row HTTP/1.1\r\nHost: sh\xf6p\r\n\r\n",
    ),
    ("a NUL", b"GET /row HTTP/1.1\r\nHost: shop\0\r\n\r\n"),
    ("a CR", b"GET /row HTTP/1.1\r\nHost: shop\rother\r\n\r\n"),
    (
        "a folded line",
        b"GET /row HTTP/1.1\r\nHost: shop\r\n other\r\n\r\n",
    ),
    (
        "a space before the colon",
        b"GET /row HTTP/1.1\r\nHost : shop\r\n\r\n",
    ),
    (
        "an absolute target and two Hosts",
        b"GET http://shop/row HTTP/1.1\r\nHost: shop\r\nHost: other\r\n\r\n",
    ),
    (
        "an absolute target and a Host that is none",
        b"GET http://shop/row HTTP/1.1\r\nHost: a/b\r\n\r\n",
    ),
    (
        "an absolute target with a user",
        b"GET http://user:secret@shop/row HTTP/1.1\r\nHost: shop\r\n\r\n",
    ),
    (
        "an absolute target without a host",
        b"GET http:///row HTTP/1.1\r\nHost: shop\r\n\r\n",
    ),
    (
        "an absolute target with a port that is none",
        b"GET http://shop:x/row HTTP/1.1\r\nHost: shop\r\n\r\n",
    ),
    (
        "an absolute target of another scheme",
        b"GET file:///etc/passwd HTTP/1.1\r\nHost: shop\r\n\r\n",
    ),
];

#[tokio::test]
async fn a_request_for_nobody_or_for_two_is_refused() {
    let rows: Vec<Row> = REFUSED
        .iter()
        .map(|(what, bytes)| refused(what, &[400], bytes))
        .collect();
    Scene::hold(&rows).await;
}

#[tokio::test]
async fn a_tunnel_is_refused() {
    Scene::hold(&[
        refused(
            "CONNECT",
            &[405],
            b"CONNECT shop:80 HTTP/1.1\r\nHost: shop:80\r\n\r\n",
        ),
        refused(
            "CONNECT with a path",
            &[405],
            b"CONNECT /row HTTP/1.1\r\nHost: shop\r\n\r\n",
        ),
        row(
            "a change to HTTP/2 that is asked for",
            b"GET /row HTTP/1.1\r\nHost: shop\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
              HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
            &[200, 200],
            &["GET /row", "GET /after"],
        ),
    ])
    .await;
}

/// What each request was about for the pod: its Host, and who came before.
#[tokio::test]
async fn host_and_target_are_told_apart_by_nobody() {
    for (what, sent, line, host) in [
        (
            "the target's host counts",
            "GET http://shop/row HTTP/1.1\r\nHost: other\r\n\r\n",
            "GET /row HTTP/1.1",
            "shop",
        ),
        (
            "also where no path follows",
            "GET http://shop HTTP/1.1\r\nHost: other\r\n\r\n",
            "GET / HTTP/1.1",
            "shop",
        ),
        (
            "also with a query alone",
            "GET http://shop?x=1 HTTP/1.1\r\nHost: other\r\n\r\n",
            "GET /?x=1 HTTP/1.1",
            "shop",
        ),
        (
            "a target that only looks like it has a host",
            "GET //other/row HTTP/1.1\r\nHost: shop\r\n\r\n",
            "GET //other/row HTTP/1.1",
            "shop",
        ),
        (
            "a URL in the path",
            "GET /http://other/row HTTP/1.1\r\nHost: shop\r\n\r\n",
            "GET /http://other/row HTTP/1.1",
            "shop",
        ),
    ] {
        let pod = Pod::start("a").await;
        let sidecar = Sidecar::over([&pod]).start().await;
        assert_eq!(sidecar.client().await.ask(sent).await.pod(), "a", "{what}");
        let seen = pod.only_request().head;
        assert_eq!(seen.line, line, "{what}");
        assert_eq!(seen.all("host"), [host], "{what}");
        assert_eq!(seen.all("x-forwarded-host"), [host], "{what}");
    }
}

/// A proxy before this one may have set some of them and let `Connection` through: a client could have its proofs taken
/// away, or its address hidden.
#[tokio::test]
async fn connection_takes_away_nothing_that_says_who_asks_for_what() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let lines = [
        ("Host", "shop"),
        ("Content-Length", "2"),
        ("Authorization", "Basic eDp5"),
        ("Cookie", "session=1"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "shop.example"),
        ("Forwarded", "for=192.0.2.1"),
    ];
    let named: Vec<&str> = lines.iter().map(|(name, _)| *name).collect();
    let fields: String = lines
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let request = format!(
        "POST /row HTTP/1.1\r\nConnection: {}, X-Hop\r\nX-Hop: 1\r\n{fields}\r\nok",
        named.join(", ").to_lowercase()
    );
    assert_eq!(sidecar.client().await.ask(request).await.pod(), "a");
    let seen = pod.only_request();
    for (name, value) in lines {
        let expected = match name {
            "X-Forwarded-For" => "192.0.2.1, 127.0.0.1",
            _ => value,
        };
        assert_eq!(seen.head.all(name), [expected], "{name}");
    }
    assert_eq!(seen.body, b"ok");
    assert_eq!(seen.field("x-hop"), None);
}
