//! The documents of a file, as YAML or JSON.

use serde_json::Value;

use super::{ManifestError, short};

/// Documents in one file, and so the slices that are no items of a List.
pub(super) const MOST_DOCUMENTS: usize = 1_024;

/// YAML nodes in one file, about thirty for an endpoint.
const MOST_NODES: usize = 1_000_000;

/// YAML events that may come from aliases, which manifests hardly use: a small file must not grow by them.
const MOST_REPEATED: usize = 10_000;

pub(super) fn documents(text: &[u8]) -> Result<Vec<Value>, ManifestError> {
    let text = std::str::from_utf8(text).map_err(|error| syntax(&error))?;
    // JSON is nearly YAML, but several JSON documents need nothing between them. What only looks like JSON, such as
    // YAML in braces, is for the YAML parser, which then also words the error.
    let documents = if text.trim_start().starts_with('{') {
        json(text).or_else(|_| yaml(text))?
    } else {
        yaml(text)?
    };
    match documents.len() {
        0 => Err(ManifestError::Empty),
        1..=MOST_DOCUMENTS => Ok(documents),
        _ => Err(ManifestError::TooManyDocuments),
    }
}

fn json(text: &str) -> Result<Vec<Value>, ManifestError> {
    serde_json::Deserializer::from_str(text)
        .into_iter()
        // One more than allowed, so that too many can be told from enough.
        .take(MOST_DOCUMENTS + 1)
        .collect::<Result<_, _>>()
        .map_err(|error| syntax(&error))
}

fn yaml(text: &str) -> Result<Vec<Value>, ManifestError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: MOST_DOCUMENTS,
            max_nodes: MOST_NODES,
            max_events: 2 * MOST_NODES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MOST_REPEATED,
        },
        // Of no use in one line.
        with_snippet: false,
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| syntax(&error))
}

fn syntax(error: &impl ToString) -> ManifestError {
    ManifestError::Syntax(short(&error.to_string()))
}
