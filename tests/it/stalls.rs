//! Clients that keep a request waiting for them (`--client-stall`), and those that only seem to.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;

use crate::support::client::get;
use crate::support::frames::Frame;
use crate::support::http2;
use crate::support::pod::Session;
use crate::support::wire::Wire;
use crate::support::{Pod, Sidecar, eventually, manners, soon};

const STALL: Duration = Duration::from_millis(500);

/// Longer than any client may stall.
const LONGER: Duration = Duration::from_millis(1200);

const MIB: usize = 1 << 20;

async fn over(pod: &Pod) -> Sidecar {
    Sidecar::over([pod])
        .with("--client-stall", &format!("{}ms", STALL.as_millis()))
        .on_one_worker()
        .start()
        .await
}

/// Answers each request with so many MiB.
async fn answer_much(mut session: Session, mib: usize) -> std::io::Result<()> {
    let piece = vec![b'x'; MIB];
    while session.request().await?.is_some() {
        let length = mib * MIB;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        session.wire.send(head).await?;
        for _ in 0..mib {
            session.wire.send(&piece).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_upload_that_stops_is_given_up() {
    let pod = Pod::start("a").await;
    let sidecar = over(&pod).await;
    for upload in [
        "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\nhalf",
        "PUT / HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\nhalf",
        "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
    ] {
        let mut client = sidecar.client().await;
        let since = Instant::now();
        let answer = client.ask(upload).await;
        assert_eq!((answer.status(), answer.flag()), (408, Some("DPE")));
        assert!(since.elapsed() >= STALL, "{upload}");
        assert_eq!(answer.field("connection"), Some("close"));
        client.wire.gone().await;
        pod.until("the end of its connection", |record| record.open == 0)
            .await;
    }
    let record = pod.record();
    assert_eq!(record.requests.len(), 0);
    assert_eq!(record.heads.len(), 5, "none is sent twice");
    drop(record);
    assert_eq!(sidecar.state_of(&pod).await["state"], "ready");
    assert_eq!(sidecar.get("/").await.pod(), "a");
}

#[tokio::test]
async fn an_upload_that_goes_on_may_take_long() {
    let pod = Pod::start("a").await;
    let sidecar = over(&pod).await;
    let mut client = sidecar.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 16\r\n\r\n")
        .await;
    let since = Instant::now();
    for byte in b"sixteen bytes so" {
        tokio::time::sleep(STALL / 4).await;
        client.send([*byte]).await;
    }
    assert_eq!(client.response().await.pod(), "a");
    assert!(since.elapsed() > 3 * STALL);
    assert_eq!(pod.only_request().body, b"sixteen bytes so");
}

/// A stream of messages comes when there is something to say.
#[tokio::test]
async fn an_upload_of_grpc_may_pause() {
    let pod = Pod::start("a").await;
    let sidecar = over(&pod).await;
    let client = sidecar.http2().await;
    let mut call = client.open(http2::call("/"), false).await.unwrap();
    call.upload.send_data("bo".into(), false).unwrap();
    tokio::time::sleep(LONGER).await;
    call.upload.send_data("dy".into(), true).unwrap();
    assert_eq!(call.answer().await.unwrap().pod(), "a");
    // And one that is no call may not.
    let mut request = client.open(http2::post("/"), false).await.unwrap();
    request.upload.send_data("bo".into(), false).unwrap();
    let answer = request.answer().await.unwrap();
    assert_eq!((answer.status, answer.flag()), (408, Some("DPE")));
}

/// Over HTTP/2 it is the client as a whole that is given up, once it takes nothing of anything.
#[tokio::test]
async fn a_client_that_takes_none_of_its_streams_is_cut_off() {
    let body = "x".repeat(100_000);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{body}");
    let pod = Pod::scripted("a", manners::say(answer)).await;
    let sidecar = over(&pod).await;
    let mut wire = Wire::connect(sidecar.proxy).await.unwrap();
    // A window of one byte, and no more after that.
    wire.begin_as_client(&[(4, 1)]).await.unwrap();
    for number in 0..10 {
        let head = Frame::get(number * 2 + 1, "/");
        wire.send_frame(&head).await.unwrap();
    }
    soon("the cut", wire.gone()).await;
    pod.until("the end of its connections", |record| record.open == 0)
        .await;
}

#[tokio::test]
async fn a_pod_that_takes_its_time_is_not_held_against_its_client() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        while let Some(head) = session.head().await? {
            // It reads late, answers late, and goes on late.
            tokio::time::sleep(LONGER).await;
            session.rest(head).await?;
            tokio::time::sleep(LONGER).await;
            let half = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbo";
            session.wire.send(half).await?;
            tokio::time::sleep(LONGER).await;
            session.wire.send("dy").await?;
        }
        Ok(())
    })
    .await;
    let sidecar = over(&pod).await;
    // More than sockets take while the pod does not read.
    let upload = vec![b'x'; 16 * MIB];
    let request = crate::support::client::post("/", &upload);
    let mut client = sidecar.client().await;
    assert_eq!(client.get("/").await.text(), "body");
    soon("the upload", client.wire.send(request)).await.unwrap();
    assert_eq!(client.response().await.text(), "body");
}

#[tokio::test]
async fn a_client_has_its_time_anew_with_each_pod() {
    let asked = Arc::<AtomicUsize>::default();
    let mut pods = Vec::new();
    for name in ["a", "b", "c"] {
        let asked = asked.clone();
        let script = move |mut session: Session| {
            let asked = asked.clone();
            async move {
                let head = session.head().await?.ok_or(ErrorKind::UnexpectedEof)?;
                if asked.fetch_add(1, Relaxed) == 2 {
                    session.rest(head).await?;
                    return session.answer().await;
                }
                // The first two wait for less than a stall, and go.
                tokio::time::sleep(STALL * 7 / 10).await;
                session.wire.reset()
            }
        };
        pods.push(Pod::scripted(name, script).await);
    }
    let sidecar = Sidecar::over(&pods)
        .with("--client-stall", &format!("{}ms", STALL.as_millis()))
        .on_one_worker()
        .start()
        .await;
    let mut client = sidecar.client().await;
    client
        .send("PUT / HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\nbo")
        .await;
    eventually("the third pod to be asked", async || {
        (asked.load(Relaxed) == 3).then_some(())
    })
    .await;
    client.send("dy").await;
    assert_eq!(client.response().await.status(), 200);
}

#[tokio::test]
async fn a_response_that_is_not_taken_is_cut() {
    let pod = Pod::scripted("a", |session| answer_much(session, 64)).await;
    let sidecar = over(&pod).await;
    let mut client = sidecar.client().await;
    client.send(get("/")).await;
    pod.until("the end of its connection", |record| {
        record.connections == 1 && record.open == 0
    })
    .await;
    // What was on its way may still come; a clean end does not.
    let error = soon("the end", async {
        let stream = client.wire.stream();
        let mut piece = vec![0; MIB];
        loop {
            match stream.read(&mut piece).await {
                Ok(0) => panic!("it looks like the end"),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    eventually("its end in the metrics", async || {
        let open = sidecar.metric("podrobin_requests_in_flight", &[]).await;
        (open == 0.0).then_some(())
    })
    .await;
    let gone = sidecar.metric("podrobin_requests_total", &["flag=\"DC\""]);
    assert_eq!(gone.await, 1.0);
}

#[tokio::test]
async fn a_response_that_is_taken_slowly_arrives_whole() {
    let pod = Pod::scripted("a", |session| answer_much(session, 16)).await;
    let sidecar = over(&pod).await;
    let mut client = sidecar.client().await;
    client.send(get("/")).await;
    let since = Instant::now();
    let head = client.head().await;
    assert_eq!(head.status(), 200);
    for _ in 0..16 {
        tokio::time::sleep(STALL / 4).await;
        soon("a piece", client.wire.skim(MIB)).await.unwrap();
    }
    assert!(since.elapsed() > 3 * STALL);
    assert_eq!(pod.record().connections, 1);
}

#[tokio::test]
async fn a_client_that_has_taken_everything_may_wait_for_its_next_request() {
    let pod = Pod::scripted("a", manners::answer_all).await;
    let sidecar = over(&pod).await;
    let mut client = sidecar.client().await;
    for _ in 0..2 {
        assert_eq!(client.get("/").await.pod(), "a");
        tokio::time::sleep(LONGER).await;
    }
    assert_eq!(client.get("/").await.pod(), "a");
}
