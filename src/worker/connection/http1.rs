//! A client that speaks HTTP/1.1: one request after the other.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use http::Version;
use hyper::server::conn::http1::Builder;
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

    async fn converse(&self, client: &std::rc::Rc<Client>, read: Vec<u8>, mut drain: Signal) {
        let Self {
            stream,
            proxy,
            header_bytes,
            header_count,
            ..
        } = self;
        let mut builder = Builder::new();
        builder
            .header_read_timeout(None)
            .max_header_size(*header_bytes)
            .max_buf_size((*header_bytes).max(MIN_BUFFER));
        if *header_count != DEFAULT_FIELDS {
            builder.max_headers(*header_count);
        }
        let service = service_fn(|request| {
            let client = client.clone();
            async move { Ok::<_, Infallible>(proxy.handle(request, client).await) }
        });
        let io = TokioIo::new(ClientIo::http1(stream.clone(), client.clone(), read));
        let mut connection = pin!(builder.serve_connection(io, service));
        let mut watch = Watch::new(client.clone());
        let ending = tokio::select! {
            biased;
            ended = poll_fn(|cx| match connection.as_mut().poll(cx) {
                Poll::Ready(ended) => Poll::Ready(Ok(ended)),
                Poll::Pending => watch.poll(cx).map(Err),
            }) => ended.map_err(Ending::Expired),
            () = drain.draining() => Err(Ending::Drained),
        };
        match ending {
            Ok(Ok(())) | Err(Ending::Expired(Expired::Quiet)) => {}
            Ok(Err(error)) if error.is_parse() => {
                let (kind, reason) = if error.is_parse_too_large() {
                    (Kind::HeaderTooLarge, "the request's head is too large")
                } else {
                    (Kind::BadRequest, "the request is malformed")
                };
                proxy.count_refused(kind);
                // Who names no version speaks something else, and would not understand.
                let is_http = kind != Kind::BadRequest || names_version(&client.raw_head());
                if !client.has_begun() && is_http {
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
                let rest = last_request(stream, client, &mut watch, connection.as_mut());
                if rest.await == Rest::Unfinished {
                    connection.as_mut().graceful_shutdown();
                    // Its outcome is the requests', and they have told.
                    let _ = connection.await;
                }
            }
        }
    }
}

/// Whether the first line of what came ends as a request's does, with the version (RFC 9112 section 3).
fn names_version(head: &[u8]) -> bool {
    let line = head.trim_ascii_start().split(|byte| *byte == b'\n').next();
    let last = line.and_then(|line| line.rsplit(|byte| *byte == b' ').next());
    last.is_some_and(|last| last.starts_with(b"HTTP/"))
}

/// Whether a connection that is draining has ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    Ended,
    Unfinished,
}

/// While draining: waits until a request is in hand whose response can say that it is the last, or until none has come
/// for a while. A request that has begun to arrive is waited for: a shutdown before its head is complete would lose it.
async fn last_request(
    stream: &SharedStream,
    client: &Client,
    watch: &mut Watch,
    mut connection: Pin<&mut impl Future>,
) -> Rest {
    let begun = Instant::now();
    let mut patience = pin!(tokio::time::sleep_until(begun + DRAIN_LINGER));
    poll_fn(|cx| {
        if connection.as_mut().poll(cx).is_ready() || watch.poll(cx).is_ready() {
            return Poll::Ready(Rest::Ended);
        }
        if client.is_unanswered() {
            return Poll::Ready(Rest::Unfinished);
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
