//! The data path of one target on one worker: a request in, a response out.
//!
//! ```text
//! request ─ check ─ admit ─ headers ─┬─ choose (hold) ─ connect or reuse ─ send ─┬─> response
//!                                    ├───────────── retry <─────────────────────┤
//!                                    └──── hedge, while that is silent <────────┘
//! ```

pub mod answer;
mod answered;
mod attempt;
pub mod body;
mod budget;
mod choose;
pub mod client;
mod delivery;
mod discard;
mod forward;
mod grpc;
pub mod headers;
mod hedging;
mod latencies;
mod outgoing;
pub mod pause;
mod race;
mod record;
mod replay;
mod reporter;
pub mod request;
mod retry;
mod setback;
mod tunnel;
mod upgrade;
mod verdict;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use tokio::sync::{Notify, mpsc, watch};

use crate::access_log::AccessLog;
use crate::admission::{Limit, Pending};
use crate::balance;
use crate::config::{Failures, HashKey, Limits, RetrySettings, Timeouts, UpstreamProtocol};
use crate::discovery;
use crate::endpoint::Identity;
use crate::error::Kind;
use crate::outlier::Fact;
use crate::pool::{self, Upstream};
use crate::relay::Scratch;
use crate::snapshot::{Member, Snapshot};
use crate::stats::{TargetShard, TargetStats};
use crate::upstream_tls::UpstreamTls;

use answer::Failure;
use body::{Company, ResponseBody};
use budget::Budget;
use client::{Client, Taking};
use hedging::Hedging;
use outgoing::Outgoing;
use record::Record;
use replay::{AttemptBody, Keep, Replay};
use reporter::Reporter;
use tunnel::Tunnel;
use upgrade::{Protocols, Upgrade};

pub use tunnel::PARTING;

/// What all workers of a target share, and what reaches them from outside.
#[derive(Clone, Debug)]
pub struct Shared {
    pub target: Arc<str>,
    pub settings: Settings,
    pub stats: Arc<TargetStats>,
    /// Requests in flight, over all targets.
    pub requests: Arc<Limit>,
    /// Tunnels and requests that ask for one, over all targets.
    pub upgrades: Arc<Limit>,
    /// Requests waiting for an endpoint, of this target.
    pub held: Arc<Limit>,
    /// Requests waiting for room at a pod of this target, where pods can be full.
    pub pending: Option<Arc<Pending>>,
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    pub status: watch::Receiver<discovery::Status>,
    pub facts: mpsc::Sender<Fact>,
    pub access_log: Option<AccessLog>,
    /// The host of requests that name none.
    pub default_host: HeaderValue,
    pub workers: usize,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub limits: Limits,
    pub timeouts: Timeouts,
    /// How long a request waits while every pod is full.
    pub pending_timeout: Duration,
    pub retry: RetrySettings,
    /// Which answers count as failures of their pod.
    pub failures: Failures,
    pub upstream_protocol: UpstreamProtocol,
    pub upstream_tls: UpstreamTls,
    /// What of a request decides on its pod, where the policy asks for it.
    pub hash_key: Option<HashKey>,
}

impl Settings {
    fn pool(&self) -> pool::Settings {
        pool::Settings {
            protocol: self.upstream_protocol,
            tls: self.upstream_tls.clone(),
            connect_timeout: self.timeouts.connect,
            header_bytes: self.limits.header_bytes,
            idle_for: self.timeouts.upstream_idle,
            idle_per_pod: self.limits.idle_per_pod,
            idle_total: self.limits.idle_total,
            keepalive: self.timeouts.upstream_keepalive,
        }
    }
}

/// One target on one worker.
#[derive(Debug)]
pub struct Proxy {
    target: Arc<str>,
    settings: Settings,
    worker: usize,
    stats: Arc<TargetStats>,
    requests: Arc<Limit>,
    upgrades: Arc<Limit>,
    held: Arc<Limit>,
    pending: Option<Arc<Pending>>,
    status: watch::Receiver<discovery::Status>,
    access_log: Option<AccessLog>,
    default_host: HeaderValue,
    reporter: Reporter,
    budget: RefCell<Budget>,
    /// Where requests are sent to a second pod while the first is silent.
    hedging: Option<Rc<Hedging>>,
    pool: Rc<pool::Shared>,
    scratch: Scratch,
    view: RefCell<Rc<View>>,
    /// Wakes the requests that are held.
    view_changed: Notify,
}

/// A snapshot, with this worker's connections to its members.
#[derive(Debug)]
struct View {
    snapshot: Arc<Snapshot>,
    /// By the member's index; `None` for those without traffic.
    upstreams: Vec<Option<Rc<Upstream<AttemptBody>>>>,
}

impl Proxy {
    pub fn new(shared: &Shared, worker: usize) -> Rc<Self> {
        let snapshot = shared.snapshots.borrow().clone();
        let proxy = Self {
            target: shared.target.clone(),
            settings: shared.settings.clone(),
            worker,
            stats: shared.stats.clone(),
            requests: shared.requests.clone(),
            upgrades: shared.upgrades.clone(),
            held: shared.held.clone(),
            pending: shared.pending.clone(),
            status: shared.status.clone(),
            access_log: shared.access_log.clone(),
            default_host: shared.default_host.clone(),
            reporter: Reporter::new(
                shared.facts.clone(),
                shared.stats.clone(),
                worker,
                shared.settings.failures.codes,
            ),
            budget: RefCell::new(Budget::new(
                &shared.settings.retry,
                shared.workers,
                Instant::now(),
            )),
            hedging: shared
                .settings
                .retry
                .hedge
                .map(|hedge| Hedging::new(hedge, shared.stats.clone(), worker, Instant::now())),
            pool: pool::Shared::new(shared.settings.pool(), shared.stats.clone(), worker),
            scratch: Scratch::default(),
            view: RefCell::new(Rc::new(View {
                snapshot: snapshot.clone(),
                upstreams: Vec::new(),
            })),
            view_changed: Notify::new(),
        };
        proxy.install(snapshot);
        Rc::new(proxy)
    }

    /// Keeps the view up to date, and idle connections within their time, until membership is gone.
    pub async fn follow(self: Rc<Self>, mut snapshots: watch::Receiver<Arc<Snapshot>>) {
        const EXPIRE_EVERY: Duration = Duration::from_millis(500);
        let mut expire = tokio::time::interval(EXPIRE_EVERY);
        loop {
            tokio::select! {
                biased;
                changed = snapshots.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let snapshot = snapshots.borrow_and_update().clone();
                    self.install(snapshot);
                }
                () = self.connections_wanted() => self.lend(),
                now = expire.tick() => {
                    self.expire_idle(now.into_std());
                    if let Some(hedging) = &self.hedging {
                        hedging.renew(now.into_std());
                    }
                }
            }
        }
    }

    /// Takes over a snapshot: from here on no request is sent to a pod it leaves out, and idle connections there
    /// close.
    fn install(&self, snapshot: Arc<Snapshot>) {
        let last = self.view.borrow().clone();
        let mut known: HashMap<&Identity, &Rc<Upstream<AttemptBody>>> = last
            .upstreams
            .iter()
            .flatten()
            .map(|upstream| (upstream.identity(), upstream))
            .collect();
        let mut upstreams = Vec::with_capacity(snapshot.members.len());
        for member in &snapshot.members {
            // A pod keeps its connections while it is ejected; they close when the list takes its traffic away.
            let identity = &member.endpoint.identity;
            let kept = match member.endpoint.is_used() {
                true => known.remove(identity),
                false => None,
            };
            upstreams.push(match kept {
                Some(kept) => {
                    kept.set_endpoint(&member.endpoint);
                    if member.health.is_silent() {
                        kept.forsake();
                    }
                    Some(kept.clone())
                }
                None => member.gets_traffic().then(|| self.upstream(member)),
            });
        }
        for gone in known.into_values() {
            gone.close();
        }
        let next = Rc::new(View {
            snapshot,
            upstreams,
        });
        self.view.replace(next);
        self.view_changed.notify_waiters();
        if let Some(pending) = &self.pending {
            pending.wake();
        }
    }

    fn upstream(&self, member: &Member) -> Rc<Upstream<AttemptBody>> {
        Upstream::new(
            member.endpoint.clone(),
            member.stats.clone(),
            self.pool.clone(),
        )
    }

    /// Until a request of another worker waits for the place of what may lie idle here.
    async fn connections_wanted(&self) {
        match &self.pending {
            Some(pending) => pending.wanted(self.worker).await,
            None => std::future::pending().await,
        }
    }

    /// Closes idle connections whose places others wait for.
    fn lend(&self) {
        let Some(pending) = &self.pending else {
            return;
        };
        let view = self.view.borrow().clone();
        pending.lend(self.worker, |mut most| {
            let upstreams = view.upstreams.iter().flatten();
            // Each is asked, whatever the others left.
            upstreams
                .filter(|upstream| upstream.lend(&mut most))
                .count()
                > 0
        });
    }

    fn expire_idle(&self, now: Instant) {
        let view = self.view.borrow().clone();
        for upstream in view.upstreams.iter().flatten() {
            upstream.expire(now);
        }
    }

    fn counters(&self) -> &TargetShard {
        self.stats.shard(self.worker)
    }

    /// Answers one request.
    pub async fn handle(
        &self,
        request: Request<Incoming>,
        client: Rc<Client>,
    ) -> Response<ResponseBody> {
        client.begin();
        let mut record = Record::start(self.stats.clone(), self.worker, Instant::now());
        if let Some(log) = &self.access_log {
            record.log_to(
                log,
                &self.target,
                client.socket,
                request.method(),
                request.uri(),
            );
        }
        let has_body = !request.body().is_end_stream();
        let version = request.version();
        let is_call = grpc::is_call(version, request.headers());
        let is_head = request.method() == Method::HEAD;
        let permit = self.requests.enter();
        let answered = if permit.is_some() {
            self.exchange(request, is_call, &client, &mut record).await
        } else {
            Err(Failure::new(Kind::Overload, "too many requests in flight"))
        };
        let mut response = answered.unwrap_or_else(|failure| {
            record.failed(failure.kind);
            let list_age = self.list_age();
            let list_age = list_age.as_deref();
            if is_call {
                return failure.into_grpc(list_age);
            }
            let mut response = failure.into_response(list_age);
            if is_head {
                response.body_mut().leave_out();
            }
            if has_body {
                close_after(&mut response);
            }
            response
        });
        if let Some(switched) = response.body_mut().take_switched() {
            // A tunnel is no request in flight any more: its permit is free again.
            let idle = self.settings.timeouts.tunnel_idle;
            client.switch(Tunnel::new(switched, record, idle, self.scratch.clone()));
            return response;
        }
        if client.is_draining() {
            close_after(&mut response);
        }
        if version == Version::HTTP_2 {
            // There a connection ends by GOAWAY, and this field is malformed (RFC 9113 section 8.2.2).
            response.headers_mut().remove(header::CONNECTION);
        }
        if is_last(&response) {
            client.set_closing();
        }
        let ends_with_connection =
            version == Version::HTTP_10 && !response.headers().contains_key(header::CONTENT_LENGTH);
        client.answer();
        response.body_mut().accompany(Company {
            record,
            taking: Taking::begin(client),
            ends_with_connection,
            _permit: permit,
        });
        response
    }

    /// Counts a request that was answered before it could be read: it has a row of the error table, and no pod.
    pub fn count_refused(&self, kind: Kind) {
        let row = kind.row();
        self.counters().finish(row.status, row.flag, Duration::ZERO);
    }

    async fn exchange(
        &self,
        request: Request<Incoming>,
        is_call: bool,
        client: &Client,
        record: &mut Record,
    ) -> Result<Response<ResponseBody>, Failure> {
        let (mut head, body) = request.into_parts();
        let asked = is_call.then(|| grpc::timeout(&head.headers)).flatten();
        // As set, and as a caller says in gRPC's way, whichever is less.
        let timeout = [self.settings.timeouts.request, asked]
            .into_iter()
            .flatten()
            .min();
        request::check(&mut head, &client.raw_head(), &self.default_host)
            .map_err(|refusal| Failure::new(refusal.kind, refusal.reason))?;
        if head.version == Version::HTTP_2 {
            headers::from_http2(&mut head.headers, body.is_end_stream());
        }
        // The parser of HTTP/1.1 counts by itself.
        if head.headers.len() > self.settings.limits.header_count {
            let reason = "the request has too many header fields";
            return Err(Failure::new(Kind::HeaderTooLarge, reason));
        }
        let upgrade = self.upgrade(&head, body.is_end_stream())?;
        let hash_key = self.settings.hash_key.as_ref();
        let key = hash_key.and_then(|what| balance::key(what, &head, client.socket.ip()));
        self.budget.borrow_mut().deposit(Instant::now());
        headers::for_upstream(&mut head.headers, &client.address);
        if let Some(upgrade) = &upgrade {
            upgrade.offer.put(&mut head.headers);
        }
        // What a pod does once it has switched is nothing that could be done twice.
        let idempotent = retry::is_idempotent(&head.method) && upgrade.is_none();
        let may_return = retry::may_return(&self.settings.retry.on, idempotent, is_call);
        let keep = Keep {
            bytes: self.settings.limits.replay_bytes,
            on: may_return,
        };
        // A call's messages come when they come.
        let stall = (!is_call).then_some(self.settings.timeouts.client_stall);
        let expects_continue = head.headers.contains_key(header::EXPECT);
        let deadline = timeout.map(|limit| (Instant::now() + limit, limit));
        let outgoing = Outgoing {
            method: head.method,
            uri: head.uri,
            headers: RefCell::new(head.headers),
            body: Replay::new(body, client.version(), keep, expects_continue),
            idempotent,
            may_return,
            is_call,
            stall,
            deadline: deadline.map(|(deadline, _)| deadline),
            upgrade: RefCell::new(upgrade),
            key,
        };
        let Some((deadline, limit)) = deadline else {
            return self.forward(outgoing, client, record).await;
        };
        // From the response's head on, the connection sees to it.
        if client.version() != Version::HTTP_2 {
            client.set_deadline(deadline);
        }
        let answered =
            tokio::time::timeout_at(deadline.into(), self.forward(outgoing, client, record)).await;
        let mut response = answered.unwrap_or_else(|_| {
            Err(Failure::new(
                Kind::RequestTimeout,
                format!("no response within the {limit:?} the request may take"),
            ))
        })?;
        if client.version() == Version::HTTP_2 {
            response.body_mut().must_end(deadline);
        }
        Ok(response)
    }

    /// The switch of protocols that a request asks for, if there is room for one more tunnel.
    fn upgrade(
        &self,
        head: &http::request::Parts,
        has_no_body: bool,
    ) -> Result<Option<Upgrade>, Failure> {
        let Some(offer) = Protocols::asked(head, has_no_body) else {
            return Ok(None);
        };
        let Some(place) = self.upgrades.enter() else {
            return Err(Failure::new(
                Kind::Overload,
                "too many upgraded connections",
            ));
        };
        Ok(Some(Upgrade { offer, place }))
    }

    /// How long ago the list was known to be right, in words for an error.
    fn list_age(&self) -> Option<String> {
        let status = self.status.borrow();
        let age = status.fresh?.elapsed().ok()?;
        Some(format!("endpoint list confirmed {} s ago", age.as_secs()))
    }
}

/// Whether the connection ends with this response.
fn is_last(response: &Response<ResponseBody>) -> bool {
    let connection = response.headers().get(header::CONNECTION);
    connection.is_some_and(|option| option == "close")
}

/// What the client still sends after this response is nobody's: the connection ends with it.
fn close_after(response: &mut Response<ResponseBody>) {
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
}
