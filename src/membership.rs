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
mod expiries;
mod facts;
mod list;
mod listening;
mod outliers;
mod panic;
mod publication;
mod ramping;
mod reports;
mod subset;
mod usable;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tokio::sync::{mpsc, watch};

use crate::admission::{Gradient, Pending, PodConnections, PodLimit, Range};
use crate::balance::Balancer;
use crate::config::{Ejection, HealthCheck, Outliers, PodRequests, Policy, SlowStart, Subset};
use crate::discovery::Update;
use crate::endpoint::{Endpoint, Identity};
use crate::health_check::Report;
use crate::metrics::TargetMetrics;
use crate::outlier::{Detector, Fact};
use crate::snapshot::Snapshot;
use crate::stats::{EndpointStats, TargetStats};

use checked::Checked;
use listening::Listening;
use outliers::Comparison;
use panic::{PanicGuard, Threshold};
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
            Some(requests) => stats.with_limit(self.limit(requests, now)),
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
    /// How many of them the list and their checks would give traffic to: those of weight 0 only if there are no others.
    used: usize,
    all_drained: bool,
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
            listening: choice.ejection.consecutive.map(|_| Listening::new(now)),
            detector: Detector::new(choice.ejection),
            checked: choice
                .health_check
                .map(|check| Checked::new(check.thresholds, check.new_pods)),
            comparison: choice
                .outliers
                .map(|settings| Comparison::new(settings, now)),
            guard: choice
                .panic_threshold
                .map(|percent| PanicGuard::new(Threshold::Percent(percent))),
            reports,
            endpoints: Vec::new(),
            used: 0,
            all_drained: false,
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

    fn position(&self, identity: &Identity) -> Option<usize> {
        self.endpoints
            .binary_search_by(|endpoint| endpoint.identity.cmp(identity))
            .ok()
    }
}

async fn sleep_until(expiry: Option<Instant>) {
    match expiry {
        Some(expiry) => tokio::time::sleep_until(expiry.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
