//! Sequences of slice events as a watch may bring them, and worse: everything unset, everything twice.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1::{
    Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForNode, ForZone,
};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use crate::discovery::slices::{Family, Selection};

/// Names that slices may have. Few, so that events meet.
const NAMES: [&str; 4] = ["cart-a", "cart-b", "cart-c", "cart-d"];
const NODES: [&str; 3] = ["n0", "n1", "n2"];
const ZONES: [&str; 3] = ["z0", "z1", "z2"];

pub(super) type Objects = BTreeMap<String, EndpointSlice>;

/// A slice as it now is, or that it is gone.
pub(super) type Event = (String, Option<EndpointSlice>);

#[derive(Clone, Debug)]
enum Action {
    Put(&'static str, Box<EndpointSlice>),
    Delete(&'static str),
    /// One endpoint goes from a slice to another, as two events, in this order or the other.
    Move(&'static str, &'static str, Index, bool),
    Reorder(&'static str),
    Duplicate(&'static str, &'static str),
    ForgetConditions(&'static str),
    ForgetEndpoints(&'static str),
}

fn names(of: &'static [&'static str]) -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        4 => select(of).prop_map(|name| Some(name.to_owned())),
        1 => Just(None),
        1 => Just(Some(String::new())),
    ]
}

fn conditions() -> impl Strategy<Value = Option<EndpointConditions>> {
    let condition = || any::<Option<bool>>();
    let any_at_all =
        (condition(), condition(), condition()).prop_map(|(ready, serving, terminating)| {
            EndpointConditions {
                ready,
                serving,
                terminating,
            }
        });
    prop_oneof![1 => Just(None), 6 => any_at_all.prop_map(Some)]
}

/// Hints are followed only where every endpoint has one, so that has to be common: `everywhere`.
fn hints(everywhere: bool) -> impl Strategy<Value = Option<EndpointHints>> {
    let some = |of: &'static [&'static str]| {
        prop_oneof![
            6 => subsequence(of, 1..of.len()).prop_map(Some),
            u32::from(!everywhere) => Just(Some(Vec::new())),
            u32::from(!everywhere) => Just(None),
        ]
    };
    let both = (some(&NODES), some(&ZONES)).prop_map(|(nodes, zones)| EndpointHints {
        for_nodes: nodes.map(|nodes| {
            let hint = |name: &str| ForNode { name: name.into() };
            nodes.into_iter().map(hint).collect()
        }),
        for_zones: zones.map(|zones| {
            let hint = |name: &str| ForZone { name: name.into() };
            zones.into_iter().map(hint).collect()
        }),
    });
    prop_oneof![
        u32::from(!everywhere) => Just(None),
        9 => both.prop_map(Some),
    ]
}

/// A pod out of few, on an address out of few: copies of one pod and pods that share an address are common.
fn endpoint(address_type: &'static str, hinted: bool) -> impl Strategy<Value = Endpoint> {
    let address = match address_type {
        "IPv4" => select(
            &[
                "10.0.0.1",
                "10.0.0.2",
                "10.0.0.3",
                "0.0.0.0",
                "169.254.1.1",
                "fd00::1",
            ][..],
        ),
        _ => select(&["fd00::1", "fd00::2", "fd00::3", "::", "10.0.0.1"][..]),
    };
    let target = prop_oneof![
        1 => Just(None),
        6 => names(&["u1", "u2"]).prop_map(|uid| Some(ObjectReference {
            name: uid.clone(),
            uid,
            ..ObjectReference::default()
        })),
    ];
    (
        address,
        conditions(),
        target,
        names(&NODES),
        names(&ZONES),
        hints(hinted),
    )
        .prop_map(
            |(address, conditions, target_ref, node_name, zone, hints)| Endpoint {
                addresses: vec![address.to_owned(), "10.9.9.9".to_owned()],
                conditions,
                target_ref,
                node_name,
                zone,
                hints,
                ..Endpoint::default()
            },
        )
}

fn ports() -> impl Strategy<Value = Option<Vec<EndpointPort>>> {
    let port = |name: Option<&str>, port: Option<i32>, protocol: Option<&str>| EndpointPort {
        name: name.map(str::to_owned),
        port,
        protocol: protocol.map(str::to_owned),
        app_protocol: None,
    };
    let http = port(Some("http"), Some(8080), Some("TCP"));
    prop_oneof![
        8 => Just(Some(vec![http.clone()])),
        2 => Just(Some(vec![http.clone(), port(Some("metrics"), Some(9090), None)])),
        1 => Just(Some(vec![port(Some("http"), Some(8081), None)])),
        1 => Just(Some(vec![port(None, Some(8080), None)])),
        1 => Just(Some(vec![port(Some("http"), Some(8053), Some("UDP")), http])),
        1 => select(&[None, Some(0), Some(-1), Some(65536)][..])
            .prop_map(move |number| Some(vec![port(Some("http"), number, None)])),
        1 => Just(Some(vec![
            port(Some("http"), Some(8082), None),
            port(Some("http"), Some(8081), None),
        ])),
        1 => Just(Some(Vec::new())),
        1 => Just(None),
    ]
}

fn object(hinted: bool) -> impl Strategy<Value = EndpointSlice> {
    prop_oneof![6 => Just("IPv4"), 3 => Just("IPv6"), 1 => Just("FQDN")].prop_flat_map(
        move |address_type| {
            let endpoints = prop::collection::vec(endpoint(address_type, hinted), 0..8);
            (endpoints, ports()).prop_map(move |(endpoints, ports)| EndpointSlice {
                address_type: address_type.to_owned(),
                endpoints: Some(endpoints),
                ports,
                ..EndpointSlice::default()
            })
        },
    )
}

fn action(hinted: bool) -> impl Strategy<Value = Action> {
    let name = || select(&NAMES[..]);
    prop_oneof![
        6 => (name(), object(hinted)).prop_map(|(name, object)| Action::Put(name, Box::new(object))),
        1 => name().prop_map(Action::Delete),
        2 => (name(), name(), any::<Index>(), any::<bool>())
            .prop_map(|(from, to, which, order)| Action::Move(from, to, which, order)),
        1 => name().prop_map(Action::Reorder),
        1 => (name(), name()).prop_map(|(from, to)| Action::Duplicate(from, to)),
        1 => name().prop_map(Action::ForgetConditions),
        1 => name().prop_map(Action::ForgetEndpoints),
    ]
}

pub(super) fn selection() -> impl Strategy<Value = Selection> {
    let family = select(
        &[
            Family::PreferIpv4,
            Family::PreferIpv6,
            Family::Ipv4,
            Family::Ipv6,
        ][..],
    );
    let port = prop_oneof![
        6 => Just(Some("http".to_owned())),
        2 => Just(None),
        1 => Just(Some(String::new())),
        1 => Just(Some("metrics".to_owned())),
    ];
    let local = prop::bool::weighted(0.2);
    (port, names(&NODES), names(&ZONES), family, local).prop_map(
        |(port, node, zone, family, local)| Selection {
            port,
            node,
            zone,
            family,
            local,
        },
    )
}

pub(super) fn events() -> impl Strategy<Value = Vec<Event>> {
    any::<bool>()
        .prop_flat_map(|hinted| prop::collection::vec(action(hinted), 1..12))
        .prop_map(play)
}

/// What a watch would see of these actions.
fn play(actions: Vec<Action>) -> Vec<Event> {
    let mut now = Objects::new();
    let mut events: Vec<Event> = Vec::new();
    for action in actions {
        let seen = events.len();
        match action {
            Action::Put(name, object) => events.push((name.to_owned(), Some(*object))),
            Action::Delete(name) => events.push((name.to_owned(), None)),
            Action::Move(from, to, which, receiver_first) => {
                if let (Some(mut giver), Some(mut receiver)) =
                    (now.get(from).cloned(), now.get(to).cloned())
                    && from != to
                    && giver.endpoints.iter().flatten().next().is_some()
                {
                    let endpoints = giver.endpoints.get_or_insert_default();
                    let moved = endpoints.remove(which.index(endpoints.len()));
                    receiver.endpoints.get_or_insert_default().push(moved);
                    events.push((from.to_owned(), Some(giver)));
                    events.push((to.to_owned(), Some(receiver)));
                    if receiver_first {
                        events[seen..].reverse();
                    }
                }
            }
            Action::Reorder(name) => events.extend(changed(&now, name, |object| {
                object.endpoints.get_or_insert_default().reverse();
            })),
            Action::Duplicate(from, to) => {
                if let Some(object) = now.get(from) {
                    events.push((to.to_owned(), Some(object.clone())));
                }
            }
            Action::ForgetConditions(name) => events.extend(changed(&now, name, |object| {
                for endpoint in object.endpoints.iter_mut().flatten() {
                    endpoint.conditions = None;
                }
            })),
            Action::ForgetEndpoints(name) => {
                events.extend(changed(&now, name, |object| object.endpoints = None));
            }
        }
        for event in &events[seen..] {
            apply(&mut now, event);
        }
    }
    events
}

fn changed(now: &Objects, name: &str, change: impl Fn(&mut EndpointSlice)) -> Option<Event> {
    let mut object = now.get(name)?.clone();
    change(&mut object);
    Some((name.to_owned(), Some(object)))
}

pub(super) fn apply(objects: &mut Objects, (name, object): &Event) {
    match object {
        Some(object) => objects.insert(name.clone(), object.clone()),
        None => objects.remove(name),
    };
}
