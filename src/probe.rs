//! Asking a podrobin whether it is ready: what `podrobin await` does, for containers that hold no shell and no curl.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::net;

/// How long one answer may be waited for: it comes when the other is ready, or after two thirds of that time.
const ANSWER: Duration = Duration::from_secs(3);

/// Between two tries while nobody listens.
const PAUSE: Duration = Duration::from_millis(20);

/// Bytes of an answer that are read.
const MOST_BYTES: u64 = 16 * 1024;

/// Bytes of an answer that are shown.
const MOST_SHOWN: usize = 300;

#[derive(Debug, thiserror::Error)]
#[error("podrobin at {address} was not ready after {timeout:?}: {last}")]
pub struct NotReady {
    address: SocketAddr,
    timeout: Duration,
    last: String,
}

/// Returns as soon as the admin server at `address` says that its process is ready.
///
/// # Errors
/// It has not within `timeout`; with what it said last.
pub fn until_ready(address: SocketAddr, timeout: Duration) -> Result<(), NotReady> {
    let address = net::reachable(address);
    let end = Instant::now() + timeout;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let last = match ask(address, left.min(ANSWER).max(PAUSE)) {
            Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => return Ok(()),
            Ok(answer) => body(&answer),
            Err(error) if is_silence(&error) => "no answer".to_owned(),
            Err(error) => error.to_string(),
        };
        if Instant::now() + PAUSE >= end {
            return Err(NotReady {
                address,
                timeout,
                last,
            });
        }
        std::thread::sleep(PAUSE);
    }
}

fn ask(address: SocketAddr, within: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, within)?;
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    let wait = within.as_millis() * 2 / 3;
    write!(
        stream,
        "GET /readyz?wait={wait}ms HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// What a read that takes too long ends with, by the system.
fn is_silence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// On one line, and not too long for it.
fn body(answer: &str) -> String {
    let body = answer
        .split_once("\r\n\r\n")
        .map_or(answer, |(_, body)| body);
    let words: Vec<&str> = body.split_whitespace().collect();
    words.join(" ").chars().take(MOST_SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_shown_on_one_line() {
        let answer = "HTTP/1.1 503 x\r\na: b\r\n\r\nnot ready:\n  shop/cart\n";
        assert_eq!(body(answer), "not ready: shop/cart");
        assert_eq!(body(&"x".repeat(1000)).len(), MOST_SHOWN);
    }
}
