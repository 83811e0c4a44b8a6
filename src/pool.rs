//! A worker's idle connections to the pods of one target, and the one place where they are bounded.
//!
//! Everything here belongs to one thread. The last connection put back is the first to go out again, so that what is
//! not needed ages and closes.

pub mod http1;
mod pod_io;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::endpoint::{AppProtocol, Endpoint, Identity, Standing};
use crate::stats::{Count, EndpointShard, EndpointStats, TargetStats};
use http1::{ConnectError, Http1};

/// A pod as one worker knows it: its endpoint, its counters and its idle connections.
#[derive(Debug)]
pub struct Upstream<B: http_body::Body + 'static> {
    identity: Identity,
    /// As the latest list has it.
    endpoint: RefCell<Arc<Endpoint>>,
    stats: Arc<EndpointStats>,
    idle: RefCell<Vec<Idle<B>>>,
    /// How long a connection may lie idle: the default until the pod names its own timeout.
    idle_for: Cell<Duration>,
    open: Cell<bool>,
    ended: Cell<bool>,
    shared: Rc<Shared>,
}

#[derive(Debug)]
struct Idle<B: http_body::Body + 'static> {
    connection: Http1<B>,
    since: Instant,
}

/// What all upstreams of one worker and target have in common: bounds, and the counts they hold for.
#[derive(Debug)]
pub struct Shared {
    idle_per_pod: usize,
    idle_total: usize,
    idle: Cell<usize>,
    stats: Arc<TargetStats>,
    worker: usize,
}

/// A connection to a pod, counted as open until dropped.
#[derive(Debug)]
pub struct Opened(Rc<Shared>);

/// A pod's own word on idle connections is heeded up to here.
const LONGEST_IDLE: Duration = Duration::from_secs(60);

/// A connection that has lain idle for less is in steady use: the event loop's view of it is as good as the kernel's.
const WARM: Duration = Duration::from_millis(10);

/// Closing this much before the pod does keeps most requests out of the race with its close.
const CLOSE_AHEAD: Duration = Duration::from_secs(1);

impl Shared {
    pub fn new(
        idle_per_pod: usize,
        idle_total: usize,
        stats: Arc<TargetStats>,
        worker: usize,
    ) -> Rc<Self> {
        Rc::new(Self {
            idle_per_pod,
            idle_total,
            idle: Cell::new(0),
            stats,
            worker,
        })
    }

    fn open(self: &Rc<Self>) -> Opened {
        self.stats.shard(self.worker).add(Count::UpstreamOpened);
        Opened(self.clone())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.stats.shard(self.0.worker).add(Count::UpstreamClosed);
    }
}

impl<B> Upstream<B>
where
    B: http_body::Body<Data = bytes::Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub fn new(
        endpoint: Arc<Endpoint>,
        stats: Arc<EndpointStats>,
        idle_for: Duration,
        shared: Rc<Shared>,
    ) -> Rc<Self> {
        Rc::new(Self {
            identity: endpoint.identity.clone(),
            endpoint: RefCell::new(endpoint),
            stats,
            idle: RefCell::default(),
            idle_for: Cell::new(idle_for),
            open: Cell::new(true),
            ended: Cell::new(false),
            shared,
        })
    }

    pub fn counters(&self) -> &EndpointShard {
        self.stats.shard(self.shared.worker)
    }

    /// Whether membership wants to hear of successes there.
    pub fn is_suspect(&self) -> bool {
        self.stats.suspect()
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn endpoint(&self) -> Arc<Endpoint> {
        self.endpoint.borrow().clone()
    }

    /// The list has something new to say of the same pod: its connections are as good as before.
    pub fn set_endpoint(&self, endpoint: &Arc<Endpoint>) {
        if !Arc::ptr_eq(&self.endpoint.borrow(), endpoint) {
            self.endpoint.replace(endpoint.clone());
            self.ended.set(false);
        }
    }

    /// The protocol it asks for, where that is not spoken.
    pub fn unsupported(&self) -> Option<String> {
        match &self.endpoint.borrow().protocol {
            AppProtocol::Http1 => None,
            AppProtocol::Unsupported(protocol) => Some(protocol.clone()),
        }
    }

    /// Whether it is terminating, and used because nobody is ready: its containers are not started again, so one that
    /// refuses a connection has ended.
    pub fn is_last_resort(&self) -> bool {
        self.endpoint.borrow().standing == Standing::Fallback
    }

    /// No request of this worker goes there any more.
    pub fn set_ended(&self) {
        self.ended.set(true);
    }

    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// A new connection. `header_bytes` bounds a response's head.
    pub async fn connect(
        &self,
        timeout: Duration,
        header_bytes: usize,
    ) -> Result<Http1<B>, ConnectError> {
        let (address, shared) = (self.identity.address, &self.shared);
        Http1::connect(address, timeout, header_bytes, || shared.open()).await
    }

    /// An idle connection that is still good, the youngest first.
    ///
    /// The kernel is asked about it where a mistake could not be mended, for a request that must not be repeated
    /// (`careful`), and where the pod has had time to end it or to say something unasked, as some do before they close.
    pub fn checkout(&self, now: Instant, careful: bool) -> Option<Http1<B>> {
        loop {
            let mut idle = self.pop()?;
            let lain = now.duration_since(idle.since);
            let ask_kernel = careful || lain >= WARM;
            if lain < self.idle_for.get() && idle.connection.is_reusable(ask_kernel) {
                idle.connection.mark_reused();
                return Some(idle.connection);
            }
        }
    }

    /// Takes a connection back after its exchange, unless it is spent, the pod has gone, or enough are kept already.
    pub fn put_back(&self, mut connection: Http1<B>, now: Instant) {
        let full = self.idle.borrow().len() >= self.shared.idle_per_pod
            || self.shared.idle.get() >= self.shared.idle_total;
        if full || !self.open.get() || !connection.is_idle() {
            return;
        }
        self.shared.idle.set(self.shared.idle.get() + 1);
        self.idle.borrow_mut().push(Idle {
            connection,
            since: now,
        });
    }

    /// Heeds a pod's `Keep-Alive: timeout=N`.
    pub fn learn_idle_timeout(&self, said: Duration) {
        let wanted = said.saturating_sub(CLOSE_AHEAD).max(said / 2);
        self.idle_for.set(wanted.min(LONGEST_IDLE));
    }

    /// Closes what has lain idle too long.
    pub fn expire(&self, now: Instant) {
        let idle_for = self.idle_for.get();
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        // Pushed in order of time: the oldest are in front.
        let keep_from = idle.partition_point(|idle| now.duration_since(idle.since) >= idle_for);
        idle.drain(..keep_from);
        self.shared
            .idle
            .set(self.shared.idle.get() - (before - idle.len()));
    }

    /// The pod is no longer on the list: closes its idle connections now, and those in use when they come back.
    pub fn close(&self) {
        self.open.set(false);
        while self.pop().is_some() {}
    }

    fn pop(&self) -> Option<Idle<B>> {
        let idle = self.idle.borrow_mut().pop()?;
        self.shared.idle.set(self.shared.idle.get() - 1);
        Some(idle)
    }
}
