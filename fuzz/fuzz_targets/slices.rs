//! Any sequence of slice events -> list. Made of few names and addresses, so that copies meet.
#![no_main]

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1::{
    Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForNode, ForZone,
};
use libfuzzer_sys::fuzz_target;
use podrobin::discovery::slices::{Family, Selection, Slice, Slices, fold};
use podrobin::endpoint::Standing;

#[derive(Debug, Arbitrary)]
struct Input {
    events: Vec<(Name, Option<SliceInput>)>,
    port: Option<Name>,
    node: Option<Name>,
    zone: Option<Name>,
    family: FamilyInput,
    local: bool,
}

#[derive(Debug, Arbitrary)]
struct SliceInput {
    family: AddressType,
    ports: Option<Vec<PortInput>>,
    endpoints: Option<Vec<EndpointInput>>,
}

/// Name, number, and whether it is TCP.
type PortInput = (Option<Name>, Option<i32>, bool);

#[derive(Debug, Arbitrary)]
struct EndpointInput {
    address: Option<u8>,
    conditions: Option<[Option<bool>; 3]>,
    uid: Option<Name>,
    node: Option<Name>,
    zone: Option<Name>,
    nodes: Option<Vec<Name>>,
    zones: Option<Vec<Name>>,
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Name {
    Empty,
    A,
    B,
    C,
}

#[derive(Debug, Arbitrary)]
enum AddressType {
    Ipv4,
    Ipv6,
    Fqdn,
}

#[derive(Debug, Arbitrary)]
enum FamilyInput {
    PreferIpv4,
    PreferIpv6,
    Ipv4,
    Ipv6,
}

fuzz_target!(|input: Input| {
    let selection = Selection {
        port: input.port.map(text),
        node: input.node.map(text),
        zone: input.zone.map(text),
        family: match input.family {
            FamilyInput::PreferIpv4 => Family::PreferIpv4,
            FamilyInput::PreferIpv6 => Family::PreferIpv6,
            FamilyInput::Ipv4 => Family::Ipv4,
            FamilyInput::Ipv6 => Family::Ipv6,
        },
        local: input.local,
    };

    let mut objects = BTreeMap::new();
    let mut slices = Slices::new();
    for (name, slice) in &input.events {
        match slice {
            Some(slice) => {
                objects.insert(text(*name), object(slice));
                slices.insert(text(*name), Slice::from(object(slice)));
            }
            None => {
                objects.remove(&text(*name));
                slices.remove(&text(*name));
            }
        }
    }

    let outcome = fold(&slices, &selection);
    invariants::check(&outcome);

    // Whoever is used was said to be ready, or to serve until it is gone, by some slice at that very address.
    for used in outcome.endpoints.iter().filter(|e| e.is_used()) {
        let ip = used.address().ip();
        let said = objects
            .values()
            .flat_map(|object| object.endpoints.iter().flatten())
            .filter(|endpoint| {
                let address = endpoint.addresses.first();
                address.and_then(|address| address.parse().ok()) == Some(ip)
            })
            .any(|endpoint| {
                let conditions = endpoint.conditions.clone().unwrap_or_default();
                match used.standing {
                    Standing::Ready => conditions.ready != Some(false),
                    _ => conditions.serving != Some(false) && conditions.terminating == Some(true),
                }
            });
        assert!(said, "{used:?}");
    }

    // The order within a slice means nothing.
    for object in objects.values_mut() {
        object.endpoints.get_or_insert_default().reverse();
        object.ports.get_or_insert_default().reverse();
    }
    let reversed: Slices = objects
        .into_iter()
        .map(|(name, object)| (name, object.into()))
        .collect();
    assert_eq!(fold(&reversed, &selection), outcome);
});

fn object(slice: &SliceInput) -> EndpointSlice {
    let ports = slice.ports.as_ref().map(|ports| {
        ports
            .iter()
            .map(|(name, port, tcp)| EndpointPort {
                name: name.map(text),
                port: *port,
                protocol: (!tcp).then(|| "UDP".to_owned()),
                ..EndpointPort::default()
            })
            .collect()
    });
    let (address_type, prefix) = match slice.family {
        AddressType::Ipv4 => ("IPv4", "10.0.0."),
        AddressType::Ipv6 => ("IPv6", "fd00::"),
        AddressType::Fqdn => ("FQDN", "pod-"),
    };
    let endpoints = slice
        .endpoints
        .as_ref()
        .map(|endpoints| endpoints.iter().map(|e| endpoint(e, prefix)).collect());
    EndpointSlice {
        address_type: address_type.to_owned(),
        ports,
        endpoints,
        ..EndpointSlice::default()
    }
}

fn endpoint(input: &EndpointInput, prefix: &str) -> Endpoint {
    Endpoint {
        addresses: input
            .address
            // Few addresses, so that pods share them.
            .map(|n| format!("{prefix}{}", n % 8))
            .into_iter()
            .collect(),
        conditions: input
            .conditions
            .map(|[ready, serving, terminating]| EndpointConditions {
                ready,
                serving,
                terminating,
            }),
        target_ref: input.uid.map(|uid| ObjectReference {
            uid: Some(text(uid)),
            name: Some(text(uid)),
            ..ObjectReference::default()
        }),
        node_name: input.node.map(text),
        zone: input.zone.map(text),
        hints: Some(EndpointHints {
            for_nodes: input.nodes.as_ref().map(|names| {
                let hint = |name: &Name| ForNode { name: text(*name) };
                names.iter().map(hint).collect()
            }),
            for_zones: input.zones.as_ref().map(|names| {
                let hint = |name: &Name| ForZone { name: text(*name) };
                names.iter().map(hint).collect()
            }),
        }),
        ..Endpoint::default()
    }
}

fn text(name: Name) -> String {
    match name {
        Name::Empty => "",
        Name::A => "a",
        Name::B => "b",
        Name::C => "c",
    }
    .to_owned()
}
