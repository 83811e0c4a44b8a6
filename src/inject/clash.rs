//! What in a pod stands in the sidecar's way, or would be broken by it. Each problem is a sentence with its mend.

use std::net::SocketAddr;

use serde_json::Value;

use super::annotations::{ADMIN_PORT, CAPTURE, LISTEN, SERVICE, SIDECAR};
use super::listeners::Listeners;
use super::pod::{
    self, CONTAINER, CONTAINERS, HOST_ALIASES, INIT_CONTAINERS, LOW_PORTS, VOLUME, VOLUMES,
};
use super::{Quantity, Resources, SidecarMode, annotations, host_aliases};

/// `pod` holds no injection.
pub(super) fn find(
    pod: &Value,
    listeners: &Listeners,
    mode: SidecarMode,
    resources: &Resources,
) -> Vec<String> {
    let mut problems = shape(pod);
    if problems.is_empty() {
        problems.extend(kind_of_pod(pod, mode));
        problems.extend(names(pod));
        problems.extend(ports(pod, listeners));
        problems.extend(aliases(pod, listeners));
        problems.extend(low_ports(pod, listeners));
        problems.extend(amounts(resources));
    }
    problems
}

/// What is no pod cannot be given back as one.
fn shape(pod: &Value) -> Vec<String> {
    let Some(spec) = pod.get("spec").and_then(Value::as_object) else {
        return vec!["it has no spec: give a whole pod".to_owned()];
    };
    let mut problems = Vec::new();
    for key in [CONTAINERS, INIT_CONTAINERS, VOLUMES, HOST_ALIASES] {
        if spec
            .get(key)
            .is_some_and(|list| !list.is_null() && !list.is_array())
        {
            problems.push(format!("its spec.{key} is no list: make it one"));
        }
    }
    let context = spec
        .get(pod::SECURITY_CONTEXT)
        .filter(|context| !context.is_null());
    if context.is_some_and(|context| !context.is_object()) {
        problems.push("its spec.securityContext is no object: make it one".to_owned());
    }
    let sysctls = context.and_then(|context| context.get(pod::SYSCTLS));
    if sysctls.is_some_and(|list| !list.is_null() && !list.is_array()) {
        problems.push("its spec.securityContext.sysctls is no list: make it one".to_owned());
    }
    for container in pod::containers(pod) {
        let env = container.get("env").filter(|env| !env.is_null());
        if !container.is_object() || env.is_some_and(|env| !env.is_array()) {
            problems.push(
                "one of its containers is none: give each a name, and env as a list".to_owned(),
            );
        }
    }
    problems
}

fn kind_of_pod(pod: &Value, mode: SidecarMode) -> Vec<String> {
    let mut problems = Vec::new();
    let field = |path: &str| pod.pointer(path);
    if field("/spec/hostNetwork").and_then(Value::as_bool) == Some(true) {
        problems.push(
            "it uses the node's network (hostNetwork), where the sidecar's ports would be the whole node's: drop \
             hostNetwork, or leave the pod without podrobin"
                .to_owned(),
        );
    }
    // Whoever runs both kinds of nodes selects by the label, with the field or without.
    let windows = ["/spec/os/name", "/spec/nodeSelector/kubernetes.io~1os"];
    let is_windows = |path: &&str| field(path).and_then(Value::as_str) == Some("windows");
    if windows.iter().any(is_windows) {
        problems.push(
            "it runs on Windows, and the sidecar on Linux alone: leave the pod without podrobin"
                .to_owned(),
        );
    }
    let restarts = field("/spec/restartPolicy")
        .and_then(Value::as_str)
        .unwrap_or("Always");
    if mode == SidecarMode::Plain && restarts != "Always" {
        problems.push(format!(
            "it is to end by itself (restartPolicy: {restarts}), and a plain sidecar would go on: use \
             {SIDECAR}: \"native\", or leave the pod without podrobin"
        ));
    }
    problems
}

fn names(pod: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    if pod::containers(pod).any(|container| pod::name(container) == CONTAINER) {
        problems.push(format!(
            "it has a container {CONTAINER} that was not injected: remove that, or the annotation {SERVICE}"
        ));
    }
    if pod::items(pod, VOLUMES).any(|volume| pod::name(volume) == VOLUME) {
        problems.push(format!(
            "it has a volume {VOLUME} of its own: give that another name"
        ));
    }
    problems
}

/// Ports that containers say they listen on. What they do not say cannot be seen here.
fn ports(pod: &Value, listeners: &Listeners) -> Vec<String> {
    let mut problems = Vec::new();
    for container in pod::containers(pod) {
        for port in container_ports(container) {
            let wide = SocketAddr::new(std::net::Ipv6Addr::UNSPECIFIED.into(), port);
            let name = pod::name(container);
            if listeners.admin.port() == port {
                problems.push(format!(
                    "container {name} uses port {port}, as the sidecar does for its probes: give the sidecar another \
                     with annotation {ADMIN_PORT}"
                ));
            }
            let taken = listeners
                .each
                .iter()
                .find(|listener| crate::net::overlap(listener.address, wide));
            if let Some(taken) = taken {
                let service = &taken.service;
                let mend = match listeners.captured.is_empty() {
                    true => format!(
                        "give it another with annotation {LISTEN}, or as LISTEN= in {SERVICE}"
                    ),
                    false => format!("go without {CAPTURE}, or let the container use another port"),
                };
                problems.push(format!(
                    "container {name} uses port {port}, where the sidecar is to listen for {service}: {mend}"
                ));
            }
        }
    }
    problems
}

/// Of TCP, which is what a port is where nothing is said.
fn container_ports(container: &Value) -> impl Iterator<Item = u16> {
    let ports = container.get("ports").and_then(Value::as_array);
    let tcp = |port: &&Value| {
        port.get("protocol")
            .and_then(Value::as_str)
            .unwrap_or("TCP")
            == "TCP"
    };
    ports
        .into_iter()
        .flatten()
        .filter(tcp)
        .filter_map(|port| u16::try_from(port.get("containerPort")?.as_u64()?).ok())
}

fn aliases(pod: &Value, listeners: &Listeners) -> Vec<String> {
    let mut problems = Vec::new();
    for captured in &listeners.captured {
        for alias in pod::items(pod, HOST_ALIASES) {
            if host_aliases::ip(alias) == Some(captured.address.into()) {
                problems.push(format!(
                    "its hostAliases use {}, which {CAPTURE} needs: use an address outside 127.0.1.0/24",
                    captured.address
                ));
            }
            let named = host_aliases::names(alias)
                .find(|name| captured.names.iter().any(|own| own == name));
            if let Some(name) = named {
                problems.push(format!(
                    "its hostAliases lead {name} elsewhere already: drop that name there, or the Service from \
                     {SERVICE}"
                ));
            }
        }
    }
    problems
}

fn low_ports(pod: &Value, listeners: &Listeners) -> Option<String> {
    let lowest = pod::lowest_port(listeners)?;
    let (text, first) = pod::low_ports(pod)?;
    (first > lowest).then(|| {
        format!(
            "its sysctl {LOW_PORTS} is {text}, and the sidecar is to listen on port {lowest}: set it to 0, or drop it"
        )
    })
}

/// The API server refuses a request above its limit, and does not know where either comes from.
fn amounts(resources: &Resources) -> Vec<String> {
    let too_much = |request: &Option<Quantity>, limit: &Option<Quantity>, names: [&str; 2]| {
        let (request, limit) = (request.as_ref()?, limit.as_ref()?);
        (request > limit).then(|| {
            format!(
                "the sidecar would request {request} and be limited to {limit}: raise {} or lower {}",
                names[1], names[0]
            )
        })
    };
    let cpu = [annotations::CPU_REQUEST, annotations::CPU_LIMIT];
    let memory = [annotations::MEMORY_REQUEST, annotations::MEMORY_LIMIT];
    [
        too_much(&resources.cpu_request, &resources.cpu_limit, cpu),
        too_much(&resources.memory_request, &resources.memory_limit, memory),
    ]
    .into_iter()
    .flatten()
    .collect()
}
