//! What the control plane would write about the toy pods: the Service, and its EndpointSlices. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ObjectReference, Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

pub const NAMESPACE: &str = "shop";
pub const SERVICE: &str = "cart";
/// The Service's port, by name.
pub const PORT: &str = "http";

/// Set on a slice by the controller: when the change that it tells of happened (KEP-752).
const TRIGGER_TIME: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// Where a pod stands in its life, as the conditions of its endpoint say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Runs, and does not pass its readiness probe.
    Unready,
    Ready,
    /// Was deleted, and still answers.
    Draining,
    /// Was deleted, and its app has ended.
    Ended,
}

/// What a slice says of a pod.
#[derive(Clone, Debug)]
pub struct Entry {
    pub name: String,
    pub uid: String,
    pub address: SocketAddr,
    pub standing: Standing,
}

/// The slices of `entries`: one for each of `ports`, because a slice has one number for a port's name. A port
/// without pods has an empty slice, as the controller keeps one.
pub fn slices(
    ports: impl IntoIterator<Item = u16>,
    entries: &[&Entry],
    now: Timestamp,
) -> Vec<EndpointSlice> {
    ports
        .into_iter()
        .map(|port| {
            let of_port = entries.iter().filter(|entry| entry.address.port() == port);
            slice(port, of_port.map(|entry| endpoint(entry)).collect(), now)
        })
        .collect()
}

fn slice(port: u16, endpoints: Vec<Endpoint>, now: Timestamp) -> EndpointSlice {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    EndpointSlice {
        metadata: ObjectMeta {
            namespace: Some(NAMESPACE.to_owned()),
            name: Some(format!("{SERVICE}-{port}")),
            labels: Some(BTreeMap::from([
                label("kubernetes.io/service-name", SERVICE),
                label(
                    "endpointslice.kubernetes.io/managed-by",
                    "endpointslice-controller.k8s.io",
                ),
            ])),
            annotations: Some(BTreeMap::from([label(TRIGGER_TIME, &now.to_string())])),
            ..ObjectMeta::default()
        },
        address_type: "IPv4".to_owned(),
        ports: Some(vec![EndpointPort {
            name: Some(PORT.to_owned()),
            port: Some(port.into()),
            protocol: Some("TCP".to_owned()),
            ..EndpointPort::default()
        }]),
        endpoints: Some(endpoints).filter(|endpoints| !endpoints.is_empty()),
    }
}

fn endpoint(entry: &Entry) -> Endpoint {
    let is = |standings: &[Standing]| Some(standings.contains(&entry.standing));
    Endpoint {
        addresses: vec![entry.address.ip().to_string()],
        conditions: Some(EndpointConditions {
            ready: is(&[Standing::Ready]),
            serving: is(&[Standing::Ready, Standing::Draining]),
            terminating: is(&[Standing::Draining, Standing::Ended]),
        }),
        node_name: Some("demo".to_owned()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            name: Some(entry.name.clone()),
            uid: Some(entry.uid.clone()),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    }
}

/// The Service in front of the pods.
pub fn service() -> Service {
    Service {
        metadata: ObjectMeta {
            namespace: Some(NAMESPACE.to_owned()),
            name: Some(SERVICE.to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            ports: Some(vec![ServicePort {
                name: Some(PORT.to_owned()),
                port: 80,
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            selector: Some(BTreeMap::from([("app".to_owned(), SERVICE.to_owned())])),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, address: &str, standing: Standing) -> Entry {
        Entry {
            name: name.to_owned(),
            uid: format!("uid-{name}"),
            address: address.parse().unwrap(),
            standing,
        }
    }

    fn conditions(standing: Standing) -> (Option<bool>, Option<bool>, Option<bool>) {
        let endpoint = endpoint(&entry("a", "127.0.1.1:80", standing));
        let conditions = endpoint.conditions.unwrap();
        (conditions.ready, conditions.serving, conditions.terminating)
    }

    #[test]
    fn a_pod_goes_through_the_conditions_of_a_real_one() {
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(conditions(Standing::Unready), (no, no, no));
        assert_eq!(conditions(Standing::Ready), (yes, yes, no));
        assert_eq!(conditions(Standing::Draining), (no, yes, yes));
        assert_eq!(conditions(Standing::Ended), (no, no, yes));
    }

    #[test]
    fn each_port_has_its_slice_and_one_without_pods_an_empty_one() {
        let entries = [
            entry("a", "127.0.1.1:81", Standing::Ready),
            entry("b", "127.0.1.2:81", Standing::Ready),
            entry("c", "127.0.0.1:82", Standing::Ready),
        ];
        let slices = slices([81, 82, 83], &entries.each_ref(), Timestamp::UNIX_EPOCH);
        let sizes: Vec<usize> = slices
            .iter()
            .map(|slice| slice.endpoints.as_ref().map_or(0, Vec::len))
            .collect();
        assert_eq!(sizes, [2, 1, 0]);
        let annotations = slices[0].metadata.annotations.as_ref().unwrap();
        assert_eq!(annotations[TRIGGER_TIME], "1970-01-01T00:00:00Z");
    }
}
