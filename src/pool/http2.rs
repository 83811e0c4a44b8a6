//! The HTTP/2 connections of one worker to one pod: each carries many requests, and there are as many connections as
//! the pod's limit on streams asks for.

mod exchange;
mod keepalive;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared, WeakShared};
use h2::client::{Builder, Connection, SendRequest};

use super::transport::{Refusal, Transport};
use super::{ConnectError, Opened};
pub use exchange::{Detached, Received, Stream};

/// The most requests on one connection, whatever the pod allows. The bound of what a connection may make us hold:
/// each stream has a window of its own, so a response that nobody reads never holds up another.
const STREAMS: usize = 100;

/// Bytes of a response that may wait here unread.
const STREAM_WINDOW: u32 = 64 * 1024;

/// Bytes of a request that may wait here for the network.
const SEND_BUFFER: usize = 64 * 1024;

/// A connection without a request is kept this long. A pod that closes it first says so (GOAWAY), so no request is
/// lost to that.
const IDLE_FOR: Duration = Duration::from_secs(60);

/// One worker's connections to one pod.
#[derive(Debug, Default)]
pub struct Connections {
    open: RefCell<Vec<Rc<Shareable>>>,
    /// Whoever needs a connection waits for the same attempt.
    connecting: RefCell<Option<WeakShared<Connecting>>>,
}

/// `None` is a pod that chose HTTP/1.1: there is nothing to share.
type Connecting = LocalBoxFuture<'static, Result<Option<Rc<Shareable>>, ConnectError>>;

/// A connection that takes further streams while there is room.
pub struct Shareable {
    sender: SendRequest<Bytes>,
    health: Rc<Health>,
    is_tls: bool,
}

/// What a connection's driver and its streams tell each other.
#[derive(Debug)]
struct Health {
    streams: Cell<usize>,
    /// The pod has sent something that belongs to a request since this was last asked.
    heard: Cell<bool>,
    idle_since: Cell<Instant>,
    /// It takes no further requests.
    retired: Cell<bool>,
    ended: Cell<Option<Ended>>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// Either side closed it.
    Closed,
    /// The pod did not answer a ping.
    Silent,
}

/// One stream's place on its connection.
#[derive(Debug)]
struct Place(Rc<Health>);

impl Connections {
    /// A place for one request: on a connection that has room, else on a new one, which `connect` makes. None where
    /// that finds that the pod wants HTTP/1.1.
    pub async fn place<B, F>(
        &self,
        connect: impl Fn() -> F,
    ) -> Result<Option<Stream<B>>, ConnectError>
    where
        F: Future<Output = Result<Option<Rc<Shareable>>, ConnectError>> + 'static,
    {
        let mut was_there = true;
        loop {
            if let Some(stream) = self.open_place(was_there) {
                return Ok(Some(stream));
            }
            was_there = false;
            let Some(connected) = self.join(&connect).await? else {
                return Ok(None);
            };
            let known = |open: &Rc<Shareable>| Rc::ptr_eq(open, &connected);
            if !self.open.borrow().iter().any(known) {
                self.open.borrow_mut().push(connected);
            }
        }
    }

    fn open_place<B>(&self, was_there: bool) -> Option<Stream<B>> {
        let mut open = self.open.borrow_mut();
        open.retain(|connection| !connection.is_spent());
        // The first that has room: later ones fall idle when there is less to do.
        open.iter()
            .find(|open| open.has_room())
            .map(|open| Stream::new(open, was_there))
    }

    fn join<F>(&self, connect: &impl Fn() -> F) -> Shared<Connecting>
    where
        F: Future<Output = Result<Option<Rc<Shareable>>, ConnectError>> + 'static,
    {
        let mut connecting = self.connecting.borrow_mut();
        let under_way = connecting.as_ref().and_then(WeakShared::upgrade);
        if let Some(under_way) = under_way.filter(|under_way| under_way.peek().is_none()) {
            return under_way;
        }
        let begun = connect().boxed_local().shared();
        *connecting = begun.downgrade();
        begun
    }

    /// Closes what has lain idle too long.
    pub fn expire(&self, now: Instant) {
        self.open.borrow_mut().retain(|connection| {
            let health = &connection.health;
            health.streams.get() > 0 || now.duration_since(health.idle_since.get()) < IDLE_FOR
        });
    }

    /// Takes no further requests; connections close with their last stream.
    pub fn close(&self) {
        self.open.borrow_mut().clear();
    }
}

impl Shareable {
    /// Speaks HTTP/2 on a fresh stream, and waits until the pod has said how many requests it takes at once: that also
    /// tells a pod that does not speak HTTP/2.
    pub async fn handshake(
        transport: Transport,
        header_bytes: usize,
        keepalive: Duration,
        opened: Opened,
    ) -> Result<Rc<Self>, ConnectError> {
        let is_tls = transport.is_tls();
        let refusal = transport.refusal();
        let refused = |error: &h2::Error| refused(error, refusal.as_ref());
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            // None before the pod has told its limit.
            .initial_max_send_streams(0)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAM_WINDOW * u32::try_from(STREAMS).unwrap_or(1))
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX));
        let (sender, mut connection) = builder
            .handshake(transport)
            .await
            .map_err(|error| refused(&error))?;
        std::future::poll_fn(|cx| {
            let polled = connection.poll_unpin(cx);
            if sender.current_max_send_streams() > 0 {
                return std::task::Poll::Ready(Ok(()));
            }
            polled.map(|ended| {
                Err(ended
                    .err()
                    .as_ref()
                    .map_or(ConnectError::Protocol, &refused))
            })
        })
        .await?;
        let health = Rc::new(Health {
            streams: Cell::new(0),
            heard: Cell::new(false),
            idle_since: Cell::new(Instant::now()),
            retired: Cell::new(false),
            ended: Cell::new(None),
        });
        tokio::task::spawn_local(drive(connection, health.clone(), keepalive, opened));
        Ok(Rc::new(Self {
            sender,
            health,
            is_tls,
        }))
    }

    fn has_room(&self) -> bool {
        self.health.streams.get() < self.sender.current_max_send_streams().min(STREAMS)
    }

    /// Takes no further request: it has ended, or will with the requests it has.
    fn is_spent(&self) -> bool {
        self.health.retired.get() || self.health.ended.get().is_some()
    }
}

/// Drives a connection to its end: until the pod closes it, or does not answer, or nobody needs it any more.
async fn drive(
    mut connection: Connection<Transport, Bytes>,
    health: Rc<Health>,
    keepalive: Duration,
    _opened: Opened,
) {
    let silent = keepalive::until_silent(connection.ping_pong(), &health, keepalive);
    let ended = tokio::select! {
        biased;
        // How it ended is known to the streams it ended for.
        _ = &mut connection => Ended::Closed,
        () = silent => Ended::Silent,
    };
    // Before the connection goes, which is what its streams hear of.
    health.ended.set(Some(ended));
}

/// A handshake that failed: the pod closed, or it answered something else.
fn refused(error: &h2::Error, refusal: Option<&Refusal>) -> ConnectError {
    if let Some(alert) = refusal.and_then(Refusal::alert) {
        return ConnectError::Tls(alert.into());
    }
    match error.get_io() {
        Some(error) => ConnectError::Failed(error.kind()),
        None if error.is_go_away() && error.is_remote() => {
            ConnectError::Failed(io::ErrorKind::ConnectionAborted)
        }
        None => ConnectError::Protocol,
    }
}

impl Place {
    fn take(health: &Rc<Health>) -> Self {
        health.streams.set(health.streams.get() + 1);
        Self(health.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = self.0.streams.get() - 1;
        self.0.streams.set(left);
        if left == 0 {
            self.0.idle_since.set(Instant::now());
        }
    }
}

impl fmt::Debug for Shareable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shareable")
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}
