//! Everything at once: whatever clients and pods do to each other, the process lives and nothing of it stays behind.

use std::io;
use std::time::Duration;

use fastrand::Rng;
use h2::Reason;
use tokio::task::JoinSet;

use crate::support::client::{get, post};
use crate::support::http2::{self, Exchange};
use crate::support::pod::Session;
use crate::support::wire::Wire;
use crate::support::{H2Client, Pod, Sidecar, eventually, soon};

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

/// Does to each stream what chance says.
async fn misbehave_on_a_stream(mut exchange: Exchange) -> Result<(), h2::Error> {
    match fastrand::u8(0..10) {
        0 => exchange.reset(Reason::REFUSED_STREAM),
        1 => exchange.reset(Reason::INTERNAL_ERROR),
        2 => {
            exchange.farewell.notify_one();
            return exchange.answer().await;
        }
        3 => return exchange.until_reset().await,
        4 => {
            let busy = http::Response::builder().status(503).body(()).unwrap();
            exchange.respond.send_response(busy, true)?;
        }
        5 => {
            let mut body = exchange.respond.send_response(exchange.ok(), false)?;
            body.send_data("half".into(), false)?;
            exchange.read().await?;
            exchange.reset(Reason::NO_ERROR);
        }
        6 => {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..300))).await;
            return exchange.answer().await;
        }
        _ => return exchange.answer().await,
    }
    Ok(())
}

/// The same of a client over HTTP/2.
async fn come_and_go_on_streams(client: H2Client, mut rng: Rng) -> Result<(), h2::Error> {
    for _ in 0..REQUESTS {
        let method = ["GET", "PUT", "POST"][rng.usize(0..3)];
        let ended = method == "GET";
        let mut call = client.open(http2::request(method, "/"), ended).await?;
        if !ended {
            let body = vec![b'x'; rng.usize(0..100_000)];
            call.upload.send_data(body.into(), rng.bool())?;
        }
        match rng.u8(0..3) {
            0 => call.upload.send_reset(Reason::CANCEL),
            1 => drop(call),
            _ => {
                let patience = Duration::from_millis(rng.u64(0..300));
                let _ = tokio::time::timeout(patience, call.answer()).await;
            }
        }
    }
    Ok(())
}

async fn play(pods: &[Pod], http2_to_pods: bool, flags: &[(&str, &str)]) {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    // Pods and clients are all on this thread.
    fastrand::seed(seed);
    let mut plan = Sidecar::over(pods)
        .with("--connect-timeout", "50ms")
        .with("--response-timeout", "300ms")
        .with("--header-timeout", "300ms")
        .with("--client-idle-timeout", "300ms")
        .with("--upstream-idle-timeout", "300ms")
        .with("--request-timeout", "2s");
    for (flag, value) in flags {
        plan = plan.with(flag, value);
    }
    if http2_to_pods {
        plan = plan.http2_to_pods();
    }
    let mut sidecar = plan.start().await;
    let files = sidecar.metric("process_open_fds", &[]).await;

    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let wire = Wire::connect(sidecar.proxy).await.unwrap();
        clients.spawn(async { drop(come_and_go(wire, Rng::new()).await) });
    }
    for _ in 0..CLIENTS / 10 {
        let client = sidecar.http2().await;
        clients.spawn(async { drop(come_and_go_on_streams(client, Rng::new()).await) });
    }
    // How each of them ended is its own affair.
    soon("the clients to leave", clients.join_all()).await;

    let mut gauges = vec![
        "podrobin_requests_in_flight",
        "podrobin_requests_held",
        "podrobin_requests_pending",
        "podrobin_client_connections_open",
        "podrobin_pod_in_flight",
    ];
    if !http2_to_pods {
        // Over HTTP/2 they are kept for longer.
        gauges.extend([
            "podrobin_upstream_connections_open",
            "podrobin_pod_connections",
        ]);
    }
    for gauge in gauges {
        eventually(&format!("{gauge} to be 0 (seed {seed})"), async || {
            (sidecar.metric(gauge, &[]).await == 0.0).then_some(())
        })
        .await;
    }
    if !http2_to_pods {
        eventually("all sockets to be closed", async || {
            (sidecar.metric("process_open_fds", &[]).await <= files).then_some(())
        })
        .await;
    }
    assert!(sidecar.is_running());
    let ended = sidecar.metric("podrobin_requests_total", &[]).await;
    assert!(ended > 0.0);
}

/// Each may be sent to two pods at once, again, or wait for room.
const ALL_AT_ONCE: [(&str, &str); 9] = [
    ("--hedge", "20ms"),
    ("--per-try-timeout", "200ms"),
    ("--retry-on", "connect-failure,reset,5xx"),
    ("--retries", "4"),
    ("--retry-budget-ratio", "1"),
    ("--max-pod-requests", "adaptive:max=8"),
    ("--max-pod-connections", "4"),
    ("--pending", "40"),
    ("--eject-time", "100ms"),
];

#[tokio::test]
async fn whatever_clients_and_pods_do_nothing_of_it_stays_behind() {
    let mut pods = vec![
        Pod::refusing("refusing"),
        Pod::swallowing("swallowing").await,
    ];
    for name in ["a", "b", "c", "d"] {
        pods.push(Pod::scripted(name, misbehave).await);
    }
    play(&pods, false, &[]).await;
    play(&pods, false, &ALL_AT_ONCE).await;
}

#[tokio::test]
async fn over_http2_nothing_stays_behind_either() {
    let mut pods = vec![Pod::refusing("refusing")];
    for name in ["a", "b", "c", "d"] {
        let script = http2::script(misbehave_on_a_stream);
        pods.push(Pod::scripted(name, script).await);
    }
    play(&pods, true, &[]).await;
    play(&pods, true, &ALL_AT_ONCE).await;
}
