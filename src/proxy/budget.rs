//! How many requests may be sent again.

use std::time::{Duration, Instant};

use crate::config::RetrySettings;

/// Bounds retries to a share of the requests of the last ten seconds, plus a few a second, so that a failing Service
/// is not buried under its own repeats. One worker's part: its share of the floor, its own requests.
#[derive(Debug)]
pub struct Budget {
    ratio: f64,
    floor: f64,
    slots: [Slot; SLOTS],
    /// The second that `slots[second % SLOTS]` counts.
    second: u64,
    epoch: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    requests: u32,
    retries: u32,
}

const SLOTS: usize = 10;

impl Budget {
    pub fn new(settings: &RetrySettings, workers: usize, now: Instant) -> Self {
        let window = Duration::from_secs(SLOTS as u64).as_secs_f64();
        Self {
            ratio: settings.budget_ratio,
            floor: f64::from(settings.budget_floor) * window / workers as f64,
            slots: [Slot::default(); SLOTS],
            second: 0,
            epoch: now,
        }
    }

    /// Counts a request.
    pub fn deposit(&mut self, now: Instant) {
        let slot = self.slot(now);
        slot.requests = slot.requests.saturating_add(1);
    }

    /// Takes a retry, or says that there is none to be had.
    pub fn withdraw(&mut self, now: Instant) -> bool {
        let affordable = self.affords(now);
        if affordable {
            self.slot(now).retries += 1;
        }
        affordable
    }

    /// Whether there is a retry to be had.
    pub fn affords(&mut self, now: Instant) -> bool {
        self.slot(now);
        let (requests, retries) =
            self.slots
                .iter()
                .fold((0.0, 0.0), |(requests, retries), slot| {
                    (
                        requests + f64::from(slot.requests),
                        retries + f64::from(slot.retries),
                    )
                });
        retries + 1.0 <= self.floor + self.ratio * requests
    }

    /// The slot of this second, with those that have passed since the last call emptied.
    fn slot(&mut self, now: Instant) -> &mut Slot {
        let second = now.saturating_duration_since(self.epoch).as_secs();
        let passed = second.saturating_sub(self.second).min(SLOTS as u64);
        for back in 0..passed {
            self.slots[Self::index(second - back)] = Slot::default();
        }
        self.second = self.second.max(second);
        &mut self.slots[Self::index(self.second)]
    }

    fn index(second: u64) -> usize {
        usize::try_from(second % SLOTS as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// In no window of ten seconds do retries pass the floor plus the share of its requests.
        #[test]
        fn retries_stay_within_the_budget(
            events in prop::collection::vec((0u64..3_000, any::<bool>()), 1..400),
            floor in 0u32..4,
        ) {
            let start = Instant::now();
            let settings = RetrySettings { budget_ratio: 0.2, budget_floor: floor, ..RetrySettings::default() };
            let mut budget = Budget::new(&settings, 1, start);
            let mut now = 0;
            let mut log: Vec<(u64, bool)> = Vec::new();
            for (wait, retry) in events {
                now += wait;
                let at = start + Duration::from_millis(now);
                if !retry {
                    budget.deposit(at);
                    log.push((now / 1000, false));
                } else if budget.withdraw(at) {
                    log.push((now / 1000, true));
                    let window: Vec<_> = log.iter().filter(|(second, _)| second + 10 > now / 1000).collect();
                    let retries = window.iter().filter(|(_, retry)| *retry).count();
                    let requests = window.len() - retries;
                    let most = f64::from(floor) * 10.0 + 0.2 * requests as f64;
                    prop_assert!(retries as f64 <= most + 1e-9, "{} of {}", retries, most);
                }
            }
        }
    }
}
