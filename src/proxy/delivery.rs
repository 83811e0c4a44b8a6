//! One attempt's delivery of a request: a connection to its pod, the request out, the head of a response in.

use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use http::uri::Scheme;
use http::{Request, Response, StatusCode};
use tokio::sync::futures::Notified;

use super::answer::Failure;
use super::answered::Answered;
use super::attempt::{Attempt, Blame};
use super::outgoing::Outgoing;
use super::replay::AttemptBody;
use super::retry::{Failed, may_retry};
use super::setback::{Setback, label, setback, unreached, unsayable};
use super::tunnel::Switched;
use super::{Proxy, headers};
use crate::admission::ConnectionPermit;
use crate::error::Kind;
use crate::pool::{Carrier, ConnectError, Incoming, SendError, Upstream};

/// An attempt that is to be delivered.
pub(super) struct Start {
    pub attempt: Attempt,
    /// The request has been at its pod before.
    pub again: bool,
    /// None is to follow.
    pub last: bool,
    /// The place of a new connection there, where one is needed and those are limited.
    pub connection: Option<ConnectionPermit>,
}

/// Who let a request wait for longer than this.
enum Late {
    Pod(Kind, Duration),
    Client(Duration),
    /// The pod lets everybody wait: another is to answer, which is paid for.
    Forsaken,
}

impl Late {
    fn setback(self, upstream: &Upstream<AttemptBody>) -> Setback {
        let (kind, reason, blame) = match self {
            Self::Pod(kind, timeout) => {
                let pod = label(upstream);
                let reason = format!("pod {pod} sent no response within {timeout:?}");
                (kind, reason, Blame::Pod)
            }
            Self::Client(stall) => {
                let reason = format!("no more of the request's body came within {stall:?}");
                (Kind::BodyTimeout, reason, Blame::Nobody)
            }
            Self::Forsaken => {
                let reason = format!("pod {} answers nobody", label(upstream));
                return Setback {
                    failure: Failure::new(Kind::Reset, reason),
                    unsent: false,
                    blame: Blame::Nobody,
                    moves: true,
                };
            }
        };
        Setback {
            failure: Failure::new(kind, reason),
            unsent: false,
            blame,
            moves: false,
        }
    }
}

impl Proxy {
    /// One attempt at one pod: the request out, the head of a response in. Kept connections that turn out to be
    /// closed before they took a byte are passed over: they are none of the pod's doing, and a new connection to it is
    /// tried last. Where the request comes again, those that ended together with its first one are told by the kernel.
    pub(super) async fn deliver(
        &self,
        start: &mut Start,
        outgoing: &Outgoing,
    ) -> Result<Answered, Setback> {
        let Start {
            attempt,
            again,
            last,
            connection,
        } = start;
        let last = *last;
        let upstream = &attempt.upstream().clone();
        loop {
            let careful = *again || !outgoing.idempotent;
            let mut carrier = self.carrier(attempt, careful, connection.take()).await?;
            let version = carrier.version();
            // A pod may turn away a request without having looked at it, whatever was to be done there.
            let may_return = outgoing.may_return || carrier.may_turn_away();
            if carrier.may_turn_away() {
                outgoing.body.keep();
            }
            // Another attempt may follow, or be sent beside this one.
            let keep_copy =
                (!last || attempt.may_be_hedged()) && may_return && outgoing.body.is_replayable();
            let scheme = match carrier.is_tls() {
                true => Scheme::HTTPS,
                false => Scheme::HTTP,
            };
            let request = outgoing
                .request(version, scheme, keep_copy)
                .map_err(unsayable)?;
            attempt.sending();
            let sent = self.send(&mut carrier, request, outgoing, attempt, last);
            let sent = sent.await;
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
                Err(late) => return Err(late.setback(upstream)),
            }
        }
    }

    /// What is to carry the request, within the time of one attempt.
    async fn carrier(
        &self,
        attempt: &Attempt,
        careful: bool,
        connection: Option<ConnectionPermit>,
    ) -> Result<Carrier<AttemptBody>, Setback> {
        let upstream = attempt.upstream();
        let carrier = upstream.carrier(careful, connection);
        let carrier = match self.settings.retry.per_try {
            None => carrier.await,
            Some(limit) => tokio::time::timeout_at((attempt.started() + limit).into(), carrier)
                .await
                .unwrap_or(Err(ConnectError::Timeout(limit))),
        };
        carrier.map_err(|error| unreached(&error, upstream))
    }

    /// Sends and waits for the response's head. The pod's timeouts run while it is its turn: how long a client takes to
    /// send its body is not the pod's matter, but has a limit of its own.
    async fn send(
        &self,
        carrier: &mut Carrier<AttemptBody>,
        request: Request<AttemptBody>,
        outgoing: &Outgoing,
        attempt: &Attempt,
        last: bool,
    ) -> Result<Result<Response<Incoming>, SendError<AttemptBody>>, Late> {
        let upstream = attempt.upstream();
        let moves = !last && self.may_move(outgoing);
        let mut forsaken = pin!(moves.then(|| upstream.forsaken()));
        let mut response = pin!(carrier.send(request));
        let body = &outgoing.body;
        let timeout = self.settings.timeouts.response;
        let per_try = self.settings.retry.per_try;
        let stall = outgoing.stall.filter(|_| body.is_unread());
        if timeout.is_none() && per_try.is_none() && stall.is_none() {
            return self
                .unless_forsaken(response, forsaken, upstream, outgoing)
                .await;
        }
        let started = Instant::now();
        let mut now = started;
        loop {
            // Either the pod's run or the client's; the others are looked at again when they could end at the earliest.
            let pods = |limit: Option<Duration>, kind, from| {
                limit.map(|limit| {
                    let since = body.pods_turn(from).unwrap_or(now);
                    (since + limit, Late::Pod(kind, limit))
                })
            };
            let whole = pods(timeout, Kind::ResponseTimeout, started);
            let one = pods(per_try, Kind::TryTimeout, attempt.started());
            let clients = stall.map(|stall| {
                let since = body.clients_turn().unwrap_or(now);
                (since + stall, Late::Client(stall))
            });
            let Some((deadline, late)) = whole
                .into_iter()
                .chain(one)
                .chain(clients)
                .min_by_key(|(deadline, _)| *deadline)
            else {
                return self
                    .unless_forsaken(response, forsaken, upstream, outgoing)
                    .await;
            };
            if deadline <= now {
                return Err(late);
            }
            let sent =
                self.unless_forsaken(response.as_mut(), forsaken.as_mut(), upstream, outgoing);
            if let Ok(sent) = tokio::time::timeout_at(deadline.into(), sent).await {
                return sent;
            }
            now = Instant::now();
        }
    }

    /// Whether a request may be taken back from a pod that answers nobody.
    fn may_move(&self, outgoing: &Outgoing) -> bool {
        let failed = Failed {
            kind: Kind::Reset,
            unsent: false,
            replayable: outgoing.body.is_replayable(),
        };
        may_retry(&self.settings.retry.on, failed, outgoing.idempotent)
    }

    /// Waits for `response`, but not for a pod that turns out to answer nobody, if another attempt can be paid for.
    async fn unless_forsaken<'a, T>(
        &self,
        mut response: Pin<&mut impl Future<Output = T>>,
        mut forsaken: Pin<&mut Option<Notified<'a>>>,
        upstream: &'a Upstream<AttemptBody>,
        outgoing: &Outgoing,
    ) -> Result<T, Late> {
        while let Some(told) = forsaken.as_mut().as_pin_mut() {
            tokio::select! {
                biased;
                sent = &mut response => return Ok(sent),
                () = told => {}
            }
            // More of the body may have come by now than is kept.
            let moves = self.may_move(outgoing);
            // One with another beside it has another pod already.
            if moves && !outgoing.raced.get() && self.afford_retry(false) {
                return Err(Late::Forsaken);
            }
            // It is told again if the pod fails its trial, and there may be budget then.
            forsaken.set(moves.then(|| upstream.forsaken()));
        }
        Ok(response.await)
    }
}

/// A response that may be passed on.
fn checked(
    mut response: Response<Incoming>,
    carrier: Carrier<AttemptBody>,
    outgoing: &Outgoing,
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
        moves: false,
    })
}
