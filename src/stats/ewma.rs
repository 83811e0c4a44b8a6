//! What a pod costs a request in time, by its last answers: Finagle's peak-sensitive moving average.
//!
//! A slower answer than expected counts at once and whole, a faster one by the time that has passed since the last. While
//! nothing comes from a pod its cost decays, so that one that was slow is tried again. Failures are counted apart, as a
//! share: a pod that fails fast must not look like a fast one.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Written by all workers, without locks. Two observations at the same moment may leave one of them out.
#[derive(Debug)]
pub struct PeakEwma {
    decay: f64,
    epoch: Instant,
    /// A [`Last`], in one word so that nobody reads one half without the other.
    last: AtomicU64,
    /// The share of failures, an `f64`.
    failures: AtomicU64,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    /// The same, but whether it fails is told later, by [`PeakEwma::settle`].
    Begun,
    Failed,
    /// Its client did not wait for the answer: it would have taken longer than that.
    GivenUp,
}

/// The last observation.
#[derive(Clone, Copy, Debug)]
struct Last {
    /// In seconds; 0 before the first answer. Kept with six digits, which is more than it is good for.
    cost: f64,
    /// Milliseconds since the epoch.
    at: u32,
}

/// A pod that fails all requests costs this much more than it does by its latency, one that fails some accordingly.
const FAILURE_FACTOR: f64 = 100.0;

/// A failure counts for at least one in this many: by time alone, many failures within a moment would be little news.
const FAILURES_OVER: f64 = 16.0;

/// What the first answer counts for where it is a failure: nothing is known of how fast the pod is.
const FIRST_FAILURE: f64 = 1.0;

/// Less is no answer's time, and 0 means that there was none.
const LEAST: f64 = 1e-6;

impl PeakEwma {
    pub fn new(decay: Duration, now: Instant) -> Self {
        Self {
            decay: decay.as_secs_f64(),
            epoch: now,
            last: AtomicU64::new(Last { cost: 0.0, at: 0 }.pack()),
            failures: AtomicU64::new(0),
        }
    }

    /// Seconds that a request is expected to cost there, or `None` before the first observation.
    pub fn cost(&self, now: Instant) -> Option<f64> {
        let last = Last::unpack(self.last.load(Relaxed));
        if last.cost == 0.0 {
            return None;
        }
        let kept = self.kept(last.at, self.moment(now));
        let failures = f64::from_bits(self.failures.load(Relaxed));
        Some(last.cost * kept * (1.0 + FAILURE_FACTOR * failures * kept))
    }

    /// Gives back what the outcome counts for in the share of failures.
    pub fn observe(&self, outcome: Outcome, took: Duration, now: Instant) -> f64 {
        let took = took.as_secs_f64().max(LEAST);
        let at = self.moment(now);
        let next = |packed| {
            let last = Last::unpack(packed);
            let cost = match outcome {
                _ if took > last.cost => took,
                Outcome::Answered | Outcome::Begun => {
                    let kept = self.kept(last.at, at);
                    last.cost * kept + took * (1.0 - kept)
                }
                Outcome::Failed => last.cost,
                Outcome::GivenUp => return None,
            };
            let cost = match outcome {
                Outcome::Failed if last.cost == 0.0 => cost.max(FIRST_FAILURE),
                _ => cost,
            };
            Some(Last { cost, at }.pack())
        };
        // Refused where the client's patience says nothing new.
        let Ok(before) = self.last.fetch_update(Relaxed, Relaxed, next) else {
            return 0.0;
        };
        let kept = self.kept(Last::unpack(before).at, at);
        let news = (1.0 - kept).max(1.0 / FAILURES_OVER);
        match outcome {
            Outcome::Answered => self.settle(false, news),
            Outcome::Failed => self.settle(true, news),
            Outcome::Begun | Outcome::GivenUp => {}
        }
        news
    }

    /// Takes in whether an answer that had begun has failed; `news` is what it counts for.
    pub fn settle(&self, failed: bool, news: f64) {
        let failed = f64::from(u8::from(failed));
        let failures = f64::from_bits(self.failures.load(Relaxed));
        let failures = failures + news * (failed - failures);
        self.failures.store(failures.to_bits(), Relaxed);
    }

    /// What is left at `at` of what was known at `since`. The clocks of two workers may have been read in the other
    /// order.
    fn kept(&self, since: u32, at: u32) -> f64 {
        let passed = at.wrapping_sub(since);
        if passed == 0 || passed > u32::MAX / 2 {
            return 1.0;
        }
        (-f64::from(passed) / 1e3 / self.decay).exp()
    }

    /// Milliseconds, going round after 49 days: after as long without an answer one that is too old may count again.
    fn moment(&self, now: Instant) -> u32 {
        let millis = now.saturating_duration_since(self.epoch).as_millis();
        u32::try_from(millis & u128::from(LOWER)).unwrap_or(0)
    }
}

/// The half of an `f64` that has its sign, its exponent and twenty bits of its digits.
const UPPER: u64 = !LOWER;
const LOWER: u64 = u32::MAX as u64;

impl Last {
    fn pack(self) -> u64 {
        (self.cost.to_bits() & UPPER) | u64::from(self.at)
    }

    fn unpack(packed: u64) -> Self {
        Self {
            cost: f64::from_bits(packed & UPPER),
            at: u32::try_from(packed & LOWER).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests;
