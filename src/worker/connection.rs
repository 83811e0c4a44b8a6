//! One client connection, from its first byte to its close.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::client_io::ClientIo;
use crate::drain::Signal;
use crate::error::Kind;
use crate::net::SharedStream;
use crate::pool::http1::MIN_BUFFER;
use crate::proxy::client::{Client, Expired, Patience};
use crate::proxy::{Proxy, Settings, answer};

/// hyper's own limit on a head's fields, for which it needs no allocation.
const DEFAULT_FIELDS: usize = 100;

/// Once draining, a connection without a request is kept this long: one may be on its way.
const DRAIN_LINGER: Duration = Duration::from_millis(500);

/// How long, and for how many bytes, a closing connection is read on, so that the client gets to see the response: a
/// close with bytes unread is a reset, which takes back what was sent (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
pub struct Connection {
    stream: SharedStream,
    client: Rc<Client>,
    proxy: Rc<Proxy>,
    header_bytes: usize,
    header_count: usize,
}

/// Why a connection was ended by us, while its client might have gone on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Expired(Expired),
    Drained,
}

impl Connection {
    pub fn new(stream: TcpStream, peer: SocketAddr, proxy: Rc<Proxy>, settings: &Settings) -> Self {
        // Without it a small response waits for the client's acknowledgement; a socket that refuses is going anyway.
        let _ = stream.set_nodelay(true);
        let patience = Patience {
            header: settings.timeouts.header,
            idle: settings.timeouts.client_idle,
            stall: settings.timeouts.client_stall,
            head_bytes: settings.limits.header_bytes,
        };
        let stream = SharedStream::new(stream);
        Self {
            client: Client::new(stream.clone(), peer, patience),
            stream,
            proxy,
            header_bytes: settings.limits.header_bytes,
            header_count: settings.limits.header_count,
        }
    }

    /// Serves requests until either side has had enough, and closes.
    pub async fn serve(self, drain: Signal) {
        self.converse(drain).await;
        if self.client.is_cut() {
            self.stream.reset();
        } else if self.client.is_closing() {
            linger(self.stream).await;
        }
    }

    async fn converse(&self, mut drain: Signal) {
        let Self {
            stream,
            client,
            proxy,
            header_bytes,
            header_count,
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
        let io = TokioIo::new(ClientIo::new(stream.clone(), client.clone()));
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
                let too_large = error.is_parse_too_large();
                proxy.count_refused(if too_large {
                    Kind::HeaderTooLarge
                } else {
                    Kind::BadRequest
                });
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

    /// Turns the client away with an answer.
    pub async fn refuse(self, kind: Kind, reason: &str) {
        self.stream.write_now(answer::raw(kind, reason).as_bytes());
        linger(self.stream).await;
    }
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

/// Watches a connection's deadlines with one timer, set anew only when a deadline comes nearer: not for each request.
struct Watch {
    client: Rc<Client>,
    timer: Pin<Box<Sleep>>,
}

impl Watch {
    fn new(client: Rc<Client>) -> Self {
        let deadline = client
            .deadline()
            .map_or_else(Instant::now, |(deadline, _)| deadline.into());
        Self {
            client,
            timer: Box::pin(tokio::time::sleep_until(deadline)),
        }
    }

    /// Ready when a deadline has been missed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        let Some((deadline, expired)) = self.client.deadline() else {
            return Poll::Pending;
        };
        let deadline = Instant::from(deadline);
        if deadline < self.timer.deadline() {
            self.timer.as_mut().reset(deadline);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if deadline <= Instant::now() {
                return Poll::Ready(expired);
            }
            self.timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

/// Ends our side and reads the client's out, within bounds.
async fn linger(mut stream: SharedStream) {
    let read_out = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut discarded = 0;
        // On the heap: in the future it would be part of every connection's memory.
        let mut buffer = vec![0; 4096];
        while discarded < LINGER_BYTES {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(read) => discarded += read,
            }
        }
    };
    // A client that goes on for longer is cut off.
    let _ = tokio::time::timeout(LINGER, read_out).await;
}
