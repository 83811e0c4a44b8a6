//! Messages that break off: never ended as if they were whole.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::support::client::get;
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, soon};

/// Ways a pod's response can break off: how it is framed and what comes of it.
const HALVES: [(&str, &str); 4] = [
    (
        "Content-Length",
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
    ),
    (
        "between chunks",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ),
    (
        "in a chunk",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\nhalf",
    ),
    (
        "before the end of the trailers",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
    ),
];

#[tokio::test]
async fn a_response_cut_short_is_cut_short_for_the_client() {
    for reset in [false, true] {
        for (what, half) in HALVES {
            assert_cut_short(what, half, reset).await;
        }
    }
    // Without a length only a reset tells this from a whole response.
    assert_cut_short("no length", "HTTP/1.1 200 OK\r\n\r\nhalf", true).await;
}

async fn assert_cut_short(what: &str, half: &'static str, reset: bool) {
    let seen = Arc::new(Semaphore::new(0));
    let gate = seen.clone();
    let pod = Pod::scripted("a", move |mut session: Session| {
        let gate = gate.clone();
        async move {
            session.request().await?;
            session.wire.send(half).await?;
            // Until the client has the head: a reset may overtake what was sent.
            gate.acquire().await.unwrap().forget();
            if reset {
                session.wire.reset()?;
            }
            Ok(())
        }
    })
    .await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    client.send(get("/")).await;
    let head = client.head().await;
    assert_eq!(head.status(), 200);
    seen.add_permits(1);
    let framing = head.response_framing();
    let rest = soon("the rest", client.wire.rest(head, framing)).await;
    let error = rest.expect_err(what);
    assert!(is_unclean(&error), "{what}: {error}");
    // One exchange, and the request is not sent again once its response has begun.
    assert_eq!(pod.record().heads.len(), 1, "{what}");
}

fn is_unclean(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
    )
}

#[tokio::test]
async fn an_upload_cut_short_is_cut_short_for_the_pod() {
    for request in [
        "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\nhalf",
        "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        let pod = Pod::start("a").await;
        let sidecar = Sidecar::over([&pod]).start().await;
        let mut client = sidecar.client().await;
        client.send(request).await;
        pod.until("the head", |record| record.heads.len() == 1)
            .await;
        drop(client);
        pod.until("the end of its connection", |record| record.open == 0)
            .await;
        assert_eq!(pod.record().requests.len(), 0, "{request}");
        soon("the next request", sidecar.get("/")).await;
    }
}

#[tokio::test]
async fn an_upload_that_is_not_what_it_said_is_cut_short_for_the_pod() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n")
        .await;
    pod.until("the head", |record| record.heads.len() == 1)
        .await;
    client.send("no chunk\r\n").await;
    let answer = client.response().await;
    assert_eq!((answer.status(), answer.flag()), (400, Some("DPE")));
    client.wire.gone().await;
    pod.until("the end of its connection", |record| record.open == 0)
        .await;
    assert_eq!(pod.record().requests.len(), 0);
    assert_eq!(sidecar.state_of(&pod).await["state"], "ready");
}

/// To an HTTP/1.0 client the end of the connection is the end of the body: only a reset tells it that more was to come.
#[tokio::test]
async fn a_response_cut_short_is_reset_for_an_http_1_0_client() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        session.request().await?;
        let half = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n";
        session.wire.send(half).await
    })
    .await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    client.send("GET / HTTP/1.0\r\nHost: shop\r\n\r\n").await;
    let error = client.try_response().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}
