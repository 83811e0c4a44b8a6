//! The framing of chunked requests.

use super::{Row, SMUGGLED, Scene, row};

const HEAD: &str = "POST /row HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A body in chunks that is none: the pod must never take it for whole. Most are read by some server as a size, and by
/// another as another.
const BROKEN: &[&str] = &[
    // Sizes.
    "\r\n\r\n",
    ";a=b\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "\t5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    "-0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "x5\r\nhello\r\n0\r\n\r\n",
    "5x\r\nhello\r\n0\r\n\r\n",
    "5h\r\nhello\r\n0\r\n\r\n",
    "5_0\r\nhello\r\n0\r\n\r\n",
    "5,\r\nhello\r\n0\r\n\r\n",
    "5 5\r\nhello\r\n0\r\n\r\n",
    "5\u{b}\r\nhello\r\n0\r\n\r\n",
    "5\0\r\nhello\r\n0\r\n\r\n",
    "5\u{e9}\r\nhello\r\n0\r\n\r\n",
    "10000000000000000\r\nhello\r\n0\r\n\r\n",
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
    "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    // Line ends.
    "5\nhello\r\n0\r\n\r\n",
    "5\rhello\r\n0\r\n\r\n",
    "5\r\r\nhello\r\n0\r\n\r\n",
    "5\n\rhello\r\n0\r\n\r\n",
    "5 \nhello\r\n0\r\n\r\n",
    "5;a\nhello\r\n0\r\n\r\n",
    "5;a\rb\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhello\r0\r\n\r\n",
    "5\r\nhello\r\r\n0\r\n\r\n",
    "5\r\nhello0\r\n\r\n",
    "5\r\nhello!\r\n0\r\n\r\n",
    "4\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n\r\n0\r\n\r\n",
    "0\n\r\n",
    "0\r\n\r!",
    // Trailers.
    "0\r\nX: a\rb\r\n\r\n",
    "0\r\nX : a\r\n\r\n",
    "0\r\n X: a\r\n\r\n",
    "0\r\nX\r\n\r\n",
    "0\r\n: a\r\n\r\n",
    "0\r\nX: a\0\r\n\r\n",
    "0\r\nGET /smuggled HTTP/1.1\r\n\r\n",
];

#[tokio::test]
async fn chunks_that_two_could_read_differently_never_reach_a_pod_whole() {
    let bytes: Vec<_> = BROKEN
        .iter()
        .map(|body| [HEAD, body].concat().into_bytes())
        .collect();
    let rows: Vec<Row> = BROKEN
        .iter()
        .zip(&bytes)
        .map(|(body, bytes)| row(body, bytes, &[400], &[]))
        .collect();
    Scene::hold(&rows).await;
}

#[tokio::test]
async fn chunks_are_made_anew_and_their_extensions_go() {
    let whole = |chunks: &str| [HEAD, chunks].concat().into_bytes();
    let saw: &[&str] = &["POST /row coding=chunked hello", "GET /after"];
    Scene::hold(&[
        row(
            "two chunks",
            &whole("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
            &[200, 200],
            saw,
        ),
        row(
            "zeros ahead",
            &whole("0000000000000005\r\nhello\r\n000\r\n\r\n"),
            &[200, 200],
            saw,
        ),
        row(
            "white space behind the size",
            &whole("5 \t\r\nhello\r\n0 \r\n\r\n"),
            &[200, 200],
            saw,
        ),
        row(
            "extensions",
            &whole("5;a;b=c;d=\"e;f\"\r\nhello\r\n0;x=y\r\n\r\n"),
            &[200, 200],
            saw,
        ),
        // hyper does not read extensions, and none is passed on.
        row(
            "an extension without a name",
            &whole("5;\r\nhello\r\n0\r\n\r\n"),
            &[200, 200],
            saw,
        ),
        row(
            "an open quote",
            &whole("5;a=\"\r\nhello\r\n0\r\n\r\n"),
            &[200, 200],
            saw,
        ),
        row(
            "a request in a chunk",
            &whole(&format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len())),
            &[200, 200],
            &[
                &format!("POST /row coding=chunked {SMUGGLED}"),
                "GET /after",
            ],
        ),
    ])
    .await;
}

/// A server that reads an extension up to the line's end holds none of it; one that does not look at how long it is
/// reads for ever, a byte of body for a thousand of extension.
#[tokio::test]
async fn extensions_have_a_bound_over_the_whole_body() {
    let long = |length: usize| format!("5;{}\r\nhello\r\n", "x".repeat(length));
    let few = [HEAD, &long(10_000), "0\r\n\r\n"].concat();
    let one = [HEAD, &long(20_000), "0\r\n\r\n"].concat();
    let many = [HEAD, &long(500).repeat(40), "0\r\n\r\n"].concat();
    Scene::hold(&[
        row(
            "within the bound",
            few.as_bytes(),
            &[200, 200],
            &["POST /row coding=chunked hello", "GET /after"],
        ),
        row("beyond it in one chunk", one.as_bytes(), &[400], &[]),
        row("beyond it in many", many.as_bytes(), &[400], &[]),
    ])
    .await;
}
