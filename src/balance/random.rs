//! Random: each pick is independent and uniform.

use std::cell::RefCell;

use super::Candidate;

thread_local! {
    // Per thread, so that workers share nothing.
    static RNG: RefCell<fastrand::Rng> = RefCell::new(fastrand::Rng::new());
}

#[derive(Debug)]
pub(super) struct Random {
    members: Box<[usize]>,
}

impl Random {
    pub(super) fn new(candidates: &[&Candidate]) -> Self {
        Self {
            members: candidates
                .iter()
                .map(|candidate| candidate.member)
                .collect(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn pick(&self, tried: impl Fn(usize) -> bool) -> Option<usize> {
        let len = self.members.len();
        if len == 0 {
            return None;
        }
        let start = RNG.with_borrow_mut(|rng| rng.usize(..len));
        let first = self.members[start];
        if !tried(first) {
            return Some(first);
        }
        // Rare: a retry. Uniform among those not tried.
        let untried: Vec<usize> = self
            .members
            .iter()
            .copied()
            .filter(|member| !tried(*member))
            .collect();
        if untried.is_empty() {
            return Some(first);
        }
        Some(untried[RNG.with_borrow_mut(|rng| rng.usize(..untried.len()))])
    }
}
