//! From raw flags to [`Config`]: which source on which listener, and what this pod is.

mod ejection;
mod health_check;
mod outliers;
mod overload;
mod policies;
mod retries;
mod slow_start;
mod upstream_tls;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::Refusal;
use super::flags::{EndpointArgs, LimitArgs, ListenerArgs, RunArgs, TimeoutArgs};

use crate::config::{
    Config, FixedPod, KubeAccess, Limits, OwnPod, Policy, ServiceRef, Source, Subset, Target,
    Timeouts,
};
use crate::endpoint::USUAL_WEIGHT;
use crate::net::overlap;
use crate::value::ServiceArg;

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
    let targets = targets(
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

/// Exactly one source for each listener, no listener twice, no name twice.
fn targets(
    args: EndpointArgs,
    listeners: &ListenerArgs,
    namespace: Option<&str>,
    origin: &Origin<'_>,
) -> Result<Vec<Target>, Refusal> {
    let mut claims = Vec::new();
    for service in args.services {
        let listen = service.listen.unwrap_or(listeners.listen);
        let service = service_ref(service, namespace)?;
        let by = format!("{} {service}", origin.flag("services"));
        claims.push((by, listen, Source::Service(service)));
    }
    if let Some(file) = args.endpoint_slices {
        let by = format!("{} {}", origin.flag("endpoint_slices"), file.path.display());
        let source = Source::File {
            path: file.path,
            service: file.service,
        };
        claims.push((by, listeners.listen, source));
    }
    if !args.endpoints.is_empty() {
        if let Some(twice) = first_repeated(&args.endpoints) {
            return Err(Refusal::usage(format_args!(
                "{} names {twice} twice: give each pod once",
                origin.flag("endpoints")
            )));
        }
        let by = origin.flag("endpoints").to_string();
        claims.push((by, listeners.listen, Source::Fixed(args.endpoints)));
    }
    if claims.is_empty() {
        return Err(Refusal::usage(
            "nowhere to send requests to: give --service NAMESPACE/NAME[:PORT], \
             or without a cluster --endpoint ADDR:PORT[,...] or --endpoint-slices FILE",
        ));
    }
    check_listeners(&claims, listeners.admin, origin)?;
    let sources: Vec<&Source> = claims.iter().map(|(_, _, source)| source).collect();
    let policies = policies::resolve(&args.policies, &sources, namespace, origin)?;
    let targets: Vec<Target> = claims
        .into_iter()
        .zip(policies)
        .map(|((_, listen, source), policy)| Target {
            listen,
            source,
            policy,
        })
        .collect();
    for target in &targets {
        check_weights(target, origin)?;
    }
    check_names(&targets)?;
    Ok(targets)
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

fn service_ref(service: ServiceArg, namespace: Option<&str>) -> Result<ServiceRef, Refusal> {
    let Some(namespace) = service.namespace.or_else(|| namespace.map(str::to_owned)) else {
        return Err(Refusal::usage(format_args!(
            "--service {0} names no namespace, and this is no pod that has one: \
             write --service NAMESPACE/{0}, or add --namespace NAME",
            service.name
        )));
    };
    Ok(ServiceRef {
        namespace,
        name: service.name,
        port: service.port,
    })
}

fn check_listeners(
    claims: &[(String, SocketAddr, Source)],
    admin: SocketAddr,
    origin: &Origin<'_>,
) -> Result<(), Refusal> {
    for (index, (by, listen, _)) in claims.iter().enumerate() {
        let other = claims[..index]
            .iter()
            .find(|(_, other, _)| overlap(*other, *listen));
        if let Some((other, _, _)) = other {
            return Err(Refusal::usage(format_args!(
                "two sources on one listener, {listen}: {other} and {by}; drop one, \
                 or give a Service its own with --service LISTEN=NAMESPACE/NAME"
            )));
        }
        if overlap(*listen, admin) {
            return Err(Refusal::usage(format_args!(
                "{by} and {} {admin} are on one listener: give one of them another port",
                origin.flag("admin")
            )));
        }
    }
    Ok(())
}

/// Names tell targets apart in logs, `/state` and metrics.
fn check_names(targets: &[Target]) -> Result<(), Refusal> {
    let mut listeners = HashMap::new();
    for target in targets {
        if let Some(other) = listeners.insert(target.name(), target.listen) {
            return Err(Refusal::usage(format_args!(
                "--service {} is given twice, on {other} and {}: one listener serves it",
                target.name(),
                target.listen
            )));
        }
    }
    Ok(())
}

fn first_repeated(pods: &[FixedPod]) -> Option<SocketAddr> {
    let repeated = |(index, pod): &(usize, &FixedPod)| {
        let mut before = pods[..*index].iter();
        before.any(|before| before.address == pod.address)
    };
    let repeated = pods.iter().enumerate().find(repeated);
    repeated.map(|(_, pod)| pod.address)
}

/// A weight that the policy makes nothing of is one that somebody counts on in vain.
fn check_weights(target: &Target, origin: &Origin<'_>) -> Result<(), Refusal> {
    let Source::Fixed(pods) = &target.source else {
        return Ok(());
    };
    let policy = &target.policy;
    let weighty = pods.iter().find(|pod| pod.weight > USUAL_WEIGHT);
    match weighty {
        Some(FixedPod { address, weight }) if *policy != Policy::Weighted => {
            Err(Refusal::usage(format_args!(
                "{} gives {address} the weight {weight}, of which {} {policy} makes nothing: \
                 add --policy weighted, or leave the weight out",
                origin.flag("endpoints"),
                origin.flag("policies")
            )))
        }
        _ => Ok(()),
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

/// Says of a flag whether it was typed or came from the environment.
pub(super) struct Origin<'a> {
    /// What the variables of the command's flags begin with.
    prefix: &'static str,
    matches: Option<&'a ArgMatches>,
}

impl<'a> Origin<'a> {
    pub(super) fn of(prefix: &'static str, matches: Option<&'a ArgMatches>) -> Self {
        Self { prefix, matches }
    }

    /// Whether it was typed or set in the environment, and not left at its default.
    pub(super) fn is_given(&self, id: &str) -> bool {
        let source = self.matches.and_then(|matches| matches.value_source(id));
        matches!(
            source,
            Some(ValueSource::CommandLine | ValueSource::EnvVariable)
        )
    }

    /// The first of these flags that was.
    pub(super) fn first_given(&self, ids: &[&str]) -> Option<FlagName> {
        let given = ids.iter().find(|id| self.is_given(id));
        given.map(|id| self.flag(id))
    }

    /// `--listen`, or `--listen (PODROBIN_LISTEN)` where the environment set it.
    pub(super) fn flag(&self, id: &str) -> FlagName {
        let from_environment = self
            .matches
            .is_some_and(|matches| matches.value_source(id) == Some(ValueSource::EnvVariable));
        FlagName {
            long: match id {
                "services" => "service".to_owned(),
                "endpoints" => "endpoint".to_owned(),
                "policies" => "policy".to_owned(),
                _ => id.replace('_', "-"),
            },
            prefix: from_environment.then_some(self.prefix),
        }
    }
}

pub(super) struct FlagName {
    long: String,
    /// What its variable begins with, where that has set it.
    prefix: Option<&'static str>,
}

impl fmt::Display for FlagName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--{}", self.long)?;
        if let Some(prefix) = self.prefix {
            let variable = self.long.replace('-', "_").to_uppercase();
            write!(f, " ({prefix}{variable})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
