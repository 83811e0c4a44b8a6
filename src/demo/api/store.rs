//! The objects, their versions, and what happened to them.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::{Value, json};

use super::Rejected;
use super::selector::Selector;

/// Objects at most, of both kinds together.
const OBJECTS: usize = 20_000;

/// Changes remembered for those who watch; one who is further behind gets a 410.
const HISTORY: usize = 4_096;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    EndpointSlice,
    Service,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::EndpointSlice => "EndpointSlice",
            Self::Service => "Service",
        }
    }

    /// The name in a path.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::EndpointSlice => "endpointslices",
            Self::Service => "services",
        }
    }

    pub(super) fn api_version(self) -> &'static str {
        match self {
            Self::EndpointSlice => "discovery.k8s.io/v1",
            Self::Service => "v1",
        }
    }
}

/// Kind, namespace, name: the order of a list.
type Key = (Kind, String, String);

#[derive(Debug)]
pub(super) struct Store {
    version: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    history: VecDeque<Change>,
    /// Changes up to this version are forgotten.
    compacted: u64,
}

/// What happened to one object.
#[derive(Debug)]
struct Change {
    version: u64,
    kind: Kind,
    namespace: String,
    before: Option<Arc<Value>>,
    after: Option<Arc<Value>>,
}

/// Which objects of which namespace.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub kind: Kind,
    pub namespace: String,
    pub selector: Selector,
}

/// A watch event: its type and object.
pub(super) type Event = (&'static str, Arc<Value>);

/// The version asked for has been compacted away.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gone {
    pub compacted: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            // Version 0 has a meaning of its own in requests.
            version: 1,
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            compacted: 0,
        }
    }
}

impl Store {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Creates or replaces an object; the version that made.
    pub(super) fn apply(
        &mut self,
        kind: Kind,
        object: &impl serde::Serialize,
    ) -> Result<u64, Rejected> {
        let mut object =
            serde_json::to_value(object).map_err(|_| Rejected::Incomplete("JSON form"))?;
        let text = |field: &'static str| {
            object["metadata"][field]
                .as_str()
                .map(str::to_owned)
                .ok_or(Rejected::Incomplete(field))
        };
        let (namespace, name) = (text("namespace")?, text("name")?);
        let key = (kind, namespace.clone(), name);
        if !self.objects.contains_key(&key) && self.objects.len() >= OBJECTS {
            return Err(Rejected::Full(OBJECTS));
        }
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if kind == Kind::EndpointSlice {
            for list in ["endpoints", "ports"] {
                if object[list].as_array().is_none_or(Vec::is_empty) {
                    object[list] = Value::Null;
                }
            }
        }
        let after = Arc::new(object);
        let before = self.objects.insert(key, after.clone());
        self.remember(kind, namespace, before, Some(after));
        Ok(self.version)
    }

    /// Deletes an object; the version that made, or `None` where there was none.
    pub(super) fn delete(&mut self, kind: Kind, namespace: &str, name: &str) -> Option<u64> {
        let key = (kind, namespace.to_owned(), name.to_owned());
        let before = self.objects.remove(&key)?;
        self.version += 1;
        self.remember(kind, key.1, Some(before), None);
        Some(self.version)
    }

    fn remember(
        &mut self,
        kind: Kind,
        namespace: String,
        before: Option<Arc<Value>>,
        after: Option<Arc<Value>>,
    ) {
        self.history.push_back(Change {
            version: self.version,
            kind,
            namespace,
            before,
            after,
        });
        if self.history.len() > HISTORY
            && let Some(change) = self.history.pop_front()
        {
            self.compacted = change.version;
        }
    }

    pub(super) fn compact(&mut self) {
        self.history.clear();
        self.compacted = self.version;
    }

    pub(super) fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let key = (kind, namespace.to_owned(), name.to_owned());
        self.objects.get(&key).cloned()
    }

    /// Up to `limit` objects that follow the name `after`, and whether there are more.
    pub(super) fn page(
        &self,
        scope: &Scope,
        after: Option<&str>,
        limit: usize,
    ) -> (Vec<Arc<Value>>, bool) {
        let key = |name: &str| (scope.kind, scope.namespace.clone(), name.to_owned());
        let start = after.map_or_else(
            || Bound::Included(key("")),
            |name| Bound::Excluded(key(name)),
        );
        let mut selected = self
            .objects
            .range((start, Bound::Unbounded))
            .take_while(|((kind, namespace, _), _)| {
                (*kind, namespace) == (scope.kind, &scope.namespace)
            })
            .map(|(_, object)| object)
            .filter(|object| scope.selector.matches(object));
        let page = selected.by_ref().take(limit).cloned().collect();
        (page, selected.next().is_some())
    }

    /// What happened in `scope` after `version`.
    pub(super) fn events(&self, scope: &Scope, version: u64) -> Result<Vec<Event>, Gone> {
        if version < self.compacted {
            return Err(Gone {
                compacted: self.compacted,
            });
        }
        let start = self
            .history
            .partition_point(|change| change.version <= version);
        Ok(self
            .history
            .range(start..)
            .filter_map(|change| change.event(scope))
            .collect())
    }
}

impl Change {
    /// What one who watches `scope` sees of this change: an object that no longer matches is gone for them.
    fn event(&self, scope: &Scope) -> Option<Event> {
        if (self.kind, &self.namespace) != (scope.kind, &scope.namespace) {
            return None;
        }
        let selected = |object: &Option<Arc<Value>>| {
            object
                .clone()
                .filter(|object| scope.selector.matches(object))
        };
        match (selected(&self.before), selected(&self.after)) {
            (None, None) => None,
            (None, Some(after)) => Some(("ADDED", after)),
            (Some(_), Some(after)) => Some(("MODIFIED", after)),
            (Some(before), None) => {
                // The last state that matched, with the version of its end.
                let mut last = Value::clone(&before);
                last["metadata"]["resourceVersion"] = json!(self.version.to_string());
                Some(("DELETED", Arc::new(last)))
            }
        }
    }
}
