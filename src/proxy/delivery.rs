//! One attempt's delivery of a request: a connection to its pod, the request out, the head of a response in.

use std::pin::pin;
use std::time::{Duration, Instant};

use http::uri::Scheme;
use http::{Request, Response, StatusCode};

use super::answer::Failure;
use super::answered::Answered;
use super::attempt::{Attempt, Blame};
use super::outgoing::Outgoing;
use super::replay::AttemptBody;
use super::setback::{Setback, label, setback, unreached, unsayable};
use super::tunnel::Switched;
use super::{Proxy, headers};
use crate::error::Kind;
use crate::pool::{Carrier, Incoming, SendError, Upstream};

/// Who let a request wait for longer than this.
enum Late {
    Pod(Duration),
    Client(Duration),
}

impl Proxy {
    /// One attempt at one pod: the request out, the head of a response in. Kept connections that turn out to be
    /// closed before they took a byte are passed over: they are none of the pod's doing, and a new connection to it is
    /// tried last. Where the request comes `again`, those that ended together with its first one are told by the
    /// kernel.
    pub(super) async fn deliver(
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
            let may_return = outgoing.may_return || carrier.may_turn_away();
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
