//! Pods compared with each other by what came of their requests in one interval.
//!
//! After gRPC's gRFC A50 and Envoy's outlier detection. Pure: tallies in, verdicts out.

use super::Cause;
use crate::config::Outliers;
use crate::stats::Tally;

/// Who stands out, by index, with why; those that fail most come first.
pub fn stand_out(tallies: &[Tally], settings: &Outliers) -> Vec<(usize, Cause)> {
    let compared: Vec<(usize, Tally)> = tallies
        .iter()
        .copied()
        .enumerate()
        .filter(|(_, tally)| tally.requests() >= settings.min_requests.max(1))
        .collect();
    if compared.len() < settings.min_pods {
        return Vec::new();
    }
    let floor = settings
        .success_rate
        .map(|stdevs| (floor(&compared, stdevs), mean_percent(&compared)));
    let ceiling = settings
        .latency
        .and_then(|factor| Some((median(&compared, settings)?, factor)));
    let mut found: Vec<(usize, Tally, Cause)> = compared
        .into_iter()
        .filter_map(|(index, tally)| {
            let cause = by_success_rate(tally, floor)
                .or_else(|| by_failures(tally, settings.failure_percentage))
                .or_else(|| by_latency(tally, ceiling, settings))?;
            Some((index, tally, cause))
        })
        .collect();
    found.sort_by(|(_, one, _), (_, other, _)| success(*one).total_cmp(&success(*other)));
    found
        .into_iter()
        .map(|(index, _, cause)| (index, cause))
        .collect()
}

/// In percent, of a pod that has had requests.
fn success(tally: Tally) -> f64 {
    100.0 * tally.succeeded as f64 / tally.requests() as f64
}

/// The same for people.
fn percent(part: u64, tally: Tally) -> u64 {
    part.saturating_mul(100) / tally.requests().max(1)
}

fn mean_percent(compared: &[(usize, Tally)]) -> u64 {
    let rates = compared
        .iter()
        .map(|(_, tally)| percent(tally.succeeded, *tally));
    rates.sum::<u64>() / (compared.len() as u64).max(1)
}

/// The success rate below which a pod stands out.
fn floor(compared: &[(usize, Tally)], stdevs: f64) -> f64 {
    let count = compared.len() as f64;
    let rates = || compared.iter().map(|(_, tally)| success(*tally));
    let mean = rates().sum::<f64>() / count;
    let variance = rates().map(|rate| (rate - mean).powi(2)).sum::<f64>() / count;
    mean - stdevs * variance.sqrt()
}

/// What rounding may make of equal rates.
const ROUNDING: f64 = 1e-6;

fn by_success_rate(tally: Tally, floor: Option<(f64, u64)>) -> Option<Cause> {
    let (floor, mean) = floor?;
    (success(tally) < floor - ROUNDING).then(|| Cause::SuccessRate {
        rate: percent(tally.succeeded, tally),
        mean,
    })
}

fn by_failures(tally: Tally, percentage: Option<f64>) -> Option<Cause> {
    let failed = 100.0 - success(tally);
    (failed >= percentage? - ROUNDING).then(|| Cause::Failures {
        percent: percent(tally.failed, tally),
    })
}

/// How long the pod's successes took on average, where there were enough of them.
fn mean(tally: Tally, settings: &Outliers) -> Option<u64> {
    (tally.succeeded >= settings.min_requests.max(1)).then(|| tally.micros / tally.succeeded)
}

/// The lower one of two in the middle: of two pods the slow one can stand out.
fn median(compared: &[(usize, Tally)], settings: &Outliers) -> Option<u64> {
    let means = compared
        .iter()
        .filter_map(|(_, tally)| mean(*tally, settings));
    let mut means: Vec<u64> = means.collect();
    means.sort_unstable();
    // Those that fail too much to be timed leave too few to compare with.
    let enough = means.len() >= settings.min_pods;
    let middle = means.len().saturating_sub(1) / 2;
    means.get(middle).copied().filter(|_| enough)
}

fn by_latency(tally: Tally, ceiling: Option<(u64, f64)>, settings: &Outliers) -> Option<Cause> {
    let (median, factor) = ceiling?;
    let mean = mean(tally, settings)?;
    (mean as f64 > median as f64 * factor).then_some(Cause::Latency {
        micros: mean,
        median,
    })
}

#[cfg(test)]
mod tests;
