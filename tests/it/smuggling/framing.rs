//! Content-Length and Transfer-Encoding of requests.

use super::{Row, SMUGGLED, Scene, refused, row};

/// `POST /row` with those header lines and that body.
fn post(lines: &str, body: &str) -> Vec<u8> {
    format!("POST /row HTTP/1.1\r\nHost: shop\r\n{lines}\r\n\r\n{body}").into_bytes()
}

/// Each is refused: the lines, the status, and what stands behind the head.
const REFUSED: &[(&str, u16, &str)] = &[
    // hyper's decisions, by its parser.
    ("Content-Length: 5\r\nContent-Length: 6", 400, "hello"),
    ("Content-Length: 6\r\nContent-Length: 5", 400, "hello"),
    ("Content-Length: 0\r\nContent-Length: 37", 400, SMUGGLED),
    ("Content-Length: 5, 5", 400, "hello"),
    ("Content-Length: 5,", 400, "hello"),
    ("Content-Length: 5, 6", 400, "hello"),
    ("Content-Length:", 400, "hello"),
    ("Content-Length: +5", 400, "hello"),
    ("Content-Length: -5", 400, "hello"),
    ("Content-Length: 0x5", 400, "hello"),
    ("Content-Length: 5 5", 400, "hello"),
    ("Content-Length: 5.0", 400, "hello"),
    ("Content-Length: five", 400, "hello"),
    ("Content-Length: \"5\"", 400, "hello"),
    ("Content-Length: 5;", 400, "hello"),
    ("Content-Length: \u{660}5", 400, "hello"),
    ("Content-Length: 18446744073709551616", 400, "hello"),
    ("Content-Length: 18446744073709551615", 431, "hello"),
    ("Content-Length: 99999999999999999999999999", 400, "hello"),
    ("Content-Length : 5", 400, "hello"),
    ("Content-Length\t: 5", 400, "hello"),
    (" Content-Length: 5", 400, "hello"),
    ("X-A: 1\r\n Content-Length: 5", 400, "hello"),
    ("Content-Length\0: 5", 400, "hello"),
    ("Content-Length: 5\u{b}", 400, "hello"),
    ("Transfer-Encoding : chunked", 400, "0\r\n\r\n"),
    ("Transfer-Encoding\t: chunked", 400, "0\r\n\r\n"),
    (" Transfer-Encoding: chunked", 400, "0\r\n\r\n"),
    ("X-A: 1\r\n\tTransfer-Encoding: chunked", 400, "0\r\n\r\n"),
    ("Transfer-Encoding:\r\n chunked", 400, "0\r\n\r\n"),
    ("Transfer-Encoding: chunked\r\n ", 400, "0\r\n\r\n"),
    ("Transfer-Encoding: chunked\u{b}", 400, "0\r\n\r\n"),
    ("Transfer-Encoding: \u{b}chunked", 400, "0\r\n\r\n"),
    ("Transfer-Encoding: \0chunked", 400, "0\r\n\r\n"),
    ("Transfer-Encoding: chunked\u{7f}", 400, "0\r\n\r\n"),
    ("Transfer-Encoding: xchunked", 400, "0\r\n\r\n"),
    ("Transfer-Encoding: chunkedx", 400, "0\r\n\r\n"),
    ("Transfer-Encoding: chunked;q=1", 400, "0\r\n\r\n"),
    ("Transfer-Encoding: \"chunked\"", 400, "0\r\n\r\n"),
    ("Transfer-Encoding: 'chunked'", 400, "0\r\n\r\n"),
    ("Transfer-Encoding: chunked identity", 400, "0\r\n\r\n"),
    ("Transfer-Encoding: chunked, identity", 400, "0\r\n\r\n"),
    ("Transfer-Encoding: chunked,", 400, "0\r\n\r\n"),
    ("Transfer-Encoding: chunked, gzip", 400, "0\r\n\r\n"),
    ("Transfer-Encoding: gzip", 400, "0\r\n\r\n"),
    ("Transfer-Encoding: identity", 400, "hello"),
    ("Transfer-Encoding:", 400, "hello"),
    ("Transfer-Encoding: \u{feff}chunked", 400, "0\r\n\r\n"),
    (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        400,
        "0\r\n\r\n",
    ),
    (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
        400,
        "0\r\n\r\n",
    ),
    // Ours, in `request::check`.
    ("Transfer-Encoding: gzip, chunked", 501, "0\r\n\r\n"),
    ("Transfer-Encoding: identity, chunked", 501, "0\r\n\r\n"),
    ("Transfer-Encoding: chunked, chunked", 501, "0\r\n\r\n"),
    ("Transfer-Encoding: , chunked", 501, "0\r\n\r\n"),
    (
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        501,
        "0\r\n\r\n",
    ),
    (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        501,
        "0\r\n\r\n",
    ),
    (
        "Transfer-Encoding:\r\nTransfer-Encoding: chunked",
        501,
        "0\r\n\r\n",
    ),
    // Which of the two counts is what smuggling is made of.
    (
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        400,
        "0\r\n\r\n",
    ),
    (
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        400,
        "0\r\n\r\n",
    ),
    (
        "content-length: 42\r\ntransfer-encoding: CHUNKED",
        400,
        "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n",
    ),
    (
        "Transfer-Encoding: chunked\r\nContent-Length: nonsense",
        400,
        "0\r\n\r\n",
    ),
    (
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\nContent-Length: 6",
        400,
        "0\r\n\r\n",
    ),
    (
        "Transfer-Encoding: identity\r\nContent-Length: 5",
        400,
        "hello",
    ),
    (
        "Content-Length: 5\r\nTransfer-Encoding: xchunked",
        400,
        "hello",
    ),
];

#[tokio::test]
async fn a_length_that_two_could_read_differently_is_refused() {
    let bytes: Vec<_> = REFUSED
        .iter()
        .map(|(lines, _, body)| post(lines, body))
        .collect();
    let statuses: Vec<_> = REFUSED.iter().map(|(_, status, _)| [*status]).collect();
    let rows: Vec<Row> = REFUSED
        .iter()
        .zip(bytes.iter().zip(&statuses))
        .map(|((lines, ..), (bytes, status))| refused(lines, status, bytes))
        .collect();
    Scene::hold(&rows).await;
}

#[tokio::test]
async fn a_length_that_all_read_alike_is_told_once() {
    let hidden = format!("POST /row length={} {SMUGGLED}", SMUGGLED.len());
    Scene::hold(&[
        // RFC 9112 section 6.3 allows a recipient to take equal lengths for one; hyper does.
        row(
            "the same length twice",
            b"POST /row HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            &[200, 200],
            &["POST /row length=5 hello", "GET /after"],
        ),
        row(
            "the same length in other digits",
            b"POST /row HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\nContent-Length: 005\r\n\r\nhello",
            &[200, 200],
            &["POST /row length=5 hello", "GET /after"],
        ),
        row(
            "white space around it",
            b"POST /row HTTP/1.1\r\nHost: shop\r\nContent-Length: \t 5 \t\r\n\r\nhello",
            &[200, 200],
            &["POST /row length=5 hello", "GET /after"],
        ),
        row(
            "coding in other letters and white space",
            b"POST /row HTTP/1.1\r\nHost: shop\r\ntRANSFER-eNCODING:\t cHUNKED \t\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            &[200, 200],
            &["POST /row coding=chunked hello", "GET /after"],
        ),
        row(
            "a request in a body of known length",
            &post(&format!("Content-Length: {}", SMUGGLED.len()), SMUGGLED),
            &[200, 200],
            &[&hidden, "GET /after"],
        ),
        row(
            "GET with a length",
            b"GET /row HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello",
            &[200, 200],
            &["GET /row length=5 hello", "GET /after"],
        ),
        row(
            "GET in chunks",
            b"GET /row HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            &[200, 200],
            &["GET /row coding=chunked hello", "GET /after"],
        ),
        row(
            "HEAD with a length",
            b"HEAD /row HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
            &[200],
            &["HEAD /row length=5 hello"],
        ),
        row(
            "a body without any length",
            b"POST /row HTTP/1.1\r\nHost: shop\r\n\r\n",
            &[200, 200],
            &["POST /row", "GET /after"],
        ),
        row(
            "HTTP/1.0 with a length",
            b"POST /row HTTP/1.0\r\nHost: shop\r\nContent-Length: 5\r\n\r\nhello",
            &[200],
            &["POST /row length=5 hello"],
        ),
        row(
            "HTTP/1.0 in chunks",
            b"POST /row HTTP/1.0\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400],
            &[],
        ),
        row(
            "names that only look like it",
            b"POST /row HTTP/1.1\r\nHost: shop\r\nContent_Length: 9\r\nX-Content-Length: 9\r\n\
              Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
            &[200, 200],
            &["POST /row length=5 hello", "GET /after"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn what_follows_a_last_request_is_no_request() {
    let closing = |lines: &str, body: &str| {
        let request = format!("POST /row HTTP/1.1\r\nHost: shop\r\n{lines}\r\n\r\n{body}");
        [request, SMUGGLED.to_owned()].concat().into_bytes()
    };
    Scene::hold(&[
        row(
            "after Connection: close",
            &closing("Connection: close\r\nContent-Length: 2", "ok"),
            &[200],
            &["POST /row length=2 ok"],
        ),
        row(
            "after Connection: close, keep-alive",
            &closing("Connection: close, keep-alive\r\nContent-Length: 2", "ok"),
            &[200],
            &["POST /row length=2 ok"],
        ),
        row(
            "after Connection: close without a body",
            &closing("Connection: close", ""),
            &[200],
            &["POST /row"],
        ),
        row(
            "after HTTP/1.0",
            b"GET /row HTTP/1.0\r\nHost: shop\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n",
            &[200],
            &["GET /row"],
        ),
    ])
    .await;
}

/// hyper has dropped the length by then, and of a request that was sent ahead the head's bytes are not known: the
/// chunks count, nobody is told of the length, and the connection ends with it, as RFC 9112 section 6.1 asks.
#[tokio::test]
async fn both_lengths_in_a_request_sent_ahead_end_the_connection() {
    Scene::hold(&[
        row(
            "length first",
            b"GET /first HTTP/1.1\r\nHost: shop\r\n\r\n\
              POST /row HTTP/1.1\r\nHost: shop\r\nContent-Length: 42\r\nTransfer-Encoding: chunked\r\n\r\n\
              0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n",
            &[200, 200],
            &["GET /first", "POST /row coding=chunked"],
        ),
        row(
            "coding first",
            b"GET /first HTTP/1.1\r\nHost: shop\r\n\r\n\
              POST /row HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nContent-Length: 42\r\n\r\n\
              0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n",
            &[200, 200],
            &["GET /first", "POST /row coding=chunked"],
        ),
        row(
            "a coding that is none",
            b"GET /first HTTP/1.1\r\nHost: shop\r\n\r\n\
              POST /row HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\nTransfer-Encoding: xchunked\r\n\r\nhello",
            &[200, 400],
            &["GET /first"],
        ),
    ])
    .await;
}
