//! An EndpointSlice as the API server sends it, read straight into what is kept of it.
//!
//! The API's own types take some hundred bytes for an entry as short as `{}`, and a whole object before any of it can
//! be dropped: a few MiB of hostile JSON would become gigabytes. Here an entry is judged as soon as it is read, and
//! what does not matter never takes memory.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU16;
use std::time::SystemTime;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Slice;
use super::ports::{Port, port_number};
use super::read::{Backends, Draft, Entry, MOST_HINTS, Ports, TRIGGER_TIME, WEIGHT, trigger_time};

/// A slice with its name.
#[derive(Clone, Debug)]
pub struct SliceObject {
    /// Name and version alone.
    metadata: ObjectMeta,
    slice: Slice,
}

impl SliceObject {
    /// Its name, never empty, and what it says.
    pub fn into_parts(self) -> (String, Slice) {
        (self.metadata.name.unwrap_or_default(), self.slice)
    }
}

impl k8s_openapi::Resource for SliceObject {
    const API_VERSION: &'static str = "discovery.k8s.io/v1";
    const GROUP: &'static str = "discovery.k8s.io";
    const KIND: &'static str = "EndpointSlice";
    const VERSION: &'static str = "v1";
    const URL_PATH_SEGMENT: &'static str = "endpointslices";
    type Scope = NamespaceResourceScope;
}

impl k8s_openapi::Metadata for SliceObject {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<'de> Deserialize<'de> for SliceObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Object::deserialize(deserializer)?;
        let metadata = object.metadata;
        let Some(name) = metadata.name.filter(|name| !name.is_empty()) else {
            return Err(D::Error::custom("an EndpointSlice without a name"));
        };
        let annotations = metadata.annotations.unwrap_or_default();
        let draft = Draft {
            triggered: annotations.triggered,
            weight: annotations.weight,
            ports: object.ports,
            backends: object.endpoints,
        };
        Ok(Self {
            metadata: ObjectMeta {
                name: Some(name),
                resource_version: metadata.resource_version,
                ..ObjectMeta::default()
            },
            slice: draft.finish(&object.address_type.unwrap_or_default()),
        })
    }
}

// What is not named in these is skipped as it is read.

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    metadata: Metadata,
    address_type: Option<String>,
    #[serde(default, deserialize_with = "gathered")]
    endpoints: Backends,
    #[serde(default, deserialize_with = "gathered")]
    ports: Ports,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    resource_version: Option<String>,
    annotations: Option<Annotations>,
}

#[derive(Default)]
struct Annotations {
    triggered: Option<SystemTime>,
    weight: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryObject {
    #[serde(default, deserialize_with = "gathered")]
    addresses: First<String, 1>,
    conditions: Option<Conditions>,
    target_ref: Option<Target>,
    node_name: Option<String>,
    zone: Option<String>,
    hints: Option<Hints>,
}

#[derive(Default, Deserialize)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Default, Deserialize)]
struct Target {
    uid: Option<String>,
    name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hints {
    #[serde(default, deserialize_with = "gathered")]
    for_nodes: First<Hint, MOST_HINTS>,
    #[serde(default, deserialize_with = "gathered")]
    for_zones: First<Hint, MOST_HINTS>,
}

#[derive(Deserialize)]
struct Hint {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PortObject {
    name: Option<String>,
    port: Option<PortNumber>,
    protocol: Option<String>,
    app_protocol: Option<String>,
}

/// Any number at all, and whether it is one of a port: a false one must not make the rest unreadable.
struct PortNumber(Option<NonZeroU16>);

impl From<EntryObject> for Entry {
    fn from(object: EntryObject) -> Self {
        let conditions = object.conditions.unwrap_or_default();
        let target = object.target_ref.unwrap_or_default();
        let hints = object.hints.unwrap_or_default();
        let names = |hints: First<Hint, MOST_HINTS>| {
            let names = hints.elements.into_iter().map(|hint| hint.name);
            names.collect()
        };
        Self {
            address: object.addresses.elements.into_iter().next(),
            ready: conditions.ready,
            serving: conditions.serving,
            terminating: conditions.terminating,
            uid: target.uid,
            pod: target.name,
            node: object.node_name,
            zone: object.zone,
            for_nodes: names(hints.for_nodes),
            for_zones: names(hints.for_zones),
        }
    }
}

/// What an array becomes, element by element.
trait Gather: Default {
    type Element;

    fn take(&mut self, element: Self::Element);
}

impl Gather for Backends {
    type Element = EntryObject;

    fn take(&mut self, entry: EntryObject) {
        self.add(entry.into());
    }
}

impl Gather for Ports {
    type Element = PortObject;

    fn take(&mut self, port: PortObject) {
        let number = port.port.and_then(|number| number.0);
        self.add(Port::read(
            port.name,
            number,
            port.protocol.as_deref(),
            port.app_protocol,
        ));
    }
}

/// The first elements of an array; the others are dropped one by one.
struct First<T, const MOST: usize> {
    elements: Vec<T>,
}

impl<T, const MOST: usize> Default for First<T, MOST> {
    fn default() -> Self {
        Self {
            elements: Vec::new(),
        }
    }
}

impl<T, const MOST: usize> Gather for First<T, MOST> {
    type Element = T;

    fn take(&mut self, element: T) {
        if self.elements.len() < MOST {
            self.elements.push(element);
        }
    }
}

/// Reads an array; `null` is an empty one, as Go writes it.
fn gathered<'de, D, G>(deserializer: D) -> Result<G, D::Error>
where
    D: Deserializer<'de>,
    G: Gather<Element: Deserialize<'de>>,
{
    deserializer.deserialize_any(ArrayVisitor(PhantomData))
}

struct ArrayVisitor<G>(PhantomData<G>);

impl<'de, G: Gather<Element: Deserialize<'de>>> Visitor<'de> for ArrayVisitor<G> {
    type Value = G;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_unit<E: Error>(self) -> Result<G, E> {
        Ok(G::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<G, A::Error> {
        let mut gathered = G::default();
        while let Some(element) = elements.next_element()? {
            gathered.take(element);
        }
        Ok(gathered)
    }
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnnotationsVisitor)
    }
}

struct AnnotationsVisitor;

impl<'de> Visitor<'de> for AnnotationsVisitor {
    type Value = Annotations;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("annotations")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Annotations, A::Error> {
        let mut annotations = Annotations::default();
        while let Some(key) = entries.next_key::<String>()? {
            if key == TRIGGER_TIME {
                let text: Option<String> = entries.next_value()?;
                annotations.triggered = text.as_deref().and_then(trigger_time);
            } else if key == WEIGHT {
                annotations.weight = entries.next_value()?;
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(annotations)
    }
}

impl<'de> Deserialize<'de> for PortNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PortNumberVisitor)
    }
}

struct PortNumberVisitor;

impl Visitor<'_> for PortNumberVisitor {
    type Value = PortNumber;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<PortNumber, E> {
        Ok(PortNumber(port_number(number)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<PortNumber, E> {
        Ok(PortNumber(port_number(number)))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<PortNumber, E> {
        Ok(PortNumber(None))
    }
}

#[cfg(test)]
mod tests;
