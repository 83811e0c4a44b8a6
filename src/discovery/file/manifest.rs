//! What a manifest file says: EndpointSlices, and the Services they belong to.

mod documents;
mod service;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::FileSelector;
use crate::discovery::service::Facts;
use crate::discovery::slices::{Fold, Selection, Slice, Slices, fold};

use documents::{MOST_DOCUMENTS, documents};
use service::port_name;

/// The label that says which Service a slice belongs to; nothing else does.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Things named in one message, and the characters of each that are shown.
const MOST_NAMED: usize = 10;
const LONGEST_NAME: usize = 100;

/// Why a file is not taken for a list. One line each, with the mend where there is one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("is neither YAML nor JSON: {0}")]
    Syntax(String),
    /// Most likely the file is being written. A List without items is how to say that there is nothing.
    #[error("is empty; for no endpoints at all write a List without items")]
    Empty,
    #[error("has more than {MOST_DOCUMENTS} documents")]
    TooManyDocuments,
    #[error("holds something that is no Kubernetes object: {0}")]
    NoObject(String),
    #[error("holds a broken {what}: {problem}")]
    Broken { what: String, problem: String },
    #[error("holds the EndpointSlice {0} twice")]
    Twice(String),
    #[error(
        "holds slices of several Services; add the one to use to its name as #NAMESPACE/NAME, out of {0}"
    )]
    SeveralServices(String),
}

/// A Service's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ServiceName {
    namespace: String,
    name: String,
}

#[derive(Debug, Default)]
struct Manifest {
    slices: BTreeMap<ServiceName, Slices>,
    services: BTreeMap<ServiceName, Facts>,
    /// Slices that name no Service.
    unlabelled: BTreeSet<String>,
    /// Kinds of objects that are of no use here.
    others: BTreeSet<String>,
}

/// Reads YAML or JSON, one document or several, objects or Lists of them, and folds the slices of one Service.
///
/// `service` says which, and may be left out where the file has slices of one alone. A port given as a number is
/// looked up in the Service object if the file has it, else among the numbers of the slices. Objects of other kinds
/// are left out with a note, and so is a Service that the file does not have: it has no endpoints, as in a cluster.
/// An object without a namespace is in `default`.
///
/// # Errors
/// Text that is no manifest, is empty, or leaves open which Service is meant.
pub fn parse(
    text: &[u8],
    service: Option<&FileSelector>,
    selection: &Selection,
) -> Result<Fold, ManifestError> {
    let mut manifest = Manifest::default();
    for document in documents(text)? {
        manifest.add_document(document)?;
    }
    manifest.fold(service, selection)
}

impl Manifest {
    fn add_document(&mut self, document: Value) -> Result<(), ManifestError> {
        let kind = kind(&document)?;
        // A list from the API has items without a kind of their own.
        let item_kind = match kind.as_str() {
            "v1/List" => None,
            "discovery.k8s.io/v1/EndpointSliceList" => Some("discovery.k8s.io/v1/EndpointSlice"),
            "v1/ServiceList" => Some("v1/Service"),
            _ => return self.add_object(&kind, document),
        };
        for item in items(document, &kind)? {
            match item_kind {
                Some(kind) => self.add_object(kind, item)?,
                None => self.add_object(&self::kind(&item)?, item)?,
            }
        }
        Ok(())
    }

    fn add_object(&mut self, kind: &str, object: Value) -> Result<(), ManifestError> {
        match kind {
            "discovery.k8s.io/v1/EndpointSlice" => self.add_slice(read(object, "EndpointSlice")?),
            "v1/Service" => {
                let service: Service = read(object, "Service")?;
                let name = ServiceName {
                    namespace: namespace(service.metadata.namespace.clone()),
                    name: service.metadata.name.clone().unwrap_or_default(),
                };
                self.services.insert(name, service.into());
                Ok(())
            }
            _ => {
                self.others.insert(short(kind));
                Ok(())
            }
        }
    }

    fn add_slice(&mut self, object: EndpointSlice) -> Result<(), ManifestError> {
        let labels = object.metadata.labels.as_ref();
        let service = labels.and_then(|labels| labels.get(SERVICE_NAME)).cloned();
        let namespace = namespace(object.metadata.namespace.clone());
        let slice = object.metadata.name.clone().unwrap_or_default();
        let Some(name) = service else {
            self.unlabelled
                .insert(short(&format!("{namespace}/{slice}")));
            return Ok(());
        };
        let place = format!("{namespace}/{slice}");
        let slices = self
            .slices
            .entry(ServiceName { namespace, name })
            .or_default();
        // Whoever writes by hand may leave the name out; as a key any will do.
        let key = if slice.is_empty() {
            format!("number {}", slices.len() + 1)
        } else {
            slice
        };
        match slices.insert(key, Slice::from(object)) {
            Some(_) => Err(ManifestError::Twice(short(&place))),
            None => Ok(()),
        }
    }

    fn fold(
        &self,
        service: Option<&FileSelector>,
        selection: &Selection,
    ) -> Result<Fold, ManifestError> {
        let mut notes = self.notes();
        let Some((name, slices)) = self.choose(service)? else {
            notes.extend(self.absent(service));
            return Ok(Fold {
                endpoints: Vec::new(),
                notes,
            });
        };

        let mut selection = selection.clone();
        let facts = self.services.get(name);
        selection.local |= facts.is_some_and(|facts| facts.local);
        if let Some(service) = service {
            match port_name(&service.port, facts, slices) {
                Ok(port) => selection.port = port,
                Err(note) => {
                    notes.insert(format!("Service {name} {note}"));
                    return Ok(Fold {
                        endpoints: Vec::new(),
                        notes,
                    });
                }
            }
        }
        let mut fold = fold(slices, &selection);
        fold.notes.append(&mut notes);
        Ok(fold)
    }

    /// The slices of the selected Service, or of the only one there is; `None` where there are none.
    fn choose(
        &self,
        service: Option<&FileSelector>,
    ) -> Result<Option<(&ServiceName, &Slices)>, ManifestError> {
        let mut matching = self
            .slices
            .iter()
            .filter(|(name, _)| service.is_none_or(|service| name.is_meant_by(service)));
        let first = matching.next();
        if matching.next().is_none() {
            return Ok(first);
        }
        let names = self
            .slices
            .keys()
            .filter(|name| service.is_none_or(|service| name.is_meant_by(service)));
        Err(ManifestError::SeveralServices(list(names)))
    }

    /// Says that the file does not have the selected Service, unless it has none at all.
    fn absent(&self, service: Option<&FileSelector>) -> Option<String> {
        let service = service.filter(|_| !self.slices.is_empty())?;
        let namespace = service.namespace.as_deref();
        let place = namespace.map_or(String::new(), |namespace| format!("{namespace}/"));
        Some(format!(
            "the file has no slices of Service {place}{}, only of {}",
            service.name,
            list(self.slices.keys())
        ))
    }

    fn notes(&self) -> BTreeSet<String> {
        let mut notes = BTreeSet::new();
        if !self.others.is_empty() {
            notes.insert(format!("ignored objects of kind {}", list(&self.others)));
        }
        if !self.unlabelled.is_empty() {
            notes.insert(format!(
                "ignored slices without the label {SERVICE_NAME}: {}",
                list(&self.unlabelled)
            ));
        }
        notes
    }
}

impl ServiceName {
    fn is_meant_by(&self, selector: &FileSelector) -> bool {
        let namespace = selector.namespace.as_ref();
        self.name == selector.name && namespace.is_none_or(|namespace| *namespace == self.namespace)
    }
}

impl std::fmt::Display for ServiceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// `apiVersion/kind`
fn kind(object: &Value) -> Result<String, ManifestError> {
    let field = |name: &str| object.get(name).and_then(Value::as_str);
    match (field("apiVersion"), field("kind")) {
        (Some(version), Some(kind)) => Ok(format!("{version}/{kind}")),
        _ => Err(ManifestError::NoObject(short(&object.to_string()))),
    }
}

/// The items of a List; null is how Go writes an empty one.
fn items(mut list: Value, kind: &str) -> Result<Vec<Value>, ManifestError> {
    match list.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(_) => Err(ManifestError::Broken {
            what: kind.to_owned(),
            problem: "its items are no list".to_owned(),
        }),
    }
}

fn read<T: DeserializeOwned>(object: Value, kind: &str) -> Result<T, ManifestError> {
    let field = |name: &str| object.pointer(name).and_then(Value::as_str).unwrap_or("-");
    let what = format!(
        "{kind} {}/{}",
        field("/metadata/namespace"),
        field("/metadata/name")
    );
    serde_json::from_value(object).map_err(|error| ManifestError::Broken {
        what: short(&what),
        problem: short(&error.to_string()),
    })
}

fn namespace(namespace: Option<String>) -> String {
    namespace
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or_else(|| "default".to_owned())
}

/// On one line, and not too long for it.
fn short(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(LONGEST_NAME)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn list(names: impl IntoIterator<Item = impl ToString>) -> String {
    let mut names = names.into_iter().map(|name| short(&name.to_string()));
    let mut text = names
        .by_ref()
        .take(MOST_NAMED)
        .collect::<Vec<_>>()
        .join(", ");
    if names.next().is_some() {
        text += " and more";
    }
    text
}
