//! One HTTP/1.1 connection to a pod, driven by whoever uses it.
//!
//! No task is spawned: the request that holds the connection polls it, which saves a wakeup a request (measured at 4
//! to 6 % of CPU with 256 connections). An idle connection is polled by nobody; [`Http1::is_reusable`] looks at it
//! before the next request.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;

use super::pod_io::{Allowance, WhenDeaf};
use super::transport::{Refusal, Transport};
use super::{Cause, ConnectError, Opened, SendError};
use crate::net::SharedStream;

/// A connection that carries one request at a time, with bodies of type `B`.
#[derive(Debug)]
pub struct Http1<B: Body + 'static> {
    sender: SendRequest<B>,
    // Boxed: it moves from request to pool to request.
    connection: Pin<Box<Connection<TokioIo<Transport>, B>>>,
    stream: SharedStream,
    allowance: Rc<Allowance>,
    /// Asked when a request fails. `None` without TLS.
    refusal: Option<Refusal>,
    /// The connection has come to its end, and must not be polled any more.
    closed: bool,
    /// Whether it has carried a request before this one.
    reused: bool,
    /// Last: it is closed before it counts as such.
    opened: Opened,
}

/// A connection that speaks HTTP no more.
#[derive(Debug)]
pub struct Upgraded {
    io: Transport,
    ahead: Bytes,
    stream: SharedStream,
    /// Last, too.
    opened: Opened,
}

impl<B> Http1<B>
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Speaks HTTP/1.1 on a fresh stream. `header_bytes` bounds a response's head and the read buffer.
    pub async fn handshake(
        mut transport: Transport,
        header_bytes: usize,
        opened: Opened,
    ) -> Result<Self, ConnectError> {
        let stream = transport.socket();
        let refusal = transport.refusal();
        let head_bytes = header_bytes.max(MIN_BUFFER);
        let allowance = Allowance::new(head_bytes);
        transport.limit(Some(allowance.clone()));
        let (sender, connection) = Builder::new()
            .max_buf_size(head_bytes)
            .handshake(TokioIo::new(transport))
            .await
            .map_err(|_| ConnectError::Protocol)?;
        Ok(Self {
            sender,
            connection: Box::pin(connection),
            stream,
            allowance,
            refusal,
            closed: false,
            reused: false,
            opened,
        })
    }

    /// Sends a request and drives the connection until the response's head is there.
    ///
    /// Dropped before that, the connection closes: the pod sees at once that nobody waits.
    pub async fn send(&mut self, request: Request<B>) -> Result<Response<Incoming>, SendError<B>> {
        self.allowance.renew();
        let mut response = pin!(self.sender.try_send_request(request));
        let outcome = poll_fn(|cx| {
            // Its own error, if it ends with one, reaches the response; and it may end in the same turn that brings a
            // response's head.
            let _ = drive(&mut self.connection, &mut self.closed, cx);
            response.as_mut().poll(cx)
        })
        .await;
        self.allowance.renew();
        outcome.map_err(|mut error| {
            let unsent = error.take_message();
            let error = error.into_error();
            let refused = self.refusal.as_ref().and_then(Refusal::alert);
            let cause = if let Some(alert) = refused {
                Cause::Unwelcome(alert)
            } else if error.is_parse_too_large() {
                Cause::HeadTooLarge
            } else if error.is_parse() || is_without_end(&error) {
                Cause::Protocol
            } else if self.reused {
                Cause::Stale
            } else {
                Cause::Ended
            };
            SendError {
                unsent,
                unprocessed: refused.is_some(),
                ..SendError::new(cause)
            }
        })
    }

    /// Drives the connection on behalf of a body that is being read from it. `Ready` once it has closed.
    pub fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        drive(&mut self.connection, &mut self.closed, cx)
    }

    /// A piece of the body has come.
    pub fn progressed(&self) {
        self.allowance.renew();
    }

    /// Whether the last exchange is over on both sides and the connection can carry another.
    pub fn is_idle(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.poll_drive(&mut cx).is_pending() && self.sender.is_ready()
    }

    /// Whether an idle connection is still good: open both ways, with nothing unread.
    ///
    /// With `ask_kernel` it costs a system call, and also sees what arrived since the event loop's last turn. What
    /// belongs to TLS alone, such as a session ticket, is taken note of and does no harm.
    pub fn is_reusable(&mut self, ask_kernel: bool) -> bool {
        if !ask_kernel {
            return self.is_idle();
        }
        let stream = self.stream.clone();
        stream.eagerly(|| self.is_idle())
    }

    /// Whether the pod may turn a request away without a look at it: over TLS, as long as it has not been heard.
    pub fn may_turn_away(&self) -> bool {
        self.refusal.is_some() && !self.reused
    }

    pub fn is_tls(&self) -> bool {
        self.refusal.is_some()
    }

    /// Gives up HTTP after a 101, with which hyper ends. `None` where it has not.
    pub fn into_upgraded(mut self) -> Option<Upgraded> {
        let mut cx = Context::from_waker(Waker::noop());
        if self.poll_drive(&mut cx).is_pending() {
            return None;
        }
        let parts = Pin::into_inner(self.connection).into_parts();
        let mut io = parts.io.into_inner();
        io.limit(None);
        io.when_deaf(WhenDeaf::Fail);
        Some(Upgraded {
            io,
            ahead: parts.read_buf,
            stream: self.stream,
            opened: self.opened,
        })
    }

    pub fn opened(&self) -> &Opened {
        &self.opened
    }

    pub fn is_reused(&self) -> bool {
        self.reused
    }

    pub fn mark_used(&mut self) {
        self.reused = true;
    }
}

impl Upgraded {
    /// What counts it as open, to be dropped last; what to read and write; the bytes that were read of it already; its
    /// socket.
    pub fn into_parts(self) -> (Opened, Transport, Bytes, SharedStream) {
        (self.opened, self.io, self.ahead, self.stream)
    }
}

/// Polls a connection until it has closed, and never after.
fn drive(
    connection: &mut Pin<Box<impl Future>>,
    closed: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if !*closed {
        *closed = connection.as_mut().poll(cx).is_ready();
    }
    if *closed {
        Poll::Ready(())
    } else {
        Poll::Pending
    }
}

/// The connection was given up because what came on it said nothing without end.
fn is_without_end(error: &hyper::Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<std::io::Error>())
        .is_some_and(|error| error.kind() == std::io::ErrorKind::InvalidData)
}

/// hyper's own lower bound of its read buffer.
pub const MIN_BUFFER: usize = 8192;

#[cfg(test)]
mod tests;
