//! Policies that go by what pods have in hand.

use std::time::Duration;

use super::spread;
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, eventually, manners};

/// A pod that takes so long for each answer.
async fn slow(name: &str, pause: Duration) -> Pod {
    Pod::scripted(name, move |mut session: Session| async move {
        while session.request().await?.is_some() {
            tokio::time::sleep(pause).await;
            session.answer().await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_slow_pod_gets_less_under_least_request_and_peak_ewma() {
    let pods = [
        slow("a", Duration::from_millis(5)).await,
        slow("b", Duration::from_millis(5)).await,
        slow("c", Duration::from_millis(200)).await,
    ];
    for policy in ["least-request", "least-request:choices=3", "peak-ewma"] {
        let sidecar = Sidecar::over(&pods).with("--policy", policy).start().await;
        let counts = spread(&sidecar, 12, 25).await;
        let slow = counts.get("c").copied().unwrap_or_default();
        // A hundred would be its share.
        assert!(slow < 50, "{policy}: {counts:?}");
    }
}

#[tokio::test]
async fn a_pod_that_fails_fast_draws_no_requests_under_peak_ewma() {
    let pods = [
        slow("a", Duration::from_millis(20)).await,
        Pod::scripted(
            "b",
            manners::say(
                "HTTP/1.1 503 Service Unavailable\r\nx-pod: b\r\ncontent-length: 0\r\n\r\n",
            ),
        )
        .await,
    ];
    let sidecar = Sidecar::over(&pods)
        .with("--policy", "peak-ewma")
        .start()
        .await;
    // As long as nobody knows what the slow one costs, the others ask the only one that has answered.
    eventually("an answer of the slow one", async || {
        (sidecar.get("/").await.pod() == "a").then_some(())
    })
    .await;
    let counts = spread(&sidecar, 4, 25).await;
    let failed = counts.get("b").copied().unwrap_or_default();
    assert!(failed < 20, "{counts:?}");
}

#[tokio::test]
async fn requests_of_all_workers_count() {
    let (held, gate) = Pod::gated("a").await;
    let pods = [held, Pod::start("b").await];
    let sidecar = Sidecar::over(&pods)
        .with("--policy", "least-request")
        .start()
        .await;
    // One is caught at the pod that answers nothing; from then on nobody goes there, whatever the worker.
    let mut caught = None;
    while caught.is_none() {
        let mut client = sidecar.client().await;
        client.send(crate::support::client::get("/")).await;
        let answer = tokio::time::timeout(Duration::from_millis(200), client.response()).await;
        if answer.is_err() {
            caught = Some(client);
        }
    }
    for _ in 0..40 {
        assert_eq!(sidecar.get("/").await.pod(), "b");
    }
    gate.add_permits(1000);
    assert_eq!(caught.unwrap().response().await.pod(), "a");
}
