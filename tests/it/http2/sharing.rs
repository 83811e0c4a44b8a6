//! Many streams on few connections: each balanced on its own, none in another's way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::frames::{self, Frame};
use crate::support::http2::{self, Exchange, H2Client};
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, eventually, soon};

async fn three(over_http2: bool) -> Vec<Pod> {
    let mut pods = Vec::new();
    for name in ["a", "b", "c"] {
        pods.push(match over_http2 {
            true => Pod::scripted(name, http2::answer_all).await,
            false => Pod::start(name).await,
        });
    }
    pods
}

#[tokio::test]
async fn the_streams_of_one_connection_are_spread_exactly() {
    for over_http2 in [false, true] {
        let pods = three(over_http2).await;
        let plan = Sidecar::over(&pods);
        let plan = if over_http2 {
            plan.http2_to_pods()
        } else {
            plan
        };
        let sidecar = plan.start().await;
        let client = sidecar.http2().await;
        let mut calls = JoinSet::new();
        for _ in 0..300 {
            let client = client.clone();
            calls.spawn(async move { client.get("/").await.pod().to_owned() });
        }
        let mut counts = BTreeMap::new();
        for pod in calls.join_all().await {
            *counts.entry(pod).or_insert(0) += 1;
        }
        assert_eq!(counts.into_values().collect::<Vec<_>>(), [100, 100, 100]);
        if over_http2 {
            for pod in &pods {
                assert_eq!(pod.record().connections, 1, "{}", pod.name);
            }
        }
    }
}

#[tokio::test]
async fn a_pod_gets_as_many_connections_as_its_limit_on_streams_asks_for() {
    let go = Arc::new(Semaphore::new(0));
    let mut limited = h2::server::Builder::new();
    limited.max_concurrent_streams(4);
    let held = http2::gated(&go);
    let pod = Pod::scripted("a", http2::script_as(limited, held)).await;
    let sidecar = Sidecar::over([&pod])
        .http2_to_pods()
        .on_one_worker()
        .start()
        .await;
    let client = sidecar.http2().await;
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        let client = client.clone();
        calls.spawn(async move { client.post("/", b"x").await.status });
    }
    pod.until("ten streams at once", |record| record.streams == 10)
        .await;
    assert_eq!(pod.record().connections, 3);
    go.add_permits(10);
    assert_eq!(calls.join_all().await, [200; 10]);
    // All of them fit the connections there are.
    go.add_permits(10);
    for _ in 0..10 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!(pod.record().connections, 3);
}

/// Answers `/big` with more than any window takes, and anything else with the pod's name.
async fn big_or_small(mut exchange: Exchange) -> Result<(), h2::Error> {
    if exchange.head.uri.path() != "/big" {
        return exchange.answer().await;
    }
    exchange.read().await?;
    let mut body = exchange.respond.send_response(exchange.ok(), false)?;
    body.reserve_capacity(BIG);
    body.send_data(Bytes::from(vec![b'x'; BIG]), true)?;
    // The stream lives as long as its body is under way.
    std::future::poll_fn(|cx| body.poll_reset(cx)).await?;
    Ok(())
}

const BIG: usize = 1 << 20;

/// Fifty responses that their clients do not read, on the same connection to the pod as others' requests.
#[tokio::test]
async fn responses_that_nobody_reads_hold_up_no_other() {
    let pod = Pod::scripted("a", http2::script(big_or_small)).await;
    let sidecar = Sidecar::over([&pod])
        .http2_to_pods()
        .on_one_worker()
        .start()
        .await;
    let mut windows = h2::client::Builder::new();
    windows.initial_window_size(1024);
    let idle = H2Client::connect_as(sidecar.proxy, &windows).await;
    let mut unread = Vec::new();
    for _ in 0..50 {
        let call = idle.open(http2::get("/big"), true).await.unwrap();
        unread.push(soon("a response", call.response).await.unwrap());
    }
    // On the connection whose client does not read, and on another.
    for client in [&idle, &sidecar.http2().await] {
        for _ in 0..10 {
            assert_eq!(client.get("/").await.pod(), "a");
        }
    }
    assert_eq!(pod.record().connections, 1);
}

/// Fifty requests whose bodies the pod does not read. The pod's connection has room for them, so that it is ours that
/// would run out.
#[tokio::test]
async fn requests_that_no_pod_reads_hold_up_no_other() {
    let deaf = |mut exchange: Exchange| async move {
        if exchange.head.uri.path() == "/deaf" {
            std::future::poll_fn(|cx| exchange.respond.poll_reset(cx)).await?;
            return Ok(());
        }
        exchange.answer().await
    };
    let mut roomy = h2::server::Builder::new();
    roomy.initial_connection_window_size(64 << 20);
    let pod = Pod::scripted("a", http2::script_as(roomy, deaf)).await;
    let sidecar = Sidecar::over([&pod])
        .http2_to_pods()
        .on_one_worker()
        .start()
        .await;
    let client = sidecar.http2().await;
    let mut calls = Vec::new();
    for _ in 0..50 {
        let mut call = client.open(http2::post("/deaf"), false).await.unwrap();
        let body = Bytes::from(vec![b'x'; BIG]);
        call.upload.send_data(body, false).unwrap();
        calls.push(call);
    }
    pod.until("all streams", |record| record.streams == 50)
        .await;
    for _ in 0..10 {
        assert_eq!(client.post("/", &[b'x'; 10_000]).await.pod(), "a");
    }
    // No more waits inside than windows allow: 50 streams of 64 KiB, twice over, not 50 MiB.
    let resident = sidecar.resident();
    assert!(resident < 50 << 20, "{resident} bytes");
}

#[tokio::test]
async fn a_client_that_resets_its_stream_has_it_reset_at_the_pod() {
    let started = Arc::new(Semaphore::new(0));
    let begun = started.clone();
    let waiting = move |mut exchange: Exchange| {
        let begun = begun.clone();
        async move {
            begun.add_permits(1);
            exchange.until_reset().await
        }
    };
    let pod = Pod::scripted("a", http2::script(waiting)).await;
    let sidecar = Sidecar::over([&pod]).http2_to_pods().start().await;
    let client = sidecar.http2().await;
    let mut call = client.open(http2::post("/"), false).await.unwrap();
    let _ = started.acquire().await.unwrap();
    call.upload.send_reset(Reason::CANCEL);
    pod.until("the reset", |record| record.ended == [Some(Reason::CANCEL)])
        .await;
}

#[tokio::test]
async fn a_stream_a_pod_resets_midway_is_reset_for_its_client_with_the_same_reason() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        session.wire.begin_as_server(&[]).await?;
        let stream = session.wire.frame_of(frames::HEADERS).await?.stream;
        let fields = [(":status", "200"), ("x-pod", "a")];
        for frame in [
            Frame::response(stream, 0, &fields),
            Frame::new(frames::DATA, 0, stream, *b"x"),
            Frame::reset(stream, Reason::ENHANCE_YOUR_CALM.into()),
        ] {
            session.wire.send_frame(&frame).await?;
        }
        session.wire.gone().await;
        Ok(())
    })
    .await;
    let sidecar = Sidecar::over([&pod]).http2_to_pods().start().await;
    let error = sidecar.http2().await.try_get("/").await.unwrap_err();
    assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM));
}

/// Answers that cross with the resets of those who asked for them, more than a thousand on one connection.
#[tokio::test]
async fn requests_that_are_cancelled_by_the_thousand_harm_no_other() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        session.wire.begin_as_server(&[]).await?;
        loop {
            let reset = session.wire.frame_of(frames::RST_STREAM).await?;
            let fields = [(":status", "200"), ("x-pod", "a")];
            let late = Frame::response(reset.stream, frames::END_STREAM, &fields);
            session.wire.send_frame(&late).await?;
        }
    })
    .await;
    let sidecar = Sidecar::over([&pod])
        .http2_to_pods()
        .on_one_worker()
        .start()
        .await;
    let innocent = sidecar.http2().await;
    let waiting = innocent.open(http2::post("/"), true).await.unwrap();
    let waiting = tokio::spawn(waiting.answer());
    for _ in 0..15 {
        let client = sidecar.http2().await;
        let mut calls = Vec::new();
        for _ in 0..90 {
            calls.push(client.open(http2::post("/"), true).await.unwrap());
        }
        eventually("all of them under way", async || {
            let under_way = sidecar.metric("podrobin_requests_in_flight", &[]).await;
            (under_way == 91.0).then_some(())
        })
        .await;
        for call in &mut calls {
            call.upload.send_reset(Reason::CANCEL);
        }
        eventually("all of them gone", async || {
            let under_way = sidecar.metric("podrobin_requests_in_flight", &[]).await;
            (under_way == 1.0).then_some(())
        })
        .await;
    }
    assert!(!waiting.is_finished());
    assert_eq!(pod.record().connections, 1);
}

#[tokio::test]
async fn a_requests_time_ends_also_while_its_client_takes_nothing() {
    let endless = |mut exchange: Exchange| async move {
        let mut body = exchange.respond.send_response(exchange.ok(), false)?;
        body.reserve_capacity(BIG);
        body.send_data(Bytes::from(vec![b'x'; BIG]), false)?;
        std::future::poll_fn(|cx| body.poll_reset(cx)).await?;
        Ok(())
    };
    let pod = Pod::scripted("a", http2::script(endless)).await;
    let sidecar = Sidecar::over([&pod])
        .http2_to_pods()
        .with("--request-timeout", "500ms")
        .start()
        .await;
    let mut windows = h2::client::Builder::new();
    windows.initial_window_size(10);
    let client = H2Client::connect_as(sidecar.proxy, &windows).await;
    let call = client.open(http2::get("/big"), true).await.unwrap();
    let response = soon("a response", call.response).await.unwrap();
    pod.until("the end", |record| record.ended.len() == 1).await;
    let mut body = response.into_body();
    let cut = async {
        loop {
            match body.data().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error,
                None => panic!("it ended well"),
            }
        }
    };
    let error = soon("the cut", cut).await;
    assert_eq!(error.reason(), Some(Reason::CANCEL));
    let labels = ["flag=\"UT\""];
    assert_eq!(
        sidecar.metric("podrobin_requests_total", &labels).await,
        1.0
    );
}

/// One request a connection, and a handshake that takes its time.
#[tokio::test]
async fn a_crowd_does_not_queue_for_one_connection_after_the_other() {
    const SHAKE: Duration = Duration::from_millis(300);
    let pod = Pod::scripted("a", |mut session: Session| async move {
        tokio::time::sleep(SHAKE).await;
        session.wire.begin_as_server(&[(3, 1)]).await?;
        loop {
            let stream = session.wire.frame_of(frames::HEADERS).await?.stream;
            // Until all of them are here, none is free again.
            tokio::time::sleep(2 * SHAKE).await;
            let fields = [(":status", "200"), ("x-pod", "a")];
            let answer = Frame::response(stream, frames::END_STREAM, &fields);
            session.wire.send_frame(&answer).await?;
        }
    })
    .await;
    let sidecar = Sidecar::over([&pod])
        .http2_to_pods()
        .on_one_worker()
        .with("--connect-timeout", "5s")
        .start()
        .await;
    let client = sidecar.http2().await;
    let started = Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let client = client.clone();
        calls.spawn(async move { client.get("/").await.status });
    }
    assert_eq!(calls.join_all().await, [200; 20]);
    // The first connection tells that there is room for one, and the others are made at once.
    let took = started.elapsed();
    assert!(took < 10 * SHAKE, "{took:?}");
}
