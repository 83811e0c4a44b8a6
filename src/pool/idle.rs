//! The HTTP/1.1 connections of one worker to one pod that carry no request.
//!
//! The last put back is the first to go out again, so that what is not needed ages and closes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Body;

use super::Shared;
use super::http1::Http1;
use super::opened::close_lendable;

/// Those that are kept for the next requests.
#[derive(Debug)]
pub(super) struct IdleConnections<B: Body + 'static> {
    kept: RefCell<Vec<Idle<B>>>,
    /// How long one may lie idle: the default until the pod names its own timeout.
    idle_for: Cell<Duration>,
    /// Whether any are kept: the pod is on the list.
    open: Cell<bool>,
    shared: Rc<Shared>,
}

#[derive(Debug)]
struct Idle<B: Body + 'static> {
    connection: Http1<B>,
    since: Instant,
}

/// A pod's own word on idle connections is heeded up to here.
const LONGEST_IDLE: Duration = Duration::from_secs(60);

/// A connection that has lain idle for less is in steady use: the event loop's view of it is as good as the kernel's.
const WARM: Duration = Duration::from_millis(10);

/// Closing this much before the pod does keeps most requests out of the race with its close.
const CLOSE_AHEAD: Duration = Duration::from_secs(1);

impl<B> IdleConnections<B>
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(super) fn new(shared: Rc<Shared>) -> Self {
        Self {
            kept: RefCell::default(),
            idle_for: Cell::new(shared.settings.idle_for),
            open: Cell::new(true),
            shared,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.borrow().is_empty()
    }

    /// An idle connection that is still good, the youngest first.
    ///
    /// The kernel is asked about it where a mistake could not be mended, for a request that must not be repeated
    /// (`careful`), and where the pod has had time to end it or to say something unasked, as some do before they close.
    pub(super) fn checkout(&self, now: Instant, over_tls: bool, careful: bool) -> Option<Http1<B>> {
        loop {
            let mut idle = self.pop()?;
            let lain = now.duration_since(idle.since);
            let ask_kernel = careful || lain >= WARM;
            let suits = idle.connection.is_tls() == over_tls;
            if suits && lain < self.idle_for.get() && idle.connection.is_reusable(ask_kernel) {
                return Some(idle.connection);
            }
        }
    }

    /// Keeps a connection that is idle, unless it is spent, the pod has gone, enough are kept already, or a request of
    /// another worker has waited longest for such a place.
    pub(super) fn put_back(&self, mut connection: Http1<B>, now: Instant) {
        let settings = &self.shared.settings;
        let full = self.kept.borrow().len() >= settings.idle_per_pod
            || self.shared.idle.get() >= settings.idle_total;
        let wanted = connection.opened().is_wanted_elsewhere();
        if full || wanted || !self.open.get() || !connection.is_idle() {
            return;
        }
        self.shared.idle.set(self.shared.idle.get() + 1);
        let mut kept = self.kept.borrow_mut();
        kept.push(Idle {
            connection,
            since: now,
        });
        if let Some(kept) = kept.last() {
            kept.connection.opened().freed(true);
        }
    }

    /// Heeds a pod's `Keep-Alive: timeout=N`.
    pub(super) fn learn_timeout(&self, said: Duration) {
        let wanted = said.saturating_sub(CLOSE_AHEAD).max(said / 2);
        self.idle_for.set(wanted.min(LONGEST_IDLE));
    }

    /// Closes what has lain idle too long.
    pub(super) fn expire(&self, now: Instant) {
        let idle_for = self.idle_for.get();
        let mut kept = self.kept.borrow_mut();
        let before = kept.len();
        // Pushed in order of time: the oldest are in front.
        let keep_from = kept.partition_point(|idle| now.duration_since(idle.since) >= idle_for);
        kept.drain(..keep_from);
        self.count_off(before - kept.len());
    }

    /// Closes up to `most` in places that another worker can use. Whether it left any.
    pub(super) fn lend(&self, most: &mut usize) -> bool {
        let mut kept = self.kept.borrow_mut();
        let before = kept.len();
        let left = close_lendable(&mut kept, most, |idle| {
            idle.connection.opened().is_lendable()
        });
        self.count_off(before - kept.len());
        left
    }

    /// Closes all, and those in use when they come back.
    pub(super) fn close(&self) {
        self.open.set(false);
        self.clear();
    }

    pub(super) fn clear(&self) {
        while self.pop().is_some() {}
    }

    fn pop(&self) -> Option<Idle<B>> {
        let idle = self.kept.borrow_mut().pop()?;
        self.count_off(1);
        Some(idle)
    }

    fn count_off(&self, closed: usize) {
        self.shared.idle.set(self.shared.idle.get() - closed);
    }
}
