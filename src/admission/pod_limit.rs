//! The most that one pod is given at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};

use crossbeam_utils::CachePadded;

use super::Pending;

/// A pod's bound, all workers together, and how much of it is used.
#[derive(Debug)]
pub struct PodLimit {
    most: AtomicUsize,
    used: CachePadded<AtomicUsize>,
    /// Who waits for room at any pod of the target.
    pending: Arc<Pending>,
}

/// One place at a pod. Given back when dropped, which is told to whoever has waited longest.
#[derive(Debug)]
pub struct PodPermit(Arc<PodLimit>);

impl PodLimit {
    pub fn new(most: usize, pending: Arc<Pending>) -> Arc<Self> {
        Arc::new(Self {
            most: most.into(),
            used: CachePadded::default(),
            pending,
        })
    }

    /// A place, or `None` where all are taken. Never one too many, not for a moment: who meanwhile finds it full may go
    /// to sleep on it.
    pub fn enter(self: &Arc<Self>) -> Option<PodPermit> {
        let most = self.most();
        self.used
            .fetch_update(SeqCst, Relaxed, |used| (used < most).then_some(used + 1))
            .ok()
            .map(|_| PodPermit(self.clone()))
    }

    /// In one order with what [`Pending`] does: either who goes to sleep sees the room that is made, or who makes it
    /// sees that somebody waits.
    pub fn is_full(&self) -> bool {
        self.used.load(SeqCst) >= self.most()
    }

    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    pub fn most(&self) -> usize {
        self.most.load(SeqCst)
    }

    /// Where it is less than what is used, nobody is sent away: it holds as soon as enough have left.
    pub fn set_most(&self, most: usize) {
        if self.most.swap(most, SeqCst) < most {
            self.pending.wake();
        }
    }
}

impl Drop for PodPermit {
    fn drop(&mut self) {
        self.0.used.fetch_sub(1, SeqCst);
        self.0.pending.wake();
    }
}

#[cfg(test)]
mod tests;
