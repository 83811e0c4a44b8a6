//! Where the sidecar listens for each Service, and under which names the app finds it there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Refusal;
use super::annotations::{ADMIN_PORT, CAPTURE, LISTEN, POLICY, SERVICE};
use super::request::Request;
use crate::config::PortRef;
use crate::net::{overlap, reachable};
use crate::value::{self, PolicyArg, ServiceArg, Stray};

/// One Service's listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) service: ServiceArg,
    pub(super) address: SocketAddr,
}

/// A captured Service's address in this pod, and its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Captured {
    pub(super) address: Ipv4Addr,
    pub(super) names: Vec<String>,
}

/// All listeners of a sidecar, in the order of the annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listeners {
    pub(super) each: Vec<Listener>,
    /// Empty without capture.
    pub(super) captured: Vec<Captured>,
    pub(super) admin: SocketAddr,
}

/// As `podrobin run` has them.
const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);
pub(super) const DEFAULT_ADMIN_PORT: u16 = 9800;

/// Ports that only those with rights may use, unless the pod says otherwise.
pub(super) const FIRST_FREE_PORT: u16 = 1024;

/// Namespace and name of the API server's Service.
const API_SERVER: (&str, &str) = ("default", "kubernetes");

/// Services of one sidecar: captured ones have 127.0.1.1 to 127.0.1.254.
pub(super) const MOST_SERVICES: usize = 254;

impl Listeners {
    /// `namespace` is the pod's own; `domain` what DNS names of the cluster end with.
    pub(super) fn of(
        request: &Request,
        namespace: Option<&str>,
        domain: &str,
    ) -> Result<Self, Refusal> {
        let mut problems = Vec::new();
        let (each, captured) = match request.capture {
            true => capture(request, namespace, domain, &mut problems),
            false => (beside(request, &mut problems), Vec::new()),
        };
        let port = request.admin_port.unwrap_or(DEFAULT_ADMIN_PORT);
        let listeners = Self {
            each,
            captured,
            admin: SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port),
        };
        if problems.is_empty() {
            problems = listeners.contradictions(namespace);
            problems.extend(listeners.stray_policies(&request.policies, namespace));
        }
        match Refusal::of(&problems) {
            Some(refusal) => Err(refusal),
            None => Ok(listeners),
        }
    }

    /// Those of a sidecar that is there already, by its own variables; what cannot be read has none.
    pub(super) fn of_variables(services: &str, listen: Option<&str>) -> Vec<Listener> {
        let default = listen
            .and_then(|text| value::listen(text).ok())
            .unwrap_or(DEFAULT_LISTEN);
        services
            .split(',')
            .filter_map(|text| text.parse().ok())
            .map(|service: ServiceArg| Listener {
                address: service.listen.unwrap_or(default),
                service,
            })
            .collect()
    }

    /// The value of `PODROBIN_SERVICE`: the annotation as it is, or with the addresses that capture has given.
    pub(super) fn variable(&self, annotation: &str) -> String {
        if self.captured.is_empty() {
            return annotation.to_owned();
        }
        let entry = |(listener, text)| format!("{}={text}", address(listener));
        let entries: Vec<String> = self
            .each
            .iter()
            .zip(annotation.split(','))
            .map(entry)
            .collect();
        entries.join(",")
    }

    /// Policies that nobody has, or one has twice: `podrobin run` refuses them too.
    fn stray_policies(&self, policies: &[PolicyArg], namespace: Option<&str>) -> Vec<String> {
        let is_served = |name: &ServiceArg| {
            let mut served = self.each.iter();
            served.any(|listener| name.names(&listener.service, namespace))
        };
        PolicyArg::strays(policies, is_served)
            .map(|stray| match stray {
                Stray::Second(_, policy) => {
                    let whose = match &policy.service {
                        Some(service) => service.to_string(),
                        None => "all".to_owned(),
                    };
                    format!("annotation {POLICY} has two policies for {whose}: one is enough")
                }
                Stray::Nobodys(_, service) => format!(
                    "annotation {POLICY} has a policy for {service}, which annotation {SERVICE} does not name: write \
                     it as there"
                ),
            })
            .collect()
    }

    /// What `podrobin run` would refuse to start with.
    fn contradictions(&self, namespace: Option<&str>) -> Vec<String> {
        let mut problems = Vec::new();
        for (index, listener) in self.each.iter().enumerate() {
            let before = &self.each[..index];
            let name = &listener.service;
            if before
                .iter()
                .any(|other| same(&other.service, &listener.service, namespace))
            {
                problems.push(format!(
                    "annotation {SERVICE} names {name} twice: once is enough"
                ));
            } else if let Some(other) = before
                .iter()
                .find(|other| overlap(other.address, listener.address))
            {
                problems.push(format!(
                    "{} and {name} are both to be reached at {}: give one of them a listener of its own in \
                     annotation {SERVICE}, such as 9001={name}",
                    other.service,
                    listener.address
                ));
            }
            if overlap(listener.address, self.admin) {
                problems.push(format!(
                    "{name} is to be reached on port {}, which is the sidecar's own for probes: give another \
                     with annotation {ADMIN_PORT}",
                    self.admin.port()
                ));
            }
        }
        problems
    }
}

/// Each on its own listener or the common one.
fn beside(request: &Request, problems: &mut Vec<String>) -> Vec<Listener> {
    let common = request
        .listen
        .as_ref()
        .map_or(DEFAULT_LISTEN, |(_, address)| *address);
    let listeners: Vec<Listener> = request
        .services
        .iter()
        .map(|service| Listener {
            service: service.clone(),
            address: service.listen.unwrap_or(common),
        })
        .collect();
    for listener in &listeners {
        let name = &listener.service;
        if listener.address.port() == 0 {
            problems.push(format!(
                "annotation {SERVICE} puts {name} on port 0, where nobody would find it: give a port, such as \
                 9001={name}"
            ));
        }
        if is_captured(listener.address.ip()) {
            problems.push(format!(
                "{name} is to be reached at {}, but 127.0.1.0/24 is for captured Services: take 127.0.0.1, or \
                 annotation {CAPTURE}: \"true\"",
                listener.address
            ));
        }
    }
    listeners
}

/// Each on its Service's own port, at an address for the Service.
fn capture(
    request: &Request,
    namespace: Option<&str>,
    domain: &str,
    problems: &mut Vec<String>,
) -> (Vec<Listener>, Vec<Captured>) {
    if request.listen.is_some() {
        problems.push(format!(
            "annotation {LISTEN} has no meaning with {CAPTURE}, where a Service is reached by its own name and \
             port: drop one of them"
        ));
    }
    let Some(namespace) = namespace else {
        problems.push(format!(
            "which names {CAPTURE} has to lead to the sidecar depends on the pod's namespace, which is not known: \
             write metadata.namespace, or give `podrobin inject` --namespace NAME"
        ));
        return (Vec::new(), Vec::new());
    };
    let mut services: Vec<(&str, &str)> = Vec::new();
    let mut listeners = Vec::new();
    let mut captured = Vec::new();
    for service in &request.services {
        let name = service.to_string();
        if let Some(address) = service.listen {
            problems.push(format!(
                "annotation {SERVICE} puts {name} on {address}, and {CAPTURE} on its own port: drop one of them"
            ));
        }
        let PortRef::Number(port) = service.port else {
            problems.push(format!(
                "{CAPTURE} needs the port of {name} as a number, the one that callers of the Service use: write {}:80 \
                 or what it is",
                name.split(':').next().unwrap_or_default()
            ));
            continue;
        };
        let own = service.namespace.as_deref().unwrap_or(namespace);
        let key = (own, service.name.as_str());
        if key == API_SERVER {
            problems.push(format!(
                "{CAPTURE} is not for the API server, which speaks TLS, and which the sidecar itself needs: leave \
                 {name} out"
            ));
        }
        let index = services
            .iter()
            .position(|known| *known == key)
            .unwrap_or_else(|| {
                services.push(key);
                services.len() - 1
            });
        // There are no more than have an address: see `MOST_SERVICES`.
        let number = u8::try_from(index + 1).unwrap_or(u8::MAX);
        let address = Ipv4Addr::new(127, 0, 1, number);
        if captured.len() < services.len() {
            captured.push(Captured {
                address,
                names: dns_names(key, namespace, domain),
            });
        }
        listeners.push(Listener {
            service: service.clone(),
            address: SocketAddr::new(address.into(), port),
        });
    }
    (listeners, captured)
}

/// The names that lead to a Service. Its bare one does so only for pods of its namespace.
fn dns_names((own, name): (&str, &str), namespace: &str, domain: &str) -> Vec<String> {
    let bare = (own == namespace).then(|| name.to_owned());
    let qualified = [
        format!("{name}.{own}"),
        format!("{name}.{own}.svc"),
        format!("{name}.{own}.svc.{domain}"),
    ];
    bare.into_iter().chain(qualified).collect()
}

pub(super) fn is_captured(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.octets()[..3] == [127, 0, 1])
}

/// Whether two entries are one target, for which there is one listener.
fn same(one: &ServiceArg, other: &ServiceArg, namespace: Option<&str>) -> bool {
    let full = |service: &ServiceArg| {
        service
            .namespace
            .as_deref()
            .or(namespace)
            .map(str::to_owned)
    };
    one.name == other.name && one.port == other.port && full(one) == full(other)
}

/// What a client in the pod connects to.
pub(super) fn address(listener: &Listener) -> SocketAddr {
    reachable(listener.address)
}
