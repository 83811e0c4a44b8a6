//! Which port of a pod is meant.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::kubelet::Habits;
use crate::load::Client;
use crate::scene::Scene;
use crate::wait::until;

#[tokio::test]
async fn a_named_port_may_have_another_number_in_every_pod() {
    let scene = Scene::open("named-port", Habits::draining(Duration::ZERO)).await;
    let ports = json!([{"name": "http", "port": 80, "targetPort": "web"}]);
    scene.service("cart", ports).await;
    for (deployment, port) in [("old", 8080), ("new", 9090)] {
        let ports = json!([{"name": "web", "containerPort": port}]);
        scene.deployment(deployment, "cart", 1, ports).await;
    }
    scene.settled("cart", 2).await;

    let sidecar = scene.sidecar("cart:http").await;
    sidecar.ready().await;
    let target = sidecar.settled(2).await;
    let ports: BTreeSet<u16> = target
        .endpoints
        .iter()
        .map(|it| it.address.port())
        .collect();
    assert_eq!(ports, BTreeSet::from([8080, 9090]));

    let mut client = Client::new(sidecar.proxy());
    let (one, other) = (client.get().await.unwrap(), client.get().await.unwrap());
    assert_ne!(one, other);
}

#[tokio::test]
async fn a_port_number_is_the_services() {
    let scene = Scene::open("port-number", Habits::draining(Duration::ZERO)).await;
    let ports = json!([
        {"name": "http", "port": 80, "targetPort": 8080},
        {"name": "metrics", "port": 8080, "targetPort": 9090},
    ]);
    scene.service("cart", ports).await;
    let ports = json!([{"containerPort": 8080}, {"containerPort": 9090}]);
    scene.deployment("cart", "cart", 1, ports).await;
    scene.settled("cart", 1).await;

    // 8080 is also a pod's port, but not the one that the Service has under this number.
    for (port, wanted) in [("80", 8080), ("8080", 9090)] {
        let sidecar = scene.sidecar(&format!("cart:{port}")).await;
        sidecar.ready().await;
        let target = sidecar.settled(1).await;
        assert_eq!(target.endpoints[0].address.port(), wanted, "port {port}");
        Client::new(sidecar.proxy()).get().await.unwrap();
    }

    let sidecar = scene.sidecar("cart:81").await;
    until("the ports there are get named", async || {
        let (status, body) = sidecar.readiness().await;
        assert_eq!(status, 503, "{body}");
        let named = ["81", "http", "metrics"]
            .iter()
            .all(|word| body.contains(word));
        if named { Ok(()) } else { Err(body) }
    })
    .await;
}
