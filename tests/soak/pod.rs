//! A pod that echoes, and misbehaves on command. It speaks HTTP/1.1 with upgrades, or HTTP/2 and gRPC's trailers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::ledger::Ledger;

/// How long connections have to end by themselves.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a pod does to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Answer,
    /// Resets the connection that brought it.
    Reset,
    /// Takes it and never answers.
    Hang,
}

#[derive(Debug)]
pub struct Pod {
    pub name: String,
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    name: HeaderValue,
    http2: bool,
    manner: watch::Sender<Manner>,
    /// Connections end after the requests in hand.
    leaving: watch::Sender<bool>,
    /// All connections are reset.
    crashed: Notify,
    crash: AtomicBool,
    served: AtomicU64,
    ledger: Arc<Ledger>,
}

impl Pod {
    pub async fn start(name: String, http2: bool, ledger: Arc<Ledger>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            name: HeaderValue::try_from(&name).unwrap(),
            http2,
            manner: watch::Sender::new(Manner::Answer),
            leaving: watch::Sender::new(false),
            crashed: Notify::new(),
            crash: AtomicBool::new(false),
            served: AtomicU64::new(0),
            ledger,
        });
        let accepting = tokio::spawn(accept(listener, shared.clone()));
        Self {
            name,
            address,
            shared,
            accepting,
        }
    }

    pub fn behave(&self, manner: Manner) {
        self.shared.manner.send_replace(manner);
    }

    /// Requests answered so far.
    pub fn served(&self) -> u64 {
        self.shared.served.load(Relaxed)
    }

    /// Gone at once: its connections are reset, and nobody listens.
    pub fn crash(self) {
        self.accepting.abort();
        self.shared.ledger.breaks();
        self.shared.crash.store(true, Relaxed);
        self.shared.crashed.notify_waiters();
    }

    /// Ends as a pod does that is told to: no new connections, and a last answer on each of the old ones.
    pub async fn leave(self) {
        self.accepting.abort();
        self.shared.ledger.breaks();
        self.shared.leaving.send_replace(true);
        tokio::time::sleep(FAREWELL).await;
        self.crash();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(serve(stream, shared.clone()));
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let stream = stream.into_std().unwrap();
    let handle = stream.try_clone().unwrap();
    let stream = TcpStream::from_std(stream).unwrap();
    let broken = Arc::new(Notify::new());
    let crashed = shared.crashed.notified();
    if shared.crash.load(Relaxed) {
        return;
    }
    tokio::select! {
        biased;
        () = crashed => {}
        () = broken.notified() => {}
        () = converse(stream, &shared, &broken) => return,
    }
    // A close that is a reset.
    let reset = socket2::SockRef::from(&handle).set_linger(Some(Duration::ZERO));
    reset.unwrap();
}

async fn converse(stream: TcpStream, shared: &Arc<Shared>, broken: &Arc<Notify>) {
    let service = service_fn(|request| {
        let shared = shared.clone();
        let broken = broken.clone();
        async move { Ok::<_, Infallible>(answer(request, shared, broken).await) }
    });
    let mut leaving = shared.leaving.subscribe();
    let left = async move { drop(leaving.wait_for(|leaving| *leaving).await) };
    let io = TokioIo::new(stream);
    // However a connection ends, the requests on it have their own outcome.
    if shared.http2 {
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(io, service);
        tokio::pin!(connection, left);
        tokio::select! {
            _ = &mut connection => return,
            () = &mut left => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    } else {
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(io, service)
            .with_upgrades();
        tokio::pin!(connection, left);
        tokio::select! {
            _ = &mut connection => return,
            () = &mut left => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }
}

async fn answer(
    mut request: Request<Incoming>,
    shared: Arc<Shared>,
    broken: Arc<Notify>,
) -> Response<BoxBody<Bytes, Infallible>> {
    let id = request.headers()["x-soak-id"].clone();
    let manner = *shared.manner.borrow();
    match manner {
        Manner::Answer => {}
        Manner::Reset => {
            shared.ledger.breaks();
            broken.notify_one();
            std::future::pending::<()>().await;
        }
        Manner::Hang => {
            let id = id.to_str().unwrap().parse().unwrap();
            shared.ledger.hangs_on(id);
            std::future::pending::<()>().await;
        }
    }
    let mut response = Response::new(Empty::new().boxed());
    let headers = response.headers_mut();
    headers.insert("x-pod", shared.name.clone());
    headers.insert("x-soak-id", id);
    if request.headers().contains_key(header::UPGRADE) {
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        tokio::spawn(echo(hyper::upgrade::on(&mut request), shared));
        return response;
    }
    let call = request.headers().get(header::CONTENT_TYPE).cloned();
    let Ok(body) = request.into_body().collect().await else {
        // Whoever sent it has left.
        return response;
    };
    shared.served.fetch_add(1, Relaxed);
    let body = Full::new(body.to_bytes());
    let call = call.filter(|kind| kind == "application/grpc");
    *response.body_mut() = match call {
        None => body.boxed(),
        Some(kind) => {
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            body.with_trailers(async { Some(Ok(trailers)) }).boxed()
        }
    };
    response
}

/// Sends back what comes through a tunnel, until either side has had enough.
async fn echo(upgrade: hyper::upgrade::OnUpgrade, shared: Arc<Shared>) {
    let Ok(upgraded) = upgrade.await else {
        return;
    };
    let (mut read, mut write) = tokio::io::split(TokioIo::new(upgraded));
    let crashed = shared.crashed.notified();
    if shared.crash.load(Relaxed) {
        return;
    }
    tokio::select! {
        () = crashed => {}
        copied = tokio::io::copy(&mut read, &mut write) => {
            // It may have been cut off; its client says so.
            if copied.is_ok() {
                let _ = write.shutdown().await;
            }
        }
    }
}
