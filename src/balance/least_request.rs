//! Least request: of some endpoints drawn at random, the one with the fewest requests in flight from this sidecar, those
//! of all its workers counted.

use std::sync::Arc;

use super::Candidate;
use super::sample::best_untried;
use crate::stats::EndpointStats;

#[derive(Debug)]
pub(super) struct LeastRequest {
    places: Box<[Place]>,
    choices: usize,
}

/// An endpoint, and what is counted of it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) member: usize,
    pub(super) stats: Arc<EndpointStats>,
}

impl Place {
    pub(super) fn all(candidates: &[&Candidate]) -> Box<[Self]> {
        candidates
            .iter()
            .map(|candidate| Self {
                member: candidate.member,
                stats: candidate.stats.clone(),
            })
            .collect()
    }
}

impl LeastRequest {
    pub(super) fn new(candidates: &[&Candidate], choices: usize) -> Self {
        Self {
            places: Place::all(candidates),
            choices,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn pick(&self, tried: impl Fn(usize) -> bool) -> Option<usize> {
        let places = &self.places;
        let best = best_untried(
            places.len(),
            self.choices,
            |place| places[place].stats.load(),
            |place| tried(places[place].member),
        );
        Some(places[best?].member)
    }
}
