//! One HTTP request: whether it is a review at all, its body within bounds, its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout_at;
use tracing::{debug, info};

use super::Bounds;
use super::decision::{Decision, Outcome, Rules, decide};
use super::metrics::Metrics;
use super::review::Malformed;

/// Where reviews are sent.
const PATH: &str = "/mutate";

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Answers reviews, for all connections.
#[derive(Debug)]
pub struct Desk {
    bounds: Bounds,
    rules: Arc<Rules>,
    metrics: Arc<Metrics>,
    /// Places of large bodies.
    large: Arc<Semaphore>,
    /// Places of reviews on threads of their own.
    at_work: Arc<Semaphore>,
}

/// Why a request gets no review. The text is what its sender reads.
#[derive(Debug, thiserror::Error)]
enum Rejection {
    #[error("podrobin answers reviews here: POST {PATH}")]
    OtherPath,
    #[error("reviews are sent by POST")]
    OtherMethod,
    #[error("a review is sent as application/json")]
    OtherType,
    #[error("a review has {0} bytes at most")]
    TooLarge(usize),
    #[error("the review did not arrive within {} s", .0.as_secs_f32())]
    TooSlow(Duration),
    #[error("the review broke off")]
    Broken,
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("more reviews have come than can be answered in time")]
    Busy,
    #[error("the review could not be answered; podrobin's log says why")]
    Failed,
}

/// A body, with the place that it takes where it is large.
type Held = (Vec<u8>, Option<OwnedSemaphorePermit>);

impl Desk {
    pub fn new(bounds: Bounds, rules: Rules, metrics: Arc<Metrics>) -> Self {
        Self {
            bounds,
            rules: Arc::new(rules),
            metrics,
            large: Arc::new(Semaphore::new(bounds.large_bodies)),
            at_work: Arc::new(Semaphore::new(bounds.reviews)),
        }
    }

    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Whether the answer is the connection's last is up to the caller, unless it says `Connection: close` itself: then
    /// the request has not been read to its end.
    pub async fn answer<B: Body<Data = Bytes>>(
        &self,
        request: Request<B>,
    ) -> Response<Full<Bytes>> {
        let begun = Instant::now();
        let _open = self.metrics.begin();
        match self.review(request, begun + self.bounds.request).await {
            Ok((json, outcome)) => {
                self.metrics.count(outcome, begun.elapsed());
                respond(StatusCode::OK, JSON, json)
            }
            Err(rejection) => {
                self.metrics.count(Outcome::Invalid, begun.elapsed());
                debug!(reason = %rejection, "not a review");
                rejection.response()
            }
        }
    }

    async fn review<B: Body<Data = Bytes>>(
        &self,
        request: Request<B>,
        deadline: Instant,
    ) -> Result<(Vec<u8>, Outcome), Rejection> {
        let (head, body) = request.into_parts();
        // API servers add their timeout as a query.
        if head.uri.path() != PATH {
            return Err(Rejection::OtherPath);
        }
        if head.method != Method::POST {
            return Err(Rejection::OtherMethod);
        }
        if !is_json(&head.headers) {
            return Err(Rejection::OtherType);
        }
        let (body, large) = timeout_at(deadline.into(), self.read(body))
            .await
            .map_err(|_| Rejection::TooSlow(self.bounds.request))??;
        let place = timeout_at(deadline.into(), self.at_work.clone().acquire_owned())
            .await
            .map_err(|_| Rejection::Busy)?
            .map_err(|_| Rejection::Busy)?;
        let rules = self.rules.clone();
        // Aside, so that neither a large pod nor a fault in it stops the others.
        let decided = tokio::task::spawn_blocking(move || {
            let decision = decide(&body, &rules)?;
            let json = decision.response.write();
            drop((body, large, place));
            Ok::<_, Malformed>((decision, json))
        });
        let (decision, json) = decided.await.map_err(|_| Rejection::Failed)??;
        let json = json.map_err(|_| Rejection::Failed)?;
        tell(&decision);
        Ok((json, decision.outcome))
    }

    async fn read<B: Body<Data = Bytes>>(&self, body: B) -> Result<Held, Rejection> {
        let too_large = || Rejection::TooLarge(self.bounds.body_bytes);
        let announced = body.size_hint().lower();
        if usize::try_from(announced).map_or(true, |bytes| bytes > self.bounds.body_bytes) {
            return Err(too_large());
        }
        let mut body = std::pin::pin!(body);
        let mut read = Vec::new();
        let mut large = None;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Rejection::Broken)?.into_data() else {
                continue;
            };
            let length = read.len() + data.len();
            if length > self.bounds.body_bytes {
                return Err(too_large());
            }
            if length > self.bounds.small_body_bytes && large.is_none() {
                let place = self.large.clone().acquire_owned().await;
                large = Some(place.map_err(|_| Rejection::Busy)?);
            }
            read.extend_from_slice(&data);
        }
        Ok((read, large))
    }
}

impl Rejection {
    fn response(&self) -> Response<Full<Bytes>> {
        let (status, is_read) = match self {
            Self::OtherPath => (StatusCode::NOT_FOUND, false),
            Self::OtherMethod => (StatusCode::METHOD_NOT_ALLOWED, false),
            Self::OtherType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, false),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, false),
            Self::TooSlow(_) => (StatusCode::REQUEST_TIMEOUT, false),
            Self::Broken => (StatusCode::BAD_REQUEST, false),
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, true),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, true),
            Self::Failed => (StatusCode::INTERNAL_SERVER_ERROR, true),
        };
        let mut response = respond(status, TEXT, format!("{self}\n"));
        if matches!(self, Self::OtherMethod) {
            response
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("POST"));
        }
        if !is_read {
            response.headers_mut().insert(CONNECTION, CLOSE);
        }
        response
    }
}

/// Makes a response the last of its connection.
pub fn last<B>(mut response: Response<B>) -> Response<B> {
    response.headers_mut().insert(CONNECTION, CLOSE);
    response
}

pub fn is_last<B>(response: &Response<B>) -> bool {
    response.headers().contains_key(CONNECTION)
}

/// A line for what has an effect; the rest for those who look closer. Never with more of a pod than its names and what
/// is wrong with its annotations.
fn tell(decision: &Decision) {
    let Decision {
        outcome,
        namespace,
        pod,
        dry_run,
        problems,
        warnings,
        ..
    } = decision;
    let (namespace, pod, dry_run) = (namespace.as_str(), pod.as_str(), *dry_run);
    match outcome {
        Outcome::Injected if warnings.is_empty() => {
            info!(namespace, pod, dry_run, "sidecar injected");
        }
        Outcome::Injected => info!(
            namespace,
            pod,
            dry_run,
            warning = warnings.join("; "),
            "sidecar injected"
        ),
        Outcome::Refused => info!(
            namespace,
            pod,
            dry_run,
            reason = problems.join("; "),
            refused = !decision.response.allowed,
            "sidecar not injected"
        ),
        Outcome::Unchanged | Outcome::NotAsked | Outcome::Other | Outcome::Invalid => {
            debug!(
                namespace,
                pod,
                dry_run,
                outcome = outcome.as_str(),
                "nothing to inject"
            );
        }
    }
}

/// `application/json`, with any parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let essence = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn respond(
    status: StatusCode,
    content_type: HeaderValue,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
