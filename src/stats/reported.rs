//! What a pod's last report of its load came to: the weight, and when.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::load_report::LoadReport;

/// Written by all workers, without locks: of two reports at the same moment one is left out.
#[derive(Debug)]
pub struct Reported {
    error_penalty: f64,
    epoch: Instant,
    /// The upper half of an `f64`, the weight (twenty bits of its digits, which is more than it is good for), and
    /// tenths of seconds since the epoch. 0 before the first report.
    last: AtomicU64,
}

const LOWER: u64 = u32::MAX as u64;

const TENTH: Duration = Duration::from_millis(100);

impl Reported {
    pub fn new(error_penalty: f64, now: Instant) -> Self {
        Self {
            error_penalty,
            epoch: now,
            last: AtomicU64::new(0),
        }
    }

    /// A report that makes no weight leaves the last one as it is.
    pub fn observe(&self, report: &LoadReport, now: Instant) {
        if let Some(weight) = report.weight(self.error_penalty) {
            let last = (weight.to_bits() & !LOWER) | u64::from(self.moment(now));
            self.last.store(last, Relaxed);
        }
    }

    /// The last weight, and how long ago it was reported, to a tenth of a second.
    pub fn last(&self, now: Instant) -> Option<(f64, Duration)> {
        let last = self.last.load(Relaxed);
        if last == 0 {
            return None;
        }
        let at = u32::try_from(last & LOWER).unwrap_or(0);
        // A worker's clock may have been read later than `now`.
        let tenths = self.moment(now).saturating_sub(at);
        Some((f64::from_bits(last & !LOWER), TENTH * tenths))
    }

    /// The end of time is thirteen years off.
    fn moment(&self, now: Instant) -> u32 {
        let passed = now.saturating_duration_since(self.epoch);
        u32::try_from(passed.as_millis() / TENTH.as_millis()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(cpu_utilization: f64) -> LoadReport {
        LoadReport {
            cpu_utilization,
            rps_fractional: 100.0,
            ..LoadReport::default()
        }
    }

    #[test]
    fn the_last_report_that_makes_a_weight_counts() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let reported = Reported::new(1.0, begin);
        assert_eq!(reported.last(at(1)), None);
        reported.observe(&report(0.5), at(0));
        assert_eq!(reported.last(at(0)), Some((200.0, Duration::ZERO)));
        reported.observe(&report(0.25), at(2));
        reported.observe(&LoadReport::default(), at(3));
        assert_eq!(reported.last(at(5)), Some((400.0, Duration::from_secs(3))));
        // Another thread's clock.
        assert_eq!(reported.last(at(1)), Some((400.0, Duration::ZERO)));
    }
}
