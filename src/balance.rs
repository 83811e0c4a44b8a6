//! Balancing: a [`Balancer`] builds an immutable [`Picker`] for each snapshot; a worker only calls [`Picker::pick`].
//!
//! A further policy is a variant of `State` and of `Order`, with a file of its own.

mod random;
mod round_robin;
mod trial;

#[cfg(test)]
mod tests;

use std::time::Instant;

use crate::config::Policy;
use crate::endpoint::Identity;

use random::Random;
use round_robin::{Rotation, RoundRobin};
use trial::{Trial, Trials};

pub use trial::TrialPass;

/// Makes pickers, and carries from one to the next what must survive an update. Owned by membership.
#[derive(Debug)]
pub struct Balancer {
    state: State,
    trials: Trials,
}

/// What a policy carries from picker to picker.
#[derive(Debug)]
enum State {
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

/// A choice.
#[derive(Debug)]
pub struct Pick {
    pub member: usize,
    /// Present where this request decides whether an ejected pod comes back.
    pub trial: Option<TrialPass>,
}

impl Balancer {
    pub fn new(policy: Policy) -> Self {
        let state = match policy {
            // At random: sidecars that start together must not march in step.
            Policy::RoundRobin => State::RoundRobin(Rotation::starting_at(fastrand::u32(..))),
            Policy::Random => State::Random,
        };
        Self {
            state,
            trials: Trials::default(),
        }
    }

    /// A picker over `candidates`, which are sorted by identity.
    pub fn picker(&mut self, candidates: &[Candidate]) -> Picker {
        let (on_trial, steady): (Vec<_>, Vec<_>) =
            candidates.iter().partition(|candidate| candidate.trial);
        let order = match &mut self.state {
            State::RoundRobin(rotation) => Order::RoundRobin(rotation.next_picker(&steady)),
            State::Random => Order::Random(Random::new(&steady)),
        };
        Picker {
            order,
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
    pub fn pick(&self, tried: impl Fn(usize) -> bool) -> Option<Pick> {
        self.pick_trial(&tried).or_else(|| {
            let member = match &self.order {
                Order::RoundRobin(order) => order.pick(&tried),
                Order::Random(order) => order.pick(&tried),
            };
            let member = member.or_else(|| self.pick_without_pass(&tried))?;
            Some(Pick {
                member,
                trial: None,
            })
        })
    }

    fn pick_trial(&self, tried: impl Fn(usize) -> bool) -> Option<Pick> {
        if self.trials.is_empty() {
            return None;
        }
        let now = Instant::now();
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
    fn is_empty(&self) -> bool {
        match self {
            Self::RoundRobin(order) => order.is_empty(),
            Self::Random(order) => order.is_empty(),
        }
    }
}
