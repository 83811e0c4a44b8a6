//! A client that speaks HTTP/1.1: one request after the other.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use http::Version;
use hyper::server::conn::http1::{Builder, Parts};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::patience::Watch;
use super::{Connection, DRAIN_LINGER, linger};
use crate::drain::Signal;
use crate::error::Kind;
use crate::net::SharedStream;
use crate::pool::MIN_BUFFER;
use crate::proxy::answer;
use crate::proxy::client::{Client, Expired};
use crate::worker::client_io::ClientIo;

/// hyper's own limit on a head's fields, for which it needs no allocation.
const DEFAULT_FIELDS: usize = 100;

/// Why a connection was ended by us, while its client might have gone on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Expired(Expired),
    Drained,
}

impl Connection {
    /// Serves requests, of which `read` is what has come so far.
    pub(super) async fn http1(self, read: Vec<u8>, drain: Signal) {
        let client = self.client(Version::HTTP_11);
        self.converse(&client, read, drain).await;
        if client.is_cut() {
            self.stream.reset();
        } else if client.is_closing() {
            linger(self.stream).await;
        }
    }

    fn builder(&self) -> Builder {
        let mut builder = Builder::new();
        builder
            .header_read_timeout(None)
            .max_header_size(self.header_bytes)
            .max_buf_size(self.header_bytes.max(MIN_BUFFER));
        if self.header_count != DEFAULT_FIELDS {
            builder.max_headers(self.header_count);
        }
        builder
    }

    async fn converse(&self, client: &Rc<Client>, read: Vec<u8>, mut drain: Signal) {
        let Self { stream, proxy, .. } = self;
        let service = service_fn(|request| {
            let client = client.clone();
            async move { Ok::<_, Infallible>(proxy.handle(request, client).await) }
        });
        let io = TokioIo::new(ClientIo::http1(stream.clone(), client.clone(), read));
        let mut connection = self.builder().serve_connection(io, service);
        let mut watch = Watch::new(client.clone());
        let ending = tokio::select! {
            biased;
            ended = poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
                Poll::Ready(ended) => Poll::Ready(Ok(ended)),
                Poll::Pending => watch.poll(cx).map(Err),
            }) => ended.map_err(Ending::Expired),
            () = drain.draining() => Err(Ending::Drained),
        };
        let mut is_over = false;
        match ending {
            Ok(Ok(())) => is_over = true,
            Err(Ending::Expired(Expired::Quiet)) => {}
            Ok(Err(error)) if error.is_parse() => {
                let (kind, reason) = if error.is_parse_too_large() {
                    (Kind::HeaderTooLarge, "the request's head is too large")
                } else {
                    (Kind::BadRequest, "the request is malformed")
                };
                proxy.count_refused(kind);
                // Who speaks something else would not understand.
                if !client.has_begun() && !is_alien(&client.raw_head()) {
                    stream.write_now(answer::raw(kind, reason).as_bytes());
                }
                client.set_closing();
            }
            // The client went away, or its response was cut short; the requests have told.
            Ok(Err(_)) => {}
            Err(Ending::Expired(Expired::Head)) => {
                proxy.count_refused(Kind::HeaderTimeout);
                let reason = "the request's head did not arrive in time";
                stream.write_now(answer::raw(Kind::HeaderTimeout, reason).as_bytes());
                client.set_closing();
            }
            // Its response has told how far it came; the client must not take it for whole.
            Err(Ending::Expired(Expired::Request | Expired::Stalled)) => client.set_cut(),
            Err(Ending::Drained) => {
                client.set_draining();
                let rest = last_request(stream, client, &mut watch, &mut connection);
                is_over = match rest.await {
                    Rest::Over => true,
                    Rest::Broken => false,
                    Rest::Unfinished => {
                        Pin::new(&mut connection).graceful_shutdown();
                        // How it ends otherwise, the requests have told.
                        (&mut connection).await.is_ok()
                    }
                };
            }
        }
        if !is_over {
            return;
        }
        if let Some(tunnel) = client.take_tunnel() {
            let Parts { io, read_buf, .. } = connection.into_parts();
            // Boxed, as it would be part of every connection's memory.
            Box::pin(tunnel.run(io.into_inner(), read_buf, stream, drain)).await;
        }
    }
}

/// Whether the first line is no request line of any HTTP: three words, of which the second has no form of a target
/// (RFC 9112 section 3.2) and the third is no version. To HTTP/2 that is an invalid preface (RFC 9113 section 3.4).
fn is_alien(head: &[u8]) -> bool {
    let line = head.split(|byte| matches!(byte, b'\r' | b'\n')).next();
    let mut words = line.unwrap_or_default().split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next())
    else {
        return false;
    };
    let http = b"HTTP";
    let compared = version.len().min(http.len());
    !method.is_empty()
        && !target.is_empty()
        && !target.iter().any(|byte| matches!(byte, b'/' | b'*' | b':'))
        && !version[..compared].eq_ignore_ascii_case(&http[..compared])
}

/// What has become of a connection that is draining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// It has come to its end.
    Over,
    /// It broke off, or took too long.
    Broken,
    Unfinished,
}

/// While draining: waits until a response has said that it is the last, or until no request has come for a while. A
/// request that has begun to arrive is waited for: a shutdown before its head is complete would lose it.
async fn last_request(
    stream: &SharedStream,
    client: &Client,
    watch: &mut Watch,
    mut connection: impl Future<Output = hyper::Result<()>> + Unpin,
) -> Rest {
    let begun = Instant::now();
    let mut patience = pin!(tokio::time::sleep_until(begun + DRAIN_LINGER));
    poll_fn(|cx| {
        if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
            return Poll::Ready(match ended {
                Ok(()) => Rest::Over,
                Err(_) => Rest::Broken,
            });
        }
        if watch.poll(cx).is_ready() {
            return Poll::Ready(Rest::Broken);
        }
        let Some(quiet_since) = client.quiet_since() else {
            return Poll::Pending;
        };
        let until = begun.max(quiet_since.into()) + DRAIN_LINGER;
        if until != patience.deadline() {
            patience.as_mut().reset(until);
        }
        // Bytes that wait in the kernel will wake the connection; a close on them would be a reset.
        if patience.as_mut().poll(cx).is_ready() && !stream.has_bytes() {
            return Poll::Ready(Rest::Unfinished);
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::is_alien;

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
            " GET / HTTP/1.1",
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
    }
}
