//! Balancing: a [`Balancer`] builds an immutable [`Picker`] for each snapshot; a worker only calls [`Picker::pick`].
//!
//! A further policy is a variant of `Order` with a file of its own.

mod random;
mod round_robin;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::config::Policy;
use crate::endpoint::Identity;

use random::Random;
use round_robin::{Rotation, RoundRobin};

/// Makes pickers, and carries from one to the next what must survive an update. Owned by membership.
#[derive(Debug)]
pub enum Balancer {
    RoundRobin(Rotation),
    Random,
}

/// One endpoint that may be picked.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its place in the snapshot's members.
    pub member: usize,
    pub identity: Identity,
    /// On trial: gets one request at a time, ahead of its turn.
    pub trial: bool,
}

/// Chooses a member for each request. Shared by all workers, never changed.
#[derive(Debug)]
pub struct Picker {
    order: Order,
    trials: Box<[Trial]>,
}

#[derive(Debug)]
enum Order {
    RoundRobin(RoundRobin),
    Random(Random),
}

#[derive(Debug)]
struct Trial {
    member: usize,
    taken: Arc<AtomicBool>,
}

/// A choice.
#[derive(Debug)]
pub struct Pick {
    pub member: usize,
    /// Present where this request decides whether an ejected pod comes back.
    pub trial: Option<TrialPass>,
}

/// The right to try a pod that was ejected. Dropped without a verdict, the next request gets it.
#[derive(Debug)]
pub struct TrialPass {
    taken: Arc<AtomicBool>,
}

impl Balancer {
    pub fn new(policy: Policy) -> Self {
        match policy {
            Policy::RoundRobin => Self::RoundRobin(Rotation::start()),
            Policy::Random => Self::Random,
        }
    }

    /// A picker over `candidates`, which are sorted by identity.
    pub fn picker(&mut self, candidates: &[Candidate]) -> Picker {
        let steady: Vec<&Candidate> = candidates
            .iter()
            .filter(|candidate| !candidate.trial)
            .collect();
        let order = match self {
            Self::RoundRobin(rotation) => Order::RoundRobin(rotation.next_picker(&steady)),
            Self::Random => Order::Random(Random::new(&steady)),
        };
        let trials = candidates
            .iter()
            .filter(|candidate| candidate.trial)
            .map(|candidate| Trial {
                member: candidate.member,
                taken: Arc::default(),
            })
            .collect();
        Picker { order, trials }
    }
}

impl Picker {
    pub fn is_empty(&self) -> bool {
        self.order.is_empty() && self.trials.is_empty()
    }

    /// The next endpoint, or `None` where there is none at all. An endpoint for which `tried` holds is chosen only
    /// if there is no other.
    pub fn pick(&self, tried: impl Fn(usize) -> bool) -> Option<Pick> {
        if let Some(pick) = self.pick_trial(&tried) {
            return Some(pick);
        }
        let member = match &self.order {
            Order::RoundRobin(order) => order.pick(&tried),
            Order::Random(order) => order.pick(&tried),
        };
        member
            .or_else(|| self.trials.first().map(|trial| trial.member))
            .map(|member| Pick {
                member,
                trial: None,
            })
    }

    fn pick_trial(&self, tried: impl Fn(usize) -> bool) -> Option<Pick> {
        let trial = self
            .trials
            .iter()
            .find(|trial| !tried(trial.member) && !trial.taken.load(Relaxed))?;
        if trial.taken.swap(true, Relaxed) {
            return None;
        }
        Some(Pick {
            member: trial.member,
            trial: Some(TrialPass {
                taken: trial.taken.clone(),
            }),
        })
    }
}

impl Order {
    fn is_empty(&self) -> bool {
        match self {
            Self::RoundRobin(order) => order.is_empty(),
            Self::Random(order) => order.is_empty(),
        }
    }
}

impl TrialPass {
    /// The pod's fate was reported to membership; nobody else needs to try.
    pub fn decided(self) {
        std::mem::forget(self);
    }
}

impl Drop for TrialPass {
    fn drop(&mut self) {
        self.taken.store(false, Relaxed);
    }
}
