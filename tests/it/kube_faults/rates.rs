//! How often a server that fails is asked, with the waits that the program has or ones in proportion to them.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use podrobin::backoff::Backoff;
use podrobin::discovery::Phase;
use podrobin::kube_client::Tuning;
use tokio::time::sleep;

use super::flaky::{Ask, Fault};
use super::scene::{Scene, forbidden, gone, status};

const WHILE: Duration = Duration::from_secs(5);

/// Waits of which the least come to 0.2, 0.6, 1.4 and 3 s, the longest to twice that.
fn brisk() -> Tuning {
    let delays = Backoff::new(Duration::from_millis(200), Duration::from_secs(15), 2);
    Tuning {
        head: Duration::from_millis(100),
        error_delays: delays.clone(),
        short_watch_delays: delays,
        ..Tuning::default()
    }
}

/// How long a scene of [`brisk`] goes on.
const BRISK_WHILE: Duration = Duration::from_secs(3);

/// The requests that [`brisk`] allows for in that time. One at least has followed another.
const BRISKLY: RangeInclusive<usize> = 2..=5;

/// These only wait, so they wait together.
#[tokio::test]
async fn servers_that_fail_are_asked_rarely() {
    tokio::join!(
        a_watch_that_closes_at_once_costs_under_three_requests_in_five_seconds(),
        a_list_that_is_refused_is_asked_for_less_and_less_often(),
        a_version_that_is_always_too_old_is_listed_anew_less_and_less_often(),
        a_version_that_is_always_gone_by_status_is_listed_anew_rarely(),
        a_list_that_never_comes(|| Fault::NoHead, "no answer in 0.1 s"),
        a_list_that_never_comes(|| overloaded(None), "overloaded (429)"),
        a_list_that_never_comes(|| status(503, "shutting down"), "answers 503"),
        a_watch_that_never_comes(|| Fault::NoHead, "no answer in 0.1 s"),
        a_watch_that_never_comes(|| overloaded(None), "overloaded (429)"),
        a_watch_that_never_comes(|| status(503, "shutting down"), "answers 503"),
        a_server_that_asks_to_be_left_alone_is_asked_no_sooner_however_often_it_says_so(),
    );
}

/// As text, which is how the API server's filters answer before its handlers do.
fn overloaded(retry_after: Option<&'static str>) -> Fault {
    let text = "Too many requests, please try again later.\n".to_owned();
    Fault::Status(429, "text/plain; charset=utf-8", text, retry_after)
}

fn assert_rarely(scene: &Scene, ask: Ask) {
    let gaps = scene.flaky.gaps(ask);
    assert!(BRISKLY.contains(&(gaps.len() + 1)), "{ask:?}: {gaps:?}");
}

/// A server that gives nothing at all.
async fn a_list_that_never_comes(fault: impl Fn() -> Fault + Send + Sync + 'static, text: &str) {
    let mut scene = Scene::with_two_pods(brisk(), move |_, _| fault()).await;
    sleep(BRISK_WHILE).await;
    assert_rarely(&scene, Ask::List);
    assert!(scene.flaky.count(Ask::Service) <= *BRISKLY.end());
    assert_eq!(scene.flaky.count(Ask::Watch), 0);
    assert_eq!(scene.error(text).await.phase, Phase::Starting);
    scene.nothing_new();
}

async fn a_watch_that_never_comes(fault: impl Fn() -> Fault + Send + Sync + 'static, text: &str) {
    let mut scene = Scene::with_two_pods(brisk(), move |ask, _| match ask {
        Ask::Watch => fault(),
        _ => Fault::Pass,
    })
    .await;
    sleep(BRISK_WHILE).await;
    assert_rarely(&scene, Ask::Watch);
    assert_eq!(scene.flaky.count(Ask::List), 1);
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(scene.error(text).await.phase, Phase::Stale);
    scene.nothing_new();
}

async fn a_version_that_is_always_gone_by_status_is_listed_anew_rarely() {
    let mut scene = Scene::with_two_pods(brisk(), |ask, _| match ask {
        Ask::Watch => status(410, "too old resource version"),
        _ => Fault::Pass,
    })
    .await;
    sleep(BRISK_WHILE).await;
    assert_rarely(&scene, Ask::Watch);
    assert_rarely(&scene, Ask::List);
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
    scene.phase(Phase::Stale).await;
    scene.nothing_new();
}

async fn a_server_that_asks_to_be_left_alone_is_asked_no_sooner_however_often_it_says_so() {
    let mut scene = Scene::with_two_pods(super::scene::quick(), |_, _| overloaded(Some("1"))).await;
    scene.flaky.asked(Ask::List, 4).await;
    let gaps = scene.flaky.gaps(Ask::List);
    let second = Duration::from_secs(1);
    assert!(gaps.iter().all(|gap| *gap >= second), "{gaps:?}");
    scene.error("overloaded (429)").await;
    scene.nothing_new();
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
        (Ask::List, 0) => overloaded(Some("1")),
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
