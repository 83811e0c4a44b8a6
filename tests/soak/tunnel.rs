//! Clients of upgraded connections: what goes in must come out, for as long as the tunnel lasts.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::ledger::{Entry, Failure, Ledger};
use crate::sidecar::SOON;

/// Messages before a client closes its tunnel and opens another.
const MESSAGES: usize = 100;

/// Longest message.
const MESSAGE: usize = 8_000;

/// Longest head of an answer.
const HEAD: usize = 8_000;

const PAUSE: Duration = Duration::from_millis(10);

pub async fn client(address: SocketAddr, ledger: Arc<Ledger>, stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        // A pod that took it may have begun a session.
        let entry = ledger.begin("WebSocket", false);
        let outcome = converse(address, &entry, &stop).await;
        ledger.end(&entry, outcome);
    }
}

async fn converse(
    address: SocketAddr,
    entry: &Entry,
    stop: &watch::Receiver<bool>,
) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let begun = timeout(SOON, open(&mut stream, entry.id)).await;
    let head = begun
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| Failure {
            what: format!("no answer: {error}"),
            flag: None,
            begun: false,
        })?;
    if !head.starts_with("HTTP/1.1 101 ") {
        let flag = head
            .lines()
            .find_map(|line| line.strip_prefix("x-podrobin-error: "));
        return Err(Failure {
            flag: flag.map(str::to_owned),
            what: head,
            begun: false,
        });
    }
    let cut = |error: io::Error| Failure {
        what: format!("tunnel cut: {error}"),
        flag: None,
        begun: true,
    };
    for message in 0..MESSAGES {
        if *stop.borrow() {
            break;
        }
        let sent: Vec<u8> = entry
            .id
            .to_be_bytes()
            .repeat(1 + (message * 97) % (MESSAGE / 8));
        let mut came = vec![0; sent.len()];
        let exchange = async {
            stream.write_all(&sent).await?;
            stream.read_exact(&mut came).await.map(drop)
        };
        let exchanged = timeout(SOON, exchange).await;
        exchanged
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(cut)?;
        assert!(came == sent, "tunnel {} has bytes of another", entry.id);
        tokio::time::sleep(PAUSE).await;
    }
    // The pod ends its side in turn.
    stream.shutdown().await.map_err(cut)?;
    match timeout(SOON, stream.read(&mut [0; 1])).await {
        Ok(Ok(0)) => Ok(()),
        Ok(Err(error)) => Err(cut(error)),
        Ok(Ok(_)) => Err(cut(io::Error::other("more than was sent came back"))),
        Err(_) => Err(cut(io::ErrorKind::TimedOut.into())),
    }
}

/// Asks for the upgrade; the head of the answer.
async fn open(stream: &mut TcpStream, id: u64) -> io::Result<String> {
    let request = format!(
        "GET /tunnel HTTP/1.1\r\nHost: soak\r\nx-soak-id: {id}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
