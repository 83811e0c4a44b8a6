//! Clients of all kinds that ask until they are told to stop, and account for each request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Version, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::ledger::{Entry, Failure, Ledger};
use crate::sidecar::SOON;
use crate::tunnel;

/// Between two requests of one client, so that there is room for what the soak is about.
const PAUSE: Duration = Duration::from_millis(10);

/// Longer than podrobin keeps of a body, so that it cannot be sent twice.
const LONG: usize = 200_000;

/// What a client asks for, again and again.
#[derive(Clone, Debug)]
pub struct Ask {
    kind: &'static str,
    method: Method,
    size: usize,
    /// A gRPC call: its outcome is in the trailers.
    call: bool,
}

const fn ask(kind: &'static str, method: Method, size: usize) -> Ask {
    Ask {
        kind,
        method,
        size,
        call: false,
    }
}

const HTTP1: &[Ask] = &[
    ask("h1 GET", Method::GET, 0),
    ask("h1 GET", Method::GET, 0),
    ask("h1 PUT", Method::PUT, 2_000),
    ask("h1 POST", Method::POST, 2_000),
    ask("h1 POST long", Method::POST, LONG),
];

const HTTP2: &[Ask] = &[
    ask("h2 GET", Method::GET, 0),
    ask("h2 GET", Method::GET, 0),
    ask("h2 PUT", Method::PUT, 2_000),
    ask("h2 POST", Method::POST, 2_000),
    ask("h2 POST long", Method::POST, LONG),
];

const CALL: Ask = Ask {
    kind: "gRPC call",
    method: Method::POST,
    size: 500,
    call: true,
};

/// What each target gets.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    pub address: SocketAddr,
    pub calls: bool,
    pub tunnels: bool,
}

/// Clients at work.
#[derive(Debug)]
pub struct Traffic {
    clients: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Traffic {
    pub fn start(mixes: &[Mix], ledger: &Arc<Ledger>) -> Self {
        let stop = watch::Sender::new(false);
        let mut clients = JoinSet::new();
        for mix in mixes {
            for ask in HTTP1 {
                let work = alone(mix.address, ask.clone(), ledger.clone(), stop.subscribe());
                clients.spawn(work);
            }
            let mut asks = HTTP2.to_vec();
            if mix.calls {
                asks.extend([CALL, CALL, CALL]);
            }
            let work = together(mix.address, asks, ledger.clone(), stop.subscribe());
            clients.spawn(work);
            for _ in 0..if mix.tunnels { 3 } else { 0 } {
                let work = tunnel::client(mix.address, ledger.clone(), stop.subscribe());
                clients.spawn(work);
            }
        }
        Self { clients, stop }
    }

    /// Ends once every request under way has its outcome.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = timeout(SOON, self.clients.join_next()).await.unwrap() {
            ended.unwrap();
        }
    }
}

/// One request after the other, on a connection that is kept while it lasts.
async fn alone(address: SocketAddr, ask: Ask, ledger: Arc<Ledger>, stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let mut sender = connect_http1(address).await;
        while !*stop.borrow() && sender.ready().await.is_ok() {
            let entry = ledger.begin(ask.kind, ask.repeatable());
            let request = ask.request(&entry, Version::HTTP_11);
            let outcome = checked(&ask, &entry, sender.send_request(request)).await;
            ledger.end(&entry, outcome);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Everybody on one connection.
async fn together(
    address: SocketAddr,
    asks: Vec<Ask>,
    ledger: Arc<Ledger>,
    stop: watch::Receiver<bool>,
) {
    while !*stop.borrow() {
        let sender = connect_http2(address).await;
        let mut clients = JoinSet::new();
        for ask in asks.clone() {
            let (mut sender, ledger, stop) = (sender.clone(), ledger.clone(), stop.clone());
            clients.spawn(async move {
                while !*stop.borrow() && sender.ready().await.is_ok() {
                    let entry = ledger.begin(ask.kind, ask.repeatable());
                    let request = ask.request(&entry, Version::HTTP_2);
                    let outcome = checked(&ask, &entry, sender.send_request(request)).await;
                    ledger.end(&entry, outcome);
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
    }
}

pub async fn connect_http1(address: SocketAddr) -> http1::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub async fn connect_http2(address: SocketAddr) -> http2::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let executor = TokioExecutor::new();
    let (sender, connection) = http2::handshake(executor, TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

impl Ask {
    /// A GET that is no one's in particular.
    pub fn plain() -> Self {
        ask("share", Method::GET, 0)
    }

    pub fn repeatable(&self) -> bool {
        self.method.is_idempotent() && self.size < LONG
    }

    /// A request that only its own answer fits.
    pub fn request(&self, entry: &Entry, version: Version) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body(entry)));
        *request.method_mut() = self.method.clone();
        let headers = request.headers_mut();
        headers.insert("x-soak-id", entry.id.into());
        if self.call {
            headers.insert(header::CONTENT_TYPE, "application/grpc".parse().unwrap());
            headers.insert(header::TE, "trailers".parse().unwrap());
        }
        if version == Version::HTTP_2 {
            *request.uri_mut() = "http://soak/soak.Soak/Echo".parse().unwrap();
        } else {
            headers.insert(header::HOST, "soak".parse().unwrap());
        }
        request
    }

    fn body(&self, entry: &Entry) -> Bytes {
        entry.id.to_be_bytes().repeat(self.size / 8).into()
    }
}

/// Sends it, and looks at every part of the answer.
pub async fn checked(
    ask: &Ask,
    entry: &Entry,
    sending: impl Future<Output = hyper::Result<Response<Incoming>>>,
) -> Result<(), Failure> {
    let failure = |what: String, begun: bool, flag: Option<String>| Failure { what, flag, begun };
    let answered = timeout(SOON, sending).await;
    let response = answered
        .map_err(|_| failure("no answer in time".to_owned(), false, None))?
        .map_err(|error| failure(format!("no answer: {error:?}"), false, None))?;
    let (head, body) = response.into_parts();
    let flag = head.headers.get("x-podrobin-error");
    let flag = flag.map(|flag| flag.to_str().unwrap().to_owned());
    let collected = timeout(SOON, body.collect()).await;
    let whole = collected
        .map_err(|_| failure("no end in time".to_owned(), true, flag.clone()))?
        .map_err(|error| failure(format!("cut short: {error:?}"), true, flag.clone()))?;
    let trailers = whole.trailers().cloned().unwrap_or_default();
    let body = whole.to_bytes();
    let wrong = wrong(ask, entry, &head, &body, &trailers);
    match wrong {
        None => Ok(()),
        Some(wrong) => {
            // An answer of podrobin's own is not one that has begun.
            let begun = flag.is_none();
            let said = String::from_utf8_lossy(&body[..body.len().min(200)]);
            let what = format!("{wrong}: {} {:?} {said}", head.status, head.headers);
            Err(failure(what, begun, flag))
        }
    }
}

/// What is wrong with an answer, if anything is.
fn wrong(
    ask: &Ask,
    entry: &Entry,
    head: &http::response::Parts,
    body: &Bytes,
    trailers: &HeaderMap,
) -> Option<&'static str> {
    if head.status != 200 || head.headers.contains_key("x-podrobin-error") {
        return Some("refused");
    }
    if head.headers.get("x-soak-id") != Some(&entry.id.into()) {
        return Some("the answer of another request");
    }
    if *body != ask.body(entry) {
        return Some("another body");
    }
    if ask.call
        && trailers
            .get("grpc-status")
            .is_none_or(|status| status != "0")
    {
        return Some("no status in the trailers");
    }
    None
}
