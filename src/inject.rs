//! The sidecar in a pod: one pure function behind every door, and the way back.
//!
//! ```text
//! pod's annotations ──request──> listeners ──clash?──> sidecar, token, host aliases, variables ──> pod
//! ```
//!
//! [`inject_pod`] takes out what an earlier run put in before it begins, so that a second run changes nothing and a
//! changed annotation has its whole effect. Nothing is remembered outside the pod: what is ours is known by its name
//! and its place.

mod annotations;
mod clash;
mod host_aliases;
mod installation;
mod listeners;
mod pod;
mod quantity;
mod removal;
mod request;
mod sidecar;
mod variables;
mod warnings;

#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value;

pub use annotations::{ANNOTATIONS, Annotation};
pub use installation::{Installation, PullPolicy, Resources, SidecarMode};
pub use quantity::Quantity;

use listeners::Listeners;
use request::Request;

/// What became of a pod that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has the sidecar now, or has it as its annotations and the installation now say.
    Injected,
    /// It had the sidecar already, as it should be.
    Unchanged,
    /// It does not ask for one, or not any more. What an earlier run had put in is out.
    NotAsked,
}

/// Why a pod cannot have the sidecar: every reason there is, each a sentence that names the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    problems: Vec<String>,
}

/// Problems that are told of one pod, and the characters of each: names and values in them are the pod's own.
const MOST_PROBLEMS: usize = 10;
const LONGEST_PROBLEM: usize = 500;

impl Refusal {
    /// `None` where there is no problem.
    fn of(problems: &[String]) -> Option<Self> {
        let problems = bounded(problems);
        (!problems.is_empty()).then_some(Self { problems })
    }

    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("; "))
    }
}

impl std::error::Error for Refusal {}

/// Puts the sidecar into a pod, or into a pod template: anything with `metadata.annotations` and `spec`.
///
/// `namespace` is the pod's own, where it is known and the pod does not say it itself. What does not ask for a sidecar,
/// and what is refused, is left as it was, but for an earlier injection that is not asked for any more.
///
/// # Errors
/// Annotations that make no sense, and pods in which the sidecar would not work or would break the app.
pub fn inject_pod(
    pod: &mut Value,
    namespace: Option<&str>,
    installation: &Installation,
) -> Result<Outcome, Refusal> {
    let Some(request) = request::read(pod)? else {
        removal::take_out(pod);
        return Ok(Outcome::NotAsked);
    };
    let mut injected = pod.clone();
    removal::take_out(&mut injected);
    put_in(&mut injected, &request, namespace, installation)?;
    if injected == *pod {
        return Ok(Outcome::Unchanged);
    }
    *pod = injected;
    Ok(Outcome::Injected)
}

/// What is to be told of a pod that has its sidecar by [`inject_pod`]: it works, but perhaps not as it was meant. Each is a
/// sentence that names the mend. Of a pod that has none there is nothing.
pub fn warnings(pod: &Value, namespace: Option<&str>, installation: &Installation) -> Vec<String> {
    let Ok(Some(request)) = request::read(pod) else {
        return Vec::new();
    };
    let Ok(listeners) = listeners(pod, &request, namespace, installation) else {
        return Vec::new();
    };
    let mode = request.sidecar.unwrap_or(installation.sidecar);
    bounded(&warnings::find(pod, &listeners, mode))
}

/// Takes out of a pod what [`inject_pod`] put in; says whether there was anything. Annotations stay.
pub fn uninject_pod(pod: &mut Value) -> bool {
    removal::take_out(pod)
}

/// On one line, and no longer than that.
pub(crate) fn short(text: &str, most: usize) -> String {
    let mut short: String = text
        .chars()
        .take(most)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// As many as are told, each as long as it is told.
fn bounded(problems: &[String]) -> Vec<String> {
    let told = problems.iter().take(MOST_PROBLEMS);
    told.map(|problem| short(problem, LONGEST_PROBLEM))
        .collect()
}

/// What a pod asks for, in the namespace that it says itself or else in the one given.
fn listeners(
    pod: &Value,
    request: &Request,
    namespace: Option<&str>,
    installation: &Installation,
) -> Result<Listeners, Refusal> {
    let own = pod.pointer("/metadata/namespace").and_then(Value::as_str);
    let namespace = own.filter(|own| !own.is_empty()).or(namespace);
    Listeners::of(request, namespace, &installation.cluster_domain)
}

/// `pod` holds no injection.
fn put_in(
    pod: &mut Value,
    request: &Request,
    namespace: Option<&str>,
    installation: &Installation,
) -> Result<(), Refusal> {
    let listeners = listeners(pod, request, namespace, installation)?;
    let mode = request.sidecar.unwrap_or(installation.sidecar);
    let resources = request.resources.over(&installation.resources);
    if let Some(refusal) = Refusal::of(&clash::find(pod, &listeners, mode, &resources)) {
        return Err(refusal);
    }
    let container = sidecar::container(request, &listeners, mode, &resources, installation);
    let mut kept = Vec::new();
    host_aliases::add(pod, &listeners);
    pod::allow_low_ports(pod, &listeners, &mut kept);
    variables::add(pod, &listeners, mode, &mut kept);
    pod::add_sidecar(pod, container, mode);
    pod::add_volume(pod, sidecar::token_volume());
    pod::remember_kept(pod, &kept);
    Ok(())
}
