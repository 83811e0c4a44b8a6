//! How many tunnels there may be, and for how long.

use std::time::Duration;

use tokio::time::Instant;

use super::{ASK, assert_echoes, echo, echoing};
use crate::support::client::get;
use crate::support::{Pod, Sidecar, eventually, soon};

#[tokio::test]
async fn an_upgrade_beyond_the_limit_is_refused() {
    let pod = echoing("a").await;
    let sidecar = Sidecar::over([&pod])
        .with("--max-upgrades", "2")
        .start()
        .await;
    let (mut first, _) = echo(&sidecar).await;
    let (mut second, _) = echo(&sidecar).await;
    let mut third = sidecar.client().await;
    let answer = third.ask(ASK).await;
    assert_eq!((answer.status(), answer.flag()), (503, Some("UO")));
    assert_eq!(pod.record().heads.len(), 2);
    assert_echoes(&mut first, "not disturbed").await;
    first.wire.finish().await.unwrap();
    first.closed().await;
    // The refused client's connection is good for another try.
    eventually("a place", async || {
        third.send(ASK).await;
        let head = third.head().await;
        if head.status() == 101 {
            return Some(());
        }
        let length = head.field("content-length").unwrap().parse().unwrap();
        third.wire.skim(length).await.unwrap();
        None
    })
    .await;
    assert_echoes(&mut second, "not disturbed").await;
}

#[tokio::test]
async fn tunnels_take_no_place_of_requests_and_refusals_none_of_tunnels() {
    let pod = echoing("a").await;
    let sidecar = Sidecar::over([&pod])
        .with("--max-requests", "1")
        .start()
        .await;
    let (mut first, _) = echo(&sidecar).await;
    let (mut second, _) = echo(&sidecar).await;
    assert_echoes(&mut first, "there").await;
    assert_echoes(&mut second, "there").await;

    let plain = Pod::start("b").await;
    let sidecar = Sidecar::over([&plain])
        .with("--max-upgrades", "1")
        .start()
        .await;
    let mut clients = [sidecar.client().await, sidecar.client().await];
    for _ in 0..3 {
        for client in &mut clients {
            assert_eq!(client.ask(ASK).await.pod(), "b");
            assert_eq!(client.ask(get("/")).await.pod(), "b");
        }
    }
}

#[tokio::test]
async fn no_upgrades_at_all_where_none_are_allowed() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod])
        .with("--max-upgrades", "0")
        .start()
        .await;
    let mut client = sidecar.client().await;
    assert_eq!(client.ask(ASK).await.flag(), Some("UO"));
    assert_eq!(client.get("/").await.pod(), "a");
}

#[tokio::test]
async fn no_time_of_a_request_or_a_connection_ends_a_tunnel() {
    let pod = echoing("a").await;
    let sidecar = Sidecar::over([&pod])
        .with("--request-timeout", "200ms")
        .with("--response-timeout", "200ms")
        .with("--client-idle-timeout", "200ms")
        .with("--header-timeout", "200ms")
        .with("--upstream-idle-timeout", "200ms")
        .start()
        .await;
    let (mut client, _) = echo(&sidecar).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_echoes(&mut client, "still there").await;
}

#[tokio::test]
async fn a_tunnel_on_which_nothing_moves_ends_where_that_is_limited() {
    let pod = echoing("a").await;
    let sidecar = Sidecar::over([&pod])
        .with("--tunnel-idle-timeout", "600ms")
        .with("--access-log", "json")
        .start()
        .await;
    let (mut client, _) = echo(&sidecar).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_echoes(&mut client, "moves").await;
    }
    let since = Instant::now();
    client.closed().await;
    assert!(since.elapsed() > Duration::from_millis(400));
    drop(client);
    pod.until("the end", |record| record.open == 0).await;
    let lines = sidecar
        .log
        .until("the tunnel's line", 1, |line| line["path"] == "/chat");
    assert_eq!(soon("a line", lines).await[0]["flag"], "UO");
}
