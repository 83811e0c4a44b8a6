//! Which HTTP a client speaks, by its first bytes.

use std::time::Instant;

use tokio::io::AsyncReadExt;

use super::DRAIN_LINGER;
use crate::drain::Signal;
use crate::net::SharedStream;

/// How a connection over HTTP/2 begins, where that was agreed on beforehand (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What was found out, with the bytes that were read for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Detected {
    Http1(Vec<u8>),
    Http2(Vec<u8>),
    /// It began, and did not come to the point in time.
    TooSlow,
    /// It said nothing, or left.
    Nothing,
}

/// Reads until it is clear what is spoken, until `deadline`. A client that has not said anything when the drain begins
/// has a moment more.
pub(super) async fn protocol(
    stream: &SharedStream,
    deadline: Instant,
    drain: &mut Signal,
) -> Detected {
    let mut stream = stream.clone();
    let mut bytes = [0; PREFACE.len()];
    let mut read = 0;
    let reading = async {
        loop {
            match stream.read(&mut bytes[read..]).await {
                Ok(0) | Err(_) if read == 0 => return Detected::Nothing,
                // What it is, the parser will say.
                Ok(0) | Err(_) => return Detected::Http1(bytes[..read].to_vec()),
                Ok(more) => read += more,
            }
            if bytes[..read] != PREFACE[..read] {
                return Detected::Http1(bytes[..read].to_vec());
            }
            if read == PREFACE.len() {
                return Detected::Http2(bytes.to_vec());
            }
        }
    };
    let over = async {
        tokio::select! {
            () = tokio::time::sleep_until(deadline.into()) => {}
            () = async { drain.draining().await; tokio::time::sleep(DRAIN_LINGER).await } => {}
        }
    };
    let found = tokio::select! {
        biased;
        found = reading => Some(found),
        () = over => None,
    };
    found.unwrap_or(match read {
        0 => Detected::Nothing,
        _ => Detected::TooSlow,
    })
}
