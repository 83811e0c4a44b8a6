//! The admin server: `/livez`, `/readyz`, `/metrics` and `/state`, read-only, on a listener of its own. What they show
//! is up to [`Pages`], and that of the sidecar is here.
//!
//! It shares the control thread with membership, so all it does there is bounded: connections, their length, the
//! request's head. A long text is written on a thread of its own: for a thousand endpoints that takes milliseconds, and
//! a scrape must not delay an update. A connection serves one request: probes and scrapes come seconds apart, and a
//! client that keeps its connection could keep others out.

mod exposition;
mod process;
mod report;
mod state;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::RuntimeMetrics;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::{OwnPod, Policy};
use crate::discovery::Status;
use crate::metrics::TargetMetrics;
use crate::readiness::Readiness;
use crate::snapshot::Snapshot;
use crate::stats::TargetStats;
use crate::value::Span;

pub use exposition::{COMMON, Common, FAMILIES, Family, Kind, Write, text_of};
pub use report::answer as readiness_answer;

/// What an admin server shows beside `/livez`.
pub trait Pages: Send + Sync + 'static {
    /// A line with the paths that there are, for whoever asks for another one.
    const PATHS: &'static str;

    fn readiness(&self) -> &Readiness;

    /// The text of `/readyz`; `pending` are the gates still closed.
    fn report(&self, pending: &[String], now: SystemTime) -> String;

    /// The text of `/metrics`.
    fn metrics(&self, now: SystemTime) -> String;

    /// The JSON of `/state`, where there is such a page.
    fn state(&self, now: SystemTime) -> Option<serde_json::Result<Vec<u8>>>;
}

/// What the sidecar's admin server shows.
#[derive(Debug)]
pub struct AdminState {
    pub readiness: Readiness,
    pub started: SystemTime,
    pub pod: OwnPod,
    pub targets: Vec<TargetView>,
    /// Of each thread that runs tasks.
    pub runtimes: Vec<RuntimeMetrics>,
}

/// One target, seen from outside.
#[derive(Debug)]
pub struct TargetView {
    /// As [`crate::config::Target::name`] has it; no two targets share one.
    pub name: String,
    /// Where its listener is bound.
    pub listen: SocketAddr,
    pub policy: Policy,
    /// From membership: the list in use.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// From the source: how well it knows the present.
    pub status: watch::Receiver<Status>,
    pub stats: Arc<TargetStats>,
    pub metrics: Arc<TargetMetrics>,
}

/// What clients may take of the control thread.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Connections at a time; further ones wait in the listener's queue.
    connections: usize,
    /// From accept to the last byte of the answer.
    connection_time: Duration,
    /// From accept to the end of the request's head.
    header_time: Duration,
}

const BOUNDS: Bounds = Bounds {
    connections: 64,
    connection_time: Duration::from_secs(10),
    header_time: Duration::from_secs(5),
};

/// Bytes of a request's head.
const HEADER_BYTES: usize = 16 * 1024;

/// Between two tries to accept while the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long answers under way may take once the server is told to end.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// How long `/readyz?wait=` waits at most, well within a connection's time.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

const WAIT_EXPECTED: &str = "wait is a duration, such as /readyz?wait=2s\n";

impl Pages for AdminState {
    const PATHS: &'static str = "podrobin answers here: /livez /readyz /metrics /state\n";

    fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    fn report(&self, pending: &[String], now: SystemTime) -> String {
        report::readiness(pending, &self.targets, now)
    }

    fn metrics(&self, now: SystemTime) -> String {
        exposition::encode(self, now)
    }

    fn state(&self, now: SystemTime) -> Option<serde_json::Result<Vec<u8>>> {
        Some(state::encode(self, now))
    }
}

/// Answers until `shutdown` ends.
pub async fn serve(listener: TcpListener, pages: impl Pages, shutdown: impl Future<Output = ()>) {
    serve_within(BOUNDS, listener, pages, shutdown).await;
}

async fn serve_within(
    bounds: Bounds,
    listener: TcpListener,
    pages: impl Pages,
    shutdown: impl Future<Output = ()>,
) {
    let pages = Arc::new(pages);
    let places = Arc::new(Semaphore::new(bounds.connections));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        if let Some((stream, place)) = accepted {
            let pages = pages.clone();
            connections.spawn(async move {
                answer(bounds, stream, pages).await;
                drop(place);
            });
        }
    }
    drop(listener);
    // Past its time an answer is cut off; the scraper asks again.
    let _ = tokio::time::timeout(LAST_ANSWERS, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::debug!(%error, "admin connection not accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn answer<P: Pages>(bounds: Bounds, stream: TcpStream, pages: Arc<P>) {
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let pages = pages.clone();
        async move { Ok::<_, Infallible>(respond(&request, pages, SystemTime::now()).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_time)
        .max_buf_size(HEADER_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(bounds.connection_time, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "admin connection failed"),
        Err(_) => tracing::debug!("admin connection took too long"),
    }
}

/// The answer to one request; bodies of requests are not read.
async fn respond<B, P: Pages>(
    request: &Request<B>,
    pages: Arc<P>,
    now: SystemTime,
) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        refusal
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    match request.uri().path() {
        "/livez" => plain(StatusCode::OK, "ok\n"),
        "/readyz" => readyz(&*pages, request.uri().query(), now).await,
        "/metrics" => aside(move || body(StatusCode::OK, OPEN_METRICS, pages.metrics(now))).await,
        "/state" => aside(move || show(&*pages, now)).await,
        _ => plain(StatusCode::NOT_FOUND, P::PATHS),
    }
}

/// With `wait=TIME` in the query it answers as soon as the process is ready, and after that time at the latest.
async fn readyz<P: Pages>(
    pages: &P,
    query: Option<&str>,
    mut now: SystemTime,
) -> Response<Full<Bytes>> {
    let wait = query.into_iter().flat_map(|query| query.split('&'));
    if let Some(time) = wait.filter_map(|part| part.strip_prefix("wait=")).next() {
        let Ok(time) = time.parse::<Span>() else {
            return plain(StatusCode::BAD_REQUEST, WAIT_EXPECTED);
        };
        let begun = Instant::now();
        let _ = tokio::time::timeout(time.0.min(LONGEST_WAIT), pages.readiness().ready()).await;
        now += begun.elapsed();
    }
    let pending = pages.readiness().pending();
    let status = if pending.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    plain(status, pages.report(&pending, now))
}

fn show<P: Pages>(pages: &P, now: SystemTime) -> Response<Full<Bytes>> {
    match pages.state(now) {
        Some(Ok(json)) => body(StatusCode::OK, JSON, json),
        Some(Err(error)) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        None => plain(StatusCode::NOT_FOUND, P::PATHS),
    }
}

/// Runs it off the control thread.
async fn aside(
    answer: impl FnOnce() -> Response<Full<Bytes>> + Send + 'static,
) -> Response<Full<Bytes>> {
    tokio::task::spawn_blocking(answer)
        .await
        .unwrap_or_else(|error| plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")))
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    body(status, TEXT, text)
}

fn body(
    status: StatusCode,
    content_type: HeaderValue,
    bytes: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(bytes.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
pub(crate) mod tests;
