//! Requests that wait because there is no endpoint.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::support::client::{get, post};
use crate::support::pod::Session;
use crate::support::slices::Entry;
use crate::support::{Cluster, Pod, Sidecar, Slices, soon};

/// A poll every 100 ms would take half of that on average.
const AT_ONCE: Duration = Duration::from_millis(25);

#[tokio::test]
async fn a_request_without_an_endpoint_waits_for_the_first_one() {
    let slices = Slices::none();
    let sidecar = Sidecar::watching(&slices).start().await;
    let mut reader = sidecar.client().await;
    let mut writer = sidecar.client().await;
    reader.send(get("/")).await;
    writer.send(post("/", b"body")).await;
    sidecar.until_held(2).await;

    let pod = Pod::start("a").await;
    slices.set([&pod]);
    assert_eq!(reader.response().await.pod(), "a");
    assert_eq!(writer.response().await.pod(), "a");
    sidecar.until_held(0).await;
    let record = pod.record();
    let posted = record
        .requests
        .iter()
        .find(|request| request.head.method() == "POST");
    assert_eq!(posted.unwrap().body, b"body");
}

#[tokio::test]
async fn a_list_that_brings_a_pod_releases_what_is_held_at_once() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let pod = Pod::scripted("a", move |mut session: Session| {
        let arrived = arrived.clone();
        async move {
            while session.request().await?.is_some() {
                let _ = arrived.send(SystemTime::now());
                session.answer().await?;
            }
            Ok(())
        }
    })
    .await;
    let cluster = Cluster::start().await;
    cluster.add_service("cart");
    let sidecar = Sidecar::of_services(&cluster, "shop/cart:http")
        .on_one_worker()
        .start()
        .await;
    let mut delays = Vec::new();
    for round in 0..11 {
        // Waits of all lengths, lest they end together with the turns of a poll.
        let mut client = sidecar.client().await;
        client.send(get("/")).await;
        sidecar.until_held(1).await;
        tokio::time::sleep(Duration::from_millis(9 * round)).await;
        cluster.add(&pod);
        assert_eq!(client.response().await.pod(), "a");
        let arrived = arrivals.recv().await.unwrap();
        let state = sidecar.state().await;
        let published: Timestamp = state["published"].as_str().unwrap().parse().unwrap();
        // Told in milliseconds, rounded: it may seem to lie behind the arrival.
        let delay = arrived.duration_since(published.into());
        delays.push(delay.unwrap_or_default());
        cluster.remove(&pod);
        // The worker closes it once it has heard that the pod is gone.
        pod.until("its idle connection to be closed", |record| {
            record.open == 0
        })
        .await;
    }
    delays.sort_unstable();
    let median = delays[delays.len() / 2];
    assert!(median < AT_ONCE, "from list to pod: {delays:?}");
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
    sidecar.until_held(100).await;
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
    sidecar.until_held(1).await;
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
    sidecar.until_held(1).await;
    let turned_away = sidecar.get("/").await;
    assert_eq!(
        (turned_away.status(), turned_away.flag()),
        (503, Some("UO"))
    );

    drop(first);
    sidecar.until_held(0).await;
    let mut second = sidecar.client().await;
    second.send(get("/")).await;
    sidecar.until_held(1).await;
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

#[tokio::test]
async fn terminating_pods_that_refuse_are_gone_whatever_the_list_says() {
    let gone = [Pod::refusing("a"), Pod::refusing("b")];
    let slices = Slices::of(gone.iter().map(Entry::terminating));
    let sidecar = Sidecar::watching(&slices).start().await;
    let mut client = sidecar.client().await;
    client.send(post("/", b"body")).await;
    sidecar.until_held(1).await;
    for pod in &gone {
        sidecar.until_state(pod, "terminating").await;
    }
    let new = Pod::start("new").await;
    slices.set([&new]);
    assert_eq!(client.response().await.pod(), "new");
}

#[tokio::test]
async fn a_request_that_meets_the_end_of_the_last_terminating_pod_waits_for_another() {
    // It takes a second request on a kept connection, and ends instead of answering.
    let mut last = Pod::scripted("last", |mut session: Session| async move {
        session.request().await?;
        session.answer().await?;
        session.request().await?;
        std::future::pending().await
    })
    .await;
    let slices = Slices::of([Entry::terminating(&last)]);
    let sidecar = Sidecar::watching(&slices).start().await;
    let mut client = sidecar.client().await;
    client.send(get("/")).await;
    assert_eq!(client.response().await.pod(), "last");
    client.send(get("/")).await;
    last.until("the second request", |record| record.requests.len() == 2)
        .await;
    last.kill().await;
    sidecar.until_held(1).await;
    let new = Pod::start("new").await;
    slices.set([&new]);
    assert_eq!(client.response().await.pod(), "new");
}

#[tokio::test]
async fn a_terminating_pod_that_closes_connections_is_let_be_until_it_has_ended() {
    // As long as it ends it takes requests and answers none.
    let mut last = Pod::scripted("last", |mut session: Session| async move {
        session.request().await?;
        Ok(())
    })
    .await;
    let slices = Slices::of([Entry::terminating(&last)]);
    let sidecar = Sidecar::watching(&slices).start().await;
    let mut client = sidecar.client().await;
    client.send(get("/")).await;
    last.until("the first try", |record| !record.requests.is_empty())
        .await;
    let second = last.until("the second", |record| record.requests.len() == 2);
    let hasty = tokio::time::timeout(AT_ONCE, second).await;
    assert!(hasty.is_err(), "the second try was made at once");
    last.kill().await;

    sidecar.until_held(1).await;
    let new = Pod::start("new").await;
    slices.set([&new]);
    assert_eq!(client.response().await.pod(), "new");
}
