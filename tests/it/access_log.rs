//! A line for each request, if wanted, and none if not.

use std::collections::HashMap;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::client::{get, post};
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, Slices, manners};

/// What the pod of [`logged`] takes before it answers.
const THOUGHT: Duration = Duration::from_millis(50);

/// Sends uploads to a pod that refuses and one that answers late, and gives the access log's lines, in order.
async fn logged(format: &str, uploads: usize) -> Vec<String> {
    let refusing = Pod::refusing("refusing");
    let good = Pod::scripted("good", |mut session: Session| async move {
        while session.request().await?.is_some() {
            tokio::time::sleep(THOUGHT).await;
            session.answer().await?;
        }
        Ok(())
    })
    .await;
    let slices = Slices::of([&refusing, &good]);
    let mut sidecar = Sidecar::watching(&slices)
        .with("--access-log", format)
        .start()
        .await;
    let mut client = sidecar.client().await;
    for _ in 0..uploads {
        let answer = client.ask(post("/cart?token=secret", b"hello")).await;
        assert_eq!(answer.pod(), "good");
    }
    drop(client);
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.exit_code().await, Some(0));
    let lines = sidecar.log.whole().await.into_iter();
    lines.filter(|line| line.contains("/cart")).collect()
}

/// Of so many attempts: each second turn is the refusing pod's, and costs one more.
fn assert_some_were_retried(attempts: &[u64]) {
    assert!(attempts.iter().all(|count| [1, 2].contains(count)));
    assert!(attempts.contains(&2), "{attempts:?}");
}

#[tokio::test]
async fn a_json_line_says_what_became_of_the_request() {
    let lines = logged("json", 3).await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    let mut attempts = Vec::new();
    for line in &lines {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["method"], "POST", "{line}");
        assert_eq!(line["path"], "/cart", "{line}");
        assert_eq!(line["status"], 200, "{line}");
        assert_eq!(line["flag"], "-", "{line}");
        assert_eq!(line["pod"], "good", "{line}");
        assert_eq!(line["bytes_in"], 5, "{line}");
        assert_eq!(line["bytes_out"], 4, "{line}");
        let millis = |name: &str| line[name].as_f64().unwrap();
        assert!(millis("upstream_ms") >= 50.0, "{line}");
        assert!(millis("duration_ms") >= millis("upstream_ms"), "{line}");
        assert!(millis("duration_ms") < 10_000.0, "{line}");
        let time = line["time"].as_str().unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{line}");
        attempts.push(line["attempts"].as_u64().unwrap());
    }
    assert_some_were_retried(&attempts);
}

#[tokio::test]
async fn a_text_line_says_the_same() {
    let lines = logged("text", 3).await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    let mut attempts = Vec::new();
    for line in &lines {
        let words: Vec<&str> = line.split(' ').collect();
        assert!(words[0].parse::<jiff::Timestamp>().is_ok(), "{line}");
        assert_eq!(words[1..5], ["POST", "/cart", "200", "-"], "{line}");
        let values: HashMap<&str, &str> = words[5..]
            .iter()
            .filter_map(|word| word.split_once('='))
            .collect();
        assert_eq!(values["pod"], "good", "{line}");
        assert_eq!(values["in"], "5", "{line}");
        assert_eq!(values["out"], "4", "{line}");
        let millis = |name: &str| values[name].parse::<f64>().unwrap();
        assert!(millis("upstream_ms") >= 50.0, "{line}");
        assert!(millis("ms") >= millis("upstream_ms"), "{line}");
        attempts.push(values["attempts"].parse().unwrap());
    }
    assert_some_were_retried(&attempts);
}

#[tokio::test]
async fn the_access_log_has_a_line_for_each_request_and_no_query() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod])
        .with("--access-log", "json")
        .start()
        .await;
    let mut client = sidecar.client().await;
    client
        .ask(post("/cart/7?token=secret-in-query", b"hello"))
        .await;
    client
        .ask("GET /private HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer secret-in-header\r\nCookie: secret-in-cookie\r\n\r\n")
        .await;
    client.ask("GET /refused HTTP/1.1\r\n\r\n").await;
    let lines = sidecar
        .log
        .until("three requests", 3, |line| line["method"].is_string())
        .await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0]["method"], "POST");
    assert_eq!(lines[0]["path"], "/cart/7");
    assert_eq!(lines[0]["status"], 200);
    assert_eq!(lines[0]["flag"], "-");
    assert_eq!(lines[0]["attempts"], 1);
    assert_eq!(lines[2]["status"], 400);
    assert_eq!(lines[2]["flag"], "DPE");
    let all = sidecar.log.lines().join("\n");
    assert!(!all.contains("secret"), "{all}");
}

/// The messages of a whole life with so many requests.
async fn said_over(requests: usize) -> Vec<String> {
    let pod = Pod::start("a").await;
    let mut sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    for _ in 0..requests {
        client.get("/").await;
    }
    drop(client);
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.exit_code().await, Some(0));
    let lines = sidecar.log.whole().await;
    let mut messages: Vec<String> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_default())
        .map(|line: Value| line["message"].to_string())
        .collect();
    messages.sort_unstable();
    messages
}

#[tokio::test]
async fn nothing_is_logged_per_request_unless_asked_for() {
    let (quiet, busy) = (said_over(0).await, said_over(20).await);
    let last = "\"drained: every request has been answered\"".to_owned();
    assert!(quiet.contains(&last), "{quiet:?}");
    assert_eq!(busy, quiet);
}

#[tokio::test]
async fn a_client_that_left_is_told_from_one_that_was_answered() {
    let pod = Pod::scripted("a", manners::never_answer).await;
    let sidecar = Sidecar::over([&pod])
        .with("--access-log", "json")
        .start()
        .await;
    let mut client = sidecar.client().await;
    client.send(get("/left")).await;
    pod.until("the request", |record| record.heads.len() == 1)
        .await;
    drop(client);
    let lines = sidecar
        .log
        .until("the request", 1, |line| line["path"] == "/left")
        .await;
    assert_eq!(lines[0]["status"], 499);
    assert_eq!(lines[0]["flag"], "DC");
}
