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
mod exchange;
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
mod shared;
mod tunnel;
mod upgrade;
mod verdict;
mod view;
mod wait;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use tokio::sync::{Notify, watch};

use crate::access_log::AccessLog;
use crate::admission::{Limit, Pending};
use crate::discovery;
use crate::error::Kind;
use crate::pool;
use crate::relay::Scratch;
use crate::stats::{TargetShard, TargetStats};

use answer::Failure;
use body::{Company, ResponseBody};
use budget::Budget;
use client::{Client, Taking};
use hedging::Hedging;
use record::Record;
use reporter::Reporter;
use tunnel::Tunnel;
use view::View;

pub use shared::{Settings, Shared};
pub use tunnel::PARTING;

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

    fn counters(&self) -> &TargetShard {
        self.stats.shard(self.worker)
    }

    /// Answers one request.
    pub async fn handle(
        &self,
        request: Request<Incoming>,
        client: Rc<Client>,
    ) -> Response<ResponseBody> {
        let in_hand = client.begin();
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
            in_hand.stay();
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
            _in_hand: in_hand,
        });
        response
    }

    /// Counts a request that was answered before it could be read: it has a row of the error table, and no pod.
    pub fn count_refused(&self, kind: Kind) {
        let row = kind.row();
        self.counters().finish(row.status, row.flag, Duration::ZERO);
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
