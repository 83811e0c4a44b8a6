//! Names of captured Services in the pod's `/etc/hosts`.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::listeners::{Captured, Listener, Listeners, is_captured};
use super::pod::{self, HOST_ALIASES};

/// An entry for each captured Service, after those that the pod has.
pub(super) fn add(pod: &mut Value, listeners: &Listeners) {
    if listeners.captured.is_empty() {
        return;
    }
    if let Some(list) = pod::spec(pod).and_then(|spec| pod::list(spec, HOST_ALIASES)) {
        list.extend(listeners.captured.iter().map(entry));
    }
}

/// Takes away those of a sidecar: they are known by their addresses, which nobody else may use beside one.
pub(super) fn remove(pod: &mut Value, listeners: &[Listener]) {
    let captured = |alias: &Value| {
        listeners.iter().any(|listener| {
            is_captured(listener.address.ip()) && ip(alias) == Some(listener.address.ip())
        })
    };
    let Some(spec) = pod::spec(pod) else { return };
    if let Some(list) = spec.get_mut(HOST_ALIASES).and_then(Value::as_array_mut) {
        let before = list.len();
        list.retain(|alias| !captured(alias));
        if list.len() < before {
            pod::prune(spec, HOST_ALIASES);
        }
    }
}

pub(super) fn ip(alias: &Value) -> Option<IpAddr> {
    alias.get("ip")?.as_str()?.parse().ok()
}

pub(super) fn names(alias: &Value) -> impl Iterator<Item = &str> {
    let names = alias.get("hostnames").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str)
}

fn entry(captured: &Captured) -> Value {
    json!({"ip": captured.address.to_string(), "hostnames": captured.names})
}
