//! Pods that are given no more connections than they may be.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use socket2::{SockRef, Socket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{ask, patient, until_at, until_pending};
use crate::support::client::get;
use crate::support::head::Head;
use crate::support::http2::{self, Exchange};
use crate::support::manners;
use crate::support::pod::Session;
use crate::support::{Load, Pod, Sidecar, eventually};

/// The connections that a pod has at a time, and the most it ever had. One that the other side has closed is told by
/// the kernel, whether the pod has come round to it or not.
#[derive(Clone, Debug, Default)]
struct Crowd {
    open: Arc<Mutex<Vec<Socket>>>,
    most: Arc<AtomicUsize>,
}

impl Crowd {
    fn enter(&self, session: &mut Session) {
        let socket = SockRef::from(&*session.wire.stream()).try_clone().unwrap();
        let mut open = self.open.lock().unwrap();
        open.push(socket);
        open.retain(|socket| match socket.peek(&mut [MaybeUninit::uninit()]) {
            Ok(unread) => unread > 0,
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        });
        self.most.fetch_max(open.len(), Relaxed);
    }

    fn most(&self) -> usize {
        self.most.load(Relaxed)
    }
}

fn two_streams() -> h2::server::Builder {
    let mut limited = h2::server::Builder::new();
    limited.max_concurrent_streams(2);
    limited
}

#[tokio::test]
async fn a_crowd_on_all_workers_makes_no_connection_too_many_over_either_protocol() {
    let (crowd, crowd_over_http2) = (Crowd::default(), Crowd::default());
    let counts = crowd.clone();
    let pod = Pod::scripted("a", move |mut session| {
        counts.enter(&mut session);
        manners::answer_all(session)
    })
    .await;
    let counts = crowd_over_http2.clone();
    let answers = http2::script_as(two_streams(), |mut exchange: Exchange| async move {
        exchange.answer().await
    });
    let pod_over_http2 = Pod::scripted("a", move |mut session| {
        counts.enter(&mut session);
        answers(session)
    })
    .await;
    let limited = |plan| patient(plan).with("--max-pod-connections", "3");
    let plain = limited(Sidecar::over([&pod])).start().await;
    let over_http2 = limited(Sidecar::over([&pod_over_http2])).http2_to_pods();
    let over_http2 = over_http2.start().await;
    for (sidecar, crowd) in [(&plain, &crowd), (&over_http2, &crowd_over_http2)] {
        let load = Load::start(sidecar.proxy, 24);
        load.more(600).await;
        load.stop().await.assert_nothing_lost();
        assert_eq!(crowd.most(), 3);
        until_pending(sidecar, 0).await;
        let open = sidecar.metric("podrobin_pod_connections", &[]).await;
        assert!(open <= 3.0, "{open}");
    }
}

#[tokio::test]
async fn a_pod_whose_connections_are_all_busy_is_passed_over() {
    let (slow, go) = Pod::gated("slow").await;
    let fast = Pod::start("fast").await;
    let sidecar = patient(Sidecar::over([&slow, &fast]))
        .with("--max-pod-connections", "1")
        .on_one_worker()
        .start()
        .await;
    // In turn: one of the first two goes to each.
    let mut clients = [ask(&sidecar).await, ask(&sidecar).await];
    until_at(&slow, 1).await;
    until_at(&fast, 1).await;
    for _ in 0..6 {
        assert_eq!(sidecar.get("/").await.pod(), "fast");
    }
    let state = sidecar.state_of(&slow).await;
    assert_eq!(
        (&state["connections"], &state["connection_limit"]),
        (&1.into(), &1.into())
    );
    go.add_permits(100);
    for client in &mut clients {
        client.response().await;
    }
    let answers = [sidecar.get("/").await, sidecar.get("/").await];
    assert!(answers.iter().any(|answer| answer.pod() == "slow"));
    assert_eq!(slow.record().connections, 1);
}

#[tokio::test]
async fn while_all_connections_are_busy_requests_wait_for_one_in_order() {
    let (pod, go) = Pod::gated("a").await;
    let sidecar = patient(Sidecar::over([&pod]))
        .with("--max-pod-connections", "1")
        .with("--pending", "3")
        .on_one_worker()
        .start()
        .await;
    let mut clients = vec![ask(&sidecar).await];
    until_at(&pod, 1).await;
    for count in 1..=3 {
        let mut client = sidecar.client().await;
        client.send(get(&format!("/{count}"))).await;
        until_pending(&sidecar, count).await;
        clients.push(client);
    }
    let answer = sidecar.get("/").await;
    assert_eq!((answer.status(), answer.flag()), (503, Some("UO")));
    assert_eq!(answer.field("retry-after"), Some("1"));
    go.add_permits(4);
    for client in &mut clients {
        assert_eq!(client.response().await.pod(), "a");
    }
    let record = pod.record();
    let targets: Vec<_> = record.heads.iter().map(Head::target).collect();
    assert_eq!(targets, ["/", "/1", "/2", "/3"]);
    assert_eq!(record.connections, 1);
}

#[tokio::test]
async fn what_lies_idle_on_one_worker_is_closed_for_a_request_of_another() {
    let (pod, go) = Pod::gated("a").await;
    // One for each worker, and one for whoever needs it.
    let sidecar = patient(Sidecar::over([&pod]))
        .with("--max-pod-connections", "3")
        .start()
        .await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(sidecar.client().await);
    }
    let mut requests = 0;
    // Which worker serves whom is not told: of all pairs, some are of the one, and some of the other.
    for first in 0..clients.len() {
        for second in 0..first {
            for client in [first, second] {
                clients[client].send(get("/")).await;
            }
            requests += 2;
            until_at(&pod, requests).await;
            go.add_permits(2);
            for client in [first, second] {
                assert_eq!(clients[client].response().await.pod(), "a");
            }
        }
    }
    let open = sidecar.metric("podrobin_pod_connections", &[]).await;
    assert!(open <= 3.0, "{open}");
}

#[tokio::test]
async fn calls_beyond_what_the_connections_take_wait_for_a_stream() {
    let go = Arc::new(Semaphore::new(0));
    let held = http2::gated(&go);
    let pod = Pod::scripted("a", http2::script_as(two_streams(), held)).await;
    let sidecar = patient(Sidecar::over([&pod]))
        .with("--max-pod-connections", "2")
        .http2_to_pods()
        .on_one_worker()
        .start()
        .await;
    let client = sidecar.http2().await;
    let mut calls = JoinSet::new();
    for _ in 0..7 {
        let client = client.clone();
        calls.spawn(async move { client.post("/", b"x").await.status });
    }
    pod.until("four streams at once", |record| record.streams == 4)
        .await;
    until_pending(&sidecar, 3).await;
    assert_eq!(pod.record().connections, 2);
    go.add_permits(7);
    assert_eq!(calls.join_all().await, [200; 7]);
    assert_eq!(pod.record().connections, 2);
}

#[tokio::test]
async fn a_tunnel_holds_a_connection_until_it_ends() {
    let pod = super::switching().await;
    let sidecar = patient(Sidecar::over([&pod]))
        .with("--max-pod-connections", "1")
        .with("--pending", "0")
        .on_one_worker()
        .start()
        .await;
    let mut tunnel = sidecar.client().await;
    tunnel.send(super::SWITCH).await;
    assert_eq!(tunnel.head().await.status(), 101);
    let answer = sidecar.get("/").await;
    assert_eq!((answer.status(), answer.flag()), (503, Some("UO")));
    drop(tunnel);
    eventually("the tunnel's connection to be free", async || {
        (sidecar.get("/").await.status() == 200).then_some(())
    })
    .await;
}
