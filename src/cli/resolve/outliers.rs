//! Outliers: pods are compared only where one of the thresholds is given.

use super::super::Refusal;
use super::super::flags::OutlierArgs;
use super::Origin;
use crate::config::Outliers;

pub(super) fn resolve(
    args: &OutlierArgs,
    origin: &Origin<'_>,
) -> Result<Option<Outliers>, Refusal> {
    let settings = Outliers {
        success_rate: args.eject_success_rate,
        failure_percentage: args.eject_failure_percentage,
        latency: args.eject_latency,
        interval: args.eject_interval.0,
        min_requests: args.eject_min_requests,
        min_pods: args.eject_min_pods,
    };
    let thresholds = [
        settings.success_rate,
        settings.failure_percentage,
        settings.latency,
    ];
    if thresholds.iter().any(Option::is_some) {
        return Ok(Some(settings));
    }
    match origin.first_given(&["eject_interval", "eject_min_requests", "eject_min_pods"]) {
        Some(flag) => Err(Refusal::usage(format_args!(
            "{flag} says how pods are compared, but nothing says by what: add --eject-success-rate STDEVS, \
             --eject-failure-percentage PERCENT or --eject-latency FACTOR"
        ))),
        None => Ok(None),
    }
}
