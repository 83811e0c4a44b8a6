//! Clients that leave while both pods are asked.

use super::*;
use crate::support::http2::H2Client;

/// Enough that a pod would be left out, were they held against it.
const ROUNDS: usize = 6;

/// After so many requests whose clients left while both pods had them.
async fn assert_nothing_remains(sidecar: &Sidecar, pods: [&Pod; 2]) {
    until_hedges(sidecar, "lost", ROUNDS as f64).await;
    let gone = ["class=\"4xx\"", "flag=\"DC\""];
    let rounds = ROUNDS as f64;
    assert_eq!(
        sidecar.metric("podrobin_requests_total", &gone).await,
        rounds
    );
    assert_eq!(sidecar.metric("podrobin_requests_total", &[]).await, rounds);
    let attempts = sidecar.metric("podrobin_attempts_total", &[]).await;
    assert_eq!(attempts, 2.0 * rounds);
    for result in ["won", "failed"] {
        assert_eq!(hedges(sidecar, result).await, 0.0, "{result}");
    }
    for gauge in [
        "podrobin_requests_in_flight",
        "podrobin_pod_in_flight",
        "podrobin_requests_held",
    ] {
        assert_eq!(sidecar.metric(gauge, &[]).await, 0.0, "{gauge}");
    }
    assert_eq!(sidecar.metric("podrobin_ejections_total", &[]).await, 0.0);
    for pod in pods {
        let state = sidecar.state_of(pod).await;
        assert_eq!(
            (&state["state"], &state["in_flight"]),
            (&"ready".into(), &0.into()),
            "{state}"
        );
    }
}

async fn until_asked(pods: [&Pod; 2], round: usize) {
    for pod in pods {
        let what = format!("request {round} at {}", pod.name);
        pod.until(&what, |record| {
            record.heads.len().max(record.streams) == round
        })
        .await;
    }
}

#[tokio::test]
async fn both_pods_see_their_connections_end_and_nothing_is_held_against_them() {
    let a = Pod::scripted("a", manners::never_answer).await;
    let b = Pod::scripted("b", manners::never_answer).await;
    let pods = [&a, &b];
    let sidecar = hedged(Sidecar::over(pods)).start().await;
    for round in 1..=ROUNDS {
        let mut client = sidecar.client().await;
        client.send(get("/")).await;
        until_asked(pods, round).await;
        drop(client);
        for pod in pods {
            pod.until("its connection to end", |record| record.open == 0)
                .await;
        }
    }
    assert_nothing_remains(&sidecar, pods).await;
}

#[tokio::test]
async fn over_http2_both_streams_are_cancelled_and_their_connections_stay() {
    let silent = || {
        http2::script(|mut exchange: Exchange| async move {
            exchange.read().await?;
            exchange.until_reset().await
        })
    };
    let a = Pod::scripted("a", silent()).await;
    let b = Pod::scripted("b", silent()).await;
    let pods = [&a, &b];
    let sidecar = hedged(Sidecar::over(pods).http2_to_pods()).start().await;
    // Some reset their stream, some close their connection.
    let staying = sidecar.http2().await;
    for round in 1..=ROUNDS {
        let leaving: Option<H2Client> = match round % 2 {
            0 => Some(sidecar.http2().await),
            _ => None,
        };
        let client = leaving.as_ref().unwrap_or(&staying);
        let call = client.open(http2::get("/"), true).await.unwrap();
        until_asked(pods, round).await;
        drop((call, leaving));
        for pod in pods {
            pod.until("its stream to be cancelled", |record| {
                record.ended.len() == round && record.ended[round - 1] == Some(h2::Reason::CANCEL)
            })
            .await;
        }
    }
    for pod in pods {
        assert_eq!(pod.record().connections, 1);
    }
    assert_nothing_remains(&sidecar, pods).await;
}
