//! A server that behaves: what an update says, and when there is one.

use std::time::{Duration, SystemTime};

use podrobin::demo::api::Api;
use podrobin::discovery::Phase;
use podrobin::kube_client::Tuning;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::flaky::{Ask, Fault};
use super::scene::{LIMIT, Scene, event, http, quick, service, slice, slice_where};

const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";

#[tokio::test]
async fn changes_are_followed() {
    let mut scene = Scene::with_two_pods(quick(), |_, _| Fault::Pass).await;
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
    scene
        .api
        .apply_slice(&slice("cart-b", &["10.0.0.3"]))
        .unwrap();
    assert_eq!(
        scene.addresses().await,
        ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    );
    scene
        .api
        .apply_slice(&slice("cart-a", &["10.0.0.2"]))
        .unwrap();
    assert_eq!(scene.addresses().await, ["10.0.0.2", "10.0.0.3"]);
    assert!(scene.api.delete_slice("shop", "cart-b"));
    assert_eq!(scene.addresses().await, ["10.0.0.2"]);
    scene.api.apply_slice(&slice("cart-a", &[])).unwrap();
    assert_eq!(scene.addresses().await, [""; 0]);
    assert_eq!(scene.flaky.count(Ask::List), 1);
    assert_eq!(scene.flaky.count(Ask::Watch), 1);
}

#[tokio::test]
async fn slices_of_other_services_and_namespaces_are_not_ours() {
    let mut scene = Scene::with_two_pods(quick(), |_, _| Fault::Pass).await;
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
    let mut other = slice("pay-a", &["10.0.1.1"]);
    other.metadata.labels = Some([("kubernetes.io/service-name".into(), "pay".into())].into());
    scene.api.apply_slice(&other).unwrap();
    let mut elsewhere = slice("cart-c", &["10.0.1.2"]);
    elsewhere.metadata.namespace = Some("other".to_owned());
    scene.api.apply_slice(&elsewhere).unwrap();
    scene
        .api
        .apply_slice(&slice("cart-b", &["10.0.0.3"]))
        .unwrap();
    assert_eq!(
        scene.addresses().await,
        ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    );
    // A slice that loses its label is a slice that is gone.
    other.metadata.name = Some("cart-b".to_owned());
    scene.api.apply_slice(&other).unwrap();
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
}

#[tokio::test]
async fn an_update_tells_when_its_change_was_triggered() {
    let at = |seconds: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000 + seconds);
    let stamp = |seconds: u64| {
        let time = jiff::Timestamp::try_from(at(seconds)).unwrap();
        json!({TRIGGER: time.to_string()})
    };
    let api = Api::new();
    api.apply_service(&service(&json!({}))).unwrap();
    api.apply_slice(&slice_where("cart-a", &["10.0.0.1"], &stamp(1)))
        .unwrap();
    let mut scene = Scene::start(api, http(), quick(), |_, _| Fault::Pass).await;
    assert_eq!(scene.update().await.triggered, None);
    let changed = slice_where("cart-a", &["10.0.0.2"], &stamp(2));
    scene.api.apply_slice(&changed).unwrap();
    assert_eq!(scene.update().await.triggered, Some(at(2)));
    // The same trigger again: whatever changed now has another cause.
    let changed = slice_where("cart-a", &["10.0.0.3"], &stamp(2));
    scene.api.apply_slice(&changed).unwrap();
    assert_eq!(scene.update().await.triggered, None);
    scene.api.delete_slice("shop", "cart-a");
    assert_eq!(scene.update().await.triggered, None);
}

#[tokio::test]
async fn a_burst_is_a_few_updates_and_not_one_for_each_event() {
    let mut lines = String::new();
    for n in 0..100 {
        let mut object =
            serde_json::to_value(slice(&format!("cart-{n:03}"), &[&format!("10.0.1.{n}")]))
                .unwrap();
        object["kind"] = json!("EndpointSlice");
        object["apiVersion"] = json!("discovery.k8s.io/v1");
        object["metadata"]["resourceVersion"] = json!((n + 10).to_string());
        lines += &event("ADDED", &object);
    }
    let mut scene = Scene::with_two_pods(quick(), move |ask, _| match ask {
        Ask::Watch => Fault::Hang(lines.clone().into()),
        _ => Fault::Pass,
    })
    .await;
    let mut updates = 0;
    while scene.addresses().await.len() < 102 {
        updates += 1;
    }
    assert!(updates < 20, "{updates}");
}

#[tokio::test]
async fn watches_that_end_by_their_time_are_no_trouble() {
    let tuning = Tuning {
        watch_seconds: 1..=1,
        ..quick()
    };
    let mut scene = Scene::with_two_pods(tuning, |_, _| Fault::Pass).await;
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
    scene.phase(Phase::Live).await;
    scene.flaky.asked(Ask::Watch, 3).await;
    assert!(
        !scene.status.has_changed().unwrap(),
        "{:?}",
        scene.status.borrow()
    );
    let gaps = scene.flaky.gaps(Ask::Watch);
    let own_time = Duration::from_millis(900);
    assert!(gaps.iter().all(|gap| *gap >= own_time), "{gaps:?}");
    assert_eq!(scene.flaky.count(Ask::List), 1);
    scene
        .api
        .apply_slice(&slice("cart-a", &["10.0.0.3"]))
        .unwrap();
    assert_eq!(scene.addresses().await, ["10.0.0.3"]);
}

#[tokio::test]
async fn bookmarks_keep_the_list_fresh_and_wake_nobody() {
    let api = Api::new().bookmark_every(Duration::from_millis(100));
    api.apply_service(&service(&json!({}))).unwrap();
    let mut scene = Scene::start(api, http(), quick(), |_, _| Fault::Pass).await;
    let first = scene.phase(Phase::Live).await.fresh.unwrap();
    scene.status.mark_unchanged();
    // Nobody is woken, so there is nothing to wait for.
    let fresher = async {
        while scene.status.borrow().fresh.unwrap() < first + Duration::from_millis(300) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LIMIT, fresher).await.unwrap();
    assert!(!scene.status.has_changed().unwrap());
}

#[tokio::test]
async fn a_watch_from_before_a_compaction_is_listed_anew() {
    let tuning = Tuning {
        watch_seconds: 1..=1,
        ..quick()
    };
    // Bookmarks would carry the version past the compaction.
    let mut scene = Scene::with_two_pods(tuning, |ask, nth| match (ask, nth) {
        (Ask::Watch, 0) => Fault::Cut(bytes::Bytes::new()),
        _ => Fault::Pass,
    })
    .await;
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
    scene
        .api
        .apply_slice(&slice("cart-a", &["10.0.0.3"]))
        .unwrap();
    scene.api.compact();
    assert_eq!(scene.addresses().await, ["10.0.0.3"]);
    assert_eq!(scene.phase(Phase::Live).await.error, None);
}

#[tokio::test]
async fn the_watch_ends_with_its_reader() {
    let mut scene = Scene::with_two_pods(quick(), |_, _| Fault::Pass).await;
    scene.update().await;
    scene.updates.close();
    scene.ended().await;
}
