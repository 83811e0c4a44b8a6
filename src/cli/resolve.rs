//! From raw flags to [`Config`]: which source on which listener, and what this pod is.

mod ejection;
mod health_check;
mod origin;
mod outliers;
mod overload;
mod policies;
mod retries;
mod slow_start;
mod targets;
mod upstream_tls;

use std::num::NonZeroUsize;

use clap::ArgMatches;

use super::Refusal;
use super::flags::{LimitArgs, RunArgs, TimeoutArgs};
use crate::config::{Config, KubeAccess, Limits, OwnPod, Subset, Timeouts};

pub(super) use origin::Origin;

/// What the process finds around it; read once at start, handed in so that resolving stays pure.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The service account's namespace, in a pod.
    pub namespace: Option<String>,
    /// Worker threads that suit the CPU limit.
    pub workers: NonZeroUsize,
}

/// Where a pod finds its own namespace.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

impl Surroundings {
    pub fn read() -> Self {
        Self {
            namespace: std::fs::read_to_string(NAMESPACE_FILE)
                .ok()
                .map(|text| text.trim().to_owned())
                .filter(|name| !name.is_empty()),
            workers: crate::cpu::suitable_workers(),
        }
    }
}

pub(super) fn config(
    args: RunArgs,
    matches: Option<&ArgMatches>,
    surroundings: &Surroundings,
) -> Result<Config, Refusal> {
    let origin = Origin::of("PODROBIN_", matches);
    let kubernetes = args.kubernetes;
    if kubernetes.context.is_some() && kubernetes.kubeconfig.is_none() {
        return Err(Refusal::usage(format_args!(
            "{} names a context, but there is no kubeconfig to find it in: add --kubeconfig FILE",
            origin.flag("context")
        )));
    }
    let namespace = kubernetes
        .namespace
        .or_else(|| surroundings.namespace.clone());
    let upstream_protocol = args.endpoints.upstream_protocol;
    let by_service =
        args.endpoints.endpoints.is_empty() && args.endpoints.endpoint_slices.is_none();
    let upstream_tls = upstream_tls::resolve(args.tls, by_service, &origin)?;
    let subset = subset(
        args.endpoints.max_endpoints,
        kubernetes.pod_name.as_deref(),
        &origin,
    )?;
    let timeouts = timeouts(&args.timeouts);
    let retry = args.retries.settings();
    retries::check(&retry, &timeouts, &origin)?;
    let targets = targets::resolve(
        args.endpoints,
        &args.listeners,
        namespace.as_deref(),
        &origin,
    )?;
    let workers = args.listeners.workers.and_then(NonZeroUsize::new);
    let workers = workers.unwrap_or(surroundings.workers);
    let overload = overload::resolve(&args.overload, workers, &origin)?;
    let outliers = outliers::resolve(&args.outliers, &origin)?;
    let health_check = health_check::resolve(args.health_check, &origin)?;
    let beside = ejection::Beside {
        outliers: outliers.as_ref(),
        is_checked: health_check.is_some(),
        targets: &targets,
    };
    let ejection = ejection::resolve(&args.ejection, &beside, &origin)?;
    Ok(Config {
        targets,
        admin: args.listeners.admin,
        workers,
        kube: KubeAccess {
            kubeconfig: kubernetes.kubeconfig,
            context: kubernetes.context,
            server: None,
        },
        pod: OwnPod {
            name: kubernetes.pod_name,
            namespace,
            node: kubernetes.node,
            zone: kubernetes.zone,
            ip: kubernetes.pod_ip,
            family: kubernetes.address_family,
        },
        subset,
        health_check,
        slow_start: slow_start::resolve(&args.slow_start, &origin)?,
        ejection,
        outliers,
        panic_threshold: args.ejection.panic_threshold,
        failures: args.failures.settings(),
        limits: limits(&args.limits),
        overload,
        timeouts,
        retry,
        upstream_protocol,
        upstream_tls,
        access_log: args.access_log.access_log.format(),
    })
}

/// Without a name of their own all sidecars would choose the same pods.
fn subset(
    most: Option<usize>,
    pod: Option<&str>,
    origin: &Origin<'_>,
) -> Result<Option<Subset>, Refusal> {
    match (most, pod) {
        (None, _) => Ok(None),
        (Some(most), Some(pod)) => Ok(Some(Subset {
            most,
            own: pod.to_owned(),
        })),
        (Some(_), None) => Err(Refusal::usage(format_args!(
            "{} needs the pod's own name, by which its choice differs from the others': add --pod-name NAME \
             (or PODROBIN_POD_NAME, by fieldRef metadata.name)",
            origin.flag("max_endpoints")
        ))),
    }
}

fn limits(args: &LimitArgs) -> Limits {
    Limits {
        header_bytes: args.max_header_bytes.0,
        header_count: args.max_header_count,
        connections: args.max_connections,
        requests: args.max_requests,
        upgrades: args.max_upgrades,
        held: args.max_held,
        idle_per_pod: args.max_idle_per_pod,
        idle_total: args.max_idle,
        replay_bytes: args.max_replay_bytes.0,
    }
}

fn timeouts(args: &TimeoutArgs) -> Timeouts {
    Timeouts {
        connect: args.connect_timeout.0,
        header: args.header_timeout.0,
        client_idle: args.client_idle_timeout.0,
        client_stall: args.client_stall.0,
        upstream_idle: args.upstream_idle_timeout.0,
        upstream_keepalive: args.upstream_keepalive.0,
        response: args.response_timeout.0,
        request: args.request_timeout.0,
        tunnel_idle: args.tunnel_idle_timeout.0,
        hold: args.hold.0,
        drain: args.drain.0,
    }
}

#[cfg(test)]
mod tests;
