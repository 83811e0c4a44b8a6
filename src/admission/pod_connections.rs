//! The most connections that there are to one pod at a time.
//!
//! Connections belong to workers, and one that is idle is of no use to another's requests. So each worker has a place
//! of its own, which no other can take: none is ever without. The rest is for whoever comes first, and what lies idle
//! there is closed while a request of another worker waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

use crossbeam_utils::CachePadded;

use super::Pending;

/// A pod's bound, and how much of it is used.
#[derive(Debug)]
pub struct PodConnections {
    /// Whether a worker's own place is taken.
    own: Box<[CachePadded<AtomicBool>]>,
    /// Places beside those, and how many of them are taken.
    shared: usize,
    shared_used: CachePadded<AtomicUsize>,
    /// Who waits for room at any pod of the target.
    pending: Arc<Pending>,
}

/// The place of one connection: taken before it is made, given back when it has closed.
#[derive(Debug)]
pub struct ConnectionPermit {
    bound: Arc<PodConnections>,
    worker: usize,
    is_own: bool,
}

impl PodConnections {
    /// `most` is at least the number of workers: with fewer, some would have none.
    pub fn new(most: usize, workers: usize, pending: Arc<Pending>) -> Arc<Self> {
        Arc::new(Self {
            own: (0..workers).map(|_| CachePadded::default()).collect(),
            shared: most.saturating_sub(workers),
            shared_used: CachePadded::default(),
            pending,
        })
    }

    /// A place for a connection of that worker's, or `None` where all are taken. Never one too many, not for a moment.
    /// `may_share`: nobody has waited for longer for a place that any worker may have.
    pub fn enter(self: &Arc<Self>, worker: usize, may_share: bool) -> Option<ConnectionPermit> {
        let own = self.own.get(worker)?;
        let is_own = !own.swap(true, SeqCst);
        let is_shared = !is_own
            && may_share
            && self
                .shared_used
                .fetch_update(SeqCst, Relaxed, |used| {
                    (used < self.shared).then_some(used + 1)
                })
                .is_ok();
        (is_own || is_shared).then(|| ConnectionPermit {
            bound: self.clone(),
            worker,
            is_own,
        })
    }

    /// Whether [`enter`](Self::enter) would find a place now.
    pub fn has_room(&self, worker: usize, may_share: bool) -> bool {
        let is_own_free = self.own.get(worker).is_some_and(|own| !own.load(SeqCst));
        is_own_free || (may_share && self.shared_used.load(SeqCst) < self.shared)
    }

    /// Whether a place that any worker may have can be taken by whoever comes now.
    pub fn may_share(&self) -> bool {
        self.pending.is_empty()
    }

    pub fn most(&self) -> usize {
        self.own.len() + self.shared
    }

    pub fn used(&self) -> usize {
        let own = self.own.iter().filter(|own| own.load(Relaxed)).count();
        own + self.shared_used.load(Relaxed)
    }
}

impl ConnectionPermit {
    /// The connection can take a request. `idle`: it has none, and may be closed for the sake of another worker's.
    pub fn freed(&self, idle: bool) {
        self.bound.pending.freed(self.worker, idle && !self.is_own);
    }

    /// Whether a request of another worker has waited longest for such a place.
    pub fn is_wanted(&self) -> bool {
        let pending = &self.bound.pending;
        !self.is_own && !pending.is_empty() && pending.waiting_for_others(self.worker) > 0
    }

    /// Whether another worker could use the place.
    pub fn is_shared(&self) -> bool {
        !self.is_own
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        match self.bound.own.get(self.worker).filter(|_| self.is_own) {
            Some(own) => own.store(false, SeqCst),
            None => {
                self.bound.shared_used.fetch_sub(1, SeqCst);
            }
        }
        self.bound.pending.wake();
    }
}

#[cfg(test)]
mod tests;
