//! Requests that go to a second pod while the first is silent.

mod alone;
mod leaving;

use std::time::Duration;

use crate::support::client::{get, post};
use crate::support::http2::{self, Exchange};
use crate::support::pod::Session;
use crate::support::sidecar::Plan;
use crate::support::{Load, Pod, Sidecar, eventually, manners};

/// Sent to a second pod after a moment, as often as a scene about something else needs.
fn hedged(plan: Plan) -> Plan {
    plan.on_one_worker()
        .with("--hedge", "50ms")
        .with("--retry-budget-ratio", "1")
        .with("--retry-budget-floor", "1000")
}

async fn hedges(sidecar: &Sidecar, result: &str) -> f64 {
    let result = format!("result=\"{result}\"");
    sidecar.metric("podrobin_hedges_total", &[&result]).await
}

/// Waits for hedges that came to this, of requests that have ended.
async fn until_hedges(sidecar: &Sidecar, result: &str, count: f64) {
    eventually(&format!("{count} hedges that {result}"), async || {
        (hedges(sidecar, result).await == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn another_pod_answers_for_one_that_is_silent_and_that_one_sees_its_connection_end() {
    let silent = Pod::scripted("silent", manners::never_answer).await;
    let quick = Pod::start("quick").await;
    let sidecar = hedged(Sidecar::over([&silent, &quick]))
        .with("--access-log", "text")
        .start()
        .await;
    let mut client = sidecar.client().await;
    for _ in 0..4 {
        assert_eq!(client.get("/").await.pod(), "quick");
    }
    silent
        .until("its connections to end", |record| record.open == 0)
        .await;
    assert_eq!(quick.count("GET"), 4);
    let late = silent.count("GET");
    assert!(late > 0);
    until_hedges(&sidecar, "won", late as f64).await;
    let attempts = sidecar.metric("podrobin_attempts_total", &[]).await;
    assert_eq!(attempts, 4.0 + late as f64);
    assert_eq!(sidecar.metric("podrobin_retries_total", &[]).await, 0.0);
    let after = sidecar.metric("podrobin_hedge_after_seconds", &[]).await;
    assert_eq!(after, 0.05);
    assert_eq!(sidecar.state().await["hedge_after_ms"], 50.0);
    eventually("the access log", async || {
        let lines = sidecar.log.lines();
        let with = |words| lines.iter().filter(|line| line.contains(words)).count();
        let (won, alone) = (with(" attempts=2 hedge=won "), with(" attempts=1 hedge=- "));
        ((won, alone) == (late, 4 - late)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn over_http2_the_pod_that_was_too_late_sees_its_stream_cancelled() {
    let silent = http2::script(|mut exchange: Exchange| async move {
        exchange.read().await?;
        exchange.until_reset().await
    });
    let silent = Pod::scripted("silent", silent).await;
    let quick = Pod::scripted("quick", http2::answer_all).await;
    let sidecar = hedged(Sidecar::over([&silent, &quick]).http2_to_pods())
        .start()
        .await;
    let client = sidecar.http2().await;
    for _ in 0..4 {
        assert_eq!(client.get("/").await.pod(), "quick");
    }
    silent
        .until("its streams to be cancelled", |record| {
            let cancelled = |reason: &Option<_>| *reason == Some(h2::Reason::CANCEL);
            record.ended.len() == record.streams && record.ended.iter().all(cancelled)
        })
        .await;
    let record = silent.record();
    assert!(record.connections == 1 && record.streams > 0, "{record:?}");
}

#[tokio::test]
async fn a_body_goes_to_both_pods_whole() {
    let silent = Pod::scripted("silent", manners::never_answer).await;
    let quick = Pod::start("quick").await;
    let sidecar = hedged(Sidecar::over([&silent, &quick])).start().await;
    let mut client = sidecar.client().await;
    for _ in 0..2 {
        let answer = client
            .ask(
                "PUT / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n\
                 5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
            )
            .await;
        assert_eq!(answer.pod(), "quick");
    }
    let (silent, quick) = (silent.record(), quick.record());
    assert_eq!(quick.requests.len(), 2);
    assert!(!silent.requests.is_empty());
    let mut seen = silent.requests.iter().chain(&quick.requests);
    assert!(seen.all(|seen| seen.body == b"hello world"));
}

#[tokio::test]
async fn where_both_fail_the_request_goes_on_as_after_any_failure() {
    for (retries, attempts) in [("0", 2), ("1", 3)] {
        let reset_late = |mut session: Session| async move {
            session.request().await?;
            tokio::time::sleep(Duration::from_millis(300)).await;
            session.wire.reset()
        };
        let pods = [
            Pod::scripted("a", reset_late).await,
            Pod::scripted("b", reset_late).await,
        ];
        let sidecar = hedged(Sidecar::over(&pods))
            .with("--retries", retries)
            .start()
            .await;
        let answer = sidecar.get("/").await;
        assert_eq!((answer.status(), answer.flag()), (502, Some("UC")));
        let counts = [pods[0].count("GET"), pods[1].count("GET")];
        assert_eq!(counts.iter().sum::<usize>(), attempts, "{counts:?}");
        assert!(!counts.contains(&0), "{counts:?}");
        until_hedges(&sidecar, "failed", 1.0).await;
    }
}

#[tokio::test]
async fn a_failure_of_either_waits_for_the_other() {
    let (late, go) = Pod::gated("late").await;
    let busy = "HTTP/1.1 503 Busy\r\nx-pod: busy\r\ncontent-length: 0\r\n\r\n";
    let busy = Pod::scripted("busy", manners::say(busy)).await;
    let sidecar = hedged(Sidecar::over([&late, &busy]))
        .with("--retry-on", "503")
        .start()
        .await;
    let mut clients = Vec::new();
    for count in [1, 2] {
        let mut client = sidecar.client().await;
        client.send(get("/")).await;
        clients.push(client);
        let both = |pod: &Pod| pod.count("GET") == count;
        eventually("either pod to have it", async || {
            (both(&late) && both(&busy)).then_some(())
        })
        .await;
        // The next one begins at the other pod.
        let mut between = sidecar.client().await;
        between.send(post("/", b"once")).await;
        eventually("the POST", async || {
            (late.count("POST") + busy.count("POST") == count).then_some(())
        })
        .await;
    }
    go.add_permits(10);
    for mut client in clients {
        let answer = client.response().await;
        assert_eq!((answer.status(), answer.pod()), (200, "late"));
    }
    until_hedges(&sidecar, "failed", 1.0).await;
    assert_eq!((busy.count("GET"), late.count("GET")), (2, 2));
}

#[tokio::test]
async fn the_place_at_a_pod_that_was_too_late_is_free_again() {
    let silent = Pod::scripted("silent", manners::never_answer).await;
    let quick = Pod::start("quick").await;
    let sidecar = hedged(Sidecar::over([&silent, &quick]))
        .with("--max-pod-requests", "1")
        .start()
        .await;
    let mut client = sidecar.client().await;
    for _ in 0..6 {
        assert_eq!(client.get("/").await.pod(), "quick");
    }
    assert!(silent.count("GET") > 1, "{}", silent.count("GET"));
    let state = sidecar.state_of(&silent).await;
    assert_eq!(
        (&state["in_flight"], &state["limit"]),
        (&0.into(), &1.into())
    );
}

/// Its requests are given up too early, each by itself, to tell it from one that is slow.
#[tokio::test]
async fn a_pod_that_leaves_all_to_the_others_is_ejected_and_given_time_on_trial() {
    let slow = Pod::scripted("slow", |mut session: Session| async move {
        while session.request().await?.is_some() {
            tokio::time::sleep(Duration::from_millis(400)).await;
            session.answer().await?;
        }
        Ok(())
    })
    .await;
    let quick = Pod::start("quick").await;
    let sidecar = hedged(Sidecar::over([&slow, &quick])).start().await;
    let load = Load::start(sidecar.proxy, 2);
    let state = sidecar.until_state(&slow, "ejected").await;
    let reason = state["reason"].as_str().unwrap();
    assert!(reason.contains("silent"), "{reason}");
    // It takes longer than others are given, but answers.
    sidecar.until_state(&slow, "ready").await;
    let tally = load.stop().await;
    tally.assert_nothing_lost();
    assert!(tally.by_pod["slow"] >= 1, "{tally:?}");
}

#[tokio::test]
async fn the_time_is_learnt_from_what_attempts_take() {
    let pods = [Pod::start("a").await, Pod::start("b").await];
    let (late, go) = Pod::gated("late").await;
    go.add_permits(1_000_000);
    // Each worker learns for itself.
    let sidecar = Sidecar::over(pods.iter().chain([&late]))
        .on_one_worker()
        .with("--hedge", "p90:min=30ms")
        .with("--retry-budget-ratio", "1")
        .start()
        .await;
    let load = Load::start(sidecar.proxy, 4);
    eventually("the time to be known", async || {
        let after = sidecar.metric("podrobin_hedge_after_seconds", &[]).await;
        (after >= 0.03).then_some(())
    })
    .await;
    let taken = go.forget_permits(1_000_000);
    assert!(taken > 0);
    let before = late.count("GET");
    load.more(200).await;
    let tally = load.stop().await;
    tally.assert_nothing_lost();
    assert!(late.count("GET") > before);
    assert!(hedges(&sidecar, "won").await > 0.0);
}
