//! The Service beside its slices: ports, policy, and whether it is there at all.

use podrobin::config::PortRef;
use podrobin::demo::api::Api;
use podrobin::discovery::Phase;
use podrobin::endpoint::Standing;
use serde_json::json;

use super::flaky::{Ask, Fault};
use super::scene::{Scene, forbidden, http, quick, service, slice};

fn two_pods() -> Api {
    let api = Api::new();
    api.apply_service(&service(&json!({}))).unwrap();
    api.apply_slice(&slice("cart-a", &["10.0.0.1", "10.0.0.2"]))
        .unwrap();
    api
}

fn services_forbidden(ask: Ask, _: usize) -> Fault {
    match ask {
        Ask::Service => forbidden(),
        _ => Fault::Pass,
    }
}

#[tokio::test]
async fn a_port_number_is_the_services_and_not_the_targets() {
    let mut scene =
        Scene::start(two_pods(), PortRef::Number(80), quick(), |_, _| Fault::Pass).await;
    let update = scene.update().await;
    let ports: Vec<u16> = update
        .endpoints
        .iter()
        .map(|endpoint| endpoint.address().port())
        .collect();
    assert_eq!(ports, [8080, 8080]);
}

#[tokio::test]
async fn a_port_number_that_is_not_there_is_waited_for() {
    let mut scene = Scene::start(two_pods(), PortRef::Number(8080), quick(), |_, _| {
        Fault::Pass
    })
    .await;
    let status = scene
        .error("has no TCP port 8080: there is http (80)")
        .await;
    assert_eq!(status.phase, Phase::Starting);
    scene.nothing_new();
    let ports = json!({"ports": [{"name": "http", "port": 8080}]});
    scene.api.apply_service(&service(&ports)).unwrap();
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(scene.phase(Phase::Live).await.error, None);
}

#[tokio::test]
async fn a_port_number_waits_for_the_right_to_read_the_service() {
    let mut scene =
        Scene::start(two_pods(), PortRef::Number(80), quick(), services_forbidden).await;
    let status = scene.error("may not get services in namespace shop").await;
    assert_eq!(status.phase, Phase::Starting);
    assert!(status.error.unwrap().contains("its name does not"));
    scene.flaky.play(|_, _| Fault::Pass);
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
}

#[tokio::test]
async fn a_port_name_needs_no_right_to_read_the_service() {
    let mut scene = Scene::start(two_pods(), http(), quick(), services_forbidden).await;
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(scene.phase(Phase::Live).await.error, None);
}

#[tokio::test]
async fn without_that_right_an_empty_list_is_an_empty_service() {
    let mut scene = Scene::start(Api::new(), http(), quick(), services_forbidden).await;
    assert_eq!(scene.addresses().await, [""; 0]);
}

#[tokio::test]
async fn the_only_port_needs_no_name() {
    let mut scene = Scene::start(two_pods(), PortRef::Only, quick(), |_, _| Fault::Pass).await;
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
}

#[tokio::test]
async fn a_missing_service_is_waited_for() {
    let mut scene = Scene::start(Api::new(), http(), quick(), |_, _| Fault::Pass).await;
    let status = scene
        .error("there is no Service cart in namespace shop")
        .await;
    assert_eq!(status.phase, Phase::Starting);
    scene.nothing_new();
    scene.api.apply_service(&service(&json!({}))).unwrap();
    assert_eq!(scene.addresses().await, [""; 0]);
    assert_eq!(scene.phase(Phase::Live).await.error, None);
}

#[tokio::test]
async fn slices_without_a_service_are_used() {
    let api = Api::new();
    api.apply_slice(&slice("cart-a", &["10.0.0.1"])).unwrap();
    let mut scene = Scene::start(api, http(), quick(), |_, _| Fault::Pass).await;
    assert_eq!(scene.addresses().await, ["10.0.0.1"]);
    assert_eq!(scene.phase(Phase::Live).await.error, None);
}

#[tokio::test]
async fn a_port_name_that_is_not_there_names_those_that_are() {
    let web = PortRef::Name("web".to_owned());
    let mut scene = Scene::start(two_pods(), web, quick(), |_, _| Fault::Pass).await;
    let status = scene.error("has no TCP port web: there is http (80)").await;
    assert_eq!(status.phase, Phase::Starting);
    scene.nothing_new();
}

#[tokio::test]
async fn a_service_that_is_deleted_has_no_endpoints_and_is_told() {
    let mut scene = Scene::start(two_pods(), http(), quick(), |_, _| Fault::Pass).await;
    assert_eq!(scene.addresses().await, ["10.0.0.1", "10.0.0.2"]);
    scene.api.delete_service("shop", "cart");
    scene.api.delete_slice("shop", "cart-a");
    assert_eq!(scene.addresses().await, [""; 0]);
    scene.error("there is no Service cart").await;
}

#[tokio::test]
async fn a_local_traffic_policy_leaves_out_other_nodes() {
    let api = two_pods();
    let policy = json!({"internalTrafficPolicy": "Local"});
    api.apply_service(&service(&policy)).unwrap();
    let mut scene = Scene::start(api, http(), quick(), |_, _| Fault::Pass).await;
    loop {
        let update = scene.update().await;
        if update
            .endpoints
            .iter()
            .all(|endpoint| endpoint.standing == Standing::Elsewhere)
        {
            break;
        }
    }
}
