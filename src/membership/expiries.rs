//! What the clock brings: ends of ejections and ramps, comparisons, weights.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tracing::debug;

use super::Membership;
use super::listening::Listening;
use super::outliers::Comparison;
use super::ramping::Ramping;
use super::reports::Reports;
use crate::endpoint::{Endpoint, Identity};
use crate::outlier::Verdict;
use crate::stats::EndpointStats;

impl Membership {
    /// Does what is due at this moment: see [`next_expiry`](Self::next_expiry).
    pub fn expire(&mut self, now: Instant) {
        let ramp_ended = self.next_ramp_end().is_some_and(|end| end <= now);
        let ejected = self.eject_outliers(now) | self.eject_silent(now);
        let reweighed = self.reweigh(now);
        if self.detector.expire(now) || ramp_ended || ejected || reweighed {
            self.publish(now);
        }
    }

    /// Compares the pods once their interval is over. True if it changes who gets traffic.
    fn eject_outliers(&mut self, now: Instant) -> bool {
        let pods = counted(&self.endpoints, &self.stats);
        let due = self.comparison.as_mut().filter(|due| due.next() <= now);
        let Some(comparison) = due else {
            return false;
        };
        let found = comparison.compare(pods, now);
        let first = comparison.settings.interval;
        let mut changed = false;
        for (endpoint, cause) in found {
            let identity = &endpoint.identity;
            // One that fails its checks is out already, and comes back with them.
            if !self.is_judged(&endpoint) {
                continue;
            }
            let ejected = self
                .detector
                .eject_outlier(identity, cause, self.used, first, now);
            changed |= self.judged(&endpoint, false, ejected, now);
        }
        changed
    }

    /// Looks for pods that answer nobody. True if it changes who gets traffic.
    fn eject_silent(&mut self, now: Instant) -> bool {
        let mut listening = self.listening.take();
        let mut silent = Vec::new();
        if let Some(due) = listening.as_mut().filter(|due| due.next() <= now) {
            let pods = counted(&self.endpoints, &self.stats)
                .filter(|(endpoint, _)| self.is_judged(endpoint));
            silent = due.listen(pods, &self.totals, now);
        }
        self.listening = listening;
        let mut changed = false;
        for mut silent in silent {
            let identity = &silent.endpoint.identity;
            if matches!(self.detector.verdict(identity), Verdict::Trial { .. }) && !self.panics() {
                // What it had before may be lost with what ailed it: the request that tries it decides.
                let tried = self.balancer.tried_for(identity, now).unwrap_or_default();
                silent.silence.lasted = silent.silence.lasted.min(tried);
            }
            let ejected =
                self.detector
                    .hear_silence(identity, silent.silence, silent.others, self.used, now);
            changed |= self.judged(&silent.endpoint, false, ejected, now);
        }
        changed
    }

    /// Makes weights of what pods report once that is due. True if they are other ones.
    fn reweigh(&mut self, now: Instant) -> bool {
        let due = self.reports.as_mut().filter(|due| due.next() <= now);
        let Some(reports) = due else {
            return false;
        };
        let pods = counted(&self.endpoints, &self.stats);
        let pods = pods.map(|(endpoint, stats)| (&endpoint.identity, stats.as_ref()));
        let changed = reports.update(pods, now);
        if changed {
            debug!(target = self.target, "weights made of what pods report");
        }
        changed
    }

    /// When [`expire`](Self::expire) has something to do next.
    pub fn next_expiry(&self) -> Option<Instant> {
        let expiries = [
            self.detector.next_expiry(),
            self.next_ramp_end(),
            self.comparison.as_ref().map(Comparison::next),
            self.reports.as_ref().map(Reports::next),
            self.listening.as_ref().map(Listening::next),
        ];
        expiries.into_iter().flatten().min()
    }

    fn next_ramp_end(&self) -> Option<Instant> {
        self.ramping.as_ref().and_then(Ramping::next_end)
    }
}

/// The pods that the list uses, with what is counted of them.
fn counted<'a>(
    endpoints: &'a [Arc<Endpoint>],
    stats: &'a HashMap<Identity, Arc<EndpointStats>>,
) -> impl Iterator<Item = (&'a Arc<Endpoint>, &'a Arc<EndpointStats>)> {
    let used = endpoints.iter().filter(|endpoint| endpoint.is_used());
    used.filter_map(|endpoint| Some((endpoint, stats.get(&endpoint.identity)?)))
}
