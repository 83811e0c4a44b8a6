//! Requests that must not reach a pod, and targets that must reach it unchanged.

use crate::support::{Pod, Sidecar};

/// What a client sends, and the status it gets without any pod having seen a byte.
const REFUSED: &[(&str, u16, &str)] = &[
    ("no Host", 400, "GET / HTTP/1.1\r\n\r\n"),
    (
        "two Hosts",
        400,
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ),
    (
        "two equal Hosts",
        400,
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    ),
    (
        "a Host that is none",
        400,
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    ),
    (
        "absolute-form without Host",
        400,
        "GET http://shop/ HTTP/1.1\r\n\r\n",
    ),
    (
        "absolute-form of another scheme",
        400,
        "GET ftp://shop/ HTTP/1.1\r\nHost: shop\r\n\r\n",
    ),
    (
        "the target * for GET",
        400,
        "GET * HTTP/1.1\r\nHost: shop\r\n\r\n",
    ),
    (
        "Content-Length with Transfer-Encoding",
        400,
        "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "Transfer-Encoding with Content-Length",
        400,
        "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\ncontent-length: 0\r\n\r\n0\r\n\r\n",
    ),
    (
        "gzip before chunked",
        501,
        "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked twice",
        501,
        "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked on two lines",
        501,
        "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "CONNECT",
        405,
        "CONNECT shop:80 HTTP/1.1\r\nHost: shop:80\r\n\r\n",
    ),
    (
        "an unknown expectation",
        417,
        "GET / HTTP/1.1\r\nHost: shop\r\nExpect: a-miracle\r\n\r\n",
    ),
    (
        "Content-Lengths that differ",
        400,
        "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    ),
    (
        "a Content-Length with a sign",
        400,
        "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: +1\r\n\r\na",
    ),
    (
        "a folded header",
        400,
        "GET / HTTP/1.1\r\nHost: shop\r\nX-A: 1\r\n 2\r\n\r\n",
    ),
    (
        "a space before the colon",
        400,
        "GET / HTTP/1.1\r\nHost: shop\r\nX-A : 1\r\n\r\n",
    ),
    (
        "a NUL in a value",
        400,
        "GET / HTTP/1.1\r\nHost: shop\r\nX-A: 1\0\r\n\r\n",
    ),
    (
        "a lone CR in a value",
        400,
        "GET / HTTP/1.1\r\nHost: shop\r\nX-A: 1\r2\r\n\r\n",
    ),
    (
        "Transfer-Encoding in HTTP/1.0",
        400,
        "POST / HTTP/1.0\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a space in the target",
        400,
        "GET /a b HTTP/1.1\r\nHost: shop\r\n\r\n",
    ),
    (
        "a version that is none",
        400,
        "GET / HTTP/1.7\r\nHost: shop\r\n\r\n",
    ),
    ("no HTTP at all", 400, "hello\r\n\r\n"),
    (
        "the start of a TLS handshake",
        400,
        "\u{16}\u{3}\u{1}\0\u{5}\u{1}\r\n\r\n",
    ),
];

#[tokio::test]
async fn a_malformed_or_unsupported_request_is_refused_and_no_pod_sees_it() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    for (what, status, bytes) in REFUSED {
        let mut client = sidecar.client().await;
        let answer = client.ask(bytes).await;
        assert_eq!(answer.status(), *status, "{what}: {answer:?}");
        if *status != 417 {
            // Where the next request begins is anybody's guess.
            client.closed().await;
        }
    }
    assert_eq!(pod.record().connections, 0);
    assert_eq!(sidecar.get("/").await.pod(), "a");
}

#[tokio::test]
async fn our_own_answer_says_why_in_one_sentence() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let answer = sidecar.client().await.ask("GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(answer.flag(), Some("DPE"));
    assert_eq!(
        answer.field("content-type"),
        Some("text/plain; charset=utf-8")
    );
    assert!(answer.text().contains("Host"), "{}", answer.text());
    assert_eq!(answer.text().lines().count(), 1);
}

#[tokio::test]
async fn the_rest_of_a_refused_request_is_not_taken_for_another() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    let smuggled = "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 42\r\nTransfer-Encoding: chunked\r\n\r\n\
                    0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n";
    assert_eq!(client.ask(smuggled).await.status(), 400);
    // It may be reset rather than closed: bytes were left unread.
    client.wire.gone().await;
    assert_eq!(pod.record().heads.len(), 0);
}

#[tokio::test]
async fn the_authority_of_an_absolute_target_becomes_the_host() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let answer = sidecar
        .client()
        .await
        .ask("GET http://shop.example:81/cart?x=1 HTTP/1.1\r\nHost: other\r\n\r\n")
        .await;
    assert_eq!(answer.pod(), "a");
    let seen = pod.only_request().head;
    assert_eq!(seen.line, "GET /cart?x=1 HTTP/1.1");
    assert_eq!(seen.all("host"), ["shop.example:81"]);
}

#[tokio::test]
async fn methods_and_targets_reach_the_pod_byte_for_byte() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    let lines = [
        "GET / HTTP/1.1",
        "GET /? HTTP/1.1",
        "GET //a//b/../c/./d HTTP/1.1",
        "GET /%7Efoo%2fbar%2F%00%zz HTTP/1.1",
        "GET /a;p=1;q?x=%20&y=a+b&&z&=&u=http://other/?v HTTP/1.1",
        "GET /{\"a\":[1,2]}|^~!$&'()*+,;=:@ HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "PROPFIND /dav HTTP/1.1",
        "X!#$%&'*+-.^_`|~ /odd HTTP/1.1",
        "get /lower HTTP/1.1",
    ];
    for line in lines {
        let answer = client.ask(format!("{line}\r\nHost: shop\r\n\r\n")).await;
        assert_eq!(answer.status(), 200, "{line}: {answer:?}");
    }
    let record = pod.record();
    let seen: Vec<&str> = record.heads.iter().map(|head| head.line.as_str()).collect();
    assert_eq!(seen, lines);
}
