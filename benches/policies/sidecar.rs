//! A sidecar without its sockets: its membership (list, detectors, slow start, weights), its picker, what its worker
//! counts and reports, and its rules for what is sent again: budget, hedging.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use podrobin::balance::{Ask, TrialPass};
use podrobin::config::{Policy, RetrySettings};
use podrobin::discovery::Update;
use podrobin::endpoint::{AppProtocol, Endpoint, Identity, Standing};
use podrobin::error::Kind;
use podrobin::load_report::LoadReport;
use podrobin::membership::{Choice, Membership};
use podrobin::outlier::{Fact, Outcome, SILENCE, Said};
use podrobin::proxy::budget::Budget;
use podrobin::proxy::counters::Counters;
use podrobin::proxy::hedging::Hedging;
use podrobin::proxy::latencies::End;
use podrobin::proxy::retry::{Failed, Told, may_retry, may_retry_answered};
use podrobin::snapshot::Snapshot;
use podrobin::stats::{self, Count, TargetStats};
use tokio::sync::watch;

use super::guards::Guards;
use super::pod::Pod;

/// With which pods fail.
const STATUS: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

/// One worker, and what it goes by.
#[derive(Debug)]
pub struct Sidecar {
    guards: Guards,
    membership: Membership,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    snapshot: Arc<Snapshot>,
    totals: Arc<TargetStats>,
    retry: RetrySettings,
    budget: Budget,
    hedging: Option<Rc<Hedging>>,
    /// Pods that a new snapshot calls silent, for as long as nobody has asked.
    silent: Vec<usize>,
}

/// A request at a pod.
#[derive(Debug)]
pub struct Attempt {
    pub pod: usize,
    started: Instant,
    trial: Option<TrialPass>,
    /// What this sidecar had been answered then, by all pods and by this one.
    answered: (u64, u64),
    /// It began alone, and after so long, if that is known, another may go beside it.
    alone: bool,
    after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Answered,
    Failed,
    /// The client left, or another pod was faster.
    GivenUp,
    /// The pod answers nobody.
    TakenBack,
}

impl Sidecar {
    pub fn new(policy: &Policy, guards: Guards, now: Instant) -> Self {
        let totals = Arc::new(TargetStats::new(1));
        let choice = Choice {
            policy: policy.clone(),
            subset: None,
            slow_start: guards.slow_start(),
            health_check: None,
            ejection: guards.ejection(),
            outliers: guards.outliers(),
            panic_threshold: None,
            rooms: None,
        };
        let name = "simulation".to_owned();
        let (membership, snapshots) =
            Membership::new(name, choice, 1, totals.clone(), Arc::default(), now);
        let snapshot = snapshots.borrow().clone();
        let retry = guards.retry();
        let hedging = retry
            .hedge
            .map(|hedge| Hedging::new(hedge, Counters::new(totals.clone(), 0), now));
        Self {
            budget: Budget::new(&retry, 1, now),
            retry,
            hedging,
            silent: Vec::new(),
            guards,
            membership,
            snapshots,
            snapshot,
            totals,
        }
    }

    /// The list as it is: those pods are ready that have joined.
    pub fn list(&mut self, pods: &[Pod], passed: Duration, now: Instant) {
        let endpoints = pods.iter().enumerate().map(|(number, pod)| Endpoint {
            identity: identity(number),
            pod: None,
            node: None,
            zone: None,
            protocol: AppProtocol::Http1,
            weight: 1,
            standing: match pod.joins() <= passed {
                true => Standing::Ready,
                false => Standing::NotReady,
            },
        });
        let update = Update {
            endpoints: endpoints.collect(),
            received: now,
            triggered: None,
        };
        self.membership.apply(update, now);
        self.refresh();
    }

    /// When membership has something to do by itself.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.membership.next_expiry()
    }

    pub fn expire(&mut self, now: Instant) {
        self.membership.expire(now);
        self.refresh();
    }

    /// A request has come.
    pub fn begin(&mut self, now: Instant) {
        self.budget.deposit(now);
    }

    /// Sends a request with this key to a pod that it has not been `tried` at.
    pub fn send(&self, key: u64, tried: &[usize], now: Instant) -> Option<Attempt> {
        let (pod, trial) = self.pick(key, tried, now)?;
        Some(self.start(pod, trial, now))
    }

    /// The same beside another attempt, if that can be paid for. Not to a pod on trial, which has to be given its time.
    pub fn send_beside(&mut self, key: u64, tried: &[usize], now: Instant) -> Option<Attempt> {
        if !self.budget.affords(now) {
            return None;
        }
        let mut tried = tried.to_vec();
        let pod = loop {
            let (pod, trial) = self.pick(key, &tried, now)?;
            if trial.is_none() {
                break pod;
            }
            tried.push(pod);
        };
        self.budget.withdraw(now);
        Some(self.start(pod, None, now))
    }

    fn pick(&self, key: u64, tried: &[usize], now: Instant) -> Option<(usize, Option<TrialPass>)> {
        let ask = Ask {
            key: Some(key),
            now: &|| now,
        };
        let pick = self
            .snapshot
            .picker
            .pick(&ask, |pod| tried.contains(&pod))?;
        Some((pick.member, pick.trial))
    }

    fn start(&self, pod: usize, trial: Option<TrialPass>, now: Instant) -> Attempt {
        let stats = &self.snapshot.members[pod].stats;
        let all = self.totals.count(Count::Answered);
        self.totals.shard(0).add(Count::RequestStarted);
        stats.shard(0).start();
        stats.wait(0, now, all);
        Attempt {
            pod,
            started: now,
            trial,
            answered: (all, stats.answered()),
            alone: false,
            after: None,
        }
    }

    /// How long it goes on alone, until another may go beside it.
    pub fn alone_for(&self, attempt: &mut Attempt) -> Option<Duration> {
        let hedging = self.hedging.as_ref()?;
        attempt.alone = true;
        attempt.after = hedging.after().map(|after| match attempt.trial {
            Some(_) => after.max(SILENCE),
            None => after,
        });
        attempt.after
    }

    /// Whether a failed answer is followed by another attempt after so many.
    pub fn asks_again(&mut self, retries: u32, now: Instant) -> bool {
        retries < self.retry.retries && self.wants_another() && self.budget.withdraw(now)
    }

    /// Whether a failed answer is no answer as long as there may be a better one.
    pub fn wants_another(&self) -> bool {
        let told = Told {
            status: STATUS,
            code: None,
        };
        may_retry_answered(&self.retry.on, told, true)
    }

    /// Whether it is taken back from a pod that answers nobody, after so many retries. To be asked once.
    pub fn takes_back(&mut self, attempt: &Attempt, retries: u32, now: Instant) -> bool {
        let failed = Failed {
            kind: Kind::Reset,
            unsent: false,
            replayable: true,
        };
        attempt.after.is_none()
            && retries < self.retry.retries
            && may_retry(&self.retry.on, failed, true)
            && self.budget.withdraw(now)
    }

    /// Pods that have turned out to answer nobody since this was asked last.
    pub fn take_silent(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.silent)
    }

    /// Whether it is to [`renew`](Self::renew) now and then.
    pub fn hedges(&self) -> bool {
        self.hedging.is_some()
    }

    /// Learns what is usual.
    pub fn renew(&self, now: Instant) {
        if let Some(hedging) = &self.hedging {
            hedging.renew(now);
        }
    }

    /// Counts how it ended, as a worker does, and reports it where that is news. True if membership has heard of it.
    pub fn end(
        &mut self,
        attempt: Attempt,
        ending: Ending,
        report: Option<&LoadReport>,
        now: Instant,
    ) -> bool {
        let stats = &self.snapshot.members[attempt.pod].stats;
        let took = now - attempt.started;
        let others = self.answered_by_others(&attempt);
        stats.shard(0).end();
        stats.shard(0).wait_no_longer();
        self.totals.shard(0).add(Count::RequestEnded);
        if ending == Ending::TakenBack {
            return false;
        }
        let silent = ending == Ending::GivenUp && self.is_silent(&attempt, now);
        let identity = &self.snapshot.members[attempt.pod].endpoint.identity;
        if let Some(hedging) = self.hedging.as_ref().filter(|_| attempt.alone)
            && ending == Ending::Answered
        {
            hedging.record(identity, took, End::Answered);
        }
        if let Some(latency) = stats.latency() {
            let outcome = match ending {
                Ending::Answered => stats::Outcome::Answered,
                Ending::Failed => stats::Outcome::Failed,
                Ending::GivenUp | Ending::TakenBack => stats::Outcome::GivenUp,
            };
            latency.observe(outcome, took, now);
        }
        if let Some(tally) = stats.tally_shard(0) {
            match ending {
                Ending::Answered => tally.succeed(took),
                Ending::Failed => tally.fail(),
                _ if silent => tally.fail(),
                _ => {}
            }
        }
        if let (Some(reported), Some(report)) = (stats.reported(), report) {
            reported.observe(report, now);
        }
        if ending != Ending::GivenUp {
            stats.shard(0).answer();
            self.totals.shard(0).add(Count::Answered);
        }
        let outcome = match ending {
            Ending::GivenUp => silent.then_some(Outcome::GaveUp { others }),
            Ending::Failed if self.guards == Guards::All => {
                Some(Outcome::Said(Said::Status(STATUS)))
            }
            _ => (attempt.trial.is_some() || stats.suspect()).then_some(Outcome::Answered),
        };
        match outcome.filter(|_| self.guards != Guards::Nothing) {
            Some(outcome) => self.tell(attempt, outcome, now),
            None => return false,
        }
        true
    }

    /// Whether an attempt that is given up has been without an answer for long; or, where another was faster, its pod has
    /// been so towards all that it had.
    fn is_silent(&self, attempt: &Attempt, now: Instant) -> bool {
        let took = now - attempt.started;
        let Some(hedging) = &self.hedging else {
            return took > SILENCE;
        };
        if attempt.after.is_none_or(|after| took < after) {
            return took > SILENCE;
        }
        let member = &self.snapshot.members[attempt.pod];
        let identity = &member.endpoint.identity;
        hedging.record(identity, took, End::GivenUp);
        let lasts = hedging.give_up(identity, attempt.started, member.stats.answered(), now);
        lasts > SILENCE || took > SILENCE
    }

    fn tell(&mut self, attempt: Attempt, outcome: Outcome, now: Instant) {
        let fact = Fact {
            endpoint: self.snapshot.members[attempt.pod].endpoint.clone(),
            outcome,
            started: attempt.started,
            refused: false,
        };
        if let Some(trial) = attempt.trial {
            trial.decided();
        }
        self.membership.observe(&[fact], now);
        self.refresh();
    }

    /// Since the attempt began; nothing where its pod answers too.
    fn answered_by_others(&self, attempt: &Attempt) -> u64 {
        let (all, own) = attempt.answered;
        match self.snapshot.members[attempt.pod].stats.answered() == own {
            true => self.totals.count(Count::Answered) - all,
            false => 0,
        }
    }

    fn refresh(&mut self) {
        if self.snapshots.has_changed().unwrap_or(false) {
            self.snapshot = self.snapshots.borrow_and_update().clone();
            let silent = |pod: &usize| self.snapshot.members[*pod].health.is_silent();
            let pods = 0..self.snapshot.members.len();
            self.silent.extend(pods.filter(silent));
        }
    }
}

/// In the order of their numbers: a pod's is its place in each snapshot.
fn identity(pod: usize) -> Identity {
    let byte = |number: usize| u8::try_from(number % 256).unwrap_or(0);
    Identity {
        address: ([10, 0, byte(pod / 256), byte(pod)], 80).into(),
        uid: None,
    }
}
