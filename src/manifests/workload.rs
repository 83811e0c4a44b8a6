//! Objects that hold a pod, and where they hold it.

use serde_json::Value;

use crate::inject::short;

/// An annotation that asks for the sidecar.
const PREFIX: &str = "podrobin.io/";

/// A pod in an object.
#[derive(Debug)]
pub(super) struct Workload<'a> {
    /// `Deployment shop/client`
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    /// The pod itself, or the template: something with `metadata` and `spec`.
    pub(super) pod: &'a mut Value,
    /// The object's own annotations that are for pods, where it is not the pod itself.
    above: Vec<String>,
    place: &'static str,
}

/// Kinds by their API group, and where in them the pod is.
const KINDS: &[(&str, &str, &str)] = &[
    ("", "Pod", ""),
    ("", "PodTemplate", "/template"),
    ("", "ReplicationController", "/spec/template"),
    ("apps", "DaemonSet", "/spec/template"),
    ("apps", "Deployment", "/spec/template"),
    ("apps", "ReplicaSet", "/spec/template"),
    ("apps", "StatefulSet", "/spec/template"),
    ("batch", "CronJob", "/spec/jobTemplate/spec/template"),
    ("batch", "Job", "/spec/template"),
];

/// Characters of a name that are shown.
const LONGEST_NAME: usize = 200;

/// Lists in lists are of no use, and bounded.
const DEEPEST_LIST: usize = 4;

/// Calls `act` for each pod in an object or a List of them; other kinds have none.
pub(super) fn each(object: &mut Value, act: &mut dyn FnMut(Workload<'_>)) {
    within(object, None, DEEPEST_LIST, act);
}

/// `kind` is what an item of a list is, where it does not say it itself.
fn within(
    object: &mut Value,
    kind: Option<(String, String)>,
    depth: usize,
    act: &mut dyn FnMut(Workload<'_>),
) {
    let Some((version, kind)) = self::kind(object).or(kind) else {
        return;
    };
    if let Some(item) = kind.strip_suffix("List") {
        let item = (!item.is_empty()).then(|| (version, item.to_owned()));
        if let (Some(depth), Some(Value::Array(items))) =
            (depth.checked_sub(1), object.get_mut("items"))
        {
            for value in items {
                within(value, item.clone(), depth, act);
            }
        }
        return;
    }
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let place = KINDS
        .iter()
        .find(|(its_group, its_kind, _)| *its_group == group && *its_kind == kind)
        .map(|(_, _, place)| *place);
    let Some(place) = place else { return };
    let namespace = text(object, "/metadata/namespace");
    let name = text(object, "/metadata/name")
        .or_else(|| text(object, "/metadata/generateName"))
        .unwrap_or_else(|| "without a name".to_owned());
    let name = match &namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    };
    let name = short(&name, LONGEST_NAME);
    let above = match place {
        "" => Vec::new(),
        _ => annotations(object),
    };
    if let Some(pod) = object.pointer_mut(place).filter(|pod| pod.is_object()) {
        act(Workload {
            name,
            namespace,
            pod,
            above,
            place,
        });
    }
}

impl Workload<'_> {
    /// An annotation of ours on the object itself would do nothing: it is the pod that is looked at.
    pub(super) fn misplaced(&self) -> Option<String> {
        let name = self.above.first()?;
        let place = self.place.trim_start_matches('/').replace('/', ".");
        let name = short(name, LONGEST_NAME);
        Some(format!(
            "annotation {name} is on the object itself, where it has no effect: move it to {place}.metadata.annotations"
        ))
    }
}

fn annotations(object: &Value) -> Vec<String> {
    let annotations = object
        .pointer("/metadata/annotations")
        .and_then(Value::as_object);
    let names = annotations.into_iter().flat_map(serde_json::Map::keys);
    names
        .filter(|name| name.starts_with(PREFIX))
        .cloned()
        .collect()
}

fn kind(object: &Value) -> Option<(String, String)> {
    Some((text(object, "/apiVersion")?, text(object, "/kind")?))
}

fn text(object: &Value, place: &str) -> Option<String> {
    let text = object.pointer(place)?.as_str()?;
    (!text.is_empty()).then(|| text.to_owned())
}
