//! What is kept of an EndpointSlice.

use std::net::IpAddr;
use std::time::SystemTime;

use k8s_openapi::api::discovery::v1 as api;

use super::family::IpFamily;
use super::ports::Port;
use super::{Backend, Fault, Slice, known, quote};

/// When the change that led to this slice happened, as the EndpointSlice controller writes it down.
const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";

impl From<api::EndpointSlice> for Slice {
    fn from(object: api::EndpointSlice) -> Self {
        let mut slice = Self {
            triggered: trigger_time(&object),
            ports: object
                .ports
                .unwrap_or_default()
                .into_iter()
                .filter_map(Port::read)
                .collect(),
            ..Self::default()
        };
        let endpoints = object.endpoints.unwrap_or_default();
        match IpFamily::read(&object.address_type) {
            Some(family) => {
                slice.backends.reserve_exact(endpoints.len());
                for endpoint in endpoints {
                    match read_address(&endpoint, family) {
                        Ok(ip) => slice.backends.push(Backend::read(ip, endpoint)),
                        Err((fault, example)) => slice.note(fault, example),
                    }
                }
            }
            None => slice.note(Fault::AddressType, quote(&object.address_type)),
        }
        slice
    }
}

impl Slice {
    /// Keeps the least example of each kind, so that the order of endpoints does not show.
    fn note(&mut self, fault: Fault, example: String) {
        let kept = self.faults.entry(fault).or_insert_with(|| example.clone());
        if example < *kept {
            *kept = example;
        }
    }
}

impl Backend {
    fn read(ip: IpAddr, endpoint: api::Endpoint) -> Self {
        let conditions = endpoint.conditions.unwrap_or_default();
        let target = endpoint.target_ref.unwrap_or_default();
        let hints = endpoint.hints.unwrap_or_default();
        Self {
            ip,
            // What nil means: the API reference of EndpointConditions, and KEP-1672 for the latter two.
            ready: conditions.ready.unwrap_or(true),
            serving: conditions.serving.unwrap_or(true),
            terminating: conditions.terminating.unwrap_or(false),
            uid: unless_empty(target.uid),
            pod: unless_empty(target.name),
            node: unless_empty(endpoint.node_name),
            zone: unless_empty(endpoint.zone),
            for_nodes: hints
                .for_nodes
                .unwrap_or_default()
                .into_iter()
                .map(|hint| hint.name)
                .collect(),
            for_zones: hints
                .for_zones
                .unwrap_or_default()
                .into_iter()
                .map(|hint| hint.name)
                .collect(),
        }
    }
}

/// Only `addresses[0]` counts: the API says that all addresses of an endpoint are fungible and that clients may use the
/// first alone (kubernetes#106267), and kube-proxy does.
fn read_address(endpoint: &api::Endpoint, family: IpFamily) -> Result<IpAddr, (Fault, String)> {
    let Some(text) = endpoint.addresses.first() else {
        return Err((Fault::NoAddress, String::new()));
    };
    text.parse()
        .ok()
        .filter(|ip| family.holds(*ip) && can_be_sent_to(*ip))
        .ok_or_else(|| (Fault::Address, quote(text)))
}

/// The API server refuses these in a slice, a file does not. Loopback is refused there as well, but is what a slice
/// in a file on a laptop holds.
fn can_be_sent_to(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !(ip.is_unspecified() || ip.is_multicast() || broadcast)
}

fn trigger_time(object: &api::EndpointSlice) -> Option<SystemTime> {
    let text = object.metadata.annotations.as_ref()?.get(TRIGGER_TIME)?;
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(time.into())
}

fn unless_empty(name: Option<String>) -> Option<String> {
    known(name.as_deref())?;
    name
}
