//! What is measured of an attempt, for whoever goes by it: the policy, the pod's limit, the comparison of pods.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;

use super::Attempt;
use crate::admission::PodLimit;
use crate::load_report::LoadReport;
use crate::stats::Outcome;

impl Attempt {
    /// A response's head or trailers have come, in which a pod may report its load.
    pub fn heard(&self, headers: &HeaderMap) {
        if let Some(reported) = self.upstream.reported()
            && let Some(report) = LoadReport::from_headers(headers)
        {
            reported.observe(&report, Instant::now());
        }
    }

    /// The pod's limit, where that follows its latency.
    pub(super) fn adaptive(&self) -> Option<&Arc<PodLimit>> {
        self.upstream.limit().filter(|limit| limit.is_adaptive())
    }

    /// Has the pod's latency told, if the policy or its limit goes by it. What a client took to send its body is left
    /// out, and if it is not sent yet, nothing is known. Gives back what the outcome counts for.
    pub(super) fn observe(&self, outcome: Outcome) -> f64 {
        let (latency, limit) = (self.upstream.latency(), self.adaptive());
        if latency.is_none() && limit.is_none() {
            return 0.0;
        }
        let now = Instant::now();
        let since = self.body.pods_turn(self.sent.unwrap_or(self.started));
        if let (Some(limit), Some(since)) = (limit, since) {
            let answered = matches!(outcome, Outcome::Answered | Outcome::Begun);
            limit.observe(now.duration_since(since), answered, now);
        }
        let Some(latency) = latency else {
            return 0.0;
        };
        match (since, outcome) {
            (Some(since), _) => latency.observe(outcome, now.duration_since(since), now),
            (None, Outcome::Failed) => latency.observe(outcome, Duration::ZERO, now),
            (None, _) => 0.0,
        }
    }

    pub(super) fn tally(&self, failed: bool, took: Duration) {
        match (self.upstream.tally(), failed) {
            (Some(tally), true) => tally.fail(),
            (Some(tally), false) => tally.succeed(took),
            (None, _) => {}
        }
    }

    pub(super) fn tally_failure(&self) {
        if let Some(tally) = self.upstream.tally() {
            tally.fail();
        }
    }
}
