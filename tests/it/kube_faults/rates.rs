//! How often a server that fails is asked, with the waits that the program has.

use std::time::Duration;

use bytes::Bytes;
use podrobin::discovery::Phase;
use podrobin::kube_client::Tuning;
use tokio::time::sleep;

use super::flaky::{Ask, Fault};
use super::scene::{Scene, forbidden, gone};

const WHILE: Duration = Duration::from_secs(5);

/// These only wait, so they wait together.
#[tokio::test]
async fn servers_that_fail_are_asked_rarely() {
    tokio::join!(
        a_watch_that_closes_at_once_costs_under_three_requests_in_five_seconds(),
        a_list_that_is_refused_is_asked_for_less_and_less_often(),
        a_version_that_is_always_too_old_is_listed_anew_less_and_less_often(),
    );
}

async fn a_watch_that_closes_at_once_costs_under_three_requests_in_five_seconds() {
    let mut scene = Scene::with_two_pods(Tuning::default(), |ask, _| match ask {
        Ask::Watch => Fault::Whole(Bytes::new()),
        _ => Fault::Pass,
    })
    .await;
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
    sleep(WHILE).await;
    assert!(
        scene.flaky.count(Ask::Watch) < 3,
        "{:?}",
        scene.flaky.gaps(Ask::Watch)
    );
    assert_eq!(scene.flaky.count(Ask::List), 1);
    assert_eq!(scene.flaky.count(Ask::Service), 1);
    let status = scene.phase(Phase::Stale).await;
    assert!(status.error.unwrap().contains("ends each watch"));
    scene.nothing_new();
}

async fn a_list_that_is_refused_is_asked_for_less_and_less_often() {
    let mut scene = Scene::with_two_pods(Tuning::default(), |ask, _| match ask {
        Ask::List => forbidden(),
        _ => Fault::Pass,
    })
    .await;
    scene.error("kubectl -n shop create role").await;
    sleep(WHILE).await;
    let gaps = scene.flaky.gaps(Ask::List);
    assert!(gaps.len() <= 4 && gaps.is_sorted(), "{gaps:?}");
    assert_eq!(scene.phase(Phase::Starting).await.fresh, None);
    scene.nothing_new();
}

async fn a_version_that_is_always_too_old_is_listed_anew_less_and_less_often() {
    let mut scene = Scene::with_two_pods(Tuning::default(), |ask, _| match ask {
        Ask::Watch => gone(),
        _ => Fault::Pass,
    })
    .await;
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
    sleep(WHILE).await;
    let gaps = scene.flaky.gaps(Ask::List);
    assert!(gaps.len() <= 4 && gaps.is_sorted(), "{gaps:?}");
    scene.phase(Phase::Stale).await;
    scene.nothing_new();
}

#[tokio::test]
async fn an_overloaded_server_is_left_alone_as_long_as_it_asks() {
    let mut scene = Scene::with_two_pods(super::scene::quick(), |ask, nth| match (ask, nth) {
        // As text, which is how the API server's filters answer before its handlers do.
        (Ask::List, 0) => Fault::Status(
            429,
            "text/plain; charset=utf-8",
            "Too many requests, please try again later.\n".to_owned(),
            Some("1"),
        ),
        _ => Fault::Pass,
    })
    .await;
    scene.error("overloaded (429)").await;
    scene.until(&["10.0.0.1", "10.0.0.2"]).await;
    assert!(scene.flaky.gaps(Ask::List)[0] >= Duration::from_secs(1));
}

#[tokio::test]
async fn pages_without_end_are_given_up() {
    let page = r#"{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1",
        "metadata":{"resourceVersion":"7","continue":"more"},"items":[]}"#;
    let mut scene = Scene::with_two_pods(Tuning::default(), move |ask, _| match ask {
        Ask::List | Ask::Page => Fault::Whole(page.into()),
        _ => Fault::Pass,
    })
    .await;
    scene.error("more than 1000 pages").await;
    assert_eq!(scene.flaky.count(Ask::Page), 999);
}
