//! Active checks: off, unless it is said what a check does; and which flags go together.

use super::super::Refusal;
use super::super::flags::HealthCheckArgs;
use super::Origin;
use crate::config::{HealthCheck, NewPods, Probe, Statuses, Thresholds};

pub(super) fn resolve(
    args: HealthCheckArgs,
    origin: &Origin<'_>,
) -> Result<Option<HealthCheck>, Refusal> {
    let Some(probe) = args.health_check else {
        return off(args.new_pods, origin);
    };
    let alone = origin.first_given(&["health_check_host", "health_check_statuses"]);
    if let (Some(flag), Probe::Tcp | Probe::Grpc(_)) = (alone, &probe) {
        return Err(Refusal::usage(format_args!(
            "{} is for checks over HTTP, and {} is {probe}: drop it, or take --health-check http:/PATH",
            flag,
            origin.flag("health_check")
        )));
    }
    let mut statuses = Statuses::default();
    for range in args.health_check_statuses {
        statuses.add(range);
    }
    Ok(Some(HealthCheck {
        probe,
        interval: args.health_check_interval.0,
        timeout: args.health_check_timeout.0,
        thresholds: Thresholds {
            unhealthy_after: args.health_check_unhealthy_after,
            healthy_after: args.health_check_healthy_after,
        },
        statuses,
        host: args.health_check_host,
        port: args.health_check_at.map(Into::into),
        new_pods: args.new_pods,
    }))
}

fn off(new_pods: NewPods, origin: &Origin<'_>) -> Result<Option<HealthCheck>, Refusal> {
    if new_pods == NewPods::Wait {
        return Err(Refusal::usage(format_args!(
            "{} wait lets new pods wait for a check that nobody makes: \
             add --health-check http:/PATH, tcp or grpc",
            origin.flag("new_pods")
        )));
    }
    let details = [
        "health_check_interval",
        "health_check_timeout",
        "health_check_unhealthy_after",
        "health_check_healthy_after",
        "health_check_statuses",
        "health_check_host",
        "health_check_at",
    ];
    match origin.first_given(&details) {
        Some(flag) => Err(Refusal::usage(format_args!(
            "{flag} says how pods are checked, and they are not: \
             add --health-check http:/PATH, tcp or grpc"
        ))),
        None => Ok(None),
    }
}
