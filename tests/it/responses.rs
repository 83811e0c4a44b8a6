//! What a pod may not say, and what becomes of it.

use std::time::Duration;

use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, manners};

#[tokio::test]
async fn what_a_pod_may_not_say_is_not_passed_on() {
    let endless = "a".repeat(20_000);
    let many = "x-a: 1\r\n".repeat(2_000);
    for (what, answer) in [
        (
            "a head that is too large",
            format!("HTTP/1.1 200 OK\r\nx-big: {endless}\r\ncontent-length: 0\r\n\r\n"),
        ),
        (
            "too many fields",
            format!("HTTP/1.1 200 OK\r\n{many}content-length: 0\r\n\r\n"),
        ),
        ("no HTTP", "220 mail ready\r\n\r\n".to_owned()),
        ("bytes of all kinds", "\0\u{1}\u{2}\r\n\r\n\r\n".to_owned()),
        (
            "Content-Lengths that differ",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_owned(),
        ),
        (
            "a switch of protocols that nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"
                .to_owned(),
        ),
        (
            "a header with a NUL",
            "HTTP/1.1 200 OK\r\nx-a: \0\r\ncontent-length: 0\r\n\r\n".to_owned(),
        ),
    ] {
        let pods = [
            Pod::scripted("a", manners::say(answer.clone())).await,
            Pod::scripted("b", manners::say(answer)).await,
        ];
        let mut sidecar = Sidecar::over(&pods)
            .with("--max-header-bytes", "16KiB")
            .start()
            .await;
        let answer = sidecar.get("/").await;
        assert_eq!(
            (answer.status(), answer.flag()),
            (502, Some("UPE")),
            "{what}"
        );
        assert!(sidecar.is_running(), "{what}");
        let sent: usize = pods.iter().map(|pod| pod.record().heads.len()).sum();
        assert_eq!(sent, 1, "{what}: it was processed, so it is not repeated");
    }
}

#[tokio::test]
async fn an_endless_response_head_ends() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        session.request().await?;
        session.wire.send("HTTP/1.1 200 OK\r\nx-endless: ").await?;
        while session.wire.send([b'a'; 4096]).await.is_ok() {}
        Ok(())
    })
    .await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let answer = sidecar.get("/").await;
    assert_eq!((answer.status(), answer.flag()), (502, Some("UPE")));
    pod.until("the end of its connection", |record| record.open == 0)
        .await;
}

#[tokio::test]
async fn interim_responses_without_end_are_not_waited_for_for_ever() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        session.request().await?;
        while session
            .wire
            .send("HTTP/1.1 102 Processing\r\n\r\n")
            .await
            .is_ok()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    })
    .await;
    let sidecar = Sidecar::over([&pod])
        .with("--response-timeout", "300ms")
        .start()
        .await;
    assert_eq!(sidecar.get("/").await.flag(), Some("UT"));
}

#[tokio::test]
async fn a_length_beside_chunks_is_not_passed_on() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 40\r\ntransfer-encoding: chunked\r\n\r\n\
                  2\r\nok\r\n0\r\n\r\n";
    let pod = Pod::scripted("a", manners::say(answer)).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let answer = sidecar.get("/").await;
    assert_eq!(answer.text(), "ok");
    assert_eq!(answer.field("content-length"), None);
}

/// Passed on without its name, the coding would make the body unreadable.
#[tokio::test]
async fn a_coding_that_was_not_asked_for_is_refused() {
    for coding in [
        "gzip, chunked",
        "gzip",
        "chunked, gzip",
        "identity",
        "chunked, chunked",
    ] {
        let answer =
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {coding}\r\n\r\n2\r\nok\r\n0\r\n\r\n");
        let pod = Pod::scripted("a", manners::say_and_close(answer)).await;
        let sidecar = Sidecar::over([&pod]).start().await;
        let answer = sidecar.get("/").await;
        assert_eq!(
            (answer.status(), answer.flag()),
            (502, Some("UPE")),
            "{coding}"
        );
    }
}

#[tokio::test]
async fn a_length_told_twice_is_told_once_to_the_client() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok";
    let pod = Pod::scripted("a", manners::say(answer)).await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let answer = sidecar.get("/").await;
    assert_eq!(answer.text(), "ok");
    assert_eq!(answer.head.all("content-length"), ["2"]);
}
