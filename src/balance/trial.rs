//! Trials: an ejected pod whose time has passed gets one request at a time, and the outcome decides.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use super::Candidate;
use crate::endpoint::Identity;

/// Nobody is trying the pod.
const FREE: u8 = 0;
/// A request is.
const HELD: u8 = 1;
/// One has, and membership was told.
const DECIDED: u8 = 2;

/// A pod on trial, as a picker knows it.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) member: usize,
    pass: Arc<AtomicU8>,
}

/// The right to try a pod that was ejected. Dropped without a verdict, the next request gets it.
#[derive(Debug)]
pub struct TrialPass {
    pass: Arc<AtomicU8>,
}

/// The passes of the last picker, so that an update while one is held does not make a second one.
#[derive(Debug, Default)]
pub(super) struct Trials {
    last: Vec<(Identity, Arc<AtomicU8>)>,
}

impl Trials {
    pub(super) fn next_picker(&mut self, candidates: &[&Candidate]) -> Box<[Trial]> {
        let passes: Vec<_> = candidates
            .iter()
            .map(|candidate| (candidate.identity.clone(), self.pass(&candidate.identity)))
            .collect();
        let trials = candidates
            .iter()
            .zip(&passes)
            .map(|(candidate, (_, pass))| Trial {
                member: candidate.member,
                pass: pass.clone(),
            })
            .collect();
        self.last = passes;
        trials
    }

    /// A pass that was decided is not carried over: membership has taken the pod off trial since, or put it on a new
    /// one.
    fn pass(&self, identity: &Identity) -> Arc<AtomicU8> {
        self.last
            .iter()
            .find(|(known, pass)| known == identity && pass.load(Relaxed) != DECIDED)
            .map(|(_, pass)| pass.clone())
            .unwrap_or_default()
    }
}

impl Trial {
    /// The pass, unless a request holds it.
    pub(super) fn pass(&self) -> Option<TrialPass> {
        // Looked at first: a failed exchange takes the line away from the other workers.
        if self.pass.load(Relaxed) != FREE {
            return None;
        }
        self.pass
            .compare_exchange(FREE, HELD, Relaxed, Relaxed)
            .is_ok()
            .then(|| TrialPass {
                pass: self.pass.clone(),
            })
    }
}

impl TrialPass {
    /// The outcome was handed to membership; nobody else needs to try until it has made up its mind.
    pub fn decided(self) {
        self.pass.store(DECIDED, Relaxed);
    }
}

impl Drop for TrialPass {
    fn drop(&mut self) {
        // Fails where it was decided, which stays.
        let _ = self.pass.compare_exchange(HELD, FREE, Relaxed, Relaxed);
    }
}
