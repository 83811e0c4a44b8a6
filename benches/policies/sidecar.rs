//! A sidecar without its sockets: its membership (list, detectors, slow start, weights), its picker, and what its worker
//! counts and reports.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use podrobin::balance::{Ask, TrialPass};
use podrobin::config::{Ejection, Outliers, Policy, SlowStart};
use podrobin::discovery::Update;
use podrobin::endpoint::{AppProtocol, Endpoint, Identity, Standing};
use podrobin::load_report::LoadReport;
use podrobin::membership::{Choice, Membership};
use podrobin::outlier::{Fact, Outcome, SILENCE, Said};
use podrobin::snapshot::Snapshot;
use podrobin::stats::{self, Count, TargetStats};
use tokio::sync::watch;

use super::pod::Pod;

/// What a sidecar does about pods in trouble, beside its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guards {
    /// Membership hears of no failure.
    Nothing,
    /// What is on by default: a pod that is silent five times in a row, while the others answer, is ejected.
    Usual,
    /// Failed answers count like failed connections, pods are compared with each other, and new and returning ones begin
    /// slowly.
    All,
}

/// One worker, and what it goes by.
#[derive(Debug)]
pub struct Sidecar {
    guards: Guards,
    membership: Membership,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    snapshot: Arc<Snapshot>,
    totals: Arc<TargetStats>,
}

/// A request at a pod.
#[derive(Debug)]
pub struct Attempt {
    pub pod: usize,
    started: Instant,
    trial: Option<TrialPass>,
    /// What this sidecar had been answered then, by all pods and by this one.
    answered: (u64, u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    Answered,
    Failed,
    /// The client left.
    GivenUp,
}

impl Guards {
    pub const ALL: [Self; 3] = [Self::Nothing, Self::Usual, Self::All];

    fn outliers(self) -> Option<Outliers> {
        (self == Self::All).then(|| Outliers {
            success_rate: Some(1.9),
            failure_percentage: Some(10.0),
            latency: Some(3.0),
            interval: Duration::from_secs(2),
            min_requests: 20,
            ..Outliers::default()
        })
    }

    fn slow_start(self) -> Option<SlowStart> {
        (self == Self::All).then(|| SlowStart {
            window: Duration::from_secs(5),
            ..SlowStart::default()
        })
    }
}

impl Sidecar {
    pub fn new(policy: &Policy, guards: Guards, now: Instant) -> Self {
        let totals = Arc::new(TargetStats::new(1));
        let choice = Choice {
            policy: policy.clone(),
            subset: None,
            slow_start: guards.slow_start(),
            health_check: None,
            ejection: Ejection::default(),
            outliers: guards.outliers(),
            panic_threshold: None,
            rooms: None,
        };
        let name = "simulation".to_owned();
        let (membership, snapshots) =
            Membership::new(name, choice, 1, totals.clone(), Arc::default(), now);
        let snapshot = snapshots.borrow().clone();
        Self {
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

    /// Chooses a pod for a request with this key.
    pub fn send(&self, key: u64, now: Instant) -> Option<Attempt> {
        let ask = Ask {
            key: Some(key),
            now: &|| now,
        };
        let pick = self.snapshot.picker.pick(&ask, |_| false)?;
        let stats = &self.snapshot.members[pick.member].stats;
        self.totals.shard(0).add(Count::RequestStarted);
        stats.shard(0).start();
        Some(Attempt {
            pod: pick.member,
            started: now,
            trial: pick.trial,
            answered: (self.totals.count(Count::Answered), stats.answered()),
        })
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
        self.totals.shard(0).add(Count::RequestEnded);
        if let Some(latency) = stats.latency() {
            let outcome = match ending {
                Ending::Answered => stats::Outcome::Answered,
                Ending::Failed => stats::Outcome::Failed,
                Ending::GivenUp => stats::Outcome::GivenUp,
            };
            latency.observe(outcome, took, now);
        }
        if let Some(tally) = stats.tally_shard(0) {
            match ending {
                Ending::Answered => tally.succeed(took),
                _ => tally.fail(),
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
            Ending::GivenUp => (took > SILENCE).then_some(Outcome::GaveUp { others }),
            Ending::Failed if self.guards == Guards::All => Some(Outcome::Said(Said::Status(
                StatusCode::INTERNAL_SERVER_ERROR,
            ))),
            _ => (attempt.trial.is_some() || stats.suspect()).then_some(Outcome::Answered),
        };
        match outcome.filter(|_| self.guards != Guards::Nothing) {
            Some(outcome) => self.tell(attempt, outcome, now),
            None => return false,
        }
        true
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
