//! Balancing: a [`Balancer`] builds an immutable [`Picker`] for each snapshot; a worker only calls [`Picker::pick`].
//!
//! A further policy is a variant of `State` and of `Order`, with a file of its own.

mod hash;
mod key;
mod least_request;
mod maglev;
mod peak_ewma;
mod ramp;
mod random;
mod round_robin;
mod sample;
mod schedule;
mod trial;
mod weighted;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::{Ejection, Policy};
use crate::endpoint::Identity;
use crate::stats::{EndpointStats, PeakEwma, Reported, TargetStats};

use hash::{Hash, Hashing};
use least_request::LeastRequest;
use peak_ewma::Latency;
use ramp::Ramps;
use random::Random;
use round_robin::{Rotation, RoundRobin};
use trial::{Trial, Trials};
use weighted::Weighting;

pub use key::key;
pub use ramp::Ramp;
pub use trial::TrialPass;

/// Makes pickers, and carries from one to the next what must survive an update. Owned by membership.
#[derive(Debug)]
pub struct Balancer {
    state: State,
    trials: Trials,
    tallies: bool,
    /// Where weights come from reports: what an error in them costs.
    error_penalty: Option<f64>,
}

/// What a policy carries from picker to picker.
#[derive(Debug)]
enum State {
    RoundRobin(Rotation),
    Random,
    LeastRequest { choices: usize },
    PeakEwma { decay: Duration },
    Weighted(Weighting),
    Hash(Hashing),
}

/// One endpoint that may be picked.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its place in the snapshot's members.
    pub member: usize,
    pub identity: Identity,
    /// On trial: gets one request at a time, ahead of its turn.
    pub trial: bool,
    /// 0: gets requests only while nobody has more.
    pub weight: u32,
    /// New, or back, and not at its whole share yet.
    pub ramp: Option<Ramp>,
    pub stats: Arc<EndpointStats>,
}

/// Chooses a member for each request. Shared by all workers, never changed.
#[derive(Debug)]
pub struct Picker {
    order: Order,
    /// `None` while nobody ramps.
    ramps: Option<Ramps>,
    trials: Box<[Trial]>,
}

#[derive(Debug)]
enum Order {
    RoundRobin(RoundRobin),
    Random(Random),
    LeastRequest(LeastRequest),
    Latency(Latency),
    Hash(Hash),
}

/// What a pick may depend on besides the endpoints.
pub struct Ask<'a> {
    /// What of the request is hashed, where there is such a thing.
    pub key: Option<u64>,
    /// The clock, which most picks do not look at.
    pub now: &'a dyn Fn() -> Instant,
}

/// A choice.
#[derive(Debug)]
pub struct Pick {
    pub member: usize,
    /// Present where this request decides whether an ejected pod comes back.
    pub trial: Option<TrialPass>,
}

impl Ask<'_> {
    /// For a request with this key, now.
    pub fn now(key: Option<u64>) -> Self {
        Self {
            key,
            now: &Instant::now,
        }
    }
}

impl Balancer {
    /// `totals` are those of the target whose pickers it makes.
    pub fn new(policy: &Policy, totals: &Arc<TargetStats>) -> Self {
        let state = match policy {
            // At random: sidecars that start together must not march in step.
            Policy::RoundRobin => State::RoundRobin(Rotation::starting_at(fastrand::u32(..))),
            Policy::Random => State::Random,
            Policy::LeastRequest { choices } => State::LeastRequest { choices: *choices },
            Policy::PeakEwma { decay } => State::PeakEwma { decay: *decay },
            Policy::Weighted | Policy::Orca(_) => State::Weighted(Weighting::default()),
            Policy::Hash(_) => State::Hash(Hashing::new(totals.clone())),
        };
        let error_penalty = match policy {
            Policy::Orca(orca) => Some(orca.error_penalty.as_f64()),
            _ => None,
        };
        Self {
            state,
            trials: Trials::new(Ejection::default().longest),
            tallies: false,
            error_penalty,
        }
    }

    /// From now on it is counted of new endpoints what comes of their requests.
    pub fn keep_tallies(&mut self) {
        self.tallies = true;
    }

    /// From now on a request keeps others from trying a pod for so long.
    pub fn hold_trials_for(&mut self, time: Duration) {
        self.trials = Trials::new(time);
    }

    /// What is counted of an endpoint that is new: with what the policy has to know.
    pub fn stats(&self, workers: usize, now: Instant) -> EndpointStats {
        let stats = EndpointStats::new(workers, now);
        let stats = match &self.state {
            State::PeakEwma { decay } => stats.with_latency(PeakEwma::new(*decay, now)),
            _ => stats,
        };
        let stats = match self.error_penalty {
            Some(penalty) => stats.with_reports(Reported::new(penalty, now)),
            None => stats,
        };
        match self.tallies {
            true => stats.with_tallies(),
            false => stats,
        }
    }

    /// For how long a request has tried a pod that is on trial; `None` while none does.
    pub fn tried_for(&self, identity: &Identity, now: Instant) -> Option<Duration> {
        self.trials.held_for(identity, now)
    }

    /// A picker over `candidates`, which are sorted by identity.
    pub fn picker(&mut self, candidates: &[Candidate]) -> Picker {
        // Those of weight 0 are there for when nobody else is, or nobody who is not on trial.
        let (weighty, idle): (Vec<_>, Vec<_>) = candidates
            .iter()
            .partition(|candidate| candidate.weight > 0);
        let by_trial = |candidates: Vec<_>| -> (Vec<&Candidate>, Vec<&Candidate>) {
            candidates
                .into_iter()
                .partition(|candidate: &&Candidate| candidate.trial)
        };
        let (mut on_trial, mut steady) = by_trial(weighty);
        if steady.is_empty() {
            let (idle_on_trial, idle_steady) = by_trial(idle);
            steady = idle_steady;
            if on_trial.is_empty() && steady.is_empty() {
                on_trial = idle_on_trial;
            }
        }
        let ramps = Ramps::among(&steady);
        let order = match &mut self.state {
            State::RoundRobin(rotation) => Order::RoundRobin(rotation.next_picker(&steady)),
            State::Random => Order::Random(Random::new(&steady)),
            State::LeastRequest { choices } => {
                Order::LeastRequest(LeastRequest::new(&steady, *choices))
            }
            State::PeakEwma { .. } => Order::Latency(Latency::new(&steady)),
            State::Weighted(weighting) => Order::RoundRobin(weighting.next_picker(&steady)),
            State::Hash(hashing) => Order::Hash(hashing.next_picker(&steady)),
        };
        Picker {
            order,
            ramps,
            trials: self.trials.next_picker(&on_trial),
        }
    }
}

impl Picker {
    pub fn is_empty(&self) -> bool {
        self.order.is_empty() && self.trials.is_empty()
    }

    /// The next endpoint, or `None` where there is none at all. An endpoint for which `tried` holds is chosen only
    /// if there is no other that may be (one on trial may not be while another request tries it).
    pub fn pick(&self, ask: &Ask<'_>, tried: impl Fn(usize) -> bool) -> Option<Pick> {
        self.pick_trial(ask, &tried).or_else(|| {
            let member = match &self.ramps {
                None => self.order.pick(ask, &tried),
                Some(ramps) => ramps.pick(ask, &tried, |left_out| self.order.pick(ask, left_out)),
            };
            let member = member.or_else(|| self.pick_without_pass(&tried))?;
            Some(Pick {
                member,
                trial: None,
            })
        })
    }

    fn pick_trial(&self, ask: &Ask<'_>, tried: impl Fn(usize) -> bool) -> Option<Pick> {
        if self.trials.is_empty() {
            return None;
        }
        let now = (ask.now)();
        self.trials
            .iter()
            .filter(|trial| !tried(trial.member))
            .find_map(|trial| {
                Some(Pick {
                    member: trial.member,
                    trial: Some(trial.pass(now)?),
                })
            })
    }

    /// Where all are on trial, better one that another request is trying too than none.
    fn pick_without_pass(&self, tried: impl Fn(usize) -> bool) -> Option<usize> {
        let mut members = self.trials.iter().map(|trial| trial.member);
        let first = members.clone().next();
        members.find(|member| !tried(*member)).or(first)
    }
}

impl Order {
    fn pick(&self, ask: &Ask<'_>, tried: impl Fn(usize) -> bool) -> Option<usize> {
        match self {
            Self::RoundRobin(order) => order.pick(tried),
            Self::Random(order) => order.pick(tried),
            Self::LeastRequest(order) => order.pick(tried),
            Self::Latency(order) => order.pick(ask, tried),
            Self::Hash(order) => order.pick(ask, tried),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::RoundRobin(order) => order.is_empty(),
            Self::Random(order) => order.is_empty(),
            Self::LeastRequest(order) => order.is_empty(),
            Self::Latency(order) => order.is_empty(),
            Self::Hash(order) => order.is_empty(),
        }
    }
}

impl std::fmt::Debug for Ask<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask").field("key", &self.key).finish()
    }
}
