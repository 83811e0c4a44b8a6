//! Weights: exact shares, drained pods, canaries.

use super::{POLICIES, pods, spread};
use crate::support::log::field;
use crate::support::slices::Entry;
use crate::support::{Sidecar, Slices, eventually};

#[tokio::test]
async fn shares_are_exact_over_all_workers() {
    let pods = pods(&["a", "b", "c"]).await;
    let sidecar = Sidecar::weighing([(&pods[0], 5), (&pods[1], 2), (&pods[2], 1)])
        .with("--policy", "weighted")
        .start()
        .await;
    let counts = spread(&sidecar, 6, 40).await;
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [150, 60, 30]);
    assert_eq!(sidecar.state_of(&pods[0]).await["weight"], 5);
    let address = pods[1].address.to_string();
    let weight = sidecar.metric("podrobin_pod_weight", &[&address]).await;
    assert_eq!(weight, 2.0);
}

#[tokio::test]
async fn two_slices_make_a_canary() {
    let pods = pods(&["stable", "canary"]).await;
    let slices = Slices::of([
        Entry::from(&pods[0]).weighing("19"),
        Entry::from(&pods[1]).weighing("1"),
    ]);
    let sidecar = Sidecar::watching(&slices)
        .with("--policy", "weighted")
        .start()
        .await;
    let counts = spread(&sidecar, 4, 50).await;
    assert_eq!(
        counts,
        [("canary".to_owned(), 10), ("stable".to_owned(), 190)].into()
    );
    // The canary is taken back.
    slices.set([
        Entry::from(&pods[0]).weighing("19"),
        Entry::from(&pods[1]).weighing("0"),
    ]);
    eventually("the canary's weight", async || {
        (sidecar.state_of(&pods[1]).await["weight"] == 0).then_some(())
    })
    .await;
    let counts = spread(&sidecar, 4, 10).await;
    assert_eq!(counts, [("stable".to_owned(), 40)].into());
}

#[tokio::test]
async fn a_pod_of_weight_0_gets_requests_only_while_there_is_no_other() {
    let pods = pods(&["a", "b"]).await;
    for policy in POLICIES {
        let drained = || Entry::from(&pods[0]).weighing("0");
        let slices = Slices::of([drained(), Entry::from(&pods[1])]);
        let sidecar = Sidecar::watching(&slices)
            .with("--policy", policy)
            .start()
            .await;
        let counts = spread(&sidecar, 2, 10).await;
        assert_eq!(counts, [("b".to_owned(), 20)].into(), "{policy}");
        assert_eq!(sidecar.state_of(&pods[0]).await["state"], "ready");
        slices.set([drained()]);
        sidecar.until_listed(1).await;
        // Workers may hear of a list after the admin port.
        eventually("requests at the drained pod", async || {
            (sidecar.get("/").await.pod() == "a").then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn an_annotation_that_is_no_weight_is_told_once_and_counts_as_1() {
    let pods = pods(&["a", "b"]).await;
    let slices = || {
        [
            Entry::from(&pods[0]).weighing("heavy"),
            Entry::from(&pods[1]),
        ]
    };
    let file = Slices::of(slices());
    let sidecar = Sidecar::watching(&file)
        .with("--policy", "weighted")
        .start()
        .await;
    let counts = spread(&sidecar, 2, 10).await;
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [10, 10]);
    // The same again, with a change elsewhere.
    file.set(slices().into_iter().take(1));
    sidecar.until_listed(1).await;
    let told = sidecar
        .log
        .matching(|line| field(line, "message").contains("podrobin.io/weight"));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(field(&told[0], "message").contains("\"heavy\""), "{told:?}");
}
