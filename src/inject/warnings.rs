//! What works in a pod with the sidecar, but otherwise than whoever asked for it may think. Each is a sentence with its
//! mend; nothing is refused for it.

use std::collections::HashMap;

use serde_json::Value;

use super::SidecarMode;
use super::annotations::SIDECAR;
use super::listeners::{Captured, Listeners};
use super::pod::{self, INIT_CONTAINERS};
use super::{removal, variables};

/// `pod` may hold an injection.
pub(super) fn find(pod: &Value, listeners: &Listeners, mode: SidecarMode) -> Vec<String> {
    let names = Names::of(listeners);
    let apps = variables::later(mode).iter();
    let apps = apps.flat_map(|key| pod::items(pod, key));
    let apps = apps.filter(|container| !removal::is_sidecar(container));
    let mut warnings: Vec<String> = apps.flat_map(|app| dotted(app, &names)).collect();
    if mode == SidecarMode::Plain {
        warnings.extend(pod::items(pod, INIT_CONTAINERS).filter_map(|init| early(init, &names)));
    }
    warnings
}

/// Names that lead to the sidecar.
struct Names<'a> {
    /// Each with the variable that has the same Service's address, where there is one.
    captured: HashMap<&'a str, Option<String>>,
}

/// A captured Service's name that a container has, and where.
struct Found {
    place: String,
    /// As it is written there.
    name: String,
    /// That has the Service's address, too.
    variable: Option<String>,
}

impl<'a> Names<'a> {
    /// Those with a dot inside: a single word may as well be any other, or the last of a sentence.
    fn of(listeners: &'a Listeners) -> Self {
        let variables = variables::of(&listeners.each);
        let variable = |captured: &Captured| {
            let url = format!("http://{}:", captured.address);
            let mut of_service = variables
                .iter()
                .filter(|(_, value)| value.starts_with(&url));
            of_service.next().map(|(name, _)| name.clone())
        };
        let each = listeners.captured.iter().flat_map(|captured| {
            let names = captured.names.iter().filter(|name| name.contains('.'));
            names.map(move |name| (name.as_str(), variable(captured)))
        });
        Self {
            captured: each.collect(),
        }
    }

    /// The first in each variable, in the command and in the arguments of which `strip` makes a captured name.
    fn in_container(&self, container: &Value, strip: fn(&str) -> Option<&str>) -> Vec<Found> {
        let captured = |word: &str| {
            let name = strip(word)?.to_ascii_lowercase();
            self.captured.get(name.as_str())
        };
        let found = places(container).into_iter().filter_map(|(place, texts)| {
            let mut words = texts.into_iter().flat_map(words);
            let (name, variable) = words.find_map(|word| Some((word, captured(word)?)))?;
            Some(Found {
                place,
                name: name.to_owned(),
                variable: variable.clone(),
            })
        });
        found.collect()
    }
}

/// A name with a dot at its end is not the one in `/etc/hosts` to most resolvers, and Kubernetes lets nobody write it
/// there so.
fn dotted(container: &Value, names: &Names) -> Vec<String> {
    let found = names.in_container(container, |word| word.strip_suffix('.'));
    let warning = |found: Found| {
        let Found { place, name, .. } = found;
        let instead = found
            .variable
            .map(|variable| format!(", or use {variable}"))
            .unwrap_or_default();
        format!(
            "container {} has {name} {place}: leave the dot at its end away{instead}, as with it most resolvers ask DNS \
             and go past the sidecar",
            pod::name(container)
        )
    };
    found.into_iter().map(warning).collect()
}

/// Before a plain sidecar is there, the names lead to where nobody listens.
fn early(init: &Value, names: &Names) -> Option<String> {
    let found = names.in_container(init, whole).into_iter().next()?;
    Some(format!(
        "init container {} has {} {}, which leads to the sidecar, and a plain one is not there yet: use {SIDECAR}: \
         \"native\", or let a container call it",
        pod::name(init),
        found.name,
        found.place
    ))
}

fn whole(word: &str) -> Option<&str> {
    Some(word)
}

/// Where a container may have a name, in words, and the texts there.
fn places(container: &Value) -> Vec<(String, Vec<&str>)> {
    let variables = pod::entries(container, "env").filter_map(|variable| {
        let value = variable.get("value")?.as_str()?;
        Some((format!("in variable {}", pod::name(variable)), vec![value]))
    });
    let lists = ["command", "args"].map(|key| {
        let texts = pod::entries(container, key).filter_map(Value::as_str);
        (format!("in its {key}"), texts.collect())
    });
    variables.chain(lists).collect()
}

/// What may be names in a text: as long as they go.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let in_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.split(move |c| !in_name(c))
}
