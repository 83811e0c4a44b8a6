//! What is kept of an EndpointSlice.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::SystemTime;

use k8s_openapi::api::discovery::v1 as api;

use super::family::IpFamily;
use super::ports::{Port, port_number};
use super::{Backend, Fault, Slice, known, quote};
use crate::endpoint::weight;

/// When the change that led to this slice happened, as the EndpointSlice controller writes it down.
pub(super) const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// The weight of each endpoint of a slice: for whoever writes slices by hand, as for a canary.
pub(super) const WEIGHT: &str = "podrobin.io/weight";

/// Hints of one kind that an endpoint may have; the API server takes no more (`maxNodeHints`, `maxZoneHints` of its
/// validation).
pub(super) const MOST_HINTS: usize = 8;

/// A slice in the making, entry by entry: whatever comes in, only what is kept stays in memory.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) triggered: Option<SystemTime>,
    /// As it is written.
    pub(super) weight: Option<String>,
    pub(super) ports: Ports,
    pub(super) backends: Backends,
}

/// TCP ports by their name, which the API server lets a slice use once.
#[derive(Debug, Default)]
pub(super) struct Ports {
    by_name: BTreeMap<String, Port>,
    /// The least name that came again with another number or protocol.
    twice: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Backends {
    good: Vec<Backend>,
    faults: BTreeMap<Fault, String>,
}

/// An entry of `endpoints`, as far as it matters.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// Only `addresses[0]` counts: the API says that all addresses of an endpoint are fungible and that clients may use
    /// the first alone (kubernetes#106267), and kube-proxy does.
    pub(super) address: Option<String>,
    pub(super) ready: Option<bool>,
    pub(super) serving: Option<bool>,
    pub(super) terminating: Option<bool>,
    pub(super) uid: Option<String>,
    pub(super) pod: Option<String>,
    pub(super) node: Option<String>,
    pub(super) zone: Option<String>,
    pub(super) for_nodes: Vec<String>,
    pub(super) for_zones: Vec<String>,
}

impl From<api::EndpointSlice> for Slice {
    fn from(object: api::EndpointSlice) -> Self {
        let annotations = object.metadata.annotations.as_ref();
        let mut draft = Draft {
            triggered: annotations
                .and_then(|annotations| annotations.get(TRIGGER_TIME))
                .and_then(|text| trigger_time(text)),
            weight: annotations.and_then(|annotations| annotations.get(WEIGHT).cloned()),
            ..Draft::default()
        };
        for port in object.ports.unwrap_or_default() {
            draft.ports.add(Port::read(
                port.name,
                port.port.and_then(port_number),
                port.protocol.as_deref(),
                port.app_protocol,
            ));
        }
        for endpoint in object.endpoints.unwrap_or_default() {
            draft.backends.add(endpoint.into());
        }
        draft.finish(&object.address_type)
    }
}

impl From<api::Endpoint> for Entry {
    fn from(endpoint: api::Endpoint) -> Self {
        let conditions = endpoint.conditions.unwrap_or_default();
        let target = endpoint.target_ref.unwrap_or_default();
        let hints = endpoint.hints.unwrap_or_default();
        let nodes = hints.for_nodes.into_iter().flatten().map(|hint| hint.name);
        let zones = hints.for_zones.into_iter().flatten().map(|hint| hint.name);
        Self {
            address: endpoint.addresses.into_iter().next(),
            ready: conditions.ready,
            serving: conditions.serving,
            terminating: conditions.terminating,
            uid: target.uid,
            pod: target.name,
            node: endpoint.node_name,
            zone: endpoint.zone,
            for_nodes: nodes.take(MOST_HINTS).collect(),
            for_zones: zones.take(MOST_HINTS).collect(),
        }
    }
}

impl Draft {
    /// The slice. Its address type is asked for last: in JSON it may come after what it is about.
    pub(super) fn finish(self, address_type: &str) -> Slice {
        let Self {
            triggered,
            weight: weight_text,
            ports,
            mut backends,
        } = self;
        match IpFamily::read(address_type) {
            Some(family) => backends.of_family(family),
            None => {
                backends.good = Vec::new();
                backends.faults = [(Fault::AddressType, quote(address_type))].into();
            }
        }
        let Backends {
            good: mut backends,
            mut faults,
        } = backends;
        backends.shrink_to_fit();
        if let Some(name) = &ports.twice {
            faults.insert(Fault::PortTwice, quote(name));
        }
        let weight = weight_text.as_deref().and_then(weight);
        if let (Some(text), None) = (weight_text, weight) {
            faults.insert(Fault::Weight, quote(&text));
        }
        Slice {
            triggered,
            weight,
            ports: ports.by_name.into_values().collect(),
            backends,
            faults,
        }
    }
}

impl Ports {
    /// Of ports with one name the least number stays, wherever it stood. Each would be a further address of every
    /// endpoint: a slice with thousands of them would become millions of addresses.
    pub(super) fn add(&mut self, port: Option<Port>) {
        let Some(port) = port else { return };
        let Some(known) = self.by_name.get_mut(&port.name) else {
            self.by_name.insert(port.name.clone(), port);
            return;
        };
        if port == *known {
            return;
        }
        if self.twice.as_ref().is_none_or(|twice| port.name < *twice) {
            self.twice = Some(port.name.clone());
        }
        let rank = |port: &Port| (port.number.is_none(), port.number);
        if (rank(&port), &port.app_protocol) < (rank(known), &known.app_protocol) {
            *known = port;
        }
    }
}

impl Backends {
    pub(super) fn add(&mut self, entry: Entry) {
        match read_address(entry.address.as_deref()) {
            Ok(ip) => self.good.push(Backend::read(ip, entry)),
            Err((fault, example)) => self.note(fault, example),
        }
    }

    fn of_family(&mut self, family: IpFamily) {
        let mut good = std::mem::take(&mut self.good);
        good.retain(|backend| {
            let holds = family.holds(backend.ip);
            if !holds {
                self.note(Fault::Address, quote(&backend.ip.to_string()));
            }
            holds
        });
        self.good = good;
    }

    /// Keeps the least example of each kind, so that the order of endpoints does not show.
    fn note(&mut self, fault: Fault, example: String) {
        let kept = self.faults.entry(fault).or_insert_with(|| example.clone());
        if example < *kept {
            *kept = example;
        }
    }
}

impl Backend {
    fn read(ip: IpAddr, entry: Entry) -> Self {
        Self {
            ip,
            // What nil means: the API reference of EndpointConditions, and KEP-1672 for the latter two.
            ready: entry.ready.unwrap_or(true),
            serving: entry.serving.unwrap_or(true),
            terminating: entry.terminating.unwrap_or(false),
            uid: unless_empty(entry.uid),
            pod: unless_empty(entry.pod),
            node: unless_empty(entry.node),
            zone: unless_empty(entry.zone),
            for_nodes: entry.for_nodes,
            for_zones: entry.for_zones,
        }
    }
}

fn read_address(text: Option<&str>) -> Result<IpAddr, (Fault, String)> {
    let Some(text) = text else {
        return Err((Fault::NoAddress, String::new()));
    };
    text.parse()
        .ok()
        .filter(|ip| can_be_sent_to(*ip))
        .ok_or_else(|| (Fault::Address, quote(text)))
}

/// The API server refuses these in a slice (`ValidateEndpointIP`), so kube-proxy, which takes any address it is given,
/// never sees them. A file may hold them, or an API server that is not what it should be: link-local is where clouds
/// keep credentials. Loopback is refused there as well, but is what a slice in a file on a laptop holds.
fn can_be_sent_to(ip: IpAddr) -> bool {
    let special = match ip {
        IpAddr::V4(ip) => ip.is_broadcast() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !(special || ip.is_unspecified() || ip.is_multicast())
}

pub(super) fn trigger_time(text: &str) -> Option<SystemTime> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(time.into())
}

fn unless_empty(name: Option<String>) -> Option<String> {
    known(name.as_deref())?;
    name
}
