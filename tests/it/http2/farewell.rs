//! Our own goodbye to clients: on drain, and after a long silence.

use rustix::process::Signal;

use crate::support::frames::{self, Frame, GOAWAY};
use crate::support::http2;
use crate::support::log::field;
use crate::support::wire::Wire;
use crate::support::{Pod, Sidecar, manners, soon};

#[tokio::test]
async fn a_drain_says_so_serves_what_is_under_way_and_ends_the_connection() {
    let (pod, go) = Pod::gated("a").await;
    let mut sidecar = Sidecar::over([&pod]).start().await;
    let client = sidecar.http2().await;
    let call = client.open(http2::post("/"), true).await.unwrap();
    pod.until("the request", |record| record.heads.len() == 1)
        .await;
    sidecar.signal(Signal::TERM);
    sidecar
        .log
        .until("the drain", 1, |line| field(line, "message") == "draining")
        .await;
    go.add_permits(1);
    assert_eq!(call.answer().await.unwrap().pod(), "a");
    client.ended().await;
    assert_eq!(sidecar.exit_code().await, Some(0));
}

/// What reached the pod was answered, and what was not answered is known not to have been looked at.
#[tokio::test]
async fn a_drain_in_the_middle_of_traffic_loses_no_request() {
    let pod = Pod::start("a").await;
    let mut sidecar = Sidecar::over([&pod]).start().await;
    let client = sidecar.http2().await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let client = client.clone();
        calls.spawn(async move {
            let mut answered = 0;
            loop {
                let outcome = match client.open(http2::post("/"), true).await {
                    Ok(call) => call.answer().await,
                    Err(error) => Err(error),
                };
                match outcome {
                    Ok(answer) => {
                        assert_eq!(answer.status, 200);
                        answered += 1;
                    }
                    Err(error) => {
                        assert!(error.is_go_away(), "{error:?}");
                        return answered;
                    }
                }
            }
        });
    }
    pod.until("traffic", |record| record.requests.len() > 200)
        .await;
    sidecar.signal(Signal::TERM);
    let answered: usize = calls.join_all().await.into_iter().sum();
    assert_eq!(answered, pod.record().requests.len());
    drop(client);
    assert_eq!(sidecar.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_drain_does_not_wait_for_a_client_that_does_not_answer() {
    let pod = Pod::start("a").await;
    let mut sidecar = Sidecar::over([&pod]).start().await;
    let mut wire = Wire::connect(sidecar.proxy).await.unwrap();
    wire.begin_as_client(&[]).await.unwrap();
    wire.send_frame(&Frame::get(1, "/")).await.unwrap();
    soon("the answer", wire.frame_of(frames::HEADERS))
        .await
        .unwrap();
    sidecar.signal(Signal::TERM);
    // Its pings stay without an acknowledgement.
    assert_eq!(sidecar.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_client_with_nothing_to_say_is_told_and_let_go() {
    let pod = Pod::start("a").await;
    let plan = Sidecar::over([&pod]).with("--client-idle-timeout", "300ms");
    let sidecar = plan.start().await;
    let mut wire = Wire::connect(sidecar.proxy).await.unwrap();
    wire.begin_as_client(&[]).await.unwrap();
    let goaway = soon("the farewell", wire.frame_of(GOAWAY)).await.unwrap();
    assert_eq!(goaway.code(), 0);
    soon("the end", wire.gone()).await;
}

/// As callers do whose time is up, over and over on one connection.
#[tokio::test]
async fn a_client_that_cancelled_its_request_is_told_and_let_go_as_well() {
    let silent = Pod::scripted("silent", manners::never_answer).await;
    let plan = Sidecar::over([&silent]).with("--client-idle-timeout", "300ms");
    let sidecar = plan.start().await;
    let mut wire = Wire::connect(sidecar.proxy).await.unwrap();
    wire.begin_as_client(&[]).await.unwrap();
    wire.send_frame(&Frame::get(1, "/")).await.unwrap();
    silent
        .until("the request", |record| record.requests.len() == 1)
        .await;
    let cancel = h2::Reason::CANCEL.into();
    wire.send_frame(&Frame::reset(1, cancel)).await.unwrap();
    let goaway = soon("the farewell", wire.frame_of(GOAWAY)).await.unwrap();
    assert_eq!(goaway.code(), 0);
    soon("the end", wire.gone()).await;
}

/// A head that begins and does not end keeps a connection no longer than silence does.
#[tokio::test]
async fn a_client_whose_head_never_ends_is_let_go() {
    let pod = Pod::start("a").await;
    let plan = Sidecar::over([&pod]).with("--client-idle-timeout", "300ms");
    let sidecar = plan.start().await;
    let mut wire = Wire::connect(sidecar.proxy).await.unwrap();
    wire.begin_as_client(&[]).await.unwrap();
    let head = Frame::get(1, "/").bytes();
    wire.send(&head[..head.len() - 1]).await.unwrap();
    soon("the end", wire.gone()).await;
    assert_eq!(pod.record().heads.len(), 0);
}

#[tokio::test]
async fn a_client_that_stops_within_the_first_words_is_let_go_in_time() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod])
        .with("--header-timeout", "300ms")
        .start()
        .await;
    let mut client = sidecar.client().await;
    client.send(&frames::PREFACE[..10]).await;
    let answer = client.response().await;
    assert_eq!((answer.status(), answer.flag()), (408, Some("DPE")));
    client.closed().await;
}
