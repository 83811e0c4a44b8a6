//! `--max-endpoints`: some pods of many.

use std::collections::BTreeSet;

use super::{pods, spread};
use crate::support::{Pod, Sidecar, Slices, eventually};

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

async fn used(sidecar: &Sidecar, pods: &[Pod]) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for pod in pods {
        let state = sidecar.state_of(pod).await;
        match state["state"].as_str() {
            Some("ready") => used.insert(pod.name.clone()),
            other => {
                assert_eq!(other, Some("outside"), "{state}");
                false
            }
        };
    }
    used
}

#[tokio::test]
async fn a_sidecar_uses_so_many_pods_of_its_own_choice() {
    let pods = pods(&NAMES).await;
    let slices = Slices::of(&pods);
    let mut choices = BTreeSet::new();
    for name in ["web-1", "web-2", "web-3", "web-4", "web-5"] {
        let sidecar = Sidecar::watching(&slices)
            .with("--max-endpoints", "3")
            .with("--pod-name", name)
            .start()
            .await;
        let mine = used(&sidecar, &pods).await;
        assert_eq!(mine.len(), 3);
        let counts = spread(&sidecar, 2, 15).await;
        assert_eq!(counts.keys().cloned().collect::<BTreeSet<_>>(), mine);
        let outside = [r#"state="outside""#];
        assert_eq!(sidecar.metric("podrobin_endpoints", &outside).await, 5.0);
        choices.insert(mine);
    }
    // Of 56 there are: all the same is chance once in ten million runs of other names.
    assert!(choices.len() > 1, "{choices:?}");
}

#[tokio::test]
async fn for_one_that_goes_another_comes_and_the_rest_stay() {
    let pods = pods(&NAMES).await;
    let slices = Slices::of(&pods);
    let sidecar = Sidecar::watching(&slices)
        .with("--max-endpoints", "3")
        .with("--pod-name", "web-1")
        .start()
        .await;
    let before = used(&sidecar, &pods).await;
    let gone = before.first().unwrap().clone();
    let (left, rest): (Vec<Pod>, Vec<Pod>) = pods.into_iter().partition(|pod| pod.name == gone);
    slices.set(&rest);
    eventually("the pod to be gone", async || {
        sidecar.state_of(&left[0]).await.is_null().then_some(())
    })
    .await;
    let after = used(&sidecar, &rest).await;
    assert_eq!(after.len(), 3);
    assert_eq!(before.difference(&after).collect::<Vec<_>>(), [&gone]);
}
