//! The race that every proxy meets: a pod closes an idle connection at the very moment of the next request.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::support::client::{get, post};
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar};

/// Answers once on each connection and ends it at a moment that chance chooses.
async fn race(mut session: Session) -> io::Result<()> {
    session.request().await?;
    session.answer().await?;
    match fastrand::u8(0..4) {
        // At once: the end races with the next request.
        0 => Ok(()),
        // When the next request is there, unread: a reset.
        1 => session.wire.stream().readable().await,
        // With the next request read.
        2 => session.request().await.map(drop),
        // In the middle of the next request.
        _ => session.wire.exact(10).await.map(drop),
    }
}

#[tokio::test]
async fn no_get_is_lost_and_no_post_is_doubled() {
    let pods = [
        Pod::scripted("a", race).await,
        Pod::scripted("b", race).await,
    ];
    let sidecar = Sidecar::over(&pods)
        .with("--retry-budget-ratio", "1")
        .with("--retry-budget-floor", "10000")
        .start()
        .await;
    let mut client = sidecar.client().await;
    let (mut answered, mut lost) = (BTreeSet::new(), 0);
    for round in 0..600 {
        if fastrand::bool() {
            let answer = client.get("/").await;
            assert_eq!(answer.status(), 200, "round {round}: {}", answer.text());
            continue;
        }
        let target = format!("/{round}");
        let answer = client.ask(post(&target, b"body")).await;
        match (answer.status(), answer.flag()) {
            (200, None) => assert!(answered.insert(target)),
            (502, Some("UC")) => lost += 1,
            other => panic!("{other:?}: {}", answer.text()),
        }
        if answer.field("connection") == Some("close") {
            client = sidecar.client().await;
        }
    }
    let mut seen = BTreeSet::new();
    let (mut connections, mut heads) = (0, 0);
    for pod in &pods {
        let record = pod.record();
        connections += record.connections;
        heads += record.heads.len();
        let posts = record.heads.iter().filter(|head| head.method() == "POST");
        for head in posts {
            assert!(seen.insert(head.target().to_owned()), "twice: {head:?}");
        }
    }
    assert!(answered.is_subset(&seen));
    // The race did take place: connections were used again, and some of those requests had no answer.
    assert!(
        heads > connections && lost > 0,
        "{heads} {connections} {lost}"
    );
}

#[tokio::test]
async fn stale_connections_are_no_fault_of_their_pod() {
    const KEPT: usize = 6;
    let start = Arc::new(Semaphore::new(0));
    let gate = start.clone();
    let stale = Pod::scripted("stale", move |mut session: Session| {
        let gate = gate.clone();
        async move {
            session.request().await?;
            gate.acquire().await.unwrap().forget();
            session.answer().await?;
            session.request().await.map(drop)
        }
    })
    .await;
    let good = Pod::start("good").await;
    let sidecar = Sidecar::over([&stale, &good])
        .on_one_worker()
        .with("--retry-budget-floor", "10000")
        .start()
        .await;
    // So many connections to the pod, each of which ends with its second request.
    let mut clients = Vec::new();
    for _ in 0..2 * KEPT {
        let mut client = sidecar.client().await;
        client.send(get("/")).await;
        clients.push(client);
    }
    stale
        .until("its connections", |record| record.open == KEPT)
        .await;
    start.add_permits(KEPT);
    for client in &mut clients {
        client.response().await;
    }
    // More failures in a row than an ejection takes.
    for _ in 0..KEPT {
        assert_eq!(clients[0].get("/").await.pod(), "good");
    }
    assert!(
        stale.record().heads.len() > KEPT + 4,
        "{:?}",
        stale.record()
    );
    assert_eq!(sidecar.state_of(&stale).await["state"], "ready");
}
