//! What came of each pod's requests since the last comparison.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::config::Outliers;
use crate::endpoint::{Endpoint, Identity};
use crate::outlier::{Cause, stand_out};
use crate::stats::{EndpointStats, Tally};

/// Compares a target's pods once an interval.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) settings: Outliers,
    before: HashMap<Identity, Tally>,
    next: Instant,
}

impl Comparison {
    pub(super) fn new(settings: Outliers, now: Instant) -> Self {
        Self {
            settings,
            before: HashMap::new(),
            next: now + settings.interval,
        }
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Who stands out in the interval that ends now. What is no longer among `endpoints` is forgotten.
    pub(super) fn compare<'a>(
        &mut self,
        endpoints: impl Iterator<Item = (&'a Arc<Endpoint>, &'a Arc<EndpointStats>)>,
        now: Instant,
    ) -> Vec<(Arc<Endpoint>, Cause)> {
        let mut before = std::mem::take(&mut self.before);
        let mut compared = Vec::new();
        let mut tallies = Vec::new();
        for (endpoint, stats) in endpoints {
            let tally = stats.tally();
            let last = before.remove(&endpoint.identity).unwrap_or_default();
            self.before.insert(endpoint.identity.clone(), tally);
            compared.push(endpoint);
            tallies.push(tally.since(last));
        }
        self.next = now + self.settings.interval;
        stand_out(&tallies, &self.settings)
            .into_iter()
            .filter_map(|(index, cause)| Some(((*compared.get(index)?).clone(), cause)))
            .collect()
    }
}
