//! Pods that are given no more connections than they may be, where the handshake alone tells what is spoken on one.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{NAME, ca, over};
use crate::support::certificates::{Authority, Mount};
use crate::support::client::get;
use crate::support::tls::{Setup, Tls};
use crate::support::{Client, Pod, Sidecar, eventually};

/// Calls that a pod takes on one connection over HTTP/2.
const STREAMS: u32 = 2;

/// A pod that speaks this alone, its answers held back.
struct Scene {
    tls: Arc<Tls>,
    pod: Pod,
    go: Arc<Semaphore>,
    sidecar: Sidecar,
    /// What it reads as long as it runs.
    _mount: Mount,
}

impl Scene {
    async fn start(protocol: &str, limit: &str, one_worker: bool) -> Self {
        let authority = Authority::new("ca");
        let setup = Setup {
            alpn: &[protocol],
            ..Setup::default()
        };
        let tls = Tls::with(&authority.issue(NAME), &setup);
        let go = Arc::new(Semaphore::new(0));
        let pod = Pod::scripted("a", tls.serve_gated(&go, STREAMS)).await;
        let mount = ca(&[&authority]);
        let mut plan = over([&pod], &mount)
            .with("--max-pod-connections", limit)
            .with("--pending-timeout", "60s");
        if one_worker {
            plan = plan.on_one_worker();
        }
        let sidecar = plan.start().await;
        Self {
            tls,
            pod,
            go,
            sidecar,
            _mount: mount,
        }
    }

    /// So many requests, of which so many are at the pod and the others wait.
    async fn ask(&self, requests: usize, at_pod: usize) -> Vec<Client> {
        let mut clients = Vec::new();
        for _ in 0..requests {
            let mut client = self.sidecar.client().await;
            client.send(get("/")).await;
            clients.push(client);
        }
        eventually("the requests at the pod, the others pending", async || {
            let pending = self.sidecar.metric("podrobin_requests_pending", &[]).await;
            let at = self.tls.seen().requests.len();
            (at == at_pod && pending == (requests - at_pod) as f64).then_some(())
        })
        .await;
        clients
    }

    async fn connections(&self) -> f64 {
        let open = self.sidecar.metric("podrobin_pod_connections", &[]).await;
        assert_eq!(open, self.pod.record().open as f64);
        open
    }

    async fn answered(&self, clients: &mut [Client], version: &str) {
        self.go.add_permits(clients.len());
        for client in clients {
            let answer = client.response().await;
            assert_eq!(answer.status(), 200, "{}", answer.text());
            assert_eq!(answer.field("x-version"), Some(version));
        }
    }
}

#[tokio::test]
async fn a_pod_that_chooses_http1_has_a_request_on_each_connection_and_the_others_wait() {
    let scene = Scene::start("http/1.1", "3", false).await;
    let mut clients = scene.ask(24, 3).await;
    assert_eq!(scene.connections().await, 3.0);
    assert_eq!(scene.tls.seen().handshakes, 3);
    scene.answered(&mut clients, "1").await;
    let overflows = scene.sidecar.metric("podrobin_overflows_total", &[]);
    assert_eq!(overflows.await, 0.0);
}

#[tokio::test]
async fn a_pod_that_chooses_http2_has_its_streams_on_each_connection_and_the_others_wait() {
    let scene = Scene::start("h2", "2", true).await;
    let mut clients = scene.ask(7, 4).await;
    assert_eq!(scene.connections().await, 2.0);
    scene.answered(&mut clients, "2").await;
    assert_eq!(scene.pod.record().connections, 2);
}

#[tokio::test]
async fn the_only_connection_is_enough_whatever_is_chosen_and_no_handshake_is_made_in_vain() {
    for (protocol, version, at_pod) in [("http/1.1", "1", 1), ("h2", "2", 2)] {
        let scene = Scene::start(protocol, "1", true).await;
        let mut clients = scene.ask(5, at_pod).await;
        assert_eq!(scene.connections().await, 1.0);
        scene.answered(&mut clients, version).await;
        assert_eq!(scene.tls.seen().handshakes, 1, "{protocol}");
    }
}

#[tokio::test]
async fn clients_that_leave_make_room_for_those_that_wait() {
    for (protocol, version, at_pod) in [("http/1.1", "1", 1), ("h2", "2", 2)] {
        let scene = Scene::start(protocol, "1", true).await;
        let leaving = scene.ask(at_pod, at_pod).await;
        let mut client = scene.sidecar.client().await;
        client.send(get("/")).await;
        drop(leaving);
        eventually("the next one at the pod", async || {
            (scene.tls.seen().requests.len() == at_pod + 1).then_some(())
        })
        .await;
        scene.answered(&mut [client], version).await;
    }
}
