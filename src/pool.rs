//! A worker's connections to the pods of one target, and the one place where they are bounded.
//!
//! Everything here belongs to one thread. Over HTTP/1.1 a connection carries one request at a time; the last put back is
//! the first to go out again, so that what is not needed ages and closes. Over HTTP/2 connections are shared.

mod carrier;
mod connect;
mod http1;
mod http2;
mod manner;
mod pod_io;
mod tls;
mod transport;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::admission::{ConnectionPermit, PodLimit};
use crate::config::UpstreamProtocol;
use crate::endpoint::{Endpoint, Identity, Standing};
use crate::stats::{
    Count, EndpointShard, EndpointStats, PeakEwma, Reported, TallyShard, TargetStats,
};
use crate::upstream_tls::UpstreamTls;

pub use carrier::{BodyError, Carrier, Cause, Incoming, SendError};
pub use connect::ConnectError;
use http1::Http1;
pub use http1::{MIN_BUFFER, Upgraded};
use http2::Connections;
pub use http2::Detached;
pub use manner::{Manner, Spoken};
pub use tls::{Alert, HTTP1, HTTP2, TlsError, tls_error};

/// A pod as one worker knows it: its endpoint, its counters and its connections.
#[derive(Debug)]
pub struct Upstream<B: http_body::Body + 'static> {
    identity: Identity,
    /// As the latest list has it.
    endpoint: RefCell<Arc<Endpoint>>,
    stats: Arc<EndpointStats>,
    idle: RefCell<Vec<Idle<B>>>,
    http2: Connections,
    /// What it chose in its last TLS handshake that left it the choice.
    chosen: Cell<Option<Spoken>>,
    /// How long a connection may lie idle: the default until the pod names its own timeout.
    idle_for: Cell<Duration>,
    open: Cell<bool>,
    ended: Cell<bool>,
    /// Told when it turns out to be silent.
    forsaken: Notify,
    shared: Rc<Shared>,
}

#[derive(Debug)]
struct Idle<B: http_body::Body + 'static> {
    connection: Http1<B>,
    since: Instant,
}

/// How pods are reached, and what is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is spoken to them.
    pub protocol: UpstreamProtocol,
    pub tls: UpstreamTls,
    pub connect_timeout: Duration,
    /// The most bytes of a response's head.
    pub header_bytes: usize,
    /// How long a connection over HTTP/1.1 may lie idle, until its pod names a time of its own.
    pub idle_for: Duration,
    /// Idle connections over HTTP/1.1, to one pod and to all.
    pub idle_per_pod: usize,
    pub idle_total: usize,
    /// A pod with requests in flight over HTTP/2 that gives no sign of life is given up after this.
    pub keepalive: Duration,
}

/// What all upstreams of one worker and target have in common: settings, and the counts their bounds hold for.
#[derive(Debug)]
pub struct Shared {
    settings: Settings,
    idle: Cell<usize>,
    stats: Arc<TargetStats>,
    worker: usize,
}

/// A connection to a pod, counted as open until dropped, with its place there, where places are limited. To be dropped
/// after the connection: the pod never sees one too many.
#[derive(Debug)]
pub struct Opened {
    shared: Rc<Shared>,
    permit: Option<ConnectionPermit>,
}

/// A pod's own word on idle connections is heeded up to here.
const LONGEST_IDLE: Duration = Duration::from_secs(60);

/// A connection that has lain idle for less is in steady use: the event loop's view of it is as good as the kernel's.
const WARM: Duration = Duration::from_millis(10);

/// Closing this much before the pod does keeps most requests out of the race with its close.
const CLOSE_AHEAD: Duration = Duration::from_secs(1);

impl Shared {
    pub fn new(settings: Settings, stats: Arc<TargetStats>, worker: usize) -> Rc<Self> {
        Rc::new(Self {
            settings,
            idle: Cell::new(0),
            stats,
            worker,
        })
    }

    fn open(self: &Rc<Self>, permit: Option<ConnectionPermit>) -> Opened {
        self.stats.shard(self.worker).add(Count::UpstreamOpened);
        Opened {
            shared: self.clone(),
            permit,
        }
    }
}

impl Opened {
    /// The connection can take a request. `idle`: it has none.
    fn freed(&self, idle: bool) {
        if let Some(permit) = &self.permit {
            permit.freed(idle);
        }
    }

    fn is_wanted_elsewhere(&self) -> bool {
        self.permit
            .as_ref()
            .is_some_and(ConnectionPermit::is_wanted)
    }

    /// Whether it lies where another worker's could be instead.
    fn is_lendable(&self) -> bool {
        self.permit
            .as_ref()
            .is_some_and(ConnectionPermit::is_shared)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.stats.shard(shared.worker).add(Count::UpstreamClosed);
    }
}

impl<B> Upstream<B>
where
    B: http_body::Body<Data = bytes::Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub fn new(endpoint: Arc<Endpoint>, stats: Arc<EndpointStats>, shared: Rc<Shared>) -> Rc<Self> {
        Rc::new(Self {
            identity: endpoint.identity.clone(),
            endpoint: RefCell::new(endpoint),
            stats,
            idle: RefCell::default(),
            http2: Connections::default(),
            chosen: Cell::new(None),
            idle_for: Cell::new(shared.settings.idle_for),
            open: Cell::new(true),
            ended: Cell::new(false),
            forsaken: Notify::new(),
            shared,
        })
    }

    /// An attempt there begins. Where it is the pod's turn, `all` is what this worker has had answered by all pods.
    pub fn begin(&self, now: Instant, all: Option<u64>) {
        self.counters().start();
        if let Some(all) = all {
            self.stats.wait(self.shared.worker, now, all);
        }
    }

    pub fn counters(&self) -> &EndpointShard {
        self.stats.shard(self.shared.worker)
    }

    /// The average of its latency, where the policy keeps one.
    pub fn latency(&self) -> Option<&PeakEwma> {
        self.stats.latency()
    }

    /// Where it is counted what comes of its requests, if pods are compared by it.
    pub fn tally(&self) -> Option<&TallyShard> {
        self.stats.tally_shard(self.shared.worker)
    }

    /// What it is given at most, where that is limited.
    pub fn limit(&self) -> Option<&Arc<PodLimit>> {
        self.stats.limit()
    }

    /// Whether it has as much as it may be given, or no connection for a request of this worker. `may_share`: nobody has
    /// waited for longer for what any worker may have.
    pub fn is_full(&self, may_share: bool) -> bool {
        self.limit().is_some_and(|limit| limit.is_full())
            || self.stats.connections().is_some_and(|bound| {
                !self.has_connection() && !bound.has_room(self.shared.worker, may_share)
            })
    }

    /// Whether a request finds a connection, kept or being made.
    fn has_connection(&self) -> bool {
        !self.idle.borrow().is_empty() || self.http2.has_place()
    }

    /// The place of a new connection, where they are limited and one is needed; `Err` where all are taken.
    pub fn connection_permit(
        &self,
        may_share: bool,
    ) -> Result<Option<ConnectionPermit>, ConnectError> {
        match self.stats.connections() {
            Some(bound) if !self.has_connection() => bound
                .enter(self.shared.worker, may_share)
                .map(Some)
                .ok_or(ConnectError::Full),
            _ => Ok(None),
        }
    }

    /// That of a connection which is about to be made after all.
    fn permit(
        &self,
        taken: Option<ConnectionPermit>,
    ) -> Result<Option<ConnectionPermit>, ConnectError> {
        match (self.stats.connections(), taken) {
            (Some(bound), None) => bound
                .enter(self.shared.worker, bound.may_share())
                .map(Some)
                .ok_or(ConnectError::Full),
            (_, taken) => Ok(taken),
        }
    }

    /// Where its reports of its load go, if the policy makes weights of them.
    pub fn reported(&self) -> Option<&Reported> {
        self.stats.reported()
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

    /// The list has something new to say of the same pod. Its connections are as good as before, unless it is now to be
    /// spoken to in another way.
    pub fn set_endpoint(&self, endpoint: &Arc<Endpoint>) {
        if Arc::ptr_eq(&self.endpoint.borrow(), endpoint) {
            return;
        }
        let before = self.endpoint.replace(endpoint.clone());
        self.ended.set(false);
        if before.protocol != endpoint.protocol {
            // What was made for another protocol, or without TLS, must not carry what comes now.
            self.let_go();
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

    /// Requests that wait for it in vain need not wait on.
    pub fn forsake(&self) {
        self.forsaken.notify_waiters();
    }

    /// Ends at the next [`forsake`](Self::forsake).
    pub fn forsaken(&self) -> Notified<'_> {
        self.forsaken.notified()
    }

    /// What is to carry one request: a kept connection or a new one, or a place on a shared one. `careful`: the request
    /// must not be repeated, so a kept connection is looked at closely. `permit`: a new one's place.
    pub async fn carrier(
        self: &Rc<Self>,
        careful: bool,
        permit: Option<ConnectionPermit>,
    ) -> Result<Carrier<B>, ConnectError> {
        let settings = &self.shared.settings;
        let manner = Manner::of(
            self.endpoint.borrow().protocol,
            settings.tls.when,
            settings.protocol,
        );
        match manner.spoken {
            Some(Spoken::Http1) => self.http1(manner.over_tls, careful, permit).await,
            Some(Spoken::Http2) => {
                let permit = Cell::new(permit);
                let connect = || {
                    let permit = self.permit(permit.take())?;
                    Ok(self.connect_http2(manner.over_tls, permit))
                };
                let place = self.http2.place(settings.connect_timeout, connect);
                place
                    .await?
                    .map(Carrier::Http2)
                    .ok_or(ConnectError::Protocol)
            }
            None => self.as_chosen(careful, permit).await,
        }
    }

    async fn http1(
        &self,
        over_tls: bool,
        careful: bool,
        permit: Option<ConnectionPermit>,
    ) -> Result<Carrier<B>, ConnectError> {
        if let Some(kept) = self.checkout(Instant::now(), over_tls, careful) {
            return Ok(Carrier::Http1(kept));
        }
        let permit = self.permit(permit)?;
        let connected = self.connect_http1(over_tls, permit).await;
        connected.map(Carrier::Http1)
    }

    /// By what the pod chose last. As long as that is not HTTP/1.1, whoever needs a connection waits for the same
    /// one: it may be one to share.
    async fn as_chosen(
        self: &Rc<Self>,
        careful: bool,
        permit: Option<ConnectionPermit>,
    ) -> Result<Carrier<B>, ConnectError> {
        let permit = Cell::new(permit);
        if self.chosen.get() != Some(Spoken::Http1) {
            let within = self.shared.settings.connect_timeout;
            let connect = || {
                let permit = self.permit(permit.take())?;
                Ok(self.connect_either(permit))
            };
            let place = self.http2.place(within, connect).await?;
            if let Some(place) = place {
                return Ok(Carrier::Http2(place));
            }
        }
        let carrier = self.http1(true, careful, permit.take()).await;
        if carrier.is_err() {
            // It may have started again as something else.
            self.chosen.set(None);
        }
        carrier
    }

    /// An idle connection that is still good, the youngest first.
    ///
    /// The kernel is asked about it where a mistake could not be mended, for a request that must not be repeated
    /// (`careful`), and where the pod has had time to end it or to say something unasked, as some do before they close.
    fn checkout(&self, now: Instant, over_tls: bool, careful: bool) -> Option<Http1<B>> {
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

    /// Takes back what has carried a request. A place on a shared connection is free again by its drop.
    pub fn release(&self, carrier: Carrier<B>) {
        if let Carrier::Http1(mut connection) = carrier {
            connection.mark_used();
            self.put_back(connection, Instant::now());
        }
    }

    /// Keeps a connection that is idle, unless it is spent, the pod has gone, enough are kept already, or a request of
    /// another worker has waited longest for such a place.
    fn put_back(&self, mut connection: Http1<B>, now: Instant) {
        let settings = &self.shared.settings;
        let full = self.idle.borrow().len() >= settings.idle_per_pod
            || self.shared.idle.get() >= settings.idle_total;
        let wanted = connection.opened().is_wanted_elsewhere();
        if full || wanted || !self.open.get() || !connection.is_idle() {
            return;
        }
        self.shared.idle.set(self.shared.idle.get() + 1);
        let mut idle = self.idle.borrow_mut();
        idle.push(Idle {
            connection,
            since: now,
        });
        if let Some(kept) = idle.last() {
            kept.connection.opened().freed(true);
        }
    }

    /// Closes up to `most` idle connections in places that another worker can use. Whether it left any.
    pub fn lend(&self, most: &mut usize) -> bool {
        let left = self.http2.lend(most);
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        let left_too = close_lendable(&mut idle, most, |idle| {
            idle.connection.opened().is_lendable()
        });
        let closed = before - idle.len();
        self.shared.idle.set(self.shared.idle.get() - closed);
        left || left_too
    }

    /// Heeds a pod's `Keep-Alive: timeout=N`.
    pub fn learn_idle_timeout(&self, said: Duration) {
        let wanted = said.saturating_sub(CLOSE_AHEAD).max(said / 2);
        self.idle_for.set(wanted.min(LONGEST_IDLE));
    }

    /// Closes what has lain idle too long.
    pub fn expire(&self, now: Instant) {
        let idle_for = self.idle_for.get();
        self.http2.expire(now);
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
        self.let_go();
    }

    fn let_go(&self) {
        self.http2.close();
        self.chosen.set(None);
        while self.pop().is_some() {}
    }

    fn pop(&self) -> Option<Idle<B>> {
        let idle = self.idle.borrow_mut().pop()?;
        self.shared.idle.set(self.shared.idle.get() - 1);
        Some(idle)
    }
}

/// Drops up to `most` of the connections that may be lent, and counts them off. Whether it left any.
fn close_lendable<T>(
    connections: &mut Vec<T>,
    most: &mut usize,
    is_lendable: impl Fn(&T) -> bool,
) -> bool {
    connections.retain(|connection| {
        let closes = *most > 0 && is_lendable(connection);
        *most -= usize::from(closes);
        !closes
    });
    connections.iter().any(is_lendable)
}
