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
pub mod budget;
mod choose;
pub mod client;
pub mod counters;
mod delivery;
mod discard;
mod exchange;
mod forward;
mod grpc;
pub mod headers;
pub mod hedging;
pub mod latencies;
mod outgoing;
pub mod pause;
mod race;
mod record;
mod replay;
mod reporter;
pub mod request;
pub mod retry;
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
use http::{Request, Response, Version};
use hyper::body::Incoming;
use tokio::sync::{Notify, watch};

use crate::access_log::AccessLog;
use crate::admission::{Limit, Pending};
use crate::discovery;
use crate::error::Kind;
use crate::pool;
use crate::relay::Scratch;

use answer::{Asked, Failure, close_after};
use body::{Company, ResponseBody};
use budget::Budget;
use client::{Client, Taking};
use counters::Counters;
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
    counters: Rc<Counters>,
    requests: Arc<Limit>,
    upgrades: Arc<Limit>,
    held: Arc<Limit>,
    pending: Option<Arc<Pending>>,
    status: watch::Receiver<discovery::Status>,
    access_log: Option<AccessLog>,
    default_host: HeaderValue,
    reporter: Rc<Reporter>,
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
        let counters = Counters::new(shared.stats.clone(), worker);
        let proxy = Self {
            target: shared.target.clone(),
            settings: shared.settings.clone(),
            worker,
            requests: shared.requests.clone(),
            upgrades: shared.upgrades.clone(),
            held: shared.held.clone(),
            pending: shared.pending.clone(),
            status: shared.status.clone(),
            access_log: shared.access_log.clone(),
            default_host: shared.default_host.clone(),
            reporter: Rc::new(Reporter::new(
                shared.facts.clone(),
                counters.clone(),
                shared.settings.failures.codes,
            )),
            budget: RefCell::new(Budget::new(
                &shared.settings.retry,
                shared.workers,
                Instant::now(),
            )),
            hedging: shared
                .settings
                .retry
                .hedge
                .map(|hedge| Hedging::new(hedge, counters.clone(), Instant::now())),
            pool: pool::Shared::new(shared.settings.pool(), shared.stats.clone(), worker),
            counters,
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

    /// Answers one request.
    pub async fn handle(
        &self,
        request: Request<Incoming>,
        client: Rc<Client>,
    ) -> Response<ResponseBody> {
        let in_hand = client.begin();
        let mut record = Record::start(self.counters.clone(), Instant::now());
        if let Some(log) = &self.access_log {
            record.log_to(
                log,
                &self.target,
                client.socket,
                request.method(),
                request.uri(),
            );
        }
        let asked = Asked::by(&request);
        let version = request.version();
        let permit = self.requests.enter();
        let answered = if permit.is_some() {
            self.exchange(request, asked.is_call, &client, &mut record)
                .await
        } else {
            Err(Failure::new(Kind::Overload, "too many requests in flight"))
        };
        let mut response = answered.unwrap_or_else(|failure| {
            record.failed(failure.kind);
            failure.answer(asked, self.list_age().as_deref())
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
        self.counters.finish(row.status, row.flag, Duration::ZERO);
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
