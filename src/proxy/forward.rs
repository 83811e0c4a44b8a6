//! One request's way to a pod: attempts until one brings a response, or none can.

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
use super::outgoing::Outgoing;
use super::record::Record;
use super::replay::AttemptBody;
use super::retry::{Failed, may_retry};
use super::setback::{Setback, label, setback, unreached, unsayable};
use super::tunnel::{Switched, switching};
use super::upgrade::Protocols;
use super::{Proxy, close_after, grpc, headers};
use crate::error::Kind;
use crate::pool::{Carrier, Incoming, SendError, Upstream};
use crate::stats::Count;

/// Who let a request wait for longer than this.
enum Late {
    Pod(Duration),
    Client(Duration),
}

/// What a pod made of the request.
enum Answered {
    Response(Response<Incoming>, Carrier<AttemptBody>),
    Switched(Response<Incoming>, Switched),
}

impl Answered {
    fn status(&self) -> StatusCode {
        match self {
            Self::Response(response, _) | Self::Switched(response, _) => response.status(),
        }
    }

    /// Whether the pod could not do what was asked, and another might. Of a call's outcome only what its head says is
    /// known as yet.
    fn is_failure(&self) -> bool {
        let Self::Response(response, _) = self else {
            return false;
        };
        let status = response.status();
        let unable = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
        unable || grpc::is_failure(response.headers())
    }
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
            } = self.choose(&tried, client, &outgoing).await?;
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
            let attempted = self.attempt(&mut attempt, &mut outgoing, last, again);
            let setback = match attempted.await {
                Ok(answered) => {
                    attempt.answered(answered.is_failure());
                    record.answered(answered.status());
                    return Ok(match answered {
                        Answered::Response(response, carrier) => {
                            respond(response, carrier, attempt, client.version())
                        }
                        Answered::Switched(response, switched) => switching(response, switched),
                    });
                }
                Err(setback) => setback,
            };
            let kind = setback.failure.kind;
            let refused = setback.blame == Blame::Refused;
            let heard = attempt.failed(kind, setback.blame);
            let ended = refused && upstream.is_last_resort() && heard;
            if ended {
                upstream.set_ended();
            }
            let failed = Failed {
                kind,
                unsent: setback.unsent,
                replayable: outgoing.body.is_replayable(),
            };
            // One that has ended is not asked again: others answer, or the request waits for one.
            if (last && !ended)
                || !may_retry(failed, outgoing.idempotent)
                || !self.afford_retry(setback.unsent)
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
    /// none of the pod's doing, and a new connection to it is tried last. Where the request comes `again`, those that
    /// ended together with its first one are told by the kernel.
    async fn attempt(
        &self,
        attempt: &mut Attempt,
        outgoing: &mut Outgoing,
        last: bool,
        again: bool,
    ) -> Result<Answered, Setback> {
        let upstream = &attempt.upstream().clone();
        loop {
            let mut carrier = upstream
                .carrier(again || !outgoing.idempotent)
                .await
                .map_err(|error| unreached(&error, upstream))?;
            let version = carrier.version();
            // A pod may turn away a request without having looked at it, whatever was to be done there.
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
            attempt.sending();
            let sent = self.send(&mut carrier, request, outgoing).await;
            match sent {
                Ok(Ok(response)) => return checked(response, carrier, outgoing, upstream),
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

    /// Sends and waits for the response's head. The response timeout runs while it is the pod's turn: how long a
    /// client takes to send its body is not the pod's matter, but has a limit of its own.
    async fn send(
        &self,
        carrier: &mut Carrier<AttemptBody>,
        request: Request<AttemptBody>,
        outgoing: &Outgoing,
    ) -> Result<Result<Response<Incoming>, SendError<AttemptBody>>, Late> {
        let body = &outgoing.body;
        let timeout = self.settings.timeouts.response;
        let stall = outgoing.stall.filter(|_| body.is_unread());
        if timeout.is_none() && stall.is_none() {
            return Ok(carrier.send(request).await);
        }
        let started = Instant::now();
        let mut now = started;
        let mut response = pin!(carrier.send(request));
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
    mut carrier: Carrier<AttemptBody>,
    attempt: Attempt,
    version: Version,
) -> Response<ResponseBody> {
    let (mut head, incoming) = response.into_parts();
    if let Some(seconds) = headers::keep_alive_timeout(&head.headers) {
        let said = Duration::from_secs(seconds);
        attempt.upstream().learn_idle_timeout(said);
    }
    // A pod that refuses for want of an upgrade has to name it (RFC 9110 section 15.5.22).
    let wanted = match (head.status, version) {
        (StatusCode::UPGRADE_REQUIRED, Version::HTTP_11) => Protocols::named(&head.headers),
        _ => None,
    };
    headers::for_client(&mut head.headers);
    if let Some(wanted) = wanted {
        wanted.put(&mut head.headers);
    }
    // The pod's version is that of its own hop.
    head.version = version;
    // hyper takes whatever is behind malformed trailers for more of them.
    let doubtful = attempt.body().is_unread() || attempt.body().has_trailers();
    let body = ResponseBody::upstream(Upstreamed {
        incoming,
        upload: carrier.detach_upload(),
        carrier: Some(carrier),
        attempt,
    });
    let mut response = Response::from_parts(head, body);
    if doubtful && version != Version::HTTP_2 {
        close_after(&mut response);
    }
    response
}

/// A response that may be passed on.
fn checked(
    mut response: Response<Incoming>,
    carrier: Carrier<AttemptBody>,
    outgoing: &mut Outgoing,
    upstream: &Upstream<AttemptBody>,
) -> Result<Answered, Setback> {
    let fault = if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let upgrade = outgoing.upgrade.take();
        let allowed = upgrade.filter(|upgrade| upgrade.offer.allow(response.headers()));
        if let Some(upgrade) = allowed
            && let Some(pod) = carrier.into_upgraded()
        {
            let place = upgrade.place;
            return Ok(Answered::Switched(response, Switched { pod, place }));
        }
        "switched protocols unasked"
    } else if !headers::is_plainly_coded(response.headers()) {
        "used a transfer coding unasked"
    } else if !headers::settle_length(response.headers_mut()) {
        "told a length that is none"
    } else {
        return Ok(Answered::Response(response, carrier));
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
