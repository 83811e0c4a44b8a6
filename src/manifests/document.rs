//! The documents of a text: told apart by their lines, so that what is not changed can go on as it is written.

use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_saphyr::LitStr;

use crate::inject::short;

/// Documents in one text.
const MOST_DOCUMENTS: usize = 4_096;

/// YAML nodes in one document.
const MOST_NODES: usize = 1_000_000;

/// YAML events that may come from aliases: a small text must not grow by them.
const MOST_REPEATED: usize = 100_000;

/// Characters of an error that are shown.
const LONGEST_ERROR: usize = 300;

/// One document, with its source from the line that opens it.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) source: &'a str,
    /// More than one only where documents end with `...`.
    pub(super) objects: Vec<Value>,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Yaml,
    Json,
    /// On one line.
    CompactJson,
}

/// # Errors
/// What is neither YAML nor JSON: as `document 2 is neither YAML nor JSON: ...`.
pub(super) fn documents(text: &str) -> Result<Vec<Document<'_>>, String> {
    // What only looks like JSON is for the YAML parser, which then also words the error.
    let json = text.trim_start().starts_with('{').then(|| json(text));
    let documents = match json.flatten() {
        Some(documents) => documents,
        None => yaml(text)?,
    };
    if documents.len() > MOST_DOCUMENTS {
        return Err(format!(
            "it has more than {MOST_DOCUMENTS} documents: give fewer at a time"
        ));
    }
    Ok(documents)
}

impl Document<'_> {
    /// Other objects in this one's form.
    pub(super) fn write(&self, objects: &[Value]) -> Result<String, String> {
        let mut text = String::new();
        for (index, object) in objects.iter().enumerate() {
            match self.form {
                Form::Json => {
                    text += &serde_json::to_string_pretty(object)
                        .map_err(|error| unwritable(&error))?;
                    text.push('\n');
                }
                Form::CompactJson => {
                    text += &object.to_string();
                    text.push('\n');
                }
                Form::Yaml => {
                    if index > 0 || self.source.lines().any(is_separator) {
                        text += "---\n";
                    }
                    text += &to_yaml(object)?;
                }
            }
        }
        Ok(text)
    }
}

/// `None` where it is no JSON.
fn json(text: &str) -> Option<Vec<Document<'_>>> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter();
    let mut documents = Vec::new();
    let mut start = 0;
    while let Some(object) = stream.next() {
        let object: Value = object.ok()?;
        // With the space after it, so that nothing is between documents.
        let rest = &text[stream.byte_offset()..];
        let end = text.len() - rest.trim_start().len();
        let source = &text[start..end];
        start = end;
        let form = match source.trim().contains('\n') {
            true => Form::Json,
            false => Form::CompactJson,
        };
        documents.push(Document {
            source,
            objects: vec![object],
            form,
        });
    }
    Some(documents)
}

fn yaml(text: &str) -> Result<Vec<Document<'_>>, String> {
    chunks(text)
        .into_iter()
        .enumerate()
        .map(|(index, source)| {
            let objects = from_yaml(source).map_err(|error| {
                format!("document {} is neither YAML nor JSON: {error}", index + 1)
            })?;
            Ok(Document {
                source,
                objects,
                form: Form::Yaml,
            })
        })
        .collect()
}

/// Cuts before each line that opens a document: no line of a document's content may look like one (YAML 1.2, 9.1.2).
fn chunks(text: &str) -> Vec<&str> {
    let mut chunks = Vec::new();
    let mut start = 0;
    let mut at = 0;
    // What stands before a document's first line may be for that document.
    let mut preamble = true;
    for line in text.split_inclusive('\n') {
        if is_separator(line) {
            if !preamble {
                chunks.push(&text[start..at]);
                start = at;
            }
            preamble = false;
        } else if !is_preamble(line) {
            preamble = false;
        }
        at += line.len();
    }
    if start < text.len() {
        chunks.push(&text[start..]);
    }
    chunks
}

/// `---`, alone or before more.
fn is_separator(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Nothing, a comment or a directive.
fn is_preamble(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with(['#', '%'])
}

/// Read as kubectl reads it: `yes` is true and `0644` is octal.
fn from_yaml(text: &str) -> Result<Vec<Value>, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_nodes: MOST_NODES,
            max_events: 2 * MOST_NODES,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MOST_REPEATED,
        },
        legacy_octal_numbers: true,
        // Of no use in one line.
        with_snippet: false,
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| one_line(&error))
}

fn to_yaml(object: &Value) -> Result<String, String> {
    let options = serde_saphyr::ser_options! {
        prefer_block_scalars: false,
    };
    let mut text = serde_saphyr::to_string_with_options(&Written(object), options)
        .map_err(|error| unwritable(&error))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// A value as people write it: texts of several lines as such, where every reader of YAML takes them for the same.
struct Written<'a>(&'a Value);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) if is_block(text) => LitStr(text).serialize(serializer),
            Value::Array(list) => serializer.collect_seq(list.iter().map(Written)),
            Value::Object(map) => {
                serializer.collect_map(map.iter().map(|(key, value)| (key, Written(value))))
            }
            other => other.serialize(serializer),
        }
    }
}

/// Lines of print, ended by a line's end; the first is not indented, and none ends with a space.
fn is_block(text: &str) -> bool {
    let plain =
        |line: &str| line.chars().all(|c| !c.is_control() && !is_odd(c)) && !line.ends_with(' ');
    let Some(body) = text.strip_suffix('\n') else {
        return false;
    };
    !body.is_empty()
        && !text.starts_with([' ', '\n'])
        && !body.ends_with('\n')
        && body.split('\n').all(plain)
}

/// Ends of lines to some, and marks that are no part of a text.
fn is_odd(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

fn unwritable(error: &impl ToString) -> String {
    format!("a document cannot be written: {}", one_line(error))
}

fn one_line(error: &impl ToString) -> String {
    short(&error.to_string(), LONGEST_ERROR)
}
