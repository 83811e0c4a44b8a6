//! Pods that go without a word, and connections that nobody needs.

use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::support::frames;
use crate::support::http2;
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, eventually};

#[tokio::test]
async fn a_pod_that_gives_no_sign_of_life_is_given_up_in_time() {
    let silent = Pod::scripted("silent", |mut session: Session| async move {
        session.wire.begin_as_server(&[]).await?;
        session.wire.frame_of(frames::HEADERS).await?;
        // Reads on, as a kernel does for a process that hangs, and answers nothing, not even pings.
        session.wire.gone().await;
        Ok(())
    })
    .await;
    let good = Pod::scripted("good", http2::answer_all).await;
    let sidecar = Sidecar::over([&silent, &good])
        .http2_to_pods()
        .with("--upstream-keepalive", "1s")
        .start()
        .await;
    let started = Instant::now();
    // The rotation begins anywhere: one of two goes to the silent pod first.
    for _ in 0..2 {
        assert_eq!(sidecar.http2().await.get("/").await.pod(), "good");
    }
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(900), "{took:?}");
    assert_eq!(silent.record().streams, 0);
}

#[tokio::test]
async fn a_pod_that_thinks_for_long_and_answers_pings_is_waited_for_and_pinged_no_more_than_twice()
{
    let pod = Pod::scripted("slow", |mut session: Session| async move {
        session.wire.begin_as_server(&[]).await?;
        let stream = session.wire.frame_of(frames::HEADERS).await?.stream;
        let (mut pings, thinking) = (0_u8, tokio::time::sleep(Duration::from_millis(1500)));
        tokio::pin!(thinking);
        loop {
            tokio::select! {
                () = &mut thinking => break,
                frame = session.wire.frame() => {
                    let frame = frame?;
                    if frame.is(frames::PING) && frame.flags & frames::ACK == 0 {
                        pings += 1;
                        let pong = frames::Frame::new(frames::PING, frames::ACK, 0, frame.payload);
                        session.wire.send_frame(&pong).await?;
                    }
                }
            }
        }
        let pings = pings.to_string();
        let fields = [(":status", "200"), ("x-pod", "slow"), ("x-pings", &pings)];
        let answer = frames::Frame::response(stream, frames::END_STREAM, &fields);
        session.wire.send_frame(&answer).await?;
        session.wire.gone().await;
        Ok(())
    })
    .await;
    let sidecar = Sidecar::over([&pod])
        .http2_to_pods()
        .with("--upstream-keepalive", "200ms")
        .start()
        .await;
    let answer = sidecar.http2().await.get("/").await;
    assert_eq!((answer.status, answer.field("x-pings")), (200, Some("2")));
}

#[tokio::test]
async fn a_connection_closes_with_its_last_stream_once_its_pod_has_left() {
    let (pod, go) = held_pod("a").await;
    let other = Pod::scripted("b", http2::answer_all).await;
    let slices = crate::support::Slices::of([entry(&pod)]);
    let sidecar = Sidecar::watching(&slices).start().await;
    let client = sidecar.http2().await;
    let call = client.open(http2::get("/"), true).await.unwrap();
    pod.until("the request", |record| record.streams == 1).await;
    slices.set([entry(&other)]);
    sidecar.until_state(&other, "ready").await;
    // The workers hear of it a moment later; until then requests wait at the first pod.
    eventually("requests at the other pod", async || {
        let answer = timeout(Duration::from_millis(200), client.try_get("/")).await;
        answer.is_ok().then_some(())
    })
    .await;
    go.add_permits(Semaphore::MAX_PERMITS);
    assert_eq!(call.answer().await.unwrap().pod(), "a");
    pod.until("the connection's end", |record| record.open == 0)
        .await;
}

fn entry(pod: &Pod) -> crate::support::slices::Entry {
    crate::support::slices::Entry::from(pod).speaking("grpc")
}

async fn held_pod(name: &str) -> (Pod, std::sync::Arc<tokio::sync::Semaphore>) {
    let go = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    (
        Pod::scripted(name, http2::script(http2::gated(&go))).await,
        go,
    )
}

/// It answers what it read of the preface and closes with the rest unread, which resets the connection.
#[tokio::test]
async fn a_server_of_http1_that_closes_on_us_is_known_at_once() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        session.wire.exact(frames::PREFACE.len()).await?;
        // What follows is in the socket by then.
        tokio::time::sleep(Duration::from_millis(30)).await;
        let refusal = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n";
        session.wire.send(refusal).await
    })
    .await;
    let sidecar = Sidecar::over([&pod])
        .http2_to_pods()
        .with("--connect-timeout", "8s")
        .start()
        .await;
    let started = Instant::now();
    let answer = sidecar.get("/").await;
    assert_eq!((answer.status(), answer.flag()), (502, Some("UPE")));
    let took = started.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test]
async fn connections_that_end_in_disorder_are_given_back() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        session.wire.begin_as_server(&[]).await?;
        let stream = session.wire.frame_of(frames::HEADERS).await?.stream;
        let fields = [(":status", "200"), ("x-pod", "a")];
        let answer = frames::Frame::response(stream, frames::END_STREAM, &fields);
        session.wire.send_frame(&answer).await?;
        // The next request stays unread, and what is said is against the rules: data of no stream.
        session.wire.stream().readable().await?;
        let data = frames::Frame::new(frames::DATA, 0, 0, *b"x");
        session.wire.send_frame(&data).await
    })
    .await;
    let sidecar = Sidecar::over([&pod])
        .http2_to_pods()
        .on_one_worker()
        .with("--retries", "0")
        .start()
        .await;
    let client = sidecar.http2().await;
    for _ in 0..10 {
        assert_eq!(client.get("/").await.status, 200);
        assert_eq!(client.get("/").await.status, 502);
    }
    eventually("connections to be given back", async || {
        let open = sidecar.metric("podrobin_upstream_connections_open", &[]);
        (open.await == 0.0).then_some(())
    })
    .await;
}
