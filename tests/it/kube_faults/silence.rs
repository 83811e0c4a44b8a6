//! Answers that never come, or never end.

use std::time::Duration;

use bytes::Bytes;
use podrobin::discovery::Phase;
use podrobin::kube_client::Tuning;

use super::flaky::{Ask, Fault};
use super::scene::{Scene, gone, quick, slice};

#[tokio::test]
async fn a_list_whose_head_never_comes_is_asked_for_again() {
    let mut scene = Scene::with_two_pods(quick(), |ask, nth| match (ask, nth) {
        (Ask::List, 0) => Fault::NoHead,
        _ => Fault::Pass,
    })
    .await;
    scene.error("no answer in 0.5 s").await;
    scene.until(&["10.0.0.1", "10.0.0.2"]).await;
    assert_eq!(scene.flaky.count(Ask::List), 2);
}

#[tokio::test]
async fn a_list_that_stops_in_the_middle_is_asked_for_again() {
    let half = r#"{"kind":"EndpointSliceList","items":["#;
    let mut scene = Scene::with_two_pods(quick(), move |ask, nth| match (ask, nth) {
        (Ask::List, 0) => Fault::Hang(half.into()),
        _ => Fault::Pass,
    })
    .await;
    scene.error("not complete after 0.5 s").await;
    scene.until(&["10.0.0.1", "10.0.0.2"]).await;
}

#[tokio::test]
async fn a_watch_whose_head_never_comes_is_started_again_and_hears_what_it_missed() {
    let mut scene = Scene::with_two_pods(quick(), |ask, nth| match (ask, nth) {
        (Ask::Watch, 0) => Fault::NoHead,
        _ => Fault::Pass,
    })
    .await;
    scene.until(&["10.0.0.1", "10.0.0.2"]).await;
    scene
        .api
        .apply_slice(&slice("cart-a", &["10.0.0.3"]))
        .unwrap();
    scene.error("no answer").await;
    assert_eq!(scene.addresses().await, ["10.0.0.3"]);
    scene.phase(Phase::Live).await;
    assert_eq!(scene.flaky.count(Ask::List), 1);
}

#[tokio::test]
async fn a_refused_watch_whose_body_never_comes_is_started_again() {
    let mut scene = Scene::with_two_pods(quick(), |ask, nth| match (ask, nth) {
        (Ask::Watch, 0) => Fault::HangWith(500),
        _ => Fault::Pass,
    })
    .await;
    scene.until(&["10.0.0.1", "10.0.0.2"]).await;
    scene
        .api
        .apply_slice(&slice("cart-a", &["10.0.0.3"]))
        .unwrap();
    assert_eq!(scene.addresses().await, ["10.0.0.3"]);
    assert_eq!(scene.flaky.count(Ask::Watch), 2);
}

/// What a peer looks like that is frozen, or cut off behind a network that keeps the connection for us.
#[tokio::test]
async fn a_watch_that_falls_silent_is_replaced_soon_after_its_time() {
    let tuning = Tuning {
        watch_seconds: 1..=1,
        ..quick()
    };
    let mut scene = Scene::with_two_pods(tuning, |ask, nth| match (ask, nth) {
        (Ask::Watch, 0) => Fault::Hang(Bytes::new()),
        _ => Fault::Pass,
    })
    .await;
    scene.until(&["10.0.0.1", "10.0.0.2"]).await;
    scene
        .api
        .apply_slice(&slice("cart-a", &["10.0.0.3"]))
        .unwrap();
    assert_eq!(scene.addresses().await, ["10.0.0.3"]);
    let gap = scene.flaky.gaps(Ask::Watch)[0];
    assert!((5..9).contains(&gap.as_secs()), "{gap:?}");
    assert_eq!(scene.flaky.count(Ask::List), 1);
}

#[tokio::test]
async fn a_relist_that_stops_keeps_the_last_list() {
    let mut scene = Scene::with_two_pods(quick(), |ask, nth| match (ask, nth) {
        (Ask::Watch, 0) => gone(),
        (Ask::List, 1) => Fault::NoHead,
        _ => Fault::Pass,
    })
    .await;
    scene.until(&["10.0.0.1", "10.0.0.2"]).await;
    let status = scene.error("no answer").await;
    assert_eq!(status.phase, Phase::Stale);
    assert!(status.fresh.unwrap().elapsed().unwrap() < Duration::from_secs(20));
    scene.phase(Phase::Live).await;
    scene.nothing_new();
}
