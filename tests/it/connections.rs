//! A client's connection: kept, closed, used ahead of answers, in HTTP/1.0.

use crate::support::client::{get, post};
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, manners};

/// Answers with the target it was asked for.
async fn answer_with_target(mut session: Session) -> std::io::Result<()> {
    while let Some(request) = session.request().await? {
        let target = request.head.target();
        let length = target.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{target}");
        session.wire.send(answer).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_http_1_0_client_gets_no_chunks() {
    let answer =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3\r\nay!\r\n0\r\n\r\n";
    let pod = Pod::scripted("a", manners::say(answer)).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    let answer = client.ask("GET / HTTP/1.0\r\nHost: shop\r\n\r\n").await;
    assert_eq!(answer.text(), "okay!");
    assert_eq!(answer.field("transfer-encoding"), None);
    client.closed().await;
    // The pod is spoken to in our own version.
    assert_eq!(pod.only_request().head.line, "GET / HTTP/1.1");
}

#[tokio::test]
async fn an_http_1_0_client_may_name_no_host_and_may_keep_its_connection() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    let answer = client
        .ask("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        .await;
    assert_eq!(answer.pod(), "a");
    assert_eq!(answer.field("connection"), Some("keep-alive"));
    // HTTP/1.1 pods want a Host.
    assert_eq!(pod.only_request().head.all("host").len(), 1);
    assert_eq!(client.ask("GET / HTTP/1.0\r\n\r\n").await.pod(), "a");
    client.closed().await;
}

#[tokio::test]
async fn a_client_that_says_close_is_closed_after_its_answer() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).on_one_worker().start().await;
    let mut client = sidecar.client().await;
    let answer = client
        .ask("GET / HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(answer.pod(), "a");
    client.closed().await;
    // The pod's connection is another hop and lives on.
    assert_eq!(sidecar.get("/").await.pod(), "a");
    let record = pod.record();
    assert_eq!(record.connections, 1);
    let said = record.heads.iter().map(|head| head.field("connection"));
    assert_eq!(said.collect::<Vec<_>>(), [None, None]);
}

#[tokio::test]
async fn a_pod_that_closes_does_not_close_its_client() {
    let answer = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    let pod = Pod::scripted("a", manners::say_and_close(answer)).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    for _ in 0..3 {
        let answer = client.get("/").await;
        assert_eq!(answer.text(), "ok");
        assert_eq!(answer.field("connection"), None);
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let pod = Pod::scripted("a", answer_with_target).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    let body = "GET /not-a-request HTTP/1.1\r\n\r\n";
    let requests = [
        get("/1").into_bytes(),
        post("/2", body.as_bytes()),
        get("/3").into_bytes(),
        get("/4").into_bytes(),
    ];
    client.send(requests.concat()).await;
    for expected in ["/1", "/2", "/3", "/4"] {
        assert_eq!(client.response().await.text(), expected);
    }
    assert_eq!(pod.record().heads.len(), 4);
}

#[tokio::test]
async fn a_request_sent_ahead_cannot_hide_another_in_its_body() {
    let pod = Pod::scripted("a", answer_with_target).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    let ahead = "POST /2 HTTP/1.1\r\nHost: shop\r\nContent-Length: 42\r\nTransfer-Encoding: chunked\r\n\r\n\
                 0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: shop\r\n\r\n";
    client.send(format!("{}{ahead}", get("/1"))).await;
    assert_eq!(client.response().await.text(), "/1");
    // Refused, or taken for what its chunks say and nothing more: in either case the last one here.
    client.response().await;
    crate::support::soon("the end", client.wire.gone()).await;
    let record = pod.record();
    for head in &record.heads {
        assert!(head.target() != "/smuggled", "{head:?}");
        assert_eq!(head.field("content-length"), None, "{head:?}");
    }
}

#[tokio::test]
async fn an_empty_line_before_a_request_is_forgiven() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    assert_eq!(client.ask(format!("\r\n{}", get("/"))).await.pod(), "a");
    // Some clients send one after a body, too.
    client.send(post("/", b"body")).await;
    client.send(format!("\r\n{}", get("/"))).await;
    assert_eq!(client.response().await.pod(), "a");
    assert_eq!(client.response().await.pod(), "a");
}
