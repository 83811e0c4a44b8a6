//! One attempt at one pod: counted while it lasts, and its outcome reported once.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::HeaderMap;
use tokio::time::Sleep;

use super::hedging::Hedging;
use super::latencies::End;
use super::replay::{AttemptBody, Replay};
use super::reporter::Reporter;
use super::verdict::Verdict;
use crate::admission::{PodLimit, PodPermit};
use crate::balance::TrialPass;
use crate::error::Kind;
use crate::load_report::LoadReport;
use crate::outlier::{Fact, Outcome, SILENCE, Said};
use crate::pool::Upstream;
use crate::stats::{self, Count};

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
    /// Nothing is missing but the response's head.
    waits: bool,
    /// What the trailers are to tell.
    open: Option<Open>,
    /// How long a trial waits for them.
    trial_ends: Option<Pin<Box<Sleep>>>,
    /// Where its request may be sent to another pod beside this one: after how long, if that is known.
    hedging: Option<(Rc<Hedging>, Option<Duration>)>,
}

/// A call that was answered, whose outcome its trailers tell.
#[derive(Debug)]
struct Open {
    /// Until its head.
    took: Duration,
    /// What it counts for in the share of failures.
    news: f64,
    /// Membership has been told that the pod answers.
    told: bool,
}

/// A call that goes on for longer than this is no failure of its trial: streams may last for hours.
const LONGEST_TRIAL: Duration = Duration::from_secs(1);

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

impl Attempt {
    pub fn start(
        upstream: Rc<Upstream<AttemptBody>>,
        body: Replay,
        trial: Option<TrialPass>,
        permit: Option<PodPermit>,
        reporter: Reporter,
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

    /// After how long the request may go to another pod beside this one, if it is known. A trial is given as long as a
    /// client that leaves must have waited: it is the pod's chance.
    pub fn hedge(&mut self, hedging: &Rc<Hedging>) -> Option<Duration> {
        let after = hedging.after().map(|after| match self.trial {
            Some(_) => after.max(SILENCE),
            None => after,
        });
        self.hedging = Some((hedging.clone(), after));
        after
    }

    fn wait_no_longer(&mut self) {
        if std::mem::take(&mut self.waits) {
            self.upstream.counters().wait_no_longer();
        }
    }

    /// Whether it may get another attempt beside it.
    pub fn may_be_hedged(&self) -> bool {
        matches!(self.hedging, Some((_, Some(_))))
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
        self.open = Some(Open { took, news, told });
        if self.trial.is_some() {
            self.trial_ends = Some(Box::pin(tokio::time::sleep(LONGEST_TRIAL)));
        }
    }

    /// A response's trailers have come: for all that they may tell.
    pub fn ended(&mut self, trailers: &HeaderMap) {
        self.heard(trailers);
        if self.open.is_some() {
            self.settle(Verdict::of_trailers(self.reporter.codes, trailers));
        }
    }

    /// Ends the trial of a pod whose call goes on. Polled with the response's body.
    pub fn poll_trial(&mut self, cx: &mut Context<'_>) {
        let Some(ends) = &mut self.trial_ends else {
            return;
        };
        if ends.as_mut().poll(cx) == Poll::Ready(()) {
            self.trial_ends = None;
            if let Some(open) = &mut self.open {
                open.told = true;
                self.tell(None);
            }
        }
    }

    /// Whether anybody asks what a call's trailers say.
    fn wants_trailers(&self) -> bool {
        self.reporter.codes.is_some()
            || self.upstream.latency().is_some()
            || self.upstream.tally().is_some()
    }

    /// What was left open is so.
    fn settle(&mut self, verdict: Verdict) {
        let Some(open) = self.open.take() else {
            return;
        };
        self.trial_ends = None;
        if let Some(latency) = self.upstream.latency() {
            latency.settle(verdict.failed, open.news);
        }
        self.tally(verdict.failed, open.took);
        if verdict.against.is_some() || !open.told {
            self.tell(verdict.against);
        }
    }

    fn tally(&self, failed: bool, took: Duration) {
        match (self.upstream.tally(), failed) {
            (Some(tally), true) => tally.fail(),
            (Some(tally), false) => tally.succeed(took),
            (None, _) => {}
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

    /// A response's head or trailers have come, in which a pod may report its load.
    pub fn heard(&self, headers: &HeaderMap) {
        if let Some(reported) = self.upstream.reported()
            && let Some(report) = LoadReport::from_headers(headers)
        {
            reported.observe(&report, Instant::now());
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

    /// The pod's limit, where that follows its latency.
    fn adaptive(&self) -> Option<&Arc<PodLimit>> {
        self.upstream.limit().filter(|limit| limit.is_adaptive())
    }

    /// Has the pod's latency told, if the policy or its limit goes by it. What a client took to send its body is left
    /// out, and if it is not sent yet, nothing is known. Gives back what the outcome counts for.
    fn observe(&self, outcome: stats::Outcome) -> f64 {
        let (latency, limit) = (self.upstream.latency(), self.adaptive());
        if latency.is_none() && limit.is_none() {
            return 0.0;
        }
        let now = Instant::now();
        let since = self.body.pods_turn(self.sent.unwrap_or(self.started));
        if let (Some(limit), Some(since)) = (limit, since) {
            let answered = matches!(outcome, stats::Outcome::Answered | stats::Outcome::Begun);
            limit.observe(now.duration_since(since), answered, now);
        }
        let Some(latency) = latency else {
            return 0.0;
        };
        match (since, outcome) {
            (Some(since), _) => latency.observe(outcome, now.duration_since(since), now),
            (None, stats::Outcome::Failed) => latency.observe(outcome, Duration::ZERO, now),
            (None, _) => 0.0,
        }
    }

    /// Takes note of a request that was given up after it could have gone to another pod. Whether this one has left all
    /// that it got without an answer for so long that it is taken for one that hangs.
    fn give_up(&self) -> bool {
        let Some((hedging, Some(after))) = &self.hedging else {
            return false;
        };
        let Some(since) = self.body.pods_turn(self.started) else {
            return false;
        };
        let now = Instant::now();
        let took = now.saturating_duration_since(since);
        if took < *after {
            return false;
        }
        let pod = self.upstream.identity();
        hedging.record(pod, took, End::GivenUp);
        let answered = self.upstream.counters().answered();
        hedging.give_up(pod, since, answered, now) > SILENCE
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
        self.wait_no_longer();
        // Without trailers the head's word stands.
        self.settle(Verdict::default());
        if !self.decided {
            self.observe(stats::Outcome::GivenUp);
        }
        let given_up = !self.decided && self.give_up();
        let silent_since = self
            .body
            .pods_turn(self.started)
            .filter(|since| given_up || since.elapsed() > SILENCE);
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
