//! One request's way to a pod: attempts until one brings a response, or none can.

use std::io::ErrorKind;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::header::HeaderMap;
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;

use super::answer::Failure;
use super::attempt::{Attempt, Blame};
use super::body::{ResponseBody, Upstreamed};
use super::choose::Chosen;
use super::client::Client;
use super::record::Record;
use super::replay::{AttemptBody, Replay};
use super::retry::{Failed, may_retry};
use super::{Proxy, close_after, headers};
use crate::error::Kind;
use crate::pool::Upstream;
use crate::pool::http1::{ConnectError, Http1, SendError};
use crate::stats::Count;

/// A request ready for any pod: its headers are those of the next hop.
#[derive(Debug)]
pub struct Outgoing {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Replay,
    /// It may be sent again even if a pod may have seen it.
    pub idempotent: bool,
    /// How long a pod that has not answered may wait for more of the body; `None` for ever.
    pub stall: Option<Duration>,
}

/// A failed attempt: what the client is told if it was the last, and whether it may be followed by another.
struct Setback {
    failure: Failure,
    unsent: bool,
    blame: Blame,
}

/// Who let a request wait for longer than this.
enum Late {
    Pod(Duration),
    Client(Duration),
}

impl Proxy {
    /// Sends `outgoing` to one pod after another until one answers. Each attempt takes its own turn.
    pub(super) async fn forward(
        &self,
        mut outgoing: Outgoing,
        client: &Client,
        record: &mut Record,
    ) -> Result<Response<ResponseBody>, Failure> {
        let mut tried: Vec<Rc<Upstream<AttemptBody>>> = Vec::new();
        let mut retries = 0;
        loop {
            let Chosen {
                upstream,
                trial,
                again,
            } = self.choose(&tried, client, &outgoing.body).await?;
            if again {
                // Nobody is left who was not asked: from here on each attempt counts.
                retries += 1;
            }
            record.attempt(&upstream);
            let mut attempt = Attempt::start(
                upstream.clone(),
                outgoing.body.clone(),
                trial,
                self.reporter.clone(),
                Instant::now(),
            );
            let last = retries >= self.settings.retry.retries;
            let setback = match self.attempt(&upstream, &mut outgoing, last).await {
                Ok((response, connection)) => {
                    attempt.answered();
                    record.answered(response.status());
                    return Ok(respond(response, connection, attempt));
                }
                Err(setback) => setback,
            };
            let kind = setback.failure.kind;
            let refused = setback.blame == Blame::Refused;
            let heard = attempt.failed(kind, setback.blame);
            if refused && upstream.is_last_resort() && heard {
                upstream.set_ended();
            }
            let failed = Failed {
                kind,
                unsent: setback.unsent,
                replayable: outgoing.body.is_replayable(),
            };
            if last || !may_retry(failed, outgoing.idempotent) || !self.afford_retry(setback.unsent)
            {
                record.received(outgoing.body.received());
                return Err(setback.failure);
            }
            // A refusal takes no time and asks nothing of anybody: it is no reason to stop while others may answer.
            if !refused {
                retries += 1;
            }
            tried.push(upstream);
        }
    }

    /// Counts a retry, or that the budget has none left. What was never sent costs no budget: it put no load on any
    /// pod, and must not be lost while one is there to take it.
    fn afford_retry(&self, unsent: bool) -> bool {
        let affordable = unsent || self.budget.borrow_mut().withdraw(Instant::now());
        let count = if affordable {
            Count::Retry
        } else {
            Count::RetryRefused
        };
        self.counters().add(count);
        affordable
    }

    /// One attempt. Kept connections that turn out to be closed before they took a byte are passed over: they are
    /// none of the pod's doing, and a new connection to it is tried last.
    async fn attempt(
        &self,
        upstream: &Rc<Upstream<AttemptBody>>,
        outgoing: &mut Outgoing,
        last: bool,
    ) -> Result<(Response<Incoming>, Http1<AttemptBody>), Setback> {
        if let Some(protocol) = upstream.unsupported() {
            return Err(Setback {
                failure: Failure::new(
                    Kind::BrokenProtocol,
                    format!(
                        "pod {} speaks {protocol}; only HTTP/1.1 is spoken to pods",
                        label(upstream)
                    ),
                ),
                unsent: true,
                blame: Blame::Nobody,
            });
        }
        loop {
            let mut connection = self.connection(upstream, outgoing).await?;
            let keep_copy = !last && outgoing.idempotent && outgoing.body.is_replayable();
            let request = outgoing.request(keep_copy);
            let sent = self.send(&mut connection, request, outgoing).await;
            match sent {
                Ok(Ok(response)) => return checked(response, connection, upstream),
                Ok(Err(SendError { error, unsent })) => {
                    let never_sent = unsent.is_some();
                    if let Some(unsent) = unsent {
                        outgoing.restore(unsent);
                    }
                    if never_sent && connection.is_reused() {
                        continue;
                    }
                    return Err(setback(&error, never_sent, &connection, outgoing, upstream));
                }
                Err(Late::Pod(timeout)) => {
                    return Err(Setback {
                        failure: Failure::new(
                            Kind::ResponseTimeout,
                            format!(
                                "pod {} sent no response within {timeout:?}",
                                label(upstream)
                            ),
                        ),
                        unsent: false,
                        blame: Blame::Pod,
                    });
                }
                Err(Late::Client(stall)) => {
                    return Err(Setback {
                        failure: Failure::new(
                            Kind::BodyTimeout,
                            format!("no more of the request's body came within {stall:?}"),
                        ),
                        unsent: false,
                        blame: Blame::Nobody,
                    });
                }
            }
        }
    }

    /// A kept connection, or a new one.
    async fn connection(
        &self,
        upstream: &Rc<Upstream<AttemptBody>>,
        outgoing: &Outgoing,
    ) -> Result<Http1<AttemptBody>, Setback> {
        if let Some(connection) = upstream.checkout(Instant::now(), !outgoing.idempotent) {
            return Ok(connection);
        }
        let connected = upstream
            .connect(
                self.settings.timeouts.connect,
                self.settings.limits.header_bytes,
            )
            .await;
        connected.map_err(|error| {
            let blame = match &error {
                ConnectError::Exhausted(_) => Blame::Nobody,
                ConnectError::Failed(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    Blame::Refused
                }
                ConnectError::Failed(_) | ConnectError::Timeout(_) => Blame::Pod,
            };
            let (kind, why) = match error {
                ConnectError::Timeout(after) => {
                    (Kind::ConnectTimeout, format!("no answer within {after:?}"))
                }
                ConnectError::Failed(error) => (Kind::ConnectFailed, error.kind().to_string()),
                ConnectError::Exhausted(error) => (
                    Kind::Overload,
                    format!("out of sockets here ({})", error.kind()),
                ),
            };
            Setback {
                failure: Failure::new(
                    kind,
                    format!("could not connect to pod {}: {why}", label(upstream)),
                ),
                unsent: true,
                blame,
            }
        })
    }

    /// Sends and waits for the response's head. The response timeout runs while it is the pod's turn: how long a
    /// client takes to send its body is not the pod's matter, but has a limit of its own.
    async fn send(
        &self,
        connection: &mut Http1<AttemptBody>,
        request: Request<AttemptBody>,
        outgoing: &Outgoing,
    ) -> Result<Result<Response<Incoming>, SendError<AttemptBody>>, Late> {
        let body = &outgoing.body;
        let timeout = self.settings.timeouts.response;
        let stall = outgoing.stall.filter(|_| body.is_unread());
        if timeout.is_none() && stall.is_none() {
            return Ok(connection.send(request).await);
        }
        let started = Instant::now();
        let mut now = started;
        let mut response = pin!(connection.send(request));
        loop {
            // Of the two at most one is running; the other is looked at again when it could end at the earliest.
            let pods = timeout.map(|timeout| {
                let since = body.pods_turn(started).unwrap_or(now);
                (since + timeout, Late::Pod(timeout))
            });
            let clients = stall.map(|stall| {
                let since = body.clients_turn().unwrap_or(now);
                (since + stall, Late::Client(stall))
            });
            let Some((deadline, late)) = pods
                .into_iter()
                .chain(clients)
                .min_by_key(|(deadline, _)| *deadline)
            else {
                return Ok(response.await);
            };
            if deadline <= now {
                return Err(late);
            }
            if let Ok(sent) = tokio::time::timeout_at(deadline.into(), &mut response).await {
                return Ok(sent);
            }
            now = Instant::now();
        }
    }
}

/// The client's response, with all that must live as long as it does.
fn respond(
    response: Response<Incoming>,
    connection: Http1<AttemptBody>,
    attempt: Attempt,
) -> Response<ResponseBody> {
    let (mut head, incoming) = response.into_parts();
    if let Some(seconds) = headers::keep_alive_timeout(&head.headers) {
        let said = Duration::from_secs(seconds);
        attempt.upstream().learn_idle_timeout(said);
    }
    headers::for_client(&mut head.headers);
    // The pod's version is that of its own hop.
    head.version = Version::HTTP_11;
    // hyper takes whatever is behind malformed trailers for more of them.
    let doubtful = attempt.body().is_unread() || attempt.body().has_trailers();
    let body = ResponseBody::upstream(Upstreamed {
        incoming,
        connection: Some(connection),
        attempt,
    });
    let mut response = Response::from_parts(head, body);
    if doubtful {
        close_after(&mut response);
    }
    response
}

impl Outgoing {
    /// The request as one attempt sends it. Without `keep_copy` the head is given away, and only
    /// [`restore`](Self::restore) brings it back.
    fn request(&mut self, keep_copy: bool) -> Request<AttemptBody> {
        let mut request = Request::new(self.body.attempt());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = if keep_copy {
            self.headers.clone()
        } else {
            std::mem::take(&mut self.headers)
        };
        if let Some(gate) = self.body.gate() {
            hyper::ext::on_informational(&mut request, move |informational| {
                if informational.status() == StatusCode::CONTINUE {
                    gate.open();
                }
            });
        }
        request
    }

    /// Takes back the head of a request that was not sent.
    fn restore(&mut self, request: Request<AttemptBody>) {
        self.headers = request.into_parts().0.headers;
    }
}

/// A response that may be passed on.
fn checked(
    mut response: Response<Incoming>,
    connection: Http1<AttemptBody>,
    upstream: &Upstream<AttemptBody>,
) -> Result<(Response<Incoming>, Http1<AttemptBody>), Setback> {
    let fault = if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        "switched protocols unasked"
    } else if !headers::is_plainly_coded(response.headers()) {
        "used a transfer coding unasked"
    } else if !headers::settle_length(response.headers_mut()) {
        "told a length that is none"
    } else {
        return Ok((response, connection));
    };
    Err(Setback {
        failure: Failure::new(
            Kind::BrokenProtocol,
            format!("pod {} {fault}", label(upstream)),
        ),
        unsent: false,
        blame: Blame::Pod,
    })
}

/// What a connection's error means for the request it carried.
fn setback(
    error: &hyper::Error,
    unsent: bool,
    connection: &Http1<AttemptBody>,
    outgoing: &Outgoing,
    upstream: &Upstream<AttemptBody>,
) -> Setback {
    let pod = label(upstream);
    let (kind, reason) = if outgoing.body.is_broken() {
        (
            Kind::BadRequest,
            "the request's body ended early or is malformed".to_owned(),
        )
    } else if error.is_parse_too_large() {
        (
            Kind::BrokenProtocol,
            format!("the head of pod {pod}'s response is too large"),
        )
    } else if error.is_parse() || is_without_end(error) {
        (
            Kind::BrokenProtocol,
            format!("pod {pod}'s response is not HTTP/1.1"),
        )
    } else {
        (
            Kind::Reset,
            format!("pod {pod} closed the connection before it answered"),
        )
    };
    Setback {
        failure: Failure::new(kind, reason),
        unsent,
        // A pod may close a kept connection whenever it likes.
        blame: match kind {
            Kind::Reset if connection.is_reused() => Blame::Nobody,
            _ => Blame::Pod,
        },
    }
}

/// The connection was given up because what came on it said nothing without end.
fn is_without_end(error: &hyper::Error) -> bool {
    std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<std::io::Error>())
        .is_some_and(|error| error.kind() == ErrorKind::InvalidData)
}

/// How a pod is named to clients: never by its address.
fn label<B>(upstream: &Upstream<B>) -> String
where
    B: http_body::Body<Data = bytes::Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let endpoint = upstream.endpoint();
    endpoint
        .pod
        .clone()
        .unwrap_or_else(|| "(without a name)".to_owned())
}
