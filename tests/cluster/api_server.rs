//! The API server goes away and comes back. These scenes have a control plane of their own.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ListParams, WatchEvent, WatchParams};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::control_plane::ControlPlane;
use crate::kubelet::Habits;
use crate::load::Load;
use crate::relay::Relay;
use crate::scene::{Scene, create};

#[tokio::test]
async fn traffic_goes_on_while_the_api_server_is_dead() {
    let plane = ControlPlane::start().await;
    let scene = Scene::on(plane.clone(), "dead", Habits::draining(Duration::ZERO)).await;
    scene.grant().await;
    scene.cart(3).await;
    let sidecar = scene.sidecar("cart:http").await;
    sidecar.ready().await;
    let target = sidecar.settled(3).await;
    let mut load = Load::start(sidecar.proxy(), 4, Duration::from_millis(5));
    load.more(100).await;

    plane.kill_api_server();
    sidecar
        .target("the watch is stale", |target| target.watch.phase == "stale")
        .await;
    load.more(100).await;
    // The list cannot say so, but this pod refuses connections now.
    let gone = target.endpoints[0].pod.clone().unwrap();
    scene.kubelet.vanish(&gone);
    load.more(300).await;
    let before = load.tally();
    assert_eq!(sidecar.readiness().await.0, 200);

    plane.start_api_server().await.unwrap();
    sidecar
        .target("the watch is live again", |target| {
            target.watch.phase == "live"
        })
        .await;
    scene.roll("cart").await;
    scene.settled("cart", 3).await;
    let target = sidecar.settled(3).await;
    assert!(
        target
            .endpoints
            .iter()
            .all(|endpoint| endpoint.pod.as_ref() != Some(&gone))
    );
    load.more(100).await;

    let tally = load.finish().await;
    tally.assert_none_failed();
    assert!(
        before.by_pod.len() == 3 && tally.by_pod.len() == 6,
        "{before:?} {tally:?}"
    );
}

/// While the sidecar cannot reach the API server, the version it would go on from is compacted away.
#[tokio::test]
async fn a_compacted_version_leads_to_a_new_list() {
    let plane = ControlPlane::start().await;
    let relay = Relay::start(plane.api_address()).await;
    let scene = Scene::on(
        plane.clone(),
        "compaction",
        Habits::draining(Duration::ZERO),
    )
    .await;
    scene.grant().await;
    scene.cart(3).await;
    let sidecar = scene.sidecar_by(relay.address, "cart:http", &[]).await;
    sidecar.ready().await;
    sidecar.settled(3).await;
    let slices = scene.api::<EndpointSlice>();
    let known = slices.list(&ListParams::default()).await.unwrap();
    let known = known.metadata.resource_version.unwrap();
    let mut load = Load::start(sidecar.proxy(), 4, Duration::from_millis(5));

    relay.cut();
    // The sidecar goes on with three pods, of which one refuses connections.
    scene.scale("cart", 2).await;
    scene.settled("cart", 2).await;
    load.more(100).await;
    let last = create(
        &scene.api::<ConfigMap>(),
        json!({"metadata": {"name": "last"}}),
    )
    .await;
    compact(&plane, &last.metadata.resource_version.unwrap()).await;
    // The watch cache would still serve what etcd has forgotten; a new one cannot.
    plane.kill_api_server();
    plane.start_api_server().await.unwrap();
    assert!(
        is_expired(&scene, &known).await,
        "version {known} can still be watched"
    );

    relay.mend();
    sidecar.settled(2).await;
    sidecar
        .target("the watch is live", |target| target.watch.phase == "live")
        .await;
    load.more(100).await;
    load.finish().await.assert_none_failed();
}

/// Compacts etcd up to a version, by its JSON gateway.
async fn compact(plane: &ControlPlane, version: &str) {
    let stream = TcpStream::connect(plane.etcd_address()).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let order = json!({"revision": version, "physical": true}).to_string();
    let request = Request::builder()
        .method(Method::POST)
        .uri("/v3/kv/compaction")
        .header("host", plane.etcd_address().to_string())
        .body(Full::new(Bytes::from(order)))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(
        status.is_success(),
        "{status}: {}",
        String::from_utf8_lossy(&body)
    );
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert!(answer["header"]["revision"].is_string(), "{answer}");
}

/// Whether a watch from this version is answered with 410.
async fn is_expired(scene: &Scene, version: &str) -> bool {
    use futures::StreamExt;

    let slices = scene.api::<EndpointSlice>();
    let mut events = match slices
        .watch(&WatchParams::default().timeout(5), version)
        .await
    {
        Ok(events) => events.boxed(),
        Err(kube::Error::Api(status)) => return status.code == 410,
        Err(error) => panic!("{error}"),
    };
    match events.next().await {
        Some(Ok(WatchEvent::Error(status))) => status.code == 410,
        Some(Err(kube::Error::Api(status))) => status.code == 410,
        other => panic!("{other:?}"),
    }
}
