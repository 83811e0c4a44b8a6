//! The end: SIGTERM lets what was begun be finished, and takes on nothing new.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::support::client::get;
use crate::support::pod::Session;
use crate::support::{Client, Load, Pod, Sidecar, Slices, eventually, soon};

/// A client whose request the pod has and has not answered.
async fn waiting(sidecar: &Sidecar, pod: &Pod) -> Client {
    let before = pod.record().heads.len();
    let mut client = sidecar.client().await;
    client.send(get("/")).await;
    pod.until("the request", |record| record.heads.len() > before)
        .await;
    client
}

async fn until_nobody_listens(sidecar: &Sidecar) {
    eventually("the listeners to close", async || {
        TcpStream::connect(sidecar.proxy)
            .await
            .is_err()
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn requests_in_flight_are_finished_and_the_exit_is_clean() {
    let (pod, go) = Pod::gated("a").await;
    let mut sidecar = Sidecar::over([&pod]).start().await;
    let mut client = waiting(&sidecar, &pod).await;
    sidecar.signal(Signal::TERM);
    until_nobody_listens(&sidecar).await;
    assert!(sidecar.is_running());
    go.add_permits(1);
    let answer = client.response().await;
    assert_eq!(answer.pod(), "a");
    assert_eq!(answer.field("connection"), Some("close"));
    client.closed().await;
    drop(client);
    assert_eq!(sidecar.exit_code().await, Some(0));
}

#[tokio::test]
async fn readiness_falls_and_the_process_still_tells_its_state() {
    let (pod, go) = Pod::gated("a").await;
    let mut sidecar = Sidecar::over([&pod]).start().await;
    let mut client = waiting(&sidecar, &pod).await;
    assert_eq!(sidecar.admin("/readyz").await.status(), 200);
    sidecar.signal(Signal::TERM);
    let answer = eventually("readiness to fall", async || {
        let answer = sidecar.admin("/readyz").await;
        (answer.status() == 503).then_some(answer)
    })
    .await;
    assert!(answer.text().contains("drain"), "{}", answer.text());
    assert_eq!(sidecar.admin("/livez").await.status(), 200);
    assert_eq!(sidecar.state_of(&pod).await["in_flight"], 1);
    go.add_permits(1);
    client.response().await;
    assert_eq!(sidecar.exit_code().await, Some(0));
}

#[tokio::test]
async fn idle_and_silent_clients_do_not_delay_the_end() {
    let pod = Pod::start("a").await;
    let mut sidecar = Sidecar::over([&pod]).start().await;
    let mut silent = sidecar.client().await;
    let mut idle = sidecar.client().await;
    idle.get("/").await;
    sidecar.signal(Signal::TERM);
    let since = Instant::now();
    assert_eq!(sidecar.exit_code().await, Some(0));
    assert!(since.elapsed() < Duration::from_secs(5));
    idle.closed().await;
    soon("the end", silent.wire.gone()).await;
}

#[tokio::test]
async fn a_request_whose_body_is_on_its_way_is_finished() {
    let pod = Pod::start("a").await;
    let mut sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    client
        .send("POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 8\r\n\r\nhalf")
        .await;
    pod.until("the head", |record| record.heads.len() == 1)
        .await;
    sidecar.signal(Signal::TERM);
    until_nobody_listens(&sidecar).await;
    client.send("half").await;
    assert_eq!(client.response().await.pod(), "a");
    assert_eq!(sidecar.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_request_whose_head_is_on_its_way_is_finished() {
    let pod = Pod::start("a").await;
    let mut sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    client.get("/").await;
    client.send("GET /late HTTP/1.1\r\nHo").await;
    // The sidecar has read it: an answer on the other worker's way round the loop is proof enough of time passed.
    for _ in 0..3 {
        sidecar.get("/").await;
    }
    sidecar.signal(Signal::TERM);
    until_nobody_listens(&sidecar).await;
    client.send("st: shop\r\n\r\n").await;
    assert_eq!(client.response().await.pod(), "a");
    assert_eq!(sidecar.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_drain_under_load_loses_no_request() {
    let pods = [Pod::start("a").await, Pod::start("b").await];
    for _ in 0..5 {
        let mut sidecar = Sidecar::over(&pods).start().await;
        let load = Load::start(sidecar.proxy, 16);
        load.more(100).await;
        sidecar.signal(Signal::TERM);
        let tally = load.ended().await;
        tally.assert_nothing_lost();
        assert!(tally.answered() >= 100);
        assert_eq!(sidecar.exit_code().await, Some(0));
    }
}

/// Where a process sleeps through it all, the kernel accepts for it.
#[tokio::test]
async fn what_the_kernel_had_accepted_before_the_signal_is_served() {
    let pod = Pod::start("a").await;
    for _ in 0..5 {
        let mut sidecar = Sidecar::over([&pod]).start().await;
        let mut known = sidecar.client().await;
        known.get("/").await;
        sidecar.signal(Signal::STOP);
        let mut clients = vec![known];
        for _ in 0..8 {
            clients.push(sidecar.client().await);
        }
        for client in &mut clients {
            client.send(get("/")).await;
        }
        sidecar.signal(Signal::TERM);
        sidecar.signal(Signal::CONT);
        for client in &mut clients {
            assert_eq!(client.response().await.pod(), "a");
        }
        drop(clients);
        assert_eq!(sidecar.exit_code().await, Some(0));
    }
}

#[tokio::test]
async fn a_held_request_may_still_be_served_while_draining() {
    let slices = Slices::none();
    let mut sidecar = Sidecar::watching(&slices).start().await;
    let mut client = sidecar.client().await;
    client.send(get("/")).await;
    eventually("the request to be held", async || {
        (sidecar.metric("podrobin_requests_held", &[]).await >= 1.0).then_some(())
    })
    .await;
    sidecar.signal(Signal::TERM);
    until_nobody_listens(&sidecar).await;
    let pod = Pod::start("a").await;
    slices.set([&pod]);
    assert_eq!(client.response().await.pod(), "a");
    assert_eq!(sidecar.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_drain_has_an_end() {
    let (pod, _never) = Pod::gated("a").await;
    let mut sidecar = Sidecar::over([&pod]).with("--drain", "500ms").start().await;
    let mut client = waiting(&sidecar, &pod).await;
    sidecar.signal(Signal::TERM);
    let since = Instant::now();
    let code = sidecar.exit_code().await;
    let took = since.elapsed();
    assert!(took >= Duration::from_millis(400), "{took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    // Requests were cut off: that is no clean drain.
    assert_ne!(code, Some(0));
    soon("the end", client.wire.gone()).await;
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    for second in [Signal::TERM, Signal::INT] {
        let (pod, _never) = Pod::gated("a").await;
        let mut sidecar = Sidecar::over([&pod]).start().await;
        let _client = waiting(&sidecar, &pod).await;
        sidecar.signal(Signal::TERM);
        until_nobody_listens(&sidecar).await;
        assert!(sidecar.is_running());
        let since = Instant::now();
        sidecar.signal(second);
        sidecar.exit_code().await;
        assert!(since.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn the_request_after_a_response_that_was_under_way_is_served_too() {
    let go = Arc::new(Semaphore::new(0));
    let gate = go.clone();
    let pod = Pod::scripted("a", move |mut session: Session| {
        let gate = gate.clone();
        async move {
            session.request().await?;
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbo";
            session.wire.send(head).await?;
            gate.acquire().await.unwrap().forget();
            session.wire.send("dy").await?;
            while session.request().await?.is_some() {
                session.answer().await?;
            }
            Ok(())
        }
    })
    .await;
    let mut sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    client.send(get("/")).await;
    // Its head says nothing of an end, so the client may well go on.
    let head = client.head().await;
    assert_eq!(head.field("connection"), None);
    sidecar.signal(Signal::TERM);
    until_nobody_listens(&sidecar).await;
    go.add_permits(1);
    assert_eq!(client.wire.exact(4).await.unwrap(), b"body");
    let next = client.get("/").await;
    assert_eq!(
        (next.status(), next.field("connection")),
        (200, Some("close"))
    );
    drop(client);
    assert_eq!(sidecar.exit_code().await, Some(0));
}
