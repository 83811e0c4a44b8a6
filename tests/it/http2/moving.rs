//! Streams that a pod turns away, and what happens to those it took.

use std::io;

use h2::Reason;

use crate::support::frames::{self, Frame};
use crate::support::http2::{self, Exchange};
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar};

/// A pod that follows `script`, which gets the next request, and a good one, which has had one.
async fn beside<F, Fut>(script: F) -> (Pod, Pod, Sidecar)
where
    F: Fn(Session) -> Fut + Send + 'static,
    Fut: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut bad = Pod::refusing("bad");
    let good = Pod::scripted("good", http2::answer_all).await;
    let sidecar = Sidecar::over([&bad, &good]).http2_to_pods().start().await;
    // The rotation begins anywhere. After the good one's turn comes the other's.
    assert_eq!(sidecar.http2().await.get("/first").await.pod(), "good");
    bad.open(script);
    (bad, good, sidecar)
}

/// Reads the first request's head and returns its stream.
async fn first_stream(session: &mut Session) -> io::Result<u32> {
    session.wire.begin_as_server(&[]).await?;
    Ok(session.wire.frame_of(frames::HEADERS).await?.stream)
}

#[tokio::test]
async fn a_refused_stream_goes_to_another_pod_whatever_its_method() {
    let refuse = |mut exchange: Exchange| async move {
        exchange.reset(Reason::REFUSED_STREAM);
        Ok(())
    };
    let (bad, good, sidecar) = beside(http2::script(refuse)).await;
    let client = sidecar.http2().await;
    for number in 0..4 {
        let answer = client.post("/", b"once").await;
        assert_eq!(
            (answer.status, answer.pod()),
            (200, "good"),
            "request {number}"
        );
    }
    assert!(bad.record().streams >= 2, "{:?}", bad.record());
    let bodies: Vec<Vec<u8>> = good
        .record()
        .calls
        .iter()
        .skip(1)
        .map(|call| call.body.clone())
        .collect();
    assert_eq!(bodies, vec![b"once".to_vec(); 4]);
    assert_eq!(sidecar.state_of(&bad).await["state"], "ready");
}

#[tokio::test]
async fn a_stream_above_goaways_last_goes_to_another_pod_whatever_its_method() {
    let (bad, good, sidecar) = beside(|mut session: Session| async move {
        first_stream(&mut session).await?;
        session.wire.send_frame(&Frame::goaway(0, 0)).await?;
        session.wire.gone().await;
        Ok(())
    })
    .await;
    let answer = sidecar.http2().await.post("/", b"once").await;
    assert_eq!((answer.status, answer.pod()), (200, "good"));
    let last = good.record().calls.last().cloned().unwrap();
    assert_eq!(last.body, b"once");
    assert_eq!(sidecar.state_of(&bad).await["state"], "ready");
}

#[tokio::test]
async fn a_stream_that_goaway_leaves_to_the_pod_is_waited_for() {
    let (_bad, good, sidecar) = beside(|mut session: Session| async move {
        let stream = first_stream(&mut session).await?;
        session.wire.send_frame(&Frame::goaway(stream, 0)).await?;
        let fields = [(":status", "200"), ("x-pod", "bad")];
        session
            .wire
            .send_frame(&Frame::response(stream, frames::END_STREAM, &fields))
            .await?;
        session.wire.gone().await;
        Ok(())
    })
    .await;
    let answer = sidecar.http2().await.post("/", b"once").await;
    assert_eq!((answer.status, answer.pod()), (200, "bad"));
    assert_eq!(good.record().streams, 1);
}

/// The pod had taken it: what must not be repeated is an error, and what may is repeated.
#[tokio::test]
async fn a_stream_that_goaway_left_to_the_pod_and_that_was_lost_is_repeated_only_if_it_may_be() {
    for code in [0, 2] {
        let (_bad, good, sidecar) = beside(move |mut session: Session| async move {
            let stream = first_stream(&mut session).await?;
            session.wire.send_frame(&Frame::goaway(stream, code)).await
        })
        .await;
        let client = sidecar.http2().await;
        let answer = client.post("/", b"once").await;
        assert_eq!(
            (answer.status, answer.flag()),
            (502, Some("UC")),
            "code {code}"
        );
        assert_eq!(good.record().streams, 1);
        // The good one's turn, then the bad one's.
        assert_eq!(client.get("/").await.pod(), "good");
        assert_eq!(client.get("/").await.pod(), "good", "code {code}");
    }
}

#[tokio::test]
async fn a_reset_stream_is_repeated_only_if_its_method_allows() {
    let reset = |mut exchange: Exchange| async move {
        exchange.reset(Reason::INTERNAL_ERROR);
        Ok(())
    };
    let (_bad, _good, sidecar) = beside(http2::script(reset)).await;
    let client = sidecar.http2().await;
    let answer = client.post("/", b"once").await;
    assert_eq!((answer.status, answer.flag()), (502, Some("UC")));
    assert_eq!(client.get("/").await.pod(), "good");
    assert_eq!(client.get("/").await.pod(), "good");
}

#[tokio::test]
async fn a_pod_that_says_farewell_to_every_connection_loses_nothing() {
    let one_each = |mut exchange: Exchange| async move {
        exchange.farewell.notify_one();
        exchange.answer().await
    };
    let pod = Pod::scripted("a", http2::script(one_each)).await;
    let sidecar = Sidecar::over([&pod]).http2_to_pods().start().await;
    let client = sidecar.http2().await;
    for _ in 0..20 {
        assert_eq!(client.post("/", b"x").await.status, 200);
    }
    assert_eq!(pod.record().calls.len(), 20);
}

#[tokio::test]
async fn a_pod_that_ends_each_connection_at_once_is_an_error_and_not_a_loop() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        session.wire.begin_as_server(&[]).await?;
        session.wire.send_frame(&Frame::goaway(0, 0)).await
    })
    .await;
    let sidecar = Sidecar::over([&pod])
        .http2_to_pods()
        .with("--hold", "0")
        .start()
        .await;
    let answer = sidecar.http2().await.get("/").await;
    assert_eq!(answer.status, 502, "{answer:?}");
    let connections = pod.record().connections;
    assert!(
        connections <= 8,
        "{connections} connections for one request"
    );
}

#[tokio::test]
async fn a_pod_that_does_not_speak_http2_is_named_and_gets_no_request() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod]).http2_to_pods().start().await;
    let answer = sidecar.get("/").await;
    assert_eq!(answer.status(), 502);
    let text = answer.text();
    assert!(text.contains("does not speak HTTP/2"), "{text}");
}

#[tokio::test]
async fn the_end_of_a_connection_is_one_failure_however_many_streams_it_takes_along() {
    let (bad, _good, sidecar) = beside(|mut session: Session| async move {
        session.wire.begin_as_server(&[]).await?;
        for _ in 0..6 {
            session.wire.frame_of(frames::HEADERS).await?;
        }
        Ok(())
    })
    .await;
    let client = sidecar.http2().await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let client = client.clone();
        calls.spawn(async move { client.get("/").await.pod().to_owned() });
    }
    assert_eq!(calls.join_all().await, ["good"; 12]);
    assert_eq!(bad.record().connections, 1);
    assert_eq!(sidecar.state_of(&bad).await["state"], "ready");
}
