//! The race that every proxy meets: a pod closes an idle connection at the very moment of the next request.

use std::collections::BTreeSet;
use std::io;

use crate::support::client::post;
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar};

#[tokio::test]
async fn a_pod_that_closes_at_the_very_moment_of_the_next_request_loses_no_get_and_doubles_no_post()
{
    let racing = |mut session: Session| async move {
        session.request().await?;
        session.answer().await?;
        match session.number % 4 {
            // At once: the end races with the next request.
            0 => Ok(()),
            // When the next request is there, unread: a RST.
            1 => session.wire.stream().readable().await,
            // With the next request read.
            2 => read_and_close(session).await,
            // In the middle of the next request.
            _ => session.wire.exact(10).await.map(drop),
        }
    };
    let pods = [
        Pod::scripted("a", racing).await,
        Pod::scripted("b", racing).await,
    ];
    let sidecar = Sidecar::over(&pods)
        .with("--retry-budget-ratio", "1")
        .with("--retry-budget-floor", "10000")
        .start()
        .await;
    let mut client = sidecar.client().await;
    let mut posted = 0;
    for round in 0..300 {
        let answer = client.get("/").await;
        assert_eq!(answer.status(), 200, "round {round}: {}", answer.text());
        let answer = client.ask(post(&format!("/{round}"), b"body")).await;
        match (answer.status(), answer.flag()) {
            (200, None) => posted += 1,
            (502, Some("UC")) => {}
            other => panic!("{other:?}: {}", answer.text()),
        }
    }
    let mut seen = BTreeSet::new();
    for pod in &pods {
        let record = pod.record();
        let posts = record.heads.iter().filter(|head| head.method() == "POST");
        for head in posts {
            assert!(seen.insert(head.target().to_owned()), "twice: {head:?}");
        }
    }
    assert!(seen.len() >= posted);
    // A stale connection is no pod's fault.
    for pod in &pods {
        assert_eq!(sidecar.state_of(pod).await["state"], "ready");
    }
}

/// Closes or resets each connection as soon as a request on it was read whole.
async fn read_and_close(mut session: Session) -> io::Result<()> {
    session.request().await.map(drop)
}
