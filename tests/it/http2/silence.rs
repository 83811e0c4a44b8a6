//! Pods that go without a word, and connections that nobody needs.

use std::time::{Duration, Instant};

use crate::support::frames;
use crate::support::http2::{self, Exchange};
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar};

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
    assert_eq!(client.get("/").await.pod(), "b");
    go.add_permits(1);
    assert_eq!(call.answer().await.unwrap().pod(), "a");
    pod.until("the connection's end", |record| record.open == 0)
        .await;
}

fn entry(pod: &Pod) -> crate::support::slices::Entry {
    crate::support::slices::Entry::from(pod).speaking("grpc")
}

async fn held_pod(name: &str) -> (Pod, std::sync::Arc<tokio::sync::Semaphore>) {
    let go = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let gate = go.clone();
    let held = move |mut exchange: Exchange| {
        let gate = gate.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            exchange.answer().await
        }
    };
    (Pod::scripted(name, http2::script(held)).await, go)
}
