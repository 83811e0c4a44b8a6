//! Each rule by example. `properties` compares the whole with a reference.

mod addresses;
mod conditions;
mod families;
mod merging;
mod ports;
mod topology;
mod weights;

use std::time::{Duration, SystemTime};

use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::*;
use crate::endpoint::{AppProtocol, Standing};

fn pod(address: &str) -> Value {
    json!({
        "addresses": [address],
        "targetRef": {"kind": "Pod", "name": format!("pod-{address}"), "uid": format!("uid-{address}")},
    })
}

fn with(mut object: Value, fields: Value) -> Value {
    let (Some(object_map), Value::Object(fields)) = (object.as_object_mut(), fields) else {
        panic!("not objects");
    };
    object_map.extend(fields);
    object
}

fn ready(address: &str) -> Value {
    conditions(address, true, true, false)
}

fn not_ready(address: &str) -> Value {
    conditions(address, false, false, false)
}

fn draining(address: &str) -> Value {
    conditions(address, false, true, true)
}

fn conditions(address: &str, ready: bool, serving: bool, terminating: bool) -> Value {
    with(
        pod(address),
        json!({"conditions": {"ready": ready, "serving": serving, "terminating": terminating}}),
    )
}

/// A slice with the unnamed port 8080.
fn slice(endpoints: Value) -> Value {
    let mut slice = json!({
        "addressType": "IPv4",
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    });
    slice["endpoints"] = endpoints;
    slice
}

fn slice_v6(endpoints: Value) -> Value {
    with(slice(endpoints), json!({"addressType": "IPv6"}))
}

/// Slices named a, b, c and so on.
fn slices<const N: usize>(objects: [Value; N]) -> Slices {
    ('a'..)
        .zip(objects)
        .map(|(name, object)| (name.to_string(), read(object)))
        .collect()
}

fn read(object: Value) -> Slice {
    let object: EndpointSlice = serde_json::from_value(object).unwrap();
    Slice::from(object)
}

fn fold_all<const N: usize>(objects: [Value; N]) -> Fold {
    fold(&slices(objects), &Selection::default())
}

fn port(name: &str) -> Selection {
    Selection {
        port: Some(name.to_owned()),
        ..Selection::default()
    }
}

fn used(fold: &Fold) -> Vec<String> {
    fold.endpoints
        .iter()
        .filter(|endpoint| endpoint.is_used())
        .map(|endpoint| endpoint.address().to_string())
        .collect()
}

fn standing(fold: &Fold, ip: &str) -> Standing {
    let ip: IpAddr = ip.parse().unwrap();
    fold.endpoints
        .iter()
        .find(|endpoint| endpoint.address().ip() == ip)
        .unwrap()
        .standing
}

fn only_note(fold: &Fold) -> &str {
    assert_eq!(fold.notes.len(), 1, "{:?}", fold.notes);
    fold.notes.first().unwrap()
}
