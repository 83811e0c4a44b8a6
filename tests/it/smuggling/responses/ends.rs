//! Where a response ends, and what stands behind it.

use super::Fate::{Cut, Passed};
use super::{Row, Then, hold};
use crate::support::{Pod, Sidecar, manners};

#[tokio::test]
async fn what_follows_a_response_is_nobodys() {
    let rows: &[Row] = &[
        ("a second response", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\npoisoned", Passed(200, "ok")),
        ("a second response behind chunks", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\npoisoned", Passed(200, "ok")),
        ("a second response behind none", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\npoisoned", Passed(200, "")),
        ("more body than said", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more", Passed(200, "ok")),
        ("an empty line", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok\r\n", Passed(200, "ok")),
        ("204 with a body", b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\npoisoned", Passed(204, "")),
        ("204 with a length and a body", b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello", Passed(204, "")),
        ("204 with chunks", b"HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Passed(204, "")),
        ("304 with a body", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nhello", Passed(304, "")),
        ("304 with chunks", b"HTTP/1.1 304 Not Modified\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Passed(304, "")),
    ];
    hold("GET", Then::Stay, rows).await;
    let rows: &[Row] = &[
        ("a body", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", Passed(200, "")),
        ("chunks", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", Passed(200, "")),
        ("a response", b"HTTP/1.1 200 OK\r\ncontent-length: 38\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Passed(200, "")),
    ];
    hold("HEAD", Then::Stay, rows).await;
}

#[tokio::test]
async fn a_body_that_is_not_as_it_said_is_broken_off() {
    let rows: &[Row] = &[
        ("no size", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n\r\n", Cut),
        ("a sign", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n+2\r\nok\r\n0\r\n\r\n", Cut),
        ("a negative size", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n", Cut),
        ("0x", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n", Cut),
        ("a huge size", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10000000000000002\r\nok\r\n0\r\n\r\n", Cut),
        ("a bare LF", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n", Cut),
        ("a bare CR", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\rok\r\n0\r\n\r\n", Cut),
        ("a chunk that is longer", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n", Cut),
        ("a chunk that is shorter", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nok\r\n0\r\n\r\n", Cut),
        ("a trailer that is none", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-a\r\n\r\n", Cut),
        ("a NUL in a trailer", b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-a: \0\r\n\r\n", Cut),
    ];
    hold("GET", Then::Stay, rows).await;
    let rows: &[Row] = &[
        (
            "less than its length",
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok",
            Cut,
        ),
        (
            "no last chunk",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
            Cut,
        ),
        (
            "no end of the trailers",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-a: 1\r\n",
            Cut,
        ),
    ];
    hold("GET", Then::Close, rows).await;
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_the_pods_connection() {
    let rows: &[Row] = &[
        (
            "HTTP/1.1",
            b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
            Passed(200, "until the end"),
        ),
        (
            "HTTP/1.0",
            b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
            Passed(200, "until the end"),
        ),
        (
            "HTTP/1.0 that says it stays",
            b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\nuntil the end",
            Passed(200, "until the end"),
        ),
        (
            "a response in it",
            b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            Passed(200, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        ),
    ];
    hold("GET", Then::Close, rows).await;
}

#[tokio::test]
async fn a_trailer_that_would_change_the_response_never_reaches_the_client() {
    for name in [
        "transfer-encoding",
        "content-length",
        "set-cookie",
        "trailer",
    ] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\ntrailer: {name}, x-sum\r\ntransfer-encoding: chunked\r\n\r\n\
             2\r\nok\r\n0\r\n{name}: 7\r\nx-sum: 42\r\n\r\n"
        );
        let pod = Pod::scripted("a", manners::say(answer)).await;
        let sidecar = Sidecar::over([&pod]).start().await;
        let request = "GET / HTTP/1.1\r\nHost: shop\r\nTE: trailers\r\nConnection: TE\r\n\r\n";
        let answer = sidecar.client().await.ask(request).await;
        assert_eq!(answer.text(), "ok", "{name}");
        assert_eq!(
            answer.trailers,
            [("x-sum".to_owned(), "42".to_owned())],
            "{name}"
        );
    }
}
