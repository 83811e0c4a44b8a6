//! The way back: what an earlier injection put in, known by what the sidecar itself says it listens to.

use std::collections::HashSet;

use serde_json::Value;

use super::SidecarMode;
use super::annotations::KEPT;
use super::listeners::{FIRST_FREE_PORT, Listener, Listeners};
use super::pod::{
    self, CONTAINER, CONTAINERS, INIT_CONTAINERS, LOW_PORTS, SYSCTLS, VOLUME, VOLUMES,
};
use super::{host_aliases, variables};

/// Says whether there was anything to take out.
pub(super) fn take_out(pod: &mut Value) -> bool {
    let mut found = false;
    // There is one, unless somebody has copied it.
    while let Some((mode, sidecar)) = take_sidecar(pod) {
        found = true;
        take_rest(pod, mode, &listeners(&sidecar));
    }
    found
}

/// What came with a sidecar.
fn take_rest(pod: &mut Value, mode: SidecarMode, listeners: &[Listener]) {
    let kept = take_kept(pod);
    take_volume(pod);
    host_aliases::remove(pod, listeners);
    variables::remove(pod, listeners, mode, &kept);
    let low = listeners
        .iter()
        .any(|listener| listener.address.port() < FIRST_FREE_PORT);
    if low && !kept.contains(pod::KEPT_SYSCTL) {
        take_low_ports(pod);
    }
}

/// A container of that name with that volume is one that injection made.
pub(super) fn is_sidecar(container: &Value) -> bool {
    let mounts = container.get("volumeMounts").and_then(Value::as_array);
    pod::name(container) == CONTAINER
        && mounts.is_some_and(|mounts| mounts.iter().any(|mount| pod::name(mount) == VOLUME))
}

fn take_sidecar(pod: &mut Value) -> Option<(SidecarMode, Value)> {
    let spec = pod::spec(pod)?;
    for (mode, key) in [
        (SidecarMode::Native, INIT_CONTAINERS),
        (SidecarMode::Plain, CONTAINERS),
    ] {
        let list = spec.get_mut(key).and_then(Value::as_array_mut);
        let Some(list) = list else { continue };
        if let Some(index) = list.iter().position(is_sidecar) {
            let sidecar = list.remove(index);
            pod::prune(spec, key);
            return Some((mode, sidecar));
        }
    }
    None
}

fn listeners(sidecar: &Value) -> Vec<Listener> {
    let variable = |name: &str| {
        let env = sidecar.get("env")?.as_array()?;
        let found = env.iter().find(|variable| pod::name(variable) == name)?;
        found.get("value")?.as_str()
    };
    let services = variable("PODROBIN_SERVICE").unwrap_or_default();
    Listeners::of_variables(services, variable("PODROBIN_LISTEN"))
}

/// The annotation that says what was there of the pod's own.
fn take_kept(pod: &mut Value) -> HashSet<String> {
    let metadata = pod.get_mut("metadata").and_then(Value::as_object_mut);
    let annotations =
        metadata.and_then(|metadata| metadata.get_mut("annotations")?.as_object_mut());
    let kept = annotations.and_then(|annotations| annotations.shift_remove(KEPT));
    let kept = kept.as_ref().and_then(Value::as_str).unwrap_or_default();
    kept.split(',').map(str::to_owned).collect()
}

fn take_volume(pod: &mut Value) {
    let Some(spec) = pod::spec(pod) else { return };
    if let Some(list) = spec.get_mut(VOLUMES).and_then(Value::as_array_mut) {
        list.retain(|volume| pod::name(volume) != VOLUME);
        pod::prune(spec, VOLUMES);
    }
}

fn take_low_ports(pod: &mut Value) {
    let Some(spec) = pod::spec(pod) else { return };
    let Some(context) = spec
        .get_mut(pod::SECURITY_CONTEXT)
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let Some(list) = context.get_mut(SYSCTLS).and_then(Value::as_array_mut) else {
        return;
    };
    let before = list.len();
    list.retain(|sysctl| pod::name(sysctl) != LOW_PORTS);
    if list.len() < before {
        pod::prune(context, SYSCTLS);
        pod::prune(spec, pod::SECURITY_CONTEXT);
    }
}
