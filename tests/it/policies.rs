//! Each policy end to end: who gets how much, by what, and what is refused.

mod hashing;
mod loads;
mod orca;
mod simulation;
mod slow_start;
mod subsets;
mod weights;

use std::collections::BTreeMap;

use tokio::task::JoinSet;

use crate::support::client::get;
use crate::support::log::field;
use crate::support::{Client, Pod, Sidecar, Slices, manners};

const POLICIES: [&str; 7] = [
    "round-robin",
    "random",
    "least-request",
    "peak-ewma",
    "weighted",
    "weighted:orca",
    "hash:path",
];

/// So many requests from each of so many concurrent clients; answers by pod.
pub(crate) async fn spread(
    sidecar: &Sidecar,
    clients: usize,
    requests: usize,
) -> BTreeMap<String, usize> {
    let mut set = JoinSet::new();
    for _ in 0..clients {
        let proxy = sidecar.proxy;
        set.spawn(async move {
            let mut client = Client::connect(proxy).await;
            let mut pods = Vec::new();
            for _ in 0..requests {
                pods.push(client.get("/").await.pod().to_owned());
            }
            pods
        });
    }
    let mut counts = BTreeMap::new();
    for pod in set.join_all().await.into_iter().flatten() {
        *counts.entry(pod).or_default() += 1;
    }
    counts
}

async fn pods(names: &[&str]) -> Vec<Pod> {
    let mut pods = Vec::new();
    for name in names {
        pods.push(Pod::start(name).await);
    }
    pods
}

#[tokio::test]
async fn under_every_policy_a_retry_goes_to_another_pod() {
    for policy in POLICIES {
        let pods = [
            Pod::scripted("a", manners::reset_after_request).await,
            Pod::start("b").await,
        ];
        let sidecar = Sidecar::over(&pods)
            .with("--policy", policy)
            .with("--retry-budget-floor", "10000")
            .start()
            .await;
        let mut client = sidecar.client().await;
        for _ in 0..20 {
            assert_eq!(client.get("/").await.pod(), "b", "{policy}");
        }
    }
}

#[tokio::test]
async fn under_every_policy_a_request_waits_for_the_first_pod() {
    for policy in POLICIES {
        let slices = Slices::none();
        let sidecar = Sidecar::watching(&slices)
            .with("--policy", policy)
            .start()
            .await;
        let mut client = sidecar.client().await;
        client.send(get("/")).await;
        sidecar.until_held(1).await;
        let pod = Pod::start("a").await;
        slices.set([&pod]);
        assert_eq!(client.response().await.pod(), "a", "{policy}");
    }
}

#[tokio::test]
async fn under_every_policy_an_ejected_pod_gets_nothing_and_comes_back_after_its_trial() {
    // Under peak-ewma a pod that fails gets so little that it may be long until it has failed five times in a row.
    for policy in POLICIES.into_iter().filter(|policy| *policy != "peak-ewma") {
        let mut pods = [Pod::start("a").await, Pod::start("b").await];
        let sidecar = Sidecar::over(&pods).with("--policy", policy).start().await;
        pods[0].kill().await;
        let ask_all = async || {
            let mut client = sidecar.client().await;
            for number in 0..40 {
                assert_eq!(client.get(&format!("/{number}")).await.status(), 200);
            }
        };
        ask_all().await;
        sidecar.until_state(&pods[0], "ejected").await;
        pods[0].open(manners::answer_all);
        sidecar.until_state(&pods[0], "trial").await;
        ask_all().await;
        sidecar.until_state(&pods[0], "ready").await;
    }
}

#[tokio::test]
async fn state_and_metrics_name_the_policy_with_its_options() {
    let pods = pods(&["a"]).await;
    let sidecar = Sidecar::over(&pods)
        .with("--policy", "peak-ewma:decay=5s")
        .start()
        .await;
    sidecar.get("/").await;
    assert_eq!(sidecar.state().await["policy"], "peak-ewma:decay=5s");
    let cost = &sidecar.state_of(&pods[0]).await["cost_ms"];
    assert!(cost.as_f64().is_some_and(|cost| cost > 0.0), "{cost}");
    let policy = [r#"policy="peak-ewma:decay=5s""#];
    assert_eq!(sidecar.metric("podrobin_policy", &policy).await, 1.0);
    let cost = sidecar.metric("podrobin_pod_cost_seconds", &[]).await;
    assert!(cost > 0.0, "{cost}");
    let lines = sidecar
        .log
        .matching(|line| field(line, "policy") == "peak-ewma:decay=5s");
    assert_eq!(lines.len(), 1);
}
