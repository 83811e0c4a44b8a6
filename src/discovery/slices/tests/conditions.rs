//! Who is ready, and who is used where nobody is.

use super::*;

#[test]
fn unset_conditions_mean_ready() {
    for endpoint in [
        pod("10.0.0.1"),
        with(pod("10.0.0.1"), json!({"conditions": null})),
        with(pod("10.0.0.1"), json!({"conditions": {}})),
        with(pod("10.0.0.1"), json!({"conditions": {"ready": null}})),
    ] {
        let fold = fold_all([slice(json!([endpoint]))]);
        assert_eq!(standing(&fold, "10.0.0.1"), Standing::Ready);
    }
}

#[test]
fn unset_serving_means_serving() {
    let endpoint = with(
        pod("10.0.0.1"),
        json!({"conditions": {"ready": false, "terminating": true}}),
    );
    let fold = fold_all([slice(json!([endpoint]))]);
    assert_eq!(standing(&fold, "10.0.0.1"), Standing::Fallback);
}

#[test]
fn ready_ones_are_used_and_no_others() {
    let fold = fold_all([slice(json!([
        ready("10.0.0.1"),
        not_ready("10.0.0.2"),
        draining("10.0.0.3"),
        conditions("10.0.0.4", false, false, true),
    ]))]);
    assert_eq!(used(&fold), ["10.0.0.1:8080"]);
    assert_eq!(standing(&fold, "10.0.0.2"), Standing::NotReady);
    assert_eq!(standing(&fold, "10.0.0.3"), Standing::Terminating);
    assert_eq!(standing(&fold, "10.0.0.4"), Standing::Terminating);
}

#[test]
fn serving_and_terminating_ones_are_used_where_none_is_ready_in_any_slice() {
    let last = slice(json!([draining("10.0.0.1"), not_ready("10.0.0.2")]));
    let gone = slice(json!([conditions("10.0.0.3", false, false, true)]));
    let fold = fold_all([last.clone(), gone.clone()]);
    assert_eq!(used(&fold), ["10.0.0.1:8080"]);
    assert_eq!(standing(&fold, "10.0.0.1"), Standing::Fallback);

    let fold = fold_all([last, gone, slice(json!([ready("10.0.0.4")]))]);
    assert_eq!(used(&fold), ["10.0.0.4:8080"]);
}

#[test]
fn not_ready_is_never_used() {
    let fold = fold_all([slice(json!([
        not_ready("10.0.0.1"),
        conditions("10.0.0.2", false, true, false),
        conditions("10.0.0.3", false, false, true),
    ]))]);
    assert_eq!(used(&fold), Vec::<String>::new());
    assert_eq!(standing(&fold, "10.0.0.2"), Standing::NotReady);
}

// publishNotReadyAddresses
#[test]
fn ready_ones_that_terminate_are_used_only_among_themselves() {
    let leaving = conditions("10.0.0.1", true, false, true);
    let fold = fold_all([slice(json!([leaving.clone(), draining("10.0.0.2")]))]);
    assert_eq!(used(&fold), ["10.0.0.1:8080"]);
    assert_eq!(standing(&fold, "10.0.0.1"), Standing::Ready);

    let fold = fold_all([slice(json!([leaving, ready("10.0.0.3")]))]);
    assert_eq!(used(&fold), ["10.0.0.3:8080"]);
    assert_eq!(standing(&fold, "10.0.0.1"), Standing::Terminating);
}

#[test]
fn unset_terminating_means_not_terminating() {
    let endpoint = with(
        pod("10.0.0.1"),
        json!({"conditions": {"ready": false, "serving": true}}),
    );
    let fold = fold_all([slice(json!([endpoint]))]);
    assert_eq!(standing(&fold, "10.0.0.1"), Standing::NotReady);
}
