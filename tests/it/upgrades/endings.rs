//! How tunnels end: by themselves, by a crash, by the drain.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::{ASK, SWITCH, assert_echoes, echo, echoing, switching, tunnel};
use crate::support::client::get;
use crate::support::pod::Session;
use crate::support::{Client, Pod, Sidecar, eventually, soon};

/// Waits until the connection ends, and says how.
async fn end(client: &mut Client) -> Result<(), ErrorKind> {
    let mut rest = Vec::new();
    let read = client.wire.stream().read_to_end(&mut rest);
    let ended = soon("the end", read).await;
    ended.map(|_| ()).map_err(|error| error.kind())
}

async fn until_nobody_listens(sidecar: &Sidecar) {
    eventually("the listeners to close", async || {
        let connected = TcpStream::connect(sidecar.proxy).await;
        connected.is_err().then_some(())
    })
    .await;
}

async fn until_no_tunnels(sidecar: &Sidecar) {
    eventually("the tunnel's end", async || {
        let open = sidecar.metric("podrobin_tunnels_open", &[]).await;
        (open == 0.0).then_some(())
    })
    .await;
}

fn is_access_line(line: &Value) -> bool {
    line["path"] == "/chat"
}

/// A sidecar that logs requests, and the one line of a tunnel that has ended.
async fn logging(pods: &[&Pod]) -> Sidecar {
    Sidecar::over(pods.iter().copied())
        .with("--access-log", "json")
        .start()
        .await
}

async fn line(sidecar: &Sidecar) -> Value {
    let lines = sidecar
        .log
        .until("the tunnel's line", 1, is_access_line)
        .await;
    lines[0].clone()
}

#[tokio::test]
async fn a_tunnel_is_counted_while_it_lasts_and_logged_at_its_end() {
    let pod = echoing("a").await;
    let sidecar = logging(&[&pod]).await;
    let (mut client, _) = echo(&sidecar).await;
    assert_echoes(&mut client, "123").await;
    assert_eq!(sidecar.metric("podrobin_tunnels_open", &[]).await, 1.0);
    assert_eq!(sidecar.metric("podrobin_tunnels_total", &[]).await, 1.0);
    let state = sidecar.state().await;
    assert_eq!(
        (&state["tunnels"], &state["requests_in_flight"]),
        (&1.into(), &0.into())
    );
    let of_pod = sidecar.state_of(&pod).await;
    assert_eq!(
        (&of_pod["tunnels"], &of_pod["in_flight"]),
        (&1.into(), &0.into())
    );
    // Its request has ended with its 101.
    assert_eq!(
        sidecar.metric("podrobin_requests_total", &["1xx"]).await,
        1.0
    );
    assert_eq!(
        sidecar
            .metric("podrobin_pod_requests_total", &["1xx"])
            .await,
        1.0
    );
    assert_eq!(
        sidecar
            .metric("podrobin_upstream_connections_open", &[])
            .await,
        1.0
    );
    assert_eq!(sidecar.log.matching(is_access_line).len(), 0);
    client.wire.finish().await.unwrap();
    client.closed().await;
    let line = line(&sidecar).await;
    assert_eq!((&line["status"], &line["flag"]), (&101.into(), &"-".into()));
    // Its name and a semicolon come from the pod unasked.
    assert_eq!(
        (&line["bytes_in"], &line["bytes_out"]),
        (&3.into(), &5.into())
    );
    until_no_tunnels(&sidecar).await;
    assert_eq!(sidecar.metric("podrobin_tunnels_total", &[]).await, 1.0);
    assert_eq!(sidecar.metric("podrobin_requests_total", &[]).await, 1.0);
    assert_eq!(sidecar.state_of(&pod).await["tunnels"], 0);
    assert_eq!(
        sidecar
            .metric("podrobin_upstream_connections_open", &[])
            .await,
        0.0
    );
}

#[tokio::test]
async fn a_pod_that_breaks_off_breaks_off_the_client_after_its_last_words() {
    let pod = switching("a", |mut session: Session| async move {
        session.wire.exact(3).await?;
        session.wire.send("last words").await?;
        session.wire.exact(3).await?;
        session.wire.reset()
    })
    .await;
    let sidecar = logging(&[&pod]).await;
    let (mut client, _) = tunnel(&sidecar).await;
    client.send("one").await;
    assert_eq!(
        soon("bytes", client.wire.exact(10)).await.unwrap(),
        b"last words"
    );
    client.send("two").await;
    // An end could be taken for the pod's own.
    assert_eq!(end(&mut client).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(line(&sidecar).await["flag"], "UC");
    until_no_tunnels(&sidecar).await;
}

#[tokio::test]
async fn a_pod_that_is_killed_ends_the_client() {
    let mut pod = echoing("a").await;
    let sidecar = Sidecar::over([&pod]).start().await;
    let (mut client, _) = echo(&sidecar).await;
    pod.kill().await;
    soon("the end", client.wire.gone()).await;
    drop(client);
    until_no_tunnels(&sidecar).await;
}

#[tokio::test]
async fn a_client_that_breaks_off_breaks_off_the_pod_at_once() {
    let pod = switching("a", |mut session: Session| async move {
        let mut rest = Vec::new();
        let ended = session.wire.stream().read_to_end(&mut rest).await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
        Ok(())
    })
    .await;
    let sidecar = logging(&[&pod]).await;
    let (client, _) = tunnel(&sidecar).await;
    client.wire.reset().unwrap();
    pod.until("the end", |record| record.open == 0).await;
    assert_eq!(line(&sidecar).await["flag"], "DC");
    until_no_tunnels(&sidecar).await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_switch_leaves_no_tunnel() {
    let (pod, go) = Pod::gated("a").await;
    let sidecar = Sidecar::over([&pod])
        .with("--max-upgrades", "1")
        .start()
        .await;
    let mut client = sidecar.client().await;
    client.send(ASK).await;
    pod.until("the request", |record| record.heads.len() == 1)
        .await;
    drop(client);
    go.add_permits(2);
    // Its place is free again.
    eventually("a place", async || {
        let answer = sidecar.client().await.ask(ASK).await;
        (answer.status() == 200).then_some(())
    })
    .await;
    assert_eq!(sidecar.metric("podrobin_tunnels_total", &[]).await, 0.0);
}

#[tokio::test]
async fn a_drain_ends_at_once_when_the_last_tunnel_does() {
    let pod = echoing("a").await;
    let mut sidecar = Sidecar::over([&pod]).with("--drain", "60s").start().await;
    let (mut client, _) = echo(&sidecar).await;
    sidecar.signal(Signal::TERM);
    until_nobody_listens(&sidecar).await;
    assert_echoes(&mut client, "still there").await;
    assert!(sidecar.is_running());
    client.wire.finish().await.unwrap();
    client.closed().await;
    drop(client);
    assert_eq!(sidecar.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_drains_end_closes_tunnels_in_order_and_cleanly() {
    // It answers the end that it is told with some last words, which must meet no reset.
    let pod = switching("a", |mut session: Session| async move {
        let mut said = Vec::new();
        session.wire.stream().read_to_end(&mut said).await?;
        session.wire.send("too late").await?;
        session.wire.send("and more").await?;
        session.wire.finish().await?;
        assert!(session.wire.stream().take_error()?.is_none());
        Ok(())
    })
    .await;
    let mut sidecar = Sidecar::over([&pod])
        .with("--drain", "700ms")
        .with("--access-log", "json")
        .start()
        .await;
    let (mut client, _) = tunnel(&sidecar).await;
    client.send("before the end").await;
    sidecar.signal(Signal::TERM);
    let since = Instant::now();
    assert_eq!(end(&mut client).await, Ok(()));
    assert!(since.elapsed() >= Duration::from_millis(600));
    // A second word would meet the reset that a closed socket answers the first with.
    client.send("late too").await;
    client.send("and more").await;
    assert!(client.wire.stream().take_error().unwrap().is_none());
    client.wire.finish().await.unwrap();
    pod.until("the end", |record| record.open == 0).await;
    // Nothing was left unfinished.
    assert_eq!(sidecar.exit_code().await, Some(0));
    assert!(since.elapsed() < Duration::from_secs(5));
    assert_eq!(line(&sidecar).await["flag"], "UO");
}

#[tokio::test]
async fn a_peer_that_does_not_end_its_side_is_not_waited_for_for_long() {
    let pod = switching("a", |session: Session| async move {
        let _open = session;
        std::future::pending().await
    })
    .await;
    let mut sidecar = Sidecar::over([&pod]).with("--drain", "200ms").start().await;
    let (mut client, _) = tunnel(&sidecar).await;
    sidecar.signal(Signal::TERM);
    let since = Instant::now();
    assert_eq!(end(&mut client).await, Ok(()));
    assert_eq!(sidecar.exit_code().await, Some(0));
    assert!(since.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_request_that_is_left_beside_a_tunnel_is_unfinished_all_the_same() {
    let pod = Pod::scripted("a", |mut session: Session| async move {
        let head = session.head().await?;
        if head.is_some_and(|head| head.field("upgrade").is_some()) {
            session.wire.send(SWITCH).await?;
        }
        session.head().await.map(|_| ())
    })
    .await;
    let mut sidecar = Sidecar::over([&pod]).with("--drain", "300ms").start().await;
    let (mut client, _) = tunnel(&sidecar).await;
    let mut waiting = sidecar.client().await;
    waiting.send(get("/")).await;
    pod.until("the request", |record| record.heads.len() == 2)
        .await;
    sidecar.signal(Signal::TERM);
    assert_eq!(end(&mut client).await, Ok(()));
    let code = sidecar.exit_code().await;
    assert!(code.is_some_and(|code| code != 0), "{code:?}");
    let log = sidecar.log.whole().await.join("\n");
    assert!(log.contains("with 1 requests unfinished"), "{log}");
}

#[tokio::test]
async fn an_upgrade_under_way_when_the_drain_begins_still_becomes_a_tunnel() {
    let go = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let gate = go.clone();
    let pod = Pod::scripted("a", move |mut session: Session| {
        let gate = gate.clone();
        async move {
            session.head().await?;
            gate.acquire().await.unwrap().forget();
            session.wire.send(SWITCH).await?;
            let word = session.wire.exact(4).await?;
            session.wire.send(word).await
        }
    })
    .await;
    let mut sidecar = Sidecar::over([&pod]).start().await;
    let mut client = sidecar.client().await;
    client.send(ASK).await;
    pod.until("the request", |record| record.heads.len() == 1)
        .await;
    sidecar.signal(Signal::TERM);
    until_nobody_listens(&sidecar).await;
    go.add_permits(1);
    let head = client.head().await;
    assert_eq!(
        (head.status(), head.all("connection")),
        (101, vec!["upgrade"])
    );
    assert_echoes(&mut client, "word").await;
    client.wire.finish().await.unwrap();
    client.closed().await;
    assert_eq!(sidecar.exit_code().await, Some(0));
}
