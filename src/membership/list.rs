//! The list as discovery tells it, with what is known better here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tracing::{info, warn};

use super::{Membership, subset};
use crate::discovery::Update;
use crate::endpoint::{Endpoint, Identity, Standing};
use crate::stats::EndpointStats;

/// Changes that one log line names.
const CHANGES_LOGGED: usize = 8;

impl Membership {
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
    pub(super) fn new_stats(&self, now: Instant) -> Arc<EndpointStats> {
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
    pub(super) fn end(&mut self, index: usize) {
        self.used -= usize::from(self.is_judged(&self.endpoints[index]));
        let mut endpoint = (*self.endpoints[index]).clone();
        endpoint.standing = Standing::Terminating;
        self.ended.insert(endpoint.identity.clone());
        info!(
            target = self.target,
            pod = endpoint.name(),
            "ended: it is terminating and refuses connections"
        );
        self.endpoints[index] = Arc::new(endpoint);
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
        let still: HashSet<&Identity> = next.iter().map(|endpoint| &endpoint.identity).collect();
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
