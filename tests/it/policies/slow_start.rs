//! Pods that come to others begin with a part of their share.

use super::POLICIES;
use crate::policies::spread;
use crate::support::{Pod, Sidecar, Slices, eventually};

#[tokio::test]
async fn a_pod_that_joins_others_begins_with_little_under_every_policy() {
    for policy in POLICIES {
        let old = [Pod::start("a").await, Pod::start("b").await];
        let new = Pod::start("new").await;
        let slices = Slices::of(&old);
        let sidecar = Sidecar::watching(&slices)
            .with("--policy", policy)
            .with("--slow-start", "1h")
            .with("--slow-start-floor", "5")
            .start()
            .await;
        // Those of the first list have their whole share.
        assert!(sidecar.state_of(&old[0]).await["slow_start"].is_null());
        slices.set([&old[0], &old[1], &new]);
        sidecar.until_listed(3).await;
        let share = sidecar.state_of(&new).await["slow_start"].as_f64().unwrap();
        assert!((0.05..0.2).contains(&share), "{share}");
        let shown = sidecar.metric("podrobin_pod_slow_start", &["pod=\"new\""]);
        assert!((0.05..0.2).contains(&shown.await));

        let asked_by_path = policy == "hash:path";
        let counts = match asked_by_path {
            // One path would be one pod's.
            true => {
                let mut client = sidecar.client().await;
                let mut counts = std::collections::BTreeMap::new();
                for number in 0..300 {
                    let answer = client.get(&format!("/{number}")).await;
                    *counts.entry(answer.pod().to_owned()).or_default() += 1;
                }
                counts
            }
            false => spread(&sidecar, 3, 100).await,
        };
        // Five or seven on average; whole, it would be a hundred.
        let got = counts.get("new").copied().unwrap_or(0);
        assert!(got < 40, "{policy}: {counts:?}");
    }
}

#[tokio::test]
async fn once_its_time_is_over_it_has_its_whole_turn() {
    let old = Pod::start("a").await;
    let new = Pod::start("new").await;
    let slices = Slices::of([&old]);
    let sidecar = Sidecar::watching(&slices)
        .with("--slow-start", "200ms")
        .start()
        .await;
    slices.set([&old, &new]);
    sidecar.until_listed(2).await;
    let over = async || {
        let state = sidecar.state_of(&new).await;
        state["slow_start"].is_null().then_some(())
    };
    eventually("the end of the ramp", over).await;
    let counts = spread(&sidecar, 2, 50).await;
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [50, 50]);
}
