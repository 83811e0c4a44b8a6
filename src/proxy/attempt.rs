//! One attempt at one pod: counted while it lasts, and its outcome reported once.

mod measures;
mod open_call;
mod silence;

use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::hedging::Hedging;
use super::latencies::End;
use super::replay::{AttemptBody, Replay};
use super::reporter::Reporter;
use super::verdict::Verdict;
use crate::admission::PodPermit;
use crate::balance::TrialPass;
use crate::error::Kind;
use crate::outlier::{Fact, Outcome, Said};
use crate::pool::Upstream;
use crate::stats::{self, Count};

use open_call::{LONGEST_TRIAL, OpenCall};
use silence::Answers;

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
    reporter: Rc<Reporter>,
    started: Instant,
    before: Answers,
    /// When the request began to be sent, where that is of interest.
    sent: Option<Instant>,
    trial: Option<TrialPass>,
    /// Its place at the pod, where places are limited.
    _permit: Option<PodPermit>,
    decided: bool,
    /// Nothing is missing but the response's head.
    waits: bool,
    /// What the trailers are to tell.
    open: Option<OpenCall>,
    /// How long a trial waits for them.
    trial_ends: Option<Pin<Box<Sleep>>>,
    /// Where its request may be sent to another pod beside this one: after how long, if that is known.
    hedging: Option<(Rc<Hedging>, Option<Duration>)>,
}

impl Attempt {
    pub fn start(
        upstream: Rc<Upstream<AttemptBody>>,
        body: Replay,
        trial: Option<TrialPass>,
        permit: Option<PodPermit>,
        reporter: Rc<Reporter>,
        now: Instant,
    ) -> Self {
        let before = Answers::read(&upstream, &reporter);
        let waits = !body.is_unread();
        upstream.begin(now, waits.then_some(before.all));
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
            waits,
            open: None,
            trial_ends: None,
            hedging: None,
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
        if self.upstream.latency().is_some() || self.adaptive().is_some() {
            self.sent = Some(Instant::now());
        }
    }

    /// A response's head has come, which says so. Told once.
    pub fn answered(&mut self, verdict: Verdict) {
        if std::mem::replace(&mut self.decided, true) {
            return;
        }
        self.wait_no_longer();
        if let Some((hedging, _)) = &self.hedging
            && !verdict.failed
            && hedging.learns()
            && let Some(since) = self.body.pods_turn(self.started)
        {
            hedging.record(self.upstream.identity(), since.elapsed(), End::Answered);
        }
        let open = verdict.open && self.wants_trailers();
        let news = self.observe(match (open, verdict.failed) {
            (true, _) => stats::Outcome::Begun,
            (false, true) => stats::Outcome::Failed,
            (false, false) => stats::Outcome::Answered,
        });
        let took = self.upstream.tally().and_then(|_| {
            // What a client takes to send its body is not the pod's.
            let since = self.body.pods_turn(self.started);
            since.map(|since| since.elapsed())
        });
        let took = took.unwrap_or(Duration::ZERO);
        if !open {
            self.tally(verdict.failed, took);
        }
        self.upstream.counters().answer();
        self.reporter.count(Count::Answered);
        if !open {
            self.tell(verdict.against);
            return;
        }
        // Where no code counts towards ejection, the head is all that membership asks for.
        let told = self.reporter.codes.is_none();
        if told {
            self.tell(None);
        }
        self.open = Some(OpenCall { took, news, told });
        if self.trial.is_some() {
            self.trial_ends = Some(Box::pin(tokio::time::sleep(LONGEST_TRIAL)));
        }
    }

    /// Tells membership what an answer says about the pod, if that is news.
    fn tell(&mut self, against: Option<Said>) {
        match against {
            Some(said) => {
                self.report(Outcome::Said(said), false);
            }
            None if self.trial.is_some() || self.upstream.is_suspect() => {
                self.report(Outcome::Answered, false);
            }
            None => {}
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
        self.wait_no_longer();
        // Without trailers the head's word stands.
        self.settle(Verdict::default());
        if !self.decided {
            self.observe(stats::Outcome::GivenUp);
            self.tell_of_silence();
        }
    }
}
