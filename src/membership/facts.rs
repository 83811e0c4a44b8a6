//! What workers saw, weighed for ejection.

use std::time::Instant;

use tracing::{info, warn};

use super::Membership;
use crate::endpoint::{Endpoint, Identity, Standing};
use crate::outlier::{Fact, Outcome, Peers, Verdict};
use crate::stats::Count;

impl Membership {
    /// Takes in what workers saw, and publishes once if that changes anything.
    pub fn observe(&mut self, facts: &[Fact], now: Instant) {
        let ended = self.ended.len();
        let mut changed = false;
        for fact in facts {
            changed |= self.weigh(fact, now);
        }
        if self.ended.len() > ended {
            self.retain_used(now);
        }
        if changed {
            self.publish(now);
        }
    }

    /// Takes in one fact. True if it changes who gets traffic.
    fn weigh(&mut self, fact: &Fact, now: Instant) -> bool {
        let identity = &fact.endpoint.identity;
        let Some(index) = self.position(identity) else {
            return false;
        };
        if !self.is_let_through(&self.endpoints[index]) {
            return false;
        }
        if fact.refused && self.endpoints[index].standing == Standing::Fallback {
            self.end(index);
            return true;
        }
        if !self.is_judged(&self.endpoints[index]) {
            return false;
        }
        let peers = self.peers(identity);
        let changed = self
            .detector
            .observe(identity, fact.outcome, fact.started, peers, now);
        let answered = fact.outcome == Outcome::Answered;
        self.judged(&fact.endpoint, answered, changed, now)
    }

    /// Follows what the detector was told of a pod: whether its successes are news, and what is said of a verdict that
    /// `changed`, which is given back. `answered`: it was told of an answer.
    pub(super) fn judged(
        &self,
        endpoint: &Endpoint,
        answered: bool,
        changed: bool,
        now: Instant,
    ) -> bool {
        let identity = &endpoint.identity;
        if let Some(stats) = self.stats.get(identity) {
            stats.set_suspect(self.detector.is_suspect(identity));
        }
        if changed {
            self.log_verdict(endpoint, answered, now);
        }
        changed
    }

    fn log_verdict(&self, endpoint: &Endpoint, answered: bool, now: Instant) {
        let pod = endpoint.name();
        match self.detector.verdict(&endpoint.identity) {
            Verdict::Ejected { until, cause } => {
                self.metrics.eject(cause);
                let seconds = until.duration_since(now).as_secs_f64();
                let rule = cause.rule().as_str();
                warn!(
                    target = self.target,
                    pod,
                    cause = rule,
                    seconds,
                    "ejected: {cause}"
                );
            }
            _ if answered => info!(target = self.target, pod, "back from ejection: it answered"),
            _ => warn!(
                target = self.target,
                pod, "ejections beyond --eject-most are lifted: this one fails as well"
            ),
        }
    }

    /// All the target's answers but this endpoint's own. Endpoints that have gone count on, so that it only grows.
    fn peers(&self, identity: &Identity) -> Peers {
        // The sum is read first: an answer between the two reads then counts later rather than twice.
        let all = self.totals.count(Count::Answered);
        let own = self.stats.get(identity).map_or(0, |stats| stats.answered());
        Peers {
            used: self.used,
            answered: all.saturating_sub(own),
        }
    }
}
