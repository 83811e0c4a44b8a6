//! Requests that ended, by how they were answered.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::error::Flag;

/// Status classes 1xx to 5xx.
pub const CLASSES: usize = 5;
const FLAGS: usize = Flag::ALL.len();

/// A count for each status class and flag.
#[derive(Debug, Default)]
pub(super) struct Finished([[AtomicU64; FLAGS]; CLASSES]);

impl Finished {
    pub(super) fn add(&self, status: http::StatusCode, flag: Flag) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES);
        self.counter(class, flag).fetch_add(1, Relaxed);
    }

    /// `class`: 1 to 5.
    pub(super) fn counter(&self, class: usize, flag: Flag) -> &AtomicU64 {
        &self.0[class - 1][flag as usize]
    }
}
