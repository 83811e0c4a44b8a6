//! Pods that speak TLS: what a pod is set up with, and what it saw behind the handshake.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::certificates::{Authority, Leaf};
use super::pod::Session;

/// How a pod does TLS. May be changed while it serves, for the connections to come.
#[derive(Debug)]
pub struct Tls {
    config: Mutex<Arc<ServerConfig>>,
    seen: Mutex<Seen>,
}

/// What came through the handshake.
#[derive(Debug, Default)]
pub struct Seen {
    pub handshakes: usize,
    pub requests: Vec<Request<Bytes>>,
    /// The certificate of the last client that showed one.
    pub client: Option<Vec<u8>>,
}

/// What is left to choose.
#[derive(Debug)]
pub struct Setup<'a> {
    /// What it speaks, the dearest first; nothing is no answer to the question.
    pub alpn: &'a [&'a str],
    /// Who may sign its clients' certificates, where it wants them.
    pub clients: Option<&'a Authority>,
    pub versions: &'static [&'static SupportedProtocolVersion],
}

pub const BOTH: &[&str] = &["h2", "http/1.1"];

/// One at a time.
pub const VERSIONS: [&[&SupportedProtocolVersion]; 2] = [&[&TLS12], &[&TLS13]];

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            alpn: BOTH,
            clients: None,
            versions: rustls::ALL_VERSIONS,
        }
    }
}

impl Setup<'_> {
    fn config(&self, leaf: &Leaf) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(self.versions)
            .unwrap();
        let builder = match self.clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.certificate()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain = vec![leaf.certificate.clone()];
        let mut config = builder.with_single_cert(chain, leaf.clone_key()).unwrap();
        config.alpn_protocols = self
            .alpn
            .iter()
            .map(|name| name.as_bytes().into())
            .collect();
        Arc::new(config)
    }
}

type Script =
    Box<dyn Fn(Session) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send>> + Send + 'static>;

impl Tls {
    pub fn new(leaf: &Leaf) -> Arc<Self> {
        Self::with(leaf, &Setup::default())
    }

    pub fn with(leaf: &Leaf, setup: &Setup<'_>) -> Arc<Self> {
        Arc::new(Self {
            config: Mutex::new(setup.config(leaf)),
            seen: Mutex::default(),
        })
    }

    /// From now on.
    pub fn change(&self, leaf: &Leaf, setup: &Setup<'_>) {
        *self.config.lock().unwrap() = setup.config(leaf);
        *self.seen() = Seen::default();
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// The handshake.
    pub async fn accept(&self, session: Session) -> io::Result<TlsStream<TcpStream>> {
        let config = self.config.lock().unwrap().clone();
        let stream = TlsAcceptor::from(config)
            .accept(session.wire.into_stream())
            .await?;
        let mut seen = self.seen();
        seen.handshakes += 1;
        if let Some(chain) = stream.get_ref().1.peer_certificates() {
            seen.client = Some(chain[0].to_vec());
        }
        drop(seen);
        Ok(stream)
    }

    /// A script that answers each request with the pod's name and the request's body.
    pub fn serve(self: &Arc<Self>) -> Script {
        let tls = self.clone();
        Box::new(move |session| Box::pin(tls.clone().serve_one(session, None)))
    }

    /// The same, each answer once there is a permit for it, and over HTTP/2 so many at a time on a connection.
    pub fn serve_gated(self: &Arc<Self>, go: &Arc<Semaphore>, streams: u32) -> Script {
        let (tls, go) = (self.clone(), go.clone());
        let gate = move || Some((go.clone(), streams));
        Box::new(move |session| Box::pin(tls.clone().serve_one(session, gate())))
    }

    async fn serve_one(
        self: Arc<Self>,
        session: Session,
        gate: Option<(Arc<Semaphore>, u32)>,
    ) -> io::Result<()> {
        let name = session.name.clone();
        let stream = self.accept(session).await?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let (go, streams) = gate.unzip();
        let service =
            service_fn(move |request| answer(self.clone(), name.clone(), request, go.clone()));
        let io = TokioIo::new(stream);
        let served = match is_http2 {
            true => {
                let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                if let Some(streams) = streams {
                    builder.max_concurrent_streams(streams);
                }
                builder.serve_connection(io, service).await
            }
            false => {
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(io, service)
                    .await
            }
        };
        served.map_err(io::Error::other)
    }
}

async fn answer(
    tls: Arc<Tls>,
    name: String,
    request: Request<Incoming>,
    go: Option<Arc<Semaphore>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    // A body that breaks off is none of the scene's.
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let mut response = Response::new(Full::new(body.clone()));
    let headers: &mut HeaderMap = response.headers_mut();
    let version = match head.version {
        Version::HTTP_2 => "2",
        _ => "1",
    };
    headers.insert("x-pod", HeaderValue::from_str(&name).unwrap());
    headers.insert("x-version", HeaderValue::from_static(version));
    tls.seen().requests.push(Request::from_parts(head, body));
    if let Some(go) = go
        && let Ok(permit) = go.acquire().await
    {
        permit.forget();
    }
    Ok(response)
}
