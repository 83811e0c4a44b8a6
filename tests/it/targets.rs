//! Several Services at once, each on a listener of its own.

use serde_json::Value;

use crate::support::client::get;
use crate::support::slices::Entry;
use crate::support::{Client, Cluster, Pod, Sidecar};

/// The name in `/state`, the pods listed there, and the pods that answered.
async fn served(target: &Value) -> (String, Vec<String>, Vec<String>) {
    let listed = target["endpoints"].as_array().unwrap();
    let listed = listed.iter().map(|endpoint| endpoint["pod"].as_str());
    let listed = listed.map(|pod| pod.unwrap().to_owned()).collect();
    let listen = target["listen"].as_str().unwrap().parse().unwrap();
    let mut client = Client::connect(listen).await;
    let mut answered = Vec::new();
    for _ in 0..6 {
        answered.push(client.get("/").await.pod().to_owned());
    }
    answered.sort_unstable();
    (
        target["name"].as_str().unwrap().to_owned(),
        listed,
        answered,
    )
}

#[tokio::test]
async fn each_service_is_served_on_its_own_listener_by_its_own_pods() {
    let cluster = Cluster::start().await;
    let carts = [Pod::start("cart-a").await, Pod::start("cart-b").await];
    let pay = Pod::start("pay-a").await;
    cluster.add_service("cart");
    cluster.add_service("pay");
    for pod in &carts {
        cluster.add(pod);
    }
    cluster.add(Entry::of_service(&pay, "pay"));

    let services = "shop/cart:http,127.0.0.1:0=shop/pay:http";
    let sidecar = Sidecar::of_services(&cluster, services)
        .on_one_worker()
        .start()
        .await;
    let targets = sidecar.targets().await;
    assert_eq!(targets.len(), 2, "{targets:?}");
    assert_ne!(targets[0]["listen"], targets[1]["listen"]);

    let (name, listed, answered) = served(&targets[0]).await;
    assert_eq!(name, "shop/cart:http");
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert_eq!(answered, [["cart-a"; 3], ["cart-b"; 3]].concat());
    let (name, listed, answered) = served(&targets[1]).await;
    assert_eq!(name, "shop/pay:http");
    assert_eq!(listed, ["pay-a"]);
    assert_eq!(answered, ["pay-a"; 6]);

    for (target, requests) in [("shop/cart:http", 6.0), ("shop/pay:http", 6.0)] {
        let label = format!("target=\"{target}\"");
        let counted = sidecar.metric("podrobin_requests_total", &[&label]).await;
        assert_eq!(counted, requests, "{target}");
    }
    // A Service that loses its pods takes nothing from the other.
    cluster.remove(Entry::of_service(&pay, "pay"));
    let held = targets[1]["listen"].as_str().unwrap().parse().unwrap();
    let mut held = Client::connect(held).await;
    // The worker closes it once it has heard that the pod is gone.
    pay.until("its idle connection to be closed", |record| {
        record.open == 0
    })
    .await;
    held.send(get("/")).await;
    sidecar.until_held(1).await;
    assert!(sidecar.get("/").await.pod().starts_with("cart-"));
    cluster.add(Entry::of_service(&pay, "pay"));
    assert_eq!(held.response().await.pod(), "pay-a");
}

#[tokio::test]
async fn a_service_may_have_a_policy_of_its_own() {
    let cluster = Cluster::start().await;
    let pods = [Pod::start("pod-a").await, Pod::start("pod-b").await];
    for service in ["cart", "pay"] {
        cluster.add_service(service);
        for pod in &pods {
            cluster.add(Entry::of_service(pod, service));
        }
    }
    let services = "shop/cart:http,127.0.0.1:0=shop/pay:http";
    let sidecar = Sidecar::of_services(&cluster, services)
        .with("--policy", "shop/pay=hash:path")
        .on_one_worker()
        .start()
        .await;
    let targets = sidecar.targets().await;
    assert_eq!(targets[0]["policy"], "round-robin");
    assert_eq!(targets[1]["policy"], "hash:path");

    let (_, _, answered) = served(&targets[0]).await;
    assert_eq!(answered, [["pod-a"; 3], ["pod-b"; 3]].concat());
    // One path, one pod.
    let (_, _, answered) = served(&targets[1]).await;
    assert_eq!(answered, [answered[0].as_str(); 6]);
}
