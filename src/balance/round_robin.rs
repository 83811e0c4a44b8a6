//! Round robin: every endpoint in its turn, across all workers.
//!
//! One cursor is shared by all workers and every pick takes one turn of it, so over a set that stands still any k*N
//! consecutive picks are k for each of the N endpoints. A retry takes a turn like any other pick. Where that turn
//! belongs to an endpoint which the request has tried already, it changes places with the next one that has not been
//! tried: that one serves now, and its own next turn goes to the one passed over. So nobody gains or loses a turn.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_utils::CachePadded;

use super::Candidate;
use crate::endpoint::Identity;

/// What survives from one picker to the next: whose turn it is.
#[derive(Debug)]
pub struct Rotation {
    identities: Vec<Identity>,
    turns: Arc<Turns>,
}

#[derive(Debug)]
pub(super) struct RoundRobin {
    members: Box<[usize]>,
    turns: Arc<Turns>,
}

/// Whose turn it is, for all workers. A place is an index into the endpoints in order.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Counts picks; modulo the number of endpoints it is the place whose turn it is.
    cursor: CachePadded<AtomicUsize>,
    /// How many exchanges there are, so that a pick need not look while there are none, which is nearly always.
    exchanged: AtomicUsize,
    exchanges: Mutex<Vec<Exchange>>,
}

/// A turn given away in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Exchange {
    /// The place whose next turn it is.
    of: usize,
    /// The place that gets it.
    to: usize,
}

/// Exchanges that may wait. Each waits until its place's turn comes, so this many would take as many retries within
/// one round; past it a turn is lost, which does no more than make one round uneven.
const MOST_EXCHANGES: usize = 1024;

impl Rotation {
    /// Starts with the endpoint at this place, modulo their number.
    pub(super) fn starting_at(turn: u32) -> Self {
        Self {
            identities: Vec::new(),
            turns: Arc::new(Turns::starting_at(turn as usize)),
        }
    }

    /// A picker over `candidates` that goes on where the last one stands.
    pub(super) fn next_picker(&mut self, candidates: &[&Candidate]) -> RoundRobin {
        let identities = candidates.iter().map(|candidate| &candidate.identity);
        if !self.identities.iter().eq(identities.clone()) {
            // New ones: workers still on the last picker must not move these, and its exchanges name other places.
            self.turns = Arc::new(Turns::starting_at(self.next_turn(candidates)));
            self.identities = identities.cloned().collect();
        }
        RoundRobin {
            members: candidates
                .iter()
                .map(|candidate| candidate.member)
                .collect(),
            turns: self.turns.clone(),
        }
    }

    /// The place in `candidates` of the endpoint whose turn it is, or of its successor if it has gone. Where there was
    /// nobody before, or nobody is left, the cursor stays (as the random start does).
    fn next_turn(&self, candidates: &[&Candidate]) -> usize {
        let cursor = self.turns.cursor.load(Relaxed);
        if self.identities.is_empty() || candidates.is_empty() {
            return cursor;
        }
        let next = &self.identities[cursor % self.identities.len()];
        let place = candidates.partition_point(|candidate| candidate.identity < *next);
        place % candidates.len()
    }
}

impl RoundRobin {
    /// Over these, in this order, in which one may stand more than once.
    pub(super) fn new(members: Box<[usize]>, turns: Arc<Turns>) -> Self {
        Self { members, turns }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn pick(&self, tried: impl Fn(usize) -> bool) -> Option<usize> {
        let len = self.members.len();
        if len == 0 {
            return None;
        }
        let place = self.turns.cursor.fetch_add(1, Relaxed) % len;
        let member = self.members[place];
        if self.turns.exchanged.load(Relaxed) == 0 && !tried(member) {
            return Some(member);
        }
        let chosen = self
            .turns
            .exchange(place, len, |place| tried(self.members[place]));
        Some(self.members.get(chosen).copied().unwrap_or(member))
    }
}

impl Turns {
    pub(super) fn starting_at(turn: usize) -> Self {
        Self {
            cursor: CachePadded::new(AtomicUsize::new(turn)),
            exchanged: AtomicUsize::new(0),
            exchanges: Mutex::default(),
        }
    }

    /// Who serves at the turn of `place` out of `len`: itself, the one it was given to, or one in that one's stead.
    fn exchange(&self, place: usize, len: usize, tried: impl Fn(usize) -> bool) -> usize {
        let mut exchanges = self.lock();
        let given = exchanges.iter().position(|exchange| exchange.of == place);
        let due = given.map_or(place, |index| exchanges[index].to);
        let chosen = (0..len)
            .map(|step| (due + step) % len)
            .find(|place| !tried(*place))
            .unwrap_or(due);
        if let Some(index) = given {
            exchanges.remove(index);
        }
        if chosen != due && exchanges.len() < MOST_EXCHANGES {
            exchanges.push(Exchange {
                of: chosen,
                to: due,
            });
        }
        self.exchanged.store(exchanges.len(), Relaxed);
        chosen
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Exchange>> {
        // A list of pairs is whole even if a thread panicked while it held it.
        self.exchanges
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
