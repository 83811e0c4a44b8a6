//! Framing: whole bodies, whatever tells their end, and messages that have none.

use std::io;

use tokio::io::AsyncWriteExt;

use crate::support::client::{get, post};
use crate::support::head::Message;
use crate::support::pod::Session;
use crate::support::{Client, Pod, Sidecar, manners};

/// One request to a pod that says that, and the client for what comes after.
async fn asked(request: &str, answer: &'static str) -> (Sidecar, Pod, Client, Message) {
    let pod = Pod::scripted("a", manners::say(answer)).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    let response = client.ask(request).await;
    (sidecar, pod, client, response)
}

/// A chunk for each part, and the end.
fn chunked(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend(format!("{:x}\r\n", part.len()).into_bytes());
        bytes.extend_from_slice(part);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

/// Bytes that differ from place to place.
fn patterned(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| u8::try_from((index / 7 + index / 4096) % 251).unwrap())
        .collect()
}

/// Sends each body back, in the framing it came in.
async fn echo(mut session: Session) -> io::Result<()> {
    while let Some(request) = session.request().await? {
        let answer = if request.field("transfer-encoding").is_some() {
            let parts: Vec<&[u8]> = request.body.chunks(100_000).collect();
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
            [head, chunked(&parts)].concat()
        } else {
            let length = request.body.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            [head.into_bytes(), request.body].concat()
        };
        session.wire.send(answer).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_body_keeps_its_framing_both_ways() {
    let pod = Pod::scripted("a", echo).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;

    let sized = client.ask(post("/", b"hello")).await;
    assert_eq!(sized.body, b"hello");
    assert_eq!(sized.field("content-length"), Some("5"));
    assert_eq!(sized.field("transfer-encoding"), None);

    let head = "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = chunked(&[b"he", b"l", b"lo"]);
    let unsized_ = client.ask([head.as_bytes(), &body].concat()).await;
    assert_eq!(unsized_.body, b"hello");
    assert_eq!(unsized_.field("transfer-encoding"), Some("chunked"));
    assert_eq!(unsized_.field("content-length"), None);

    let record = pod.record();
    assert_eq!(record.requests[0].field("content-length"), Some("5"));
    assert_eq!(record.requests[0].field("transfer-encoding"), None);
    assert_eq!(record.requests[1].field("content-length"), None);
    assert_eq!(
        record.requests[1].field("transfer-encoding"),
        Some("chunked")
    );
    assert_eq!(record.requests[1].body, b"hello");
}

#[tokio::test]
async fn an_empty_body_stays_an_empty_body() {
    let pod = Pod::scripted("a", echo).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    let requests = [
        get("/none"),
        "POST /zero HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "POST /chunked HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            .to_owned(),
    ];
    for request in &requests {
        let answer = client.ask(request).await;
        assert_eq!((answer.status(), answer.body.len()), (200, 0), "{request}");
    }
    let record = pod.record();
    assert_eq!(record.requests[0].field("content-length"), None);
    assert_eq!(record.requests[0].field("transfer-encoding"), None);
    assert_eq!(record.requests[1].field("content-length"), Some("0"));
    assert!(
        record
            .requests
            .iter()
            .all(|request| request.body.is_empty())
    );
}

#[tokio::test]
async fn large_bodies_arrive_whole() {
    let pod = Pod::scripted("a", echo).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let body = patterned(5 << 20);
    let sized = post("/", &body);
    let head = b"PUT / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let parts: Vec<&[u8]> = body.chunks(65_521).collect();
    let unsized_ = [head, chunked(&parts)].concat();
    for request in [sized, unsized_] {
        let mut client = sidecar.client().await;
        let answer = client.ask(request).await;
        assert_eq!(answer.status(), 200);
        assert!(answer.body == body, "{} bytes came back", answer.body.len());
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let pod = Pod::scripted(
        "a",
        manners::say(
            "HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n\
             2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n",
        ),
    )
    .await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let answer = sidecar
        .client()
        .await
        .ask(
            "POST / HTTP/1.1\r\nHost: shop\r\nTE: trailers\r\nConnection: TE\r\nTrailer: x-check\r\n\
             Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Check: 7\r\n\r\n",
        )
        .await;
    assert_eq!(answer.text(), "ok");
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "42".to_owned())]);
    let seen = pod.only_request();
    assert_eq!(seen.body, b"abc");
    assert_eq!(seen.field("trailer"), Some("x-check"));
    assert_eq!(seen.trailers, [("x-check".to_owned(), "7".to_owned())]);
}

#[tokio::test]
async fn a_client_that_did_not_ask_for_trailers_gets_the_body_without() {
    let (_sidecar, _pod, mut client, answer) = asked(
        &get("/"),
        "HTTP/1.1 200 OK\r\nTrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n",
    )
    .await;
    assert_eq!((answer.text().as_str(), answer.trailers.len()), ("ok", 0));
    assert_eq!(client.get("/again").await.text(), "ok");
}

#[tokio::test]
async fn the_answer_to_head_has_the_length_but_no_body() {
    // A chunked answer has no length to tell.
    for (framing, length) in [
        ("Content-Length: 5", Some("5")),
        ("Transfer-Encoding: chunked", None),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{framing}\r\nX-Pod: a\r\n\r\n");
        let pod = Pod::scripted("a", manners::say(answer)).await;
        let sidecar = Sidecar::over([&pod]).start().await;
        let mut client = sidecar.client().await;
        for _ in 0..2 {
            client.send("HEAD / HTTP/1.1\r\nHost: shop\r\n\r\n").await;
            let head = client.response_to_head().await.head;
            assert_eq!(head.status(), 200);
            assert_eq!(head.field("content-length"), length, "{head:?}");
        }
        assert_eq!(pod.record().connections, 1, "{framing}");
    }
}

#[tokio::test]
async fn a_head_answered_without_a_length_gets_none_invented() {
    let pod = Pod::scripted("a", manners::say("HTTP/1.1 200 OK\r\nX-Pod: a\r\n\r\n")).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    client.send("HEAD / HTTP/1.1\r\nHost: shop\r\n\r\n").await;
    let head = client.response_to_head().await.head;
    assert_eq!(head.field("content-length"), None, "{head:?}");
}

#[tokio::test]
async fn statuses_without_a_body_have_none() {
    for (answer, status) in [
        ("HTTP/1.1 204 No Content\r\nX-Pod: a\r\n\r\n", 204),
        (
            "HTTP/1.1 304 Not Modified\r\nX-Pod: a\r\nETag: \"1\"\r\n\r\n",
            304,
        ),
        (
            "HTTP/1.1 304 Not Modified\r\nX-Pod: a\r\nContent-Length: 7\r\n\r\n",
            304,
        ),
    ] {
        let (_sidecar, pod, mut client, first) = asked(&get("/"), answer).await;
        assert_eq!(first.status(), status);
        assert_eq!(first.field("transfer-encoding"), None);
        if status == 204 {
            assert_eq!(first.field("content-length"), None);
        }
        assert_eq!(client.get("/again").await.status(), status);
        assert_eq!(pod.record().connections, 1, "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_ends_with_the_pods_connection_arrives_whole() {
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        let answer = format!("{version} 200 OK\r\nX-Pod: a\r\n\r\nuntil the end");
        let pod = Pod::scripted("a", manners::say_and_close(answer)).await;
        let sidecar = Sidecar::over([&pod]).start().await;
        let mut client = sidecar.client().await;
        for _ in 0..2 {
            let answer = client.get("/").await;
            assert_eq!(answer.text(), "until the end", "{version}");
            if answer.field("connection") == Some("close") {
                client = sidecar.client().await;
            }
        }
        assert_eq!(pod.record().connections, 2);
    }
}

#[tokio::test]
async fn a_slow_upload_arrives_as_it_is_sent() {
    let pod = Pod::scripted("a", echo).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\n")
        .await;
    for byte in b"slow and s" {
        client.send([*byte]).await;
        client.wire.stream().flush().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(client.response().await.text(), "slow and s");
}

#[tokio::test]
async fn a_body_passes_whatever_the_method() {
    let pod = Pod::scripted("a", echo).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    for method in ["GET", "DELETE", "OPTIONS", "PATCH", "PROPFIND"] {
        let answer = client
            .ask(format!(
                "{method} / HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\nbody"
            ))
            .await;
        assert_eq!(answer.text(), "body", "{method}");
    }
}

/// RFC 9110 section 8.6: refused, or made one.
#[tokio::test]
async fn a_length_told_twice_is_told_once_to_the_pod() {
    for lengths in [
        "Content-Length: 4\r\nContent-Length: 4",
        "Content-Length: 4, 4",
    ] {
        let pod = Pod::start("a").await;
        let sidecar = Sidecar::over([&pod]).start().await;
        let request = format!("POST / HTTP/1.1\r\nHost: shop\r\n{lengths}\r\n\r\nbody");
        let answer = sidecar.client().await.ask(request).await;
        match answer.status() {
            400 => assert_eq!(pod.record().heads.len(), 0),
            status => {
                assert_eq!(status, 200);
                let seen = pod.only_request();
                assert_eq!(seen.head.all("content-length"), ["4"], "{lengths}");
            }
        }
    }
}
