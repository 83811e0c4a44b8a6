//! Request trailers: fields that come when it is too late for them (RFC 9110 section 6.5.1).

use super::{Row, SMUGGLED, Scene, row};

const NAMES: [&str; 12] = [
    "Transfer-Encoding",
    "Content-Length",
    "Host",
    "Trailer",
    "TE",
    "Connection",
    "Authorization",
    "Content-Type",
    "Expect",
    "Upgrade",
    "Cookie",
    "Proxy-Authorization",
];

#[tokio::test]
async fn a_trailer_that_would_change_the_request_never_reaches_the_pod() {
    let bytes: Vec<_> = NAMES
        .iter()
        .map(|name| {
            format!(
                "POST /row HTTP/1.1\r\nHost: shop\r\nTE: trailers\r\nConnection: TE\r\nTrailer: {name}, X-Sum\r\n\
                 Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n{name}: 7\r\nX-Sum: 42\r\n\r\n"
            )
        })
        .collect();
    let rows: Vec<Row> = NAMES
        .iter()
        .zip(&bytes)
        .map(|(name, bytes)| {
            row(
                name,
                bytes.as_bytes(),
                &[200],
                &["POST /row coding=chunked ok trailer x-sum=42"],
            )
        })
        .collect();
    Scene::hold(&rows).await;
}

#[tokio::test]
async fn a_trailer_that_was_not_announced_is_dropped() {
    Scene::hold(&[row(
        "not announced",
        b"POST /row HTTP/1.1\r\nHost: shop\r\nTE: trailers\r\nConnection: TE\r\n\
          Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n",
        &[200],
        &["POST /row coding=chunked ok"],
    )])
    .await;
}

/// hyper takes all up to an empty line for trailers, where others may have seen their end before: what it took may have
/// been a request, so nobody may go on as if it had been answered.
#[tokio::test]
async fn a_connection_ends_with_the_trailers_of_a_request() {
    let sent = |end: &str| {
        format!(
            "POST /row HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n{end}{SMUGGLED}"
        )
    };
    let saw: &[&str] = &["POST /row coding=chunked ok"];
    Scene::hold(&[
        row(
            "a trailer",
            sent("0\r\nX: a\r\n\r\n").as_bytes(),
            &[200],
            saw,
        ),
        row(
            "LF for the last CRLF",
            sent("0\r\n\n").as_bytes(),
            &[200],
            saw,
        ),
        row(
            "LF behind a trailer",
            sent("0\r\nX: a\n\r\n").as_bytes(),
            &[200],
            saw,
        ),
        row("LF alone", sent("0\r\nX: a\n\n").as_bytes(), &[200], saw),
    ])
    .await;
}

#[tokio::test]
async fn trailers_have_a_bound() {
    let head = "POST /row HTTP/1.1\r\nHost: shop\r\nTrailer: x-a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n";
    let large = format!("{head}X-A: {}\r\n\r\n", "a".repeat(100_000));
    let many = format!("{head}{}\r\n", "X-A: 1\r\n".repeat(2_000));
    Scene::hold(&[
        row("bytes", large.as_bytes(), &[400], &[]),
        row("fields", many.as_bytes(), &[400], &[]),
    ])
    .await;
}
