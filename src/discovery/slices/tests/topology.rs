//! Hints and traffic policy.

use super::*;

fn at(node: &str, zone: &str) -> Selection {
    Selection {
        node: Some(node.to_owned()),
        zone: Some(zone.to_owned()),
        ..Selection::default()
    }
}

fn local(node: Option<&str>) -> Selection {
    Selection {
        node: node.map(str::to_owned),
        local: true,
        ..Selection::default()
    }
}

fn on(endpoint: Value, node: &str, zone: &str) -> Value {
    with(endpoint, json!({"nodeName": node, "zone": zone}))
}

fn for_zones(endpoint: Value, zones: &[&str]) -> Value {
    let zones: Vec<Value> = zones.iter().map(|zone| json!({"name": zone})).collect();
    with(endpoint, json!({"hints": {"forZones": zones}}))
}

fn for_nodes(endpoint: Value, nodes: &[&str], zones: &[&str]) -> Value {
    let nodes: Vec<Value> = nodes.iter().map(|node| json!({"name": node})).collect();
    let mut endpoint = for_zones(endpoint, zones);
    endpoint["hints"]["forNodes"] = json!(nodes);
    endpoint
}

fn used_at(selection: &Selection, endpoints: Value) -> Vec<String> {
    used(&fold(&slices([slice(endpoints)]), selection))
}

#[test]
fn zone_hints_that_name_us_are_followed() {
    let endpoints = json!([
        for_zones(ready("10.0.0.1"), &["z1"]),
        for_zones(ready("10.0.0.2"), &["z2", "z1"]),
        for_zones(ready("10.0.0.3"), &["z2"]),
    ]);
    let fold = fold(&slices([slice(endpoints)]), &at("n", "z1"));
    assert_eq!(used(&fold), ["10.0.0.1:8080", "10.0.0.2:8080"]);
    assert_eq!(standing(&fold, "10.0.0.3"), Standing::Elsewhere);
}

#[test]
fn one_ready_endpoint_without_a_hint_turns_hints_off() {
    let hinted = for_zones(ready("10.0.0.1"), &["z1"]);
    let other = for_zones(ready("10.0.0.2"), &["z2"]);
    for unhinted in [
        ready("10.0.0.3"),
        for_zones(ready("10.0.0.3"), &[]),
        with(ready("10.0.0.3"), json!({"hints": null})),
    ] {
        let endpoints = json!([hinted, other, unhinted]);
        assert_eq!(used_at(&at("n", "z1"), endpoints).len(), 3);
    }
}

#[test]
fn endpoints_that_are_not_ready_have_no_say_in_hints() {
    let endpoints = json!([
        for_zones(ready("10.0.0.1"), &["z1"]),
        for_zones(ready("10.0.0.2"), &["z2"]),
        not_ready("10.0.0.3"),
        draining("10.0.0.4"),
    ]);
    assert_eq!(used_at(&at("n", "z1"), endpoints), ["10.0.0.1:8080"]);

    let endpoints = json!([
        for_zones(not_ready("10.0.0.1"), &["z1"]),
        for_zones(ready("10.0.0.2"), &["z2"]),
    ]);
    assert_eq!(used_at(&at("n", "z1"), endpoints), ["10.0.0.2:8080"]);
}

#[test]
fn hints_that_name_others_alone_are_not_followed() {
    let endpoints = json!([
        for_zones(ready("10.0.0.1"), &["z1"]),
        for_zones(ready("10.0.0.2"), &["z2"]),
    ]);
    assert_eq!(used_at(&at("n", "z3"), endpoints.clone()).len(), 2);
    assert_eq!(used_at(&Selection::default(), endpoints.clone()).len(), 2);
    assert_eq!(used_at(&at("", ""), endpoints).len(), 2);
}

#[test]
fn hints_are_those_of_the_whole_service_and_not_of_one_slice() {
    let all = slices([
        slice(json!([for_zones(ready("10.0.0.1"), &["z1"])])),
        slice(json!([ready("10.0.0.2")])),
    ]);
    assert_eq!(used(&fold(&all, &at("n", "z1"))).len(), 2);
}

#[test]
fn node_hints_come_before_zone_hints() {
    let endpoints = json!([
        for_nodes(ready("10.0.0.1"), &["n1"], &["z1"]),
        for_nodes(ready("10.0.0.2"), &["n2"], &["z1"]),
        for_nodes(ready("10.0.0.3"), &["n3"], &["z2"]),
    ]);
    assert_eq!(
        used_at(&at("n1", "z1"), endpoints.clone()),
        ["10.0.0.1:8080"]
    );
    // Nobody is meant for this node: its zone decides.
    assert_eq!(
        used_at(&at("n9", "z1"), endpoints),
        ["10.0.0.1:8080", "10.0.0.2:8080"]
    );
}

#[test]
fn where_a_pod_is_does_not_filter() {
    let endpoints = json!([
        on(ready("10.0.0.1"), "n1", "z1"),
        on(ready("10.0.0.2"), "n2", "z2")
    ]);
    assert_eq!(used_at(&at("n1", "z1"), endpoints).len(), 2);
}

#[test]
fn the_own_zone_is_that_of_an_endpoint_on_the_own_node() {
    let endpoints = json!([
        for_zones(on(ready("10.0.0.1"), "n1", "z2"), &["z1"]),
        for_zones(on(ready("10.0.0.2"), "n2", "z1"), &["z2"]),
        on(not_ready("10.0.0.3"), "n1", "z3"),
    ]);
    let on_node_1 = Selection {
        node: Some("n1".to_owned()),
        ..Selection::default()
    };
    assert_eq!(used_at(&on_node_1, endpoints.clone()), ["10.0.0.2:8080"]);
    // What the pod was told goes before what can be inferred.
    assert_eq!(used_at(&at("n1", "z1"), endpoints), ["10.0.0.1:8080"]);
}

#[test]
fn the_terminating_fallback_ignores_hints() {
    let endpoints = json!([
        for_zones(draining("10.0.0.1"), &["z1"]),
        for_zones(draining("10.0.0.2"), &["z2"]),
    ]);
    assert_eq!(used_at(&at("n", "z1"), endpoints).len(), 2);
}

#[test]
fn a_local_policy_means_the_own_node_or_nothing() {
    let endpoints = json!([
        on(ready("10.0.0.1"), "n1", "z"),
        on(ready("10.0.0.2"), "n2", "z")
    ]);
    let all = slices([slice(endpoints)]);
    let at_home = fold(&all, &local(Some("n1")));
    assert_eq!(used(&at_home), ["10.0.0.1:8080"]);
    assert_eq!(standing(&at_home, "10.0.0.2"), Standing::Elsewhere);
    assert!(at_home.notes.is_empty());

    let away = fold(&all, &local(Some("n3")));
    assert!(used(&away).is_empty());
    assert!(away.notes.is_empty());
}

#[test]
fn a_local_policy_without_a_known_node_is_nothing_and_says_so() {
    let all = slices([slice(json!([
        on(ready("10.0.0.1"), "n1", "z"),
        ready("10.0.0.2")
    ]))]);
    for node in [None, Some("")] {
        let fold = fold(&all, &local(node));
        assert!(used(&fold).is_empty());
        assert!(only_note(&fold).contains("spec.nodeName"));
    }
}

#[test]
fn a_local_policy_falls_back_to_local_terminating_ones_and_ignores_hints() {
    let endpoints = json!([
        on(draining("10.0.0.1"), "n1", "z"),
        on(draining("10.0.0.2"), "n2", "z"),
        on(ready("10.0.0.3"), "n2", "z"),
    ]);
    assert_eq!(used_at(&local(Some("n1")), endpoints), ["10.0.0.1:8080"]);

    let endpoints = json!([
        for_nodes(on(ready("10.0.0.1"), "n1", "z"), &["n2"], &["z"]),
        for_nodes(on(ready("10.0.0.2"), "n1", "z"), &["n1"], &["z"]),
    ]);
    assert_eq!(used_at(&local(Some("n1")), endpoints).len(), 2);
}
