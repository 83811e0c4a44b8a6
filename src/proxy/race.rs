//! A second attempt beside a first that is silent: the first answer that counts is passed on, the other attempt ends.

use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Proxy;
use super::answered::Answered;
use super::attempt::Attempt;
use super::delivery::Start;
use super::forward::fail;
use super::outgoing::Outgoing;
use super::record::Record;
use super::replay::{AttemptBody, Replay};
use super::setback::Setback;
use crate::access_log::Hedged;
use crate::pool::Upstream;
use crate::stats::Count;

type Pod = Rc<Upstream<AttemptBody>>;

/// An attempt, and what it came to.
pub(super) struct Run {
    pub start: Start,
    pub delivered: Result<Answered, Setback>,
}

impl Proxy {
    /// How long an attempt goes on alone, where its request may then go to a second pod too: once, and only if it could be
    /// repeated after a failure. A call could not: a code in `--retry-on` says that its server has done nothing, and a
    /// silent one says nothing.
    pub(super) fn alone_for(
        &self,
        attempt: &mut Attempt,
        outgoing: &Outgoing,
        record: &Record,
    ) -> Option<Duration> {
        let hedging = self.hedging.as_ref()?;
        if !outgoing.idempotent || outgoing.is_call {
            return None;
        }
        attempt.hedge(hedging).filter(|_| !record.is_hedged())
    }

    /// Goes on with an attempt alone for so long, then with another beside it, and brings the one that counts. A pod that
    /// failed while the other went on is among `tried` then.
    pub(super) async fn race(
        &self,
        first: Start,
        alone: Duration,
        outgoing: &Outgoing,
        tried: &mut Vec<Pod>,
        record: &mut Record,
    ) -> Run {
        let first_pod = first.attempt.upstream().clone();
        let last = first.last;
        let is_due = due(first.attempt.started(), alone, outgoing.body.clone());
        let mut first = pin!(self.run(first, outgoing));
        tokio::select! {
            biased;
            run = &mut first => return run,
            () = is_due => {}
        }
        let Some(second) = self.second(&first_pod, tried, last, outgoing) else {
            return first.await;
        };
        outgoing.raced.set(true);
        record.attempt(second.attempt.upstream());
        record.hedge(Hedged::Lost);
        let mut second = pin!(self.run(second, outgoing));
        let (mut run, is_second) = tokio::select! {
            biased;
            run = &mut first => (run, false),
            run = &mut second => (run, true),
        };
        outgoing.raced.set(false);
        let mut from_second = is_second;
        if !self.counts(&run, outgoing) {
            let spare = self.lay_aside(run, outgoing, tried);
            let other = match is_second {
                true => first.as_mut().await,
                false => second.as_mut().await,
            };
            from_second = !is_second;
            run = match spare {
                Some(spare) => self.better(spare, other, outgoing, tried),
                None => other,
            };
        }
        record.settle_on(run.start.attempt.upstream());
        match self.counts(&run, outgoing) {
            true if from_second => record.hedge(Hedged::Won),
            // The second one failed before.
            true if is_second => record.hedge(Hedged::Failed),
            true => {}
            false => record.hedge(Hedged::Failed),
        }
        if run.delivered.is_ok() {
            // Before the other one ends, which looks at what was answered meanwhile.
            self.tell(&mut run, outgoing);
        }
        run
    }

    async fn run(&self, mut start: Start, outgoing: &Outgoing) -> Run {
        let delivered = self.deliver(&mut start, outgoing).await;
        Run { start, delivered }
    }

    /// An attempt at another pod, if one is there at once and the budget allows it.
    fn second(&self, first: &Pod, tried: &[Pod], last: bool, outgoing: &Outgoing) -> Option<Start> {
        let now = Instant::now();
        if !self.budget.borrow_mut().affords(now) {
            self.counters.add(Count::HedgeRefused);
            return None;
        }
        let tried = tried.iter().chain([first]).cloned().collect();
        let chosen = self.choose_another(tried, outgoing)?;
        self.budget.borrow_mut().withdraw(now);
        Some(self.start(chosen, last, outgoing, now))
    }

    /// Whether a run brought an answer that is to be passed on.
    fn counts(&self, run: &Run, outgoing: &Outgoing) -> bool {
        match &run.delivered {
            Ok(answered) => !self.is_unwanted(answered, outgoing),
            Err(_) => false,
        }
    }

    /// What is left of a run that brought no answer that counts, while the other one goes on: the answer, if there is one.
    fn lay_aside(&self, mut run: Run, outgoing: &Outgoing, tried: &mut Vec<Pod>) -> Option<Run> {
        self.tell(&mut run, outgoing);
        if run.delivered.is_ok() {
            return Some(run);
        }
        tried.push(run.start.attempt.upstream().clone());
        None
    }

    /// The other run, or what was laid `aside`: an answer that does not count is better than none.
    fn better(&self, aside: Run, other: Run, outgoing: &Outgoing, tried: &mut Vec<Pod>) -> Run {
        if other.delivered.is_err() {
            self.lay_aside(other, outgoing, tried);
            return aside;
        }
        let attempt = aside.start.attempt;
        tried.push(attempt.upstream().clone());
        if let Ok(answered) = aside.delivered {
            answered.discard(attempt);
        }
        other
    }

    /// Has what a run came to told of its pod.
    fn tell(&self, run: &mut Run, outgoing: &Outgoing) {
        match &run.delivered {
            Ok(answered) => {
                let failures = &self.settings.failures;
                let verdict = answered.verdict(failures, outgoing.is_call);
                run.start.attempt.answered(verdict);
            }
            Err(setback) => {
                fail(&mut run.start.attempt, setback);
            }
        }
    }
}

/// Until a pod has had the whole request since `started` for so long. Never where the body is not kept.
async fn due(started: Instant, alone: Duration, body: Replay) {
    let mut looked = started;
    loop {
        // The pod's time runs from when it had everything.
        let since = body.pods_turn(started).filter(|_| body.is_whole());
        let due = match since {
            Some(since) if since + alone <= looked => return,
            Some(since) => since + alone,
            None if body.is_replayable() => Instant::now() + alone,
            None => return pending().await,
        };
        tokio::time::sleep_until(due.into()).await;
        looked = due;
    }
}
