//! Pods that take requests and answer nobody, while others answer.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Semaphore;

use crate::support::client::{get, post};
use crate::support::head::Message;
use crate::support::log::field;
use crate::support::pod::Session;
use crate::support::{Client, Load, Pod, Sidecar, eventually, http2, manners};

/// Many enough for the others to have answered what is asked of them, however workers share them.
const CLIENTS: usize = 60;

async fn others() -> [Pod; 2] {
    [Pod::start("b").await, Pod::start("c").await]
}

/// Clients with a request each under way.
async fn ask_all(sidecar: &Sidecar) -> Vec<Client> {
    join_all((0..CLIENTS).map(|_| async {
        let mut client = sidecar.client().await;
        client.send(get("/")).await;
        client
    }))
    .await
}

async fn answers(clients: Vec<Client>) -> Vec<Message> {
    join_all(
        clients
            .into_iter()
            .map(|mut client| async move { client.response().await }),
    )
    .await
}

async fn until_ejected(sidecar: &Sidecar) {
    sidecar
        .log
        .until("the silent pod is ejected", 1, |line| {
            field(line, "message").starts_with("ejected: it answers none of")
        })
        .await;
}

#[tokio::test]
async fn requests_that_wait_for_a_silent_pod_are_answered_by_others() {
    let silent = Pod::scripted("silent", manners::never_answer).await;
    let [b, c] = others().await;
    let plan = Sidecar::over([&silent, &b, &c]);
    let sidecar = plan.without_budget().start().await;
    for answer in answers(ask_all(&sidecar).await).await {
        assert_eq!(answer.status(), 200, "{}", answer.text());
        assert_ne!(answer.pod(), "silent");
    }
    until_ejected(&sidecar).await;
    assert_eq!(silent.record().heads.len(), CLIENTS / 3);
    let retries = sidecar.metric("podrobin_retries_total", &[]).await;
    assert_eq!(retries, (CLIENTS / 3) as f64);
}

#[tokio::test]
async fn over_http2_their_streams_are_reset() {
    let silent = Pod::scripted(
        "silent",
        http2::script(|mut exchange| async move { exchange.until_reset().await }),
    )
    .await;
    let b = Pod::scripted("b", http2::answer_all).await;
    let plan = Sidecar::over([&silent, &b]).http2_to_pods();
    let sidecar = plan.without_budget().start().await;
    let client = sidecar.http2().await;
    for answer in join_all((0..CLIENTS).map(|_| client.get("/"))).await {
        assert_eq!((answer.status, answer.pod()), (200, "b"));
    }
    let cancelled = Some(h2::Reason::CANCEL);
    silent
        .until("the streams to be reset", |record| {
            record.ended.iter().filter(|end| **end == cancelled).count() == CLIENTS / 2
        })
        .await;
}

/// A silent pod of three that answers when it gets permits.
async fn gated() -> (Pod, Arc<Semaphore>, [Pod; 2]) {
    let (silent, go) = Pod::gated("silent").await;
    (silent, go, others().await)
}

/// A body that is more than is kept of one.
fn large() -> Vec<u8> {
    let body = vec![b'x'; 1 << 20];
    let head = format!(
        "PUT / HTTP/1.1\r\nHost: shop\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

#[tokio::test]
async fn what_must_not_or_cannot_be_repeated_waits_on() {
    for once in [post("/", b"once"), large()] {
        let (silent, go, [b, c]) = gated().await;
        let plan = Sidecar::over([&silent, &b, &c]);
        let sidecar = plan.without_budget().start().await;
        let mut sending = Vec::new();
        while silent.record().requests.is_empty() {
            let mut client = sidecar.client().await;
            client.send(&once).await;
            sending.push(client);
            let sent = sending.len();
            eventually("the request at a pod", async || {
                let seen = [&silent, &b, &c].map(|pod| pod.record().requests.len());
                (seen.iter().sum::<usize>() == sent).then_some(())
            })
            .await;
        }
        for answer in answers(ask_all(&sidecar).await).await {
            assert_ne!(answer.pod(), "silent");
        }
        until_ejected(&sidecar).await;
        go.add_permits(CLIENTS);
        let answers = answers(sending).await;
        assert_eq!(answers.last().unwrap().pod(), "silent");
        let kept = silent.count("POST") + silent.count("PUT");
        assert_eq!(kept, 1);
    }
}

#[tokio::test]
async fn without_budget_requests_wait_on() {
    let (silent, go, [b, c]) = gated().await;
    let sidecar = Sidecar::over([&silent, &b, &c])
        .with("--retry-budget-ratio", "0")
        .with("--retry-budget-floor", "0")
        .start()
        .await;
    let clients = ask_all(&sidecar).await;
    until_ejected(&sidecar).await;
    eventually("the retries to be refused", async || {
        let refused = sidecar.metric("podrobin_retries_refused_total", &[]).await;
        // They are refused again with each ejection.
        (refused >= (CLIENTS / 3) as f64).then_some(())
    })
    .await;
    go.add_permits(CLIENTS);
    let answers = answers(clients).await;
    let from_silent = answers.iter().filter(|answer| answer.pod() == "silent");
    assert_eq!(from_silent.count(), CLIENTS / 3);
}

/// The hedge would come far too late.
#[tokio::test]
async fn a_request_that_has_not_been_hedged_yet_is_taken_back_as_well() {
    let silent = Pod::scripted("silent", manners::never_answer).await;
    let [b, c] = others().await;
    let plan = Sidecar::over([&silent, &b, &c]).with("--hedge", "10m");
    let sidecar = plan.without_budget().start().await;
    for answer in answers(ask_all(&sidecar).await).await {
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }
    assert_eq!(silent.record().heads.len(), CLIENTS / 3);
}

#[tokio::test]
async fn what_the_budget_does_not_allow_is_taken_back_once_it_does() {
    for hedge in ["10m", "50ms"] {
        let silent = Pod::scripted("silent", manners::never_answer).await;
        let [b, c] = others().await;
        let sidecar = Sidecar::over([&silent, &b, &c])
            .on_one_worker()
            .with("--hedge", hedge)
            .with("--retry-budget-ratio", "0.1")
            .with("--retry-budget-floor", "0")
            .start()
            .await;
        let clients = ask_all(&sidecar).await;
        until_ejected(&sidecar).await;
        eventually("a retry to be refused", async || {
            let refused = sidecar.metric("podrobin_retries_refused_total", &[]).await;
            (refused > 0.0).then_some(())
        })
        .await;
        let load = Load::start(sidecar.proxy, 4);
        for answer in answers(clients).await {
            assert_eq!(answer.status(), 200, "{}", answer.text());
        }
        load.stop().await.assert_nothing_lost();
    }
}

#[tokio::test]
async fn after_its_last_retry_a_hedged_request_waits_on() {
    const HEDGED: usize = 6;
    let silent = Pod::scripted("silent", manners::never_answer).await;
    let fails = Arc::new(Semaphore::new(0));
    let gate = fails.clone();
    let failing = Pod::scripted("failing", move |mut session: Session| {
        let gate = gate.clone();
        async move {
            while let Some(request) = session.request().await? {
                if request.head.method() == "PUT" {
                    gate.acquire().await.unwrap().forget();
                    return session.wire.reset();
                }
                session.answer().await?;
            }
            Ok(())
        }
    })
    .await;
    let plan = Sidecar::over([&silent, &failing]).on_one_worker();
    let plan = plan.with("--hedge", "50ms").with("--retries", "0");
    let sidecar = plan.without_budget().start().await;
    let mut clients = Vec::new();
    for _ in 0..HEDGED {
        let mut client = sidecar.client().await;
        client
            .send("PUT / HTTP/1.1\r\nHost: shop\r\nContent-Length: 0\r\n\r\n")
            .await;
        clients.push(client);
    }
    for pod in [&silent, &failing] {
        pod.until("all PUTs", |record| record.requests.len() == HEDGED)
            .await;
    }
    let load = Load::start(sidecar.proxy, 2);
    // With answers between, lest it be ejected itself.
    for _ in 0..HEDGED {
        load.more(10).await;
        fails.add_permits(1);
    }
    // One of them after the last of these.
    let is_ejection = |line: &_| field(line, "message").starts_with("ejected: ");
    sidecar.log.until("two ejections", 2, is_ejection).await;
    load.more(50).await;
    load.stop().await;
    fails.add_permits(HEDGED);
    assert_eq!(failing.count("PUT"), HEDGED);
}

/// There are never enough at once to tell it by.
#[tokio::test]
async fn a_pod_that_is_left_out_for_clients_that_gave_up_keeps_no_patient_one() {
    let silent = Pod::scripted("silent", manners::never_answer).await;
    let [b, c] = others().await;
    let plan = Sidecar::over([&silent, &b, &c]).on_one_worker();
    // It has no trial to fail.
    let plan = plan
        .with("--eject-time", "10m")
        .with("--eject-longest", "10m");
    let sidecar = plan.without_budget().start().await;
    let mut patient = Vec::new();
    for _ in 0..3 {
        let mut client = sidecar.client().await;
        client.send(get("/")).await;
        patient.push(client);
    }
    silent
        .until("a patient one", |record| record.requests.len() == 1)
        .await;
    eventually("the silent pod to be left out", async || {
        let mut impatient = Vec::new();
        for _ in 0..9 {
            let mut client = sidecar.client().await;
            client.send(post("/", b"once")).await;
            impatient.push(client);
        }
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        drop(impatient);
        (sidecar.state_of(&silent).await["state"] == "ejected").then_some(())
    })
    .await;
    for answer in answers(patient).await {
        assert_eq!(answer.status(), 200, "{}", answer.text());
    }
}
