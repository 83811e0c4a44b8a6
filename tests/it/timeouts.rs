//! What takes too long.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::client::get;
use crate::support::pod::Session;
use crate::support::{Pod, Sidecar, http2, manners, soon};

#[tokio::test]
async fn a_client_that_is_silent_or_slow_is_sent_away() {
    let pod = Pod::start("a").await;
    let mut sidecar = Sidecar::over([&pod])
        .with("--header-timeout", "300ms")
        .with("--client-idle-timeout", "300ms")
        .start()
        .await;
    for (what, first) in [
        ("silent from the start", ""),
        ("slow in its first line", "GE"),
        ("slow in its head", "GET / HTTP/1.1\r\nHost: sh"),
        (
            "idle after an answer",
            "GET / HTTP/1.1\r\nHost: shop\r\n\r\n",
        ),
    ] {
        let mut client = sidecar.client().await;
        client.send(first).await;
        if first.ends_with("\r\n\r\n") {
            client.response().await;
        }
        let since = Instant::now();
        soon(what, client.wire.gone()).await;
        let took = since.elapsed();
        assert!(took >= Duration::from_millis(200), "{what}: {took:?}");
        assert!(took < Duration::from_secs(3), "{what}: {took:?}");
    }
    // One that drips a byte at a time gets no longer.
    let mut client = sidecar.client().await;
    let since = Instant::now();
    let drip = async {
        while client.wire.send("X").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("the end of a dripping client", drip).await;
    assert!(since.elapsed() < Duration::from_secs(3));
    assert!(sidecar.is_running());
}

#[tokio::test]
async fn a_slow_head_of_a_later_request_is_not_waited_for_either() {
    let pod = Pod::start("a").await;
    let sidecar = Sidecar::over([&pod])
        .with("--header-timeout", "300ms")
        .start()
        .await;
    let mut client = sidecar.client().await;
    client.get("/").await;
    client.send("GET / HT").await;
    let since = Instant::now();
    soon("the end", client.wire.gone()).await;
    assert!(since.elapsed() < Duration::from_secs(3));
    // Between requests there is all the time of an idle connection.
    let mut idle = sidecar.client().await;
    idle.get("/").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(idle.get("/").await.pod(), "a");
}

#[tokio::test]
async fn a_pod_that_takes_too_long_to_answer_is_not_waited_for() {
    let pod = Pod::scripted("a", manners::never_answer).await;
    let sidecar = Sidecar::over([&pod])
        .with("--response-timeout", "200ms")
        .start()
        .await;
    let answer = sidecar.get("/").await;
    assert_eq!((answer.status(), answer.flag()), (504, Some("UT")));
    // It may be at work on it: never repeated, and told that nobody waits.
    pod.until("the end of its connection", |record| record.open == 0)
        .await;
    assert_eq!(pod.record().heads.len(), 1);
}

#[tokio::test]
async fn the_response_timeout_does_not_count_a_slow_upload_or_a_slow_body() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        session.request().await?;
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbo";
        session.wire.send(head).await?;
        tokio::time::sleep(Duration::from_millis(600)).await;
        session.wire.send("dy").await
    })
    .await;
    let sidecar = Sidecar::over([&pod])
        .with("--response-timeout", "300ms")
        .start()
        .await;
    let mut client = sidecar.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\nsl")
        .await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    client.send("ow").await;
    assert_eq!(client.response().await.text(), "body");
}

#[tokio::test]
async fn a_pod_that_does_not_take_an_upload_is_not_waited_for() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        session.head().await?;
        std::future::pending().await
    })
    .await;
    let sidecar = Sidecar::over([&pod])
        .with("--response-timeout", "300ms")
        .start()
        .await;
    let mut client = sidecar.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 1000000000\r\n\r\n")
        .await;
    // More than sockets and buffers hold, so that it is the pod that is waited for.
    let (mut reader, mut writer) = client.wire.stream().split();
    let upload = async {
        let chunk = vec![b'x'; 1 << 20];
        while writer.write_all(&chunk).await.is_ok() {}
    };
    let mut answer = [0; 12];
    tokio::select! {
        () = upload => {}
        read = soon("an answer", reader.read_exact(&mut answer)) => {
            read.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 504");
        }
    }
}

#[tokio::test]
async fn a_request_has_an_end_whatever_keeps_it() {
    let silent = Pod::scripted("silent", manners::never_answer).await;
    let sidecar = Sidecar::over([&silent])
        .with("--request-timeout", "200ms")
        .start()
        .await;
    let answer = sidecar.get("/").await;
    assert_eq!((answer.status(), answer.flag()), (504, Some("UT")));

    // Once the response's head is out, all that is left is to cut it short.
    let endless = Pod::scripted("endless", |mut session: Session| async move {
        session.request().await?;
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        session.wire.send(head).await?;
        while session.wire.send("1\r\nx\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    })
    .await;
    let sidecar = Sidecar::over([&endless])
        .with("--request-timeout", "300ms")
        .start()
        .await;
    let mut client = sidecar.client().await;
    client.send(get("/")).await;
    client.try_response().await.unwrap_err();
    endless
        .until("the end of its connection", |record| record.open == 0)
        .await;
}

#[tokio::test]
async fn a_request_has_an_end_even_if_its_client_does_not_read() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        session.request().await?;
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
        session.wire.send(head).await?;
        let chunk = vec![b'x'; 1 << 20];
        loop {
            session.wire.send(&chunk).await?;
        }
    })
    .await;
    let sidecar = Sidecar::over([&pod])
        .with("--request-timeout", "300ms")
        .start()
        .await;
    let mut client = sidecar.client().await;
    client.send(get("/")).await;
    pod.until("the end of its connection", |record| {
        record.connections == 1 && record.open == 0
    })
    .await;
    assert_eq!(
        sidecar
            .metric("podrobin_requests_total", &["flag=\"UT\""])
            .await,
        1.0
    );
}

#[tokio::test]
async fn the_longest_times_that_can_be_set_are_as_good_as_for_ever() {
    const TIMES: [&str; 20] = [
        "--connect-timeout",
        "--header-timeout",
        "--client-idle-timeout",
        "--client-stall",
        "--upstream-idle-timeout",
        "--upstream-keepalive",
        "--response-timeout",
        "--request-timeout",
        "--tunnel-idle-timeout",
        "--hold",
        "--drain",
        "--pending-timeout",
        "--eject-time",
        "--eject-longest",
        "--eject-interval",
        "--slow-start",
        "--health-check-interval",
        "--health-check-timeout",
        "--per-try-timeout",
        "--hedge",
    ];
    for http2 in [false, true] {
        let broken = Pod::refusing("broken");
        let good = match http2 {
            false => Pod::start("good").await,
            true => Pod::scripted("good", http2::answer_all).await,
        };
        let mut plan = Sidecar::over([&broken, &good]);
        for time in TIMES {
            // Shorter than what it is to come before.
            let longest = match time {
                "--per-try-timeout" => "8759h",
                "--hedge" => "8758h",
                _ => "8760h",
            };
            plan = plan.with(time, longest);
        }
        plan = plan
            .with("--health-check", "tcp")
            .with("--max-pod-requests", "10")
            .with("--eject-latency", "3")
            .with("--retry-backoff", "1ms..8760h")
            .without_budget();
        if http2 {
            plan = plan.http2_to_pods();
        }
        let sidecar = plan.start().await;
        for _ in 0..20 {
            assert_eq!(sidecar.get("/").await.pod(), "good");
        }
        assert_eq!(sidecar.http2().await.get("/").await.pod(), "good");
        sidecar.until_state(&broken, "ejected").await;
    }
}
