//! One HTTP/2 connection to a pod, and what its driver and its streams know of it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use h2::client::{Builder, Connection, SendRequest};

use super::super::pod_io::WhenDeaf;
use super::super::transport::{Refusal, Transport};
use super::super::{ConnectError, Opened};
use super::keepalive;

/// The most requests on one connection, whatever the pod allows. The bound of what a connection may make us hold:
/// each stream has a window of its own, so a response that nobody reads never holds up another.
pub(super) const STREAMS: u16 = 100;

/// Bytes of a response that may wait here unread.
const STREAM_WINDOW: u32 = 64 * 1024;

/// Bytes of a request that may wait here for the network.
const SEND_BUFFER: usize = 64 * 1024;

/// Streams of ours that were reset and are remembered, and for how long: what the pod sends on one meanwhile is dropped.
/// For one that is forgotten it would be a fault of the pod's.
const REMEMBERED: usize = 1000;
const REMEMBERED_FOR: Duration = Duration::from_secs(30);

/// A connection that takes further streams while there is room.
pub struct Shareable {
    pub(super) sender: SendRequest<Bytes>,
    pub(super) health: Rc<Health>,
    pub(super) is_tls: bool,
}

/// What a connection's driver and its streams tell each other.
#[derive(Debug)]
pub(super) struct Health {
    pub streams: Cell<usize>,
    /// The pod has sent something that belongs to a request since this was last asked.
    pub heard: Cell<bool>,
    pub idle_since: Cell<Instant>,
    /// It takes no further requests.
    pub retired: Cell<bool>,
    pub ended: Cell<Option<Ended>>,
    /// A stream has told of the connection's end: it is one failure, however many it took along.
    pub told: Cell<bool>,
    /// What counts it as open, for as long as it is.
    opened: RefCell<Option<Opened>>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Either side closed it.
    Closed,
    /// The pod did not answer a ping.
    Silent,
}

/// One stream's place on its connection.
#[derive(Debug)]
pub(super) struct Place(pub Rc<Health>);

impl Shareable {
    /// Speaks HTTP/2 on a fresh stream, and waits until the pod has said how many requests it takes at once: that also
    /// tells a pod that does not speak HTTP/2.
    pub async fn handshake(
        mut transport: Transport,
        header_bytes: usize,
        keepalive: Duration,
        opened: Opened,
    ) -> Result<Rc<Self>, ConnectError> {
        transport.when_deaf(WhenDeaf::Discard);
        let is_tls = transport.is_tls();
        let refusal = transport.refusal();
        let refused = |error: &h2::Error| refused(error, refusal.as_ref());
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            // None before the pod has told its limit.
            .initial_max_send_streams(0)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAM_WINDOW * u32::from(STREAMS))
            .max_send_buffer_size(SEND_BUFFER)
            .max_concurrent_reset_streams(REMEMBERED)
            .reset_stream_duration(REMEMBERED_FOR)
            // Counted over a connection's whole life: a long one would end of requests that were merely cancelled.
            .max_local_error_reset_streams(None)
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
            told: Cell::new(false),
            opened: RefCell::new(Some(opened)),
        });
        tokio::task::spawn_local(drive(connection, health.clone(), keepalive));
        Ok(Rc::new(Self {
            sender,
            health,
            is_tls,
        }))
    }

    /// Requests that it takes at once.
    pub(super) fn room(&self) -> usize {
        let allowed = self.sender.current_max_send_streams();
        allowed.min(usize::from(STREAMS))
    }

    pub(super) fn has_room(&self) -> bool {
        self.health.streams.get() < self.room()
    }

    pub(super) fn is_idle(&self, now: Instant, for_so_long: Duration) -> bool {
        let since = self.health.idle_since.get();
        self.health.streams.get() == 0 && now.duration_since(since) >= for_so_long
    }

    /// Whether it has no request, and lies where another worker's connection could be instead.
    pub(super) fn is_lendable(&self) -> bool {
        let opened = self.health.opened.borrow();
        self.health.streams.get() == 0 && opened.as_ref().is_some_and(Opened::is_lendable)
    }

    /// Takes no further request: it has ended, or will with the requests it has.
    pub(super) fn is_spent(&self) -> bool {
        self.health.retired.get() || self.health.ended.get().is_some()
    }
}

/// Drives a connection to its end: until the pod closes it, or does not answer, or nobody needs it any more.
async fn drive(
    mut connection: Connection<Transport, Bytes>,
    health: Rc<Health>,
    keepalive: Duration,
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
    drop(connection);
    // After it: the pod never sees one too many.
    drop(health.opened.take());
}

impl Health {
    /// It can take a request.
    pub fn freed(&self) {
        if let Some(opened) = &*self.opened.borrow() {
            opened.freed(self.streams.get() == 0);
        }
    }
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
    pub fn take(health: &Rc<Health>) -> Self {
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
        self.0.freed();
    }
}

impl fmt::Debug for Shareable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shareable")
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}
