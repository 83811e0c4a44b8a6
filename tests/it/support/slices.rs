//! A file of EndpointSlices that a scene can change while the sidecar reads it.

use std::path::PathBuf;

use k8s_openapi::api::discovery::v1::EndpointSlice;
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
        self.write(&json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSliceList",
            "items": values(entries),
        }));
    }

    /// Replaces the whole list, with the Service itself before it.
    pub fn set_with_service(
        &self,
        spec: &Value,
        entries: impl IntoIterator<Item = impl Into<Entry>>,
    ) {
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "cart", "namespace": "shop"},
            "spec": spec,
        });
        let mut items = vec![service];
        items.extend(values(entries));
        self.write(&json!({"apiVersion": "v1", "kind": "List", "items": items}));
    }

    fn write(&self, list: &Value) {
        let fresh = self.directory.path().join("fresh.json");
        std::fs::write(&fresh, list.to_string()).unwrap();
        std::fs::rename(fresh, self.path()).unwrap();
    }

    pub fn clear(&self) {
        self.set([] as [Entry; 0]);
    }
}

fn values(entries: impl IntoIterator<Item = impl Into<Entry>>) -> Vec<Value> {
    entries
        .into_iter()
        .map(|entry| entry.into().slice)
        .collect()
}

impl Entry {
    /// The pod as one of another Service.
    pub fn of_service(pod: &Pod, service: &str) -> Self {
        let mut entry = Self::from(pod);
        let metadata = &mut entry.slice["metadata"];
        metadata["name"] = format!("{service}-{}", pod.name).into();
        metadata["labels"]["kubernetes.io/service-name"] = service.into();
        entry
    }

    /// With a field of the endpoint set.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.slice["endpoints"][0][field] = value.into();
        self
    }

    /// With this as its weight.
    pub fn weighing(mut self, weight: &str) -> Self {
        self.slice["metadata"]["annotations"] = json!({"podrobin.io/weight": weight});
        self
    }

    /// On a port that speaks this protocol.
    pub fn speaking(mut self, protocol: &str) -> Self {
        self.slice["ports"][0]["appProtocol"] = protocol.into();
        self
    }

    /// The same pod's address of the other family, in a slice of its own as a dual-stack Service has it.
    pub fn in_ipv6(mut self, address: &str) -> Self {
        let name = self.slice["metadata"]["name"].as_str().unwrap();
        self.slice["metadata"]["name"] = format!("{name}-v6").into();
        self.slice["addressType"] = "IPv6".into();
        self.with("addresses", vec![address])
    }

    /// As an API holds it.
    pub fn slice(self) -> EndpointSlice {
        serde_json::from_value(self.slice).unwrap()
    }

    /// The pod under another uid: another pod that got its address.
    pub fn with_uid(pod: &Pod, uid: &str) -> Self {
        let mut entry = Self::from(pod);
        entry.slice["endpoints"][0]["targetRef"]["uid"] = uid.into();
        entry
    }

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
