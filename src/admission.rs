//! Admission: how much of something may be under way at once, all workers together.

mod gradient;
mod pending;
mod pod_connections;
mod pod_limit;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

pub use gradient::{Gradient, Range};
pub use pending::{Pending, Waiter};
pub use pod_connections::{ConnectionPermit, PodConnections};
pub use pod_limit::{PodLimit, PodPermit};

/// A bound, and how much of it is used.
#[derive(Debug)]
pub struct Limit {
    most: usize,
    used: CachePadded<AtomicUsize>,
}

/// One place under a [`Limit`], given back when dropped.
#[derive(Debug)]
pub struct Permit(Arc<Limit>);

impl Limit {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            used: CachePadded::default(),
        })
    }

    /// A place, or `None` where all are taken.
    pub fn enter(self: &Arc<Self>) -> Option<Permit> {
        let permit = Permit(self.clone());
        // Taken first and given back by the drop if it was one too many: two threads can't both take the last.
        (self.used.fetch_add(1, Relaxed) < self.most).then_some(permit)
    }

    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.used.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
