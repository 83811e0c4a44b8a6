//! A worker's connections to the pods of one target, and the one place where they are bounded.
//!
//! Everything here belongs to one thread. Over HTTP/1.1 a connection carries one request at a time, over HTTP/2
//! connections are shared.

mod carrier;
mod connect;
mod http1;
mod http2;
mod idle;
mod manner;
mod opened;
mod pod_io;
mod shared;
mod tls;
mod transport;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Body;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use crate::admission::{ConnectionPermit, PodLimit};
use crate::endpoint::{Endpoint, Identity, Standing};
use crate::stats::{EndpointShard, EndpointStats, PeakEwma, Reported, TallyShard};

use http2::Connections;
use idle::IdleConnections;
use opened::{Opened, close_lendable};

pub use carrier::{BodyError, Carrier, Cause, Incoming, SendError};
pub use connect::ConnectError;
pub use http1::{MIN_BUFFER, Upgraded};
pub use http2::Detached;
pub use manner::{Manner, Spoken};
pub use shared::{Settings, Shared};
pub use tls::{Alert, HTTP1, HTTP2, TlsError, tls_error};

/// A pod as one worker knows it: its endpoint, its counters and its connections.
#[derive(Debug)]
pub struct Upstream<B: Body + 'static> {
    identity: Identity,
    /// As the latest list has it.
    endpoint: RefCell<Arc<Endpoint>>,
    stats: Arc<EndpointStats>,
    idle: IdleConnections<B>,
    /// Those of the protocol that the pod has now.
    http2: RefCell<Rc<Connections>>,
    /// What it chose in its last TLS handshake that left it the choice.
    chosen: Cell<Option<Spoken>>,
    ended: Cell<bool>,
    /// Told when it turns out to be silent.
    forsaken: Notify,
    shared: Rc<Shared>,
}

impl<B> Upstream<B>
where
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub fn new(endpoint: Arc<Endpoint>, stats: Arc<EndpointStats>, shared: Rc<Shared>) -> Rc<Self> {
        Rc::new(Self {
            identity: endpoint.identity.clone(),
            endpoint: RefCell::new(endpoint),
            stats,
            idle: IdleConnections::new(shared.clone()),
            http2: RefCell::default(),
            chosen: Cell::new(None),
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
        !self.idle.is_empty() || self.http2().has_place()
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
                let http2 = self.http2();
                let place = http2.place(settings.connect_timeout, connect);
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
        if let Some(kept) = self.idle.checkout(Instant::now(), over_tls, careful) {
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
            match self.http2().place(within, connect).await {
                Ok(Some(place)) => return Ok(Carrier::Http2(place)),
                Ok(None) => {}
                // Its place may be that of a connection that has come back.
                Err(ConnectError::Full) if !self.idle.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
        let carrier = self.http1(true, careful, permit.take()).await;
        // It may have started again as something else; one that was not asked has not.
        if carrier
            .as_ref()
            .is_err_and(|error| *error != ConnectError::Full)
        {
            self.chosen.set(None);
        }
        carrier
    }

    /// Takes back what has carried a request. A place on a shared connection is free again by its drop.
    pub fn release(&self, carrier: Carrier<B>) {
        if let Carrier::Http1(mut connection) = carrier {
            connection.mark_used();
            self.idle.put_back(connection, Instant::now());
        }
    }

    /// Closes up to `most` idle connections in places that another worker can use. Whether it left any.
    pub fn lend(&self, most: &mut usize) -> bool {
        let left = self.http2().lend(most);
        self.idle.lend(most) || left
    }

    /// Heeds a pod's `Keep-Alive: timeout=N`.
    pub fn learn_idle_timeout(&self, said: Duration) {
        self.idle.learn_timeout(said);
    }

    /// Closes what has lain idle too long.
    pub fn expire(&self, now: Instant) {
        self.http2().expire(now);
        self.idle.expire(now);
    }

    /// The pod is no longer on the list: closes its idle connections now, and those in use when they come back.
    pub fn close(&self) {
        self.idle.close();
        self.let_go();
    }

    fn http2(&self) -> Rc<Connections> {
        self.http2.borrow().clone()
    }

    fn let_go(&self) {
        // One that is still being made is for those who wait for it, and for nobody after them.
        self.http2.take().close();
        self.chosen.set(None);
        self.idle.clear();
    }
}
