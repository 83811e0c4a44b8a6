//! Answers that are cut, false, or too much.

use bytes::Bytes;
use podrobin::demo::api::Api;
use podrobin::discovery::Phase;
use podrobin::kube_client::Tuning;
use serde_json::json;

use super::flaky::{Ask, Fault};
use super::scene::{Scene, addresses, event, gone, http, quick, service, slice, status};

fn five_slices() -> Api {
    let api = Api::new();
    api.apply_service(&service(&json!({}))).unwrap();
    for n in 1..=5 {
        api.apply_slice(&slice(&format!("cart-{n}"), &[&format!("10.0.0.{n}")]))
            .unwrap();
    }
    api
}

fn pages_of_two() -> Tuning {
    Tuning {
        page_size: 2,
        ..quick()
    }
}

const FIVE: [&str; 5] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"];

#[tokio::test]
async fn a_first_list_that_is_cut_between_pages_is_not_published() {
    let mut scene = Scene::start(five_slices(), http(), pages_of_two(), |ask, nth| {
        match (ask, nth) {
            (Ask::Page, 0) => Fault::Cut(Bytes::from_static(b"{\"items\":")),
            (Ask::Page, 1) => status(500, "etcdserver: request timed out"),
            _ => Fault::Pass,
        }
    })
    .await;
    assert_eq!(scene.addresses().await, FIVE);
    assert_eq!(scene.flaky.count(Ask::List), 3);
    assert_eq!(scene.flaky.count(Ask::Page), 4);
}

#[tokio::test]
async fn a_relist_that_is_cut_between_pages_keeps_the_last_list() {
    let mut scene = Scene::start(five_slices(), http(), pages_of_two(), |ask, nth| {
        match (ask, nth) {
            (Ask::Watch, 0) => gone(),
            // Two pages make the first list.
            (Ask::Page, 2..) => Fault::Cut(Bytes::from_static(b"{")),
            _ => Fault::Pass,
        }
    })
    .await;
    assert_eq!(scene.addresses().await, FIVE);
    scene.api.delete_slice("shop", "cart-1");
    scene.phase(Phase::Stale).await;
    scene.nothing_new();
    scene.flaky.play(|_, _| Fault::Pass);
    assert_eq!(scene.addresses().await, FIVE[1..]);
    scene.phase(Phase::Live).await;
}

#[tokio::test]
async fn a_list_that_changes_between_its_pages_is_read_anew() {
    let api = five_slices();
    let other = api.clone();
    let mut scene = Scene::start(api, http(), pages_of_two(), move |ask, nth| {
        if (ask, nth) == (Ask::Page, 0) {
            other.delete_slice("shop", "cart-1");
        }
        Fault::Pass
    })
    .await;
    assert_eq!(scene.addresses().await, FIVE[1..]);
}

#[tokio::test]
async fn a_valid_empty_list_is_believed() {
    let mut scene = Scene::with_two_pods(quick(), |ask, nth| match (ask, nth) {
        (Ask::Watch, 0) => Fault::Whole(Bytes::new()),
        (Ask::Watch, 1) => gone(),
        _ => Fault::Pass,
    })
    .await;
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
    scene.api.delete_slice("shop", "cart-a");
    assert_eq!(scene.addresses().await, [""; 0]);
    scene.phase(Phase::Live).await;
}

#[tokio::test]
async fn a_relist_that_says_nothing_new_sends_no_update() {
    let mut scene = Scene::with_two_pods(quick(), |ask, nth| match (ask, nth) {
        (Ask::Watch, 0) => gone(),
        _ => Fault::Pass,
    })
    .await;
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
    scene.phase(Phase::Relisting).await;
    scene.phase(Phase::Live).await;
    assert_eq!(scene.flaky.count(Ask::List), 2);
    scene.nothing_new();
}

/// Some proxies make a status of what the API server tells as an event.
#[tokio::test]
async fn a_version_that_is_gone_by_status_is_listed_anew() {
    let mut scene = Scene::with_two_pods(quick(), |ask, nth| match (ask, nth) {
        (Ask::Watch, 0) => status(410, "too old resource version"),
        _ => Fault::Pass,
    })
    .await;
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
    scene.phase(Phase::Relisting).await;
    scene.phase(Phase::Live).await;
    assert_eq!(scene.flaky.count(Ask::List), 2);
    assert_eq!(scene.flaky.count(Ask::Watch), 2);
    scene.nothing_new();
}

/// A first list, then a watch that answers with `line`, and a change that only a new list can tell.
async fn survives(tuning: Tuning, line: impl Into<Bytes>, text: &str) {
    let line = line.into();
    let mut scene = Scene::with_two_pods(tuning, move |ask, nth| match (ask, nth) {
        (Ask::Watch, 0) => Fault::Hang(line.clone()),
        (Ask::List, 1) => Fault::Break,
        _ => Fault::Pass,
    })
    .await;
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
    let status = scene.error(text).await;
    assert_eq!(status.phase, Phase::Stale);
    scene.nothing_new();
    scene
        .api
        .apply_slice(&slice("cart-b", &["10.0.0.3"]))
        .unwrap();
    assert_eq!(
        scene.addresses().await,
        ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    );
    scene.phase(Phase::Live).await;
    // What the line said is lost, so a list had to tell; the first that was asked for broke off.
    assert_eq!(scene.flaky.count(Ask::List), 3);
}

#[tokio::test]
async fn an_event_nested_too_deep_is_survived() {
    let deep = format!(
        "{{\"type\":\"ADDED\",\"object\":{}{}}}\n",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    survives(quick(), deep, "cannot be read").await;
}

#[tokio::test]
async fn an_event_that_is_no_text_is_survived() {
    survives(
        quick(),
        Bytes::from_static(b"{\"type\":\"ADDED\xff\xfe\"}\n"),
        "cannot be read",
    )
    .await;
}

#[tokio::test]
async fn an_event_that_is_no_slice_is_survived() {
    let pod = event("ADDED", &json!({"metadata": {"name": 7}}));
    survives(quick(), pod, "cannot be read").await;
}

#[tokio::test]
async fn an_event_without_end_is_survived() {
    let tuning = Tuning {
        object_bytes: 10_000,
        ..quick()
    };
    survives(
        tuning,
        "x".repeat(10_001),
        "a watch event of more than 10000 bytes",
    )
    .await;
}

#[tokio::test]
async fn an_error_event_that_does_not_close_the_watch_is_survived() {
    let error = event(
        "ERROR",
        &json!({"kind": "Status", "status": "Failure", "code": 500, "message": "context deadline exceeded"}),
    );
    survives(quick(), error, "answers 500: context deadline exceeded").await;
}

#[tokio::test]
async fn a_list_without_end_is_refused() {
    let tuning = Tuning {
        list_bytes: 100_000,
        ..quick()
    };
    let mut scene = Scene::with_two_pods(tuning, |ask, nth| match (ask, nth) {
        (Ask::List, 0) => Fault::Hang("[".repeat(100_001).into()),
        (Ask::List, 1) => Fault::Whole("[".repeat(100_000).into()),
        (Ask::List, 2) => Fault::Whole(Bytes::from_static(b"\xff")),
        _ => Fault::Pass,
    })
    .await;
    scene.error("a list of more than 100000 bytes").await;
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(scene.flaky.count(Ask::List), 4);
}

#[tokio::test]
async fn a_watch_that_is_cut_in_the_middle_of_an_event_loses_nothing() {
    let mut scene = Scene::with_two_pods(quick(), |ask, nth| match (ask, nth) {
        (Ask::Watch, 0) => Fault::Cut(Bytes::from_static(b"{\"type\":\"MODIF")),
        _ => Fault::Pass,
    })
    .await;
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
    scene
        .api
        .apply_slice(&slice("cart-a", &["10.0.0.3"]))
        .unwrap();
    assert_eq!(scene.addresses().await, ["10.0.0.3"]);
    assert_eq!(scene.flaky.count(Ask::List), 1);
}

/// A thousand endpoints are the most that one slice may hold.
#[tokio::test]
async fn a_hundred_thousand_endpoints_are_taken() {
    let slices: Vec<String> = (0..100)
        .map(|n| {
            let endpoints: Vec<String> = (0..1_000)
                .map(|host| format!(r#"{{"addresses":["10.{n}.{}.{}"]}}"#, host / 250, host % 250))
                .collect();
            format!(
                r#"{{"metadata":{{"name":"cart-{n}"}},"addressType":"IPv4","ports":[{{"name":"http","port":80}}],
                "endpoints":[{}]}}"#,
                endpoints.join(",")
            )
        })
        .collect();
    let list = Bytes::from(format!(
        r#"{{"metadata":{{"resourceVersion":"7"}},"items":[{}]}}"#,
        slices.join(",")
    ));
    let mut scene = Scene::with_two_pods(Tuning::default(), move |ask, _| match ask {
        Ask::List => Fault::Whole(list.clone()),
        _ => Fault::Pass,
    })
    .await;
    let update = scene.update().await;
    assert_eq!(addresses(&update).len(), 100_000);
}
