//! Connections to pods: kept, used again, and not used again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::support::arrival::Ends;
use crate::support::client::{get, post};
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, manners};

/// What a pod does between two requests that makes its connection useless.
#[derive(Clone, Copy, Debug)]
enum Spoil {
    /// Closes its side and goes on reading.
    HalfClose,
    Close,
    /// Says something that nobody asked for.
    Blurt,
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).on_one_worker().start().await;
    for _ in 0..5 {
        // Another client, the same connection to the pod.
        let mut client = sidecar.client().await;
        for _ in 0..5 {
            client.get("/").await;
        }
    }
    assert_eq!(pod.record().connections, 1);
    assert_eq!(pod.record().heads.len(), 25);
}

#[tokio::test]
async fn a_connection_that_was_spoilt_while_idle_is_not_used_again() {
    let spoils = [Spoil::HalfClose, Spoil::Close, Spoil::Blurt];
    // A POST sent on the spoilt connection would be lost, a GET sent twice, or answered with what was never asked for.
    let requests = [post("/", b"body"), get("/").into_bytes()];
    for (spoil, request) in spoils
        .into_iter()
        .flat_map(|spoil| requests.iter().map(move |request| (spoil, request)))
    {
        let spoilt = Arc::new(Semaphore::new(0));
        let done = spoilt.clone();
        let pod = Pod::scripted("a", move |mut session: Session| {
            let done = done.clone();
            async move {
                session.request().await?;
                session.answer().await?;
                let ends = Ends::of(session.wire.stream());
                match spoil {
                    Spoil::HalfClose => session.wire.finish().await?,
                    Spoil::Close => {
                        drop(session);
                        ends.heard().await;
                        done.add_permits(1);
                        return Ok(());
                    }
                    Spoil::Blurt => {
                        let blurt = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
                        session.wire.send(blurt).await?;
                    }
                }
                ends.heard().await;
                done.add_permits(1);
                manners::answer_all(session).await
            }
        })
        .await;
        let sidecar = Sidecar::over([&pod]).on_one_worker().start().await;
        let mut client = sidecar.client().await;
        for count in 1..=10 {
            let answer = client.ask(request).await;
            assert_eq!(answer.text(), "a", "{spoil:?}");
            spoilt.acquire().await.unwrap().forget();
            assert_eq!(pod.record().connections, count, "{spoil:?}");
        }
        assert_eq!(pod.record().heads.len(), 10, "{spoil:?}");
    }
}

#[tokio::test]
async fn a_connection_with_bytes_beyond_the_answer_is_not_used_again() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let poison = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    let pod = Pod::scripted("a", manners::say(format!("{answer}{poison}"))).await;
    let sidecar = Sidecar::over([&pod]).on_one_worker().start().await;
    for count in 1..=5 {
        assert_eq!(sidecar.get("/").await.text(), "ok");
        assert_eq!(pod.record().connections, count);
    }
}

#[tokio::test]
async fn a_pod_that_says_close_is_believed() {
    for answer in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ] {
        let pod = Pod::scripted("a", manners::say(answer)).await;
        let sidecar = Sidecar::over([&pod]).on_one_worker().start().await;
        for count in 1..=3 {
            assert_eq!(sidecar.get("/").await.text(), "ok");
            assert_eq!(pod.record().connections, count, "{answer}");
        }
        pod.until("all of them to be closed", |record| record.open == 0)
            .await;
    }
}

#[tokio::test]
async fn a_connection_whose_request_was_answered_early_is_not_used_again() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        while session.head().await?.is_some() {
            session.answer().await?;
        }
        Ok(())
    })
    .await;
    let sidecar = Sidecar::over([&pod]).on_one_worker().start().await;
    let mut early = sidecar.client().await;
    let answer = early
        .ask("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 40\r\n\r\nGET ")
        .await;
    assert_eq!(answer.pod(), "a");
    assert_eq!(sidecar.get("/next").await.pod(), "a");
    let record = pod.record();
    assert_eq!(record.connections, 2);
    assert_eq!(record.heads[1].line, "GET /next HTTP/1.1");
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod])
        .with("--upstream-idle-timeout", "300ms")
        .start()
        .await;
    sidecar.get("/").await;
    pod.until("its idle connection to be closed", |record| {
        record.open == 0
    })
    .await;
    assert_eq!(sidecar.get("/").await.pod(), "a");
    assert_eq!(pod.record().connections, 2);
}

#[tokio::test]
async fn a_pods_own_word_on_idle_connections_is_learned() {
    let answer = "HTTP/1.1 200 OK\r\nkeep-alive: timeout=1\r\ncontent-length: 2\r\n\r\nok";
    let pod = Pod::scripted("a", manners::say(answer)).await;
    let sidecar = Sidecar::over([&pod])
        .with("--upstream-idle-timeout", "60s")
        .start()
        .await;
    sidecar.get("/").await;
    let since = Instant::now();
    pod.until("its idle connection to be closed", |record| {
        record.open == 0
    })
    .await;
    let took = since.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn no_more_idle_connections_are_kept_than_the_limits_say() {
    for (flag, kept_by_each, kept_by_both) in
        [("--max-idle-per-pod", Some(1), 2), ("--max-idle", None, 1)]
    {
        let start = Arc::new(Semaphore::new(0));
        let pod = |name: &'static str| {
            let start = start.clone();
            Pod::scripted(name, move |mut session: Session| {
                let start = start.clone();
                async move {
                    while session.request().await?.is_some() {
                        start.acquire().await.unwrap().forget();
                        session.answer().await?;
                    }
                    Ok(())
                }
            })
        };
        let pods = [pod("a").await, pod("b").await];
        let sidecar = Sidecar::over(&pods)
            .on_one_worker()
            .with("--upstream-idle-timeout", "60s")
            .with(flag, "1")
            .start()
            .await;
        let mut clients = Vec::new();
        for _ in 0..6 {
            let mut client = sidecar.client().await;
            client.send(get("/")).await;
            clients.push(client);
        }
        for pod in &pods {
            pod.until("three connections", |record| record.open == 3)
                .await;
        }
        start.add_permits(6);
        for client in &mut clients {
            client.response().await;
        }
        let open = || pods.iter().map(|pod| pod.record().open).sum::<usize>();
        for pod in &pods {
            pod.until("those beyond the limit to be closed", |record| {
                record.open <= 1
            })
            .await;
        }
        crate::support::eventually("as many as allowed", async || {
            (open() == kept_by_both).then_some(())
        })
        .await;
        if let Some(kept) = kept_by_each {
            assert!(pods.iter().all(|pod| pod.record().open == kept), "{flag}");
        }
    }
}
