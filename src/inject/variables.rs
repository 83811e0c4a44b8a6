//! The app's variables that say where each Service is: `PODROBIN_<NAME>_URL` and `PODROBIN_<NAME>_TARGET`.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::SidecarMode;
use super::listeners::{Listener, Listeners, address};
use super::pod::{self, CONTAINERS, INIT_CONTAINERS};

/// A variable and its value.
pub(super) type Variable = (String, String);

/// Of each Service the first listener; a name that is taken stays with whom it is.
pub(super) fn of(listeners: &[Listener]) -> Vec<Variable> {
    let mut names = HashSet::new();
    listeners
        .iter()
        .filter_map(|listener| {
            let name = listener.service.name.to_uppercase().replace('-', "_");
            names.insert(name.clone()).then(|| {
                let address = address(listener);
                [
                    (format!("PODROBIN_{name}_URL"), format!("http://{address}")),
                    (format!("PODROBIN_{name}_TARGET"), address.to_string()),
                ]
            })
        })
        .flatten()
        .collect()
}

/// Adds them to the containers that start after the sidecar. They come first, so that the app's own variables can
/// refer to them; one that the app has itself is left to it.
pub(super) fn add(
    pod: &mut Value,
    listeners: &Listeners,
    mode: SidecarMode,
    kept: &mut Vec<String>,
) {
    let variables = of(&listeners.each);
    for key in later(mode) {
        for container in containers(pod, key) {
            add_to(container, &variables, kept);
        }
    }
}

fn add_to(container: &mut Value, variables: &[Variable], kept: &mut Vec<String>) {
    let container_name = pod::name(container).to_owned();
    let Some(object) = container.as_object_mut() else {
        return;
    };
    let Some(env) = pod::list(object, "env") else {
        return;
    };
    let mut missing = Vec::new();
    for (name, value) in variables {
        match env.iter().find(|own| pod::name(own) == name) {
            None => missing.push(entry(name, value)),
            Some(own) if *own == entry(name, value) => {
                kept.push(format!("{container_name}/{name}"));
            }
            Some(_) => {}
        }
    }
    env.splice(0..0, missing);
    pod::prune(object, "env");
}

/// Takes away what [`add`] gave: what has the names and values in question, and was not the app's own. Somebody may have put
/// others before it, by hand or by another webhook.
pub(super) fn remove(
    pod: &mut Value,
    listeners: &[Listener],
    mode: SidecarMode,
    kept: &HashSet<String>,
) {
    let variables = of(listeners);
    for key in later(mode) {
        for container in containers(pod, key) {
            let container_name = pod::name(container).to_owned();
            let own = |name: &str| kept.contains(&format!("{container_name}/{name}"));
            let Some(object) = container.as_object_mut() else {
                continue;
            };
            let Some(env) = object.get_mut("env").and_then(Value::as_array_mut) else {
                continue;
            };
            let before = env.len();
            for (name, value) in variables.iter().filter(|(name, _)| !own(name)) {
                // As to add it: only the first of a name counts.
                let first = env.iter().position(|found| pod::name(found) == name);
                if let Some(index) =
                    first.filter(|index| env.get(*index) == Some(&entry(name, value)))
                {
                    env.remove(index);
                }
            }
            if env.len() < before {
                pod::prune(object, "env");
            }
        }
    }
}

/// Which containers start after the sidecar.
pub(super) fn later(mode: SidecarMode) -> &'static [&'static str] {
    match mode {
        SidecarMode::Native => &[INIT_CONTAINERS, CONTAINERS],
        SidecarMode::Plain => &[CONTAINERS],
    }
}

/// But for those with a name that no API server takes, and that the list of what is kept, by commas, has no form for.
fn containers<'a>(pod: &'a mut Value, key: &str) -> impl Iterator<Item = &'a mut Value> {
    let list = pod::spec(pod).and_then(|spec| spec.get_mut(key)?.as_array_mut());
    let all = list.into_iter().flatten();
    all.filter(|container| !pod::name(container).contains(','))
}

fn entry(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}
