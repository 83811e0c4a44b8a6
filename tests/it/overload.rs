//! Pods that are given no more than they may be, and requests that wait while all are full.

mod connections;
mod goodput;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::support::client::{get, post};
use crate::support::log::field;
use crate::support::pod::Session;
use crate::support::sidecar::Plan;
use crate::support::{Client, Load, Pod, Sidecar, Slices, eventually, manners};

/// Nothing but an event ends a wait.
fn patient(plan: Plan) -> Plan {
    plan.with("--pending-timeout", "60s")
}

async fn until_pending(sidecar: &Sidecar, count: u32) {
    eventually(&format!("{count} requests to be pending"), async || {
        let pending = sidecar.metric("podrobin_requests_pending", &[]).await;
        (pending == f64::from(count)).then_some(())
    })
    .await;
}

async fn until_at(pod: &Pod, requests: usize) {
    let what = format!("{requests} requests at {}", pod.name);
    pod.until(&what, |record| record.heads.len() == requests)
        .await;
}

/// One client more, whose request is under way.
async fn ask(sidecar: &Sidecar) -> Client {
    let mut client = sidecar.client().await;
    client.send(get("/")).await;
    client
}

#[tokio::test]
async fn a_full_pod_is_passed_over_and_gets_no_more_than_its_limit() {
    let (slow, go) = Pod::gated("slow").await;
    let fast = Pod::start("fast").await;
    let sidecar = Sidecar::over([&slow, &fast])
        .with("--max-pod-requests", "2")
        .start()
        .await;
    // In turn: half of the first four go to each.
    let mut at_slow = Vec::new();
    while at_slow.len() < 2 {
        let before = fast.record().heads.len();
        let client = ask(&sidecar).await;
        eventually("the request at a pod", async || {
            let sum = fast.record().heads.len() + slow.record().heads.len();
            (sum == before + at_slow.len() + 1).then_some(())
        })
        .await;
        if slow.record().heads.len() > at_slow.len() {
            at_slow.push(client);
        }
    }
    for _ in 0..10 {
        assert_eq!(sidecar.get("/").await.pod(), "fast");
    }
    let state = sidecar.state_of(&slow).await;
    assert_eq!(
        (&state["in_flight"], &state["limit"]),
        (&2.into(), &2.into())
    );
    go.add_permits(2);
    for client in &mut at_slow {
        assert_eq!(client.response().await.pod(), "slow");
    }
    // With room again it takes its turn.
    go.add_permits(100);
    let answers = [sidecar.get("/").await, sidecar.get("/").await];
    assert!(answers.iter().any(|answer| answer.pod() == "slow"));
}

#[tokio::test]
async fn while_every_pod_is_full_requests_wait_and_are_served_in_order() {
    let (pod, go) = Pod::gated("a").await;
    let sidecar = patient(Sidecar::over([&pod]))
        .with("--max-pod-requests", "1")
        .start()
        .await;
    let mut first = ask(&sidecar).await;
    until_at(&pod, 1).await;
    let mut waiting = Vec::new();
    // More than there are workers, so that the order crosses them.
    for count in 1..=6 {
        let mut client = sidecar.client().await;
        client.send(get(&format!("/{count}"))).await;
        until_pending(&sidecar, count).await;
        waiting.push(client);
    }
    let state = sidecar.state().await;
    assert_eq!((&state["pending"], &state["held"]), (&6.into(), &0.into()));
    assert_eq!(pod.record().heads.len(), 1);
    // The one whose client leaves is not served, and holds up nobody.
    drop(waiting.remove(2));
    until_pending(&sidecar, 5).await;
    go.add_permits(6);
    assert_eq!(first.response().await.pod(), "a");
    for client in &mut waiting {
        assert_eq!(client.response().await.pod(), "a");
    }
    let targets: Vec<_> = pod
        .record()
        .heads
        .iter()
        .map(|head| head.target().to_owned())
        .collect();
    assert_eq!(targets, ["/", "/1", "/2", "/4", "/5", "/6"]);
    assert_eq!(sidecar.metric("podrobin_queued_total", &[]).await, 6.0);
    assert_eq!(sidecar.metric("podrobin_overflows_total", &[]).await, 0.0);
}

#[tokio::test]
async fn a_queue_that_is_full_answers_at_once() {
    let (pod, go) = Pod::gated("a").await;
    let sidecar = patient(Sidecar::over([&pod]))
        .with("--max-pod-requests", "1")
        .with("--pending", "1")
        .start()
        .await;
    let mut inside = ask(&sidecar).await;
    until_at(&pod, 1).await;
    let mut pending = ask(&sidecar).await;
    until_pending(&sidecar, 1).await;
    for _ in 0..3 {
        let answer = sidecar.get("/").await;
        assert_eq!((answer.status(), answer.flag()), (503, Some("UO")));
        assert_eq!(answer.field("retry-after"), Some("1"));
        assert!(
            answer.text().contains("every pod is full"),
            "{}",
            answer.text()
        );
    }
    let refused = sidecar
        .metric("podrobin_overflows_total", &["cause=\"queue\""])
        .await;
    assert_eq!(refused, 3.0);
    // It is said, and not for each.
    let about_it = |line: &serde_json::Value| field(line, "message").contains("every pod is full");
    sidecar.log.until("the warning", 1, about_it).await;
    assert_eq!(sidecar.log.matching(about_it).len(), 1);
    go.add_permits(2);
    assert_eq!(inside.response().await.pod(), "a");
    assert_eq!(pending.response().await.pod(), "a");
}

#[tokio::test]
async fn a_wait_in_vain_ends_in_its_time() {
    let (pod, go) = Pod::gated("a").await;
    let sidecar = Sidecar::over([&pod])
        .with("--max-pod-requests", "1")
        .with("--pending-timeout", "150ms")
        .start()
        .await;
    let mut inside = ask(&sidecar).await;
    until_at(&pod, 1).await;
    let began = Instant::now();
    let answer = sidecar.get("/").await;
    assert_eq!((answer.status(), answer.flag()), (503, Some("UO")));
    assert!(began.elapsed() >= Duration::from_millis(150));
    let timed_out = sidecar
        .metric("podrobin_overflows_total", &["cause=\"timeout\""])
        .await;
    assert_eq!(timed_out, 1.0);
    go.add_permits(2);
    assert_eq!(inside.response().await.pod(), "a");
    assert_eq!(sidecar.get("/").await.pod(), "a");
}

#[tokio::test]
async fn a_client_that_leaves_gives_the_place_at_its_pod_back() {
    let (pod, go) = Pod::gated("a").await;
    let sidecar = patient(Sidecar::over([&pod]))
        .with("--max-pod-requests", "1")
        .start()
        .await;
    for _ in 0..3 {
        let before = pod.record().heads.len();
        let leaves = ask(&sidecar).await;
        until_at(&pod, before + 1).await;
        drop(leaves);
    }
    go.add_permits(100);
    assert_eq!(sidecar.get("/").await.pod(), "a");
}

#[tokio::test]
async fn requests_that_wait_for_room_go_to_a_pod_that_joins() {
    let slices = Slices::none();
    let (full, _go) = Pod::gated("full").await;
    slices.set([&full]);
    let sidecar = patient(Sidecar::watching(&slices))
        .with("--max-pod-requests", "1")
        .start()
        .await;
    let _inside = ask(&sidecar).await;
    until_at(&full, 1).await;
    let mut waiting = [
        ask(&sidecar).await,
        ask(&sidecar).await,
        ask(&sidecar).await,
    ];
    until_pending(&sidecar, 3).await;
    let free = Pod::start("free").await;
    slices.set([&full, &free]);
    for client in &mut waiting {
        assert_eq!(client.response().await.pod(), "free");
    }
}

/// The most requests at the pod at a time, among those that it read and did not answer or reset yet.
async fn crowded() -> (Pod, Arc<AtomicUsize>) {
    let most = Arc::<AtomicUsize>::default();
    let inside = Arc::<AtomicUsize>::default();
    let count = Arc::<AtomicUsize>::default();
    let told = most.clone();
    let pod = Pod::scripted("a", move |mut session: Session| {
        let (most, inside, count) = (most.clone(), inside.clone(), count.clone());
        async move {
            while session.request().await?.is_some() {
                most.fetch_max(inside.fetch_add(1, Relaxed) + 1, Relaxed);
                tokio::time::sleep(Duration::from_millis(2)).await;
                inside.fetch_sub(1, Relaxed);
                if count.fetch_add(1, Relaxed) % 3 == 2 {
                    return session.wire.reset();
                }
                session.answer().await?;
            }
            Ok(())
        }
    })
    .await;
    (pod, told)
}

#[tokio::test]
async fn a_crowd_with_retries_passes_no_limit_on_any_worker() {
    let (pod, most) = crowded().await;
    let sidecar = patient(Sidecar::over([&pod]))
        .with("--max-pod-requests", "3")
        .with("--retry-budget-floor", "10000")
        .start()
        .await;
    let load = Load::start(sidecar.proxy, 24);
    load.more(300).await;
    load.stop().await;
    assert_eq!(most.load(Relaxed), 3);
    let retries = sidecar.metric("podrobin_retries_total", &[]).await;
    assert!(retries >= 20.0, "{retries} retries");
    // Nothing has leaked: with nobody there, all three places are free.
    until_pending(&sidecar, 0).await;
    assert_eq!(sidecar.state_of(&pod).await["in_flight"], 0);
}

/// A pod that switches protocols where it is asked to.
async fn switching() -> Pod {
    Pod::scripted("a", |mut session: Session| async move {
        while let Some(request) = session.request().await? {
            if request.head.field("upgrade").is_some() {
                let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
                session.wire.send(switch).await?;
                return session.head().await.map(drop);
            }
            session.answer().await?;
        }
        Ok(())
    })
    .await
}

const SWITCH: &str = "GET / HTTP/1.1\r\nHost: shop\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

#[tokio::test]
async fn a_tunnel_is_no_request_in_flight() {
    let pod = switching().await;
    let sidecar = patient(Sidecar::over([&pod]))
        .with("--max-pod-requests", "1")
        .start()
        .await;
    let mut tunnel = sidecar.client().await;
    tunnel.send(SWITCH).await;
    assert_eq!(tunnel.head().await.status(), 101);
    assert_eq!(sidecar.get("/").await.pod(), "a");
}

/// It takes requests, but the other pod is left out and this one is full.
#[tokio::test]
async fn a_response_in_the_hand_is_not_given_up_for_a_pod_that_is_left_out() {
    const BUSY: &str = "HTTP/1.1 503 Busy\r\nx-pod: busy\r\ncontent-length: 9\r\n\r\nbusy";
    let broken = Pod::scripted("broken", manners::reset_after_request).await;
    let busy = Pod::scripted("busy", |mut session: Session| async move {
        while let Some(request) = session.request().await? {
            match request.head.method() {
                "GET" => session.wire.send(BUSY).await?,
                _ => session.answer().await?,
            }
        }
        Ok(())
    })
    .await;
    let sidecar = Sidecar::over([&broken, &busy])
        .with("--max-pod-requests", "1")
        .with("--pending", "0")
        .with("--retry-on", "503")
        .with("--eject-time", "10m")
        .with("--eject-longest", "10m")
        .start()
        .await;
    eventually("the broken pod to be left out", async || {
        sidecar.client().await.ask(post("/", b"once")).await;
        (sidecar.state_of(&broken).await["state"] == "ejected").then_some(())
    })
    .await;
    let mut client = sidecar.client().await;
    client.send(get("/")).await;
    let head = client.head().await;
    assert_eq!((head.status(), head.field("x-pod")), (503, Some("busy")));
}
