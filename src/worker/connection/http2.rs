//! A client that speaks HTTP/2: many requests at once, each balanced on its own.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

use http::Version;
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot::{Receiver, channel};

use super::patience::Watch;
use super::{Connection, LINGER};
use crate::drain::Signal;
use crate::proxy::client::Expired;
use crate::worker::client_io::ClientIo;

/// Requests at once on one connection.
const STREAMS: u32 = 100;

/// Bytes of a request's body that may wait here unread. All streams' together are the connection's window, so that a
/// body that no pod takes never holds up its neighbours.
const STREAM_WINDOW: u32 = 64 * 1024;

/// Bytes of a response that may wait here for the client.
const SEND_BUFFER: usize = 64 * 1024;

/// Streams that a client may have reset and that were not looked at yet, and streams that it may make us reset over its
/// connection's life, before that ends: a client that goes on so is an attack (CVE-2023-44487).
const EARLY_RESETS: usize = 50;
const FORCED_RESETS: usize = 1024;

/// Runs streams on the worker's own thread, each until it is over or must be. hyper asks for that right after it has
/// asked the service for a stream's answer, which is how the two find each other.
#[derive(Clone, Debug, Default)]
struct Streams {
    /// Tells when the next one must be over. From outside of its body: while the client takes nothing, nobody looks at
    /// that.
    next: Rc<RefCell<Option<Receiver<Instant>>>>,
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Streams {
    fn execute(&self, work: F) {
        let deadline = self.next.take();
        tokio::task::spawn_local(async move {
            let over = async {
                if let Some(deadline) = deadline
                    && let Ok(deadline) = deadline.await
                {
                    tokio::time::sleep_until(deadline.into()).await;
                } else {
                    pending::<()>().await;
                }
            };
            // What is dropped is reset (CANCEL).
            tokio::select! {
                biased;
                () = work => {}
                () = over => {}
            }
        });
    }
}

impl Connection {
    /// Serves streams; `read` is the preface.
    pub(super) async fn http2(self, read: Vec<u8>, mut drain: Signal) {
        let client = self.client(Version::HTTP_2);
        let streams = Streams::default();
        let mut builder = Builder::new(streams.clone());
        builder
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAMS * STREAM_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(u32::try_from(self.header_bytes).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(EARLY_RESETS)
            .max_local_error_reset_streams(FORCED_RESETS);
        let service = service_fn(|request| {
            let (proxy, client) = (self.proxy.clone(), client.clone());
            let (must_end, deadline) = channel();
            streams.next.replace(Some(deadline));
            async move {
                let response = proxy.handle(request, client).await;
                if let Some(deadline) = response.body().deadline() {
                    // Its stream may have ended meanwhile.
                    let _ = must_end.send(deadline);
                }
                Ok::<_, Infallible>(response)
            }
        });
        let io = TokioIo::new(ClientIo::http2(self.stream.clone(), read));
        let mut connection = pin!(builder.serve_connection(io, service));
        let mut watch = Watch::new(client.clone());
        let expired = tokio::select! {
            biased;
            expired = poll_fn(|cx| match connection.as_mut().poll(cx) {
                Poll::Ready(_) => Poll::Ready(None),
                Poll::Pending => watch.poll(cx).map(Some),
            }) => match expired {
                Some(expired) => Some(expired),
                // How it ended, its streams have told.
                None => return,
            },
            () = drain.draining() => None,
        };
        if expired == Some(Expired::Stalled) {
            self.stream.reset();
            return;
        }
        // The client is told; what it sends meanwhile is served, and what is under way ends.
        connection.as_mut().graceful_shutdown();
        while tokio::time::timeout(LINGER, &mut connection).await.is_err() {
            let quiet = client.quiet_since().map(|since| since.elapsed());
            if quiet.is_some_and(|quiet| quiet >= LINGER) {
                // It does not even acknowledge.
                return;
            }
        }
    }
}
