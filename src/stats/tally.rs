//! What came of a pod's requests, counted where pods are compared by it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// One worker's part.
#[derive(Debug, Default)]
pub struct TallyShard {
    succeeded: AtomicU64,
    failed: AtomicU64,
    micros: AtomicU64,
}

/// Outcomes of all workers, since the pod came or in an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub succeeded: u64,
    pub failed: u64,
    /// What those that succeeded took together.
    pub micros: u64,
}

impl TallyShard {
    pub fn succeed(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.succeeded.fetch_add(1, Relaxed);
        self.micros.fetch_add(micros, Relaxed);
    }

    pub fn fail(&self) {
        self.failed.fetch_add(1, Relaxed);
    }

    pub(super) fn read(&self) -> Tally {
        Tally {
            succeeded: self.succeeded.load(Relaxed),
            failed: self.failed.load(Relaxed),
            micros: self.micros.load(Relaxed),
        }
    }
}

impl Tally {
    pub fn requests(&self) -> u64 {
        self.succeeded.saturating_add(self.failed)
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            succeeded: self.succeeded.wrapping_add(other.succeeded),
            failed: self.failed.wrapping_add(other.failed),
            micros: self.micros.wrapping_add(other.micros),
        }
    }

    /// What has come since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            succeeded: self.succeeded.wrapping_sub(before.succeeded),
            failed: self.failed.wrapping_sub(before.failed),
            micros: self.micros.wrapping_sub(before.micros),
        }
    }
}
