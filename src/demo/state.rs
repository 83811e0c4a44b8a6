//! The sidecar's own account of itself: its `/state`, read over HTTP as a person would.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than the `/state` of a thousand pods.
const STATE_BYTES: usize = 1024 * 1024;

/// What the demo reads of `/state`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct State {
    pub targets: Vec<TargetState>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct TargetState {
    pub endpoints: Vec<PodState>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PodState {
    pub pod: Option<String>,
    pub address: String,
    pub state: String,
    pub reason: Option<String>,
    pub requests: u64,
}

/// Why `/state` could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Late,
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    #[error("broken answer: {0}")]
    Http(#[from] hyper::Error),
    #[error("answered {0}")]
    Status(StatusCode),
    #[error("cannot read the body: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("not the JSON expected: {0}")]
    Json(#[from] serde_json::Error),
}

/// Asks the admin listener at `admin` for the pods of its only target.
///
/// # Errors
/// Where there is no answer, or not the one expected.
pub async fn pods(admin: SocketAddr) -> Result<Vec<PodState>, Error> {
    tokio::time::timeout(PATIENCE, fetch(admin))
        .await
        .map_err(|_| Error::Late)?
}

async fn fetch(admin: SocketAddr) -> Result<Vec<PodState>, Error> {
    let stream = TcpStream::connect(admin).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = http::Uri::from_static("/state");
    let host = header::HeaderValue::from_static("podrobin-demo");
    request.headers_mut().insert(header::HOST, host);
    let exchange = async {
        let response = sender.send_request(request).await?;
        if response.status() != StatusCode::OK {
            return Err(Error::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), STATE_BYTES);
        Ok(body.collect().await.map_err(Error::Body)?.to_bytes())
    };
    tokio::pin!(connection);
    tokio::pin!(exchange);
    let body = tokio::select! {
        body = &mut exchange => body?,
        // The connection only moves the bytes; the exchange says how it went.
        _ = &mut connection => exchange.await?,
    };
    let state: State = serde_json::from_slice(&body)?;
    Ok(state
        .targets
        .into_iter()
        .flat_map(|target| target.endpoints)
        .collect())
}

impl PodState {
    /// The pod's name, or its address where it has none.
    pub fn name(&self) -> &str {
        self.pod.as_deref().unwrap_or(&self.address)
    }

    /// Whether requests go there in turn.
    pub fn in_turn(&self) -> bool {
        matches!(self.state.as_str(), "ready" | "fallback")
    }
}
