//! One request's way to a pod: attempts until one brings a response, or none can.

use std::rc::Rc;
use std::time::{Duration, Instant};

use http::Response;

use super::answer::Failure;
use super::answered::Answered;
use super::attempt::{Attempt, Blame};
use super::body::ResponseBody;
use super::choose::Chosen;
use super::client::Client;
use super::outgoing::Outgoing;
use super::pause::{Pushback, pause};
use super::race::Start;
use super::record::Record;
use super::replay::AttemptBody;
use super::retry::{Failed, Told, may_retry, may_retry_answered};
use super::setback::Setback;
use super::{Proxy, grpc};
use crate::error::Kind;
use crate::pool::Upstream;
use crate::stats::Count;

/// Connections at a pod that were there when it was chosen, and were then another worker's, or had ended, before a
/// request that waits for one is told so.
const MOST_LOST: u32 = 8;

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
        // Whether the next attempt is among them.
        let mut counted = true;
        let mut lost = 0;
        loop {
            let Chosen {
                upstream,
                trial,
                permit,
                connection,
                again,
            } = self.choose(&tried, client, &outgoing).await?;
            if again && !std::mem::replace(&mut counted, true) {
                // Nobody is left who was not asked: from here on each attempt counts.
                retries += 1;
            }
            record.attempt(&upstream);
            let mut attempt = Attempt::start(
                upstream,
                outgoing.body.clone(),
                trial,
                permit,
                self.reporter.clone(),
                Instant::now(),
            );
            let last = retries >= self.settings.retry.retries;
            let delivered = match self.alone_for(&mut attempt, &outgoing, record) {
                None => {
                    let delivered = self.deliver(&mut attempt, &outgoing, last, again, connection);
                    delivered.await
                }
                Some(alone) => {
                    let first = Start {
                        attempt,
                        again,
                        last,
                        connection,
                    };
                    let race = self.race(first, alone, &outgoing, &mut tried, record);
                    let run = Box::pin(race).await;
                    attempt = run.attempt;
                    run.delivered
                }
            };
            let upstream = attempt.upstream().clone();
            let (wait, counts) = match delivered {
                Ok(answered) => {
                    let failures = &self.settings.failures;
                    attempt.answered(answered.verdict(failures, outgoing.is_call));
                    attempt.heard(answered.headers());
                    let wait = match last {
                        true => None,
                        false => self.wants_another(&answered, &outgoing, retries),
                    };
                    let Some(wait) = wait.filter(|_| self.afford_retry(false)) else {
                        record.answered(answered.status());
                        return Ok(answered.pass_on(attempt, client.version()));
                    };
                    answered.discard(attempt);
                    if outgoing.is_call {
                        grpc::count_attempt(outgoing.headers.get_mut());
                    }
                    (wait, true)
                }
                Err(setback) => {
                    let kind = setback.failure.kind;
                    if kind == Kind::PodsFull && lost < MOST_LOST {
                        lost += 1;
                        continue;
                    }
                    let ended = fail(&mut attempt, &setback);
                    let failed = Failed {
                        kind,
                        unsent: setback.unsent,
                        replayable: outgoing.body.is_replayable(),
                    };
                    // What no pod has seen has no reason to wait, and what was waited for long enough has none.
                    let wait = match setback.unsent || setback.moves {
                        true => Duration::ZERO,
                        false => self.backoff(retries, Pushback::Nothing).unwrap_or_default(),
                    };
                    // One that has ended is not asked again: others answer, or the request waits for one.
                    let is_over = (last && !ended)
                        || !may_retry(&self.settings.retry.on, failed, outgoing.idempotent)
                        || !outgoing.outlasts(wait);
                    if !setback.moves && (is_over || !self.afford_retry(setback.unsent)) {
                        record.received(outgoing.body.received());
                        return Err(setback.failure);
                    }
                    // A refusal takes no time and asks nothing of anybody: it is no reason to stop while others may
                    // answer.
                    (wait, setback.blame != Blame::Refused)
                }
            };
            counted = counts;
            retries += u32::from(counts);
            tried.push(upstream);
            if !wait.is_zero() {
                self.pause(wait, client, &outgoing).await?;
            }
        }
    }

    /// The wait before another pod is asked for a better response; `None` where this one is to be passed on.
    fn wants_another(
        &self,
        answered: &Answered,
        outgoing: &Outgoing,
        retries: u32,
    ) -> Option<Duration> {
        let may = self.is_unwanted(answered, outgoing)
            // A response in the hand is better than a wait for a pod that may never come.
            && self.has_pod();
        may.then(|| self.backoff(retries, answered.pushback(outgoing.is_call)))
            .flatten()
            .filter(|wait| outgoing.outlasts(*wait))
    }

    /// Whether another pod's response would be better.
    pub(super) fn is_unwanted(&self, answered: &Answered, outgoing: &Outgoing) -> bool {
        let told = Told {
            status: answered.status(),
            code: outgoing.is_call.then(|| answered.code()).flatten(),
        };
        may_retry_answered(&self.settings.retry.on, told, outgoing.idempotent)
            && outgoing.body.is_replayable()
    }

    fn backoff(&self, retries: u32, pushback: Pushback) -> Option<Duration> {
        pause(
            self.settings.retry.backoff,
            retries,
            pushback,
            fastrand::f64(),
        )
    }

    /// Counts a retry, or that the budget has none left. What was never sent costs no budget: it put no load on any
    /// pod, and must not be lost while one is there to take it.
    pub(super) fn afford_retry(&self, unsent: bool) -> bool {
        let affordable = unsent || self.budget.borrow_mut().withdraw(Instant::now());
        let count = if affordable {
            Count::Retry
        } else {
            Count::RetryRefused
        };
        self.counters().add(count);
        affordable
    }
}

/// Has a failed attempt told. Whether its pod has ended.
pub(super) fn fail(attempt: &mut Attempt, setback: &Setback) -> bool {
    let heard = attempt.failed(setback.failure.kind, setback.blame);
    let upstream = attempt.upstream();
    let ended = setback.blame == Blame::Refused && upstream.is_last_resort() && heard;
    if ended {
        upstream.set_ended();
    }
    ended
}
