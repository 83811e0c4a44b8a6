//! Rights and tokens that come and go, and an API server that does.

use std::time::Duration;

use podrobin::discovery::Phase;
use podrobin::kube_client::Tuning;

use super::flaky::{Ask, Fault, Flaky, closed_port};
use super::scene::{Scene, forbidden, http, quick, service, slice, status};
use crate::support::{Cluster, Sidecar};
use podrobin::demo::api::Api;
use serde_json::{Value, json};

/// Watches live for a second, so that a refusal shows soon: a running watch outlives its right.
fn short_watches() -> Tuning {
    Tuning {
        watch_seconds: 1..=1,
        ..quick()
    }
}

async fn refused_and_granted(refusal: impl Fn() -> Fault + Send + Sync + 'static, text: &str) {
    let mut scene = Scene::with_two_pods(short_watches(), |_, _| Fault::Pass).await;
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
    scene.phase(Phase::Live).await;

    scene.flaky.play(move |_, _| refusal());
    let status = scene.error(text).await;
    assert_eq!(status.phase, Phase::Stale);
    scene.nothing_new();

    scene
        .api
        .apply_slice(&slice("cart-a", &["10.0.0.3"]))
        .unwrap();
    scene.flaky.play(|_, _| Fault::Pass);
    assert_eq!(scene.addresses().await, ["10.0.0.3"]);
    assert_eq!(scene.phase(Phase::Live).await.error, None);
}

#[tokio::test]
async fn a_right_that_is_revoked_and_granted_again() {
    refused_and_granted(forbidden, "--serviceaccount=shop:web").await;
}

#[tokio::test]
async fn a_token_that_is_refused_for_a_while() {
    refused_and_granted(|| status(401, "Unauthorized"), "(401)").await;
}

#[tokio::test]
async fn a_server_that_fails_for_a_while() {
    refused_and_granted(
        || status(503, "apiserver is shutting down"),
        "answers 503: apiserver",
    )
    .await;
}

#[tokio::test]
async fn a_gateway_that_answers_in_html() {
    let page = || {
        let html = "<html>\n<body>Bad Gateway</body>\n</html>".to_owned();
        Fault::Status(502, "text/html", html, None)
    };
    refused_and_granted(page, "answers 502").await;
}

#[tokio::test]
async fn a_server_that_knows_no_endpoint_slices_has_not_an_empty_list() {
    refused_and_granted(
        || status(404, "the server could not find the requested resource"),
        "(404)",
    )
    .await;
}

#[tokio::test]
async fn connections_that_break() {
    refused_and_granted(
        || Fault::Break,
        "cannot reach the API server at http://127.0.0.1",
    )
    .await;
}

#[tokio::test]
async fn a_server_that_comes_up_late() {
    let (socket, address) = closed_port();
    let api = Api::new();
    api.apply_service(&service(&json!({}))).unwrap();
    api.apply_slice(&slice("cart-a", &["10.0.0.1"])).unwrap();
    let mut scene = Scene::unserved(api, address, http(), quick(), |_, _| Fault::Pass);
    let status = scene.error("Connection refused").await;
    assert_eq!(status.phase, Phase::Starting);
    assert_eq!(status.fresh, None);

    scene.serve(socket.listen(128).unwrap());
    assert_eq!(scene.addresses().await, ["10.0.0.1"]);
    let status = scene.phase(Phase::Live).await;
    assert_eq!(status.error, None);
    assert!(status.fresh.unwrap().elapsed().unwrap() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_running_watch_is_not_asked_for_its_right() {
    let mut scene = Scene::with_two_pods(quick(), |_, _| Fault::Pass).await;
    scene.until(&["10.0.0.1", "10.0.0.2"]).await;
    scene.flaky.asked(Ask::Watch, 1).await;
    scene.flaky.play(|_, _| forbidden());
    scene
        .api
        .apply_slice(&slice("cart-a", &["10.0.0.3"]))
        .unwrap();
    assert_eq!(scene.addresses().await, ["10.0.0.3"]);
    assert_eq!(scene.status.borrow().phase, Phase::Live);
}

#[tokio::test]
async fn a_trouble_is_logged_once_however_long_it_lasts() {
    let api = Api::new();
    api.apply_service(&service(&json!({}))).unwrap();
    api.apply_slice(&slice("cart-a", &["10.0.0.1"])).unwrap();
    let flaky = Flaky::new(api.clone(), |ask, nth| match (ask, nth) {
        (Ask::List, ..2) => forbidden(),
        _ => Fault::Pass,
    });
    let cluster = Cluster::behind(api, |listener| flaky.serve(listener)).await;
    let sidecar = Sidecar::of_services(&cluster, "shop/cart:http")
        .start()
        .await;
    let live = |line: &Value| line.to_string().contains("the list of endpoints is live");
    sidecar.log.until("the list is live", 1, live).await;
    let refused = |line: &Value| line.to_string().contains("(403)");
    let refusals = sidecar.log.matching(refused);
    assert_eq!(refusals.len(), 1, "{refusals:#?}");
    let said = refusals[0].to_string();
    for word in ["may not get,list,watch endpointslices", "shop/cart:http"] {
        assert!(said.contains(word), "{said}");
    }
}
