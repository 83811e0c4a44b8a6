//! What the clock brings: ends of ejections and ramps, comparisons, weights.

use std::time::Instant;

use tracing::debug;

use super::Membership;
use super::listening::Listening;
use super::outliers::Comparison;
use super::ramping::Ramping;
use super::reports::Reports;

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
        let due = self.comparison.as_mut().filter(|due| due.next() <= now);
        let Some(comparison) = due else {
            return false;
        };
        let used = self.endpoints.iter().filter(|endpoint| endpoint.is_used());
        let counted =
            used.filter_map(|endpoint| Some((endpoint, self.stats.get(&endpoint.identity)?)));
        let found = comparison.compare(counted, now);
        let first = comparison.settings.interval;
        let mut changed = false;
        for (endpoint, cause) in found {
            let identity = &endpoint.identity;
            if !self
                .detector
                .eject_outlier(identity, cause, self.used, first, now)
            {
                continue;
            }
            changed = true;
            if let Some(stats) = self.stats.get(identity) {
                stats.set_suspect(true);
            }
            self.log_verdict(&endpoint, false, now);
        }
        changed
    }

    /// Looks for pods that answer nobody. True if it changes who gets traffic.
    fn eject_silent(&mut self, now: Instant) -> bool {
        let due = self.listening.as_mut().filter(|due| due.next() <= now);
        let Some(listening) = due else {
            return false;
        };
        let checked = self.checked.as_ref();
        let used = self.endpoints.iter().filter(|endpoint| {
            endpoint.is_used()
                && checked.is_none_or(|checked| checked.lets_through(&endpoint.identity))
        });
        let counted =
            used.filter_map(|endpoint| Some((endpoint, self.stats.get(&endpoint.identity)?)));
        let mut changed = false;
        for silent in listening.listen(counted, &self.totals, now) {
            let identity = &silent.endpoint.identity;
            if self
                .detector
                .hear_silence(identity, silent.silence, silent.others, now)
            {
                changed = true;
                if let Some(stats) = self.stats.get(identity) {
                    stats.set_suspect(self.detector.is_suspect(identity));
                }
                self.log_verdict(&silent.endpoint, false, now);
            }
        }
        changed
    }

    /// Makes weights of what pods report once that is due. True if they are other ones.
    fn reweigh(&mut self, now: Instant) -> bool {
        let due = self.reports.as_mut().filter(|due| due.next() <= now);
        let Some(reports) = due else {
            return false;
        };
        let used = self.endpoints.iter().filter(|endpoint| endpoint.is_used());
        let pods = used.filter_map(|endpoint| {
            let stats = self.stats.get(&endpoint.identity)?;
            Some((&endpoint.identity, stats.as_ref()))
        });
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
