//! Requests with one key go to one pod.

use std::collections::{BTreeMap, BTreeSet};

use super::pods;
use crate::support::http2::call;
use crate::support::{Pod, Sidecar, Slices};

/// The pod of each key, every one asked for twice.
async fn owners(sidecar: &Sidecar, field: &str, keys: usize) -> BTreeMap<usize, String> {
    let mut owners = BTreeMap::new();
    for key in (0..keys).chain(0..keys) {
        let request = format!("GET /{key} HTTP/1.1\r\nHost: shop\r\n{field}user-{key}\r\n\r\n");
        let answer = sidecar.client().await.ask(request).await;
        let pod = answer.pod().to_owned();
        let before = owners.insert(key, pod.clone());
        assert!(before.is_none_or(|before| before == pod), "key {key}");
    }
    owners
}

#[tokio::test]
async fn a_key_keeps_its_pod_in_every_sidecar_and_moves_only_when_that_goes() {
    let pods = pods(&["a", "b", "c", "d"]).await;
    let slices = Slices::of(&pods);
    let plan = || Sidecar::watching(&slices).with("--policy", "hash:header=X-User");
    let sidecar = plan().start().await;
    let before = owners(&sidecar, "x-user: ", 60).await;
    let used: BTreeSet<&String> = before.values().collect();
    assert_eq!(used.len(), 4);
    // Another sidecar sends them to the same pods.
    assert_eq!(owners(&plan().start().await, "x-user: ", 60).await, before);

    slices.set(pods.iter().filter(|pod| pod.name != "b"));
    sidecar.until_listed(3).await;
    let after = owners(&sidecar, "x-user: ", 60).await;
    let moved = before
        .iter()
        .filter(|(key, pod)| *pod != "b" && after[key] != **pod)
        .count();
    assert!(moved <= 12, "{moved} of the others' keys moved");
    assert!(after.values().all(|pod| pod != "b"));
    slices.set(&pods);
    sidecar.until_listed(4).await;
    assert_eq!(owners(&sidecar, "x-user: ", 60).await, before);
}

#[tokio::test]
async fn each_kind_of_key_is_heeded() {
    let pods = pods(&["a", "b", "c"]).await;
    for (policy, field) in [
        ("hash:cookie=session", "Cookie: a=b; session="),
        ("hash:path", "X-Nothing: "),
    ] {
        let sidecar = Sidecar::over(&pods).with("--policy", policy).start().await;
        let owners = owners(&sidecar, field, 30).await;
        let used: BTreeSet<String> = owners.into_values().collect();
        assert_eq!(used.len(), 3, "{policy}");
    }
    // All from one address.
    let sidecar = Sidecar::over(&pods)
        .with("--policy", "hash:source")
        .start()
        .await;
    let owners = owners(&sidecar, "X-Nothing: ", 10).await;
    let used: BTreeSet<String> = owners.into_values().collect();
    assert_eq!(used.len(), 1);
}

#[tokio::test]
async fn requests_without_the_key_go_anywhere() {
    let pods = pods(&["a", "b"]).await;
    let sidecar = Sidecar::over(&pods)
        .with("--policy", "hash:header=x-user")
        .start()
        .await;
    // All at one pod by chance: once in 2^39 runs.
    let counts = super::spread(&sidecar, 4, 10).await;
    assert_eq!(counts.len(), 2, "{counts:?}");
}

#[tokio::test]
async fn metadata_of_a_call_is_a_header_like_any_other() {
    let mut pods = Vec::new();
    for name in ["a", "b", "c"] {
        pods.push(Pod::scripted(name, crate::support::http2::answer_all).await);
    }
    let sidecar = Sidecar::over(&pods)
        .http2_to_pods()
        .with("--policy", "hash:header=tenant")
        .start()
        .await;
    let client = sidecar.http2().await;
    let mut used = BTreeSet::new();
    for tenant in 0..12 {
        let mut names = BTreeSet::new();
        for _ in 0..3 {
            let mut request = call("/shop.Cart/Get");
            let value = format!("tenant-{tenant}").parse().unwrap();
            request.headers_mut().insert("tenant", value);
            names.insert(client.send(request, b"").await.pod().to_owned());
        }
        assert_eq!(names.len(), 1, "{names:?}");
        used.extend(names);
    }
    assert!(used.len() > 1);
}
