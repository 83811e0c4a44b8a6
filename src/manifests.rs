//! Manifests on their way through `podrobin inject` and `podrobin uninject`: files or standard input, to standard output.
//!
//! ```text
//! text ──documents──> objects ──workload──> pod templates ──inject──> documents ──> text
//! ```
//!
//! A document in which nothing changes goes on byte by byte, whatever it is. Nothing is written unless everything is
//! understood and no pod is refused.

mod document;
mod workload;

#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::inject::{self, Installation, Outcome, inject_pod, uninject_pod};

use document::{Document, documents};
use workload::Workload;

/// What one run reads at most, all files together.
const MOST_BYTES: u64 = 32 * 1024 * 1024;

/// What is to be done to each pod.
#[derive(Clone, Debug)]
pub enum Change {
    Inject {
        installation: Box<Installation>,
        /// Of objects that name none.
        namespace: Option<String>,
        /// Annotations for pods that do not have them.
        annotations: Vec<(&'static str, String)>,
    },
    Uninject,
}

/// A text with all its changes made.
#[derive(Debug, PartialEq, Eq)]
pub struct Rewritten {
    pub text: String,
    /// Pods that have a sidecar now, or had one before it was taken out.
    pub pods: usize,
    /// What is to be told of them, in the form of what is wrong.
    pub warnings: Vec<String>,
}

/// Why nothing was written. One line for each problem.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {file}: {source}")]
    Unreadable { file: String, source: io::Error },
    #[error("{file} is too large: {} MiB are read at most", MOST_BYTES / 1024 / 1024)]
    TooLarge { file: String },
    #[error("{file} is no text: it is not UTF-8")]
    NoText { file: String },
    #[error("{}", lines(.0))]
    Refused(Vec<String>),
    #[error("cannot write: {0}")]
    Unwritable(io::Error),
}

fn lines(problems: &[String]) -> String {
    problems.join("\npodrobin: ")
}

/// Reads `files`, or standard input where there are none, and writes them changed.
///
/// # Errors
/// Before anything is written, if anything is wrong.
pub fn run(files: &[PathBuf], change: &Change) -> Result<(), Error> {
    let standard_input = [PathBuf::from("-")];
    let files = if files.is_empty() {
        &standard_input
    } else {
        files
    };
    let mut left = MOST_BYTES;
    let mut whole = Rewritten {
        text: String::new(),
        pods: 0,
        warnings: Vec::new(),
    };
    let mut problems = Vec::new();
    for file in files {
        let name = shown(file);
        let text = read(file, &name, &mut left)?;
        let of_file = |found: Vec<String>| {
            let name = name.clone();
            found.into_iter().map(move |told| format!("{name}, {told}"))
        };
        match rewrite(&text, change) {
            Ok(rewritten) => {
                join(&mut whole.text, &rewritten.text);
                whole.pods += rewritten.pods;
                whole.warnings.extend(of_file(rewritten.warnings));
            }
            Err(found) => problems.extend(of_file(found)),
        }
    }
    if !problems.is_empty() {
        return Err(Error::Refused(problems));
    }
    if whole.pods == 0 {
        let note = match change {
            Change::Inject { .. } => {
                "no pod here asks for it: annotate pod templates with podrobin.io/service, or give --service"
            }
            Change::Uninject => "no pod here has an injected sidecar",
        };
        eprintln!("podrobin: note: {note}");
    }
    for warning in &whole.warnings {
        eprintln!("podrobin: warning: {warning}");
    }
    let mut out = io::stdout().lock();
    out.write_all(whole.text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(Error::Unwritable)
}

/// Makes the changes in one text.
///
/// # Errors
/// What is wrong in each document: as `document 2, Deployment shop/client: ...`.
pub fn rewrite(text: &str, change: &Change) -> Result<Rewritten, Vec<String>> {
    let mut rewritten = Rewritten {
        text: String::with_capacity(text.len()),
        pods: 0,
        warnings: Vec::new(),
    };
    let mut problems = Vec::new();
    for (index, document) in documents(text)
        .map_err(|error| vec![error])?
        .into_iter()
        .enumerate()
    {
        let mut objects = document.objects.clone();
        for object in &mut objects {
            workload::each(object, &mut |mut workload: Workload<'_>| {
                let changed = change_pod(&mut workload, change);
                let told =
                    |text: String| format!("document {}, {}: {text}", index + 1, workload.name);
                match changed {
                    Ok(Some(warnings)) => {
                        rewritten.pods += 1;
                        rewritten.warnings.extend(warnings.into_iter().map(told));
                    }
                    Ok(None) => {}
                    Err(problem) => problems.push(told(problem)),
                }
            });
        }
        write(&mut rewritten.text, &document, &objects).map_err(|error| vec![error])?;
    }
    match problems.is_empty() {
        true => Ok(rewritten),
        false => Err(problems),
    }
}

/// Of a pod that has a sidecar now, or had one that is out: what is to be told of it.
fn change_pod(workload: &mut Workload<'_>, change: &Change) -> Result<Option<Vec<String>>, String> {
    match change {
        Change::Uninject => Ok(uninject_pod(workload.pod).then(Vec::new)),
        Change::Inject {
            installation,
            namespace,
            annotations,
        } => {
            if let Some(misplaced) = workload.misplaced() {
                return Err(misplaced);
            }
            annotate(workload.pod, annotations);
            let namespace = workload.namespace.as_deref().or(namespace.as_deref());
            match inject_pod(workload.pod, namespace, installation) {
                Ok(Outcome::NotAsked) => Ok(None),
                Ok(_) => Ok(Some(inject::warnings(
                    workload.pod,
                    namespace,
                    installation,
                ))),
                Err(refusal) => Err(refusal.to_string()),
            }
        }
    }
}

/// What the pod says itself stays.
fn annotate(pod: &mut Value, annotations: &[(&'static str, String)]) {
    if annotations.is_empty() {
        return;
    }
    let Some(pod) = pod.as_object_mut() else {
        return;
    };
    let metadata = pod
        .entry("metadata")
        .or_insert_with(|| Value::Object(Default::default()));
    let Some(metadata) = metadata.as_object_mut() else {
        return;
    };
    let own = metadata
        .entry("annotations")
        .or_insert_with(|| Value::Object(Default::default()));
    if own.is_null() {
        *own = Value::Object(Default::default());
    }
    let Some(own) = own.as_object_mut() else {
        return;
    };
    for (name, value) in annotations {
        own.entry(*name).or_insert_with(|| value.clone().into());
    }
}

fn write(out: &mut String, document: &Document<'_>, objects: &[Value]) -> Result<(), String> {
    if *objects == document.objects[..] {
        out.push_str(document.source);
        return Ok(());
    }
    out.push_str(&document.write(objects)?);
    Ok(())
}

/// A document may lack the end of its last line.
fn join_raw(out: &mut String, text: &str) {
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    out.push_str(text);
}

/// Files of YAML need a line between them, those of JSON do not.
fn join(out: &mut String, text: &str) {
    let json = |text: &str| text.trim_start().starts_with('{');
    let apart = text.starts_with("---") || (json(out) && json(text));
    if !out.is_empty() && !apart {
        // A directive is for a document of its own, and needs the end of the one before.
        let between = if text.starts_with('%') {
            "...\n"
        } else {
            "---\n"
        };
        join_raw(out, between);
    }
    join_raw(out, text);
}

fn read(file: &Path, name: &str, left: &mut u64) -> Result<String, Error> {
    let unreadable = |source| Error::Unreadable {
        file: name.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        io::stdin().lock().take(*left + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|opened| opened.take(*left + 1).read_to_end(&mut bytes))
    }
    .map_err(unreadable)?;
    *left = left
        .checked_sub(bytes.len() as u64)
        .ok_or_else(|| Error::TooLarge {
            file: name.to_owned(),
        })?;
    String::from_utf8(bytes).map_err(|_| Error::NoText {
        file: name.to_owned(),
    })
}

fn shown(file: &Path) -> String {
    match file == Path::new("-") {
        true => "standard input".to_owned(),
        false => file.display().to_string(),
    }
}
