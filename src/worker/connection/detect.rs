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
    /// Neither.
    Alien,
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
            if is_alien(&bytes[..read]) {
                return Detected::Alien;
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

/// Whether the first line is no request line of any HTTP: three words, of which the second has no form of a target
/// (RFC 9112 section 3.2) and the third is no version. To HTTP/2 that is an invalid preface (RFC 9113 section 3.4), and
/// whoever sent it would not understand an answer. In doubt it is HTTP/1, whose parser knows what to say.
fn is_alien(first_bytes: &[u8]) -> bool {
    let line = first_bytes
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .next();
    let mut words = line.unwrap_or_default().split(|byte| *byte == b' ');
    let (Some(_), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
        return false;
    };
    let http = b"HTTP";
    let compared = version.len().min(http.len());
    !target.is_empty()
        && !target.iter().any(|byte| matches!(byte, b'/' | b'*' | b':'))
        && !version[..compared].eq_ignore_ascii_case(&http[..compared])
}

#[cfg(test)]
mod tests {
    use super::{PREFACE, is_alien};

    #[test]
    fn another_protocol_is_known_by_its_first_line_only_where_that_cannot_be_http() {
        let alien = ["INVALID CONNECTION PREFACE\r\n", "INVITE bob SIP/2.0"];
        for line in alien {
            assert!(is_alien(line.as_bytes()), "{line}");
        }
        let in_doubt = [
            "",
            "hello\r\n",
            "hello there\r\n",
            "hello  there",
            "GET / HTTP/1.1\r\n",
            "GET cart HTTP/1.1\r\n",
            "GET cart ",
            "GET cart HT",
            "GET cart http/1.1",
            "GET /a b HTTP/1.1",
            "CONNECT shop:80 HTTP/1.1",
            "OPTIONS * RTSP/1.0",
            "GET / \r\nHost: a b c d",
        ];
        for line in in_doubt {
            assert!(!is_alien(line.as_bytes()), "{line}");
        }
        for end in 0..=PREFACE.len() {
            assert!(!is_alien(&PREFACE[..end]), "{end}");
        }
    }
}
