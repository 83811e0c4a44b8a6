use super::*;
use crate::discovery::slices::SliceObject;

fn annotated(slice: Value, weight: &str) -> Value {
    let metadata = json!({"name": "a", "annotations": {"podrobin.io/weight": weight}});
    with(slice, json!({"metadata": metadata}))
}

fn weights(fold: &Fold) -> Vec<u32> {
    let endpoints = fold.endpoints.iter();
    endpoints.map(|endpoint| endpoint.weight).collect()
}

#[test]
fn each_endpoint_has_its_slices_weight_or_one() {
    let fold = fold_all([
        slice(json!([ready("10.0.0.1")])),
        annotated(slice(json!([ready("10.0.0.2"), ready("10.0.0.3")])), "9"),
        annotated(slice(json!([ready("10.0.0.4")])), "0"),
    ]);
    assert_eq!(weights(&fold), [1, 9, 9, 0]);
    assert!(fold.notes.is_empty());
    // A drained pod is as ready as it was.
    assert_eq!(used(&fold).len(), 4);
}

#[test]
fn a_weight_that_is_none_is_told_and_passed_over() {
    for bad in ["-1", "0.5", "heavy", "", "1000001", " 1"] {
        let fold = fold_all([annotated(slice(json!([ready("10.0.0.1")])), bad)]);
        assert_eq!(weights(&fold), [1], "{bad}");
        let note = only_note(&fold);
        assert!(note.contains("podrobin.io/weight"), "{note}");
        assert!(note.contains("between 0 and 1000000"), "{note}");
        assert!(note.contains(&format!("{bad:?}")), "{note}");
    }
}

#[test]
fn of_two_copies_of_a_pod_the_greater_weight_counts_and_any_before_none() {
    let pod = || slice(json!([ready("10.0.0.1")]));
    for (one, other, expected) in [
        (annotated(pod(), "3"), annotated(pod(), "5"), 5),
        (annotated(pod(), "0"), pod(), 0),
    ] {
        assert_eq!(weights(&fold_all([one.clone(), other.clone()])), [expected]);
        assert_eq!(weights(&fold_all([other, one])), [expected]);
    }
}

#[test]
fn the_watch_reads_it_as_a_file_does() {
    for weight in ["7", "x"] {
        let object = annotated(slice(json!([ready("10.0.0.1")])), weight);
        let watched: SliceObject = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(watched.into_parts().1, read(object));
    }
}
