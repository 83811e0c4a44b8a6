//! How long an attempt may take, and how long the next one waits.

use std::time::{Duration, Instant};

use http::Response;
use tokio::task::JoinSet;

use crate::support::client::{get, post};
use crate::support::http2::{self, Exchange, call};
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, eventually, manners, soon};

/// Two pods that both say so: whichever is asked first.
async fn saying(answer: &str) -> [Pod; 2] {
    [
        Pod::scripted("a", manners::say(answer.to_owned())).await,
        Pod::scripted("b", manners::say(answer.to_owned())).await,
    ]
}

fn asked(pods: &[Pod]) -> usize {
    pods.iter().map(|pod| pod.record().heads.len()).sum()
}

#[tokio::test]
async fn a_pod_that_takes_too_long_is_given_up_for_another() {
    let silent = Pod::scripted("a", manners::never_answer).await;
    let serving = Pod::start("b").await;
    // More than one failure in a row has it ejected: it is asked for as long as that has not happened.
    let sidecar = Sidecar::over([&silent, &serving])
        .without_budget()
        .with("--per-try-timeout", "200ms")
        .on_one_worker()
        .start()
        .await;
    let mut client = sidecar.client().await;
    for _ in 0..4 {
        assert_eq!(client.get("/").await.pod(), "b");
    }
    assert!(silent.count("GET") > 0);
    silent
        .until("the end of what was given up", |record| record.open == 0)
        .await;
    eventually("its ejection", async || {
        client.get("/").await;
        let state = sidecar.state_of(&silent).await;
        (state["state"] == "ejected" && state["in_flight"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_must_not_be_repeated_is_answered_504_after_one_try() {
    let pods = [
        Pod::scripted("a", manners::never_answer).await,
        Pod::scripted("b", manners::never_answer).await,
    ];
    let sidecar = Sidecar::over(&pods)
        .with("--per-try-timeout", "200ms")
        .with("--retries", "1")
        .start()
        .await;
    let answer = sidecar.client().await.ask(post("/", b"once")).await;
    assert_eq!((answer.status(), answer.flag()), (504, Some("UT")));
    assert_eq!(asked(&pods), 1);
    // Of one that may be, each try has its time.
    let answer = sidecar.get("/").await;
    assert_eq!((answer.status(), answer.flag()), (504, Some("UT")));
    assert_eq!(asked(&pods), 3);
}

#[tokio::test]
async fn over_http2_the_stream_of_a_try_that_was_given_up_is_reset() {
    let silent = |exchange: Exchange| async move {
        let mut exchange = exchange;
        exchange.read().await?;
        exchange.until_reset().await
    };
    let pods = [
        Pod::scripted("a", http2::script(silent)).await,
        Pod::scripted("b", http2::answer_all).await,
    ];
    let sidecar = Sidecar::over(&pods)
        .without_budget()
        .with("--per-try-timeout", "200ms")
        .http2_to_pods()
        .on_one_worker()
        .start()
        .await;
    let client = sidecar.http2().await;
    for _ in 0..2 {
        assert_eq!(client.get("/").await.pod(), "b");
    }
    pods[0]
        .until("the reset", |record| {
            record.ended.first() == Some(&Some(h2::Reason::CANCEL))
        })
        .await;
}

/// Full jitter: each wait is anything up to the backoff, so that of many some are long, and no two clients return at once.
#[tokio::test]
async fn tries_are_apart_by_a_part_of_the_backoff_and_each_request_by_another() {
    const CLIENTS: usize = 20;
    let pods = saying("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n").await;
    let sidecar = Sidecar::over(&pods)
        .without_budget()
        .with("--retry-on", "503")
        .with("--retries", "1")
        .with("--retry-backoff", "2s..2s")
        .start()
        .await;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let mut client = sidecar.client().await;
        clients.spawn(async move {
            let since = Instant::now();
            assert_eq!(client.get("/").await.status(), 503);
            since.elapsed()
        });
    }
    let waits = soon("all answers", clients.join_all()).await;
    assert_eq!(asked(&pods), 2 * CLIENTS);
    let (shortest, longest) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
    // That all of twenty are in one half second of two is one in many millions.
    assert!(*longest > Duration::from_millis(500), "{waits:?}");
    assert!(
        *longest - *shortest > Duration::from_millis(500),
        "{waits:?}"
    );
}

/// A request that no pod has seen need not wait.
#[tokio::test]
async fn a_pod_that_could_not_be_reached_is_left_without_a_pause() {
    let refusing = Pod::refusing("a");
    let serving = Pod::start("b").await;
    let sidecar = Sidecar::over([&refusing, &serving])
        .with("--retry-backoff", "1h..1h")
        .start()
        .await;
    let mut client = sidecar.client().await;
    for _ in 0..4 {
        assert_eq!(client.get("/").await.pod(), "b");
    }
}

#[tokio::test]
async fn a_pods_wish_for_a_pause_is_heeded() {
    let pods = saying("HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n").await;
    let sidecar = Sidecar::over(&pods)
        .with("--retry-on", "503")
        .with("--retries", "1")
        .start()
        .await;
    let since = Instant::now();
    assert_eq!(sidecar.get("/").await.status(), 503);
    assert!(since.elapsed() >= Duration::from_secs(1));
    assert_eq!(asked(&pods), 2);
}

#[tokio::test]
async fn a_pause_that_is_too_long_is_left_to_the_client() {
    for (seconds, request_timeout) in [("6", "off"), ("3600", "off"), ("3", "2s")] {
        let busy =
            format!("HTTP/1.1 503 Busy\r\nretry-after: {seconds}\r\ncontent-length: 0\r\n\r\n");
        let pods = saying(&busy).await;
        let sidecar = Sidecar::over(&pods)
            .with("--retry-on", "503")
            .with("--request-timeout", request_timeout)
            .start()
            .await;
        let answer = sidecar.get("/").await;
        assert_eq!((answer.status(), answer.flag()), (503, None), "{seconds}");
        assert_eq!(answer.head.field("retry-after"), Some(seconds));
        assert_eq!(asked(&pods), 1, "{seconds}");
        // One that is not made costs nothing.
        let refused = sidecar.metric("podrobin_retries_refused_total", &[]).await;
        assert_eq!(refused, 0.0, "{seconds}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_during_the_pause_is_not_served() {
    let pods = saying("HTTP/1.1 503 Busy\r\nretry-after: 5\r\ncontent-length: 0\r\n\r\n").await;
    let sidecar = Sidecar::over(&pods).with("--retry-on", "503").start().await;
    let mut client = sidecar.client().await;
    client.send(get("/")).await;
    eventually("the first answer", async || {
        (asked(&pods) == 1).then_some(())
    })
    .await;
    drop(client);
    eventually("the end of the request", async || {
        let left = sidecar
            .metric("podrobin_requests_total", &["flag=\"DC\""])
            .await;
        (left == 1.0).then_some(())
    })
    .await;
    assert_eq!(asked(&pods), 1);
}

#[tokio::test]
async fn a_calls_pushback_is_heeded() {
    for (pushback, tries, pause) in [("-1", 1, 0), ("soon", 1, 0), ("1000", 2, 1), ("0", 2, 0)] {
        let fail = move |exchange: Exchange| async move {
            let mut exchange = exchange;
            exchange.read().await?;
            let response = Response::builder()
                .header("content-type", "application/grpc")
                .header("grpc-status", "14")
                .header("grpc-retry-pushback-ms", pushback);
            let response = response.body(()).unwrap();
            exchange.respond.send_response(response, true)?;
            Ok(())
        };
        let pods = [
            Pod::scripted("a", http2::script(fail)).await,
            Pod::scripted("b", http2::script(fail)).await,
        ];
        let sidecar = Sidecar::over(&pods)
            .with("--retry-on", "unavailable")
            .with("--retries", "1")
            .http2_to_pods()
            .start()
            .await;
        let since = Instant::now();
        let answer = sidecar.http2().await.send(call("/echo"), b"message").await;
        assert_eq!(answer.code(), Some("14"), "{pushback}");
        assert_eq!(answer.field("grpc-retry-pushback-ms"), Some(pushback));
        assert!(since.elapsed() >= Duration::from_secs(pause), "{pushback}");
        let streams: usize = pods.iter().map(|pod| pod.record().streams).sum();
        assert_eq!(streams, tries, "{pushback}");
    }
}

/// What a client still sends is none of the pod's time.
#[tokio::test]
async fn a_slow_upload_does_not_use_up_the_try() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        while let Some(head) = session.head().await? {
            session.rest(head).await?;
            session.answer().await?;
        }
        Ok(())
    })
    .await;
    let sidecar = Sidecar::over([&pod])
        .with("--per-try-timeout", "2s")
        .start()
        .await;
    let mut client = sidecar.client().await;
    client
        .send("PUT / HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\nbo")
        .await;
    pod.until("the head", |record| record.heads.len() == 1)
        .await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    client.send("dy").await;
    assert_eq!(client.response().await.pod(), "a");
}
