//! Which pods of a list get requests: what slices, Service and flags say together, on the running program.

use serde_json::json;

use crate::support::slices::Entry;
use crate::support::{Pod, Sidecar, Slices, eventually};

/// A pod meant for the clients of one zone.
fn in_zone(pod: &Pod, zone: &str) -> Entry {
    Entry::from(pod)
        .with("zone", zone)
        .with("nodeName", format!("node-{zone}"))
        .with("hints", json!({"forZones": [{"name": zone}]}))
}

/// The pods that answer six requests, each named once.
async fn answering(sidecar: &Sidecar) -> Vec<String> {
    let mut client = sidecar.client().await;
    let mut pods = Vec::new();
    for _ in 0..6 {
        pods.push(client.get("/").await.pod().to_owned());
    }
    pods.sort_unstable();
    pods.dedup();
    pods
}

#[tokio::test]
async fn zone_hints_keep_requests_in_the_own_zone() {
    let pods = [Pod::start("a").await, Pod::start("b").await];
    let slices = Slices::of([in_zone(&pods[0], "east"), in_zone(&pods[1], "west")]);
    // By its name, by a node that has a pod in it, and not at all.
    for (flag, value, expected) in [
        ("--zone", "west", &["b"][..]),
        ("--node", "node-east", &["a"]),
        ("--zone", "north", &["a", "b"]),
    ] {
        let sidecar = Sidecar::watching(&slices).with(flag, value).start().await;
        assert_eq!(answering(&sidecar).await, expected, "{flag} {value}");
        for pod in &pods {
            let state = sidecar.state_of(pod).await;
            let used = expected.contains(&pod.name.as_str());
            assert_eq!(state["state"] == "ready", used, "{state}");
        }
    }
}

#[tokio::test]
async fn one_pod_without_a_hint_turns_hints_off() {
    let pods = [Pod::start("a").await, Pod::start("b").await];
    let slices = Slices::of([in_zone(&pods[0], "east"), in_zone(&pods[1], "west")]);
    let sidecar = Sidecar::watching(&slices)
        .with("--zone", "west")
        .start()
        .await;
    assert_eq!(answering(&sidecar).await, ["b"]);
    slices.set([Entry::from(&pods[0]), in_zone(&pods[1], "west")]);
    eventually("both to get requests", async || {
        (answering(&sidecar).await == ["a", "b"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_local_traffic_policy_keeps_requests_on_the_own_node() {
    let pods = [Pod::start("a").await, Pod::start("b").await];
    let slices = Slices::none();
    let policy = json!({"ports": [{"name": "http", "port": 80}], "internalTrafficPolicy": "Local"});
    let entries = [
        Entry::from(&pods[0]).with("nodeName", "node-1"),
        Entry::from(&pods[1]).with("nodeName", "node-2"),
    ];
    slices.set_with_service(&policy, entries);
    let sidecar = Sidecar::watching(&slices)
        .with("--node", "node-2")
        .start()
        .await;
    assert_eq!(answering(&sidecar).await, ["b"]);

    // Nobody on the own node is nobody at all.
    let elsewhere = Sidecar::watching(&slices)
        .with("--node", "node-3")
        .with("--hold", "0")
        .start()
        .await;
    assert_eq!(elsewhere.get("/").await.flag(), Some("UH"));
}

#[tokio::test]
async fn of_a_dual_stack_service_one_family_is_used() {
    let pod = Pod::start("a").await;
    let slices = Slices::of([Entry::from(&pod), Entry::from(&pod).in_ipv6("::1")]);
    let (v4, v6) = (
        pod.address.to_string(),
        format!("[::1]:{}", pod.address.port()),
    );
    for (flag, value, expected) in [
        ("--address-family", "ipv4", &v4),
        ("--address-family", "ipv6", &v6),
        ("--address-family", "auto", &v4),
        ("--pod-ip", "fd00::7", &v6),
    ] {
        let sidecar = Sidecar::watching(&slices).with(flag, value).start().await;
        let state = sidecar.state().await;
        let endpoints = state["endpoints"].as_array().unwrap();
        assert_eq!(endpoints.len(), 1, "{flag} {value}: {state}");
        assert_eq!(endpoints[0]["address"], expected.as_str(), "{flag} {value}");
        // Whether this machine speaks IPv6 is not the scene's matter.
        if *expected == v4 {
            assert_eq!(answering(&sidecar).await, ["a"]);
        }
    }
}

#[tokio::test]
async fn a_pod_over_tls_is_sent_nothing_without_a_ca_and_the_answer_names_the_flag() {
    let pod = Pod::start("a").await;
    let slices = Slices::of([Entry::from(&pod).speaking("https")]);
    let sidecar = Sidecar::watching(&slices).start().await;
    // More than the failures in a row that eject a pod: it is no failure of the pod.
    for _ in 0..6 {
        let answer = sidecar.get("/").await;
        assert_eq!((answer.status(), answer.flag()), (502, Some("UF")));
        let text = answer.text();
        assert!(text.contains("--upstream-ca"), "{text}");
        assert!(text.contains("pod a:"), "{text}");
    }
    assert_eq!(pod.record().connections, 0);
    assert_eq!(sidecar.state_of(&pod).await["state"], "ready");
    slices.set([Entry::from(&pod).speaking("http")]);
    eventually("the pod to be spoken to", async || {
        (sidecar.get("/").await.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_connection_without_tls_is_not_used_once_the_list_asks_for_tls() {
    let pod = Pod::start("a").await;
    let slices = Slices::of([Entry::from(&pod).speaking("http")]);
    let sidecar = Sidecar::watching(&slices).on_one_worker().start().await;
    // It keeps its connection.
    assert_eq!(sidecar.get("/").await.pod(), "a");
    slices.set([Entry::from(&pod).speaking("wss")]);
    eventually("an answer without the pod", async || {
        let answer = sidecar.get("/").await;
        (answer.flag() == Some("UF")).then_some(())
    })
    .await;
    let before = pod.record().requests.len();
    for _ in 0..5 {
        assert_eq!(sidecar.get("/").await.status(), 502);
    }
    assert_eq!(pod.record().requests.len(), before);
}
