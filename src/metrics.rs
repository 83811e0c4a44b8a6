//! Instruments that membership writes, one set per target. What workers count is in [`crate::stats`].

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

use crate::error::Flag;
use crate::outlier::{Cause, Rule};

/// How well a target keeps up with its Service.
#[derive(Debug)]
pub struct TargetMetrics {
    /// From a change in the cluster (`endpoints.kubernetes.io/last-change-trigger-time`) to its use, in seconds.
    /// Clocks of two machines are compared, so a negative lag is observed as 0.
    pub propagation: Histogram,
    /// From the last byte of the event that brought a list to its use, in seconds.
    pub apply: Histogram,
    /// Lists applied.
    pub updates: Counter,
    /// Active checks of pods, by what came of them.
    pub checks_passed: Counter,
    pub checks_failed: Counter,
    /// Ejections, by what found the pod and by the flag of the failure that tipped the balance.
    ejections: [[Counter; Flag::ALL.len()]; Rule::ALL.len()],
}

/// Upper bounds in seconds: the cluster's own path takes from some 20 ms to seconds, and a partition minutes.
const PROPAGATION_BOUNDS: [f64; 12] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0,
];

/// Upper bounds in seconds: work of this process alone, meant to stay under 10 ms.
const APPLY_BOUNDS: [f64; 11] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 1.0,
];

impl Default for TargetMetrics {
    fn default() -> Self {
        Self {
            propagation: Histogram::new(PROPAGATION_BOUNDS),
            apply: Histogram::new(APPLY_BOUNDS),
            updates: Counter::default(),
            checks_passed: Counter::default(),
            checks_failed: Counter::default(),
            ejections: Default::default(),
        }
    }
}

impl TargetMetrics {
    /// A pod was ejected for this.
    pub fn eject(&self, cause: Cause) {
        self.ejections[cause.rule() as usize][cause.flag() as usize].inc();
    }

    pub fn ejections(&self, rule: Rule, flag: Flag) -> u64 {
        self.ejections[rule as usize][flag as usize].get()
    }
}
