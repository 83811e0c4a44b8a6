//! Answers that do not end, or are not what they say.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{Asked, among_good_pods};
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar};

/// Answers the first request of each connection with `head`, and then says `more` until nobody listens.
async fn go_on(mut session: Session, head: &str, more: &[u8]) -> io::Result<()> {
    session.request().await?;
    session.wire.send(head).await?;
    let more = more.repeat(4096 / more.len());
    loop {
        session.wire.send(&more).await?;
    }
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    for (what, head, more) in [
        ("fields", "HTTP/1.1 200 OK\r\n", "x-a: 1\r\n"),
        ("a field", "HTTP/1.1 200 OK\r\nx-a: ", "aaaaaaaa"),
        ("a reason", "HTTP/1.1 200 ", "aaaaaaaa"),
        ("empty lines", "", "\r\n"),
        ("NULs", "", "\0"),
    ] {
        let script = move |session| go_on(session, head, more.as_bytes());
        let (tally, _) = among_good_pods(what, Asked::Gets, script).await;
        assert!(!tally.failed.is_empty(), "{what}");
        assert!(tally.failed.keys().all(|flag| flag == "UPE"), "{what}");
    }
}

/// hyper reads them for as long as they come: what refuses them is the bound of a head.
#[tokio::test]
async fn interim_responses_without_end_are_refused() {
    for interim in [
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n",
    ] {
        let script = move |session| go_on(session, "", interim.as_bytes());
        let (tally, _) = among_good_pods("interim responses", Asked::Gets, script).await;
        assert!(!tally.failed.is_empty());
        assert!(tally.failed.keys().all(|flag| flag == "UPE"), "{tally:?}");
    }
}

#[tokio::test]
async fn interim_responses_within_the_bound_are_passed_over() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        while session.request().await?.is_some() {
            let interim = "HTTP/1.1 102 Processing\r\n\r\n".repeat(1_000);
            session.wire.send(interim).await?;
            session.answer().await?;
        }
        Ok(())
    })
    .await;
    let sidecar = Sidecar::over([&pod]).on_one_worker().start().await;
    // Each request has the bound to itself.
    for _ in 0..5 {
        assert_eq!(sidecar.get("/").await.pod(), "a");
    }
    assert_eq!(pod.record().connections, 1);
}

#[tokio::test]
async fn framing_without_end_is_cut() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nx-pod: bad\r\ntransfer-encoding: chunked\r\n\r\n";
    for (what, begin, more) in [
        ("trailers", "2\r\nok\r\n0\r\n", "x-a: 1\r\n"),
        ("a trailer", "2\r\nok\r\n0\r\nx-a: ", "aaaaaaaa"),
        ("an extension", "2;", "aaaaaaaa"),
        ("a size", "", "00000000"),
        ("white space", "2", "        "),
    ] {
        let head = format!("{HEAD}{begin}");
        let script = move |session| {
            let head = head.clone();
            async move { go_on(session, &head, more.as_bytes()).await }
        };
        let (tally, _) = among_good_pods(what, Asked::Gets, script).await;
        assert!(!tally.by_pod.contains_key("bad"), "{what}: {tally:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_longer_or_shorter_than_it_said_harms_nobody_else() {
    for (what, answer) in [
        (
            "longer",
            "HTTP/1.1 200 OK\r\nx-pod: bad\r\ncontent-length: 3\r\n\r\nbad and more",
        ),
        (
            "a second answer",
            "HTTP/1.1 200 OK\r\nx-pod: bad\r\ncontent-length: 0\r\n\r\n\
             HTTP/1.1 200 OK\r\nx-pod: stray\r\ncontent-length: 0\r\n\r\n",
        ),
        (
            "shorter",
            "HTTP/1.1 200 OK\r\nx-pod: bad\r\ncontent-length: 9\r\n\r\nbad",
        ),
    ] {
        for asked in [Asked::Gets, Asked::Uploads] {
            let script = move |mut session: Session| async move {
                session.request().await?;
                session.wire.send(answer).await
            };
            let (tally, _) = among_good_pods(what, asked, script).await;
            let passed = tally.by_pod.contains_key("bad");
            assert_eq!(passed, what != "shorter", "{what}: {tally:?}");
            assert!(!tally.by_pod.contains_key("stray"), "{what}: {tally:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_before_the_request_harms_nobody_else() {
    let script = |mut session: Session| async move {
        session.answer().await?;
        while session.request().await?.is_some() {
            session.answer().await?;
        }
        Ok(())
    };
    for asked in [Asked::Gets, Asked::Uploads] {
        among_good_pods("an answer before the request", asked, script).await;
    }
}

#[tokio::test]
async fn an_answer_before_the_end_of_an_upload_harms_nobody_else() {
    let script = |mut session: Session| async move {
        session.head().await?;
        session.answer().await
    };
    let (tally, _) = among_good_pods("an early answer", Asked::Uploads, script).await;
    assert!(tally.by_pod.contains_key("bad"), "{tally:?}");
}

/// It lies in the connection until the next request would be sent there, which must not take it for its answer.
#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_given_to_nobody() {
    let said = Arc::new(Semaphore::new(0));
    let says = said.clone();
    let pod = Pod::scripted("a", move |mut session: Session| {
        let says = says.clone();
        async move {
            session.request().await?;
            session.answer().await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
            let stray = "HTTP/1.1 200 OK\r\nx-pod: stray\r\ncontent-length: 0\r\n\r\n";
            session.wire.send(stray).await?;
            says.add_permits(1);
            while session.request().await?.is_some() {}
            Ok(())
        }
    })
    .await;
    let sidecar = Sidecar::over([&pod]).on_one_worker().start().await;
    let mut client = sidecar.client().await;
    for number in 1..=5 {
        assert_eq!(client.get("/").await.pod(), "a");
        said.acquire().await.unwrap().forget();
        assert_eq!(pod.record().connections, number);
    }
}

#[tokio::test]
async fn answers_byte_by_byte_harm_nobody() {
    let script = |mut session: Session| async move {
        while session.request().await?.is_some() {
            let answer = "HTTP/1.1 200 OK\r\nx-pod: bad\r\ntransfer-encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n";
            for byte in answer.bytes() {
                session.wire.send([byte]).await?;
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    };
    let (tally, _) = among_good_pods("byte by byte", Asked::Gets, script).await;
    assert!(tally.failed.is_empty(), "{tally:?}");
    assert!(tally.by_pod.contains_key("bad"), "{tally:?}");
}
