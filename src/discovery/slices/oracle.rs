//! A reference for [`super::fold`]: kube-proxy's rules, slow and obvious, straight from EndpointSlice objects.
//!
//! Follows `pkg/proxy/endpointslicecache.go` and `pkg/proxy/topology.go` step by step and shares no code with the
//! rules under test. Where we differ from kube-proxy on purpose it says "ours".

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use super::{Family, Selection};

/// What must come out.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Expected {
    pub(super) known: BTreeSet<(SocketAddr, Option<String>)>,
    pub(super) ready: BTreeSet<SocketAddr>,
    pub(super) fallback: BTreeSet<SocketAddr>,
}

#[derive(Clone, Debug)]
struct Info {
    address: SocketAddr,
    uid: Option<String>,
    pod: Option<String>,
    node: Option<String>,
    zone: Option<String>,
    node_hints: Vec<String>,
    zone_hints: Vec<String>,
    ready: bool,
    serving: bool,
    terminating: bool,
}

pub(super) fn expected(
    slices: &BTreeMap<String, EndpointSlice>,
    selection: &Selection,
) -> Expected {
    let Some(port) = port_name(slices, selection) else {
        return Expected::default();
    };
    // Ours: kube-proxy has a proxier for each family, a request goes to one.
    let families: &[&str] = match selection.family {
        Family::PreferIpv4 => &["IPv4", "IPv6"],
        Family::PreferIpv6 => &["IPv6", "IPv4"],
        Family::Ipv4 => &["IPv4"],
        Family::Ipv6 => &["IPv6"],
    };
    let copies = families
        .iter()
        .map(|family| infos(slices, &port, family))
        .find(|copies| !copies.is_empty())
        .unwrap_or_default();

    let mut endpoints = Vec::new();
    for address in copies
        .iter()
        .map(|info| info.address)
        .collect::<BTreeSet<_>>()
    {
        let here = keep(&copies, |info| info.address == address);
        endpoints.push(settle(&here));
    }

    let node = selection.node.clone().unwrap_or_default();
    let zone = match selection.zone.clone().unwrap_or_default() {
        told if !told.is_empty() => told,
        _ => inferred_zone(slices, &node),
    };
    let (ready, fallback) = categorize(&endpoints, selection.local, &node, &zone);
    Expected {
        known: endpoints
            .iter()
            .map(|info| (info.address, info.uid.clone()))
            .collect(),
        ready: ready.iter().map(|info| info.address).collect(),
        fallback: fallback.iter().map(|info| info.address).collect(),
    }
}

/// Ours: kube-proxy is told the port by the Service.
fn port_name(slices: &BTreeMap<String, EndpointSlice>, selection: &Selection) -> Option<String> {
    if selection.port.is_some() {
        return selection.port.clone();
    }
    let mut names = BTreeSet::new();
    for slice in slices.values() {
        for port in slice.ports.iter().flatten() {
            if matches!(port.protocol.as_deref(), None | Some("TCP")) {
                names.insert(port.name.clone().unwrap_or_default());
            }
        }
    }
    if names.len() == 1 {
        names.pop_first()
    } else {
        None
    }
}

fn infos(slices: &BTreeMap<String, EndpointSlice>, port: &str, family: &str) -> Vec<Info> {
    let mut infos = Vec::new();
    for slice in slices.values() {
        if slice.address_type != family {
            continue;
        }
        // Ours: kube-proxy takes every port of the name, and the API server lets there be one.
        let mut least = None;
        for slice_port in slice.ports.iter().flatten() {
            if slice_port.name.clone().unwrap_or_default() != port {
                continue;
            }
            if slice_port.protocol.clone().unwrap_or("TCP".to_owned()) != "TCP" {
                continue;
            }
            let Some(number) = slice_port.port else {
                continue;
            };
            if !(1..=65535).contains(&number) {
                continue;
            }
            least = Some(least.map_or(number, |least: i32| least.min(number)));
        }
        if let Some(number) = least {
            for endpoint in slice.endpoints.iter().flatten() {
                infos.extend(info(endpoint, family, u16::try_from(number).unwrap()));
            }
        }
    }
    infos
}

fn info(endpoint: &Endpoint, family: &str, port: u16) -> Option<Info> {
    let ip: IpAddr = endpoint.addresses.first()?.parse().ok()?;
    if ip.is_ipv4() != (family == "IPv4") {
        return None;
    }
    // What the API server keeps from kube-proxy, but for loopback.
    if ip.is_unspecified() || ip.is_multicast() {
        return None;
    }
    if ip.to_string().starts_with("169.254.") || ip.to_string().starts_with("fe80:") {
        return None;
    }
    let conditions = endpoint.conditions.clone().unwrap_or_default();
    let target = endpoint.target_ref.clone().unwrap_or_default();
    let hints = endpoint.hints.clone().unwrap_or_default();
    let node_hints = hints.for_nodes.unwrap_or_default();
    let zone_hints = hints.for_zones.unwrap_or_default();
    Some(Info {
        address: SocketAddr::new(ip, port),
        uid: target.uid.filter(|uid| !uid.is_empty()),
        pod: target.name.filter(|name| !name.is_empty()),
        node: endpoint.node_name.clone().filter(|node| !node.is_empty()),
        zone: endpoint.zone.clone().filter(|zone| !zone.is_empty()),
        node_hints: node_hints.into_iter().map(|hint| hint.name).collect(),
        zone_hints: zone_hints.into_iter().map(|hint| hint.name).collect(),
        ready: conditions.ready != Some(false),
        serving: conditions.serving != Some(false),
        terminating: conditions.terminating == Some(true),
    })
}

/// Ours: kube-proxy takes whichever copy of an address it meets first.
fn settle(copies: &[Info]) -> Info {
    let uids: BTreeSet<Option<String>> = copies.iter().map(|info| info.uid.clone()).collect();
    let mut pods = Vec::new();
    for uid in uids {
        let same = keep(copies, |info| info.uid == uid);
        pods.push(best(narrow(same, |info| info.terminating)));
    }
    best(narrow(pods, |info| !info.terminating))
}

fn best(copies: Vec<Info>) -> Info {
    let copies = narrow(copies, |info| info.ready);
    let copies = narrow(copies, |info| info.serving);
    // Nothing tells these apart by meaning; the greatest is as good as any.
    copies
        .into_iter()
        .max_by_key(|info| {
            (
                info.terminating,
                info.uid.clone(),
                info.pod.clone(),
                info.node.clone(),
                info.zone.clone(),
                info.node_hints.clone(),
                info.zone_hints.clone(),
            )
        })
        .unwrap()
}

/// Those for which `holds`, or all if it holds for none.
fn narrow(infos: Vec<Info>, holds: impl Fn(&Info) -> bool) -> Vec<Info> {
    let narrowed = keep(&infos, holds);
    if narrowed.is_empty() { infos } else { narrowed }
}

/// Ours: kube-proxy reads its node's label.
fn inferred_zone(slices: &BTreeMap<String, EndpointSlice>, node: &str) -> String {
    let mut zones = BTreeSet::new();
    for slice in slices.values() {
        for family in ["IPv4", "IPv6"] {
            if slice.address_type != family {
                continue;
            }
            for endpoint in slice.endpoints.iter().flatten() {
                let Some(info) = info(endpoint, family, 1) else {
                    continue;
                };
                if info.node.as_deref() == Some(node) {
                    zones.extend(info.zone);
                }
            }
        }
    }
    zones.pop_first().unwrap_or_default()
}

/// `CategorizeEndpoints`: first list ready ones, second list those of the terminating fallback.
fn categorize(endpoints: &[Info], local: bool, node: &str, zone: &str) -> (Vec<Info>, Vec<Info>) {
    let reachable = keep(endpoints, |info| {
        !local || (!node.is_empty() && info.node.as_deref() == Some(node))
    });
    let ready = keep(&reachable, |info| info.ready);
    if ready.is_empty() {
        return (
            Vec::new(),
            keep(&reachable, |info| info.serving && info.terminating),
        );
    }
    // Ours: with publishNotReadyAddresses prefer those that stay.
    let ready = narrow(ready, |info| !info.terminating);
    if local {
        return (ready, Vec::new());
    }
    match topology_mode(&ready, node, zone) {
        "PreferSameNode" => (
            keep(&ready, |info| info.node_hints.contains(&node.to_owned())),
            Vec::new(),
        ),
        "PreferSameZone" => (
            keep(&ready, |info| info.zone_hints.contains(&zone.to_owned())),
            Vec::new(),
        ),
        _ => (ready, Vec::new()),
    }
}

/// `topologyModeFromHints`
fn topology_mode(ready: &[Info], node: &str, zone: &str) -> &'static str {
    let mut all_have_node_hints = true;
    let mut one_for_our_node = false;
    let mut all_have_zone_hints = true;
    let mut one_for_our_zone = false;
    for info in ready {
        if info.node_hints.is_empty() {
            all_have_node_hints = false;
        }
        if !node.is_empty() && info.node_hints.contains(&node.to_owned()) {
            one_for_our_node = true;
        }
        if info.zone_hints.is_empty() {
            all_have_zone_hints = false;
        }
        if !zone.is_empty() && info.zone_hints.contains(&zone.to_owned()) {
            one_for_our_zone = true;
        }
    }
    if all_have_node_hints && one_for_our_node {
        return "PreferSameNode";
    }
    if all_have_zone_hints && one_for_our_zone {
        return "PreferSameZone";
    }
    ""
}

fn keep(infos: &[Info], holds: impl Fn(&Info) -> bool) -> Vec<Info> {
    infos.iter().filter(|info| holds(info)).cloned().collect()
}
