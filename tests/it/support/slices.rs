//! A file of EndpointSlices that a scene can change while the sidecar reads it.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Pod;

#[derive(Debug)]
pub struct Slices {
    directory: TempDir,
}

/// One endpoint, in a slice of its own because a slice has one port for all.
#[derive(Clone, Debug)]
pub struct Entry {
    slice: Value,
}

impl Slices {
    pub fn of(entries: impl IntoIterator<Item = impl Into<Entry>>) -> Self {
        let slices = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        slices.set(entries);
        slices
    }

    /// No endpoint at all, as a Service scaled to zero has it.
    pub fn none() -> Self {
        Self::of([] as [Entry; 0])
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("slices.json")
    }

    /// Replaces the whole list, in one step.
    pub fn set(&self, entries: impl IntoIterator<Item = impl Into<Entry>>) {
        let slices: Vec<Value> = entries
            .into_iter()
            .map(|entry| entry.into().slice)
            .collect();
        let list = json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSliceList",
            "items": slices,
        });
        let fresh = self.directory.path().join("fresh.json");
        std::fs::write(&fresh, list.to_string()).unwrap();
        std::fs::rename(fresh, self.path()).unwrap();
    }

    pub fn clear(&self) {
        self.set([] as [Entry; 0]);
    }
}

impl Entry {
    /// The pod under another uid: another pod that got its address.
    pub fn with_uid(pod: &Pod, uid: &str) -> Self {
        let mut entry = Self::from(pod);
        entry.slice["endpoints"][0]["targetRef"]["uid"] = uid.into();
        entry
    }
}

impl Entry {
    /// The pod on its way out, still able to serve.
    pub fn terminating(pod: &Pod) -> Self {
        let mut entry = Self::from(pod);
        entry.slice["endpoints"][0]["conditions"] =
            json!({"ready": false, "serving": true, "terminating": true});
        entry
    }
}

impl From<&Pod> for Entry {
    fn from(pod: &Pod) -> Self {
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": format!("cart-{}", pod.name),
                "namespace": "shop",
                "labels": {"kubernetes.io/service-name": "cart"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": pod.address.port(), "protocol": "TCP"}],
            "endpoints": [{
                "addresses": [pod.address.ip().to_string()],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "targetRef": {
                    "kind": "Pod",
                    "namespace": "shop",
                    "name": pod.name,
                    "uid": format!("uid-{}", pod.name),
                },
            }],
        });
        Self { slice }
    }
}
