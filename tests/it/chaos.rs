//! Everything at once: whatever clients and pods do to each other, the process lives and nothing of it stays behind.

use std::io;
use std::time::Duration;

use fastrand::Rng;
use tokio::task::JoinSet;

use crate::support::client::{get, post};
use crate::support::pod::Session;
use crate::support::wire::Wire;
use crate::support::{Pod, Sidecar, eventually, soon};

const CLIENTS: usize = 150;
const REQUESTS: usize = 6;

/// Does to each request what chance says.
async fn misbehave(mut session: Session) -> io::Result<()> {
    while session.head().await?.is_some() {
        // The body may or may not have been read when the answer goes out.
        match fastrand::u8(0..9) {
            0 => return Ok(()),
            1 => return session.wire.reset(),
            2 => {
                session.wire.gone().await;
                return Ok(());
            }
            3 => {
                let half = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf";
                return session.wire.send(half).await;
            }
            4 => {
                let chunks = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n";
                session.wire.send(chunks).await?;
            }
            5 => session.wire.send("no HTTP\r\n\r\n").await?,
            6 => {
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokextra";
                session.wire.send(answer).await?;
            }
            _ => session.answer().await?,
        }
    }
    Ok(())
}

/// A client that does as chance says, and leaves when it likes.
async fn come_and_go(mut wire: Wire, mut rng: Rng) -> io::Result<()> {
    for _ in 0..REQUESTS {
        let request = match rng.u8(0..7) {
            0 => get("/").into_bytes(),
            1 => post("/", &vec![b'x'; rng.usize(0..200_000)]),
            2 => b"POST / HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n".to_vec(),
            3 => [get("/"), get("/"), get("/")].concat().into_bytes(),
            4 => b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n".to_vec(),
            5 => (0..rng.usize(1..300)).map(|_| rng.u8(..)).collect(),
            _ => b"GET / HTTP/1.1\r\nHo".to_vec(),
        };
        let sent = rng.usize(1..=request.len());
        let whole = if rng.bool() { request.len() } else { sent };
        wire.send(&request[..whole]).await?;
        match rng.u8(0..4) {
            0 => return wire.reset(),
            1 => return Ok(()),
            2 => tokio::time::sleep(Duration::from_millis(rng.u64(0..20))).await,
            _ => {
                let patience = Duration::from_millis(rng.u64(0..200));
                let _ = tokio::time::timeout(patience, wire.head()).await;
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn whatever_clients_and_pods_do_nothing_of_it_stays_behind() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    // Pods and clients are all on this thread.
    fastrand::seed(seed);
    let mut pods = vec![
        Pod::refusing("refusing"),
        Pod::swallowing("swallowing").await,
    ];
    for name in ["a", "b", "c", "d"] {
        pods.push(Pod::scripted(name, misbehave).await);
    }
    let mut sidecar = Sidecar::over(&pods)
        .with("--connect-timeout", "50ms")
        .with("--response-timeout", "300ms")
        .with("--header-timeout", "300ms")
        .with("--client-idle-timeout", "300ms")
        .with("--upstream-idle-timeout", "300ms")
        .with("--request-timeout", "2s")
        .start()
        .await;
    let gauges = [
        "podrobin_requests_in_flight",
        "podrobin_requests_held",
        "podrobin_client_connections_open",
        "podrobin_upstream_connections_open",
        "podrobin_pod_in_flight",
    ];
    let files = sidecar.metric("process_open_fds", &[]).await;

    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let wire = Wire::connect(sidecar.proxy).await.unwrap();
        clients.spawn(come_and_go(wire, Rng::new()));
    }
    // How each of them ended is its own affair.
    soon("the clients to leave", clients.join_all()).await;

    for gauge in gauges {
        eventually(&format!("{gauge} to be 0 (seed {seed})"), async || {
            (sidecar.metric(gauge, &[]).await == 0.0).then_some(())
        })
        .await;
    }
    eventually("all sockets to be closed", async || {
        (sidecar.metric("process_open_fds", &[]).await <= files).then_some(())
    })
    .await;
    assert!(sidecar.is_running());
    let ended = sidecar.metric("podrobin_requests_total", &[]).await;
    assert!(ended > 0.0);
}
