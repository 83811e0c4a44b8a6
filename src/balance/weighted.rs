//! Weighted: round robin over a [`schedule`] that has a slot for each turn.
//!
//! So a pick is one step of a cursor that all workers share, whatever the weights, and a retry changes places as it does
//! in round robin.

use std::sync::Arc;

use super::Candidate;
use super::round_robin::{RoundRobin, Turns};
use super::schedule::schedule;
use crate::endpoint::Identity;

/// The schedule, for as long as endpoints and weights stay, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Weighting {
    weights: Vec<(Identity, u32)>,
    slots: Vec<usize>,
    turns: Arc<Turns>,
}

impl Weighting {
    /// A picker over `candidates` that goes on where the last one stands, or begins anywhere if they have changed.
    pub(super) fn next_picker(&mut self, candidates: &[&Candidate]) -> RoundRobin {
        let weights = candidates
            .iter()
            .map(|candidate| (&candidate.identity, candidate.weight));
        let last = self
            .weights
            .iter()
            .map(|(identity, weight)| (identity, *weight));
        if !last.eq(weights.clone()) {
            let numbers: Vec<u32> = weights.clone().map(|(_, weight)| weight).collect();
            self.slots = schedule(&numbers);
            // Anywhere, so that whoever comes first has no advantage from changes that follow one another.
            self.turns = Arc::new(Turns::starting_at(fastrand::usize(
                ..self.slots.len().max(1),
            )));
            self.weights = weights
                .map(|(identity, weight)| (identity.clone(), weight))
                .collect();
        }
        let members = self.slots.iter().map(|place| candidates[*place].member);
        RoundRobin::new(members.collect(), self.turns.clone())
    }
}

#[cfg(test)]
mod tests;
