//! Which source is on which listener.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::{Origin, Refusal, policies};
use crate::cli::flags::{EndpointArgs, ListenerArgs};
use crate::config::{FixedPod, Policy, ServiceRef, Source, Target};
use crate::endpoint::USUAL_WEIGHT;
use crate::net::overlap;
use crate::value::ServiceArg;

/// Exactly one source for each listener, no listener twice, no name twice.
pub(super) fn resolve(
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
