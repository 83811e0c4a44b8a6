//! Bodies in motion: back-pressure, nothing held back, ends that are passed on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;

use crate::support::client::{get, post};
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, soon, within};

const GIB: usize = 1 << 30;
const PIECE: usize = 1 << 20;

/// For a GiB through a debug build on a machine that has other things to do.
const A_WHILE: Duration = Duration::from_secs(120);

/// What the kernel may keep on the way: send and receive buffers of two hops.
const ON_THE_WAY: usize = 64 << 20;

/// What a process that streams may grow by; far below what is on the way.
const FLAT: u64 = 8 << 20;

/// Waits until a sender gets no further.
async fn stalled(sent: &AtomicUsize) -> usize {
    let mut last = 0;
    let mut still = 0;
    while still < 5 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = sent.load(Relaxed);
        still = if now == last && now > 0 { still + 1 } else { 0 };
        last = now;
    }
    last
}

#[tokio::test]
async fn a_slow_reader_holds_the_pod_back_and_memory_stays_flat() {
    let sent = Arc::<AtomicUsize>::default();
    let counter = sent.clone();
    let pod = Pod::scripted("a", move |mut session: Session| {
        let sent = counter.clone();
        async move {
            let piece = vec![b'x'; PIECE];
            while session.request().await?.is_some() {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {GIB}\r\n\r\n");
                session.wire.send(head).await?;
                for _ in 0..GIB / PIECE {
                    session.wire.send(&piece).await?;
                    sent.fetch_add(PIECE, Relaxed);
                }
            }
            Ok(())
        }
    })
    .await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let before = sidecar.resident();
    let mut client = sidecar.client().await;
    client.send(get("/")).await;
    client.head().await;
    let sent = within(A_WHILE, "the pod to be held back", stalled(&sent)).await;
    assert!(sent < ON_THE_WAY, "{sent} bytes were taken from the pod");
    let held_back = sidecar.resident();
    assert!(held_back < before + FLAT, "{before} to {held_back} bytes");
    within(A_WHILE, "a GiB", client.wire.skim(GIB))
        .await
        .unwrap();
    let after = sidecar.resident();
    assert!(after < before + FLAT, "{before} to {after} bytes");
}

#[tokio::test]
async fn a_slow_pod_holds_an_upload_back_and_memory_stays_flat() {
    let go = Arc::new(Semaphore::new(0));
    let gate = go.clone();
    let pod = Pod::scripted("a", move |mut session: Session| {
        let gate = gate.clone();
        async move {
            session.head().await?;
            gate.acquire().await.unwrap().forget();
            session.wire.skim(GIB).await?;
            session.answer().await
        }
    })
    .await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let before = sidecar.resident();
    let mut client = sidecar.client().await;
    let head = format!("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: {GIB}\r\n\r\n");
    client.send(head).await;
    let sent = AtomicUsize::default();
    let upload = async {
        let piece = vec![b'x'; PIECE];
        for _ in 0..GIB / PIECE {
            client.wire.send(&piece).await.unwrap();
            sent.fetch_add(PIECE, Relaxed);
        }
    };
    let watch = async {
        let sent = stalled(&sent).await;
        assert!(sent < ON_THE_WAY, "{sent} bytes were taken from the client");
        let held_back = sidecar.resident();
        assert!(held_back < before + FLAT, "{before} to {held_back} bytes");
        go.add_permits(1);
    };
    within(A_WHILE, "a GiB", async { tokio::join!(upload, watch) }).await;
    assert_eq!(client.response().await.pod(), "a");
    let after = sidecar.resident();
    assert!(after < before + FLAT, "{before} to {after} bytes");
}

#[tokio::test]
async fn each_event_of_a_stream_arrives_before_the_next_is_sent() {
    for (framing, open, close) in [
        ("transfer-encoding: chunked\r\n", "7\r\n", "\r\n"),
        ("connection: close\r\n", "", ""),
        ("content-length: 21\r\n", "", ""),
    ] {
        let next = Arc::new(Semaphore::new(0));
        let gate = next.clone();
        let pod = Pod::scripted("a", move |mut session: Session| {
            let gate = gate.clone();
            async move {
                session.request().await?;
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n";
                session.wire.send(format!("{head}{framing}\r\n")).await?;
                for number in 0..3 {
                    gate.acquire().await.unwrap().forget();
                    let event = format!("{open}data{number}\n\n{close}");
                    session.wire.send(event).await?;
                }
                session.wire.gone().await;
                Ok(())
            }
        })
        .await;
        let sidecar = Sidecar::over([&pod]).start().await;
        let mut client = sidecar.client().await;
        client.send(get("/events")).await;
        // The head comes before the first event does.
        client.head().await;
        for number in 0..3 {
            next.add_permits(1);
            let event = soon("an event", client.wire.until(b"\n\n")).await.unwrap();
            let event = String::from_utf8(event.unwrap()).unwrap();
            assert!(event.ends_with(&format!("data{number}\n\n")), "{event:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_has_been_sent_is_passed_on_at_once() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        session.head().await?;
        session.answer().await?;
        session.wire.gone().await;
        Ok(())
    })
    .await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    let head = format!("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: {GIB}\r\n\r\nsome");
    client.send(head).await;
    assert_eq!(client.response().await.pod(), "a");
}

#[tokio::test]
async fn a_conversation_in_both_directions_flows() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        session.head().await?;
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        session.wire.send(head).await?;
        loop {
            let chunk = session.wire.chunk().await?;
            if chunk.is_empty() {
                session.wire.trailers().await?;
                return session.wire.send("0\r\n\r\n").await;
            }
            let echo = [b"4\r\n", chunk.as_slice(), b"\r\n"].concat();
            session.wire.send(echo).await?;
        }
    })
    .await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    client.head().await;
    for word in ["ping", "pong"] {
        client.send(format!("4\r\n{word}\r\n")).await;
        let echo = soon("the echo", client.wire.chunk()).await.unwrap();
        assert_eq!(echo, word.as_bytes());
    }
    client.send("0\r\n\r\n").await;
    let end = soon("the end", client.wire.chunk()).await.unwrap();
    assert!(end.is_empty());
}

/// How far a request has come when its client leaves.
#[tokio::test]
async fn a_client_that_leaves_cancels_its_request_at_the_pod_at_once() {
    for (what, request) in [
        ("while it waits", get("/wait")),
        (
            "in the middle of its body",
            "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 100\r\n\r\nsome".to_owned(),
        ),
        ("in the middle of the response", get("/stream")),
    ] {
        let pod = Pod::scripted("a", |mut session: Session| async move {
            let head = session.head().await?;
            if head.is_some_and(|head| head.target() == "/stream") {
                let head = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nsome";
                session.wire.send(head).await?;
            }
            session.wire.gone().await;
            Ok(())
        })
        .await;
        let sidecar = Sidecar::over([&pod]).start().await;
        let mut client = sidecar.client().await;
        client.send(&request).await;
        pod.until("the head", |record| record.heads.len() == 1)
            .await;
        if request.contains("/stream") {
            client.head().await;
        }
        drop(client);
        pod.until(what, |record| record.open == 0).await;
    }
}

#[tokio::test]
async fn bytes_beyond_the_length_are_not_passed_on() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    let pod = Pod::scripted("a", crate::support::manners::say(answer)).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.text(), "ok");
    }
    let mut rest = [0; 1];
    let more = tokio::time::timeout(
        Duration::from_millis(50),
        client.wire.stream().read(&mut rest),
    );
    assert!(more.await.is_err(), "something follows the last answer");
}

/// As a pod does that refuses an upload by its head: the answer, and a close with the body unread.
#[tokio::test]
async fn a_refusal_reaches_a_client_that_sends_its_whole_body_first() {
    for (what, close) in [("the pod closes", true), ("the pod reads no more", false)] {
        let pod = Pod::scripted("a", move |mut session: Session| async move {
            session.head().await?;
            let answer = "HTTP/1.1 413 Too Large\r\nx-pod: a\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            session.wire.send(answer).await?;
            if !close {
                session.wire.gone().await;
            }
            Ok(())
        })
        .await;
        for length in [1 << 10, 256 << 10] {
            let sidecar = Sidecar::over([&pod]).start().await;
            let mut client = sidecar.client().await;
            client.send(post("/", &vec![b'x'; length])).await;
            let answer = client.response().await;
            assert_eq!(answer.status(), 413, "{what}, {length} bytes");
        }
    }
}
