//! `Expect: 100-continue` end to end: the pod decides whether the body is wanted. And other interim responses.

use std::io;
use std::time::Duration;

use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, manners};

const HEAD: &str =
    "POST /upload HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";

/// Asks for the body before it answers.
async fn wants_the_body(mut session: Session) -> io::Result<()> {
    while let Some(head) = session.head().await? {
        if head.field("expect").is_some() {
            session.wire.send("HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        session.rest(head).await?;
        session.answer().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_body_is_asked_for_when_the_pod_asks() {
    let pod = Pod::scripted("a", wants_the_body).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    for _ in 0..2 {
        client.send(HEAD).await;
        assert_eq!(client.head().await.status(), 100);
        client.send("body").await;
        assert_eq!(client.response().await.pod(), "a");
    }
    let record = pod.record();
    assert_eq!(record.requests[1].body, b"body");
    assert_eq!(record.requests[1].field("expect"), Some("100-continue"));
}

#[tokio::test]
async fn a_refusal_reaches_the_client_before_it_sends_the_body() {
    for status in [401, 413, 417] {
        let pod = Pod::scripted("a", move |mut session: Session| async move {
            session.head().await?;
            let answer = format!("HTTP/1.1 {status} No\r\nX-Pod: a\r\nContent-Length: 0\r\n\r\n");
            session.wire.send(answer).await?;
            // Nothing of the body may come.
            session.wire.gone().await;
            Ok(())
        })
        .await;
        let sidecar = Sidecar::over([&pod]).start().await;
        let mut client = sidecar.client().await;
        let answer = client.ask(HEAD).await;
        assert_eq!(answer.status(), status, "no 100 came before it");
        assert_eq!(answer.pod(), "a");
        assert_eq!(pod.record().requests.len(), 0);
    }
}

#[tokio::test]
async fn a_pod_that_waits_for_the_body_unasked_gets_it_from_a_client_that_sends_it_unasked() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    client.send(HEAD).await;
    pod.until("the head", |record| record.heads.len() == 1)
        .await;
    client.send("body").await;
    assert_eq!(client.final_response().await.pod(), "a");
    assert_eq!(pod.only_request().body, b"body");
}

#[tokio::test]
async fn a_client_that_does_not_wait_is_served_all_the_same() {
    let pod = Pod::scripted("a", wants_the_body).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    client.send(format!("{HEAD}body")).await;
    assert_eq!(client.final_response().await.pod(), "a");
    assert_eq!(pod.only_request().body, b"body");
}

#[tokio::test]
async fn an_interim_response_does_not_stand_in_for_the_final_one() {
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n\
                  HTTP/1.1 102 Processing\r\n\r\n\
                  HTTP/1.1 200 OK\r\nX-Pod: a\r\nContent-Length: 2\r\n\r\nok";
    let pod = Pod::scripted("a", manners::say(answer)).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    for _ in 0..2 {
        let answer = client.get("/").await;
        assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"));
    }
    assert_eq!(pod.record().connections, 1);
}

#[tokio::test]
async fn an_interim_response_does_not_end_the_wait_for_the_final_one() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        session.request().await?;
        session
            .wire
            .send("HTTP/1.1 103 Early Hints\r\n\r\n")
            .await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
        session.answer().await
    })
    .await;
    let sidecar = Sidecar::over([&pod])
        .with("--response-timeout", "5s")
        .start()
        .await;
    assert_eq!(sidecar.get("/").await.pod(), "a");
}
