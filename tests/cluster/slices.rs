//! Services whose slices are not the usual ones.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::kubelet::{Addresses, Habits};
use crate::load::{Client, Load};
use crate::pod::{Containers, Exit};
use crate::scene::{Scene, create};

#[tokio::test]
async fn a_service_without_selector_is_served_by_slices_made_by_hand() {
    let scene = Scene::open("by-hand", Habits::draining(Duration::ZERO)).await;
    scene
        .service_of("cart", json!({"ports": [{"name": "http", "port": 80}]}))
        .await;
    let _servers = ["10.244.0.11:7001", "10.244.0.12:7002", "10.244.0.13:7002"]
        .map(|address: &str| Containers::start(address, &[address.parse::<SocketAddr>().unwrap()]));
    let slices = scene.api::<EndpointSlice>();
    // No conditions, no targetRef, no nodeName: all of that may be absent. Each slice has a port number of its own.
    create(
        &slices,
        slice("cart-one", 7001, &json!([{"addresses": ["10.244.0.11"]}])),
    )
    .await;
    let two = json!([{"addresses": ["10.244.0.12"]}, {"addresses": ["10.244.0.13"]}]);
    create(&slices, slice("other-name", 7002, &two)).await;

    let sidecar = scene.sidecar("cart:http").await;
    sidecar.ready().await;
    sidecar.settled(3).await;
    assert_eq!(
        answers(sidecar.proxy()).await,
        names(["10.244.0.11:7001", "10.244.0.12:7002", "10.244.0.13:7002"])
    );

    let mut load = Load::start(sidecar.proxy(), 2, Duration::from_millis(5));
    let unready = json!({"endpoints": [
        {"addresses": ["10.244.0.12"], "conditions": {"ready": false}},
        {"addresses": ["10.244.0.13"]},
    ]});
    slices
        .patch(
            "other-name",
            &PatchParams::default(),
            &Patch::Merge(&unready),
        )
        .await
        .unwrap();
    sidecar
        .target("one pod is not ready", |target| target.ready() == 2)
        .await;
    slices
        .delete("cart-one", &DeleteParams::default())
        .await
        .unwrap();
    sidecar
        .target("one slice is gone", |target| target.ready() == 1)
        .await;
    load.more(50).await;
    load.finish().await.assert_none_failed();
    assert_eq!(answers(sidecar.proxy()).await, names(["10.244.0.13:7002"]));
}

#[tokio::test]
async fn a_dual_stack_service_is_reached_by_one_family() {
    let habits = Habits {
        exit: Exit::After(Duration::ZERO),
        addresses: Addresses::Both,
    };
    let scene = Scene::open("dual-stack", habits).await;
    let service = json!({
        "selector": {"app": "cart"},
        "ipFamilyPolicy": "RequireDualStack",
        "ipFamilies": ["IPv4", "IPv6"],
        "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
    });
    scene.service_of("cart", service).await;
    let ports = json!([{"containerPort": 8080}]);
    scene.deployment("cart", "cart", 2, ports).await;
    scene.settled("cart", 4).await;

    for (own, wanted) in [("10.244.0.1", "IPv4"), ("fd00:244::1", "IPv6")] {
        let environment = [("PODROBIN_POD_IP".to_owned(), own.to_owned())];
        let sidecar = scene
            .sidecar_by(scene.plane.api_address(), "cart:http", &environment)
            .await;
        sidecar.ready().await;
        let target = sidecar.settled(2).await;
        let families: BTreeSet<&str> = target
            .endpoints
            .iter()
            .map(|endpoint| family(endpoint.address.ip()))
            .collect();
        assert_eq!(families, BTreeSet::from([wanted]), "{target:?}");
        assert_eq!(answers(sidecar.proxy()).await.len(), 2);
    }
}

#[tokio::test]
async fn where_pods_are_is_known() {
    let scene = Scene::open("whereabouts", Habits::draining(Duration::ZERO)).await;
    scene.cart(2).await;
    let sidecar = scene.sidecar("cart:http").await;
    sidecar.ready().await;
    for endpoint in sidecar.settled(2).await.endpoints {
        let node = endpoint.node.clone().unwrap();
        assert_eq!(
            endpoint.zone,
            Some(node.replace("node", "zone")),
            "{endpoint:?}"
        );
        assert!(endpoint.pod.unwrap().starts_with("cart-"));
    }
}

fn slice(name: &str, port: u16, endpoints: &Value) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "cart"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port}],
        "endpoints": endpoints,
    })
}

/// Who answers twelve requests, which is at least two turns here.
async fn answers(proxy: SocketAddr) -> BTreeSet<String> {
    let mut client = Client::new(proxy);
    let mut pods = BTreeSet::new();
    for _ in 0..12 {
        pods.insert(client.get().await.unwrap());
    }
    pods
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}
