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
use super::delivery::Start;
use super::outgoing::Outgoing;
use super::pause::{Pushback, pause};
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
            let chosen = self.choose(&tried, client, &outgoing).await?;
            if chosen.again && !std::mem::replace(&mut counted, true) {
                // Nobody is left who was not asked: from here on each attempt counts.
                retries += 1;
            }
            record.attempt(&chosen.upstream);
            let last = retries >= self.settings.retry.retries;
            let mut start = self.start(chosen, last, &outgoing, Instant::now());
            let delivered = match self.alone_for(&mut start.attempt, &outgoing, record) {
                None => self.deliver(&mut start, &outgoing).await,
                Some(alone) => {
                    let race = self.race(start, alone, &outgoing, &mut tried, record);
                    let run = Box::pin(race).await;
                    start = run.start;
                    run.delivered
                }
            };
            let attempt = &mut start.attempt;
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
                        return Ok(answered.pass_on(start.attempt, client.version()));
                    };
                    answered.discard(start.attempt);
                    if outgoing.is_call {
                        grpc::count_attempt(outgoing.headers.get_mut());
                    }
                    (wait, true)
                }
                Err(setback) => {
                    if setback.failure.kind == Kind::PodsFull && lost < MOST_LOST {
                        lost += 1;
                        continue;
                    }
                    // One that has ended is not asked again: others answer, or the request waits for one.
                    let last = !fail(attempt, &setback) && last;
                    let Some(wait) = self.goes_on(&setback, last, &outgoing, retries) else {
                        record.received(outgoing.body.received());
                        return Err(setback.failure);
                    };
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

    /// An attempt at a pod that was chosen for it.
    pub(super) fn start(
        &self,
        chosen: Chosen,
        last: bool,
        outgoing: &Outgoing,
        now: Instant,
    ) -> Start {
        let (body, reporter) = (outgoing.body.clone(), self.reporter.clone());
        let Chosen {
            upstream,
            trial,
            permit,
            connection,
            again,
        } = chosen;
        Start {
            attempt: Attempt::start(upstream, body, trial, permit, reporter, now),
            again,
            last,
            connection,
        }
    }

    /// The wait before another attempt after one that failed; `None` where there is to be none.
    fn goes_on(
        &self,
        setback: &Setback,
        last: bool,
        outgoing: &Outgoing,
        retries: u32,
    ) -> Option<Duration> {
        // It was waited for long enough, and the next one is paid for.
        if setback.moves {
            return Some(Duration::ZERO);
        }
        let failed = Failed {
            kind: setback.failure.kind,
            unsent: setback.unsent,
            replayable: outgoing.body.is_replayable(),
        };
        // What no pod has seen has no reason to wait.
        let wait = match setback.unsent {
            true => Duration::ZERO,
            false => self.backoff(retries, Pushback::Nothing).unwrap_or_default(),
        };
        let may = !last
            && may_retry(&self.settings.retry.on, failed, outgoing.idempotent)
            && outgoing.outlasts(wait)
            && self.afford_retry(setback.unsent);
        may.then_some(wait)
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
        self.counters.add(count);
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
