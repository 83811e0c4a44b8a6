//! From EndpointSlices to endpoints: the rules, as one pure function.
//!
//! ```text
//! EndpointSlice ── read ──> Slice ──┐
//! EndpointSlice ── read ──> Slice ──┼─ ports, family ── merge ── standing ──> Fold
//! EndpointSlice ── read ──> Slice ──┘
//! ```
//! The rules are those of the EndpointSlice API (KEP-752) and of kube-proxy (`pkg/proxy/endpointslicecache.go`,
//! `pkg/proxy/topology.go`); where we differ, the rule's own comment says so. The outcome depends on what the slices
//! say alone: neither the order of events nor the order within a slice matters.

mod family;
mod merge;
mod object;
mod ports;
mod read;
mod standing;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::SystemTime;

use crate::endpoint::{Endpoint, Identity, MOST_WEIGHT, USUAL_WEIGHT};

use ports::Port;
use read::WEIGHT;

pub use object::SliceObject;
pub use ports::port_note;

/// All slices of one Service, by the slice's name.
///
/// An added or changed slice replaces its entry and a deleted one removes it; no event speaks for the whole Service.
pub type Slices = BTreeMap<String, Slice>;

/// What an EndpointSlice says that matters here; the rest of the object is dropped at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slice {
    /// `endpoints.kubernetes.io/last-change-trigger-time`
    pub triggered: Option<SystemTime>,
    /// `podrobin.io/weight`: of each of its endpoints.
    weight: Option<u32>,
    /// TCP alone, each name once.
    ports: Vec<Port>,
    backends: Vec<Backend>,
    /// What had to be left out: one example for each kind, so that a hostile slice cannot make it grow.
    faults: BTreeMap<Fault, String>,
}

impl Slice {
    /// The bytes it takes in memory, roughly.
    pub fn weight(&self) -> usize {
        let ports = self.ports.iter().map(|port| {
            let text = port.app_protocol.as_ref().map_or(0, String::len);
            size_of::<Port>() + port.name.len() + text
        });
        let backends = self.backends.iter().map(Backend::weight);
        size_of::<Self>() + ports.sum::<usize>() + backends.sum::<usize>()
    }
}

/// One entry of a slice's `endpoints`.
///
/// The order of the fields decides between copies that no rule tells apart: see [`merge`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Backend {
    ip: IpAddr,
    ready: bool,
    serving: bool,
    terminating: bool,
    uid: Option<String>,
    pod: Option<String>,
    node: Option<String>,
    zone: Option<String>,
    /// `hints.forNodes` (KEP-3015): the nodes whose clients should use this endpoint. Empty means no hint.
    for_nodes: Vec<String>,
    /// `hints.forZones` (KEP-2433), likewise. Where the pod *is* says `zone`, which never filters.
    for_zones: Vec<String>,
}

impl Backend {
    fn weight(&self) -> usize {
        let names = [&self.uid, &self.pod, &self.node, &self.zone];
        let names = names.into_iter().flatten().map(String::len);
        let hints = self.for_nodes.iter().chain(&self.for_zones);
        let hints = hints.map(|hint| size_of::<String>() + hint.len());
        size_of::<Self>() + names.sum::<usize>() + hints.sum::<usize>()
    }
}

/// What is wrong with a part of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    AddressType,
    NoAddress,
    Address,
    PortNumber,
    PortTwice,
    Weight,
}

/// Which endpoints of a Service are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The slice port's name; `None` takes the only port there is.
    pub port: Option<String>,
    /// The own node and zone, where known: hints and `internalTrafficPolicy` need them.
    pub node: Option<String>,
    pub zone: Option<String>,
    pub family: Family,
    /// `internalTrafficPolicy: Local`
    pub local: bool,
}

/// Which family to use where the Service has both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    #[default]
    PreferIpv4,
    PreferIpv6,
    Ipv4,
    Ipv6,
}

/// The outcome of [`fold`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fold {
    /// Every endpoint of the wanted port and family, used or not, sorted by identity.
    pub endpoints: Vec<Endpoint>,
    /// What was left out and should be said, once each. A handful at most, each of bounded length: one for each kind
    /// of thing that can be wrong, with an example, so that it reads the same while the cause stands.
    pub notes: BTreeSet<String>,
}

/// Folds all slices of a Service into its endpoints.
pub fn fold(slices: &Slices, selection: &Selection) -> Fold {
    let mut notes: BTreeSet<String> = port_note(slices, selection).into_iter().collect();
    let Some(port) = ports::wanted(slices, selection) else {
        return Fold {
            endpoints: Vec::new(),
            notes,
        };
    };
    notes.extend(faults(slices, port));

    let (family, family_note) = family::choose(slices, port, selection.family);
    notes.extend(family_note);

    let merged = merge::merge(slices, port, family);
    let zone = own_zone(slices, selection);
    let standings = standing::standings(&merged, selection, zone);
    notes.extend(standing::local_note(&merged, selection));

    let endpoints = merged
        .iter()
        .zip(standings)
        .map(|(candidate, standing)| Endpoint {
            identity: Identity {
                address: candidate.address,
                uid: candidate.backend.uid.clone(),
            },
            pod: candidate.backend.pod.clone(),
            node: candidate.backend.node.clone(),
            zone: candidate.backend.zone.clone(),
            protocol: ports::protocol(candidate.app_protocol),
            weight: candidate.weight.unwrap_or(USUAL_WEIGHT),
            standing,
        })
        .collect();
    Fold { endpoints, notes }
}

/// The own zone: as told, else that of any endpoint on the own node. Unknown, zone hints are off.
fn own_zone<'a>(slices: &'a Slices, selection: &'a Selection) -> Option<&'a str> {
    let told = known(selection.zone.as_deref());
    told.or_else(|| {
        let node = known(selection.node.as_deref())?;
        slices
            .values()
            .flat_map(|slice| &slice.backends)
            .filter(|backend| backend.node.as_deref() == Some(node))
            .filter_map(|backend| backend.zone.as_deref())
            .min()
    })
}

/// One note for each kind of fault in the slices that have the wanted port.
fn faults(slices: &Slices, port: &str) -> impl Iterator<Item = String> {
    let mut first = BTreeMap::new();
    for (name, slice) in slices {
        let Some(known) = slice.port(port) else {
            continue;
        };
        for (fault, example) in &slice.faults {
            first.entry(*fault).or_insert((name, example.clone()));
        }
        if known.number.is_none() {
            first
                .entry(Fault::PortNumber)
                .or_insert((name, quote(port)));
        }
    }
    first
        .into_iter()
        .map(|(fault, (name, example))| format!("slice {}: {}", quote(name), fault.say(&example)))
}

impl Fault {
    fn say(self, example: &str) -> String {
        match self {
            Self::AddressType => {
                format!("ignored, as its addressType is {example} and not IPv4 or IPv6")
            }
            Self::NoAddress => "ignored an endpoint without an address".to_owned(),
            Self::Address => {
                format!("ignored an endpoint, as {example} is no address of that family to send to")
            }
            Self::PortTwice => {
                format!("ignored all but one of the ports named {example}")
            }
            Self::Weight => {
                format!(
                    "ignored its annotation {WEIGHT}, as {example} is no whole number between 0 and {MOST_WEIGHT}: \
                     its endpoints have the weight {USUAL_WEIGHT}"
                )
            }
            Self::PortNumber => {
                format!("ignored port {example}, as its number is not in 1 to 65535")
            }
        }
    }
}

/// An empty name is no name.
fn known(name: Option<&str>) -> Option<&str> {
    name.filter(|name| !name.is_empty())
}

/// Text of unknown origin, fit for a log line: bounded, and with control characters escaped.
fn quote(text: &str) -> String {
    /// The longest name Kubernetes allows for most objects.
    const LONGEST: usize = 63;
    let short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() {
        format!("{:?}", short + "…")
    } else {
        format!("{short:?}")
    }
}
