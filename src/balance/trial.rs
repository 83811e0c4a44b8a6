//! Trials: an ejected pod whose time has passed gets one request at a time, and the outcome decides.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::Candidate;
use crate::endpoint::Identity;

/// Nobody is trying the pod, as at first.
const FREE: u64 = 0;
/// Somebody has, and membership was told. In between: a request is, since the millisecond of that number.
const DECIDED: u64 = u64::MAX;

/// A pod on trial, as a picker knows it.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) member: usize,
    pass: Arc<Pass>,
    held_for: Duration,
}

/// The right to try a pod that was ejected. Dropped without a verdict, the next request gets it.
#[derive(Debug)]
pub struct TrialPass {
    pass: Arc<Pass>,
    /// What the pass says while this request is the one that holds it.
    held: u64,
}

#[derive(Debug, Default)]
struct Pass {
    /// When it was asked for first.
    first: OnceLock<Instant>,
    state: AtomicU64,
}

/// The passes of the last picker, so that an update while one is held does not make a second one.
#[derive(Debug)]
pub(super) struct Trials {
    /// How long a request keeps the others from trying. One that has no answer after that may be a long poll, or have a
    /// client more patient than the pod deserves, and the pod may be well. As long as the longest ejection: so a pod that
    /// takes requests and answers none costs no more of them than one that is ejected again each time, and a pod that
    /// is well is kept out no longer than an ejection might.
    held_for: Duration,
    last: HashMap<Identity, Arc<Pass>>,
}

impl Trials {
    pub(super) fn new(held_for: Duration) -> Self {
        Self {
            held_for,
            last: HashMap::new(),
        }
    }

    /// For how long a request has held the pod's pass, if one does.
    pub(super) fn held_for(&self, identity: &Identity, now: Instant) -> Option<Duration> {
        let pass = self.last.get(identity)?;
        match pass.state.load(Relaxed) {
            FREE | DECIDED => None,
            since => Some(Duration::from_millis(pass.since(now).saturating_sub(since))),
        }
    }

    pub(super) fn next_picker(&mut self, candidates: &[&Candidate]) -> Box<[Trial]> {
        let mut last = std::mem::take(&mut self.last);
        candidates
            .iter()
            .map(|candidate| {
                let identity = candidate.identity.clone();
                let pass = kept(last.remove(&identity));
                self.last.insert(identity, pass.clone());
                Trial {
                    member: candidate.member,
                    pass,
                    held_for: self.held_for,
                }
            })
            .collect()
    }
}

/// A pass that was decided is not carried over: membership has taken the pod off trial since, or put it on a new one.
fn kept(pass: Option<Arc<Pass>>) -> Arc<Pass> {
    pass.filter(|pass| pass.state.load(Relaxed) != DECIDED)
        .unwrap_or_default()
}

impl Trial {
    /// The pass, unless a request has held it for less than is due.
    pub(super) fn pass(&self, now: Instant) -> Option<TrialPass> {
        let since = self.pass.since(now);
        // Looked at first: a failed exchange takes the line away from the other workers.
        let state = self.pass.state.load(Relaxed);
        let held_for = Duration::from_millis(since.saturating_sub(state));
        if state == DECIDED || (state != FREE && held_for < self.held_for) {
            return None;
        }
        self.pass
            .state
            .compare_exchange(state, since, Relaxed, Relaxed)
            .is_ok()
            .then(|| TrialPass {
                pass: self.pass.clone(),
                held: since,
            })
    }
}

impl Pass {
    /// What it says if it is held from `now` on: neither [`FREE`] nor [`DECIDED`].
    fn since(&self, now: Instant) -> u64 {
        let first = *self.first.get_or_init(|| now);
        let millis = now.saturating_duration_since(first).as_millis();
        let millis = u64::try_from(millis).unwrap_or(u64::MAX);
        millis.saturating_add(1).min(DECIDED - 1)
    }
}

impl TrialPass {
    /// The outcome was handed to membership; nobody else needs to try until it has made up its mind.
    pub fn decided(self) {
        self.pass.state.store(DECIDED, Relaxed);
    }
}

impl Drop for TrialPass {
    fn drop(&mut self) {
        // Fails where it was decided, or is another request's by now, which stays.
        let _ = self
            .pass
            .state
            .compare_exchange(self.held, FREE, Relaxed, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD_FOR: Duration = Duration::from_secs(7);

    fn trial() -> (Trial, Instant) {
        let trial = Trial {
            member: 0,
            pass: Arc::default(),
            held_for: HELD_FOR,
        };
        (trial, Instant::now())
    }

    #[test]
    fn a_pass_held_for_as_long_as_the_longest_ejection_goes_to_another_request() {
        let (trial, start) = trial();
        let patient = trial.pass(start).unwrap();
        assert!(
            trial
                .pass(start + HELD_FOR - Duration::from_secs(1))
                .is_none()
        );

        let later = start + HELD_FOR + Duration::from_secs(1);
        let second = trial.pass(later).unwrap();
        assert!(trial.pass(later).is_none());
        // The first one has nothing to give back any more.
        drop(patient);
        assert!(trial.pass(later).is_none());
        drop(second);
        let third = trial.pass(later).unwrap();
        third.decided();
        assert!(trial.pass(later + 2 * HELD_FOR).is_none());
    }

    #[test]
    fn whoever_held_it_too_long_may_still_decide() {
        let (trial, start) = trial();
        let patient = trial.pass(start).unwrap();
        let later = start + HELD_FOR + Duration::from_secs(1);
        let second = trial.pass(later).unwrap();
        patient.decided();
        drop(second);
        assert!(trial.pass(later).is_none());
    }
}
