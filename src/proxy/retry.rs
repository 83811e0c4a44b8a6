//! When a failed request may be sent again, and how much of that is affordable.

use std::time::{Duration, Instant};

use http::Method;

use crate::config::RetrySettings;
use crate::error::{Kind, Retry};

/// What an attempt left behind.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    pub kind: Kind,
    /// Not a byte of the request reached the pod.
    pub unsent: bool,
    /// The body can be sent again from its first byte.
    pub replayable: bool,
}

/// Whether the method may be repeated without asking its sender (RFC 9110 section 9.2.2).
pub fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE
    )
}

/// Whether a request may be sent to another pod: always if it was never sent, else only if its method is idempotent
/// (RFC 9110 section 9.2.2), and never without its whole body.
pub fn may_retry(failed: Failed, idempotent: bool) -> bool {
    failed.replayable
        && match failed.kind.row().retry {
            Retry::AnyMethod => true,
            Retry::Idempotent => failed.unsent || idempotent,
            Retry::No => false,
        }
}

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
        let affordable = retries + 1.0 <= self.floor + self.ratio * requests;
        if affordable {
            self.slot(now).retries += 1;
        }
        affordable
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

    #[test]
    fn a_request_that_may_have_been_processed_is_repeated_only_if_its_method_allows() {
        let rows = [
            // kind, unsent, replayable, idempotent, may
            (Kind::ConnectFailed, true, true, false, true),
            (Kind::ConnectTimeout, true, true, false, true),
            (Kind::ConnectFailed, true, false, true, false),
            (Kind::Reset, true, true, false, true),
            (Kind::Reset, false, true, false, false),
            (Kind::Reset, false, true, true, true),
            (Kind::Reset, false, false, true, false),
            (Kind::ResponseTimeout, false, true, true, false),
            (Kind::BrokenProtocol, false, true, true, false),
            (Kind::ClientGone, false, true, true, false),
        ];
        for (kind, unsent, replayable, idempotent, may) in rows {
            let failed = Failed {
                kind,
                unsent,
                replayable,
            };
            assert_eq!(
                may_retry(failed, idempotent),
                may,
                "{failed:?} {idempotent}"
            );
        }
    }

    #[test]
    fn idempotent_methods_are_those_of_rfc_9110() {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
            assert!(is_idempotent(&method.parse().unwrap()), "{method}");
        }
        for method in ["POST", "PATCH", "LOCK", "get"] {
            assert!(!is_idempotent(&method.parse().unwrap()), "{method}");
        }
    }

    proptest! {
        /// In no window of ten seconds do retries pass the floor plus the share of its requests.
        #[test]
        fn retries_stay_within_the_budget(
            events in prop::collection::vec((0u64..3_000, any::<bool>()), 1..400),
            floor in 0u32..4,
        ) {
            let start = Instant::now();
            let settings = RetrySettings { retries: 2, budget_ratio: 0.2, budget_floor: floor };
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
