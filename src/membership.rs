//! Membership: the one writer of a target's snapshots.
//!
//! ```text
//! discovery ── Update ──┐
//! checks ──── Report ───┤
//! workers ───── Fact ───┼─> Membership ── Snapshot ──> workers, admin
//! the clock ─ expiries ─┘
//! ```
//! It merges the list with ejections and what checks say. Nobody else decides who gets traffic, so no race can eject
//! more pods than the detector allows.
//!
//! [`Membership::run`] is all that waits; what it calls has the clock handed in, and a simulation may call it.

mod checked;
mod listening;
mod outliers;
mod panic;
mod ramping;
mod reports;
mod subset;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::{mpsc, watch};
use tracing::{debug, info, warn};

use crate::admission::{Gradient, Pending, PodConnections, PodLimit, Range};
use crate::balance::{Balancer, Candidate};
use crate::config::{Ejection, HealthCheck, Outliers, PodRequests, Policy, SlowStart, Subset};
use crate::discovery::Update;
use crate::endpoint::{Endpoint, Identity, Standing};
use crate::health_check::{self, Report};
use crate::metrics::TargetMetrics;
use crate::outlier::{Detector, Fact, Outcome, Peers, Verdict};
use crate::snapshot::{Health, Member, Snapshot};
use crate::stats::{Count, EndpointStats, TargetStats};

use checked::Checked;
use listening::Listening;
use outliers::Comparison;
use panic::PanicGuard;
use ramping::Ramping;
use reports::Reports;

/// Facts that workers may be ahead of membership.
pub const FACT_QUEUE: usize = 1024;

/// Facts that are weighed before the next snapshot, if so many wait: pods that fail together cost one.
const FACT_BATCH: usize = 256;

/// Results of checks that are taken in before the next snapshot, if so many wait.
const REPORT_BATCH: usize = 256;

/// Everything membership reads from.
#[derive(Debug)]
pub struct Inlets {
    pub updates: mpsc::Receiver<Update>,
    pub facts: mpsc::Receiver<Fact>,
    /// Of active checks, where there are any.
    pub reports: mpsc::Receiver<Report>,
}

/// How a target's pods are chosen.
#[derive(Clone, Debug)]
pub struct Choice {
    pub policy: Policy,
    pub subset: Option<Subset>,
    pub slow_start: Option<SlowStart>,
    pub health_check: Option<HealthCheck>,
    pub ejection: Ejection,
    pub outliers: Option<Outliers>,
    /// With fewer percent of the pods usable all are used.
    pub panic_threshold: Option<usize>,
    pub rooms: Option<Rooms>,
}

/// What pods are given at most.
#[derive(Clone, Debug)]
pub struct Rooms {
    pub requests: Option<PodRequests>,
    pub connections: Option<usize>,
    /// Who waits while all are full.
    pub pending: Arc<Pending>,
}

impl Rooms {
    /// The bounds of a pod that is new.
    fn bound(&self, stats: EndpointStats, workers: usize, now: Instant) -> EndpointStats {
        let stats = match self.requests {
            Some(requests) => stats.limited(self.limit(requests, now)),
            None => stats,
        };
        match self.connections {
            Some(most) => {
                let pending = self.pending.clone();
                stats.with_connections(PodConnections::new(most, workers, pending))
            }
            None => stats,
        }
    }

    fn limit(&self, requests: PodRequests, now: Instant) -> Arc<PodLimit> {
        let pending = self.pending.clone();
        match requests {
            PodRequests::Fixed(most) => PodLimit::new(most, pending),
            PodRequests::Adaptive { min, max } => {
                let gradient = Gradient::new(Range { min, max }, now, fastrand::f64());
                PodLimit::adaptive(gradient, pending)
            }
        }
    }
}

/// Holds the list, what is held against its members, and whose turn it is.
#[derive(Debug)]
pub struct Membership {
    target: String,
    workers: usize,
    balancer: Balancer,
    subset: Option<Subset>,
    ramping: Option<Ramping>,
    rooms: Option<Rooms>,
    detector: Detector,
    /// Where silent pods are ejected.
    listening: Option<Listening>,
    checked: Option<Checked>,
    comparison: Option<Comparison>,
    guard: Option<PanicGuard>,
    /// Where the policy has weights made of them.
    reports: Option<Reports>,
    /// Sorted by identity, no identity twice.
    endpoints: Vec<Arc<Endpoint>>,
    /// How many of them the list and their checks would give traffic to.
    used: usize,
    /// Terminating endpoints whose containers have ended, which the list says later.
    ended: HashSet<Identity>,
    stats: HashMap<Identity, Arc<EndpointStats>>,
    totals: Arc<TargetStats>,
    version: u64,
    snapshots: watch::Sender<Arc<Snapshot>>,
    metrics: Arc<TargetMetrics>,
}

impl Membership {
    /// A membership that knows nobody yet, and where its snapshots appear.
    pub fn new(
        target: String,
        choice: Choice,
        workers: usize,
        totals: Arc<TargetStats>,
        metrics: Arc<TargetMetrics>,
        now: Instant,
    ) -> (Self, watch::Receiver<Arc<Snapshot>>) {
        let mut balancer = Balancer::new(&choice.policy, &totals);
        balancer.hold_trials_for(choice.ejection.longest);
        if choice.outliers.is_some() {
            balancer.keep_tallies();
        }
        let reports = match choice.policy {
            Policy::Orca(orca) => Some(Reports::new(orca, now)),
            _ => None,
        };
        let (snapshots, receiver) = watch::channel(Arc::new(Snapshot {
            version: 0,
            panics: false,
            members: Vec::new(),
            picker: balancer.picker(&[]),
            published: SystemTime::now(),
        }));
        let membership = Self {
            target,
            workers,
            balancer,
            subset: choice.subset,
            ramping: choice.slow_start.map(Ramping::new),
            rooms: choice.rooms,
            listening: choice
                .ejection
                .consecutive
                .map(|_| Listening::new(Instant::now())),
            detector: Detector::new(choice.ejection),
            checked: choice
                .health_check
                .map(|check| Checked::new(check.thresholds, check.new_pods)),
            comparison: choice
                .outliers
                .map(|settings| Comparison::new(settings, now)),
            guard: choice.panic_threshold.map(PanicGuard::new),
            reports,
            endpoints: Vec::new(),
            used: 0,
            ended: HashSet::new(),
            stats: HashMap::new(),
            totals,
            version: 0,
            snapshots,
            metrics,
        };
        (membership, receiver)
    }

    /// Runs until discovery has ended. `listed` is dropped once the first list has been applied.
    pub async fn run(mut self, mut inlets: Inlets, listed: impl Sized) {
        let mut listed = Some(listed);
        let mut facts = Vec::with_capacity(FACT_BATCH);
        let mut reports = Vec::new();
        loop {
            let expiry = self.next_expiry();
            tokio::select! {
                biased;
                update = inlets.updates.recv() => {
                    let Some(update) = update else { return };
                    self.apply(update, Instant::now());
                    drop(listed.take());
                }
                1.. = inlets.facts.recv_many(&mut facts, FACT_BATCH) => {
                    self.observe(&facts, Instant::now());
                    facts.clear();
                }
                1.. = inlets.reports.recv_many(&mut reports, REPORT_BATCH) => {
                    self.hear(&reports, Instant::now());
                    reports.clear();
                }
                () = sleep_until(expiry) => self.expire(Instant::now()),
            }
        }
    }

    /// Replaces the list.
    pub fn apply(&mut self, mut update: Update, now: Instant) {
        self.keep_ended(&mut update.endpoints);
        if let Some(subset) = &self.subset {
            subset::choose(&mut update.endpoints, subset);
        }
        self.log_change(&update.endpoints);
        // An endpoint that did not change keeps its Arc, which is how workers know it again cheaply.
        let mut last: HashMap<Identity, Arc<Endpoint>> = self
            .endpoints
            .drain(..)
            .map(|endpoint| (endpoint.identity.clone(), endpoint))
            .collect();
        self.endpoints = update
            .endpoints
            .into_iter()
            .map(|endpoint| match last.remove(&endpoint.identity) {
                Some(same) if *same == endpoint => same,
                _ => Arc::new(endpoint),
            })
            .collect();
        let mut stats = std::mem::take(&mut self.stats);
        self.stats = self
            .endpoints
            .iter()
            .map(|endpoint| {
                let identity = endpoint.identity.clone();
                let kept = stats.remove(&identity);
                (identity, kept.unwrap_or_else(|| self.new_stats(now)))
            })
            .collect();
        self.retain_used(now);
        self.publish(now);
        self.metrics.updates.inc();
        self.metrics
            .apply
            .observe(update.received.elapsed().as_secs_f64());
        if let Some(triggered) = update.triggered {
            let lag = SystemTime::now()
                .duration_since(triggered)
                .unwrap_or_default();
            self.metrics.propagation.observe(lag.as_secs_f64());
        }
    }

    /// What is counted of a pod that is new, with what the policy and limits have to know.
    fn new_stats(&self, now: Instant) -> Arc<EndpointStats> {
        let stats = self.balancer.stats(self.workers, now);
        Arc::new(match &self.rooms {
            Some(rooms) => rooms.bound(stats, self.workers, now),
            None => stats,
        })
    }

    /// Who has ended stays so for as long as the list calls it terminating.
    fn keep_ended(&mut self, endpoints: &mut [Endpoint]) {
        let mut still = HashSet::new();
        for endpoint in endpoints {
            let terminates = matches!(
                endpoint.standing,
                Standing::Fallback | Standing::Terminating
            );
            if terminates && let Some(identity) = self.ended.take(&endpoint.identity) {
                endpoint.standing = Standing::Terminating;
                still.insert(identity);
            }
        }
        self.ended = still;
    }

    /// A terminating pod that refuses a connection is not coming back: its containers are not started again. The
    /// list may need another second to say so, and with none left requests are held rather than refused.
    fn end(&mut self, index: usize) {
        let mut endpoint = (*self.endpoints[index]).clone();
        endpoint.standing = Standing::Terminating;
        self.ended.insert(endpoint.identity.clone());
        info!(
            target = self.target,
            pod = endpoint.name(),
            "ended: it is terminating and refuses connections"
        );
        self.endpoints[index] = Arc::new(endpoint);
        self.used -= 1;
    }

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
        if !self.endpoints[index].is_used() || !self.lets_through(identity) {
            return false;
        }
        if fact.refused && self.endpoints[index].standing == Standing::Fallback {
            self.end(index);
            return true;
        }
        let peers = self.peers(identity);
        let changed = self
            .detector
            .observe(identity, fact.outcome, fact.started, peers, now);
        if let Some(stats) = self.stats.get(identity) {
            stats.set_suspect(self.detector.is_suspect(identity));
        }
        if !changed {
            return false;
        }
        self.log_verdict(&fact.endpoint, fact.outcome == Outcome::Answered, now);
        true
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
                pod, "ejections beyond half of the pods are lifted: this one fails as well"
            ),
        }
    }

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

    fn retain_used(&mut self, now: Instant) {
        if let Some(checked) = &mut self.checked {
            let used = self.endpoints.iter();
            let used = used.filter(|endpoint| endpoint.is_used());
            checked.use_only(&used.map(|endpoint| &endpoint.identity).collect());
            if checked.settle() {
                log_panic(&self.target, checked.panics());
            }
            if checked.begins_to_wait() {
                info!(
                    target = self.target,
                    "requests are held until a pod passes its health check (--new-pods wait)"
                );
            }
        }
        self.count_used(now);
    }

    /// Of those that their checks let through, never more are ejected than may be.
    fn count_used(&mut self, now: Instant) {
        let used = self.endpoints.iter();
        let used = used.filter(|endpoint| endpoint.is_used());
        let used: HashSet<&Identity> = used
            .map(|endpoint| &endpoint.identity)
            .filter(|identity| self.lets_through(identity))
            .collect();
        self.used = used.len();
        self.detector.retain(&used, now);
    }

    /// Has all pods used where too few are usable, and no longer than that.
    fn guard(&mut self, now: Instant) {
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
                usable,
                pods,
                "panic: fewer than {threshold} % of the pods are usable, so all are used"
            );
        } else {
            info!(
                target = self.target,
                usable,
                pods,
                "no panic any more: {threshold} % of the pods are usable, and no others are used"
            );
        }
        self.count_used(now);
    }

    /// Whether it would be left out for its checks, or for what is held against it. Whoever waits for a first check is not:
    /// that check is under way.
    fn is_out(&self, identity: &Identity) -> bool {
        let checked = self.checked.as_ref();
        let unhealthy = checked.is_some_and(|checked| checked.fails(identity));
        unhealthy || self.detector.verdict(identity) != Verdict::Healthy
    }

    /// Whether all pods are used as too few are usable.
    fn panics(&self) -> bool {
        self.guard.as_ref().is_some_and(PanicGuard::panics)
    }

    /// Takes in what checks found, and publishes once if that changes anything.
    fn hear(&mut self, reports: &[Report], now: Instant) {
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

    /// Whether its checks let it have traffic.
    fn lets_through(&self, identity: &Identity) -> bool {
        let checked = self.checked.as_ref();
        self.panics() || checked.is_none_or(|checked| checked.lets_through(identity))
    }

    fn position(&self, identity: &Identity) -> Option<usize> {
        self.endpoints
            .binary_search_by(|endpoint| endpoint.identity.cmp(identity))
            .ok()
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

    fn publish(&mut self, now: Instant) {
        self.guard(now);
        self.version += 1;
        let mut members: Vec<Member> = self
            .endpoints
            .iter()
            .map(|endpoint| self.member(endpoint, now))
            .collect();
        self.ramp(&mut members, now);
        let candidates: Vec<Candidate> = members
            .iter()
            .enumerate()
            .filter(|(_, member)| member.gets_traffic())
            .map(|(index, member)| Candidate {
                member: index,
                identity: member.endpoint.identity.clone(),
                trial: matches!(member.health, Health::Trial { .. }),
                weight: member.weight(),
                ramp: member.ramp,
                stats: member.stats.clone(),
            })
            .collect();
        self.snapshots.send_replace(Arc::new(Snapshot {
            version: self.version,
            panics: self.panics() || self.checked.as_ref().is_some_and(Checked::panics),
            picker: self.balancer.picker(&candidates),
            members,
            published: SystemTime::now(),
        }));
    }

    /// Notes who serves from now on, and so who ramps. One on trial does not serve yet, nor does one of weight 0.
    fn ramp(&mut self, members: &mut [Member], now: Instant) {
        let Some(ramping) = &mut self.ramping else {
            return;
        };
        let serving = members.iter().filter(|member| {
            let on_trial = matches!(member.health, Health::Trial { .. });
            member.gets_traffic() && !on_trial && member.endpoint.weight > 0
        });
        let serving = serving.map(|member| member.endpoint.identity.clone());
        ramping.serve(serving.collect(), now);
        for member in members {
            member.ramp = ramping.ramp(&member.endpoint.identity);
        }
    }

    fn member(&self, endpoint: &Arc<Endpoint>, now: Instant) -> Member {
        let identity = &endpoint.identity;
        let health = match (self.detector.verdict(identity), self.by_check(endpoint)) {
            (_, Some(health @ (Health::Unchecked | Health::Unhealthy { .. }))) => health,
            (Verdict::Healthy, by_check) => by_check.unwrap_or(Health::Healthy),
            (Verdict::Trial { cause }, _) => Health::Trial { cause },
            (Verdict::Ejected { until, cause }, _) => Health::Ejected {
                until: SystemTime::now() + until.saturating_duration_since(now),
                cause,
            },
        };
        let stats = self.stats.get(identity).cloned();
        Member {
            endpoint: endpoint.clone(),
            health: match self.panics() && endpoint.is_used() {
                true => health.in_panic(),
                false => health,
            },
            ramp: None,
            reported: self
                .reports
                .as_ref()
                .map(|reports| reports.weight(identity)),
            stats: stats.unwrap_or_else(|| self.new_stats(now)),
        }
    }

    /// What its checks hold against a pod that the list uses.
    fn by_check(&self, endpoint: &Endpoint) -> Option<Health> {
        let checked = self.checked.as_ref().filter(|_| endpoint.is_used())?;
        let health = match checked.verdict(&endpoint.identity) {
            health_check::Verdict::Healthy => return None,
            health_check::Verdict::Unchecked => Health::Unchecked,
            health_check::Verdict::Unhealthy(reason) => Health::Unhealthy {
                reason: reason.clone(),
            },
        };
        Some(match checked.panics() {
            true => health.in_panic(),
            false => health,
        })
    }

    /// Says who came, who went and who changed, in one line.
    fn log_change(&self, next: &[Endpoint]) {
        let count = |endpoints: &mut dyn Iterator<Item = &Endpoint>| {
            endpoints.filter(|endpoint| endpoint.is_used()).count()
        };
        let before = count(&mut self.endpoints.iter().map(AsRef::as_ref));
        let after = count(&mut next.iter());
        let last: HashMap<&Identity, &Endpoint> = self
            .endpoints
            .iter()
            .map(|endpoint| (&endpoint.identity, endpoint.as_ref()))
            .collect();
        let mut changes: Vec<String> = Vec::new();
        for endpoint in next {
            match last.get(&endpoint.identity) {
                None => changes.push(format!("+{} {}", endpoint.name(), endpoint.standing)),
                Some(last) if last.standing != endpoint.standing => {
                    changes.push(format!("{} {}", endpoint.name(), endpoint.standing));
                }
                Some(_) => {}
            }
        }
        let still: std::collections::HashSet<&Identity> =
            next.iter().map(|endpoint| &endpoint.identity).collect();
        for endpoint in &self.endpoints {
            if !still.contains(&endpoint.identity) {
                changes.push(format!("-{}", endpoint.name()));
            }
        }
        let more = changes.len().saturating_sub(CHANGES_LOGGED);
        changes.truncate(CHANGES_LOGGED);
        if more > 0 {
            changes.push(format!("and {more} more"));
        }
        let changes = changes.join(", ");
        if after == 0 {
            warn!(
                target = self.target,
                before, changes, "no pod is ready: requests are held"
            );
        } else {
            info!(
                target = self.target,
                ready = after,
                before,
                changes,
                "endpoints changed"
            );
        }
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

/// Changes that one log line names.
const CHANGES_LOGGED: usize = 8;

async fn sleep_until(expiry: Option<Instant>) {
    match expiry {
        Some(expiry) => tokio::time::sleep_until(expiry.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
