//! One request's way to a pod: attempts until one brings a response, or none can.

use std::io::ErrorKind;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::uri::Scheme;
use http::{Request, Response, StatusCode, Version};

use super::answer::Failure;
use super::attempt::{Attempt, Blame};
use super::body::{ResponseBody, Upstreamed};
use super::choose::Chosen;
use super::client::Client;
use super::outgoing::{Outgoing, Unsayable};
use super::record::Record;
use super::replay::{AttemptBody, Replay};
use super::retry::{Failed, may_retry};
use super::{Proxy, close_after, headers};
use crate::error::Kind;
use crate::pool::{Carrier, Cause, ConnectError, Incoming, SendError, Upstream};
use crate::stats::Count;

/// A failed attempt: what the client is told if it was the last, and whether it may be followed by another.
struct Setback {
    failure: Failure,
    unsent: bool,
    blame: Blame,
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
                Ok((response, carrier)) => {
                    attempt.answered();
                    record.answered(response.status());
                    return Ok(respond(response, carrier, attempt, client.version()));
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
    ) -> Result<(Response<Incoming>, Carrier<AttemptBody>), Setback> {
        loop {
            let mut carrier = upstream
                .carrier(!outgoing.idempotent)
                .await
                .map_err(|error| unreached(&error, upstream))?;
            let version = carrier.version();
            // A pod may turn away a stream without having looked at it, whatever was to be done there.
            let may_return = outgoing.idempotent || carrier.may_turn_away();
            if carrier.may_turn_away() {
                outgoing.body.keep();
            }
            let keep_copy = !last && may_return && outgoing.body.is_replayable();
            let scheme = match carrier.is_tls() {
                true => Scheme::HTTPS,
                false => Scheme::HTTP,
            };
            let request = outgoing
                .request(version, scheme, keep_copy)
                .map_err(unsayable)?;
            let sent = self.send(&mut carrier, request, &outgoing.body).await;
            match sent {
                Ok(Ok(response)) => return checked(response, carrier, upstream),
                Ok(Err(mut error)) => {
                    let never_sent = error.unsent.is_some();
                    if let Some(unsent) = error.unsent.take() {
                        outgoing.restore(unsent);
                    }
                    if never_sent && carrier.is_reused() {
                        continue;
                    }
                    let unsent = never_sent || error.unprocessed;
                    return Err(setback(error.cause, unsent, outgoing, upstream));
                }
                Err(timeout) => {
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
            }
        }
    }

    /// Sends and waits for the response's head; the outer error is the response timeout. That runs while it is the
    /// pod's turn: how long a client takes to send its body is not the pod's matter.
    async fn send(
        &self,
        carrier: &mut Carrier<AttemptBody>,
        request: Request<AttemptBody>,
        body: &Replay,
    ) -> Result<Result<Response<Incoming>, SendError<AttemptBody>>, Duration> {
        let Some(timeout) = self.settings.timeouts.response else {
            return Ok(carrier.send(request).await);
        };
        let started = Instant::now();
        let mut deadline = started + timeout;
        let mut response = pin!(carrier.send(request));
        loop {
            if let Ok(sent) = tokio::time::timeout_at(deadline.into(), &mut response).await {
                return Ok(sent);
            }
            let now = Instant::now();
            deadline = body.pods_turn(started).unwrap_or(now) + timeout;
            if deadline <= now {
                return Err(timeout);
            }
        }
    }
}

/// The client's response, with all that must live as long as it does.
fn respond(
    response: Response<Incoming>,
    mut carrier: Carrier<AttemptBody>,
    attempt: Attempt,
    version: Version,
) -> Response<ResponseBody> {
    let (mut head, incoming) = response.into_parts();
    if let Some(seconds) = headers::keep_alive_timeout(&head.headers) {
        let said = Duration::from_secs(seconds);
        attempt.upstream().learn_idle_timeout(said);
    }
    headers::for_client(&mut head.headers);
    // The pod's version is that of its own hop.
    head.version = version;
    let unread = attempt.body().is_unread();
    let body = ResponseBody::upstream(Upstreamed {
        incoming,
        upload: carrier.detach_upload(),
        carrier: Some(carrier),
        attempt,
    });
    let mut response = Response::from_parts(head, body);
    if unread && version != Version::HTTP_2 {
        close_after(&mut response);
    }
    response
}

/// A response that may be passed on.
fn checked(
    response: Response<Incoming>,
    carrier: Carrier<AttemptBody>,
    upstream: &Upstream<AttemptBody>,
) -> Result<(Response<Incoming>, Carrier<AttemptBody>), Setback> {
    let unasked = if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        "switched protocols"
    } else if !headers::is_plainly_coded(response.headers()) {
        "used a transfer coding"
    } else {
        return Ok((response, carrier));
    };
    Err(Setback {
        failure: Failure::new(
            Kind::BrokenProtocol,
            format!("pod {} {unasked} unasked", label(upstream)),
        ),
        unsent: false,
        blame: Blame::Pod,
    })
}

/// What it means for a request that no connection could be made.
fn unreached(error: &ConnectError, upstream: &Upstream<AttemptBody>) -> Setback {
    let (kind, blame) = match error {
        ConnectError::Timeout(_) => (Kind::ConnectTimeout, Blame::Pod),
        ConnectError::Failed(ErrorKind::ConnectionRefused) => (Kind::ConnectFailed, Blame::Refused),
        ConnectError::Failed(_) => (Kind::ConnectFailed, Blame::Pod),
        ConnectError::Exhausted(_) => (Kind::Overload, Blame::Nobody),
        ConnectError::Protocol => (Kind::BrokenProtocol, Blame::Pod),
        ConnectError::Tls(_) => (Kind::TlsFailed, Blame::Pod),
        ConnectError::NoTls(_) => (Kind::TlsFailed, Blame::Nobody),
    };
    Setback {
        failure: Failure::new(
            kind,
            format!("could not connect to pod {}: {error}", label(upstream)),
        ),
        unsent: true,
        blame,
    }
}

/// The request has no form in what the pod speaks.
fn unsayable(Unsayable: Unsayable) -> Setback {
    Setback {
        failure: Failure::new(
            Kind::BadRequest,
            "the request's Host cannot be an HTTP/2 authority",
        ),
        unsent: true,
        blame: Blame::Nobody,
    }
}

/// What it means for the request that it brought no response.
fn setback(
    cause: Cause,
    unsent: bool,
    outgoing: &Outgoing,
    upstream: &Upstream<AttemptBody>,
) -> Setback {
    let pod = label(upstream);
    if outgoing.body.is_broken() {
        return Setback {
            failure: Failure::new(
                Kind::BadRequest,
                "the request's body ended early or is malformed",
            ),
            unsent,
            blame: Blame::Nobody,
        };
    }
    let (kind, what) = match cause {
        Cause::HeadTooLarge => (
            Kind::BrokenProtocol,
            "sent a response head that is too large",
        ),
        Cause::Protocol => (Kind::BrokenProtocol, "sent something that is not HTTP"),
        Cause::Ended | Cause::Stale => (Kind::Reset, "closed the connection before it answered"),
        Cause::Reset => (Kind::Reset, "reset the request before it answered"),
        Cause::Refused => (Kind::Reset, "took no further requests"),
        Cause::Silent => (Kind::Reset, "gave no sign of life"),
        // The handshake's last word, only late.
        Cause::Unwelcome(alert) => return unreached(&ConnectError::Tls(alert.into()), upstream),
    };
    Setback {
        failure: Failure::new(kind, format!("pod {pod} {what}")),
        unsent,
        blame: match cause {
            // A pod may close a kept connection, or take no more, whenever it likes.
            Cause::Stale | Cause::Refused => Blame::Nobody,
            _ => Blame::Pod,
        },
    }
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
