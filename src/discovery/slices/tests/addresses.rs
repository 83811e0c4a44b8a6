//! Which addresses count, and what is said of the others.

use super::*;

#[test]
fn only_the_first_address_counts() {
    let endpoint = with(
        ready("10.0.0.1"),
        json!({"addresses": ["10.0.0.1", "10.0.0.2"]}),
    );
    assert_eq!(
        used(&fold_all([slice(json!([endpoint]))])),
        ["10.0.0.1:8080"]
    );
}

#[test]
fn addresses_that_cannot_be_sent_to_are_ignored_with_one_note() {
    for bad in [
        "0.0.0.0",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "cart.example",
        "fd00::1",
        "10.0.0.1:80",
        "",
    ] {
        let fold = fold_all([
            slice(json!([ready("10.0.0.1"), ready(bad), ready(bad)])),
            slice(json!([ready(bad)])),
        ]);
        assert_eq!(used(&fold), ["10.0.0.1:8080"], "{bad}");
        assert_eq!(
            only_note(&fold),
            format!(
                "slice \"a\": ignored an endpoint, as {bad:?} is no address of that family to send to"
            )
        );
    }
    for bad in [
        "::",
        "ff02::1",
        "10.0.0.1",
        "::ffff:10.0.0.1",
        "fe80::1",
        "fe80::1%eth0",
    ] {
        let fold = fold_all([slice_v6(json!([ready("fd00::1"), ready(bad)]))]);
        assert_eq!(used(&fold), ["[fd00::1]:8080"], "{bad}");
        assert_eq!(fold.notes.len(), 1);
    }
}

/// The API server takes none, and none of its pods has one; a laptop's have.
#[test]
fn loopback_is_an_address_like_any_other() {
    let fold = fold_all([
        slice(json!([ready("127.0.0.2")])),
        slice_v6(json!([ready("::1")])),
    ]);
    assert_eq!(used(&fold), ["127.0.0.2:8080"]);
    assert!(fold.notes.is_empty());
}

#[test]
fn an_endpoint_without_an_address_is_ignored_with_a_note() {
    for addresses in [json!([]), json!(null)] {
        let endpoint = with(ready("10.0.0.1"), json!({ "addresses": addresses }));
        let fold = fold_all([slice(json!([endpoint]))]);
        assert!(fold.endpoints.is_empty());
        assert_eq!(
            only_note(&fold),
            "slice \"a\": ignored an endpoint without an address"
        );
    }
}

#[test]
fn slices_of_domain_names_are_ignored_with_a_note() {
    let names = with(
        slice(json!([ready("10.0.0.1")])),
        json!({"addressType": "FQDN"}),
    );
    let fold = fold_all([names]);
    assert!(fold.endpoints.is_empty());
    assert_eq!(
        only_note(&fold),
        "slice \"a\": ignored, as its addressType is \"FQDN\" and not IPv4 or IPv6"
    );
}

#[test]
fn notes_stay_few_and_short_whatever_a_slice_holds() {
    let long = "x\n".repeat(200);
    let bad: Vec<Value> = (0..1000).map(|i| ready(&format!("{i}{long}"))).collect();
    let mut all = Slices::new();
    for i in 0..20 {
        all.insert(format!("{i}{long}"), read(slice(json!(bad))));
    }
    let fold = fold(&all, &port(""));
    let note = only_note(&fold);
    assert!(note.len() < 500, "{}", note.len());
    assert!(!note.contains('\n'));

    let ports: Vec<Value> = (0..1000)
        .map(|i| json!({"name": format!("{i}{long}"), "port": 80}))
        .collect();
    let many = with(slice(json!([])), json!({ "ports": ports }));
    let fold = fold_all([many]);
    let note = only_note(&fold);
    assert!(note.len() < 2000, "{}", note.len());
    assert!(!note.contains('\n'));
}

#[test]
fn faults_of_slices_that_lack_the_port_are_not_noted() {
    let elsewhere = with(
        slice(json!([ready("0.0.0.0")])),
        json!({"ports": [{"name": "metrics", "port": 0}]}),
    );
    let all = slices([elsewhere, slice(json!([ready("10.0.0.1")]))]);
    let fold = fold(&all, &port(""));
    assert_eq!(used(&fold), ["10.0.0.1:8080"]);
    assert!(fold.notes.is_empty());
}

#[test]
fn a_note_reads_the_same_whatever_the_order_of_endpoints() {
    let noted = |addresses: [&str; 2]| fold_all([slice(json!(addresses.map(ready)))]).notes;
    assert_eq!(
        noted(["0.0.0.0", "224.0.0.1"]),
        noted(["224.0.0.1", "0.0.0.0"])
    );
}
