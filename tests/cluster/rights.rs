//! A ServiceAccount whose rights come and go.

use std::time::Duration;

use crate::control_plane::ControlPlane;
use crate::kubelet::Habits;
use crate::load::Load;
use crate::relay::Relay;
use crate::scene::Scene;
use crate::wait::until;

/// What a refusal must name: the verb, the resource and its group.
const RULE: [&str; 3] = ["list", "endpointslices", "discovery.k8s.io"];

#[tokio::test]
async fn rights_may_be_missing_come_go_and_come_again() {
    let plane = ControlPlane::shared().await;
    let relay = Relay::start(plane.api_address()).await;
    let scene = Scene::on(plane, "rights", Habits::draining(Duration::ZERO)).await;
    scene.cart(2).await;
    let sidecar = scene.sidecar_by(relay.address, "cart:http", &[]).await;

    until("the missing rule is named", async || {
        let (status, body) = sidecar.readiness().await;
        assert_eq!(status, 503, "{body}");
        if RULE.iter().all(|word| body.contains(word)) {
            Ok(())
        } else {
            Err(body)
        }
    })
    .await;

    scene.grant().await;
    sidecar.ready().await;
    sidecar.settled(2).await;
    let mut load = Load::start(sidecar.proxy(), 4, Duration::from_millis(5));
    load.more(100).await;

    // A running watch outlives the right; the next request to the API server does not.
    scene.revoke().await;
    relay.interrupt();
    let target = sidecar
        .target("the refusal is told", |target| {
            let error = target.watch.error.clone().unwrap_or_default();
            target.watch.phase == "stale" && RULE[1..].iter().all(|word| error.contains(word))
        })
        .await;
    assert_eq!(target.ready(), 2, "{target:?}");
    assert_eq!(
        sidecar.readiness().await.0,
        200,
        "a list once known keeps it ready"
    );
    scene.scale("cart", 3).await;
    scene.settled("cart", 3).await;
    load.more(100).await;

    scene.grant().await;
    let target = sidecar.settled(3).await;
    assert_eq!(target.watch.error, None);
    assert_eq!(target.watch.phase, "live");
    let earlier = load.tally();
    load.more(100).await;
    assert_eq!(load.tally().since(&earlier).len(), 3);
    load.finish().await.assert_none_failed();
}
