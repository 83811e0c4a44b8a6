//! The pods themselves: a scene proves nothing if its pod does not misbehave as it says.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::support::client::{get, post};
use crate::support::{Client, Pod, manners, soon};

#[tokio::test]
async fn a_pod_answers_with_its_name_and_remembers_what_it_read() {
    let pod = Pod::start("a").await;
    let mut client = Client::connect(pod.address).await;
    assert_eq!(client.get("/one").await.pod(), "a");
    assert_eq!(client.ask(post("/two", b"body")).await.text(), "a");
    let record = pod.record();
    assert_eq!(record.connections, 1);
    assert_eq!(record.heads[0].text, get("/one"));
    assert_eq!(record.requests[1].body, b"body");
}

#[tokio::test]
async fn a_refusing_pod_refuses_until_it_is_opened() {
    let mut pod = Pod::refusing("a");
    let error = TcpStream::connect(pod.address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    pod.open(manners::answer_all);
    assert_eq!(Client::connect(pod.address).await.get("/").await.pod(), "a");
}

#[tokio::test]
async fn a_swallowing_pod_leaves_connections_hanging() {
    let pod = Pod::swallowing("a").await;
    for _ in 0..3 {
        let connecting = TcpStream::connect(pod.address);
        let outcome = tokio::time::timeout(Duration::from_millis(100), connecting).await;
        assert!(outcome.is_err(), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_resetting_pod_resets() {
    let pod = Pod::scripted("a", manners::reset_after_request).await;
    let mut client = Client::connect(pod.address).await;
    client.send(get("/")).await;
    let error = client.try_response().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    pod.until("the end of its connection", |record| record.open == 0)
        .await;
}

#[tokio::test]
async fn a_pod_sees_its_client_leave() {
    let pod = Pod::scripted("a", manners::never_answer).await;
    let mut client = Client::connect(pod.address).await;
    client.send(get("/")).await;
    pod.until("a request", |record| record.requests.len() == 1)
        .await;
    drop(client);
    pod.until("the end of its connection", |record| record.open == 0)
        .await;
}

#[tokio::test]
async fn a_dropped_pod_takes_its_connections_along() {
    let pod = Pod::start("a").await;
    let mut client = Client::connect(pod.address).await;
    client.get("/").await;
    drop(pod);
    soon("the end", client.wire.gone()).await;
}
