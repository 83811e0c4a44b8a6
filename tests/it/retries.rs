//! What is sent again, and what must not be.

mod answered;
mod waits;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::support::client::{get, post};
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, manners};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn request(method: &str, length: usize) -> Vec<u8> {
    let head = format!("{method} / HTTP/1.1\r\nHost: shop\r\nContent-Length: {length}\r\n\r\n");
    let body = (0..length).map(|index| u8::try_from(index % 251).unwrap());
    head.into_bytes().into_iter().chain(body).collect()
}

#[tokio::test]
async fn a_request_that_a_pod_refused_goes_to_another_whatever_its_method() {
    let refusing = Pod::refusing("a");
    let serving = Pod::start("b").await;
    for (method, length) in [
        ("GET", 0),
        ("POST", KIB),
        ("PATCH", KIB),
        ("DELETE", 0),
        // Beyond what is kept for a replay; but nothing of it was sent.
        ("POST", MIB),
    ] {
        let plan = Sidecar::over([&refusing, &serving]);
        let sidecar = plan.without_budget().start().await;
        let mut client = sidecar.client().await;
        for _ in 0..4 {
            let bytes = request(method, length);
            let answer = client.ask(&bytes).await;
            assert_eq!(answer.status(), 200, "{method}: {}", answer.text());
            let record = serving.record();
            let seen = &record.requests.last().unwrap().body;
            assert!(bytes.ends_with(seen), "{method}");
            assert_eq!(seen.len(), length, "{method}");
        }
    }
    assert_eq!(serving.record().heads.len(), 20);
}

#[tokio::test]
async fn a_request_whose_connection_attempt_got_no_answer_goes_to_another() {
    let swallowing = Pod::swallowing("a").await;
    let serving = Pod::start("b").await;
    // Connecting is part of the try: whichever time is shorter ends it.
    for (connect, per_try) in [("200ms", "1h"), ("1h", "200ms")] {
        let sidecar = Sidecar::over([&swallowing, &serving])
            .with("--connect-timeout", connect)
            .with("--per-try-timeout", per_try)
            .start()
            .await;
        let mut client = sidecar.client().await;
        for _ in 0..4 {
            // Nothing of it was sent: any method may go on.
            assert_eq!(client.ask(post("/", b"body")).await.pod(), "b");
        }
    }
}

#[tokio::test]
async fn where_no_pod_can_be_reached_the_answer_says_so() {
    let refusing = [Pod::refusing("a"), Pod::refusing("b")];
    let sidecar = Sidecar::over(&refusing).start().await;
    let answer = sidecar.get("/").await;
    assert_eq!((answer.status(), answer.flag()), (502, Some("UF")));

    let swallowing = Pod::swallowing("c").await;
    let sidecar = Sidecar::over([&swallowing])
        .with("--connect-timeout", "100ms")
        .start()
        .await;
    let answer = sidecar.get("/").await;
    assert_eq!((answer.status(), answer.flag()), (504, Some("UF")));
}

/// A pod's connection that breaks once the request was read, new or used before.
#[tokio::test]
async fn a_request_that_may_have_been_sent_is_repeated_only_if_its_method_allows() {
    for reset in [false, true] {
        for reused in [false, true] {
            for (method, repeated) in [
                ("GET", true),
                ("HEAD", true),
                ("OPTIONS", true),
                ("PUT", true),
                ("DELETE", true),
                ("POST", false),
                ("PATCH", false),
                ("PURGE", false),
            ] {
                let what = format!("{method}, reset {reset}, reused {reused}");
                assert_repeated(&what, method, reset, reused, repeated).await;
            }
        }
    }
}

async fn assert_repeated(what: &str, method: &str, reset: bool, reused: bool, repeated: bool) {
    let broken = Arc::<AtomicBool>::default();
    let break_once = broken.clone();
    let script = move |mut session: Session| {
        let broken = break_once.clone();
        async move {
            while let Some(request) = session.request().await? {
                // The first request that counts breaks the connection, at whichever pod it is.
                if request.head.target() == "/" && !broken.swap(true, Relaxed) {
                    return if reset { session.wire.reset() } else { Ok(()) };
                }
                session.answer().await?;
            }
            Ok(())
        }
    };
    let pods = [
        Pod::scripted("a", script.clone()).await,
        Pod::scripted("b", script).await,
    ];
    let sidecar = Sidecar::over(&pods).on_one_worker().start().await;
    let mut client = sidecar.client().await;
    if reused {
        client.get("/warm").await;
        client.get("/warm").await;
    }
    client.send(request(method, 10)).await;
    let answer = if method == "HEAD" {
        client.response_to_head().await
    } else {
        client.response().await
    };
    let seen: usize = pods.iter().map(|pod| pod.count(method)).sum();
    let seen = seen - if reused && method == "GET" { 2 } else { 0 };
    if repeated {
        assert_eq!((answer.status(), seen), (200, 2), "{what}");
    } else {
        assert_eq!((answer.status(), seen), (502, 1), "{what}");
        assert_eq!(answer.flag(), Some("UC"), "{what}");
    }
}

#[tokio::test]
async fn a_body_too_long_to_be_kept_is_not_sent_twice() {
    for (length, status) in [(60 * KIB, 200), (MIB, 502)] {
        let pods = [
            Pod::scripted("a", manners::reset_after_request).await,
            Pod::start("b").await,
        ];
        let sidecar = Sidecar::over(&pods).without_budget().start().await;
        let mut statuses = BTreeSet::new();
        for _ in 0..2 {
            // At least one of the two begins at the pod that resets.
            let mut client = sidecar.client().await;
            let answer = client.ask(request("PUT", length)).await;
            statuses.insert(answer.status());
        }
        assert!(statuses.contains(&status), "{length}: {statuses:?}");
        let bodies: usize = pods.iter().map(|pod| pod.count("PUT")).sum();
        let record = pods[1].record();
        if status == 200 {
            assert_eq!((statuses.len(), record.heads.len()), (1, 2), "{length}");
            assert!(bodies > 2, "{length}");
        } else {
            assert_eq!(bodies, 2, "{length}");
        }
        let whole = record.requests.iter().all(|seen| seen.body.len() == length);
        assert!(whole, "{length}");
    }
}

#[tokio::test]
async fn a_chunked_body_is_repeated_whole() {
    let pods = [
        Pod::scripted("a", manners::reset_after_request).await,
        Pod::start("b").await,
    ];
    let sidecar = Sidecar::over(&pods).start().await;
    let mut client = sidecar.client().await;
    for _ in 0..2 {
        let answer = client
            .ask(
                "PUT / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n\
                 5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
            )
            .await;
        assert_eq!(answer.pod(), "b");
    }
    let record = pods[1].record();
    assert!(
        record
            .requests
            .iter()
            .all(|seen| seen.body == b"hello world")
    );
}

#[tokio::test]
async fn forwarding_headers_are_the_same_in_each_attempt() {
    let pods = [
        Pod::scripted("a", manners::reset_after_request).await,
        Pod::start("b").await,
    ];
    let sidecar = Sidecar::over(&pods).start().await;
    let mut client = sidecar.client().await;
    for _ in 0..2 {
        client.get("/").await;
    }
    let record = pods[1].record();
    assert_eq!(record.heads.len(), 2);
    for head in &record.heads {
        assert_eq!(head.all("x-forwarded-for"), ["127.0.0.1"]);
    }
}

#[tokio::test]
async fn no_more_attempts_are_made_than_allowed_and_none_at_the_same_pod() {
    for (retries, attempts) in [("0", 1), ("2", 3), ("4", 5)] {
        let mut pods = Vec::new();
        for name in ["a", "b", "c", "d", "e"] {
            pods.push(Pod::scripted(name, manners::reset_after_request).await);
        }
        let sidecar = Sidecar::over(&pods)
            .with("--retries", retries)
            .start()
            .await;
        let answer = sidecar.get("/").await;
        assert_eq!((answer.status(), answer.flag()), (502, Some("UC")));
        let counts: Vec<usize> = pods.iter().map(|pod| pod.count("GET")).collect();
        assert_eq!(counts.iter().sum::<usize>(), attempts, "{counts:?}");
        assert!(counts.iter().all(|count| *count <= 1), "{counts:?}");
    }
}

#[tokio::test]
async fn a_failing_service_is_not_buried_under_repeats() {
    let pods = [
        Pod::scripted("a", manners::reset_after_request).await,
        Pod::scripted("b", manners::reset_after_request).await,
    ];
    let sidecar = Sidecar::over(&pods)
        .on_one_worker()
        .with("--retry-budget-ratio", "0")
        .with("--retry-budget-floor", "1")
        .start()
        .await;
    let mut client = sidecar.client().await;
    for _ in 0..50 {
        assert_eq!(client.get("/").await.status(), 502);
    }
    let sent: usize = pods.iter().map(|pod| pod.count("GET")).sum();
    // One a second, saved up for ten seconds; the scene may take a few.
    assert!((51..=75).contains(&sent), "{sent}");
}

#[tokio::test]
async fn requests_that_were_never_sent_cost_no_budget() {
    let (gone, alive) = (Pod::refusing("gone"), Pod::start("alive").await);
    let sidecar = Sidecar::over([&gone, &alive])
        .with("--retry-budget-ratio", "0")
        .with("--retry-budget-floor", "0")
        .start()
        .await;
    let mut client = sidecar.client().await;
    for _ in 0..8 {
        assert_eq!(client.ask(post("/", b"once")).await.pod(), "alive");
    }
    assert_eq!(alive.count("POST"), 8);
}

#[tokio::test]
async fn an_answer_is_never_repeated_whatever_it_says() {
    let answer = "HTTP/1.1 503 Busy\r\nx-pod: a\r\ncontent-length: 0\r\n\r\n";
    let pods = [
        Pod::scripted("a", manners::say(answer)).await,
        Pod::scripted("b", manners::say(answer)).await,
    ];
    let sidecar = Sidecar::over(&pods).start().await;
    let answer = sidecar.client().await.ask(get("/")).await;
    assert_eq!((answer.status(), answer.flag()), (503, None));
    assert_eq!(pods[0].count("GET") + pods[1].count("GET"), 1);
}

#[tokio::test]
async fn a_body_that_waits_to_be_asked_for_is_asked_for_by_the_pod_that_can_be_reached() {
    let refusing = Pod::refusing("a");
    let serving = Pod::scripted("b", |mut session: Session| async move {
        while let Some(head) = session.head().await? {
            session.wire.send("HTTP/1.1 100 Continue\r\n\r\n").await?;
            session.rest(head).await?;
            session.answer().await?;
        }
        Ok(())
    })
    .await;
    let sidecar = Sidecar::over([&refusing, &serving]).start().await;
    let mut client = sidecar.client().await;
    for _ in 0..2 {
        client
            .send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
            .await;
        assert_eq!(client.head().await.status(), 100);
        client.send("body").await;
        assert_eq!(client.response().await.pod(), "b");
    }
}

#[tokio::test]
async fn retries_are_counted() {
    let refusing = Pod::refusing("a");
    let serving = Pod::start("b").await;
    let sidecar = Sidecar::over([&refusing, &serving]).start().await;
    let mut client = sidecar.client().await;
    for _ in 0..3 {
        client.get("/").await;
    }
    let retries = sidecar.metric("podrobin_retries_total", &[]).await;
    assert!((2.0..=3.0).contains(&retries), "{retries}");
    let attempts = sidecar.metric("podrobin_attempts_total", &[]).await;
    assert_eq!(attempts, 3.0 + retries);
}

#[tokio::test]
async fn refusals_do_not_use_up_the_retries_while_another_pod_may_answer() {
    let gone = [
        Pod::refusing("a"),
        Pod::refusing("b"),
        Pod::refusing("c"),
        Pod::refusing("d"),
    ];
    let alive = Pod::start("alive").await;
    let pods: Vec<&Pod> = gone.iter().chain([&alive]).collect();
    let sidecar = Sidecar::over(pods).start().await;
    let mut client = sidecar.client().await;
    for _ in 0..10 {
        assert_eq!(client.ask(post("/", b"once")).await.pod(), "alive");
    }
    assert_eq!(alive.count("POST"), 10);
}

#[tokio::test]
async fn where_no_other_pod_is_left_as_many_attempts_are_made() {
    for (pods, retries, attempts) in [(1, "1", 2), (1, "2", 3), (2, "3", 4)] {
        let names = &["a", "b"][..pods];
        let mut pods = Vec::new();
        for name in names {
            pods.push(Pod::scripted(name, manners::reset_after_request).await);
        }
        let sidecar = Sidecar::over(&pods)
            .without_budget()
            .with("--retries", retries)
            .start()
            .await;
        let answer = sidecar.get("/").await;
        assert_eq!((answer.status(), answer.flag()), (502, Some("UC")));
        let asked: usize = pods.iter().map(|pod| pod.count("GET")).sum();
        assert_eq!(asked, attempts, "{retries} retries over {names:?}");
    }
}
