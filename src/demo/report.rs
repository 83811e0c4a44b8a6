//! What the demo found out, and whether it is what podrobin promises. Pure.

use std::time::Duration;

use super::load::Tally;
use super::shares::Shares;

/// Facts gathered scene by scene.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    rollouts: usize,
    replaced: usize,
    gaps: usize,
    held: u64,
    windows: usize,
    exact: usize,
}

impl Report {
    /// Every one of `pods` was replaced.
    pub fn rollout(&mut self, pods: usize) {
        self.rollouts += 1;
        self.replaced += pods;
    }

    /// For a while there was no pod, and at its end `held` requests were waiting for one.
    pub fn gap(&mut self, held: u64) {
        self.gaps += 1;
        self.held += held;
    }

    /// The set stood still, and these were the shares.
    pub fn window(&mut self, shares: &Shares) {
        self.windows += 1;
        self.exact += usize::from(shares.exact());
    }

    /// Whether all went as promised.
    pub fn holds(&self, tally: Tally) -> bool {
        tally.failed == 0 && self.exact == self.windows
    }

    /// The demo's last line.
    pub fn summary(&self, tally: Tally, elapsed: Duration) -> String {
        format!(
            "{} requests in {:.1} s; rolling updates: {} ({} pods replaced); gaps without a pod: {} ({} requests held); \
             exact shares: {} of {}; failed requests: {}",
            tally.answered + tally.failed,
            elapsed.as_secs_f64(),
            self.rollouts,
            self.replaced,
            self.gaps,
            self.held,
            self.exact,
            self.windows,
            tally.failed,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::state::PodState;

    fn shares(counts: &[u64]) -> Shares {
        let pods: Vec<PodState> = counts
            .iter()
            .map(|count| PodState {
                pod: Some(format!("p-{count}")),
                address: String::new(),
                state: "ready".to_owned(),
                reason: None,
                requests: *count,
            })
            .collect();
        Shares::between(&[], &pods)
    }

    fn tally(answered: u64, failed: u64) -> Tally {
        Tally {
            answered,
            failed,
            waiting: 0,
        }
    }

    #[test]
    fn one_failed_request_or_one_uneven_share_breaks_the_promise() {
        let mut report = Report::default();
        report.window(&shares(&[3, 4]));
        assert!(report.holds(tally(7, 0)));
        assert!(!report.holds(tally(6, 1)));
        report.window(&shares(&[2, 4]));
        assert!(!report.holds(tally(13, 0)));
    }

    #[test]
    fn the_summary_is_one_line_that_ends_with_what_failed() {
        let mut report = Report::default();
        report.rollout(5);
        report.gap(40);
        report.window(&shares(&[3, 4]));
        assert_eq!(
            report.summary(tally(4_988, 2), Duration::from_millis(10_020)),
            "4990 requests in 10.0 s; rolling updates: 1 (5 pods replaced); \
             gaps without a pod: 1 (40 requests held); exact shares: 1 of 1; failed requests: 2"
        );
    }
}
