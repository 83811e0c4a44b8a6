//! Requests that are left to one pod, or for longer.

use std::time::Duration;

use super::hedged;
use crate::support::client::{get, post};
use crate::support::http2::{self, Exchange};
use crate::support::pod::Session;
use crate::support::{Client, Pod, Sidecar, eventually};

#[tokio::test]
async fn a_request_that_must_not_be_repeated_waits_for_its_pod() {
    let (late, go) = Pod::gated("late").await;
    let quick = Pod::start("quick").await;
    let sidecar = hedged(Sidecar::over([&late, &quick])).start().await;
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..2 {
        let mut client = sidecar.client().await;
        client.send(post("/", b"once")).await;
        clients.push(client);
    }
    late.until("a POST", |record| record.requests.len() == 1)
        .await;
    // By when these two are answered, one of them by the second pod, its time was long over.
    let mut client = sidecar.client().await;
    for _ in 0..2 {
        assert_eq!(client.get("/").await.pod(), "quick");
    }
    assert_eq!((late.count("POST"), quick.count("POST")), (1, 1));
    go.add_permits(10);
    for mut client in clients {
        assert_eq!(client.response().await.status(), 200);
    }
    assert_eq!((late.count("POST"), quick.count("POST")), (1, 1));
}

#[tokio::test]
async fn a_call_waits_for_its_pod() {
    let (go, gate) = tokio::sync::watch::channel(false);
    let late = http2::script(move |mut exchange: Exchange| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.unwrap();
            exchange.answer().await
        }
    });
    let late = Pod::scripted("late", late).await;
    let quick = Pod::scripted("quick", http2::answer_all).await;
    let sidecar = hedged(Sidecar::over([&late, &quick]).http2_to_pods())
        .with("--retry-on", "reset,unavailable")
        .start()
        .await;
    let client = sidecar.http2().await;
    let mut calls = Vec::new();
    for _ in 0..2 {
        let mut call = client.open(http2::call("/a.B/C"), false).await.unwrap();
        call.upload.send_data("".into(), true).unwrap();
        calls.push(call);
    }
    late.until("a call", |record| record.streams == 1).await;
    for _ in 0..2 {
        assert_eq!(client.get("/").await.pod(), "quick");
    }
    go.send_replace(true);
    for call in calls {
        call.answer().await.unwrap();
    }
    let calls = |pod: &Pod| {
        let record = pod.record();
        let calls = record.calls.iter();
        calls.filter(|seen| seen.uri.path() == "/a.B/C").count()
    };
    assert_eq!((calls(&late), calls(&quick)), (1, 1));
}

#[tokio::test]
async fn a_request_goes_to_a_second_pod_only_once_its_body_has_come() {
    let (a, open_a) = Pod::gated("a").await;
    let (b, open_b) = Pod::gated("b").await;
    let sidecar = hedged(Sidecar::over([&a, &b])).start().await;
    let mut slow = sidecar.client().await;
    slow.send("PUT / HTTP/1.1\r\nHost: shop\r\nContent-Length: 8\r\n\r\nhalf")
        .await;
    let heads = |method| (a.count(method), b.count(method));
    eventually("the PUT's head", async || {
        (heads("PUT") != (0, 0)).then_some(())
    })
    .await;
    // By when this one, which came later, is at both pods, its time was long over.
    let mut whole = sidecar.client().await;
    whole.send(get("/")).await;
    eventually("the GET at both pods", async || {
        (heads("GET") == (1, 1)).then_some(())
    })
    .await;
    assert_eq!(a.count("PUT") + b.count("PUT"), 1);
    slow.send("half").await;
    eventually("the PUT at both pods", async || {
        (heads("PUT") == (1, 1)).then_some(())
    })
    .await;
    open_a.add_permits(10);
    open_b.add_permits(10);
    assert_eq!(slow.response().await.status(), 200);
    assert_eq!(whole.response().await.status(), 200);
    for pod in [&a, &b] {
        let record = pod.record();
        let mut puts = record
            .requests
            .iter()
            .filter(|seen| seen.head.method() == "PUT");
        assert!(puts.all(|seen| seen.body == b"halfhalf"), "{record:?}");
    }
}

#[tokio::test]
async fn the_retry_budget_bounds_second_attempts() {
    const REQUESTS: usize = 40;
    let (a, open_a) = Pod::gated("a").await;
    let (b, open_b) = Pod::gated("b").await;
    let sidecar = Sidecar::over([&a, &b])
        .on_one_worker()
        .with("--hedge", "50ms")
        .with("--retry-budget-ratio", "0.1")
        .with("--retry-budget-floor", "0")
        .start()
        .await;
    let mut clients = Vec::new();
    for _ in 0..REQUESTS {
        let mut client = sidecar.client().await;
        client.send(get("/")).await;
        clients.push(client);
    }
    let sent = eventually("each request's second attempt to be decided", async || {
        let refused = sidecar.metric("podrobin_hedges_refused_total", &[]).await;
        let sent = sidecar.metric("podrobin_attempts_total", &[]).await - REQUESTS as f64;
        (refused + sent == REQUESTS as f64).then_some(sent)
    })
    .await;
    assert!((1.0..=4.0).contains(&sent), "{sent}");
    open_a.add_permits(10 * REQUESTS);
    open_b.add_permits(10 * REQUESTS);
    for mut client in clients {
        assert_eq!(client.response().await.status(), 200);
    }
}

#[tokio::test]
async fn off_nothing_is_sent_twice() {
    let slow = |mut session: Session| async move {
        while session.request().await?.is_some() {
            tokio::time::sleep(Duration::from_millis(300)).await;
            session.answer().await?;
        }
        Ok(())
    };
    let pods = [
        Pod::scripted("a", slow).await,
        Pod::scripted("b", slow).await,
    ];
    let sidecar = Sidecar::over(&pods).start().await;
    let mut client = sidecar.client().await;
    for _ in 0..4 {
        client.get("/").await;
    }
    assert_eq!((pods[0].count("GET"), pods[1].count("GET")), (2, 2));
    let state = sidecar.state().await;
    assert!(state.get("hedge_after_ms").is_none(), "{state}");
}
