//! The most that one pod is given at a time.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use super::{Gradient, Pending};

/// A pod's bound, all workers together, and how much of it is used.
#[derive(Debug)]
pub struct PodLimit {
    most: AtomicUsize,
    used: CachePadded<AtomicUsize>,
    /// Who waits for room at any pod of the target.
    pending: Arc<Pending>,
    /// What moves the bound, where it is not fixed.
    gradient: Option<Mutex<Gradient>>,
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
            gradient: None,
        })
    }

    /// One that follows the pod's latency.
    pub fn adaptive(gradient: Gradient, pending: Arc<Pending>) -> Arc<Self> {
        Arc::new(Self {
            most: gradient.limit().into(),
            used: CachePadded::default(),
            pending,
            gradient: Some(Mutex::new(gradient)),
        })
    }

    /// Whether it wants to hear how long attempts take.
    pub fn is_adaptive(&self) -> bool {
        self.gradient.is_some()
    }

    /// An attempt has ended after `took`, with an answer or not. While another worker tells of one this is not heard:
    /// some are enough.
    pub fn observe(&self, took: Duration, answered: bool, now: Instant) {
        let gradient = self
            .gradient
            .as_ref()
            .and_then(|gradient| gradient.try_lock().ok());
        if let Some(mut gradient) = gradient
            && gradient.observe(took, answered, self.used(), now)
        {
            self.set_most(gradient.limit());
        }
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
