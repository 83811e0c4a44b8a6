//! Places in a pod: looked up, and made where they are missing. What has another shape than a pod's is left alone.

use serde_json::{Map, Value, json};

use super::SidecarMode;
use super::annotations::KEPT;
use super::listeners::{FIRST_FREE_PORT, Listeners};

/// The sidecar's name among the containers.
pub(super) const CONTAINER: &str = "podrobin";
/// Its volume's, by which it is known for what injection made: nobody else mounts that.
pub(super) const VOLUME: &str = "podrobin-token";

pub(super) const CONTAINERS: &str = "containers";
pub(super) const INIT_CONTAINERS: &str = "initContainers";
pub(super) const VOLUMES: &str = "volumes";
pub(super) const HOST_ALIASES: &str = "hostAliases";
pub(super) const SECURITY_CONTEXT: &str = "securityContext";
pub(super) const SYSCTLS: &str = "sysctls";

/// The lowest port that a process without rights may listen on.
pub(super) const LOW_PORTS: &str = "net.ipv4.ip_unprivileged_port_start";
/// In [`KEPT`]: the pod had [`LOW_PORTS`] already.
pub(super) const KEPT_SYSCTL: &str = "sysctl";

pub(super) fn spec(pod: &mut Value) -> Option<&mut Map<String, Value>> {
    pod.get_mut("spec")?.as_object_mut()
}

/// The elements of a list in the spec; none where there is no list.
pub(super) fn items<'a>(pod: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    let spec = pod.get("spec").into_iter();
    spec.flat_map(move |spec| entries(spec, list))
}

/// What is in a list of an object, such as a container's variables.
pub(super) fn entries<'a>(
    object: &'a Value,
    list: &str,
) -> impl Iterator<Item = &'a Value> + use<'a> {
    let list = object.get(list).and_then(Value::as_array);
    list.into_iter().flatten()
}

/// All containers but ephemeral ones, with those that run before the app first.
pub(super) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    items(pod, INIT_CONTAINERS).chain(items(pod, CONTAINERS))
}

pub(super) fn name(item: &Value) -> &str {
    item.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// A list in an object, made if it is missing or null; `None` if it is something else.
pub(super) fn list<'a>(
    object: &'a mut Map<String, Value>,
    key: &str,
) -> Option<&'a mut Vec<Value>> {
    let value = object.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = json!([]);
    }
    value.as_array_mut()
}

/// As [`list`], of an object.
pub(super) fn object<'a>(
    object: &'a mut Map<String, Value>,
    key: &str,
) -> Option<&'a mut Map<String, Value>> {
    let value = object.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut()
}

/// Takes away a list or an object that holds nothing any more; nothing and none are the same to Kubernetes.
pub(super) fn prune(object: &mut Map<String, Value>, key: &str) {
    let empty = match object.get(key) {
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        _ => false,
    };
    if empty {
        object.shift_remove(key);
    }
}

/// First of all, so that it runs before what needs it.
pub(super) fn add_sidecar(pod: &mut Value, container: Value, mode: SidecarMode) {
    let Some(spec) = spec(pod) else { return };
    let key = match mode {
        SidecarMode::Native => INIT_CONTAINERS,
        SidecarMode::Plain => CONTAINERS,
    };
    if !spec.contains_key(key) {
        // Where a reader looks for it.
        let before = spec.keys().position(|key| key == CONTAINERS);
        spec.shift_insert(before.unwrap_or(spec.len()), key.to_owned(), json!([]));
    }
    if let Some(list) = list(spec, key) {
        list.insert(0, container);
    }
}

pub(super) fn add_volume(pod: &mut Value, volume: Value) {
    if let Some(list) = spec(pod).and_then(|spec| list(spec, VOLUMES)) {
        list.push(volume);
    }
}

/// Listeners below 1024 need leave of the pod. It is one that Pod Security's "restricted" gives.
pub(super) fn allow_low_ports(pod: &mut Value, listeners: &Listeners, kept: &mut Vec<String>) {
    let Some(lowest) = lowest_port(listeners) else {
        return;
    };
    if low_ports(pod).is_some_and(|(_, first)| first <= lowest) {
        kept.push(KEPT_SYSCTL.to_owned());
        return;
    }
    let context = spec(pod).and_then(|spec| object(spec, SECURITY_CONTEXT));
    if let Some(list) = context.and_then(|context| list(context, SYSCTLS)) {
        list.push(json!({"name": LOW_PORTS, "value": "0"}));
    }
}

/// The lowest port to listen on, if it is one that takes rights.
pub(super) fn lowest_port(listeners: &Listeners) -> Option<u16> {
    let ports = listeners
        .each
        .iter()
        .map(|listener| listener.address.port());
    ports.filter(|port| *port < FIRST_FREE_PORT).min()
}

/// What the pod says already of the lowest port: as written, and as a number.
pub(super) fn low_ports(pod: &Value) -> Option<(&str, u16)> {
    let sysctls = pod.pointer("/spec/securityContext/sysctls")?.as_array()?;
    let own = sysctls.iter().find(|sysctl| name(sysctl) == LOW_PORTS)?;
    let text = own
        .get("value")
        .and_then(Value::as_str)
        .unwrap_or("not set");
    // What is no number is none that allows anything.
    Some((text, text.parse().unwrap_or(u16::MAX)))
}

/// Notes what the pod had of its own just as injection would have made it, where there is such a thing.
pub(super) fn remember_kept(pod: &mut Value, kept: &[String]) {
    let metadata = pod.get_mut("metadata").and_then(Value::as_object_mut);
    let annotations = metadata.and_then(|metadata| metadata.get_mut("annotations"));
    let Some(annotations) = annotations.and_then(Value::as_object_mut) else {
        return;
    };
    // What somebody else wrote there is no news.
    annotations.shift_remove(KEPT);
    if !kept.is_empty() {
        annotations.insert(KEPT.to_owned(), kept.join(",").into());
    }
}
