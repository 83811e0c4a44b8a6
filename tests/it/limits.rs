//! What is too much, too slow or too many, and that the process outlives it.

use crate::support::client::get;
use crate::support::{Pod, Sidecar, eventually, soon};

async fn assert_alive(sidecar: &mut Sidecar) {
    assert!(sidecar.is_running());
    assert_eq!(sidecar.get("/alive").await.pod(), "a");
}

#[tokio::test]
async fn a_request_head_beyond_the_limits_is_refused() {
    let pod = Pod::start("a").await;
    let mut sidecar = Sidecar::over([&pod])
        .with("--max-header-bytes", "16KiB")
        .with("--max-header-count", "20")
        .start()
        .await;
    let fields = |count: usize| "X-A: 1\r\n".repeat(count);
    for (what, head, status) in [
        (
            "the most bytes",
            format!("X-Big: {}\r\n", "a".repeat(15_000)),
            200,
        ),
        (
            "too many bytes",
            format!("X-Big: {}\r\n", "a".repeat(17_000)),
            431,
        ),
        // With Host: twenty.
        ("the most fields", fields(19), 200),
        ("too many fields", fields(20), 431),
    ] {
        let mut client = sidecar.client().await;
        let answer = client
            .ask(format!("GET / HTTP/1.1\r\nHost: shop\r\n{head}\r\n"))
            .await;
        assert_eq!(answer.status(), status, "{what}");
        if status != 200 {
            soon("the end", client.wire.gone()).await;
        }
    }
    assert_eq!(pod.record().heads.len(), 2);
    assert_alive(&mut sidecar).await;
}

#[tokio::test]
async fn a_target_that_is_too_long_is_refused() {
    let pod = Pod::start("a").await;
    let mut sidecar = Sidecar::over([&pod])
        .with("--max-header-bytes", "16KiB")
        .start()
        .await;
    let mut client = sidecar.client().await;
    let answer = client.get(&format!("/{}", "a".repeat(17_000))).await;
    assert!(matches!(answer.status(), 414 | 431), "{answer:?}");
    assert_eq!(pod.record().heads.len(), 0);
    assert_alive(&mut sidecar).await;
}

#[tokio::test]
async fn an_endless_request_head_ends() {
    let pod = Pod::start("a").await;
    let mut sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    client
        .send("GET / HTTP/1.1\r\nHost: shop\r\nX-Endless: ")
        .await;
    let endless = async {
        // Until the sidecar has had enough.
        while client.wire.send([b'a'; 4096]).await.is_ok() {}
    };
    soon("the sidecar to have had enough", endless).await;
    assert_eq!(pod.record().heads.len(), 0);
    assert_alive(&mut sidecar).await;
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_told_so_and_closed() {
    let pod = Pod::start("a").await;
    let mut sidecar = Sidecar::over([&pod])
        .with("--max-connections", "2")
        .start()
        .await;
    let mut first = sidecar.client().await;
    let mut second = sidecar.client().await;
    first.get("/").await;
    second.get("/").await;
    let mut third = sidecar.client().await;
    let answer = third.get("/").await;
    assert_eq!((answer.status(), answer.flag()), (503, Some("UO")));
    assert_eq!(answer.field("connection"), Some("close"));
    third.wire.gone().await;
    // Those inside are not disturbed, and one that leaves makes room.
    assert_eq!(second.get("/").await.pod(), "a");
    drop(first);
    eventually("room for a connection", async || {
        (sidecar.get("/").await.status() == 200).then_some(())
    })
    .await;
    assert!(sidecar.is_running());
}

#[tokio::test]
async fn a_request_beyond_the_limit_in_flight_is_refused() {
    let (pod, go) = Pod::gated("a").await;
    let sidecar = Sidecar::over([&pod])
        .with("--max-requests", "2")
        .start()
        .await;
    let mut inside = [sidecar.client().await, sidecar.client().await];
    for client in &mut inside {
        client.send(get("/")).await;
    }
    pod.until("two requests", |record| record.heads.len() == 2)
        .await;
    let mut third = sidecar.client().await;
    let answer = third.get("/").await;
    assert_eq!((answer.status(), answer.flag()), (503, Some("UO")));
    go.add_permits(3);
    for client in &mut inside {
        assert_eq!(client.response().await.pod(), "a");
    }
    // The refused client's connection is good for another try.
    assert_eq!(third.get("/").await.pod(), "a");
}
