//! How it ends.

use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::certificates::Authority;
use crate::support::webhook::{pod, review};
use crate::support::{Webhook, eventually, soon};

fn request() -> String {
    let body = review(&pod(&[("podrobin.io/service", "cart:http")])).to_string();
    let length = body.len();
    format!(
        "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn a_drain_answers_open_reviews_closes_idle_connections_and_ends_well() {
    let authority = Authority::new("ca");
    let mut webhook = Webhook::simple(&authority).await;
    let mut idle = webhook.caller(&authority).await;
    idle.review(&pod(&[])).await;
    let mut open = webhook.tls(&authority).await;
    let request = request();
    let (first, rest) = request.split_at(request.len() - 10);
    open.write_all(first.as_bytes()).await.unwrap();
    open.flush().await.unwrap();
    eventually("an open review", async || {
        (webhook.metric("podrobin_webhook_reviews_open").await == 1.0).then_some(())
    })
    .await;

    webhook.process.signal(Signal::TERM);
    eventually("readiness to fall", async || {
        (webhook.process.admin("/readyz").await.status() == 503).then_some(())
    })
    .await;
    assert_eq!(webhook.process.admin("/livez").await.status(), 200);
    idle.closed().await;
    open.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon("the answer", open.read_to_string(&mut answer))
        .await
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.contains("JSONPatch"), "{answer}");
    assert_eq!(webhook.process.exit_code().await, Some(0));
}

#[tokio::test]
async fn reviews_are_still_taken_for_a_while_after_the_signal() {
    let authority = Authority::new("ca");
    let mount = Webhook::mount(&authority);
    let plan = Webhook::plan(&mount).with_variable("PODROBIN_WEBHOOK_DRAIN", "5s");
    let mut webhook = Webhook::start(plan.with("--linger", "1h")).await;
    webhook.process.signal(Signal::TERM);
    eventually("readiness to fall", async || {
        (webhook.process.admin("/readyz").await.status() == 503).then_some(())
    })
    .await;
    for _ in 0..3 {
        webhook.caller(&authority).await.review(&pod(&[])).await;
    }
    // A second signal ends it at once.
    assert!(webhook.process.is_running());
    webhook.process.signal(Signal::INT);
    assert_eq!(webhook.process.exit_code().await, Some(1));
}

#[tokio::test]
async fn a_client_that_dawdles_does_not_keep_it_from_ending_well() {
    let authority = Authority::new("ca");
    let mount = Webhook::mount(&authority);
    let plan = Webhook::plan(&mount).with("--drain", "300ms");
    let mut webhook = Webhook::start(plan).await;
    let mut slow = webhook.tls(&authority).await;
    slow.write_all(b"POST /mutate HTTP/1.1\r\nHo")
        .await
        .unwrap();
    slow.flush().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    webhook.process.signal(Signal::TERM);
    assert_eq!(webhook.process.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_review_that_is_not_answered_in_time_is_told_by_the_exit_code() {
    let authority = Authority::new("ca");
    let mount = Webhook::mount(&authority);
    let plan = Webhook::plan(&mount).with("--drain", "300ms");
    let mut webhook = Webhook::start(plan).await;
    let mut open = webhook.tls(&authority).await;
    let request = request();
    open.write_all(&request.as_bytes()[..request.len() - 1])
        .await
        .unwrap();
    open.flush().await.unwrap();
    eventually("an open review", async || {
        (webhook.metric("podrobin_webhook_reviews_open").await == 1.0).then_some(())
    })
    .await;
    webhook.process.signal(Signal::TERM);
    assert_eq!(webhook.process.exit_code().await, Some(1));
    let log = webhook.process.log.whole().await.join("\n");
    assert!(log.contains("1 reviews unanswered"), "{log}");
}
