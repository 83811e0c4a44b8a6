//! gRPC's own health service, as tonic has it.

use std::net::SocketAddr;

use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

use super::often;
use crate::grpc::echo::EchoPod;
use crate::support::log::field;
use crate::support::{Sidecar, eventually};

struct HealthPod {
    address: SocketAddr,
    reporter: HealthReporter,
    serving: JoinHandle<()>,
}

impl HealthPod {
    fn start() -> Self {
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = incoming.local_addr().unwrap();
        let (reporter, service) = health_reporter();
        let serving = tokio::spawn(async move {
            let server = Server::builder().serve_with_incoming(service, incoming);
            server.await.unwrap();
        });
        Self {
            address,
            reporter,
            serving,
        }
    }
}

impl Drop for HealthPod {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Waits until `/state` gives the pod at that address this state, and gives its reason.
async fn until(sidecar: &Sidecar, address: SocketAddr, wanted: &str) -> String {
    eventually(&format!("{address} to be {wanted}"), async || {
        let state = sidecar.state().await;
        let mut endpoints = state["endpoints"].as_array()?.iter();
        let endpoint = endpoints.find(|it| it["address"] == address.to_string())?;
        let reason = endpoint["reason"].as_str().unwrap_or_default();
        (endpoint["state"] == wanted).then(|| reason.to_owned())
    })
    .await
}

#[tokio::test]
async fn a_server_that_serves_no_more_leaves_and_returns() {
    let pods = [HealthPod::start(), HealthPod::start()];
    let sidecar = often(Sidecar::at(pods.each_ref().map(|pod| pod.address)), "grpc")
        .with("--new-pods", "wait")
        .http2_to_pods()
        .start()
        .await;
    until(&sidecar, pods[0].address, "ready").await;
    let whole = "";
    let reporter = &pods[0].reporter;
    reporter
        .set_service_status(whole, ServingStatus::NotServing)
        .await;
    let reason = until(&sidecar, pods[0].address, "unhealthy").await;
    assert!(reason.contains("NOT_SERVING"), "{reason}");
    reporter
        .set_service_status(whole, ServingStatus::Serving)
        .await;
    until(&sidecar, pods[0].address, "ready").await;
}

#[tokio::test]
async fn one_service_of_a_server_may_be_asked_about() {
    let known = HealthPod::start();
    let unknown = HealthPod::start();
    let reporter = &known.reporter;
    reporter
        .set_service_status("shop.Cart", ServingStatus::Serving)
        .await;
    let addresses = [known.address, unknown.address];
    let sidecar = often(Sidecar::at(addresses), "grpc:shop.Cart")
        .start()
        .await;
    let reason = until(&sidecar, unknown.address, "unhealthy").await;
    assert!(reason.contains("NOT_FOUND"), "{reason}");
    until(&sidecar, known.address, "ready").await;
}

#[tokio::test]
async fn a_server_without_the_health_service_is_told_in_the_log() {
    let pod = EchoPod::start("a").await;
    let well = HealthPod::start();
    let sidecar = often(Sidecar::at([pod.address, well.address]), "grpc")
        .start()
        .await;
    let reason = until(&sidecar, pod.address, "unhealthy").await;
    assert!(reason.contains("UNIMPLEMENTED"), "{reason}");
    let said =
        |line: &serde_json::Value| field(line, "message").contains("add grpc.health.v1.Health");
    sidecar.log.until("what is missing", 1, said).await;
}
