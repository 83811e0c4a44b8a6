//! What a check says over HTTP, and how much of the answer it reads.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TE, USER_AGENT,
};
use http::uri::PathAndQuery;
use http::{Method, Request, StatusCode, Version};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::probe::Stream;
use super::{Failure, grpc};
use crate::config::GrpcCode;

/// Says who asks, as kubelet's probes and Envoy's checks do.
const AGENT: HeaderValue = HeaderValue::from_static(concat!(
    "podrobin/",
    env!("CARGO_PKG_VERSION"),
    " (health-check)"
));

/// Bytes of an answer's head.
const MOST_HEAD: u32 = 16 * 1024;

/// Bytes of an answer's body that are read, so that its connection ends well; the rest is not waited for.
const MOST_BODY: usize = 16 * 1024;

/// How long that may take. The head has decided.
const BODY_TIME: Duration = Duration::from_millis(100);

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

pub(super) async fn get_http1(
    stream: impl Stream + 'static,
    host: String,
    path: PathAndQuery,
) -> Result<StatusCode, Failure> {
    let (mut sender, driver) = http1::Builder::new()
        .max_buf_size(MOST_HEAD as usize)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Failure::Broken)?;
    let request = Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| Failure::Broken)?;
    let exchanged = async {
        let response = sender.send_request(request).await;
        status(response.map_err(|_| Failure::Broken)?).await
    };
    while_driven(driver, exchanged).await
}

pub(super) async fn get_http2(
    stream: impl Stream + 'static,
    host: String,
    path: PathAndQuery,
    over_tls: bool,
) -> Result<StatusCode, Failure> {
    let request = Request::get(uri(over_tls, &host, path.as_str())?)
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "*/*")
        .body(Full::default())
        .map_err(|_| Failure::Broken)?;
    exchange_http2(stream, request, status).await
}

/// Asks the pod's gRPC health service.
pub(super) async fn call(
    stream: impl Stream + 'static,
    address: SocketAddr,
    service: String,
    timeout: Duration,
) -> Result<(), Failure> {
    let millis = timeout.as_millis().clamp(1, 99_999_999);
    let mut request = Request::new(Full::from(grpc::request(&service)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri(false, &address.to_string(), grpc::PATH)?;
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    headers.insert(USER_AGENT, AGENT);
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    let millis = HeaderValue::from_str(&format!("{millis}m"));
    headers.insert(GRPC_TIMEOUT, millis.map_err(|_| Failure::Broken)?);
    exchange_http2(stream, request, serving).await
}

/// The status is the answer. The body is read only so that the connection ends well.
async fn status(response: http::Response<Incoming>) -> Result<StatusCode, Failure> {
    let status = response.status();
    let _ = tokio::time::timeout(BODY_TIME, read(response.into_body(), MOST_BODY)).await;
    Ok(status)
}

/// Whether the answer of a gRPC health service is that it serves.
async fn serving(response: http::Response<Incoming>) -> Result<(), Failure> {
    if response.status() != StatusCode::OK {
        return Err(Failure::NotGrpc(response.status()));
    }
    // Where the head is all there is, it has the code.
    if let Some(failure) = failure(response.headers()) {
        return Err(failure);
    }
    let (message, trailers) = read(response.into_body(), grpc::MOST_ANSWER).await?;
    match trailers.get(GrpcCode::FIELD) {
        None => Err(Failure::Broken),
        Some(_) => failure(&trailers).map_or_else(|| grpc::read_response(&message), Err),
    }
}

/// What the code of a call that has one says, if it is not OK.
fn failure(headers: &HeaderMap) -> Option<Failure> {
    match GrpcCode::from_header(headers.get(GrpcCode::FIELD)?.as_bytes()) {
        code if code.is_ok() => None,
        GrpcCode::UNIMPLEMENTED => Some(Failure::Unimplemented),
        GrpcCode::NOT_FOUND => Some(Failure::UnknownService),
        other => Some(Failure::Grpc(other)),
    }
}

fn uri(over_tls: bool, host: &str, path: &str) -> Result<http::Uri, Failure> {
    http::Uri::builder()
        .scheme(if over_tls { "https" } else { "http" })
        .authority(host)
        .path_and_query(path)
        .build()
        .map_err(|_| Failure::Broken)
}

async fn exchange_http2<T, Fut>(
    stream: impl Stream + 'static,
    request: Request<Full<Bytes>>,
    heard: impl FnOnce(http::Response<Incoming>) -> Fut,
) -> Result<T, Failure>
where
    Fut: Future<Output = Result<T, Failure>>,
{
    let (mut sender, driver) = http2::Builder::new(TokioExecutor::new())
        .max_header_list_size(MOST_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| Failure::Broken)?;
    let exchanged = async {
        let response = sender.send_request(request).await;
        heard(response.map_err(|_| Failure::Broken)?).await
    };
    while_driven(driver, exchanged).await
}

/// An exchange goes on only while its connection is driven, which may end first.
async fn while_driven<T>(
    driver: impl Future,
    exchanged: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut driver = std::pin::pin!(driver);
    let mut exchanged = std::pin::pin!(exchanged);
    tokio::select! {
        biased;
        outcome = &mut exchanged => return outcome,
        _ = &mut driver => {}
    }
    // What it brought before its end may still be there.
    exchanged.await
}

/// At most so many bytes of a body, and its trailers.
async fn read(mut body: Incoming, most: usize) -> Result<(Vec<u8>, HeaderMap), Failure> {
    let mut bytes = Vec::new();
    let mut trailers = HeaderMap::new();
    while let Some(frame) = body.frame().await {
        match frame.map_err(|_| Failure::Broken)?.into_data() {
            Ok(data) if bytes.len() + data.len() > most => return Err(Failure::Malformed),
            Ok(data) => bytes.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    Ok((bytes, trailers))
}
