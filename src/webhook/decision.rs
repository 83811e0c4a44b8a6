//! From a question to its answer: pure.

use k8s_openapi::ByteString;
use serde_json::Value;

use super::review::{Malformed, Request, Response, Status};
use crate::inject::{self, Installation, Refusal};

/// What decides, the same for every question.
#[derive(Clone, Debug)]
pub struct Rules {
    pub installation: Installation,
    /// A pod that asks for something wrong is refused, not made without a sidecar.
    pub strict: bool,
}

/// What has become of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Injected,
    /// It has its sidecar already.
    Unchanged,
    /// A pod without the annotation.
    NotAsked,
    /// It asks for something wrong.
    Refused,
    /// No pod, or one that is not being made.
    Other,
    /// No review at all, or one that could not be read.
    Invalid,
}

/// An answer, and what there is to say about it in the log.
#[derive(Debug)]
pub struct Decision {
    pub response: Response,
    pub outcome: Outcome,
    /// Names of the pod, fit to be shown.
    pub namespace: String,
    pub pod: String,
    pub dry_run: bool,
    /// What the pod asks for wrongly, a sentence each.
    pub problems: Vec<String>,
    /// What it has a sidecar in spite of.
    pub warnings: Vec<String>,
}

/// Characters of a warning that clients are sure to show (`AdmissionResponse.warnings`).
const LONGEST_WARNING: usize = 256;

/// Warnings of one answer; API servers cut off many.
const MOST_WARNINGS: usize = 8;

/// Characters of a name that are shown, which is the longest that Kubernetes allows.
const LONGEST_NAME: usize = 253;

/// Unprocessable Entity, as the API server answers where an object's own validation fails.
const UNPROCESSABLE: u16 = 422;

impl Outcome {
    pub const ALL: [Self; 6] = [
        Self::Injected,
        Self::Unchanged,
        Self::NotAsked,
        Self::Refused,
        Self::Other,
        Self::Invalid,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Injected => "injected",
            Self::Unchanged => "unchanged",
            Self::NotAsked => "not_asked",
            Self::Refused => "refused",
            Self::Other => "other",
            Self::Invalid => "invalid",
        }
    }
}

/// # Errors
/// A body that is no question.
pub fn decide(body: &[u8], rules: &Rules) -> Result<Decision, Malformed> {
    let mut request = Request::read(body)?;
    let creates_pod = request.creates_pod();
    let object = request.object.take().filter(|object| !object.is_null());
    let mut decision = Decision {
        response: Response {
            uid: std::mem::take(&mut request.uid),
            allowed: true,
            status: None,
            patch_type: None,
            patch: None,
            warnings: Vec::new(),
        },
        outcome: Outcome::Other,
        namespace: shown(request.namespace.as_deref().unwrap_or_default()),
        pod: String::new(),
        dry_run: request.dry_run.unwrap_or_default(),
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    if !creates_pod {
        return Ok(decision);
    }
    let object = object.ok_or(Malformed::NoObject)?;
    decision.pod = pod_name(&object);
    let namespace = request.namespace.filter(|name| !name.is_empty());
    let mut pod = object.clone();
    match inject::inject_pod(&mut pod, namespace.as_deref(), &rules.installation) {
        Ok(outcome) => {
            decision.outcome = outcome.into();
            decision.patch(&object, &pod);
            if outcome != inject::Outcome::NotAsked {
                decision.warn(&inject::warnings(
                    &pod,
                    namespace.as_deref(),
                    &rules.installation,
                ));
            }
        }
        Err(refusal) => decision.refuse(&refusal, rules.strict),
    }
    Ok(decision)
}

impl From<inject::Outcome> for Outcome {
    fn from(outcome: inject::Outcome) -> Self {
        match outcome {
            inject::Outcome::Injected => Self::Injected,
            inject::Outcome::Unchanged => Self::Unchanged,
            inject::Outcome::NotAsked => Self::NotAsked,
        }
    }
}

impl Decision {
    /// Also a pod that does not ask may differ: the sidecar of an earlier injection is taken out.
    fn patch(&mut self, before: &Value, after: &Value) {
        if before == after {
            return;
        }
        let patch = json_patch::diff(before, after);
        self.response.patch_type = Some("JSONPatch");
        self.response.patch = Some(ByteString(patch.to_string().into_bytes()));
    }

    fn refuse(&mut self, refusal: &Refusal, strict: bool) {
        self.outcome = Outcome::Refused;
        self.problems = refusal.problems().iter().map(|text| line(text)).collect();
        if strict {
            self.response.allowed = false;
            self.response.status = Some(Status {
                code: UNPROCESSABLE,
                reason: "Invalid",
                message: format!(
                    "podrobin cannot inject its sidecar: {}",
                    self.problems.join("; ")
                ),
            });
        } else {
            self.response.warnings = warnings("podrobin: no sidecar: ", &self.problems);
        }
    }

    /// No reason to refuse, however strict.
    fn warn(&mut self, found: &[String]) {
        self.warnings = found.iter().map(|text| line(text)).collect();
        self.response.warnings = warnings("podrobin: ", &self.warnings);
    }
}

/// A warning for each problem, as many and as long as clients show.
fn warnings(start: &str, problems: &[String]) -> Vec<String> {
    let shown = match problems.len() {
        ..=MOST_WARNINGS => problems.len(),
        _ => MOST_WARNINGS - 1,
    };
    let mut warnings: Vec<String> = problems[..shown]
        .iter()
        .map(|problem| shortened(&format!("{start}{problem}"), LONGEST_WARNING))
        .collect();
    if shown < problems.len() {
        let more = problems.len() - shown;
        warnings.push(format!("{start}and {more} problems more"));
    }
    warnings
}

/// On one line, whatever annotation it repeats: API servers drop warnings with control characters.
fn line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// At most so many bytes, whole characters alone.
fn shortened(text: &str, most: usize) -> String {
    const CUT: &str = "...";
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most - CUT.len());
    format!("{}{CUT}", &text[..end])
}

/// The name that the pod has or will have; what the API server adds to a `generateName` is not known yet.
fn pod_name(pod: &Value) -> String {
    let of = |field: &str| {
        let name = pod.pointer(field).and_then(Value::as_str)?;
        (!name.is_empty()).then(|| shown(name))
    };
    of("/metadata/name")
        .or_else(|| of("/metadata/generateName").map(|start| start + "*"))
        .unwrap_or_default()
}

/// A name as the log may show it: nobody has checked it yet.
fn shown(name: &str) -> String {
    name.chars()
        .take(LONGEST_NAME)
        .map(|c| match c {
            'a'..='z' | '0'..='9' | '-' | '.' => c,
            _ => '?',
        })
        .collect()
}

#[cfg(test)]
mod tests;
