//! Peak EWMA: of two endpoints drawn at random, the one that costs a request less: its latency, as [`PeakEwma`] has it,
//! times the requests it would then have in hand (Finagle, linkerd).
//!
//! [`PeakEwma`]: crate::stats::PeakEwma

use std::time::Instant;

use super::least_request::Place;
use super::sample::best_untried;
use super::{Ask, Candidate};
use crate::stats::EndpointStats;

#[derive(Debug)]
pub(super) struct Latency {
    places: Box<[Place]>,
}

/// More is no use: the better of two already leaves the slow ones out, and of more all pickers would take the same.
const CHOICES: usize = 2;

/// What an endpoint costs that has a request and has not answered any yet: more than any that has. So a new one gets one
/// request, at once, and no more before its answer.
const UNPROVEN: f64 = 1e9;

impl Latency {
    pub(super) fn new(candidates: &[&Candidate]) -> Self {
        Self {
            places: Place::all(candidates),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    pub(super) fn pick(&self, ask: &Ask<'_>, tried: impl Fn(usize) -> bool) -> Option<usize> {
        let places = &self.places;
        let now = (ask.now)();
        let best = best_untried(
            places.len(),
            CHOICES,
            |place| score(&places[place].stats, now),
            |place| tried(places[place].member),
        );
        Some(places[best?].member)
    }
}

fn score(stats: &EndpointStats, now: Instant) -> f64 {
    let load = stats.load() as f64;
    match stats.latency().and_then(|latency| latency.cost(now)) {
        Some(cost) => cost * (load + 1.0),
        None if load == 0.0 => 0.0,
        None => UNPROVEN + load,
    }
}
