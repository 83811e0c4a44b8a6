//! IPv4 and IPv6.

use super::*;

fn family(family: Family) -> Selection {
    Selection {
        family,
        ..Selection::default()
    }
}

#[test]
fn a_pod_of_both_families_has_one_share() {
    let pod_v6 = with(
        ready("fd00::1"),
        json!({"targetRef": {"name": "pod-10.0.0.1", "uid": "uid-10.0.0.1"}}),
    );
    let all = slices([slice(json!([ready("10.0.0.1")])), slice_v6(json!([pod_v6]))]);
    for (choice, expected) in [
        (Family::PreferIpv4, "10.0.0.1:8080"),
        (Family::Ipv4, "10.0.0.1:8080"),
        (Family::PreferIpv6, "[fd00::1]:8080"),
        (Family::Ipv6, "[fd00::1]:8080"),
    ] {
        let fold = fold(&all, &family(choice));
        assert_eq!(fold.endpoints.len(), 1);
        assert_eq!(used(&fold), [expected]);
        assert!(fold.notes.is_empty());
    }
}

#[test]
fn a_preference_gives_way_and_a_demand_does_not() {
    let all = slices([slice_v6(json!([ready("fd00::1")]))]);
    assert_eq!(
        used(&fold(&all, &family(Family::PreferIpv4))),
        ["[fd00::1]:8080"]
    );
    let demanded = fold(&all, &family(Family::Ipv4));
    assert!(demanded.endpoints.is_empty());
    assert_eq!(
        only_note(&demanded),
        "the Service has no IPv4 endpoints, which were asked for, only IPv6 ones"
    );
    let none = slices([slice(json!([]))]);
    assert_eq!(fold(&none, &family(Family::Ipv4)), Fold::default());
}

#[test]
fn the_family_does_not_flip_when_its_pods_fail() {
    let fold = fold_all([
        slice(json!([not_ready("10.0.0.1")])),
        slice_v6(json!([ready("fd00::1")])),
    ]);
    assert!(used(&fold).is_empty());
    assert_eq!(standing(&fold, "10.0.0.1"), Standing::NotReady);
}

#[test]
fn slices_that_lack_the_port_have_no_say_in_the_family() {
    let other_port = with(
        slice(json!([ready("10.0.0.1")])),
        json!({"ports": [{"name": "metrics", "port": 90}]}),
    );
    let all = slices([other_port, slice_v6(json!([ready("fd00::1")]))]);
    assert_eq!(used(&fold(&all, &port(""))), ["[fd00::1]:8080"]);
}
