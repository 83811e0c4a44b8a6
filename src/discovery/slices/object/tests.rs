use serde_json::{Value, json};

use super::*;
use crate::discovery::slices::{Fold, Selection, Slices, fold};

fn read(text: &str) -> Result<Slice, String> {
    serde_json::from_str::<SliceObject>(text)
        .map(|object| object.into_parts().1)
        .map_err(|error| error.to_string())
}

/// The slice `a` with these fields.
fn text(fields: &str) -> String {
    format!(r#"{{"metadata":{{"name":"a"}},"addressType":"IPv4",{fields}}}"#)
}

fn folded(slice: Slice) -> Fold {
    let slices: Slices = [("a".to_owned(), slice)].into();
    fold(&slices, &Selection::default())
}

fn addresses(slice: Slice) -> Vec<String> {
    let endpoints = folded(slice).endpoints;
    endpoints.iter().map(|e| e.address().to_string()).collect()
}

const ENDPOINT: &str = r#""endpoints":[{"addresses":["10.0.0.1"]}]"#;

#[test]
fn the_address_type_may_come_last() {
    let slice = read(
        r#"{"ports":[{"port":80}],"endpoints":[{"addresses":["10.0.0.1"]},{"addresses":["fd00::1"]}],
        "addressType":"IPv6","metadata":{"name":"a"}}"#,
    )
    .unwrap();
    assert_eq!(addresses(slice), ["[fd00::1]:80"]);
}

#[test]
fn null_is_what_is_not_there() {
    let nothing = read(r#"{"metadata":{"name":"a"}}"#).unwrap();
    let null = json!({
        "metadata": {"name": "a", "annotations": null},
        "addressType": null, "endpoints": null, "ports": null,
    });
    assert_eq!(read(&null.to_string()).unwrap(), nothing);
    let endpoint = json!([{"addresses": ["10.0.0.1"], "conditions": null, "targetRef": null,
        "nodeName": null, "zone": null, "hints": {"forZones": null, "forNodes": null}}]);
    let ports = json!([{"name": null, "port": 80, "protocol": null, "appProtocol": null}]);
    let slice = read(&text(&format!(r#""endpoints":{endpoint},"ports":{ports}"#))).unwrap();
    assert_eq!(addresses(slice), ["10.0.0.1:80"]);
}

#[test]
fn a_slice_needs_a_name() {
    for metadata in ["{}", r#"{"name":""}"#, r#"{"name":null}"#, "7"] {
        assert!(read(&format!(r#"{{"metadata":{metadata}}}"#)).is_err());
    }
    assert!(read("{}").is_err());
    assert!(read("[]").is_err());
}

/// The API's own type holds 32 bits and takes a larger number for a fault of the whole list.
#[test]
fn a_number_that_is_no_port_leaves_the_rest_readable() {
    for number in ["0", "-1", "65536", "99999999999", "1e300", "80.5", "-1e19"] {
        let ports = format!(r#""ports":[{{"name":"bad","port":{number}}},{{"port":80}}]"#);
        let slice = read(&text(&format!("{ENDPOINT},{ports}"))).unwrap();
        let wanted = |port: &str| Selection {
            port: Some(port.to_owned()),
            ..Selection::default()
        };
        let slices: Slices = [("a".to_owned(), slice)].into();
        assert_eq!(fold(&slices, &wanted("")).endpoints.len(), 1, "{number}");
        let bad = fold(&slices, &wanted("bad"));
        assert_eq!(
            bad.notes.into_iter().collect::<Vec<_>>(),
            [r#"slice "a": ignored port "bad", as its number is not in 1 to 65535"#],
            "{number}"
        );
    }
}

#[test]
fn a_million_entries_weigh_no_more_than_what_is_kept_of_them() {
    let many = |entry: &str| vec![entry; 1_000_000].join(",");
    let rows = [
        format!(r#""endpoints":[{}]"#, many("{}")),
        format!(r#""endpoints":[{}]"#, many(r#"{"addresses":["0.0.0.0"]}"#)),
        format!(r#""ports":[{}]"#, many("{}")),
        format!(r#""ports":[{}]"#, many(r#"{"protocol":"UDP"}"#)),
        format!(r#""labels":[{}]"#, many("{}")),
        format!(
            r#""endpoints":[{{"addresses":[{}]}}]"#,
            many(r#""10.0.0.1""#)
        ),
        format!(
            r#""endpoints":[{{"addresses":["10.0.0.1"],"hints":{{"forZones":[{}],"forNodes":[{}]}}}}]"#,
            many(r#"{"name":"a"}"#),
            many("{}")
        ),
    ];
    for row in rows {
        let slice = read(&text(&row)).unwrap();
        let weight = slice.weight();
        assert!(weight < 2_000, "{weight}: {}", &row[..60]);
        assert!(slice.backends.capacity() <= 1);
    }
}

#[test]
fn a_condition_said_a_million_times_is_refused() {
    let conditions = vec![r#""ready":true"#; 1_000_000].join(",");
    let endpoint = format!(r#""endpoints":[{{"conditions":{{{conditions}}}}}]"#);
    let error = read(&text(&endpoint)).unwrap_err();
    assert!(error.contains("duplicate field"), "{error}");
}

#[test]
fn nesting_of_any_depth_is_skipped_or_refused() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let unknown = format!(r#"{ENDPOINT},"ports":[{{"port":80}}],"unknown":{deep}"#);
    assert_eq!(addresses(read(&text(&unknown)).unwrap()), ["10.0.0.1:80"]);
    for known in ["endpoints", "ports", "addressType"] {
        assert!(
            read(&format!(
                r#"{{"metadata":{{"name":"a"}},"{known}":{deep}}}"#
            ))
            .is_err()
        );
    }
    let events = [
        format!(r#"{{"type":"ADDED","object":{deep}}}"#),
        // What the event is about is not known yet: it has to be kept as it is.
        format!(r#"{{"object":{deep},"type":"ADDED"}}"#),
    ];
    for event in events {
        let read = serde_json::from_str::<kube::core::WatchEvent<SliceObject>>(&event);
        assert!(read.is_err());
    }
}

#[test]
fn weight_is_of_what_is_kept() {
    let weigh = |endpoint: Value| {
        let ports = json!([{"name": "http", "port": 80}]);
        let fields = format!(r#""endpoints":[{endpoint}],"ports":{ports}"#);
        read(&text(&fields)).unwrap().weight()
    };
    let plain = weigh(json!({"addresses": ["10.0.0.1"]}));
    let long = "x".repeat(1_000);
    for endpoint in [
        json!({"addresses": ["10.0.0.1"], "nodeName": long}),
        json!({"addresses": ["10.0.0.1"], "zone": long}),
        json!({"addresses": ["10.0.0.1"], "targetRef": {"name": long}}),
        json!({"addresses": ["10.0.0.1"], "targetRef": {"uid": long}}),
    ] {
        assert_eq!(weigh(endpoint), plain + 1_000);
    }
    let hinted = json!({"addresses": ["10.0.0.1"], "hints": {"forZones": [{"name": long}]}});
    assert_eq!(weigh(hinted), plain + 1_000 + size_of::<String>());
    assert_eq!(
        weigh(json!({"addresses": ["10.0.0.1"], "labels": [long]})),
        plain
    );
    assert_eq!(
        weigh(json!({"addresses": []})) + size_of::<super::super::Backend>(),
        plain
    );
}
