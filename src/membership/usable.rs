//! Which pods of the list are usable, by their checks and the panic guard.

use std::collections::HashSet;
use std::time::Instant;

use tracing::{info, warn};

use super::Membership;
use super::checked::Checked;
use super::panic::PanicGuard;
use crate::endpoint::{Endpoint, Identity};
use crate::health_check::Report;
use crate::outlier::Verdict;

impl Membership {
    pub(super) fn retain_used(&mut self, now: Instant) {
        if let Some(checked) = &mut self.checked {
            let used = self.endpoints.iter();
            let used = used.filter(|endpoint| endpoint.is_used());
            checked.use_only(&used.map(|endpoint| &endpoint.identity).collect());
            if checked.settle() {
                log_panic(&self.target, checked.panics());
            }
        }
        self.count_used(now);
    }

    /// Of those that their checks let through, never more are ejected than may be. One of weight 0 is not among them,
    /// unless all are: it gets nothing, and would keep its place in vain.
    fn count_used(&mut self, now: Instant) {
        let mut used = self.endpoints.iter();
        self.all_drained =
            !used.any(|endpoint| self.is_let_through(endpoint) && endpoint.weight > 0);
        let used = self.endpoints.iter();
        let used: HashSet<&Identity> = used
            .filter(|endpoint| self.is_judged(endpoint))
            .map(|endpoint| &endpoint.identity)
            .collect();
        self.used = used.len();
        self.detector.retain(&used, now);
    }

    /// Takes in what checks found, and publishes once if that changes anything.
    pub(super) fn hear(&mut self, reports: &[Report], now: Instant) {
        let mut changed = false;
        for report in reports {
            match report.outcome {
                Ok(()) => self.metrics.checks_passed.inc(),
                Err(_) => self.metrics.checks_failed.inc(),
            };
            let decided = self.checked.as_mut().is_some_and(|it| it.observe(report));
            if decided && let Some(index) = self.position(&report.identity) {
                changed = true;
                let (target, pod) = (&self.target, self.endpoints[index].name());
                match &report.outcome {
                    Ok(()) => info!(target, pod, "healthy: it passes its health check"),
                    Err(reason) => warn!(target, pod, "unhealthy by its health check: {reason}"),
                }
            }
        }
        if changed {
            self.retain_used(now);
            self.publish(now);
        }
    }

    /// Whether it may be ejected for what comes of its requests.
    pub(super) fn is_judged(&self, endpoint: &Endpoint) -> bool {
        self.is_let_through(endpoint) && (endpoint.weight > 0 || self.all_drained)
    }

    /// Whether the list and its checks let it have traffic.
    pub(super) fn is_let_through(&self, endpoint: &Endpoint) -> bool {
        let checked = self.checked.as_ref();
        let passes = checked.is_none_or(|checked| checked.lets_through(&endpoint.identity));
        endpoint.is_used() && (self.panics() || passes)
    }

    /// Has all pods used where too few are usable, and no longer than that.
    pub(super) fn guard(&mut self, now: Instant) {
        if self.guard.is_none() {
            return;
        }
        let used = self.endpoints.iter();
        // One of weight 0 is there for nobody, well or not.
        let used = used.filter(|endpoint| endpoint.is_used() && endpoint.weight > 0);
        let out: Vec<bool> = used
            .map(|endpoint| self.is_out(&endpoint.identity))
            .collect();
        let (pods, usable) = (out.len(), out.iter().filter(|out| !**out).count());
        let Some(guard) = &mut self.guard else {
            return;
        };
        if !guard.settle(usable, pods) {
            return;
        }
        let threshold = guard.threshold();
        if guard.panics() {
            warn!(
                target = self.target,
                usable, pods, "panic: fewer than {threshold} are usable, so all are used"
            );
        } else {
            info!(
                target = self.target,
                usable, pods, "no panic any more: {threshold} are usable, and no others are used"
            );
        }
        self.count_used(now);
    }

    /// Says when from now on all wait for a first check. Only after [`guard`](Self::guard) is known whether they do.
    pub(super) fn tell_of_waiting(&mut self) {
        let panics = self.panics();
        let begins = |checked: &mut Checked| checked.begins_to_wait(panics);
        if self.checked.as_mut().is_some_and(begins) {
            info!(
                target = self.target,
                "requests are held until a pod passes its health check (--new-pods wait)"
            );
        }
    }

    /// Whether it would be left out for its checks, or for what is held against it. Whoever waits for a first check is not:
    /// that check is under way.
    fn is_out(&self, identity: &Identity) -> bool {
        let checked = self.checked.as_ref();
        let unhealthy = checked.is_some_and(|checked| checked.fails(identity));
        unhealthy || self.detector.verdict(identity) != Verdict::Healthy
    }

    /// Whether all pods are used as too few are usable.
    pub(super) fn panics(&self) -> bool {
        self.guard.as_ref().is_some_and(PanicGuard::panics)
    }
}

fn log_panic(target: &str, panics: bool) {
    if panics {
        warn!(
            target,
            "panic: every pod fails its health check, so all are used in spite of it"
        );
    } else {
        info!(
            target,
            "no panic any more: only pods that pass their health check are used"
        );
    }
}
