//! One attempt at one pod: counted while it lasts, and its outcome reported once.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::replay::{AttemptBody, Replay};
use crate::admission::PodPermit;
use crate::balance::TrialPass;
use crate::error::Kind;
use crate::outlier::{Fact, Outcome, SILENCE};
use crate::pool::Upstream;
use crate::stats::{self, Count, TargetStats};

/// Tells membership what came of attempts. Bounded: a fact that finds the queue full is dropped and counted.
#[derive(Clone, Debug)]
pub struct Reporter {
    facts: mpsc::Sender<Fact>,
    stats: Arc<TargetStats>,
    worker: usize,
}

/// What a failed attempt says about its pod, where the error table blames pods at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Nothing: for instance, the pod closed a kept connection meanwhile.
    Nobody,
    Pod,
    /// It refused the connection.
    Refused,
}

/// An attempt under way. Dropped without a word, it was its client that left.
#[derive(Debug)]
pub struct Attempt {
    upstream: Rc<Upstream<AttemptBody>>,
    /// The request's body, which may still be on its way.
    body: Replay,
    reporter: Reporter,
    started: Instant,
    before: Answers,
    /// When the request began to be sent, where that is of interest.
    sent: Option<Instant>,
    trial: Option<TrialPass>,
    /// Its place at the pod, where places are limited.
    _permit: Option<PodPermit>,
    decided: bool,
}

/// What this worker has had answered. Its own counts alone: they are at hand, those of others would cost each request.
#[derive(Clone, Copy, Debug)]
struct Answers {
    all: u64,
    /// By the attempt's own pod.
    own: u64,
}

impl Answers {
    fn read(upstream: &Upstream<AttemptBody>, reporter: &Reporter) -> Self {
        Self {
            all: reporter.answered(),
            own: upstream.counters().answered(),
        }
    }

    /// What the others have answered since `before`; nothing where the pod answers too.
    fn of_others_since(self, before: Self) -> u64 {
        match self.own == before.own {
            true => self.all.saturating_sub(before.all),
            false => 0,
        }
    }
}

impl Reporter {
    pub fn new(facts: mpsc::Sender<Fact>, stats: Arc<TargetStats>, worker: usize) -> Self {
        Self {
            facts,
            stats,
            worker,
        }
    }

    /// Whether membership will hear of it.
    fn report(&self, fact: Fact) -> bool {
        let heard = self.facts.try_send(fact).is_ok();
        if !heard {
            self.count(Count::FactDropped);
        }
        heard
    }

    /// Attempts of this worker's that were answered.
    fn answered(&self) -> u64 {
        self.stats.shard(self.worker).count(Count::Answered)
    }

    fn count(&self, count: Count) {
        self.stats.shard(self.worker).add(count);
    }
}

impl Attempt {
    pub fn start(
        upstream: Rc<Upstream<AttemptBody>>,
        body: Replay,
        trial: Option<TrialPass>,
        permit: Option<PodPermit>,
        reporter: Reporter,
        now: Instant,
    ) -> Self {
        upstream.counters().start();
        let before = Answers::read(&upstream, &reporter);
        Self {
            upstream,
            body,
            reporter,
            started: now,
            before,
            sent: None,
            trial,
            _permit: permit,
            decided: false,
        }
    }

    pub fn upstream(&self) -> &Rc<Upstream<AttemptBody>> {
        &self.upstream
    }

    pub fn body(&self) -> &Replay {
        &self.body
    }

    pub fn started(&self) -> Instant {
        self.started
    }

    /// The request is being sent, perhaps again after a kept connection turned out to be closed.
    pub fn sending(&mut self) {
        if self.upstream.latency().is_some() {
            self.sent = Some(Instant::now());
        }
    }

    /// A response's head has come. `failure`: it says that the pod could not do what was asked.
    pub fn answered(&mut self, failure: bool) {
        self.decided = true;
        self.observe(match failure {
            true => stats::Outcome::Failed,
            false => stats::Outcome::Answered,
        });
        match (self.upstream.tally(), failure) {
            (Some(tally), true) => tally.fail(),
            (Some(tally), false) => {
                // What a client takes to send its body is not the pod's.
                let since = self.body.pods_turn(self.started);
                tally.succeed(since.map_or(Duration::ZERO, |since| since.elapsed()));
            }
            (None, _) => {}
        }
        self.upstream.counters().answer();
        self.reporter.count(Count::Answered);
        if self.trial.is_some() || self.upstream.is_suspect() {
            self.report(Outcome::Answered, false);
        }
    }

    /// It failed so. Whether membership will hear of it.
    pub fn failed(&mut self, kind: Kind, blame: Blame) -> bool {
        self.decided = true;
        let blamed = kind.row().blames_pod && blame != Blame::Nobody;
        if blamed {
            self.tally_failure();
            self.observe(stats::Outcome::Failed);
        }
        blamed && self.report(Outcome::Failed(kind), blame == Blame::Refused)
    }

    /// Has the pod's latency told, if the policy goes by it. What a client took to send its body is left out, and if it
    /// is not sent yet, nothing is known.
    fn observe(&self, outcome: stats::Outcome) {
        let Some(latency) = self.upstream.latency() else {
            return;
        };
        let now = Instant::now();
        let since = self.body.pods_turn(self.sent.unwrap_or(self.started));
        match (since, outcome) {
            (Some(since), _) => latency.observe(outcome, now.duration_since(since), now),
            (None, stats::Outcome::Failed) => latency.observe(outcome, Duration::ZERO, now),
            (None, _) => {}
        }
    }

    fn tally_failure(&self) {
        if let Some(tally) = self.upstream.tally() {
            tally.fail();
        }
    }

    fn report(&mut self, outcome: Outcome, refused: bool) -> bool {
        let heard = self.reporter.report(Fact {
            endpoint: self.upstream.endpoint(),
            outcome,
            started: self.started,
            refused,
        });
        // Unheard, the trial is for the next request to decide.
        if let Some(trial) = self.trial.take()
            && heard
        {
            trial.decided();
        }
        heard
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.upstream.counters().end();
        if !self.decided {
            self.observe(stats::Outcome::GivenUp);
        }
        let silent_since = self
            .body
            .pods_turn(self.started)
            .filter(|since| since.elapsed() > SILENCE);
        if !self.decided
            && let Some(since) = silent_since
        {
            // What was answered while a slow client still sent its body says nothing.
            let others = match since.duration_since(self.started) < SILENCE {
                true => Answers::read(&self.upstream, &self.reporter).of_others_since(self.before),
                false => 0,
            };
            self.tally_failure();
            self.report(Outcome::GaveUp { others }, false);
        }
    }
}
