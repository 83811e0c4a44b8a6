//! A request ready for any pod, in the form of whichever protocol carries it.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use http::header::{self, HeaderMap};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, StatusCode, Uri, Version};

use super::headers;
use super::replay::{AttemptBody, Replay};
use super::upgrade::Upgrade;

/// Its headers are those of the next hop over HTTP/1.1, its target is in origin-form. Two attempts may be under way with it.
#[derive(Debug)]
pub struct Outgoing {
    pub method: Method,
    pub uri: Uri,
    pub headers: RefCell<HeaderMap>,
    pub body: Replay,
    /// It may be sent again even if a pod may have seen it.
    pub idempotent: bool,
    /// It may come back from a pod that has seen it.
    pub may_return: bool,
    /// It is a gRPC call.
    pub is_call: bool,
    /// How long a pod that has not answered may wait for more of the body; `None` for ever.
    pub stall: Option<Duration>,
    /// When it must be answered.
    pub deadline: Option<Deadline>,
    /// The switch of protocols it asks for, which only a pod over HTTP/1.1 gets to see.
    pub upgrade: RefCell<Option<Upgrade>>,
    /// Two attempts are under way with it.
    pub raced: Cell<bool>,
    /// What decides on its pod, where the policy goes by the request.
    pub key: Option<u64>,
}

/// When a request must be answered.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    pub at: Instant,
    /// What that leaves it in all.
    pub limit: Duration,
}

impl Deadline {
    pub fn after(limit: Duration) -> Self {
        Self {
            at: Instant::now() + limit,
            limit,
        }
    }
}

/// A request that HTTP/2 has no form for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsayable;

impl Outgoing {
    /// The request as one attempt sends it over `version`. Without `keep_copy` the head is given away, and only
    /// [`restore`](Self::restore) brings it back.
    ///
    /// `scheme` is that of the hop to the pod.
    pub fn request(
        &self,
        version: Version,
        scheme: Scheme,
        keep_copy: bool,
    ) -> Result<Request<AttemptBody>, Unsayable> {
        let mut request = Request::new(self.body.attempt());
        *request.method_mut() = self.method.clone();
        if version == Version::HTTP_2 {
            *request.uri_mut() = self.absolute(scheme)?;
            *request.headers_mut() = headers::for_http2(&self.headers.borrow());
            // Sent unasked: the stream's window holds it back as long as the pod likes.
            if let Some(gate) = self.body.gate() {
                gate.open();
            }
        } else {
            *request.uri_mut() = self.uri.clone();
            *request.headers_mut() = if keep_copy {
                self.headers.borrow().clone()
            } else {
                self.headers.take()
            };
            if let Some(gate) = self.body.gate() {
                hyper::ext::on_informational(&mut request, move |informational| {
                    if informational.status() == StatusCode::CONTINUE {
                        gate.open();
                    }
                });
            }
        }
        *request.version_mut() = version;
        Ok(request)
    }

    /// Whether there is anything left of its time after such a wait.
    pub fn outlasts(&self, wait: Duration) -> bool {
        let ends_first = |deadline: Deadline| deadline.at <= Instant::now() + wait;
        wait.is_zero() || !self.deadline.is_some_and(ends_first)
    }

    /// Takes back the head of a request that was not sent, as [`request`](Self::request) gave it away.
    pub fn restore(&self, request: Request<AttemptBody>) {
        if request.version() != Version::HTTP_2 {
            self.headers.replace(request.into_parts().0.headers);
        }
    }

    /// The target in absolute-form, from which HTTP/2 takes `:scheme`, `:authority` and `:path` (RFC 9113 section 8.3.1).
    fn absolute(&self, scheme: Scheme) -> Result<Uri, Unsayable> {
        let headers = self.headers.borrow();
        let host = headers.get(header::HOST).ok_or(Unsayable)?;
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(scheme);
        parts.authority = Some(Authority::try_from(host.as_bytes()).map_err(|_| Unsayable)?);
        parts.path_and_query = self
            .uri
            .path_and_query()
            .cloned()
            .or(Some(PathAndQuery::from_static("/")));
        Uri::from_parts(parts).map_err(|_| Unsayable)
    }
}
