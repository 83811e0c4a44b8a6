//! Round robin: every endpoint in its turn, across all workers.
//!
//! One cursor is shared by all workers, so over a set that stands still any k*N consecutive turns are k for each of
//! the N endpoints. A retry takes a turn too. Where that turn belongs to a pod the request has already tried, it takes
//! the following one instead and the turn it passed over is owed: the next pick gets it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use super::Candidate;
use crate::endpoint::Identity;

/// What survives from one picker to the next: whose turn it is.
#[derive(Debug)]
pub struct Rotation {
    identities: Vec<Identity>,
    cursor: Arc<Cursor>,
}

/// Counts turns. `cursor % len` is the place in the order.
type Cursor = CachePadded<AtomicUsize>;

#[derive(Debug)]
pub(super) struct RoundRobin {
    members: Box<[usize]>,
    cursor: Arc<Cursor>,
    /// The place of a turn that a retry passed over, plus one; 0 when none is owed.
    /// Written by retries alone, so it may share its line with what every pick reads.
    owed: AtomicUsize,
}

impl Rotation {
    /// Starts at a random place: sidecars that start together must not march in step.
    pub(super) fn start() -> Self {
        Self {
            identities: Vec::new(),
            cursor: Arc::new(CachePadded::new(AtomicUsize::new(fastrand::usize(
                ..1 << 32,
            )))),
        }
    }

    /// A picker over `candidates` that goes on where the last one stands.
    pub(super) fn next_picker(&mut self, candidates: &[&Candidate]) -> RoundRobin {
        let same = self
            .identities
            .iter()
            .eq(candidates.iter().map(|candidate| &candidate.identity));
        if !same {
            if let Some(turn) = self.next_turn(candidates) {
                // A cursor of its own: workers still on the last picker must not move this one.
                self.cursor = Arc::new(CachePadded::new(AtomicUsize::new(turn)));
            }
            self.identities = candidates
                .iter()
                .map(|candidate| candidate.identity.clone())
                .collect();
        }
        RoundRobin {
            members: candidates
                .iter()
                .map(|candidate| candidate.member)
                .collect(),
            cursor: self.cursor.clone(),
            owed: AtomicUsize::new(0),
        }
    }

    /// The place in `candidates` of the endpoint whose turn it is, or of its successor if it has gone; `None` where
    /// there was nobody before (the random start stays) or nobody is left.
    fn next_turn(&self, candidates: &[&Candidate]) -> Option<usize> {
        if self.identities.is_empty() || candidates.is_empty() {
            return None;
        }
        let next = &self.identities[self.cursor.load(Relaxed) % self.identities.len()];
        let place = candidates.partition_point(|candidate| candidate.identity < *next);
        Some(place % candidates.len())
    }
}

impl RoundRobin {
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn pick(&self, tried: impl Fn(usize) -> bool) -> Option<usize> {
        let len = self.members.len();
        if len == 0 {
            return None;
        }
        let mut first = None;
        for _ in 0..=len {
            let place = self.turn(len);
            let member = self.members[place];
            if !tried(member) {
                if let Some(passed) = first {
                    // Only the first is owed: one slot is enough for a retry, and bounds the debt.
                    self.owed.store(passed + 1, Relaxed);
                }
                return Some(member);
            }
            first.get_or_insert(place);
        }
        first.map(|place| self.members[place])
    }

    fn turn(&self, len: usize) -> usize {
        let owed = self.owed.load(Relaxed);
        if owed != 0
            && self
                .owed
                .compare_exchange(owed, 0, Relaxed, Relaxed)
                .is_ok()
        {
            return owed - 1;
        }
        self.cursor.fetch_add(1, Relaxed) % len
    }
}
