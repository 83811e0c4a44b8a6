//! Weights by what pods report of their load, as gRFC A58 has them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::config::Orca;
use crate::endpoint::Identity;
use crate::snapshot::MEAN_WEIGHT as MEAN;
use crate::stats::EndpointStats;

/// A tenth of the mean, and ten times as much: so far is a report believed. A pod that reports nonsense is neither left
/// out, nor given everything.
const RATIOS: (f64, f64) = (0.1, 10.0);

/// Weights that differ from those in force by less than one in so many are not worth a new picker.
const MATTERS: u32 = 20;

/// Makes the weights of one target's pods once an update.
#[derive(Debug)]
pub(super) struct Reports {
    settings: Orca,
    /// When the reports began that have come since without a gap.
    since: HashMap<Identity, Instant>,
    /// In force; of those alone whose reports count.
    weights: HashMap<Identity, u32>,
    next: Instant,
}

impl Reports {
    pub(super) fn new(settings: Orca, now: Instant) -> Self {
        Self {
            settings,
            since: HashMap::new(),
            weights: HashMap::new(),
            next: now + settings.update,
        }
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// What this pod's reports come to, [`MEAN`] being the mean; `None` where they do not count.
    pub(super) fn weight(&self, identity: &Identity) -> Option<u32> {
        self.weights.get(identity).copied()
    }

    /// Makes weights of the last reports. True if they are to be used from now on; otherwise the last ones are good
    /// enough. What is no longer among `pods` is forgotten.
    pub(super) fn update<'a>(
        &mut self,
        pods: impl Iterator<Item = (&'a Identity, &'a EndpointStats)>,
        now: Instant,
    ) -> bool {
        self.next = now + self.settings.update;
        let mut since = std::mem::take(&mut self.since);
        let mut known = Vec::new();
        let mut reported = Vec::new();
        for (identity, stats) in pods {
            let Some((weight, age)) = stats.reported().and_then(|reported| reported.last(now))
            else {
                continue;
            };
            if age >= self.settings.expiry {
                continue;
            }
            let began = since.remove(identity);
            let began = began.unwrap_or_else(|| now.checked_sub(age).unwrap_or(now));
            self.since.insert(identity.clone(), began);
            if now.saturating_duration_since(began) >= self.settings.blackout {
                known.push(identity);
                reported.push(weight);
            }
        }
        let made = known.into_iter().zip(against_mean(&reported));
        let weights = made.map(|(identity, weight)| (identity.clone(), weight));
        let weights: HashMap<Identity, u32> = weights.collect();
        let changed = differ(&self.weights, &weights);
        if changed {
            self.weights = weights;
        }
        changed
    }
}

/// Weights as parts of their mean. One alone has nobody to be compared with.
fn against_mean(reported: &[f64]) -> Vec<u32> {
    if reported.len() < 2 {
        return Vec::new();
    }
    let mean = reported.iter().sum::<f64>() / reported.len() as f64;
    let (least, most) = RATIOS;
    let ratios = reported
        .iter()
        .map(|weight| (weight / mean).clamp(least, most));
    ratios.map(hundredths).collect()
}

/// Of a ratio within [`RATIOS`], to the nearest. A duration takes a fraction apart without a cast.
fn hundredths(ratio: f64) -> u32 {
    let nearest = Duration::from_secs_f64(ratio + 0.005).as_millis() / 10;
    u32::try_from(nearest).unwrap_or(MEAN)
}

fn differ(before: &HashMap<Identity, u32>, after: &HashMap<Identity, u32>) -> bool {
    before.len() != after.len()
        || after.iter().any(|(identity, weight)| {
            before
                .get(identity)
                .is_none_or(|before| before.abs_diff(*weight) * MATTERS > *before)
        })
}

#[cfg(test)]
mod tests;
