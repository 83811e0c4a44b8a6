//! The HTTP/2 connections of one worker to one pod: each carries many requests, and there are as many connections as
//! the pod's limit on streams asks for.

mod exchange;
mod keepalive;
mod shareable;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared};

use super::{ConnectError, close_lendable};
pub use exchange::{Detached, Received, Stream};
pub use shareable::Shareable;
use shareable::{Ended, Health, Place, STREAMS};

/// A connection without a request is kept this long. A pod that closes it first says so (GOAWAY), so no request is
/// lost to that.
const IDLE_FOR: Duration = Duration::from_secs(60);

/// New connections in a row that were over before they could be used.
const MOST_LOST: u32 = 2;

/// One worker's connections to one pod.
#[derive(Debug, Default)]
pub struct Connections {
    known: Rc<Known>,
    /// Those being made. A new one is begun once more requests wait than these will have room for.
    connecting: RefCell<Vec<Shared<Connecting>>>,
    /// Requests that wait for a place.
    waiting: Cell<usize>,
}

/// What connections are there, and what the last one told.
#[derive(Debug)]
struct Known {
    open: RefCell<Vec<Rc<Shareable>>>,
    /// Requests that one has room for.
    room: Cell<usize>,
}

/// `None` where the pod wants HTTP/1.1.
type Connecting = LocalBoxFuture<'static, Result<Option<Rc<Shareable>>, Failed>>;

/// An attempt that failed: once for the pod, however many waited for it.
#[derive(Clone)]
struct Failed {
    error: ConnectError,
    told: Rc<Cell<bool>>,
}

/// A request that waits for a place.
struct Waiting<'a>(&'a Cell<usize>);

impl Connections {
    /// A place for one request: on a connection that has room, else on a new one, which `connect` makes. None where
    /// that finds that the pod wants HTTP/1.1.
    pub async fn place<B, F>(
        &self,
        within: Duration,
        connect: impl Fn() -> Result<F, ConnectError>,
    ) -> Result<Option<Stream<B>>, ConnectError>
    where
        F: Future<Output = Result<Option<Rc<Shareable>>, ConnectError>> + 'static,
    {
        if let Some(stream) = self.known.place(true) {
            return Ok(Some(stream));
        }
        let _waiting = Waiting::begin(&self.waiting);
        tokio::time::timeout(within, self.new_place(connect))
            .await
            .unwrap_or(Err(ConnectError::Timeout(within)))
    }

    async fn new_place<B, F>(
        &self,
        connect: impl Fn() -> Result<F, ConnectError>,
    ) -> Result<Option<Stream<B>>, ConnectError>
    where
        F: Future<Output = Result<Option<Rc<Shareable>>, ConnectError>> + 'static,
    {
        let mut lost = 0;
        loop {
            let Some(connected) = self.join(&connect)?.await.map_err(Failed::tell)? else {
                return Ok(None);
            };
            if let Some(stream) = self.known.place(false) {
                return Ok(Some(stream));
            }
            if connected.is_spent() || connected.room() == 0 {
                // It takes connections and ends them, or takes no requests there.
                lost += 1;
                if lost == MOST_LOST {
                    return Err(ConnectError::Failed(io::ErrorKind::ConnectionAborted));
                }
            }
        }
    }

    /// A connection that is being made, or `Err` where there is none and none may be begun.
    fn join<F>(
        &self,
        connect: &impl Fn() -> Result<F, ConnectError>,
    ) -> Result<Shared<Connecting>, ConnectError>
    where
        F: Future<Output = Result<Option<Rc<Shareable>>, ConnectError>> + 'static,
    {
        self.forget_attempts();
        let mut connecting = self.connecting.borrow_mut();
        if self.waiting.get() <= connecting.len() * self.known.room.get()
            && let Some(under_way) = connecting.last()
        {
            return Ok(under_way.clone());
        }
        let attempt = match connect() {
            Ok(attempt) => attempt,
            // It may have more room than the last one had.
            Err(error) => return connecting.last().cloned().ok_or(error),
        };
        let known = Rc::downgrade(&self.known);
        let begun = async move {
            let met = attempt.await.map_err(|error| Failed {
                error,
                told: Rc::default(),
            })?;
            if let (Some(connected), Some(known)) = (&met, known.upgrade()) {
                known.add(connected);
            }
            Ok(met)
        };
        let begun = begun.boxed_local().shared();
        // It goes on without those who asked for it: the next to come may have more time.
        tokio::task::spawn_local(begun.clone().map(drop));
        connecting.push(begun.clone());
        Ok(begun)
    }

    /// Whether there is a place for one request more, now or on a connection that is being made.
    pub fn has_place(&self) -> bool {
        let open = self.known.open.borrow();
        if open.iter().any(|open| !open.is_spent() && open.has_room()) {
            return true;
        }
        let connecting = self.connecting.borrow();
        let under_way = connecting.iter().filter(|it| it.peek().is_none()).count();
        self.waiting.get() < under_way * self.known.room.get()
    }

    /// Closes up to `most` connections without a request in places that another worker can use. Whether it left any.
    pub fn lend(&self, most: &mut usize) -> bool {
        let left = close_lendable(&mut self.known.open.borrow_mut(), most, |open| {
            open.is_lendable()
        });
        self.forget_attempts();
        left
    }

    /// Closes what has lain idle too long.
    pub fn expire(&self, now: Instant) {
        let mut open = self.known.open.borrow_mut();
        open.retain(|connection| !connection.is_idle(now, IDLE_FOR));
        self.forget_attempts();
    }

    /// Takes no further requests; connections close with their last stream.
    pub fn close(&self) {
        self.known.open.borrow_mut().clear();
        self.forget_attempts();
    }

    /// Those that are over: each keeps what it has made alive.
    fn forget_attempts(&self) {
        let mut connecting = self.connecting.borrow_mut();
        connecting.retain(|connecting| connecting.peek().is_none());
    }
}

impl Failed {
    /// For one of those who waited. A refusal is told by each: it is what they would have met alone.
    fn tell(self) -> ConnectError {
        match self.error {
            error @ ConnectError::Failed(io::ErrorKind::ConnectionRefused) => error,
            error if self.told.replace(true) => ConnectError::Told(Box::new(error)),
            error => error,
        }
    }
}

impl Known {
    fn place<B>(&self, was_there: bool) -> Option<Stream<B>> {
        let mut open = self.open.borrow_mut();
        open.retain(|connection| !connection.is_spent());
        // The first that has room: later ones fall idle when there is less to do.
        open.iter()
            .find(|open| open.has_room())
            .map(|open| Stream::new(open, was_there))
    }

    fn add(&self, connected: &Rc<Shareable>) {
        self.room.set(connected.room().max(1));
        self.open.borrow_mut().push(connected.clone());
        connected.health.freed();
    }
}

impl Default for Known {
    fn default() -> Self {
        Self {
            open: RefCell::default(),
            room: Cell::new(usize::from(STREAMS)),
        }
    }
}

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a Cell<usize>) -> Self {
        waiting.set(waiting.get() + 1);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
