//! Slices come and go, and together they are the Service.

use super::*;

#[test]
fn all_slices_count_together() {
    let fold = fold_all([
        slice(json!([ready("10.0.0.2")])),
        slice(json!([ready("10.0.0.1"), ready("10.0.0.3")])),
    ]);
    assert_eq!(
        used(&fold),
        ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080"]
    );
}

#[test]
fn an_endpoint_in_two_slices_counts_once() {
    let fold = fold_all([
        slice(json!([ready("10.0.0.1")])),
        slice(json!([ready("10.0.0.1"), ready("10.0.0.2")])),
    ]);
    assert_eq!(used(&fold), ["10.0.0.1:8080", "10.0.0.2:8080"]);
}

#[test]
fn the_terminating_copy_of_a_pod_wins() {
    for objects in [
        [draining("10.0.0.1"), ready("10.0.0.1")],
        [ready("10.0.0.1"), draining("10.0.0.1")],
    ] {
        let [first, second] = objects.map(|endpoint| slice(json!([endpoint])));
        let fold = fold_all([first, second, slice(json!([ready("10.0.0.2")]))]);
        assert_eq!(used(&fold), ["10.0.0.2:8080"]);
        assert_eq!(standing(&fold, "10.0.0.1"), Standing::Terminating);
    }
}

#[test]
fn the_ready_copy_of_a_pod_wins_where_neither_is_terminating() {
    for objects in [
        [not_ready("10.0.0.1"), ready("10.0.0.1")],
        [ready("10.0.0.1"), not_ready("10.0.0.1")],
    ] {
        let fold = fold_all(objects.map(|endpoint| slice(json!([endpoint]))));
        assert_eq!(used(&fold), ["10.0.0.1:8080"]);
    }
}

#[test]
fn an_address_given_to_a_new_pod_is_the_new_pods() {
    let new = with(
        not_ready("10.0.0.1"),
        json!({"targetRef": {"name": "new", "uid": "0"}}),
    );
    for objects in [
        [draining("10.0.0.1"), new.clone()],
        [new.clone(), draining("10.0.0.1")],
    ] {
        let fold = fold_all(objects.map(|endpoint| slice(json!([endpoint]))));
        assert_eq!(fold.endpoints.len(), 1);
        assert_eq!(fold.endpoints[0].identity.uid.as_deref(), Some("0"));
        assert_eq!(fold.endpoints[0].standing, Standing::NotReady);
    }
}

#[test]
fn the_old_pods_stale_copy_does_not_hide_that_it_is_terminating() {
    let new = with(
        not_ready("10.0.0.1"),
        json!({"targetRef": {"name": "new", "uid": "new"}}),
    );
    let fold = fold_all([
        slice(json!([ready("10.0.0.1")])),
        slice(json!([draining("10.0.0.1")])),
        slice(json!([new])),
    ]);
    assert_eq!(fold.endpoints[0].pod.as_deref(), Some("new"));
}

#[test]
fn no_slices_and_empty_ones_mean_zero_without_a_note() {
    assert_eq!(fold_all([]), Fold::default());
    for endpoints in [json!(null), json!([])] {
        assert_eq!(fold_all([slice(endpoints.clone())]), Fold::default());
        let placeholder = with(slice(endpoints), json!({"ports": null}));
        assert_eq!(fold(&slices([placeholder]), &port("http")), Fold::default());
    }
}

#[test]
fn the_list_is_sorted_by_address_as_a_number() {
    let fold = fold_all([slice(json!([
        ready("10.0.0.10"),
        ready("10.0.0.9"),
        ready("9.0.0.1")
    ]))]);
    assert_eq!(
        used(&fold),
        ["9.0.0.1:8080", "10.0.0.9:8080", "10.0.0.10:8080"]
    );
}

#[test]
fn what_a_slice_does_not_say_stays_unknown() {
    for endpoint in [
        json!({"addresses": ["10.0.0.1"]}),
        json!({
            "addresses": ["10.0.0.1"],
            "targetRef": {"name": "", "uid": ""},
            "nodeName": "",
            "zone": "",
        }),
    ] {
        let fold = fold_all([slice(json!([endpoint]))]);
        let endpoint = &fold.endpoints[0];
        assert_eq!(used(&fold), ["10.0.0.1:8080"]);
        assert_eq!(endpoint.identity.uid, None);
        assert_eq!(endpoint.pod, None);
        assert_eq!(endpoint.node, None);
        assert_eq!(endpoint.zone, None);
    }
}

#[test]
fn what_a_slice_says_of_a_pod_is_kept() {
    let endpoint = with(ready("10.0.0.1"), json!({"nodeName": "n1", "zone": "z1"}));
    let fold = fold_all([slice(json!([endpoint]))]);
    let endpoint = &fold.endpoints[0];
    assert_eq!(endpoint.identity.uid.as_deref(), Some("uid-10.0.0.1"));
    assert_eq!(endpoint.pod.as_deref(), Some("pod-10.0.0.1"));
    assert_eq!(endpoint.node.as_deref(), Some("n1"));
    assert_eq!(endpoint.zone.as_deref(), Some("z1"));
}

#[test]
fn the_trigger_time_is_read_from_its_annotation() {
    let annotated = |time: &str| {
        let annotations = json!({"endpoints.kubernetes.io/last-change-trigger-time": time});
        let metadata = json!({"metadata": {"annotations": annotations}});
        read(with(slice(json!([])), metadata)).triggered
    };
    let expected = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250);
    assert_eq!(annotated("2023-11-14T22:13:20.25Z"), Some(expected));
    assert_eq!(annotated("yesterday"), None);
    assert_eq!(read(slice(json!([]))).triggered, None);
}
