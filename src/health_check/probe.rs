//! One check of one pod: the connection, and what is said over it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Checker, exchange};
use crate::config::{GrpcCode, HealthCheck, Probe, Span};
use crate::endpoint::Endpoint;
use crate::pool::{HTTP1, HTTP2, Manner, Spoken, TlsError, tls_error};
use crate::upstream_tls::{Missing, Terms};

/// Why a check was not passed. No text names an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("no answer within {}", Span(*.0))]
    Timeout(Duration),
    #[error("cannot connect: {0}")]
    Connect(io::ErrorKind),
    /// This side has no socket or port left; the pod was not even asked.
    #[error("out of sockets here ({0})")]
    Exhausted(io::ErrorKind),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    NoTls(#[from] Missing),
    #[error("it does not speak HTTP/2, which gRPC does")]
    NotHttp2,
    #[error("it broke the connection before it answered")]
    Broken,
    #[error("it answered {}, which --health-check-statuses does not have", .0.as_u16())]
    Status(StatusCode),
    #[error("it answered the gRPC check with HTTP status {}", .0.as_u16())]
    NotGrpc(StatusCode),
    #[error("it is {0}, by its gRPC health service")]
    NotServing(&'static str),
    #[error(
        "it has no gRPC health service (UNIMPLEMENTED): add grpc.health.v1.Health to the server, or take \
         --health-check tcp or http:/PATH"
    )]
    Unimplemented,
    #[error(
        "its gRPC health service does not know the service that --health-check names (NOT_FOUND)"
    )]
    UnknownService,
    #[error("its gRPC health service answered with the code {0}")]
    Grpc(GrpcCode),
    #[error("its answer is no message of grpc.health.v1.Health")]
    Malformed,
}

impl Failure {
    /// The pod is not to blame.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Exhausted(_))
    }
}

/// A connection to a pod, or TLS over it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Boxed: there is one for each pod, and it is small while nothing is under way.
pub(super) fn check(
    checker: Arc<Checker>,
    endpoint: Arc<Endpoint>,
) -> BoxFuture<'static, Result<(), Failure>> {
    let timeout = checker.check.timeout;
    let checked = async move {
        tokio::time::timeout(timeout, attempt(checker, endpoint))
            .await
            .unwrap_or(Err(Failure::Timeout(timeout)))
    };
    checked.boxed()
}

async fn attempt(checker: Arc<Checker>, endpoint: Arc<Endpoint>) -> Result<(), Failure> {
    let check = &checker.check;
    let mut address = endpoint.address();
    if let Some(port) = check.port {
        address.set_port(port);
    }
    let manner = Manner::of(endpoint.protocol, checker.tls.when, checker.protocol);
    let is_grpc = matches!(check.probe, Probe::Grpc(_));
    let offered: Vec<Vec<u8>> = match manner.spoken {
        _ if is_grpc => vec![HTTP2.to_vec()],
        Some(Spoken::Http1) => vec![HTTP1.to_vec()],
        Some(Spoken::Http2) => vec![HTTP2.to_vec()],
        None => vec![HTTP2.to_vec(), HTTP1.to_vec()],
    };
    let terms = match manner.over_tls {
        true => Some(checker.tls.terms()?),
        false => None,
    };
    let stream = connect(address).await?;
    match terms {
        Some(terms) => {
            let (stream, is_http2) = secure(stream, terms, offered).await?;
            speak(stream, address, &checker.check, (is_http2, true)).await
        }
        None => {
            let is_http2 = is_grpc || manner.spoken == Some(Spoken::Http2);
            speak(stream, address, &checker.check, (is_http2, false)).await
        }
    }
}

/// Asks over a connection, of which it is known whether it speaks HTTP/2, and whether TLS.
async fn speak(
    stream: impl Stream + 'static,
    address: SocketAddr,
    check: &HealthCheck,
    (is_http2, over_tls): (bool, bool),
) -> Result<(), Failure> {
    match &check.probe {
        Probe::Tcp => Ok(()),
        Probe::Grpc(_) if !is_http2 => Err(Failure::NotHttp2),
        Probe::Grpc(service) => {
            exchange::call(stream, address, service.clone(), check.timeout).await
        }
        Probe::Http(path) => {
            let host = match &check.host {
                Some(host) => host.to_string(),
                None => address.to_string(),
            };
            let status = match is_http2 {
                true => exchange::get_http2(stream, host, path.clone(), over_tls).await?,
                false => exchange::get_http1(stream, host, path.clone()).await?,
            };
            match check.statuses.contains(status) {
                true => Ok(()),
                false => Err(Failure::Status(status)),
            }
        }
    }
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Failure> {
    use io::ErrorKind as Kind;
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|error| match error.kind() {
        Kind::ConnectionRefused
        | Kind::ConnectionReset
        | Kind::ConnectionAborted
        | Kind::HostUnreachable
        | Kind::NetworkUnreachable
        | Kind::TimedOut => Failure::Connect(error.kind()),
        // No port, no descriptor, no memory.
        kind => Failure::Exhausted(kind),
    })?;
    stream.set_nodelay(true).map_err(|_| Failure::Broken)?;
    Ok(stream)
}

/// Whether the pod then speaks HTTP/2, too.
async fn secure(
    stream: TcpStream,
    terms: Terms,
    offered: Vec<Vec<u8>>,
) -> Result<(TlsStream<TcpStream>, bool), Failure> {
    let has_certificate = terms.config.client_auth_cert_resolver.has_certs();
    let stream = TlsConnector::from(terms.config)
        .with_alpn(offered)
        .connect(terms.server_name.clone(), stream)
        .await
        .map_err(|error| tls_error(&error, &terms.server_name, has_certificate))?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
    Ok((stream, is_http2))
}
