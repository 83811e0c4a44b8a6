//! The server on its socket: what it takes, and what it cuts off.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use super::*;

/// Nothing here takes a second; a test that waits longer has failed.
const SOON: Duration = Duration::from_secs(20);

/// A running server; it ends when dropped.
struct Running {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
    _stage: Stage,
}

async fn start(address: &str) -> Running {
    start_within(BOUNDS, address).await
}

async fn start_within(bounds: Bounds, address: &str) -> Running {
    let listener = TcpListener::bind(address).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stage = busy_stage();
    let state = stage.bare_state();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(async move {
        serve_within(bounds, listener, state, async {
            let _ = stopped.await;
        })
        .await;
    });
    Running {
        address,
        _stop: stop,
        _stage: stage,
    }
}

/// Sends bytes and reads to the end of the connection.
async fn exchange(address: SocketAddr, bytes: &str) -> String {
    let talk = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    tokio::time::timeout(SOON, talk).await.expect("an answer")
}

#[tokio::test]
async fn one_request_is_answered_and_the_connection_closed() {
    let running = start("127.0.0.1:0").await;
    let text = exchange(running.address, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("connection: close\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nok\n"), "{text}");
}

#[tokio::test]
async fn an_old_client_is_answered_too() {
    let running = start("127.0.0.1:0").await;
    let text = exchange(running.address, "GET /livez HTTP/1.0\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.0 200 OK\r\n"), "{text}");
    assert!(text.contains("content-length: 3\r\n"), "{text}");
}

#[tokio::test]
async fn metrics_have_the_type_that_scrapers_ask_for() {
    let running = start("127.0.0.1:0").await;
    let text = exchange(running.address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let expected = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(text.contains(expected), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let running = start("127.0.0.1:0").await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let request = format!("{method} /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        let text = exchange(running.address, &request).await;
        assert!(text.starts_with("HTTP/1.1 405 "), "{text}");
        assert!(text.contains("allow: GET, HEAD\r\n"), "{text}");
    }
    let text = exchange(running.address, "GET /secret HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 404 "), "{text}");
    assert!(text.contains("/livez /readyz /metrics /state"), "{text}");
    let text = exchange(running.address, "HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    assert!(text.ends_with("\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let running = start("127.0.0.1:0").await;
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(2 * HEADER_BYTES));
    let text = exchange(running.address, &endless).await;
    assert!(text.starts_with("HTTP/1.1 431 "), "{text}");
}

#[tokio::test]
async fn silent_clients_lose_their_places_in_time() {
    let bounds = Bounds {
        connections: 2,
        header_time: Duration::from_millis(100),
        ..BOUNDS
    };
    let running = start_within(bounds, "127.0.0.1:0").await;
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push(TcpStream::connect(running.address).await.unwrap());
    }
    let text = exchange(running.address, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(text.ends_with("ok\n"), "{text}");
}

#[tokio::test]
async fn a_client_that_dawdles_is_dropped() {
    let bounds = Bounds {
        connections: 1,
        connection_time: Duration::from_millis(100),
        ..BOUNDS
    };
    let running = start_within(bounds, "127.0.0.1:0").await;
    // Half a head, slowly: its own time is longer than the connection's.
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    slow.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
    let text = exchange(running.address, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(text.ends_with("ok\n"), "{text}");
}

#[tokio::test]
async fn the_server_ends_when_told() {
    let listener = TcpListener::bind("[::1]:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stage = busy_stage();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = serve(listener, stage.bare_state(), async {
        let _ = stopped.await;
    });
    let client = async {
        let text = exchange(address, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(text.ends_with("ok\n"), "{text}");
        drop(stop);
    };
    let both = async { tokio::join!(server, client) };
    tokio::time::timeout(SOON, both).await.expect("an end");
    assert!(TcpStream::connect(address).await.is_err());
}
