//! Requests that wait because there is no endpoint.

use std::time::{Duration, Instant};

use crate::support::client::{get, post};
use crate::support::{Client, Pod, Sidecar, Slices, eventually, soon};

/// Gives a request time to be answered at once, which it must not be.
async fn assert_unanswered(client: &mut Client) {
    let answer = tokio::time::timeout(Duration::from_millis(200), client.wire.head());
    if let Ok(head) = answer.await {
        panic!("not held: {head:?}");
    }
}

#[tokio::test]
async fn a_request_without_an_endpoint_waits_for_the_first_one() {
    let slices = Slices::none();
    let sidecar = Sidecar::watching(&slices).start().await;
    let mut reader = sidecar.client().await;
    let mut writer = sidecar.client().await;
    reader.send(get("/")).await;
    writer.send(post("/", b"body")).await;
    assert_unanswered(&mut reader).await;
    assert_unanswered(&mut writer).await;

    let pod = Pod::start("a").await;
    slices.set([&pod]);
    sidecar.until_listed(1).await;
    let listed = Instant::now();
    assert_eq!(reader.response().await.pod(), "a");
    assert_eq!(writer.response().await.pod(), "a");
    let took = listed.elapsed();
    assert!(took < Duration::from_millis(500), "released after {took:?}");
    let record = pod.record();
    let posted = record
        .requests
        .iter()
        .find(|request| request.head.method() == "POST");
    assert_eq!(posted.unwrap().body, b"body");
}

#[tokio::test]
async fn a_crowd_that_waits_is_released_at_once_and_spread() {
    let slices = Slices::none();
    let sidecar = Sidecar::watching(&slices).start().await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = sidecar.client().await;
        client.send(get("/")).await;
        clients.push(client);
    }
    let pods = [Pod::start("a").await, Pod::start("b").await];
    slices.set(&pods);
    let mut of_a = 0;
    for client in &mut clients {
        of_a += usize::from(client.response().await.pod() == "a");
    }
    assert_eq!(of_a, 50);
}

#[tokio::test]
async fn a_service_scaled_to_zero_and_back_loses_nothing() {
    let pod = Pod::start("a").await;
    let slices = Slices::of([&pod]);
    let sidecar = Sidecar::watching(&slices).start().await;
    let mut kept = sidecar.client().await;
    assert_eq!(kept.get("/").await.pod(), "a");
    slices.clear();
    sidecar.until_listed(0).await;
    pod.until("its idle connection to be closed", |record| {
        record.open == 0
    })
    .await;
    kept.send(get("/held")).await;
    assert_unanswered(&mut kept).await;
    slices.set([&pod]);
    assert_eq!(kept.response().await.pod(), "a");
}

#[tokio::test]
async fn a_wait_has_an_end() {
    for hold in ["300ms", "0"] {
        let slices = Slices::none();
        let sidecar = Sidecar::watching(&slices)
            .with("--hold", hold)
            .start()
            .await;
        let mut client = sidecar.client().await;
        let since = Instant::now();
        let answer = client.get("/").await;
        let took = since.elapsed();
        assert_eq!(
            (answer.status(), answer.flag()),
            (503, Some("UH")),
            "{hold}"
        );
        let retry_after = answer.field("retry-after").unwrap();
        assert!(retry_after.parse::<u32>().unwrap() > 0, "{retry_after}");
        assert!(
            hold == "0" || took >= Duration::from_millis(300),
            "{took:?}"
        );
        // The connection is good for the next request.
        assert_eq!(client.get("/").await.status(), 503);
    }
}

#[tokio::test]
async fn no_more_wait_than_allowed_and_a_client_that_leaves_makes_room() {
    let slices = Slices::none();
    let sidecar = Sidecar::watching(&slices)
        .with("--max-held", "1")
        .start()
        .await;
    let mut first = sidecar.client().await;
    first.send(get("/")).await;
    assert_unanswered(&mut first).await;
    let turned_away = sidecar.get("/").await;
    assert_eq!(
        (turned_away.status(), turned_away.flag()),
        (503, Some("UO"))
    );

    drop(first);
    let mut second = eventually("a place to wait in", async || {
        let mut client = sidecar.client().await;
        client.send(get("/")).await;
        let answer = tokio::time::timeout(Duration::from_millis(200), client.response()).await;
        answer.is_err().then_some(client)
    })
    .await;
    let pod = Pod::start("a").await;
    slices.set([&pod]);
    assert_eq!(second.response().await.pod(), "a");
    // The first one's request left with it.
    assert_eq!(pod.record().heads.len(), 1);
}

#[tokio::test]
async fn pods_that_are_all_down_are_not_waited_for() {
    // Held requests wait for the list; a list whose pods refuse is another failure, told at once.
    let pod = Pod::refusing("a");
    let sidecar = Sidecar::over([&pod]).start().await;
    let answer = soon("an answer", sidecar.get("/")).await;
    assert_eq!(answer.flag(), Some("UF"));
}
