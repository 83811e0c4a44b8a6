//! Pace: how soon the API server may be asked again.
//!
//! Errors reach the watch's consumer, which waits before it goes on. A watch that is answered well and ends at once
//! does not: it is simply started again, so the wait for it is kept here, before the next watch request. Both waits
//! are in one place so that one failure is never waited for twice.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::backoff::Backoff;

use super::Tuning;

/// The longest wait that an API server may ask for (`Retry-After`).
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// How much of its own time a watch must have lived to count as ended by its own time, in tenths.
const OWN_TIME_TENTHS: u32 = 9;

/// Shared by the requests of one session and its consumer.
#[derive(Debug)]
pub struct Pace(Mutex<State>);

#[derive(Debug)]
struct State {
    errors: Backoff,
    short_watches: Backoff,
    /// A watch that lived this long was a good one.
    healthy: Duration,
    /// A watch ended before its time, and nobody has waited for it yet.
    owed: bool,
    /// Watches in a row that ended early.
    short: u32,
    asked_for: Option<Duration>,
}

impl Pace {
    pub(super) fn new(tuning: &Tuning) -> Self {
        Self(Mutex::new(State {
            errors: tuning.error_delays.clone(),
            short_watches: tuning.short_watch_delays.clone(),
            healthy: tuning.healthy,
            owed: false,
            short: 0,
            asked_for: None,
        }))
    }

    /// The wait after an error. `random` is within 0 and 1.
    pub fn after_error(&self, random: f64) -> Duration {
        let mut state = self.lock();
        state.owed = false;
        let asked_for = state.asked_for.take().unwrap_or_default();
        state.errors.delay(random).max(asked_for)
    }

    /// Something was learned that was not known before: the API server works.
    pub fn progress(&self) {
        let mut state = self.lock();
        state.errors.reset();
        state.short_watches.reset();
    }

    /// The wait before a watch request; `None` where the last watch ended as it should.
    pub(super) fn before_watch(&self, random: f64) -> Option<Duration> {
        let mut state = self.lock();
        std::mem::take(&mut state.owed).then(|| state.short_watches.delay(random))
    }

    /// A watch ended that lived for `lived`, and had asked to live for `own_time`.
    pub(super) fn watch_ended(&self, lived: Duration, own_time: Duration) {
        let mut state = self.lock();
        let by_own_time = lived * 10 >= own_time * OWN_TIME_TENTHS;
        if by_own_time || lived >= state.healthy {
            state.errors.reset();
            state.short_watches.reset();
            state.short = 0;
        } else {
            state.short = state.short.saturating_add(1);
        }
        // A long watch that was cut still owes a first, jittered wait: an API server that goes down cuts all at once.
        state.owed = !by_own_time;
    }

    /// Watches in a row that ended early.
    pub fn short_watches(&self) -> u32 {
        self.lock().short
    }

    /// The API server asked to be left alone for so long.
    pub(super) fn retry_after(&self, wait: Duration) {
        self.lock().asked_for = Some(wait.min(RETRY_AFTER_MAX));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Numbers that are whole at any moment.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN_TIME: Duration = Duration::from_secs(160);

    fn pace() -> Pace {
        Pace::new(&Tuning::default())
    }

    #[test]
    fn a_watch_that_ends_by_its_own_time_is_followed_at_once() {
        let pace = pace();
        pace.watch_ended(Duration::from_secs(159), OWN_TIME);
        assert_eq!(pace.before_watch(1.0), None);
        assert_eq!(pace.short_watches(), 0);
    }

    #[test]
    fn watches_that_end_at_once_come_further_and_further_apart() {
        let pace = pace();
        let mut waits = Vec::new();
        for _ in 0..4 {
            pace.watch_ended(Duration::ZERO, OWN_TIME);
            waits.extend(pace.before_watch(1.0));
        }
        assert_eq!(waits, [1, 10, 15, 15].map(Duration::from_secs));
        assert_eq!(pace.short_watches(), 4);
    }

    #[test]
    fn a_long_watch_that_is_cut_is_followed_after_a_first_wait() {
        let pace = pace();
        for _ in 0..3 {
            pace.watch_ended(Duration::ZERO, OWN_TIME);
            pace.before_watch(1.0);
        }
        pace.watch_ended(Duration::from_secs(60), OWN_TIME);
        assert_eq!(pace.before_watch(1.0), Some(Duration::from_secs(1)));
    }

    #[test]
    fn one_failure_is_waited_for_once() {
        let pace = pace();
        pace.watch_ended(Duration::ZERO, OWN_TIME);
        assert_eq!(pace.after_error(1.0), Duration::from_secs(1));
        assert_eq!(pace.before_watch(1.0), None);
    }

    #[test]
    fn retry_after_is_honoured_once_and_within_bounds() {
        let pace = pace();
        pace.retry_after(Duration::from_secs(20));
        assert_eq!(pace.after_error(0.0), Duration::from_secs(20));
        assert_eq!(pace.after_error(0.0), Duration::from_secs(1));
        pace.retry_after(Duration::from_secs(86_400));
        assert_eq!(pace.after_error(0.0), RETRY_AFTER_MAX);
    }
}
